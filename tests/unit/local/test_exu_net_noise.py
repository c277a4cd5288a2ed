"""Noise as the published ExU-Net code adds it: pieces, draws, levels, and the data directories that say so."""

import hashlib
import math
import re
from pathlib import Path

import lhotse
import numpy as np
import pytest
import soundfile

from local.check_options import problem
from local.exu_net_noise import ExuNetNoise, Stretch, covering, stretches
from local.kinds import PROTOCOLS
from local.make_noisy_test import main
from local.noisy_sets import write_condition
from sv.data.augment import Draw, NoiseLibrary, NoisePiece
from sv.data.manifests import CUTS, read_cuts, render
from sv.data.mixing import measure_snr_db, power
from sv.kaldi.data_dir import validate_data_dir, write_data_dir
from sv.kaldi.scp import DataDirError
from sv.results.rows import stamp_of

FLOOR = 1e-4
SPEECH = {"a-1": 9_000, "a-2": 170_011, "b-1": 80_000}  # shorter than a piece, over two of them, just one
NOISE = {"long": 200_000, "short": 5_001}  # two pieces of 80 000, and one whole
# Digests of what is drawn for SETS; the first is that of the code from before there were protocols.
EXACT_DRAWN = "4e7fd8dec43a8e9ff5d9d89b0eda49855c0cd5ffba843e5a80a0113ef842bc78"
EXU_NET_DRAWN = "860304ef270ae114240f62f42e805f0f54e25c99ce668a14919946e4ffa591c0"
SETS = ("test-noise-snr0", "test-babble-snr7.5")


def write_set(path: Path, audio: dict[str, np.ndarray], speakers: dict[str, str] | None = None) -> None:
    path.mkdir(parents=True)
    for key, samples in audio.items():
        soundfile.write(path / f"{key}.wav", samples, 16_000)
    write_data_dir(
        path,
        wav_scp={key: str(path / f"{key}.wav") for key in audio},
        utt2spk=speakers or {key: key for key in audio},
        utt2dur={key: len(samples) / 16_000 for key, samples in audio.items()},
    )


def lengths_only(path: Path, lengths: dict[str, int]) -> Path:
    """A data directory of recordings that nobody opens."""
    path.mkdir()
    write_data_dir(
        path,
        wav_scp={key: f"/none/{key}.wav" for key in lengths},
        utt2spk={key: key for key in lengths},
        utt2dur={key: length / 16_000 for key, length in lengths.items()},
    )
    return path


@pytest.fixture
def data(tmp_path) -> Path:
    rng = np.random.default_rng(0)

    def audio(lengths: dict[str, int], level: float) -> dict[str, np.ndarray]:
        return {key: level * rng.standard_normal(length).clip(-3, 3) for key, length in lengths.items()}

    root = tmp_path / "data"
    write_set(root / "test", audio(SPEECH, 0.05), {utt: utt[0] for utt in SPEECH})
    (root / "test/trials").write_text("a-1 a-2 target\na-1 b-1 nontarget\n")
    write_set(root / "musan_noise_test", audio(NOISE, 0.002))
    talkers = {"talker-0": 300_000} | {f"talker-{i}": 20_000 for i in range(1, 6)}  # four pieces, and five whole
    write_set(root / "musan_speech_test", audio(talkers, 0.02))
    write_set(root / "nonspeech100", audio({"n1": 140_000}, 0.003))
    return root


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(("length", "count", "piece"), [
    (79_999, 1, 79_999), (80_000, 1, 80_000), (127_999, 1, 127_999),  # no whole hop after the first piece: taken whole
    (128_000, 1, 80_000), (175_999, 1, 80_000), (176_000, 2, 80_000),
    (500_000, 8, 80_000),  # (500 000 - 80 000) / 48 000 = 8.75; a ninth, from 384 000 to 464 000, would fit and is left out
])  # fmt: skip
def test_pieces_are_those_of_the_published_split(length, count, piece) -> None:
    assert stretches("x", length) == [Stretch("x", 48_000 * i, piece) for i in range(count)]


