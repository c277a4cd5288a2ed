import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from sv.base.seeding import generator
from sv.data.audio import BadAudio, read_samples
from sv.data.augment import AugmentConfig, Draw, NoiseLibrary, NoisePiece
from sv.data.manifests import cut_of, import_lhotse, render
from sv.data.mixing import measure_snr_db, noise_gain, power
from sv.data.utterances import Utterance
from sv.kaldi.scp import DataDirError, read_scp

NUM_SAMPLES = 20_011


@pytest.fixture
def library(make_set, noise):
    talkers = {f"talker-{i}": noise(i, 9_000 + 7_000 * i, 0.03 * (i + 1)) for i in range(7)}
    decay = np.exp(-np.arange(5_000) / 700).astype(np.float32)
    rooms = {
        f"room-{i}": noise(20 + i, 5_000, 0.02) * decay + np.eye(1, 5_000, 90 * i, dtype=np.float32)[0] for i in (1, 2)
    }
    noises = {
        "noise": make_set("noise", {f"noise-{i}": noise(30 + i, 60_000) for i in range(3)}),
        "short": make_set("short", {"short-0": noise(40, 3_001) * np.linspace(0, 1, 3_001, dtype=np.float32)}),
        "babble": make_set("talkers", talkers),
    }
    taps = np.hanning(301).astype(np.float32) * noise(60, 301, 0.05)
    taps[150] = 0.5
    return NoiseLibrary(noises, make_set("rooms", rooms), make_set("channels", {"channel-0": taps}))


@pytest.fixture
def speech(tmp_path, noise):
    """(path, samples) of an utterance whose level changes."""
    path = tmp_path / "speech.wav"
    soundfile.write(path, noise(50, NUM_SAMPLES) * np.linspace(0.2, 1, NUM_SAMPLES), 16_000)
    return path, read_samples(path)


def drawn(library, category, rir, snr_db, key=0) -> Draw:
    pieces = library.draw_noise(generator(key), category, NUM_SAMPLES) if category else ()
    return Draw(category=category, snr_db=snr_db, pieces=pieces, rir=rir)


def through_json(cut):
    return import_lhotse().cut.set.deserialize_cut(json.loads(json.dumps(cut.to_dict())))


@pytest.mark.parametrize("rir", [None, "room-1", "room-2"])
@pytest.mark.parametrize("category", [None, "noise", "short", "babble", "babble+short"])
@pytest.mark.parametrize("channel", [None, "channel-0"])
def test_lhotse_renders_the_same_waveform(library, speech, category, rir, channel):
    path, samples = speech
    for key, snr_db in enumerate((-3.0, 0.0, 17.5)):
        draw = replace(drawn(library, category, rir, snr_db, key), channel=channel)
        cut = library.to_cut(draw, cut_of("a-1", "a", Utterance("a-1", str(path), NUM_SAMPLES)), samples)
        ours, theirs = library.apply(draw, samples), render(through_json(cut))
        np.testing.assert_allclose(theirs, ours, atol=1e-6 * np.abs(ours).max())
        assert cut.id == "a-1"
        assert [supervision.speaker for supervision in cut.supervisions] == ["a"]


def test_lhotse_renders_the_published_floor_too(library, speech):
    path, samples = speech
    draw = drawn(library, "short", None, 0.0)
    quiet = samples * np.float32(0.05)
    soundfile.write(path, quiet, 16_000, subtype="FLOAT")
    cut = library.to_cut(draw, cut_of("a-1", "a", Utterance("a-1", str(path), NUM_SAMPLES)), quiet, floor=1e-4)
    ours = library.apply(draw, quiet, floor=1e-4)
    np.testing.assert_allclose(render(cut), ours, atol=1e-6 * np.abs(ours).max())
    added = library.sum_of("short", draw.pieces, NUM_SAMPLES)
    expected = 10 * np.log10((power(quiet) / (power(quiet) + 1e-4)) * ((power(added) + 1e-4) / power(added)))
    assert measure_snr_db(quiet, ours) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("category", ["noise", "short", "babble"])
