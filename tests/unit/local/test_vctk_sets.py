"""From data directories to the recipe's splits, models, trials and published protocols."""

import json

import numpy as np
import pytest
import soundfile

from local.split_test import drawn_speakers
from sv.data.manifests import iter_waveforms, write_manifests
from sv.kaldi import read_scp, read_spk2utt, read_trials, read_utt2spk, validate_data_dir, write_data_dir
from sv.kaldi.enrolment import read_enrolment, with_models, write_enrolment
from sv.kaldi.scp import DataDirError


def make_set(folder, utt2spk, seconds=1.0):
    """A data directory of noise, a wav an utterance."""
    paths = {}
    for number, utt in enumerate(utt2spk):
        paths[utt] = str(folder / "wav" / f"{utt}.wav")
        (folder / "wav").mkdir(parents=True, exist_ok=True)
        noise = 0.1 * np.random.default_rng(number).standard_normal(int(16_000 * seconds))
        soundfile.write(paths[utt], noise, 16_000, subtype="PCM_16")
    write_data_dir(folder, wav_scp=paths, utt2spk=utt2spk, utt2dur=dict.fromkeys(utt2spk, seconds))
    write_manifests(folder)
    return folder


@pytest.fixture
def corpus(tmp_path):
    """Four speakers with three sentences each."""
    return make_set(tmp_path / "vctk", {f"p{s}-{n:03d}": f"p{s}" for s in (225, 226, 23, 24) for n in (1, 2, 3)})


def speakers(folder):
    return sorted(set(read_utt2spk(folder / "utt2spk").values()))


def test_the_last_speakers_in_c_order_are_for_testing(run, corpus, tmp_path):
    done = run("local/split_test.py", "--num-test", 2, corpus, tmp_path / "dev", tmp_path / "test")
    assert done.returncode == 0, done.stderr
    assert (speakers(tmp_path / "dev"), speakers(tmp_path / "test")) == (["p225", "p226"], ["p23", "p24"])
    assert validate_data_dir(tmp_path / "test") == []
    assert "2 speakers for testing: p23, p24" in done.stdout


def test_the_published_split_is_nine_of_each_whole_ten(run, tmp_path):
    source = make_set(tmp_path / "s", {f"p{s:03d}-001": f"p{s:03d}" for s in range(23)}, seconds=0.01)
    assert run("local/split_test.py", source, tmp_path / "dev", tmp_path / "test").returncode == 0
    assert (len(speakers(tmp_path / "dev")), len(speakers(tmp_path / "test"))) == (18, 5)


@pytest.mark.parametrize("count", [1, 4])
def test_a_split_that_leaves_too_few_is_refused(run, corpus, tmp_path, count):
    done = run("local/split_test.py", "--num-test", count, corpus, tmp_path / "dev", tmp_path / "test")
    assert done.returncode == 1
    assert f"cannot set {count} of 4 speakers apart for testing; give another --num-test" in done.stderr


def test_the_same_speakers_of_another_set(run, corpus, tmp_path):
    like = make_set(tmp_path / "like", {"p226-x": "p226", "p24-x": "p24", "p9-x": "p9"}, seconds=0.1)
    done = run("local/subset_speakers.py", like, corpus, tmp_path / "out")
    assert "out: 2 of 3 speakers of like" in done.stdout
    assert speakers(tmp_path / "out") == ["p226", "p24"]
    other = make_set(tmp_path / "other", {"q1-x": "q1"}, seconds=0.1)
    done = run("local/subset_speakers.py", other, corpus, tmp_path / "none")
    assert done.returncode == 1 and "none of its speakers is in" in done.stderr


def test_copies_are_utterances_of_the_same_files(run, corpus, tmp_path):
    done = run("local/repeat_utterances.py", "--copies", 3, corpus, tmp_path / "copies")
    assert "copies: 36 utterances of 4 speakers" in done.stdout
    assert validate_data_dir(tmp_path / "copies") == []
    paths = read_scp(tmp_path / "copies/wav.scp")
    assert {paths[f"p24-002-copy{copy:04d}"] for copy in range(3)} == {read_scp(corpus / "wav.scp")["p24-002"]}


def test_models_of_several_sentences_are_tried_on_all_others(run, corpus):
    done = run("local/make_enrolment.py", "--num-enrol", 2, corpus)
    assert done.returncode == 0, done.stderr
    models, trials = read_spk2utt(corpus / "enrolment"), read_trials(corpus / "trials")
    assert models["p225"] == ["p225-001", "p225-002"]
    assert len(models) == 4 and len(trials) == 16 and trials.is_target.sum() == 4
    assert not set(trials.test) & {utt for utts in models.values() for utt in utts}
    assert "4 models of 2 utterances, 0 left out with too few; 4 target and 12 nontarget trials" in done.stdout
    assert run("local/check_leak.py", corpus, corpus).stderr.startswith("check_leak.py: 4 speakers")