# Speech of power 1e-3 at a label of 0 dB: gain^2 = (1e-3 + 1e-4) / (noise + 1e-4), true SNR = 1e-3 / (gain^2 noise).
@pytest.mark.parametrize(("noise_power", "gain", "true_snr_db"), [
    (1e-5, math.sqrt(10), 10.0), (1e-6, math.sqrt(1.1e-3 / 1.01e-4), 19.63), (1e-2, math.sqrt(1.1e-3 / 1.01e-2), -0.37),
])  # fmt: skip
def test_the_floor_makes_quiet_noise_weaker_than_its_label(tmp_path, noise_power, gain, true_snr_db) -> None:
    folder = {"noise": lengths_only(tmp_path / "noise", {"x": 100})}
    speech, noise = (math.sqrt(level) * np.resize(np.array([1, -1], np.float32), 100) for level in (1e-3, noise_power))
    draw = Draw(category="noise", snr_db=0.0, pieces=(NoisePiece(recording="x", start=0, num_samples=100, offset=0),))
    found = ExuNetNoise(folder).gain(draw, speech, noise)
    assert found == pytest.approx(gain, rel=1e-5)
    assert 10 * math.log10(1e-3 / (found**2 * noise_power)) == pytest.approx(true_snr_db, abs=0.005)
    assert NoiseLibrary(folder).gain(draw, speech, noise) == pytest.approx(math.sqrt(1e-3 / noise_power), rel=1e-5)


def test_babble_is_a_mean_so_its_sum_is_scaled_down(tmp_path) -> None:
    library = ExuNetNoise({"babble": lengths_only(tmp_path / "babble", {"x": 100})})
    pieces = [NoisePiece(recording="x", start=0, num_samples=60, offset=0) for _ in range(4)]
    pieces += [NoisePiece(recording="x", start=0, num_samples=40, offset=60) for _ in range(4)]  # repeated: no talkers
    draw = Draw(category="babble", snr_db=10.0, pieces=tuple(pieces))
    speech, total = np.full(100, math.sqrt(1e-3), np.float32), np.full(100, math.sqrt(16e-5), np.float32)
    # The mean of 4 has power 1e-5: sqrt(10) at 0 dB, 1 at 10 dB; on the sum, a quarter of that.
    assert library.gain(draw, speech, total) == pytest.approx(0.25, rel=1e-5)


class Fixed:
    """Stands in for a generator: draws one number, and notes how many there were to draw from."""

    def __init__(self, number: int) -> None:
        self.number, self.high = number, 0

    def integers(self, high: int) -> int:
        self.high = high
        return self.number


@pytest.mark.parametrize(("length", "num_samples", "starts"), [
    (7, 5, 3), (5, 5, 1), (5, 6, 2), (5, 13, 2), (5, 10, 2), (1, 3, 2),
])  # fmt: skip
def test_a_short_piece_is_repeated_to_one_sample_more_and_cropped(length, num_samples, starts) -> None:
    samples = np.arange(100, 100 + length)
    for start in range(starts):
        rng = Fixed(start)
        found = np.full(num_samples, -1)
        for piece in covering(rng, Stretch("x", 20, length), num_samples):
            part = samples[piece.start - 20 :][: piece.num_samples]
            assert len(part) == piece.num_samples > 0
            found[piece.offset : piece.offset + piece.num_samples] = part
        padded = np.pad(samples, (0, max(num_samples - length + 1, 0) if length < num_samples else 0), "wrap")
        np.testing.assert_array_equal(found, padded[start : start + num_samples])
        assert rng.high == starts


