import gzip
import json

import numpy as np
import pytest
import soundfile

from sv.base.seeding import generator
from sv.data.audio import BadAudio, read_samples
from sv.data.augment import Draw, NoiseLibrary
from sv.data.manifests import (
    CUTS,
    cut_of,
    import_lhotse,
    iter_waveforms,
    read_cuts,
    render,
    write_jsonl_gz,
    write_manifests,
)
from sv.data.utterances import Utterance
from sv.kaldi.scp import DataDirError, read_scp, write_table

LENGTHS = {"a-1": 1_601, "a-2": 4_000, "b-1": 7_999}


@pytest.fixture
def data_dir(make_set, noise):
    audio = {utt: noise(seed, length) for seed, (utt, length) in enumerate(LENGTHS.items())}
    return make_set("speech", audio, {utt: utt[0] for utt in LENGTHS})


@pytest.fixture
def noisy_dir(data_dir, make_set, noise, tmp_path):
    """A data directory of pipes, with cuts at 5 dB."""
    library = NoiseLibrary({"noise": make_set("noise", {"noise-0": noise(9, 20_000)})})
    out, cuts = tmp_path / "noisy", []
    out.mkdir()
    for utt, length in LENGTHS.items():
        path = data_dir / f"{utt}.wav"
        draw = Draw(category="noise", snr_db=5.0, pieces=library.draw_noise(generator(utt), "noise", length))
        cuts.append(
            library.to_cut(draw, cut_of(utt, utt[0], Utterance(utt, str(path), length)), read_samples(path)).to_dict()
        )
    write_jsonl_gz(out / CUTS, cuts)
    # Would leave a file behind if it were run.
    (out / "wav.scp").write_text("".join(f"{utt} touch {tmp_path}/executed |\n" for utt in LENGTHS))
    return out


def test_lhotse_reads_and_validates_what_is_written(data_dir):
    write_manifests(data_dir)
    lhotse = import_lhotse()
    recordings = lhotse.load_manifest(data_dir / "recordings.jsonl.gz")
    supervisions = lhotse.load_manifest(data_dir / "supervisions.jsonl.gz")
    cuts = read_cuts(data_dir).to_eager()
    lhotse.validate_recordings_and_supervisions(recordings, supervisions, read_data=True)
    lhotse.validate(cuts)
    assert [cut.id for cut in cuts] == list(LENGTHS)
    assert [recording.num_samples for recording in recordings] == list(LENGTHS.values())
    assert [supervision.speaker for supervision in supervisions] == ["a", "a", "b"]
    for cut in cuts:
        assert cut.num_samples == LENGTHS[cut.id]
        np.testing.assert_array_equal(render(cut), read_samples(data_dir / f"{cut.id}.wav"))


def test_what_is_written_is_what_lhotse_writes(data_dir):
    write_manifests(data_dir)
    cuts = [
        cut_of(utt, utt[0], Utterance(utt, str(data_dir / f"{utt}.wav"), length)) for utt, length in LENGTHS.items()
    ]
    for name, expected in (
        (CUTS, cuts),
        ("recordings.jsonl.gz", [cut.recording for cut in cuts]),
        ("supervisions.jsonl.gz", [cut.supervisions[0] for cut in cuts]),
    ):
        assert gzip.decompress((data_dir / name).read_bytes()).decode() == "".join(
            f"{json.dumps(one.to_dict())}\n" for one in expected
        )


def test_manifests_have_the_same_bytes_each_time(data_dir):
    names = ("recordings.jsonl.gz", "supervisions.jsonl.gz", CUTS)
    write_manifests(data_dir)
    first = [(data_dir / name).read_bytes() for name in names]
    write_manifests(data_dir)
    assert [(data_dir / name).read_bytes() for name in names] == first
    assert first[0][4:8] == b"\x00\x00\x00\x00"  # gzip's time stamp


def test_text_is_written_as_it_is(tmp_path):
    write_jsonl_gz(tmp_path / "x.jsonl.gz", [{"speaker": "é"}])
    assert gzip.decompress((tmp_path / "x.jsonl.gz").read_bytes()).decode() == '{"speaker": "é"}\n'


def test_waveforms_come_in_byte_order(data_dir):
    found = list(iter_waveforms(data_dir, ["b-1", "a-2"]))
    assert [utt for utt, _ in found] == ["a-2", "b-1"]
    for utt, samples in found:
        np.testing.assert_array_equal(samples, read_samples(data_dir / f"{utt}.wav"))


def test_pipes_are_not_run_but_rendered_by_lhotse(noisy_dir, tmp_path):
    found = dict(iter_waveforms(noisy_dir, ["a-2", "b-1"]))
    assert list(found) == ["a-2", "b-1"]
    for cut in read_cuts(noisy_dir):
        if cut.id in found:
            np.testing.assert_array_equal(found[cut.id], cut.load_audio()[0])
    assert not (tmp_path / "executed").exists()