@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
def test_the_snr_of_the_whole_mix_is_the_one_drawn(library, speech, category, snr_db):
    path, samples = speech
    draw = drawn(library, category, None, snr_db)
    rendered = render(library.to_cut(draw, cut_of("a-1", "a", Utterance("a-1", str(path), NUM_SAMPLES)), samples))
    assert measure_snr_db(samples, rendered) == pytest.approx(snr_db, abs=1e-3)


def test_all_tracks_have_one_common_gain(library, speech):
    """Looped and babble tracks divided by their own samples give the same factor everywhere."""
    path, samples = speech
    draw = drawn(library, "babble", None, 5.0, key=3)
    cut = library.to_cut(draw, cut_of("a-1", "a", Utterance("a-1", str(path), NUM_SAMPLES)), samples)
    gain = noise_gain(power(samples), power(library.sum_of("babble", draw.pieces, NUM_SAMPLES)), 5.0)
    assert len(cut.tracks) == len(draw.pieces) + 1
    for track, mixed in zip(cut.tracks[1:], cut.load_audio(mixed=False)[1:], strict=True):
        own = track.cut.load_audio()[0]
        start = round(track.offset * 16_000)
        np.testing.assert_allclose(mixed[0, start : start + len(own)], gain * own, atol=1e-6)


def test_short_noise_is_looped_without_a_gap(library):
    pieces = library.draw_noise(generator(1), "short", NUM_SAMPLES)
    file = library.noises["short"].read("short-0")
    expected = np.take(file, pieces[0].start + np.arange(NUM_SAMPLES), mode="wrap")
    np.testing.assert_array_equal(library.sum_of("short", pieces, NUM_SAMPLES), expected)
    starts = {library.draw_noise(generator(key), "short", NUM_SAMPLES)[0].start for key in range(8)}
    assert len(starts) == 8  # the phase is random


def test_babble_is_three_to_six_different_recordings(library):
    counts = []
    for key in range(60):
        pieces = library.draw_noise(generator(key), "babble", NUM_SAMPLES)
        firsts = [piece.recording for piece in pieces if piece.offset == 0]
        assert len(set(firsts)) == len(firsts)
        counts.append(len(firsts))
    assert set(counts) == {3, 4, 5, 6}


def test_pieces_cover_the_utterance_and_stay_inside_their_recordings(library):
    for category in ("noise", "short", "babble"):
        covered: dict[str, int] = {}
        for piece in library.draw_noise(generator(9), category, NUM_SAMPLES):
            assert piece.offset == covered.get(piece.recording, 0)
            covered[piece.recording] = piece.offset + piece.num_samples
            assert piece.start >= 0
            assert piece.start + piece.num_samples <= library.noises[category].utterances[piece.recording].num_samples
        assert set(covered.values()) == {NUM_SAMPLES}


def test_the_sum_is_the_same_whether_it_was_just_drawn_or_is_read_again(library):
    pieces = library.draw_noise(generator(5), "babble", NUM_SAMPLES)
    just_drawn = library.sum_of("babble", pieces, NUM_SAMPLES).copy()
    library.draw_noise(generator(6), "babble", NUM_SAMPLES)
    np.testing.assert_array_equal(library.sum_of("babble", pieces, NUM_SAMPLES), just_drawn)


def test_a_draw_depends_on_its_key_alone(library):
    config = AugmentConfig(noises=("noise", "short", "babble"), reverb_prob=0.5)
    first = library.draw(generator(0, "a-1"), config, NUM_SAMPLES)
    library.draw(generator(0, "b-1"), config, NUM_SAMPLES)
    assert library.draw(generator(0, "a-1"), config, NUM_SAMPLES) == first


