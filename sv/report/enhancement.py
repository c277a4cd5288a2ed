"""Sections on systems that enhance embeddings: their training, and distances of pairs before and after."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sv.base.seeding import generator
from sv.data.trial_lists import sessions_of
from sv.kaldi import DataDirError, read_utt2spk, read_vectors
from sv.report.blocks import Block, Section, Text, figure_grid
from sv.report.enhancement_figures import KINDS, distance_histogram, enhancement_curves
from sv.results.folder import SystemResults

MOST_PAIRS = 20_000  # per kind


def enhancement_sections(results: Sequence[SystemResults], data: Path) -> list[Section]:
    """Loss and held-out EER of each enhancement, and distances within pairs of test utterances, before and after.

    None if no system enhances embeddings. The systems that do not enhance come first.
    """
    enhancing = [result for result in results if result.config.get("features", {}).get("type") == "embedding"]
    if not enhancing:
        return []
    curves = figure_grid([enhancement_curves(result.journal, result.name) for result in enhancing])
    before_and_after = sorted(results, key=enhancing.__contains__)
    test_set = results[0].rows[0]["test_set"]
    return [Section("Enhancement", curves), Section("Distances of pairs", _distances(before_and_after, data, test_set))]


def _distances(results: Sequence[SystemResults], data: Path, test_set: str) -> list[Block]:
    path = data / test_set / "utt2spk"
    if not path.exists():
        return []
    pairs, panels = draw_pairs(read_utt2spk(path)), []
    for result in results:
        scp = result.folder.vectors(test_set)
        if scp.exists():
            panels.append(distance_histogram(distances(read_vectors(scp), pairs), result.name))
    text = (
        f"Distances (1 - cosine) of utterances of {test_set}, at most {MOST_PAIRS} pairs of a kind. An enhancement helps if it "
        "moves pairs of one speaker away from those of different speakers, and those of one session no further than others."
    )
    return [*figure_grid(panels), Text(text)] if panels else []


def draw_pairs(utt2spk: Mapping[str, str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pairs of utterances by kind: same session, different session, different speaker; all, or a random choice of them.

    Sessions are those that the utterances' ids tell; without them all pairs of a speaker are of different sessions.

    Returns
    -------
    dict of str to two (num_pairs,) arrays of str
        Kinds without pairs are left out.
    """
    utts = sorted(utt2spk)
    try:
        sessions = sessions_of(utt2spk)
    except DataDirError:
        sessions = {utt: utt for utt in utts}
    _, speakers = np.unique([utt2spk[utt] for utt in utts], return_inverse=True)
    _, groups = np.unique([f"{utt2spk[utt]} {sessions[utt]}" for utt in utts], return_inverse=True)
    rng, names = generator(0, "pairs of the report"), np.array(utts)
    found = {}
    for kind, of_kind in zip(KINDS, _kinds(speakers, groups, rng)):
        if len(of_kind):
            chosen = of_kind if len(of_kind) <= MOST_PAIRS else rng.choice(of_kind, MOST_PAIRS, replace=False)
            found[kind] = names[chosen[:, 0]], names[chosen[:, 1]]
    return found


def _kinds(
    speakers: np.ndarray, groups: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of pairs (n, 2) of each kind; those of different speakers are drawn, as there are too many to list."""
    own = [np.flatnonzero(speakers == speaker) for speaker in range(speakers.max() + 1)]
    same_speaker = np.concatenate([_pairs(rows) for rows in own])
    same_session = groups[same_speaker[:, 0]] == groups[same_speaker[:, 1]]
    drawn = rng.integers(len(speakers), size=(2 * MOST_PAIRS, 2))
    different = drawn[speakers[drawn[:, 0]] != speakers[drawn[:, 1]]]
    return same_speaker[same_session], same_speaker[~same_session], different


def _pairs(rows: np.ndarray) -> np.ndarray:
    first, second = np.triu_indices(len(rows), 1)
    return np.column_stack([rows[first], rows[second]])


def distances(
    vectors: Mapping[str, np.ndarray], pairs: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> dict[str, np.ndarray]:
    """1 - cosine of each pair, by kind."""

    def unit(utts: np.ndarray) -> np.ndarray:
        stacked = np.stack([vectors[utt] for utt in utts])
        return stacked / np.linalg.norm(stacked, axis=1, keepdims=True)

    return {kind: 1 - np.einsum("nd,nd->n", unit(first), unit(second)) for kind, (first, second) in pairs.items()}
