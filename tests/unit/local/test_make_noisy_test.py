import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sv.data.audio import read_samples
from sv.data.manifests import read_cuts, render
from sv.data.mixing import measure_snr_db
from sv.kaldi.data_dir import validate_data_dir, write_data_dir
from sv.kaldi.scp import read_scp, read_utt2dur, read_utt2spk

LENGTHS = {"a-1": 9_000, "a-2": 30_011, "b-1": 16_000}


@pytest.fixture(scope="module")
def make_noisy_test():
    path = Path(__file__).parents[3] / "local" / "make_noisy_test.py"
    spec = importlib.util.spec_from_file_location("make_noisy_test", path)
    module = sys.modules["make_noisy_test"] = importlib.util.module_from_spec(spec)  # worker processes look it up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules["make_noisy_test"]


def write_set(path: Path, lengths: dict[str, int], seed: int, speakers: dict[str, str] | None = None) -> None:
    rng = np.random.default_rng(seed)
    path.mkdir()
    for key, length in lengths.items():
        level = 0.02 + 0.1 * rng.random()
        soundfile.write(path / f"{key}.wav", level * rng.standard_normal(length), 16_000)
    write_data_dir(
        path,
        wav_scp={key: str(path / f"{key}.wav") for key in lengths},
        utt2spk=speakers or {key: key for key in lengths},
        utt2dur={key: length / 16_000 for key, length in lengths.items()},
    )


@pytest.fixture
def data(tmp_path):
    """A folder with a test set of three utterances, some of them longer than any noise."""
    write_set(tmp_path / "test", LENGTHS, 0, {utt: utt[0] for utt in LENGTHS})
    (tmp_path / "test" / "trials").write_text("a-1 a-2 target\na-1 b-1 nontarget\n")
    write_set(tmp_path / "musan_noise_test", {"noise-0": 5_001, "noise-1": 40_000}, 1)
    write_set(tmp_path / "musan_speech_test", {f"talker-{i}": 7_000 + 5_000 * i for i in range(6)}, 2)
    return tmp_path


def run(script, data: Path, *options: str) -> None:
    script.main([*options, str(data / "test"), str(data)])


CONDITIONS = ("--noises", "noise,babble", "--snrs", "0,7.5")
OUT = [f"test-{noise}-snr{snr}" for noise in ("noise", "babble") for snr in ("0", "7.5")]


def test_each_condition_is_a_sound_data_directory_with_the_same_ids_and_trials(make_noisy_test, data):
    run(make_noisy_test, data, *CONDITIONS)
    for name in OUT:
        assert validate_data_dir(data / name) == []
        assert read_utt2spk(data / name / "utt2spk") == read_utt2spk(data / "test" / "utt2spk")
        assert read_utt2dur(data / name / "utt2dur") == read_utt2dur(data / "test" / "utt2dur")
        assert (data / name / "trials").read_bytes() == (data / "test" / "trials").read_bytes()
        for utt, command in read_scp(data / name / "wav.scp").items():
            assert command == f"python -m sv.bin.render_cut {data / name}/cuts.jsonl.gz {utt} |"


def test_the_snr_measured_back_is_the_condition_s(make_noisy_test, data):
    run(make_noisy_test, data, *CONDITIONS)
    for name in OUT:
        for cut in read_cuts(data / name):
            speech, mixed = read_samples(data / "test" / f"{cut.id}.wav"), render(cut)
            assert len(mixed) == LENGTHS[cut.id]
            assert measure_snr_db(speech, mixed) == pytest.approx(float(name.split("snr")[1]), abs=0.01)


def test_draws_tsv_says_what_was_added(make_noisy_test, data):
    run(make_noisy_test, data, *CONDITIONS)
    for name in OUT:
        header, *lines = (data / name / "draws.tsv").read_text().splitlines()
        assert header == "utterance\tsnr_db\tgain\tnoise:start+samples@offset"
        noise_dir = data / ("musan_noise_test" if "noise" in name else "musan_speech_test")
        rendered = {cut.id: render(cut) for cut in read_cuts(data / name)}
        assert [line.split("\t")[0] for line in lines] == list(LENGTHS)
        for utt, snr, gain, noises in (line.split("\t") for line in lines):
            expected = read_samples(data / "test" / f"{utt}.wav").astype(np.float64)
            for piece in noises.split(","):
                recording, place = piece.split(":")
                start, length, offset = (int(n) for n in place.replace("+", "@").split("@"))
                part = read_samples(noise_dir / f"{recording}.wav", start, length)
                expected[offset : offset + length] += float(gain) * part
            assert f"snr{snr}" in name
            np.testing.assert_allclose(rendered[utt], expected, atol=1e-6)