def test_draws_follow_the_configured_distribution(library):
    config = AugmentConfig(noise_prob=0.75, noises=("noise", "babble"), snr_db=(2.0, 6.0), reverb_prob=0.25)
    draws = [library.draw(generator(key), config, 100) for key in range(2_000)]
    noisy = [draw for draw in draws if draw.category]
    three_sigma = 3 * np.sqrt(0.75 * 0.25 / len(draws))
    assert len(noisy) / len(draws) == pytest.approx(0.75, abs=three_sigma)
    assert sum(draw.rir is not None for draw in draws) / len(draws) == pytest.approx(0.25, abs=three_sigma)
    assert sum(draw.category == "babble" for draw in noisy) / len(noisy) == pytest.approx(0.5, abs=0.04)
    snrs = np.array([draw.snr_db for draw in noisy])
    assert snrs.min() >= 2 and snrs.max() <= 6
    assert snrs.mean() == pytest.approx(4.0, abs=3 * 4 / np.sqrt(12 * len(snrs)))


def test_one_of_five_equally_likely_things(library):
    library.noises["music"] = library.noises["noise"]
    config = AugmentConfig(
        one_of=True,
        reverb_prob=0.2,
        noise_prob=0.75,
        noises=("noise", "music", "babble"),
        snr_db=(0.0, 15.0),
        music_snr_db=(5.0, 15.0),
        babble_snr_db=(13.0, 20.0),
        num_babble=(3, 7),
    )
    draws = [library.draw(generator("exclusive", i), config, 4_000) for i in range(1_000)]
    kinds = [draw.category or ("room" if draw.rir else "nothing") for draw in draws]
    assert all(draw.rir is None or draw.category is None for draw in draws)
    for kind in ("nothing", "room", "noise", "music", "babble"):
        assert abs(kinds.count(kind) - 200) < 4 * np.sqrt(1_000 * 0.2 * 0.8)
    for category, low, high in (("noise", 0, 15), ("music", 5, 15), ("babble", 13, 20)):
        levels = [draw.snr_db for draw in draws if draw.category == category]
        assert low <= min(levels) < low + 0.5
        assert high - 0.5 < max(levels) <= high
    assert {len(draw.pieces) for draw in draws if draw.category == "babble"} == {3, 4, 5, 6, 7}


def test_silent_stretches_are_drawn_again(make_set, noise):
    half = np.concatenate([np.zeros(50_000, np.float32), noise(0, 2_000)])
    library = NoiseLibrary({"noise": make_set("half", {"half-0": half})})
    for key in range(10):
        pieces = library.draw_noise(generator(key), "noise", 40_000)
        assert library.sum_of("noise", pieces, 40_000).any()


def test_a_category_of_silence_is_an_error(make_set):
    library = NoiseLibrary({"noise": make_set("silent", {"silent-0": np.zeros(5_000, np.float32)})})
    with pytest.raises(BadAudio, match=r"^noise: 20 draws in a row were silent$"):
        library.draw_noise(generator(0), "noise", 4_000)


def test_silent_speech_and_no_noise_leave_the_utterance_as_it_is(library, speech):
    path, samples = speech
    draw, silence = drawn(library, "noise", None, 0.0), np.zeros(NUM_SAMPLES, np.float32)
    assert not library.apply(draw, silence).any()
    cut = cut_of("a-1", "a", Utterance("a-1", str(path), NUM_SAMPLES))
    assert library.to_cut(draw, cut, silence) is cut
    assert library.apply(Draw(), samples) is samples


def test_a_silent_piece_is_no_track(make_set, noise, speech):
    path, samples = speech
    audio = np.concatenate([np.zeros(4_000, np.float32), noise(0, 4_000)])
    library = NoiseLibrary({"noise": make_set("gap", {"gap-0": audio})})
    quiet = NoisePiece(recording="gap-0", start=0, num_samples=4_000, offset=0)
    draw = Draw(category="noise", snr_db=0.0, pieces=(quiet, replace(quiet, start=4_000, offset=4_000)))
    cut = library.to_cut(draw, cut_of("a-1", "a", Utterance("a-1", str(path), NUM_SAMPLES)), samples)
    assert len(cut.tracks) == 2
    ours = library.apply(draw, samples)
    np.testing.assert_allclose(render(cut), ours, atol=1e-6 * np.abs(ours).max())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"noise_prob": 1.5}, r"noise_prob must be in \[0, 1\], got 1.5"),
        ({"reverb_prob": -0.1}, r"reverb_prob must be in \[0, 1\], got -0.1"),
        ({"snr_db": (5.0, 0.0)}, r"snr_db must be \(low, high\), got \(5.0, 0.0\)"),
        ({"num_babble": (6, 3)}, r"num_babble must be \(low, high\), got \(6, 3\)"),
        ({"noises": ()}, "noises must name a category when noise_prob > 0"),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        AugmentConfig(**settings)


