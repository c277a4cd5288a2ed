import shutil

import numpy as np
import pytest

from sv.bin import speaker_means
from sv.kaldi import read_vectors


@pytest.fixture
def files(folder, staged, tmp_path):
    shutil.copytree(folder / "data" / "test", tmp_path / "data" / "test")
    (tmp_path / "embeddings" / "test").mkdir(parents=True)
    shutil.copy(staged[0] / "test" / "xvector.1.scp", tmp_path / "embeddings" / "test" / "xvector.scp")
    return tmp_path


def run(files) -> dict[str, np.ndarray]:
    speaker_means.main(["--embeddings", str(files / "embeddings"), str(files / "data" / "test")])
    return read_vectors(files / "embeddings" / "test" / "spk_xvector.scp")


def test_a_speaker_is_the_mean_of_its_utterances(files, staged) -> None:
    means = run(files)
    assert list(means) == ["spk0", "spk1", "spk2"]
    for i, mean in enumerate(means.values()):
        own = [staged[1][f"spk{i}-{2 * i + j}"] for j in range(2)]
        np.testing.assert_allclose(mean, (own[0] + own[1]) / 2, rtol=1e-6)
    assert (files / "embeddings" / "test" / "num_utts").read_text() == "spk0 2\nspk1 2\nspk2 2\n"


def test_quarantined_utterances_are_left_out_and_others_must_be_there(files, staged, fails) -> None:
    table = files / "embeddings" / "test" / "xvector.scp"
    lines = table.read_text().splitlines()
    table.write_text("\n".join(lines[1:]) + "\n")
    said = fails(speaker_means.main, "--embeddings", files / "embeddings", files / "data" / "test")
    assert said == f"error: {table}: 1 utterances are not there, e.g. ['spk0-0']"
    (files / "data" / "test" / "quarantine.tsv").write_text("spk0-0\tfile.wav\tsilent\n")
    np.testing.assert_array_equal(run(files)["spk0"], staged[1]["spk0-1"])
