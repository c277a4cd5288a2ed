"""`sv backend` and `sv score plda` from Kaldi's golden vectors to Kaldi's golden scores, through files."""

import gzip

import numpy as np
import pytest

from sv.base.files import sha256_of
from sv.bin import b_vector, backend, score
from sv.kaldi import open_ark_scp, read_plda, read_scores, read_vectors, write_table


@pytest.fixture
def files(tmp_path, golden_vectors, golden_lists, golden_dir):
    """Folder of train.scp, eval.scp, adapt.scp, enrol.scp, utt2spk, num_utts, trials and trials_enroll."""
    sets = {name: golden_vectors(name) for name in ("train", "eval", "adapt")}
    enrolment = golden_lists("enroll.spk2utt")
    sets["enrol"] = {spk: np.mean([sets["eval"][utt] for utt in utts], axis=0) for spk, utts in enrolment.items()}
    for name, vectors in sets.items():
        with open_ark_scp(tmp_path / f"{name}.ark", tmp_path / f"{name}.scp") as write:
            for key, vector in vectors.items():
                write(key, vector)
    write_table(tmp_path / "utt2spk", {utt: utt[:5] for utt in sets["train"]})
    write_table(tmp_path / "num_utts", {speaker: str(len(utts)) for speaker, utts in enrolment.items()})
    for name in ("trials", "trials_enroll"):
        (tmp_path / name).write_bytes(gzip.decompress((golden_dir / f"{name}.gz").read_bytes()))
    return tmp_path


def train(files, *options: object) -> None:
    backend.main([str(a) for a in (files / "train.scp", files / "utt2spk", files / "backend", *options)])


def scores_of(files, kind: str, sides: tuple[str, str], *options: object, trials: str = "trials") -> dict:
    tables = [files / f"{side}.scp" for side in sides]
    score.main([str(a) for a in (kind, files / trials, *tables, files / "out", *options)])
    return read_scores(files / "out")


