"""Batches of enhancement: inputs, targets and speakers of each kind of list."""

import numpy as np
import pytest
import torch

from sv.data.sampler import Item
from sv.enhancement.archive import EmbeddingArchive
from sv.enhancement.batches import EnhancementSet
from sv.kaldi import DataDirError, open_ark_scp

UTTERANCES = [f"id{speaker}-s{session}-{number}" for speaker in range(3) for session in "ab" for number in range(3)]
RNG = np.random.default_rng(0)
VECTORS = {utt: RNG.normal(size=4).astype(np.float32) for utt in UTTERANCES}


@pytest.fixture
def archive(tmp_path):
    def build(name="clean", vectors=VECTORS):
        with open_ark_scp(tmp_path / f"{name}.ark", tmp_path / f"{name}.scp") as write:
            for utt in sorted(vectors):
                write(utt, vectors[utt])
        return EmbeddingArchive(tmp_path / f"{name}.scp")

    return build


@pytest.fixture
def listed(tmp_path):
    def write(*lines):
        (tmp_path / "list.txt").write_text("".join(f"{line}\n" for line in lines))
        return tmp_path / "list.txt"

    return write


def items(*rows, epoch=0, augment=False):
    return [Item(row, epoch, augment) for row in rows]


def mean_of(*utts):
    return np.mean([VECTORS[utt] for utt in utts], axis=0)


NORMAL = [f"{utt[:3]} {utt}" for utt in UTTERANCES]


def test_normal_list_with_and_without_the_utterance_itself(archive, listed) -> None:
    own = [utt for utt in UTTERANCES if utt.startswith("id1")]
    for leave_one_out, used in ((False, own), (True, own[:1] + own[2:])):
        dataset = EnhancementSet(listed(*NORMAL), "normal", [archive()], target="C", leave_one_out=leave_one_out)
        batch = dataset.batch(items(7, 0))
        assert batch.utterances == (own[1], UTTERANCES[0])
        np.testing.assert_array_equal(batch.embeddings[0], VECTORS[own[1]])
        expected = mean_of(*used)
        np.testing.assert_allclose(batch.targets[0], expected / np.linalg.norm(expected), atol=1e-6)
        assert batch.speaker_ids.tolist() == [1, 0]
        assert batch.targets.shape == batch.embeddings.shape == (2, 4)


def test_triplet_list_brings_the_other_speakers_target(archive, listed) -> None:
    lines = [f"{line} id{(int(line[2]) + 1) % 3}" for line in NORMAL]
    dataset = EnhancementSet(listed(*lines), "triplet", [archive()], target="B", leave_one_out=False)
    batch = dataset.batch(items(17))
    first = [utt for utt in UTTERANCES if utt.startswith("id0")]
    expected = np.mean([VECTORS[utt] / np.linalg.norm(VECTORS[utt]) for utt in first], axis=0)
    assert batch.targets.shape == batch.other_targets.shape == (1, 4)
    np.testing.assert_allclose(batch.other_targets[0], expected, atol=1e-6)
    moved = batch.to(torch.device("meta"))
    assert {moved.embeddings.device, moved.targets.device, moved.other_targets.device} == {torch.device("meta")}
    assert (moved.utterances, moved.same_session) == (batch.utterances, None)


PAIRS = [
    "id0 id0-sa-0 id0-sa-1 1",
    "id2 id2-sa-0 id2-sa-1 1",
    "id2 id2-sb-0 id2-sb-1 1",
    "id0 id0-sa-2 id0-sb-2 0",
    "id2 id2-sa-2 id2-sb-2 0",
    "id1 id1-sa-0 id1-sa-1 1",
]


def test_distribution_list_brings_speakers_with_all_their_pairs(archive, listed) -> None:
    dataset = EnhancementSet(listed(*PAIRS), "distribution", [archive()])
    assert (len(dataset), dataset.left_out, dataset.speaker_ids) == (2, ["id1"], [0, 2])
    batch = dataset.batch(items(1, 0))
    assert batch.embeddings.shape == batch.targets.shape == (10, 4)
    assert batch.speaker_ids.tolist() == [2] * 6 + [0] * 4
    assert batch.same_session.tolist() == [True, True, False, True, False]
    assert batch.utterances[4:6] == ("id2-sa-2", "id2-sb-2")
    np.testing.assert_array_equal(batch.embeddings[5], VECTORS["id2-sb-2"])
    others = mean_of(
        *(f"id2-s{session}-{number}" for session in "ab" for number in range(3) if (session, number) != ("b", 2))
    )
    np.testing.assert_allclose(batch.targets[5], others / np.linalg.norm(others), atol=1e-6)