def test_the_library_must_have_what_the_configuration_asks_for(library, make_set, noise):
    with pytest.raises(ValueError, match=r"noises: no recordings of 'music'; there are \['babble', 'noise', 'short'\]"):
        library.check(AugmentConfig())
    dry = NoiseLibrary({"noise": make_set("other", {"other-0": noise(0, 100)})})
    with pytest.raises(ValueError, match="reverb_prob > 0, but there are no room responses"):
        dry.check(AugmentConfig(noises=("noise",), reverb_prob=0.1))
    dry.check(AugmentConfig(noises=("noise",)))


def test_babble_needs_enough_recordings(make_set, noise):
    library = NoiseLibrary({"babble": make_set("few", {f"few-{i}": noise(i, 100) for i in range(5)})})
    with pytest.raises(
        DataDirError, match="up to 6 different recordings are summed, there are 5; add speech recordings"
    ):
        library.draw_noise(generator(0), "babble", 50)


def test_noise_directories_without_usable_recordings(tmp_path, make_set, noise):
    with pytest.raises(DataDirError, match="absent: no such data directory"):
        NoiseLibrary({"noise": tmp_path / "absent"})
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "wav.scp").write_text("")
    with pytest.raises(DataDirError, match=r"empty/wav\.scp: no recordings"):
        NoiseLibrary({"noise": tmp_path / "empty"})
    folder = make_set("set", {"set-0": noise(0, 100)})
    (folder / "utt2dur").write_text("other 1.0\n")
    with pytest.raises(DataDirError, match=r"utt2dur: 1 utterances are not there, e\.g\. \['set-0'\]"):
        NoiseLibrary({"noise": folder})
    (folder / "utt2dur").write_text("set-0 1.0\n")
    (folder / "wav.scp").write_text(f"set-0 cat {read_scp(folder / 'wav.scp')['set-0']} |\n")
    with pytest.raises(DataDirError, match=r"wav\.scp: 'set-0' is a pipe; noise is read from files only"):
        NoiseLibrary({}, folder)


def test_a_sum_of_categories_draws_from_each_and_has_one_snr(library, speech):
    _, samples = speech
    for key in range(5):
        draw = drawn(library, "babble+noise", None, 5.0, key)
        kinds = [piece.recording.split("-")[0] for piece in draw.pieces if piece.offset == 0]
        assert 3 <= kinds.count("talker") <= 6
        assert kinds.count("noise") == 1
        assert measure_snr_db(samples, library.apply(draw, samples)) == pytest.approx(5.0, abs=1e-3)


def test_one_of_gives_a_room_or_noise_never_both(library):
    config = AugmentConfig(one_of=True, reverb_prob=0.2, noises=("noise", "babble", "short", "babble+noise"))
    draws = [library.draw(generator("one of", i), config, 1_000) for i in range(500)]
    assert all((draw.rir is None) != (draw.category is None) for draw in draws)
    shares = [sum(draw.category == name for draw in draws) / 500 for name in (None, *config.noises)]
    assert shares == pytest.approx([0.2] * 5, abs=0.07)  # four standard deviations


def test_a_sum_with_an_absent_category_is_refused(library):
    with pytest.raises(ValueError, match="no recordings of 'music'"):
        library.check(AugmentConfig(noises=("babble+music",)))