def test_pipes_without_cuts(noisy_dir):
    (noisy_dir / CUTS).unlink()
    with pytest.raises(
        DataDirError,
        match=r"wav\.scp holds pipes, and there is no cuts\.jsonl\.gz to render instead; --allow-pipes runs them",
    ):
        list(iter_waveforms(noisy_dir, ["a-1"]))
    with pytest.raises(DataDirError, match=r"noisy: there is no cuts\.jsonl\.gz"):
        read_cuts(noisy_dir)


def test_pipes_of_a_foreign_directory_run_if_allowed_alone(data_dir, tmp_path):
    expected, files = dict(iter_waveforms(data_dir, ["a-1", "b-1"])), read_scp(data_dir / "wav.scp")
    write_table(data_dir / "wav.scp", {utt: f"touch {tmp_path}/ran; cat {file} |" for utt, file in files.items()})
    with pytest.raises(DataDirError, match="--allow-pipes"):
        list(iter_waveforms(data_dir, ["a-1", "b-1"]))
    assert not (tmp_path / "ran").exists()
    found = dict(iter_waveforms(data_dir, ["a-1", "b-1"], allow_pipes=True))
    assert (tmp_path / "ran").exists()
    assert list(found) == list(expected)
    for utt, samples in expected.items():
        np.testing.assert_array_equal(found[utt], samples)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("cat {file}; exit 3 |", r"a-1: '.*': failed with code 3"),
        ("head -c 99 {file} |", r"a-1: truncated: the header promises \d+ samples"),
        ("echo no audio |", r"a-1: unreadable: "),
        ("cat {other} |", r"a-1: .*has \d+ samples, its data directory says \d+"),
        ("cat {stereo} |", r"a-1: .*16000 Hz, 2 channels; expected 16000 Hz mono"),
    ],
)
def test_what_a_pipe_writes_is_checked(data_dir, tmp_path, command, message):
    files, stereo = read_scp(data_dir / "wav.scp"), tmp_path / "stereo.wav"
    samples = read_samples(files["a-1"])
    soundfile.write(stereo, np.stack([samples, samples], axis=1), 16_000)
    soundfile.write(tmp_path / "other.wav", samples[1:], 16_000)
    text = command.format(file=files["a-1"], other=tmp_path / "other.wav", stereo=stereo)
    write_table(data_dir / "wav.scp", files | {"a-1": text})
    with pytest.raises(BadAudio, match=message):
        list(iter_waveforms(data_dir, ["a-1"], allow_pipes=True))


def test_pipes_with_too_few_cuts(noisy_dir):
    write_jsonl_gz(noisy_dir / CUTS, [cut.to_dict() for cut in read_cuts(noisy_dir).to_eager() if cut.id != "a-2"])
    with pytest.raises(DataDirError, match=r"cuts\.jsonl\.gz: 1 utterances have no cut, e\.g\. \['a-2'\]"):
        list(iter_waveforms(noisy_dir, ["a-1", "a-2"]))


def test_utterances_that_a_table_lacks(data_dir):
    with pytest.raises(DataDirError, match=r"wav\.scp: 1 utterances are not there, e\.g\. \['c-1'\]"):
        list(iter_waveforms(data_dir, ["a-1", "c-1"]))
    (data_dir / "utt2dur").write_text("a-1 1.0\n")
    with pytest.raises(DataDirError, match=r"utt2dur: 2 utterances are not there, e\.g\. \['a-2', 'b-1'\]"):
        list(iter_waveforms(data_dir, LENGTHS))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), r"speech: a-2: .*No such file or directory: '.*a-2\.wav'"),
        (lambda path: path.write_bytes(b"nothing"), r"speech: a-2: .*a-2\.wav: "),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), r"speech: a-2: .*the file ends at 3950"),
        (lambda path: path.write_bytes((path.parent / "a-1.wav").read_bytes()), "a-2.*has 1601 samples, .* says 4000"),
    ],
)
def test_a_bad_file_is_named(data_dir, damage, message):
    damage(data_dir / "a-2.wav")
    with pytest.raises(BadAudio, match=message):
        list(iter_waveforms(data_dir, LENGTHS))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), r"^a-2: .*noise-0\.wav: no such file$"),
        (lambda path: path.write_bytes(b"nothing"), r"^a-2: .*noise-0\.wav: "),
        (lambda path: path.write_bytes(path.read_bytes()[:-20]), "has 19990 samples, the cut was made for 20000"),
    ],
)
def test_a_bad_file_under_a_noisy_cut_is_named(noisy_dir, damage, message):
    damage(noisy_dir.parent / "noise" / "noise-0.wav")
    with pytest.raises(BadAudio, match=message):
        list(iter_waveforms(noisy_dir, ["a-2"]))