def test_conditions_are_drawn_by_utterance_and_epoch_and_targets_stay_clean(archive, listed) -> None:
    noisy = {utt: vector + 100 for utt, vector in VECTORS.items()}
    dataset = EnhancementSet(listed(*NORMAL), "normal", [archive(), archive("noisy", noisy)], seed=5)
    plain = dataset.batch(items(*range(18)))
    assert plain.embeddings.max() < 50
    first, again, later = (dataset.batch(items(*range(18), epoch=epoch, augment=True)) for epoch in (0, 0, 1))
    is_noisy = first.embeddings[:, 0] > 50
    assert 3 < int(is_noisy.sum()) < 15
    torch.testing.assert_close(first.embeddings, again.embeddings)
    assert (later.embeddings != first.embeddings).any()
    torch.testing.assert_close(first.targets, plain.targets)
    reordered = dataset.batch(items(3, 1, augment=True))
    torch.testing.assert_close(reordered.embeddings, first.embeddings[[3, 1]])


def test_an_utterances_own_target_is_its_clean_embedding_whatever_its_speaker(archive, listed) -> None:
    noisy = {utt: vector + 100 for utt, vector in VECTORS.items()}
    alone = [*NORMAL[:7], "id9 id2-sb-2"]  # two speakers of one utterance, who have targets too
    dataset = EnhancementSet(listed(*alone), "normal", [archive(), archive("noisy", noisy)], target="utterance")
    assert (len(dataset), dataset.left_out) == (8, [])
    batch = dataset.batch(items(*range(8), augment=True))
    is_noisy = (batch.embeddings[:, 0] > 50).tolist()
    assert 0 < sum(is_noisy) < 8
    for row, utt in enumerate(batch.utterances):
        np.testing.assert_array_equal(batch.targets[row], VECTORS[utt])
        np.testing.assert_array_equal(batch.embeddings[row], (noisy if is_noisy[row] else VECTORS)[utt])


def test_an_utterances_own_target_is_of_all_its_segments(archive, listed) -> None:
    segments = {utt: RNG.normal(size=(6, 4)).astype(np.float32) for utt in UTTERANCES}
    dataset = EnhancementSet(listed(*NORMAL), "normal", [archive(vectors=segments)], target="utterance", num_crops=1)
    batch = dataset.batch(items(3, 12))
    for row, utt in enumerate(batch.utterances):
        np.testing.assert_allclose(batch.targets[row], segments[utt].mean(axis=0), rtol=1e-5)
        assert any((batch.embeddings[row].numpy() == one).all() for one in segments[utt])


def test_crops_average_a_few_segments(archive, listed) -> None:
    segments = {utt: RNG.normal(size=(6, 4)).astype(np.float32) for utt in UTTERANCES}
    dataset = EnhancementSet(listed(*NORMAL), "normal", [archive(vectors=segments)], num_crops=1)
    batch = dataset.batch(items(*range(18)))
    for vector, utt in zip(batch.embeddings.numpy(), batch.utterances):
        assert any((vector == row).all() for row in segments[utt])


def test_speakers_with_one_utterance_are_left_out_and_named(archive, listed) -> None:
    dataset = EnhancementSet(listed(*NORMAL[:7]), "normal", [archive()])
    assert (len(dataset), dataset.left_out) == (6, ["id1"])
    assert len(EnhancementSet(listed(*NORMAL[:7]), "normal", [archive()], leave_one_out=False)) == 7


@pytest.mark.parametrize(
    ("lines", "kind", "message"),
    [
        (["id0 id0-sa-0", "id0 id0-zz-9"], "normal", r"list.txt:2: no embedding of 'id0-zz-9' in .*clean.scp"),
        (["id0 id0-sa-0 id9"], "triplet", "list.txt:1: 'id9' is not another speaker of the list"),
        (["id0 id0-sa-0 id0"], "triplet", "list.txt:1: 'id0' is not another speaker of the list"),
        (["id0 id0-sa-0", "id1 id1-sa-0"], "normal", "list.txt: no speaker has two utterances"),
        (["id0 id0-sa-0 id0-sa-1 1"], "distribution", "list.txt: no speaker has pairs within and across sessions"),
    ],
)
def test_lists_that_cannot_be_used_are_named(lines, kind, message, archive, listed) -> None:
    with pytest.raises(DataDirError, match=message):
        EnhancementSet(listed(*lines), kind, [archive()])


def test_conditions_of_other_dimensions_are_refused(archive, listed) -> None:
    other = archive("short", {utt: vector[:3] for utt, vector in VECTORS.items()})
    with pytest.raises(DataDirError, match=r"embeddings of several dimensions \(.*clean.scp: 4, .*short.scp: 3\)"):
        EnhancementSet(listed(*NORMAL), "normal", [archive(), other])
