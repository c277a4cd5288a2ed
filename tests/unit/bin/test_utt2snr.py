import shutil

import numpy as np
import pytest
import soundfile

from sv.bin import utt2snr
from sv.data.quality import estimate_snr
from sv.kaldi import read_table


def test_every_utterance_gets_its_estimate(folder, tmp_path) -> None:
    shutil.copytree(folder / "data" / "test", tmp_path / "test")
    utt2snr.main([str(tmp_path / "test")])
    found = read_table(tmp_path / "test" / "utt2snr")
    wavs = read_table(tmp_path / "test" / "wav.scp")
    assert found.keys() == wavs.keys()
    for utt, path in wavs.items():
        samples, _ = soundfile.read(path, dtype="float32")
        assert float(found[utt]) == pytest.approx(estimate_snr(np.asarray(samples)), abs=0.01)
