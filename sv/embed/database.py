"""A database of voices: each speaker's mean embedding in a Kaldi archive, bound to the model that made it.

    DB/database.json            the model's hash, the archive's name, each speaker's number of recordings
    DB/spk_xvector.<hash>.ark   the means; DB/spk_xvector.scp and DB/num_utts, for Kaldi's programs

database.json is written last but for the two files that follow from it: an interrupted change leaves the old state.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from sv.base.config import ConfigError, from_dict, load_json, write_json
from sv.base.files import sha256_of
from sv.embed.opening import ModelSource
from sv.embed.verification import cosine
from sv.kaldi import DataDirError, open_ark_scp, write_table
from sv.kaldi.ark import iter_ark
from sv.kaldi.scp import byte_order, check_key

RECORD, MEANS, COUNTS = "database.json", "spk_xvector", "num_utts"


@dataclass(frozen=True, kw_only=True)
class Record:
    """Content of database.json.

    Attributes
    ----------
    checkpoint_sha256 : str
        Of the model's weights.
    model : str
        Its name.
    ark : str
        File of the means.
    ark_sha256 : str
    num_utts : dict of str to int
        Recordings of each speaker.
    """

    checkpoint_sha256: str
    model: str
    ark: str = ""
    ark_sha256: str = ""
    num_utts: dict = field(default_factory=dict)


def read_database(folder: Path, source: ModelSource) -> tuple[Record, dict[str, np.ndarray]]:
    """Read a database's record and the speakers' means, (dim,) float32 each.

    Raises
    ------
    ConfigError, DataDirError
        If there is none, another model made it, or it is damaged.
    """
    path = folder / RECORD
    if not path.is_file():
        raise ConfigError(f"{folder}: not a database of voices; sv enrol makes one")
    record = from_dict(Record, load_json(path), str(path))
    if record.checkpoint_sha256 != (own := source.sha256()):
        raise ConfigError(
            f"{folder}: made with other weights ({record.model}, {record.checkpoint_sha256[:12]}) than those of "
            f"{source.name} ({own[:12]}); their embeddings cannot be compared"
        )
    ark = folder / record.ark
    if not ark.is_file() or sha256_of(ark) != record.ark_sha256:
        raise DataDirError(f"{ark}: not the archive that {path} tells of; the database is damaged")
    means = dict(iter_ark(ark))
    if means.keys() != record.num_utts.keys():
        raise DataDirError(f"{path}: its speakers are not those of {record.ark}; the database is damaged")
    return record, means


def enrol(
    folder: Path, source: ModelSource, speaker: str, embeddings: Sequence[np.ndarray], add: bool = False
) -> tuple[int, int]:
    """Add a speaker, or more recordings of one.

    Parameters
    ----------
    folder : path
        Made if there is none.
    source : ModelSource
        The model that the embeddings are of.
    speaker : str
        One word.
    embeddings : sequence of (dim,) numpy.ndarray
        Of the recordings.
    add : bool
        The speaker may be there; the mean is then that of all recordings.

    Returns
    -------
    int, int
        Recordings of the speaker, speakers of the database.

    Raises
    ------
    ConfigError, DataDirError
        If the speaker is there and `add` is False, or as `read_database`.
    """
    check_key(speaker, folder)
    with _locked(folder):
        is_new = not (folder / RECORD).is_file()
        if is_new and (others := [path.name for path in folder.iterdir() if not path.name.startswith(MEANS)]):
            raise ConfigError(f"{folder}: holds {others[0]} and no database of voices; choose another folder")
        record = Record(checkpoint_sha256=source.sha256(), model=source.name)
        record, means = (record, {}) if is_new else read_database(folder, source)
        before = record.num_utts.get(speaker, 0)
        if before and not add:
            raise ConfigError(f"{folder}: {speaker} is enrolled already, from {before} recordings; --add adds to them")
        total = np.sum(np.asarray(embeddings, dtype=np.float64), axis=0) + before * means.get(speaker, 0.0)
        count = before + len(embeddings)
        means[speaker] = (total / count).astype(np.float32)
        _write(folder, replace(record, num_utts={**record.num_utts, speaker: count}), means)
    return count, len(means)


def ranked(means: Mapping[str, np.ndarray], embedding: np.ndarray) -> list[tuple[str, float]]:
    """Speakers and their cosine scores with an embedding, best first; equal ones by name."""
    scores = {speaker: cosine(mean, embedding) for speaker, mean in means.items()}
    return sorted(scores.items(), key=lambda item: (-item[1], byte_order(item[0])))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Make a folder, and let no other process change it meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write(folder: Path, record: Record, means: Mapping[str, np.ndarray]) -> None:
    made = folder / f"{MEANS}.new.ark"
    with open_ark_scp(made, folder / f"{MEANS}.new.scp") as write:
        for speaker in sorted(means, key=byte_order):
            write(speaker, means[speaker])
    digest = sha256_of(made)
    ark = (folder / f"{MEANS}.{digest[:12]}.ark").absolute()
    scp = (folder / f"{MEANS}.new.scp").read_text(encoding="utf-8").replace(f" {made}:", f" {ark}:")
    made.replace(ark)
    (folder / f"{MEANS}.new.scp").unlink()
    write_json(folder / RECORD, replace(record, ark=ark.name, ark_sha256=digest))
    places = dict(line.split(" ", 1) for line in scp.splitlines())
    write_table(folder / f"{MEANS}.scp", places)
    write_table(folder / COUNTS, {speaker: str(count) for speaker, count in record.num_utts.items()})
    for old in folder.glob(f"{MEANS}.*.ark"):
        if old.name != ark.name:
            old.unlink()