def assert_kaldis(found: dict, golden: tuple, atol: float = 2e-5) -> None:
    trials, expected = golden
    assert list(found) == list(zip(trials.enrolment, trials.test))
    np.testing.assert_allclose(list(found.values()), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("options", [(), ("--text",)])
def test_from_embeddings_to_kaldis_scores(files, golden_scores, options) -> None:
    train(files, "--lda-dim", 24, *options)
    own = ("--backend", files / "backend")
    assert_kaldis(scores_of(files, "plda", ("eval", "eval"), *own), golden_scores("A.scores"))
    several = scores_of(
        files, "plda", ("enrol", "eval"), *own, "--num-utts", files / "num_utts", trials="trials_enroll"
    )
    assert_kaldis(several, golden_scores("A.enroll.scores"))


@pytest.mark.parametrize(
    ("variant", "options"),
    [
        ("A.smooth.scores", ("--smoothing", 0.1)),
        ("A.simple.scores", ("--length-norm", "simple")),
        ("A.nonorm.scores", ("--length-norm", "none")),
    ],
)
def test_variants_of_kaldis_scoring(files, golden_scores, variant, options) -> None:
    train(files, "--lda-dim", 24)
    found = scores_of(files, "plda", ("eval", "eval"), "--backend", files / "backend", *options)
    assert_kaldis(found, golden_scores(variant))


@pytest.mark.parametrize(("variant", "scales"), [("A.adapt", (0.3, 0.7)), ("A.adapt16", (0.75, 0.25))])
def test_adaptation_is_kaldis(files, golden_scores, golden_dir, variant, scales) -> None:
    shares = ("--within-scale", scales[0], "--between-scale", scales[1])
    train(files, "--lda-dim", 24, "--adapt", files / "adapt.scp", *shares)
    psi = read_plda(golden_dir / f"{variant}.plda.txt")[2]
    np.testing.assert_allclose(read_plda(files / "backend" / "plda")[2], psi, rtol=1e-6)
    found = scores_of(files, "plda", ("eval", "eval"), "--backend", files / "backend")
    assert_kaldis(found, golden_scores(f"{variant}.scores"))


def test_cosine_after_lda_and_adaptive_s_norm(files, golden_scores) -> None:
    train(files, "--lda-dim", 24)
    own = ("--backend", files / "backend")
    cosine = scores_of(files, "cosine", ("eval", "eval"), *own)
    assert_kaldis({pair: 24 * value for pair, value in cosine.items()}, golden_scores("A.dot.scores"))
    cohort = ("--as-norm", files / "backend" / "cohort.scp", "--top-n", 20)
    normalised = scores_of(files, "plda", ("eval", "eval"), *own, *cohort)
    assert_kaldis(normalised, golden_scores("A.asnorm_top20.numpy.scores"))


def test_the_cohort_is_each_speakers_mean(files, golden_vectors, capsys) -> None:
    train(files)
    assert capsys.readouterr().out == "720 utterances of 60 speakers: 40 dimensions, 40 after LDA\n"
    cohort, vectors = read_vectors(files / "backend" / "cohort.scp"), golden_vectors("train")
    assert list(cohort) == [f"tr{i:03d}" for i in range(60)]
    own = [vector for utt, vector in vectors.items() if utt.startswith("tr007")]
    np.testing.assert_allclose(cohort["tr007"], np.mean(own, axis=0), rtol=1e-5, atol=1e-6)


def test_training_again_gives_the_same_bytes(files) -> None:
    train(files)
    before = {path.name: sha256_of(path) for path in (files / "backend").iterdir()}
    train(files)
    assert {path.name: sha256_of(path) for path in (files / "backend").iterdir()} == before
    assert sorted(before) == ["cohort.ark", "cohort.scp", "mean.vec", "plda", "transform.mat"]


def test_an_embedding_without_speaker_is_named(files, fails) -> None:
    lines = (files / "utt2spk").read_text().splitlines()
    (files / "utt2spk").write_text("\n".join(lines[2:]) + "\n")
    said = fails(backend.main, files / "train.scp", files / "utt2spk", files / "backend")
    assert said == f"error: {files}/utt2spk: 2 embeddings have no speaker, e.g. ['tr000-00', 'tr000-01']"


def test_utterances_without_embedding_are_counted(files, capsys) -> None:
    lines = (files / "train.scp").read_text().splitlines()
    (files / "train.scp").write_text("\n".join(lines[5:]) + "\n")
    train(files)
    assert f"5 of 720 utterances in {files}/utt2spk have no embedding" in capsys.readouterr().err


def test_errors_of_training_name_the_table(files, fails) -> None:
    (files / "few.scp").write_text("".join(f"{line}\n" for line in (files / "train.scp").read_text().splitlines()[:3]))
    said = fails(backend.main, files / "few.scp", files / "utt2spk", files / "backend")
    assert said.endswith(f"error: {files}/few.scp: LDA and PLDA need the embeddings of two speakers at least, got 1")
    (files / "none.scp").write_text("")
    said = fails(backend.main, files / "none.scp", files / "utt2spk", files / "backend")
    assert said == f"error: {files}/none.scp: holds no embeddings"
    assert not (files / "backend").exists()


def test_adapting_to_embeddings_of_another_system_is_refused(files, fails) -> None:
    with open_ark_scp(files / "other.ark", files / "other.scp") as write:
        write("a", np.ones(3))
    said = fails(
        backend.main, files / "train.scp", files / "utt2spk", files / "backend", "--adapt", files / "other.scp"
    )
    assert said.endswith(f"error: {files}/other.scp: the back end is for embeddings of 40 dimensions, got 3")


def test_wrong_usage(files, fails) -> None:
    said = fails(backend.main, files / "train.scp", files / "utt2spk", files / "backend", "--lda-dim", 0, code=2)
    assert "--lda-dim: takes a whole number from 1" in said
    for options, message in (
        (("--kinds", "plda,cosine"), "no back end 'cosine' to train; there are centred_cosine, plda, b_vector"),
        (("--set", "b_vector.num_epochs=1"), "--set: unknown key 'b_vector'; known here: plda"),
        (("--set", "plda.lda_dims=1"), "--set: unknown key 'plda.lda_dims'; did you mean 'lda_dim'?"),
        (("--set", "plda.lda_dim=long"), "expected NAME.KEY=VALUE as in TOML"),
        (("--set", "plda=1"), "--set: expected NAME.KEY=VALUE, got plda=1"),
        (("--valid-trials", "x"), "--valid-trials and --valid-scp belong together"),
    ):
        assert message in fails(backend.main, "x", "y", "z", *options, code=2)


SMALL = {"hidden_dim": 8, "num_layers": 1, "steps_per_epoch": 4, "num_epochs": 2}


def test_b_vector_trains_beside_plda_as_by_itself(files, capsys) -> None:
    train(files)
    before = {path.name: sha256_of(path) for path in (files / "backend").iterdir()}
    held_out = ("--valid-trials", files / "trials", "--valid-scp", files / "eval.scp", "--seed", 3)
    settings = [word for key, value in SMALL.items() for word in ("--set", f"b_vector.{key}={value}")]
    train(files, "--kinds", "plda,b_vector", *held_out, *settings)
    assert capsys.readouterr().out.endswith("40 after LDA; b-vector network of 2 layers\n")
    after = {path.name: sha256_of(path) for path in (files / "backend").iterdir()}
    assert after.items() - before.items() == {("b_vector.npz", after["b_vector.npz"])}
    own = [word for key, value in SMALL.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    names = ("train.scp", "utt2spk", "trials", "eval.scp", "own.npz")
    b_vector.main(["train", "--seed", "3", *own, *(str(files / name) for name in names)])
    assert sha256_of(files / "own.npz") == after["b_vector.npz"]
    scores = scores_of(files, "b_vector", ("eval", "eval"), "--backend", files / "backend")
    sides = [str(files / name) for name in ("own.npz", "trials", "eval.scp", "eval.scp", "own.scores")]
    b_vector.main(["score", *sides])
    assert read_scores(files / "own.scores") == scores


def test_b_vector_needs_held_out_trials_whose_utterances_are_there(files, fails) -> None:
    arguments = (files / "train.scp", files / "utt2spk", files / "backend", "--kinds", "b_vector")
    said = fails(backend.main, *arguments)
    assert said.endswith(
        "train.scp: b_vector keeps the best epoch on held-out trials; give --valid-trials and --valid-scp"
    )
    said = fails(backend.main, *arguments, "--valid-trials", files / "trials", "--valid-scp", files / "adapt.scp")
    assert f"error: {files}/trials: " in said and "trial utterances have no embedding, e.g. ['ev000-00'" in said
    assert not (files / "backend").exists()


def test_a_back_end_alone_still_comes_with_the_cohort(files) -> None:
    settings = [word for key, value in SMALL.items() for word in ("--set", f"b_vector.{key}={value}")]
    held_out = ("--valid-trials", files / "trials", "--valid-scp", files / "eval.scp")
    train(files, "--kinds", "b_vector", *held_out, *settings)
    assert sorted(path.name for path in (files / "backend").iterdir()) == ["b_vector.npz", "cohort.ark", "cohort.scp"]


def test_speakers_with_one_mean_are_one_of_the_cohort(files, capsys) -> None:
    vectors = read_vectors(files / "train.scp")
    first = [utt for utt in vectors if utt[:5] == next(iter(vectors))[:5]]
    with open_ark_scp(files / "twice.ark", files / "twice.scp") as write:
        for utt, vector in sorted((vectors | {f"zzzzz{utt[5:]}": vectors[utt] for utt in first}).items()):
            write(utt, vector)
    write_table(files / "utt2spk", {utt: utt[:5] for utt in read_vectors(files / "twice.scp")})
    backend.main([str(files / name) for name in ("twice.scp", "utt2spk", "backend")])
    assert f"1 of the cohort's 61 vectors are copies, e.g. zzzzz of {first[0][:5]}" in capsys.readouterr().err
    assert "zzzzz" not in read_vectors(files / "backend" / "cohort.scp")