def test_babble_is_of_three_to_six_different_files(make_noisy_test, data):
    run(make_noisy_test, data, "--noises", "babble", "--snrs", "0,5,10,15,20")
    counts = set()
    for snr in (0, 5, 10, 15, 20):
        for line in (data / f"test-babble-snr{snr}" / "draws.tsv").read_text().splitlines()[1:]:
            pieces = line.split("\t")[3].split(",")
            talkers = [piece.split(":")[0] for piece in pieces if piece.endswith("@0")]
            assert len(talkers) == len(set(talkers))
            counts.add(len(talkers))
    assert counts <= {3, 4, 5, 6} and len(counts) > 1


def test_neither_the_rest_of_the_set_nor_its_order_nor_the_jobs_matter(make_noisy_test, data):
    run(make_noisy_test, data, *CONDITIONS)
    first = {name: {cut.id: cut.to_dict() for cut in read_cuts(data / name)} for name in OUT}
    files = {name: (data / name / "cuts.jsonl.gz").read_bytes() for name in OUT}
    run(make_noisy_test, data, *CONDITIONS[:2], "--snrs", "7.5,0", "--nj", "2")
    assert {name: (data / name / "cuts.jsonl.gz").read_bytes() for name in OUT} == files
    for table in ("wav.scp", "utt2spk", "utt2dur"):  # a subset, in another order
        lines = (data / "test" / table).read_text().splitlines(keepends=True)
        (data / "test" / table).write_text(lines[2] + lines[0])
    run(make_noisy_test, data, *CONDITIONS)
    for name in OUT:
        subset = {cut.id: cut.to_dict() for cut in read_cuts(data / name)}
        assert json.dumps(subset, sort_keys=True) == json.dumps(
            {utt: first[name][utt] for utt in ("a-1", "b-1")}, sort_keys=True
        )


def test_another_seed_snr_or_noise_is_another_draw(make_noisy_test, data):
    def draws(name: str) -> list[str]:
        return [line.split("\t")[3] for line in (data / name / "draws.tsv").read_text().splitlines()[1:]]

    run(make_noisy_test, data, *CONDITIONS)
    first, other_snr = draws("test-noise-snr0"), draws("test-noise-snr7.5")
    run(make_noisy_test, data, *CONDITIONS, "--seed", "1")
    assert first != other_snr
    assert first != draws("test-noise-snr0")


def fail(script, data: Path, *options: str) -> str:
    with pytest.raises(SystemExit) as failure:
        run(script, data, *options)
    return str(failure.value)


def test_failures_are_one_line(make_noisy_test, data):
    noise = ("--noises", "noise", "--snrs", "5")
    assert "musan_music_test: no such data directory" in fail(make_noisy_test, data, "--noises", "music", "--snrs", "5")
    soundfile.write(data / "test" / "a-2.wav", np.ones(30_000) / 10, 16_000)
    assert fail(make_noisy_test, data, *noise) == (
        f"make_noisy_test.py: {data}/test/a-2.wav: has 30000 samples, its data directory says 30011"
    )
    soundfile.write(data / "test" / "a-2.wav", np.zeros(30_011), 16_000)
    assert fail(make_noisy_test, data, *noise) == (
        f"make_noisy_test.py: {data}/test/a-2.wav: every sample is zero, so it has no signal-to-noise ratio"
    )
    (data / "test" / "a-2.wav").unlink()
    assert "No such file or directory" in fail(make_noisy_test, data, *noise)


def test_an_unknown_noise_is_wrong_usage(make_noisy_test, data, capsys):
    assert fail(make_noisy_test, data, "--noises", "noise,wind") == "2"
    assert (
        "--noises: unknown noise type wind; known are noise, music, babble, nonspeech, demand"
        in capsys.readouterr().err
    )


def test_the_list_is_of_what_would_be_written(make_noisy_test, data, capsys):
    make_noisy_test.main(["--list", "--noises", "noise,music", "--snrs", "2.50,-5", str(data / "test"), str(data)])
    names = ["test-noise-snr2.5", "test-noise-snr-5", "test-music-snr2.5", "test-music-snr-5"]
    assert capsys.readouterr().out.splitlines() == [str(data / name) for name in names]
    make_noisy_test.main(["--list", "--noises", "noise", "--snrs", "", str(data / "test"), str(data)])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--snrs", "abc"], "--snrs: expected finite numbers of dB separated by commas, got 'abc'"),
        (["--snrs", "nan"], "--snrs: expected finite numbers of dB separated by commas, got 'nan'"),
        (["--snrs", "5,5.0"], "a condition appears twice"),
    ],
)
def test_conditions_that_cannot_be_are_wrong_usage(make_noisy_test, data, capsys, options, said):
    with pytest.raises(SystemExit, match="2"):
        make_noisy_test.main([*options, "--noises", "noise", str(data / "test"), str(data)])
    assert said in capsys.readouterr().err


