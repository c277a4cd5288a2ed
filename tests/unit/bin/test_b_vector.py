import numpy as np
import pytest

from sv.bin import b_vector
from sv.kaldi import open_ark_scp, read_scores


@pytest.fixture
def folder(tmp_path):
    """Embeddings of six speakers, their utt2spk, and trials among them."""
    rng = np.random.default_rng(0)
    speakers = {f"s{i}": rng.normal(size=4) for i in range(6)}
    utts = {f"{s}-{k}": mean + 0.1 * rng.normal(size=4) for s, mean in speakers.items() for k in range(4)}
    with open_ark_scp(tmp_path / "xvector.ark", tmp_path / "xvector.scp") as write:
        for utt in sorted(utts):
            write(utt, utts[utt])
    (tmp_path / "utt2spk").write_text("".join(f"{utt} {utt.split('-')[0]}\n" for utt in sorted(utts)))
    lines = [f"{a}-0 {b}-1 {'target' if a == b else 'nontarget'}\n" for a in speakers for b in speakers]
    (tmp_path / "trials").write_text("".join(lines))
    return tmp_path


def train(folder, out, utt2spk="utt2spk") -> None:
    names = ("xvector.scp", utt2spk, "trials", "xvector.scp")
    sizes = ["--hidden-dim", "16", "--num-layers", "1", "--steps-per-epoch", "20", "--num-epochs", "2"]
    b_vector.main(["train", *(str(folder / name) for name in names), str(out), *sizes])


def test_train_and_score(folder) -> None:
    train(folder, folder / "b_vector.npz")
    paths = [str(folder / name) for name in ("b_vector.npz", "trials", "xvector.scp", "xvector.scp", "out.scores")]
    b_vector.main(["score", *paths])
    scores = read_scores(folder / "out.scores")
    same, different = (
        [score for (a, b), score in scores.items() if (a[:2] == b[:2]) == equal] for equal in (True, False)
    )
    assert (len(same), len(different)) == (6, 30)
    assert np.mean(same) > np.mean(different)


def test_utterances_without_a_speaker_are_named(folder) -> None:
    (folder / "few").write_text("s0-0 s0\n")
    with pytest.raises(SystemExit, match=r"few: 23 embeddings have no speaker, e.g. \['s0-1', 's0-2', 's0-3'\]"):
        train(folder, folder / "b_vector.npz", "few")
    assert not (folder / "b_vector.npz").exists()


def test_a_trial_without_an_embedding_is_named(folder) -> None:
    train(folder, folder / "b_vector.npz")
    (folder / "trials").write_text("s0-0 s9-9 nontarget\n")
    paths = [str(folder / name) for name in ("b_vector.npz", "trials", "xvector.scp", "xvector.scp", "out.scores")]
    with pytest.raises(SystemExit, match=r"trials: 1 of 1 trial utterances have no test embedding"):
        b_vector.main(["score", *paths])
