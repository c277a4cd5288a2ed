import io

import numpy as np
import pytest
import soundfile

from sv.bin.render_cut import find_cut, main
from sv.data.audio import read_samples
from sv.data.manifests import cut_of, write_jsonl_gz
from sv.data.utterances import Utterance
from sv.kaldi.scp import DataDirError


@pytest.fixture
def manifest(tmp_path):
    """Cuts of two utterances, the first of which names the second."""
    samples = 0.1 * np.random.default_rng(0).standard_normal(3_000)
    for utt in ("a-1", "a-10"):
        soundfile.write(tmp_path / f"{utt}.wav", samples * (1 + len(utt)), 16_000, subtype="PCM_16")
    cuts = [
        cut_of(utt, "a-1", Utterance(utt, str(tmp_path / f"{utt}.wav"), 3_000)).to_dict() for utt in ("a-10", "a-1")
    ]
    write_jsonl_gz(tmp_path / "cuts.jsonl.gz", cuts)
    return tmp_path / "cuts.jsonl.gz"


def test_writes_16_bit_wav_to_stdout(manifest, capfdbinary):
    main([str(manifest), "a-1"])
    wav = io.BytesIO(capfdbinary.readouterr().out)
    assert soundfile.info(wav).subtype == "PCM_16"
    wav.seek(0)
    samples, rate = soundfile.read(wav, dtype="float32")
    assert rate == 16_000
    np.testing.assert_allclose(samples, read_samples(manifest.parent / "a-1.wav"), atol=1 / 32768)


def test_the_cut_is_found_by_its_whole_id(manifest):
    assert find_cut(manifest, "a-1").recording.sources[0].source.endswith("a-1.wav")
    assert find_cut(manifest, "a-10").recording.sources[0].source.endswith("a-10.wav")
    with pytest.raises(DataDirError, match=r"cuts\.jsonl\.gz: no cut 'a'"):
        find_cut(manifest, "a")


def test_a_failure_is_one_line(manifest):
    (manifest.parent / "a-1.wav").unlink()
    with pytest.raises(SystemExit, match=r"^render_cut: a-1: .*a-1\.wav: no such file$"):
        main([str(manifest), "a-1"])
    with pytest.raises(SystemExit, match=r"^render_cut: .*no cut 'b-1'$"):
        main([str(manifest), "b-1"])