FIRST = {  # of test-noise-snr0 by seed 0, before there were further draws
    "a-1": "noise-0:3061+1940@0,noise-0:0+5001@1940,noise-0:0+2059@6941",
    "a-2": "noise-1:2453+30011@0",
    "b-1": "noise-1:12495+16000@0",
}


def pieces(data: Path, name: str) -> dict[str, str]:
    lines = [line.split("\t") for line in (data / name / "draws.tsv").read_text().splitlines()[1:]]
    return {line[0]: line[3] for line in lines}


def test_further_draws_leave_the_first_as_it_was_and_differ_from_all_others(make_noisy_test, data):
    run(make_noisy_test, data, *CONDITIONS)
    alone = {name: (data / name / "cuts.jsonl.gz").read_bytes() for name in OUT}
    assert pieces(data, "test-noise-snr0") == FIRST
    run(make_noisy_test, data, *CONDITIONS, "--draws", "3", "--nj", "2")
    assert {name: (data / name / "cuts.jsonl.gz").read_bytes() for name in OUT} == alone
    drawn = [pieces(data, f"{name}{suffix}")["a-2"] for name in OUT for suffix in ("", "-draw2", "-draw3")]
    assert len(set(drawn)) == len(drawn) == 12
    for name in OUT:
        for cut in read_cuts(data / f"{name}-draw3"):
            speech, mixed = read_samples(data / "test" / f"{cut.id}.wav"), render(cut)
            assert measure_snr_db(speech, mixed) == pytest.approx(float(name.split("snr")[1]), abs=0.01)
        assert (data / f"{name}-draw3" / "trials").read_bytes() == (data / "test" / "trials").read_bytes()


def test_a_further_draw_depends_on_its_number_and_not_on_how_many_there_are_or_on_the_rest(make_noisy_test, data):
    run(make_noisy_test, data, *CONDITIONS, "--draws", "3", "--nj", "2")
    names = [f"{name}-draw3" for name in OUT]
    before = {name: pieces(data, name) for name in names}
    files = {name: (data / name / "cuts.jsonl.gz").read_bytes() for name in names}
    for name in names:
        (data / name / "cuts.jsonl.gz").unlink()
    second = (data / f"{OUT[0]}-draw2" / "cuts.jsonl.gz").stat().st_mtime_ns
    run(make_noisy_test, data, *CONDITIONS[:2], "--snrs", "7.5,0", "--draw", "3")
    assert {name: (data / name / "cuts.jsonl.gz").read_bytes() for name in names} == files
    assert (data / f"{OUT[0]}-draw2" / "cuts.jsonl.gz").stat().st_mtime_ns == second  # not written again
    for table in ("wav.scp", "utt2spk", "utt2dur"):  # a subset, in another order
        lines = (data / "test" / table).read_text().splitlines(keepends=True)
        (data / "test" / table).write_text(lines[2] + lines[0])
    run(make_noisy_test, data, *CONDITIONS, "--draws", "4")
    assert {name: pieces(data, name) for name in names} == {
        name: {utt: found[utt] for utt in ("a-1", "b-1")} for name, found in before.items()
    }
    run(make_noisy_test, data, *CONDITIONS, "--draws", "3", "--seed", "1")
    assert pieces(data, names[0])["b-1"] != before[names[0]]["b-1"]


def test_the_list_goes_draw_by_draw_and_codecs_have_one(make_noisy_test, data, capsys):
    options = ["--conditions", "noise,codec-gsm,clip", "--noises", "noise", "--snrs", "0,5"]
    make_noisy_test.main(["--list", *options, "--draws", "2", str(data / "test"), str(data)])
    first = ["test-noise-snr0", "test-noise-snr5", "test-codec-gsm", "test-clip"]
    second = ["test-noise-snr0-draw2", "test-noise-snr5-draw2", "test-clip-draw2"]
    assert capsys.readouterr().out.splitlines() == [str(data / name) for name in first + second]
    make_noisy_test.main(["--list", *options, "--draw", "2", str(data / "test"), str(data)])
    assert capsys.readouterr().out.splitlines() == [str(data / name) for name in second]


@pytest.mark.parametrize("option", ["--draws", "--draw"])
@pytest.mark.parametrize("value", ["0", "-1", "x", "1.5", "100", ""])
def test_a_number_of_draws_that_is_none_is_wrong_usage(make_noisy_test, data, capsys, option, value):
    assert fail(make_noisy_test, data, "--noises", "noise", f"{option}={value}") == "2"
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"argument {option}: takes a whole number from 1 to 99, got '{value}'" in said