def test_models_of_a_phrase_are_tried_on_that_phrase(run, tmp_path):
    takes = {f"{speaker}-{digit}-{take:03d}": speaker for speaker in "ab" for digit in (0, 1) for take in range(3)}
    folder = make_set(tmp_path / "digits", {**takes, "c-1-000": "c"}, seconds=0.1)
    done = run("local/make_enrolment.py", "--num-enrol", 2, "--by-phrase", folder)
    assert "4 models of 2 utterances, 1 left out with too few; 4 target and 4 nontarget trials" in done.stdout
    trials = read_trials(folder / "trials")
    assert all(model.split("-")[1] == utt.split("-")[1] for model, utt in zip(trials.enrolment, trials.test))
    assert [model.split("-")[0] == utt.split("-")[0] for model, utt in zip(trials.enrolment, trials.test)] == list(
        trials.is_target
    )


def test_too_few_utterances_to_enrol_are_refused(run, corpus):
    done = run("local/make_enrolment.py", "--num-enrol", 3, corpus)
    assert done.returncode == 1
    assert "fewer than two models with more than 3 utterances; lower --num-enrol" in done.stderr
    assert not (corpus / "trials").exists()
    done = run("local/make_enrolment.py", "--by-phrase", corpus)
    assert "p225-001: expected <speaker>-<phrase>-<take>, which --by-phrase needs" in done.stderr


def test_enrolment_tables_are_checked(tmp_path):
    utt2spk = {"a-1": "a", "a-2": "a", "b-1": "b"}
    write_enrolment(tmp_path, {"a": ["a-1", "a-2"]})
    assert read_enrolment(tmp_path, utt2spk) == {"a": ["a-1", "a-2"]}
    assert with_models(utt2spk, {"m": ["b-1"]}) == {**utt2spk, "m": "b"}
    assert read_enrolment(tmp_path / "nowhere", utt2spk) == {}
    for models, message in (
        ({"a-1": ["a-2"]}, "enrolment:1: model 'a-1' has the name of an utterance"),
        ({"a": ["a-1", "a-9"]}, "enrolment:1: utterance 'a-9' of model 'a' is not in utt2spk"),
        ({"a": ["a-1", "b-1"]}, "enrolment:1: model 'a' has utterances of a, b"),
    ):
        write_enrolment(tmp_path, models)
        with pytest.raises(DataDirError, match=message):
            read_enrolment(tmp_path, utt2spk)


@pytest.fixture
def noise(tmp_path):
    make_set(tmp_path / "musan_noise_train", {f"n{i}": f"n{i}" for i in range(3)}, seconds=2.0)
    return tmp_path


def test_noisy_copies_of_one_recording(run, corpus, noise, tmp_path):
    out = tmp_path / "one"
    options = ["--copies", 2, "--noises", "noise"]
    done = run("local/make_one_recording_test.py", *options, corpus, noise, out)
    assert done.returncode == 0, done.stderr
    assert "one: 4 speakers, 4 noisy copies of one recording each" in done.stdout
    assert validate_data_dir(out) == []
    copies = dict(iter_waveforms(out, read_utt2spk(out / "utt2spk")))
    clean, _ = soundfile.read(corpus / "wav/p225-001.wav")
    own = [copies[f"p225-001-{copy:03d}"] for copy in range(4)]
    for copy in own:
        snr_db = 10 * np.log10(np.mean(clean**2) / np.mean((copy - clean) ** 2))
        assert 0 <= snr_db <= 20
    assert len({copy.tobytes() for copy in own}) == 4
    again = tmp_path / "again"
    run("local/make_one_recording_test.py", *options, corpus, noise, again)
    assert (again / "cuts.jsonl.gz").read_bytes() == (out / "cuts.jsonl.gz").read_bytes()
    done = run("local/make_one_recording_test.py", "--noises", "", corpus, noise, out)
    assert done.returncode == 2 and "--noises: names none, but noisy copies of one recording need" in done.stderr
    done = run("local/make_one_recording_test.py", "--noises", "rain", corpus, noise, out)
    assert done.returncode == 2
    assert "--noises: unknown noise type rain; known are noise, music, babble, demand" in done.stderr
    done = run("local/make_one_recording_test.py", "--noises", "music", corpus, noise, out)
    assert done.returncode == 1 and "musan_music_train: no such data directory" in done.stderr


def test_pieces_that_share_recordings(run, tmp_path):
    source = make_set(tmp_path / "s", {f"{speaker}-{n}": speaker for speaker in "ab" for n in (1, 2)}, seconds=2.5)
    done = run("local/make_shared_recordings_test.py", "--pieces", 1, source, tmp_path / "shared")
    assert done.returncode == 0, done.stderr
    out = tmp_path / "shared"
    assert validate_data_dir(out) == []
    assert list(read_utt2spk(out / "utt2spk")) == ["a-piece000", "a-piece001", "b-piece000", "b-piece001"]
    pieces = dict(iter_waveforms(out, ["a-piece000", "a-piece001"]))
    whole, _ = soundfile.read(source / "wav/a-1.wav", dtype="float32")
    np.testing.assert_array_equal(pieces["a-piece000"], whole[:28_800])
    np.testing.assert_array_equal(pieces["a-piece001"], whole[-28_800:])


