"""Error rates of more scores than memory holds: sorted runs on disk, read once in ascending order."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sv.scoring.metrics import (
    OperatingPoint,
    as_kaldi_reads,
    cllr_of_blocks,
    cllr_sums,
    crossing,
    pool_adjacent_violators,
)

RUN_SCORES = 1 << 21
COUNTED = np.dtype([("score", np.float64), ("targets", np.int64), ("nontargets", np.int64)])


def merge_ties(records: np.ndarray) -> np.ndarray:
    """Counted scores in ascending order, each score once."""
    records = records[np.argsort(records["score"], kind="stable")]
    first = np.flatnonzero(np.append(True, records["score"][1:] != records["score"][:-1]))
    merged = records[first].copy()
    for kind in ("targets", "nontargets"):
        merged[kind] = np.add.reduceat(records[kind], first)
    return merged


class ScoreRuns:
    """Scores and labels, kept on disk in sorted runs.

    Parameters
    ----------
    folder : Path
        For the runs, 24 bytes a trial at most.
    run_scores : int
        Scores that are sorted at a time; memory is a small multiple of it.
    """

    def __init__(self, folder: Path, run_scores: int = RUN_SCORES) -> None:
        self.folder, self.run_scores = folder, run_scores
        self.num_target = self.num_nontarget = 0
        self._waiting: list[np.ndarray] = []
        self._num_waiting = 0
        self._runs: list[Path] = []

    def add(self, scores: np.ndarray, is_target: np.ndarray) -> None:
        """Take further scores, (num_trials,), and their labels."""
        for at in range(0, len(scores), self.run_scores):
            part = slice(at, at + self.run_scores)
            records = np.empty(len(scores[part]), dtype=COUNTED)
            records["score"], records["targets"], records["nontargets"] = (
                scores[part],
                is_target[part],
                ~is_target[part],
            )
            self._waiting.append(records)
            self._num_waiting += len(records)
            if self._num_waiting >= self.run_scores:
                self._write_run()
        self.num_target += int(is_target.sum())
        self.num_nontarget += int((~is_target).sum())

    def _write_run(self) -> None:
        if self._waiting:
            path = self.folder / f"run.{len(self._runs)}.npy"
            np.save(path, merge_ties(np.concatenate(self._waiting)))
            self._runs.append(path)
            self._waiting, self._num_waiting = [], 0

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield counted scores, in ascending order through all blocks; scores that Kaldi reads as one stay together."""
        self._write_run()
        runs = [np.load(path, mmap_mode="r") for path in self._runs]
        # Regular samples of each run bound a block by twice a run's length (Shi and Schaeffer, JPDC 14, 1992).
        step = max(1, self.run_scores // max(1, len(runs)))
        samples = np.sort(as_kaldi_reads(np.concatenate([run["score"][::step] for run in runs])))
        edges = [*np.unique(samples[len(runs) :: max(1, len(runs))]), np.inf]
        starts = [0] * len(runs)
        for edge in edges:
            ends = [_first_from(run, edge) for run in runs]
            parts = [run[start:end] for run, start, end in zip(runs, starts, ends)]
            starts = ends
            if any(len(part) for part in parts):
                yield merge_ties(np.concatenate(parts))


def _first_from(run: np.ndarray, edge: float) -> int:
    """Number of a sorted run's scores that Kaldi reads as less than `edge`."""
    return bisect_left(range(len(run)), edge, key=lambda at: as_kaldi_reads(run["score"][at]))


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Error rates of a score list; those of costs in the order of the operating points.

    Attributes
    ----------
    num_target, num_nontarget : int
    eer, eer_kaldi : float in [0, 1]
        Interpolated; and as Kaldi's compute-eer defines it.
    min_dcf, act_dcf : tuple of float
        The second is of Bayes decisions, so that it means something for log-likelihood ratios only; so does `cllr`.
    cllr, min_cllr : float
        In bits.
    """

    num_target: int
    num_nontarget: int
    eer: float
    eer_kaldi: float
    min_dcf: tuple[float, ...]
    act_dcf: tuple[float, ...]
    cllr: float
    min_cllr: float


def summarise(
    blocks: Iterator[np.ndarray], num_target: int, num_nontarget: int, points: Sequence[OperatingPoint]
) -> Summary:
    """All error rates in one pass over counted scores in ascending order; the very numbers of `sv.scoring.metrics`.

    Parameters
    ----------
    blocks : iterator of (num_scores,) COUNTED arrays
    num_target, num_nontarget : int
        Trials in all blocks together.
    points : sequence of OperatingPoint

    Raises
    ------
    ValueError
        If one of the two kinds of trial is absent.
    """
    if not num_target or not num_nontarget:
        raise ValueError(f"error rates need target and nontarget trials, got {num_target} and {num_nontarget}")
    missed = rejected = 0  # up to the block
    eer, kaldi = None, None
    minima = np.array([point.cost(0.0, 1.0) for point in points])
    below = np.zeros((len(points), 2))
    bits, pooled = [0.0, 0.0], []
    for block in blocks:
        targets, nontargets = block["targets"], block["nontargets"]
        if kaldi is None:
            kaldi = _kaldi_stop(block, missed, rejected, num_target, num_nontarget)
        misses, rejections = (np.cumsum(np.append(b, own)) for b, own in ((missed, targets), (rejected, nontargets)))
        p_miss, p_fa = misses / num_target, 1 - rejections / num_nontarget
        if eer is None and p_miss[-1] >= p_fa[-1]:
            eer = crossing(p_miss, p_fa)
        minima = np.minimum(minima, [point.cost(p_miss, p_fa).min() for point in points])
        for point, counts in zip(points, below):
            under = slice(0, np.searchsorted(block["score"], point.threshold))
            counts += targets[under].sum(), nontargets[under].sum()
        bits = [before + own for before, own in zip(bits, cllr_sums(block["score"], targets, nontargets))]
        pooled.append(np.stack(pool_adjacent_violators(targets, nontargets)))
        missed, rejected = misses[-1], rejections[-1]
    return Summary(
        num_target=num_target,
        num_nontarget=num_nontarget,
        eer=eer,
        eer_kaldi=(num_target - 1 if kaldi is None else kaldi) / num_target,
        min_dcf=tuple(minima.tolist()),
        act_dcf=tuple(float(p.cost(m / num_target, 1 - r / num_nontarget)) for p, (m, r) in zip(points, below)),
        cllr=float(0.5 * (bits[0] / num_target + bits[1] / num_nontarget)),
        min_cllr=cllr_of_blocks(*pool_adjacent_violators(*np.concatenate(pooled, axis=1))),
    )


def _kaldi_stop(block: np.ndarray, missed: int, rejected: int, num_target: int, num_nontarget: int) -> int | None:
    """The step at which compute-eer stops, if it is one of this block's targets.

    At step p it compares the target of rank p with the nontarget of rank max(0, Q - 1 - floor(Q p / T)), as it reads them; that
    nontarget is the lower one if more nontargets than its rank lie below the target.
    """
    narrow = as_kaldi_reads(block["score"])
    first = np.flatnonzero(np.append(True, narrow[1:] != narrow[:-1]))
    targets, nontargets = (np.add.reduceat(block[kind], first) for kind in ("targets", "nontargets"))
    start = missed + np.cumsum(targets) - targets  # step of the first target of each value
    lower = rejected + np.cumsum(nontargets) - nontargets
    needed = -(-num_target * (num_nontarget - lower) // num_nontarget)  # least p with Q - 1 - floor(Q p / T) < lower
    step = np.maximum(start, needed)
    stops = step[(lower > 0) & (step < start + targets) & (step < num_target - 1)]
    return int(stops[0]) if len(stops) else None