def test_pieces_are_drawn_uniformly_not_recordings(tmp_path) -> None:
    lengths = {"a": 100_000, "b": 500_000, "c": 40_000}  # 1, 8 and 1 pieces
    library = ExuNetNoise({name: lengths_only(tmp_path / name, lengths) for name in ("music", "nonspeech")})
    rng, found = np.random.default_rng(0), []
    for _ in range(2_000):
        piece = library.draw_noise(rng, "music", 79_000)[0]
        found.append((piece.recording, piece.start // 48_000))
    shares = {key: found.count((key, 0)) / 2_000 for key in ("a", "c")}
    assert shares["a"] == pytest.approx(0.1, abs=0.02) and shares["c"] == pytest.approx(0.1, abs=0.02)
    assert {start for key, start in found if key == "b"} == set(range(8))
    assert library.stretches["nonspeech"] == [Stretch(key, 0, length) for key, length in lengths.items()]  # not cut


def test_babble_is_of_three_to_six_different_pieces(tmp_path) -> None:
    library = ExuNetNoise({"babble": lengths_only(tmp_path / "babble", {"a": 300_000, "b": 180_000})})
    rng, counts = np.random.default_rng(0), []
    for _ in range(200):
        pieces = library.draw_noise(rng, "babble", 80_000)
        assert len({(piece.recording, piece.start) for piece in pieces}) == len(pieces)
        counts.append(len(pieces))
    assert {number: counts.count(number) > 30 for number in (3, 4, 5, 6)} == dict.fromkeys((3, 4, 5, 6), True)
    assert len(counts) == sum(counts.count(number) for number in (3, 4, 5, 6))
    few = ExuNetNoise({"babble": lengths_only(tmp_path / "few", {"a": 300_000, "b": 100_000})})
    with pytest.raises(DataDirError, match="babble: up to 6 different pieces are averaged, there are 5; add speech"):
        few.draw_noise(rng, "babble", 80_000)


def level_db(samples: np.ndarray) -> float:
    return 10 * math.log10(np.mean(samples.astype(np.float64) ** 2) + FLOOR)


def noise_of(line: str, folder: Path, num_samples: int) -> np.ndarray:
    """The mean of the pieces that a line of draws.tsv names, read from the recordings."""
    parts = re.findall(r"([^,:]+):(\d+)\+(\d+)@(\d+)", line.split("\t")[3])
    talkers, total = 0, np.zeros(num_samples)
    for recording, *numbers in parts:
        start, length, offset = map(int, numbers)
        talkers += offset == 0
        total[offset : offset + length] += soundfile.read(folder / f"{recording}.wav", start=start, frames=length)[0]
    return total / talkers


@pytest.mark.parametrize("name", [*SETS, "test-nonspeech-snr5"])
def test_the_audio_is_what_the_published_formula_gives(data, name) -> None:
    write_condition(name, data / "test", data, 0, "exu_net")
    assert validate_data_dir(data / name) == []
    kind, snr_db = name.split("-")[1], float(name.split("snr")[1])
    folder = data / {"noise": "musan_noise_test", "babble": "musan_speech_test", "nonspeech": "nonspeech100"}[kind]
    lines = {line.split("\t")[0]: line for line in (data / name / "draws.tsv").read_text().splitlines()[1:]}
    alone = {cut.id: cut.load_audio()[0] for cut in lhotse.CutSet.from_file(data / name / CUTS)}  # by lhotse itself
    for cut in read_cuts(data / name):
        speech, mixed = soundfile.read(data / "test" / f"{cut.id}.wav")[0], render(cut)
        noise = noise_of(lines[cut.id], folder, len(speech))
        expected = speech + math.sqrt(10 ** ((level_db(speech) - level_db(noise) - snr_db) / 10)) * noise
        np.testing.assert_allclose(mixed, expected, atol=2e-6)
        np.testing.assert_array_equal(mixed, alone[cut.id])
        true_snr_db = snr_db + 10 * math.log10(
            (power(speech) * (power(noise) + FLOOR)) / (power(noise) * (power(speech) + FLOOR))
        )
        assert measure_snr_db(speech, mixed) == pytest.approx(true_snr_db, abs=0.01)
        assert abs(true_snr_db - snr_db) > 1


def test_a_silent_piece_leaves_speech_as_it_is(data) -> None:
    write_set(data / "noise_quiet_test", {"x": np.zeros(90_000)})
    write_condition("test-quiet-snr0", data / "test", data, 0, "exu_net")
    for cut in read_cuts(data / "test-quiet-snr0"):
        np.testing.assert_array_equal(render(cut), soundfile.read(data / "test" / f"{cut.id}.wav", dtype="float32")[0])


def run(data: Path, *options: str) -> None:
    main(["--noises", "noise,babble", "--snrs", "0,7.5", *options, str(data / "test"), str(data)])


def test_neither_the_jobs_nor_the_order_nor_the_rest_of_the_set_matter(data) -> None:
    run(data, "--protocol", "exu_net")
    first = {name: content(data / name) for name in SETS}
    draws = {name: (data / name / "draws.tsv").read_text().splitlines() for name in SETS}
    run(data, "--protocol", "exu_net", "--nj", "2")
    assert {name: content(data / name) for name in SETS} == first
    for table in ("wav.scp", "utt2spk", "utt2dur"):
        lines = (data / "test" / table).read_text().splitlines(keepends=True)
        (data / "test" / table).write_text(lines[2] + lines[0])
    run(data, "--protocol", "exu_net")
    for name in SETS:
        assert (data / name / "draws.tsv").read_text().splitlines()[1:] == [draws[name][3], draws[name][1]]


def drawn(data: Path) -> str:
    """Digest of utterances and their pieces of noise in SETS."""
    lines = [line.split("\t") for name in SETS for line in (data / name / "draws.tsv").read_text().splitlines()]
    return hashlib.sha256("\n".join(f"{utt}\t{noise}" for utt, _, _, noise in lines).encode()).hexdigest()


def test_the_exact_protocol_is_what_it_was_and_nothing_stays_of_the_other(data, tmp_path) -> None:
    model = tmp_path / "model"
    (model / "checkpoints").mkdir(parents=True)
    (model / "checkpoints/best.pt").write_bytes(b"")
    (model / "config.json").write_text("{}")
    run(data)
    before = {name: content(data / name) for name in SETS}
    assert drawn(data) == EXACT_DRAWN
    run(data, "--protocol", "exu_net")
    assert drawn(data) == EXU_NET_DRAWN
    assert {(data / name / "protocol").read_text() for name in SETS} == {"exu_net\n"}
    assert {stamp_of(model, data / name, 0).protocol for name in SETS} == {"exu_net"}
    assert all((data / name / CUTS).read_bytes() != before[name][CUTS] for name in SETS)
    run(data, "--protocol", "exact")
    assert {name: content(data / name) for name in SETS} == before
    assert {stamp_of(model, data / name, 0).protocol for name in ("test", *SETS)} == {"exact"}
    for text in ("", "exu_net\nexact\n"):
        (data / SETS[0] / "protocol").write_text(text)
        with pytest.raises(ValueError, match=rf"{SETS[0]}/protocol: expected one line; make the data directory anew"):
            stamp_of(model, data / SETS[0], 0)


@pytest.mark.parametrize("name", ["test-clip", "test-codec-opus", "test-far-noise-snr5"])
def test_what_is_more_than_added_noise_stays_exact(data, name) -> None:
    taps = np.exp(-np.arange(800) / 100) * np.random.default_rng(1).standard_normal(800)
    write_set(data / "rirs_test", {"smallroom-Room001-00001": 0.1 * taps})
    write_condition(name, data / "test", data, 0)
    before = content(data / name)
    write_condition(name, data / "test", data, 0, "exu_net")
    assert content(data / name) == before and "protocol" not in before


def test_a_condition_without_encoder_keeps_no_file_of_one(data) -> None:
    for name in ("test-noise-snr0", "test-codec-gsm"):
        (data / name).mkdir()
        (data / name / "encoder").write_text("an older one\n")
        write_condition(name, data / "test", data, 0)
    assert not (data / "test-noise-snr0/encoder").exists()
    assert (data / "test-codec-gsm/encoder").read_text().startswith("libsndfile ")


@pytest.mark.parametrize("value", ["", "Exact", "exunet", "exact,exu_net", "exu_net "])
def test_another_protocol_is_wrong_usage(value, capsys) -> None:
    said = problem({"noises": "noise", "snrs": "5", "protocol": value})
    assert said == f"--protocol takes exact or exu_net, got {value!r}"
    with pytest.raises(SystemExit, match="2"):
        main(["--protocol", value, "data/test", "data"])
    assert "argument --protocol: invalid choice" in capsys.readouterr().err


def test_recipes_and_the_program_know_the_same_protocols() -> None:
    assert [problem({"noises": "noise", "snrs": "5", "protocol": name}) for name in PROTOCOLS] == ["", ""]
