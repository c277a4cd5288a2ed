"""reco2digest: what stage 0 read of each recording, and whether it is still there."""

import numpy as np
import pytest
import soundfile

from local import verify_audio
from sv.data.corpus import Source, write_set
from sv.kaldi.data_dir import audio_digest, subset_data_dir
from sv.kaldi.scp import read_table


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    for name, rate in (("a", 16000), ("b", 8000)):
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * rng.standard_normal(rate), rate)
    sources = [Source(utterance=f"s-{name}", speaker="s", path=f"{tmp_path}/{name}.wav") for name in "ab"]
    write_set(tmp_path / "data/set", sources, nj=1, max_bad=0.0)
    return tmp_path / "data"


def test_the_corpus_files_count_whatever_was_converted(data, tmp_path):
    table = read_table(data / "set/reco2digest")
    assert [value.split()[1] for value in table.values()] == [f"{tmp_path}/a.wav", f"{tmp_path}/b.wav"]
    verify_audio.main([str(data)])
    for name in "ba":
        path = tmp_path / f"{name}.wav"
        content = bytearray(path.read_bytes())
        content[1000] ^= 1
        path.write_bytes(content)
        with pytest.raises(SystemExit, match=rf"of 2 recordings are not what stage 0 read, e\.g\. .*/{name}\.wav"):
            verify_audio.main([str(data)])
    (tmp_path / "a.wav").unlink()
    with pytest.raises(SystemExit, match=r"2 of 2 recordings are not what stage 0 read"):
        verify_audio.main(["--nj", "4", str(data)])


def test_a_training_knows_its_audio_and_not_where_it_lies(data, tmp_path):
    subset_data_dir(data / "set", data / "part", ["s-a"])
    digests = {audio_digest([data / name]) for name in ("set", "part")}
    assert len(digests) == 2 and "" not in digests
    table = data / "part/reco2digest"
    before = audio_digest([data / "part"])
    table.write_text(table.read_text().replace(str(tmp_path), "/elsewhere"))
    assert audio_digest([data / "part"]) == before
    table.write_text(table.read_text().replace("s-a ", "s-a 0"))
    assert audio_digest([data / "part"]) != before
    table.unlink()
    assert audio_digest([data / "part"]) == ""