def test_fewer_pieces_of_a_small_corpus_are_said(run, tmp_path):
    """Three recordings of a, two of b, one of c: six, four and two pieces; two speakers have four."""
    utt2spk = {f"{speaker}-{n}": speaker for speaker, count in (("a", 3), ("b", 2), ("c", 1)) for n in range(count)}
    source, out = make_set(tmp_path / "s", utt2spk, seconds=2.5), tmp_path / "shared"
    done = run("local/make_shared_recordings_test.py", "--pieces", 3, source, out)
    assert done.returncode == 0, done.stderr
    said = "warning: s: fewer than two speakers have 6 pieces of 1.8 s; 4 a speaker are taken"
    assert done.stderr.splitlines() == [f"make_shared_recordings_test.py: {said}"]
    assert "shared: 2 speakers, 1 left out with too little speech" in done.stdout
    assert len(read_utt2spk(out / "utt2spk")) == 8
    done = run("local/make_enrolment.py", "--first-half", out)
    assert done.returncode == 0, done.stderr
    assert "2 models of 2 utterances, 0 left out with too few; 4 target and 4 nontarget trials" in done.stdout
    assert read_enrolment(out, read_utt2spk(out / "utt2spk"))["b"] == ["b-piece000", "b-piece001"]
    short = make_set(tmp_path / "short", {"a-1": "a", "b-1": "b"}, seconds=1.0)
    done = run("local/make_shared_recordings_test.py", short, tmp_path / "none")
    assert done.returncode == 1 and "fewer than two speakers have two pieces of 1.8 s" in done.stderr
    one = make_set(tmp_path / "one", {"a-1": "a", "b-1": "b"}, seconds=1.0)
    done = run("local/make_enrolment.py", "--first-half", one)
    assert done.returncode == 1 and "fewer than two models with more than one utterance" in done.stderr


def test_models_hold_for_noisy_sets_too(run, corpus, tmp_path):
    assert run("local/make_enrolment.py", "--num-enrol", 2, corpus).returncode == 0
    make_set(tmp_path / "musan_noise_test", {"n1": "n1"}, seconds=2.0)
    done = run("local/make_noisy_test.py", "--noises", "noise", "--snrs", "5", corpus, tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("enrolment", "trials"):
        assert (tmp_path / "vctk-noise-snr5" / name).read_text() == (corpus / name).read_text()


def test_synthetic_vctk_is_laid_out_as_the_real_one(run, tmp_path):
    sizes = ["--num-speakers", 2, "--num-sentences", 2, "--num-digit-speakers", 1, "--num-takes", 1, "--num-babble", 2]
    done = run("local/make_synthetic_vctk.py", *sizes, tmp_path / "corpora")
    assert done.returncode == 0, done.stderr
    found = sorted(str(path.relative_to(tmp_path / "corpora")) for path in (tmp_path / "corpora").rglob("*.wav"))
    spoken = [name for name in found if name.startswith(("VCTK", "fsdd", "musan/speech"))]
    assert spoken == [
        *(f"VCTK-Corpus/wav48/p{s}/p{s}_{n:03d}.wav" for s in (225, 226) for n in (1, 2)),
        *(f"fsdd/recordings/{digit}_voicea_0.wav" for digit in range(4)),
        *(f"musan/speech/librivox/speech-librivox-{i:04d}.wav" for i in range(2)),
    ]
    assert json.loads((tmp_path / "corpora/.options.json").read_text())["num_takes"] == 1
    assert "is complete" in run("local/make_synthetic_vctk.py", *sizes, tmp_path / "corpora").stdout
    phrases = [soundfile.read(tmp_path / f"corpora/VCTK-Corpus/wav48/p{s}/p{s}_001.wav")[0] for s in (225, 226)]
    assert len(phrases[0]) / 16_000 == pytest.approx(1.5, abs=0.6) and len(phrases[0]) != len(phrases[1])


def test_drawn_speakers_are_seeded_and_stay_when_another_comes(run, tmp_path):
    def chosen(name, speakers, number, seed=0):
        utts = [f"{speaker}-{part}" for speaker in speakers for part in "ab"]
        source = tmp_path / name
        write_data_dir(
            source,
            wav_scp=dict.fromkeys([*utts, "one-a"], "/x.wav"),
            utt2spk={utt: utt[:-2] for utt in [*utts, "one-a"]},
            utt2dur=dict.fromkeys([*utts, "one-a"], 1.0),
        )
        return drawn_speakers(read_utt2spk(source / "utt2spk"), number, seed)

    names = [f"s{i:02d}" for i in range(19)]
    first = chosen("a", names, 5)
    assert len(first) == 5 and "one" not in first
    assert len(chosen("b", [*names, "new"], 5) - first - {"new"}) == 0
    assert chosen("c", names, 5, seed=1) != first
    assert chosen("d", names, 0.2) < first  # a fifth of 20
    assert len(chosen("e", names, 0.01)) == 2
    for number in (1, 20, 0.99):
        with pytest.raises(DataDirError, match=r"cannot set \d+ of 20 speakers apart for testing, of whom 19 have two"):
            chosen("f", names, number)
