"""From embeddings to lists, targets, a trained enhancement and enhanced embeddings, by the commands."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sv.bin import combine_embeddings, enhance, make_enhancement_lists, train_enhancement
from sv.enhancement.apply import enhance as enhance_vectors
from sv.enhancement.archive import EmbeddingArchive
from sv.enhancement.lists import read_list
from sv.enhancement.targets import unit
from sv.enhancement.training import extractor_classifier
from sv.enhancement.validation import eer_percent
from sv.kaldi import Trials, open_ark_scp, read_vectors, write_table
from sv.models.embedding_mlp import EmbeddingMLP, EmbeddingMLPConfig
from sv.scoring import score_cosine
from sv.system.config import load_system
from sv.system.folder import load_model, write_system

CONFIG = """
[features]
type = "embedding"
[model]
type = "embedding_mlp"
hidden = [2]
dropout = 0.1
dropout_after = [1]
[loss]
type = "enhancement"
terms = {terms}
[batches]
type = "shuffled"
batch_size = {batch_size}
augment = true
[train]
num_epochs = {num_epochs}
lr = 1e-2
schedule = "constant"
weight_decay = 0.0
log_interval = 1
checkpoint_interval = 3
"""
DIM = 8


def write_set(folder, num_speakers, first=0):
    """Embeddings of speakers in two sessions of three utterances, three segments each; utt2spk and trials beside them."""
    rng = np.random.default_rng(first)
    utt2spk, trials = {}, []
    with open_ark_scp(folder / "segments.ark", folder / "segments.scp") as write:
        for speaker in range(first, first + num_speakers):
            center = rng.normal(size=DIM)
            for session in "ab":
                session_center = center + 0.7 * rng.normal(size=DIM)
                for number in range(3):
                    utt = f"id{speaker}-s{session}-{number}"
                    utt2spk[utt] = f"id{speaker}"
                    write(utt, session_center + 0.4 * rng.normal(size=(3, DIM)))
    write_table(folder / "utt2spk", utt2spk)
    utts = sorted(utt2spk)
    for place, one in enumerate(utts):
        trials += [
            f"{one} {two} {'target' if utt2spk[one] == utt2spk[two] else 'nontarget'}" for two in utts[place + 1 :]
        ]
    (folder / "trials").write_text("\n".join(trials) + "\n")


@pytest.fixture
def world(tmp_path):
    """Folder with train/, valid/ and lists."""
    write_set(tmp_path / "train", 8, first=10)
    write_set(tmp_path / "valid", 4, first=20)
    make_enhancement_lists.main([str(tmp_path / "train"), str(tmp_path / "lists/train")])
    return tmp_path


def train(world, terms='[["cosine", 1.0]]', batch_size=16, num_epochs=3, exp="exp", config=CONFIG, more=()):
    (world / "mlp.toml").write_text(config.format(terms=terms, batch_size=batch_size, num_epochs=num_epochs))
    train_enhancement.main(
        ["--config", str(world / "mlp.toml"), "--lists", str(world / "lists/train"), "--embeddings",
         str(world / "train/segments.scp"), "--valid-trials", str(world / "valid/trials"), "--valid-embeddings",
         str(world / "valid/segments.scp"), "--exp-dir", str(world / exp), *more]
    )  # fmt: skip
    return world / exp


def test_the_four_lists_are_written(world, capsys) -> None:
    lists = {
        kind: read_list(world / f"lists/train_{kind}_list.txt", kind)
        for kind in ("normal", "test", "triplet", "distribution")
    }
    assert [len(lines) for lines in lists.values()] == [48, 384, 48, 32]
    make_enhancement_lists.main(["--seed", "1", str(world / "train"), str(world / "other/x")])
    assert read_list(world / "other/x_triplet_list.txt", "triplet") != lists["triplet"]
    assert "test: 384 lines" in capsys.readouterr().out


def test_sessions_from_a_table_and_corpora_too_small_for_a_test_list(world, capsys) -> None:
    sessions = dict.fromkeys((line.split()[0] for line in (world / "train/utt2spk").read_text().splitlines()), "one")
    write_table(world / "utt2session", sessions)
    make_enhancement_lists.main(["--utt2session", str(world / "utt2session"), str(world / "train"), str(world / "o/x")])
    assert "distribution: 8 speakers have no pairs within and across sessions, e.g. id10" in capsys.readouterr().out
    write_table(world / "utt2session", dict(list(sessions.items())[:-2]))
    with pytest.raises(SystemExit, match="utt2session: 2 utterances have no session"):
        make_enhancement_lists.main(
            ["--utt2session", str(world / "utt2session"), str(world / "train"), str(world / "o/x")]
        )
    lines = (world / "train/utt2spk").read_text().splitlines()
    (world / "train/utt2spk").write_text("\n".join(lines[:9]) + "\n")
    make_enhancement_lists.main([str(world / "train"), str(world / "small/x")])
    assert "test: left out: a test list needs 5 utterances" in capsys.readouterr().out
    assert not (world / "small/x_test_list.txt").exists()


def test_single_and_multiple_embeddings(world) -> None:
    combine_embeddings.main([str(world / "train/segments.scp"), str(world / "train/utt2spk"), str(world / "out")])
    archive = EmbeddingArchive(world / "train/segments.scp")
    means = archive.rows(range(len(archive)))
    single, b, c = (read_vectors(world / f"out/{name}.scp") for name in ("single", "multiple_b", "multiple_c"))
    np.testing.assert_allclose(single[archive.keys[5]], unit(means)[5], atol=1e-6)
    np.testing.assert_allclose(b["id11"], unit(means)[6:12].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(c["id11"], unit(means[6:12].mean(axis=0)), atol=1e-6)


def test_utterances_without_a_speaker_are_named(world, fails) -> None:
    write_table(world / "utt2spk", {"id10-sa-0": "id10"})
    said = fails(combine_embeddings.main, world / "train/segments.scp", world / "utt2spk", world / "out")
    assert said.startswith(f"error: {world}/utt2spk: 47 utterances of {world}/train/segments.scp are not there, e.g. [")


@pytest.mark.parametrize(
    ("terms", "batch_size"),
    [
        ('[["mse", 1.0]]', 16),
        ('[["mae", 1.0]]', 16),
        ('[["mse", 1.0], ["cosine", 1.0]]', 16),
        ('[["softmax", 1.0]]', 16),
        ('[["mse", 1.0], ["softmax", 1.0]]', 16),
        ('[["triplet", 1.0]]', 16),
        ('[["mmd", 1.0], ["cosine", 1.0]]', 4),
        ('[["mmd", 1.0], ["mse", 1.0]]', 1),
    ],
)
def test_every_loss_trains(terms, batch_size, world) -> None:
    exp = train(world, terms, batch_size, num_epochs=8)
    journal = [json.loads(line) for line in (exp / "train.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in journal if "loss" in line]
    tenth = len(losses) // 4
    assert np.mean(losses[-tenth:]) < np.mean(losses[:tenth])
    assert all("valid_eer" in line for line in journal if "loss" not in line)
    system, *_ = load_model(exp)
    assert (system.model.embedding_dim, system.num_speakers) == (DIM, 8)


def journal_of(exp):
    return [json.loads(line) for line in (exp / "train.jsonl").read_text().splitlines()]


def test_the_loss_on_held_out_speakers_is_that_of_the_model_there(world, capsys) -> None:
    make_enhancement_lists.main([str(world / "valid"), str(world / "lists/valid")])
    more = ["--valid-lists", str(world / "lists/valid")]
    exp = train(world, '[["mse", 2.0], ["softmax", 1.0]]', num_epochs=2, more=more)
    losses = [line["valid_loss"] for line in journal_of(exp) if "valid_eer" in line]
    assert len(losses) == 2
    last = torch.load(exp / "checkpoints/last.pt", weights_only=False)["system"]
    model = EmbeddingMLP(EmbeddingMLPConfig(embedding_dim=DIM, hidden=(2,))).eval()
    model.load_state_dict({name.removeprefix("model."): value for name, value in last.items() if "layers" in name})
    archive = EmbeddingArchive(world / "valid/segments.scp")
    inputs = archive.rows(range(len(archive)))  # 4 speakers of 6, in order; targets C without the utterance itself
    sums = inputs.reshape(4, 6, DIM).sum(axis=1).repeat(6, axis=0)
    with torch.no_grad():
        outputs = model.embed(torch.from_numpy(unit(inputs))).numpy()
    expected = 2.0 * np.mean((outputs - unit(sums - inputs)) ** 2)  # no softmax: it knows the training speakers alone
    assert losses[-1] == pytest.approx(expected, rel=1e-4)
    for terms in ('[["triplet", 1.0]]', '[["mmd", 1.0], ["mse", 1.0]]'):
        held_out = [
            line for line in journal_of(train(world, terms, 4, 1, terms[3:6], more=more)) if "valid_eer" in line
        ]
        assert np.isfinite(held_out[0]["valid_loss"])
    capsys.readouterr()
    for terms, reason in (('[["softmax", 1.0]]', "the classifier does not know them"), ('[["mmd", 1.0]]', "no lines")):
        (world / "lists/valid_distribution_list.txt").write_text("")
        exp = train(world, terms, 4, 1, exp=terms[3:7] + "x", more=more)
        assert "valid_loss" not in journal_of(exp)[-1]
        assert "no loss on held-out speakers: " in (said := capsys.readouterr().err) and reason in said


@pytest.mark.parametrize(("kind", "dim"), [("mean", DIM), ("lda", 7), ("wccn", DIM)])
def test_a_linear_map_is_fitted_and_applied_like_a_network(kind, dim, world, capsys) -> None:
    config = f'[features]\ntype="embedding"\n[model]\ntype="embedding_linear"\n[loss]\ntype="linear"\nkind="{kind}"\n'
    exp = train(world, exp=kind, config=config)
    assert "embeddings, valid EER" in capsys.readouterr().err
    enhance.main(["--model", str(exp), "--embeddings", str(world), "--out", str(exp / "embeddings"), "train"])
    found = read_vectors(exp / "embeddings/train/xvector.scp")
    assert np.mean(list(found.values()), axis=0) == pytest.approx(np.zeros(dim), abs=1e-5)
    assert load_model(exp)[0].num_speakers == 8
    more = ["--embeddings", str(world / "train/segments.scp")]
    twice = train(world, exp=f"{kind}2", config=f"{config}noisy_copies = 1\n", more=more)
    torch.testing.assert_close(
        load_model(twice)[2].mean, load_model(exp)[2].mean
    )  # the same utterances once more: the same mean


def test_a_run_cut_off_and_resumed_ends_like_an_undisturbed_one(world) -> None:
    whole = train(world, num_epochs=4, exp="whole")
    train(world, num_epochs=2, exp="cut")
    (world / "cut/checkpoints/step-0000006.pt").unlink()  # the next newest is from within the second epoch
    cut = train(world, num_epochs=4, exp="cut")
    for name in ("step-0000012.pt", "best.pt"):
        assert (whole / "checkpoints" / name).read_bytes() == (cut / "checkpoints" / name).read_bytes()


def test_training_starts_from_the_weights_of_the_system_that_the_configuration_names(world) -> None:
    first = train(world, exp="first")
    still = CONFIG.replace("lr = 1e-2", 'lr = 1e-12\ninitial = "first"')
    second = train(world, exp="second", num_epochs=1, config=still)
    expected, found = (torch.load(exp / "checkpoints/best.pt", weights_only=True)["model"] for exp in (first, second))
    torch.testing.assert_close(found, expected)


def test_another_list_or_loss_is_another_run(world) -> None:
    train(world, num_epochs=1)
    with pytest.raises(SystemExit, match=r"holds a run with other settings: system.loss.terms was"):
        train(world, terms='[["mse", 1.0]]', num_epochs=2)
    with (world / "lists/train_normal_list.txt").open("a") as file:
        file.write("id10 id10-sa-0\n")
    with pytest.raises(SystemExit, match="holds a run with other settings: list was"):
        train(world, num_epochs=2)


def test_enhanced_embeddings_are_ordinary_archives(world) -> None:
    exp = train(world)
    enhance.main(["--model", str(exp), "--embeddings", str(world), "--out", str(exp / "embeddings"), "valid"])
    vectors = read_vectors(exp / "embeddings/valid/xvector.scp")
    archive = EmbeddingArchive(world / "valid/segments.scp")
    assert list(vectors) == archive.keys
    _, frontend, model = load_model(exp)
    expected = enhance_vectors(frontend, model, archive.rows([3]))[0]
    np.testing.assert_allclose(vectors[archive.keys[3]], expected, atol=1e-6)
    segments = EmbeddingArchive(exp / "embeddings/valid/segments.scp").segments(3)
    np.testing.assert_allclose(segments, enhance_vectors(frontend, model, archive.segments(3)), atol=1e-6)


def test_two_conditions_of_the_same_utterances(world) -> None:
    (world / "noisy").mkdir()
    clean = EmbeddingArchive(world / "train/segments.scp")
    with open_ark_scp(world / "noisy/x.ark", world / "noisy/x.scp") as write:
        for row, utt in enumerate(clean.keys):
            write(utt, clean.segments(row) + 0.3)
    noisy = CONFIG.replace("[loss]", "[loss]\nnoisy_copies = 1")
    exp = train(world, config=noisy, more=["--embeddings", str(world / "noisy/x.scp")])
    plain = train(world, exp="plain")
    weights = [
        torch.load(run / "checkpoints/best.pt", weights_only=True)["model"]["layers.0.weight"] for run in (exp, plain)
    ]
    assert (weights[0] != weights[1]).any()


@pytest.mark.parametrize("copies", [0, 2])
def test_as_many_noisy_copies_are_read_as_the_configuration_says(world, copies, capsys) -> None:
    config = CONFIG.replace("[loss]", f"[loss]\nnoisy_copies = {copies}")
    with pytest.raises(SystemExit) as stop:
        train(world, config=config, more=["--embeddings", str(world / "train/segments.scp")])
    assert str(stop.value) == (
        f"error: {world}/mlp.toml: loss.noisy_copies is {copies}, which takes {1 + copies} --embeddings, the clean ones "
        "first; got 2"
    )
    assert not (world / "exp").exists()


def test_a_corpus_smaller_than_a_batch_is_one_batch(world) -> None:
    exp = train(world, batch_size=1000, num_epochs=2)
    assert torch.load(exp / "checkpoints/last.pt", weights_only=False)["step"] == 2


def test_validation_on_a_test_list(world) -> None:
    (world / "test.txt").write_text("1 id20/sa/0.wav id20/sb/1.wav\n0 id20/sa/0.wav id21/sb/1.wav\n")
    (world / "mlp.toml").write_text(CONFIG.format(terms='[["mse", 1.0]]', batch_size=16, num_epochs=1))
    train_enhancement.main(
        ["--config", str(world / "mlp.toml"), "--lists", str(world / "lists/train"), "--embeddings",
         str(world / "train/segments.scp"), "--valid-list", str(world / "test.txt"), "--valid-embeddings",
         str(world / "valid/segments.scp"), "--exp-dir", str(world / "exp")]
    )  # fmt: skip
    assert (world / "exp/checkpoints/best.pt").exists()


def test_the_score_is_the_cosine_and_not_the_share_of_agreeing_signs() -> None:
    """The published code normalised over the batch axis, which leaves signs: a distance of 0.75 for these two."""
    vectors = {"a": np.array([0.3, -0.2, 0, 0.5]), "b": np.array([0.1, 0.4, -0.2, 0.6])}
    distance = 1 - score_cosine(Trials(["a"], ["b"], np.array([True])), vectors)[0]
    assert distance == pytest.approx(0.462831, abs=1e-6)
    # By signs the target agrees in two of three elements, the other in all; by cosine the target is the nearer.
    rows, archive = np.array([[1, 1, 0.1], [1, 1, -0.1], [0.01, 1, 1]]), SimpleNamespace(keys=["a", "target", "other"])
    trials = Trials(["a", "a"], ["target", "other"], np.array([True, False]))
    assert eer_percent(trials, archive, rows) == 0


def test_enhancement_is_refused_in_training_mode() -> None:
    model = EmbeddingMLP(EmbeddingMLPConfig(embedding_dim=DIM)).train()
    with pytest.raises(ValueError, match="the model is in training mode"):
        enhance_vectors(torch.nn.Identity(), model, np.zeros((2, DIM)))


def test_softmax_starts_from_the_extractors_classifier(world) -> None:
    folder = world / "extractor/checkpoints"
    folder.mkdir(parents=True)
    weight, bias = torch.randn(8, DIM), torch.randn(8)
    ours = {"criterion.classifier.weight": weight, "criterion.classifier.bias": bias, "model.fc.weight": weight}
    torch.save({"system": ours}, folder / "last.pt")
    found = extractor_classifier(world / "extractor", 8, DIM)
    torch.testing.assert_close(found, {"classifier.weight": weight, "classifier.bias": bias})
    (folder / "last.pt").unlink()
    torch.save({"model": {}, "criterion": {"softmax.fc.weight": weight, "softmax.fc.bias": bias}}, folder / "best.pt")
    torch.testing.assert_close(extractor_classifier(world / "extractor", 8, DIM), found)
    speeds = {"classifier.weight": weight[:4], "classifier.bias": bias[:4]}  # 4 speakers at two speeds
    torch.testing.assert_close(extractor_classifier(world / "extractor", 4, DIM), speeds)
    extract = CONFIG.format(terms='[["mse", 1.0]]', batch_size=1, num_epochs=1) + "[extract]\nsegment_samples = 12345\n"
    (world / "extractor.toml").write_text(extract.replace("[model]", "[model]\nembedding_dim = 8"))
    write_system(world / "extractor", load_system(world / "extractor.toml"))
    frozen = CONFIG.replace("lr = 1e-2", "lr = 1e-12")
    exp = train(
        world, terms='[["softmax", 1.0]]', num_epochs=1, config=frozen, more=["--extractor", str(world / "extractor")]
    )
    assert load_model(exp)[0].extract.segment_samples == 12345
    trained = torch.load(exp / "checkpoints/last.pt", weights_only=False)["system"]
    torch.testing.assert_close(trained["criteria.softmax.classifier.weight"], weight)
    torch.save({"model": {}, "criterion": {}}, folder / "best.pt")
    assert extractor_classifier(world / "extractor", 8, DIM) is None


def bad(world, kind):
    config, more = CONFIG, ()
    if kind == "dimension":
        config = CONFIG.replace("hidden = [2]", "hidden = [2]\nembedding_dim = 512")
    elif kind == "valid dimension":
        with open_ark_scp(world / "valid/segments.ark", world / "valid/segments.scp") as write:
            write("id20-sa-0", np.zeros(3))
    elif kind == "features":
        config = CONFIG.replace('"embedding"', '"log_mel"')
    elif kind == "batches":
        config = CONFIG.replace('"shuffled"', '"speakers"').replace("batch_size = {batch_size}\n", "")
    elif kind == "absent":
        (world / "lists/train_normal_list.txt").write_text("id10 id10-sa-0\nid10 id10-sz-0\n")
    elif kind == "classifier":
        (world / "e/checkpoints").mkdir(parents=True)
        criterion = {"softmax.fc.weight": torch.zeros(5994, DIM), "softmax.fc.bias": torch.zeros(5994)}
        torch.save({"model": {}, "criterion": criterion}, world / "e/checkpoints/best.pt")
        (world / "e.toml").write_text(CONFIG.format(terms='[["mse", 1.0]]', batch_size=1, num_epochs=1))
        write_system(world / "e", load_system(world / "e.toml"))
        more = ("--extractor", str(world / "e"))
    terms = '[["softmax", 1.0]]' if kind == "classifier" else '[["mse", 1.0]]'
    train(world, terms=terms, config=config, more=more)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("dimension", "mlp.toml: model.embedding_dim is 512, the embeddings have dimension 8"),
        ("valid dimension", "its embeddings have dimension 3, those of"),
        ("features", 'mlp.toml: loss.type = "enhancement" needs features.type "embedding", got "log_mel"'),
        ("batches", 'mlp.toml: loss.type = "enhancement" needs batches.type "shuffled", got "speakers"'),
        ("absent", "train_normal_list.txt:2: no embedding of 'id10-sz-0' in"),
        ("classifier", r"its classifier softmax.fc.weight is \(5994, 8\), wanted \(8, 8\)"),
    ],
)
def test_bad_input_is_one_clear_line(kind, message, world) -> None:
    with pytest.raises(SystemExit, match=f"error: .*{message}") as exit_:
        bad(world, kind)
    assert "\n" not in exit_.value.code


def test_enhancing_embeddings_of_another_dimension_is_refused(world) -> None:
    exp = train(world, num_epochs=1)
    with open_ark_scp(world / "valid/segments.ark", world / "valid/segments.scp") as write:
        write("a", np.ones(3))
    with pytest.raises(SystemExit, match=r"model.embedding_dim is 8, the embeddings have dimension 3"):
        enhance.main(["--model", str(exp), "--embeddings", str(world), "--out", str(world / "o"), "valid"])
