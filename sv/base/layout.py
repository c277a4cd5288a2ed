"""Names on disk and the rate of all audio: what a model folder holds, names of conditions, names of stored features."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

SAMPLING_RATE = 16_000  # Hz; of all audio after stage 0
AUDIO_SUFFIXES = tuple(
    ".wav .flac .m4a .mp4 .m4b .aac .mp3 .ogg .oga .opus .aif .aiff .aifc .au .snd .sph .w64 .rf64 .caf .wma .webm .mka .amr .3gp"
    .split()
)  # fmt: skip
CLEAN = "clean"
CROWD = "crowd"  # a noise type of training alone: babble of the training set's own utterances
FAR = "far"  # a room, then noise at an SNR, at a lower level
REVERB_SIZES = ("small", "medium", "large")  # of simulated rooms
CODECS = ("gsm", "opus", "mp3", "vorbis", "telephone")
PROCESSED = re.compile(rf"reverb-(?:{'|'.join(REVERB_SIZES)})|codec-(?!snr)[a-z0-9]+|clip")  # conditions without noise
SNR = r"-?\d+(?:\.\d+)?"  # as `snr_text` writes it
DRAW = r"-draw(?P<draw>[2-9]|[1-9]\d+)"  # ends the name of a condition's second draw, and of those after it
# Options of [extract] that change what stage 3 stores.
FEATURE_KEYS = ("segment_samples", "scheme", "num_segments", "step_samples", "peak_normalise", "raise_to_dbfs")
VAD_KEYS = ("vad", "min_speech")  # likewise, but only of a system with a detector of speech


FOREIGN = ("model.onnx", "program")  # in the folder of a model that is not ours


@dataclass(frozen=True)
class ModelFolder:
    """Files of a model folder, exp/<system>; nothing needs to exist.

    Attributes
    ----------
    path : Path
    """

    path: Path

    @property
    def name(self) -> str:
        """Name of the system."""
        return self.path.name

    @property
    def config(self) -> Path:
        """The system's resolved configuration."""
        return self.path / "config.json"

    @property
    def checkpoints(self) -> Path:
        """Folder of the training states."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """Weights that extraction uses."""
        return self.checkpoints / "best.pt"

    @property
    def weights(self) -> Path:
        """The file whose hash says which model it is: best.pt, or what a model of another kind has in its place."""
        return next((self.path / name for name in FOREIGN if (self.path / name).exists()), self.best)

    @property
    def log(self) -> Path:
        """Training's records, one line per logging step."""
        return self.path / "train.jsonl"

    @property
    def backend(self) -> Path:
        """Folder of the fitted back ends."""
        return self.path / "backend"

    @property
    def results(self) -> Path:
        """Rows of results."""
        return self.path / "results.json"

    @property
    def breakdown(self) -> Path:
        """Rows of results by properties of the test side."""
        return self.path / "breakdown.json"

    def embeddings(self, set_name: str) -> Path:
        """Folder of a set's embeddings."""
        return self.path / "embeddings" / set_name

    def computed(self, set_name: str) -> Path:
        """Precision and runtime of a set's embeddings; not there if they are older than this record: float32 by torch."""
        return self.embeddings(set_name) / "computed.json"

    def vectors(self, set_name: str) -> Path:
        """Index of a set's embeddings, one vector per utterance."""
        return self.embeddings(set_name) / "xvector.scp"

    def segments(self, set_name: str) -> Path:
        """Index of a set's segment embeddings, one matrix per utterance."""
        return self.embeddings(set_name) / "segments.scp"

    def scores(self, set_name: str, backend: str) -> Path:
        """Score file of a set by a back end."""
        return self.path / "scores" / set_name / f"{backend}.scores"

    def calibration(self, backend: str) -> Path:
        """Map from a back end's scores to log-likelihood ratios."""
        return self.path / "calibration" / f"{backend}.json"


class Condition(NamedTuple):
    """A test set under one condition.

    Attributes
    ----------
    test_set : str
    name : str
        "clean", or as in the data directory's name: `<noise>-snr<db>`, `far-<noise>-snr<db>`, or one of `PROCESSED`; with
        `-draw<n>` behind it for every draw but the first. Clean speech and codecs have further draws only of a model that
        draws noise itself, see `own_draw`.
    noise : str, optional
        Type of the noise, as the user calls it; None without noise.
    snr_db : float, optional
    """

    test_set: str
    name: str
    noise: str | None
    snr_db: float | None

    @property
    def draw(self) -> int:
        """Number of the draw of what is random in the condition, from 1."""
        match = re.fullmatch(rf"(?:.*-snr{SNR}|{PROCESSED.pattern}|{CLEAN}){DRAW}", self.name)
        return int(match["draw"]) if match else 1

    @property
    def first_name(self) -> str:
        """Name of the condition's first draw."""
        return self.name.removesuffix(f"-draw{self.draw}") if self.draw > 1 else self.name

    @property
    def kind(self) -> str:
        """Group of conditions in tables: clean, the noise, "far <noise>", reverb, codec or clip."""
        if self.noise is None:
            return self.name.partition("-")[0]
        return f"{FAR} {self.noise}" if re.match(rf"{FAR}-[^-]+-snr", self.name) else self.noise


def has_draws(kind: str) -> bool:
    """True if something of a kind of condition is random: all but clean speech and codecs."""
    return kind != CLEAN and not kind.startswith("codec-")


def own_draw(set_name: str) -> int:
    """Number of the draw of the noise that a model itself draws when it embeds a set; 1 of a set that is itself random.

    The further draws of what is not random, `<test>-clean-draw<n>` and `<test>-codec-<codec>-draw<n>`, have the recordings
    of the first.
    """
    condition = parse_condition(set_name)
    return 1 if has_draws(condition.first_name) else condition.draw


def first_draw(set_name: str) -> str:
    """Name of the data directory that `own_draw` counts draws of; the set itself where it has none of its own."""
    condition = parse_condition(set_name)
    return set_name if own_draw(set_name) == 1 else set_of(condition.test_set, condition.first_name)


def condition_name(
    test_set: str, noise: str | None = None, snr_db: float | None = None, kind: str = "noise", draw: int = 1
) -> str:
    """Name of the data directory of a test set under a condition: `<test>-<noise>-snr<db>`, or `<test>-<kind>`.

    Any noise name will do: what is not a letter, digit, `_`, `.`, `+` or `~` is percent-encoded, dashes included, so that
    `parse_condition` finds the parts again.

    Parameters
    ----------
    test_set : str
    noise : str, optional
    snr_db : float, optional
        Of noise.
    kind : str
        "noise"; "far", which has noise too: `<test>-far-<noise>-snr<db>`; or one of `PROCESSED`.
    draw : int
        From 1; every draw but the first ends in `-draw<n>`.

    Raises
    ------
    ValueError
        If the kind is not known, the noise has no name, the SNR is not a finite number, or there is no such draw.
    """
    if draw < 1 or (draw > 1 and not has_draws(kind)):
        raise ValueError(f"{kind}: there is no draw {draw}")
    suffix = f"-draw{draw}" if draw > 1 else ""
    if PROCESSED.fullmatch(kind):
        return f"{test_set}-{kind}{suffix}"
    if kind not in ("noise", FAR):
        raise ValueError(f"unknown kind of condition {kind!r}")
    if not noise or snr_db is None:
        raise ValueError("a noise type needs a name")
    encoded = quote(noise, safe="+").replace("-", "%2D")
    return f"{test_set}-{'far-' * (kind == FAR)}{encoded}-snr{snr_text(snr_db)}{suffix}"


def snr_text(snr_db: float) -> str:
    """An SNR as names of conditions show it: 5, 2.5, -5; raises ValueError if it is not a finite number."""
    text = f"{snr_db + 0.0:.6f}".rstrip("0").rstrip(".")  # + 0.0: no minus sign before zero
    if not re.fullmatch(r"-?\d+(\.\d+)?", text):
        raise ValueError(f"a signal-to-noise ratio must be a finite number of dB, got {snr_db}")
    return text


def parse_condition(set_name: str) -> Condition:
    """Parts of a data directory's name, or of a further draw's (`own_draw`); any other name is a clean set's."""
    if match := re.fullmatch(rf"(.+?)-({PROCESSED.pattern}|(?:{PROCESSED.pattern}|{CLEAN}){DRAW})", set_name):
        return Condition(match[1], match[2], None, None)
    match = re.fullmatch(rf"(.+?)(-far)?-([^-]+)-snr({SNR})(?:{DRAW})?", set_name)
    if not match:
        return Condition(set_name, CLEAN, None, None)
    test_set, far, encoded, snr, draw = match.groups()
    name = f"{f'{FAR}-' if far else ''}{encoded}-snr{snr}{f'-draw{draw}' if draw else ''}"
    return Condition(test_set, name, unquote(encoded), float(snr))


def set_of(test_set: str, condition: str) -> str:
    """Name of the data directory of a test set under a condition that `parse_condition` named."""
    return test_set if condition == CLEAN else f"{test_set}-{condition}"


def file_stem(key: str) -> str:
    """Name of a file that belongs to an id, without a suffix: one name in one folder, whatever the id holds.

    Letters, digits and `_.-~+@=,` stay; all else is percent-encoded, `/` and a leading dot among it, so that two ids never
    share a file and none leaves the folder.
    """
    name = quote(key, safe="+@=,")
    return f"%2E{name[1:]}" if name.startswith(".") else name


ID_PART = 60  # characters of a part of an id; names of 250 bytes, percent-encoded, would be no file's


def id_of(*names: str) -> str:
    """An id made of several names, the speaker's first, with `-` between them: two lists of names never have one id.

    Each name is written as `file_stem` does, but its own `-`, `+`, `,` and `=` are encoded too, with `=` for `%`: whatever
    the speakers are called, utterances in byte order are in the order of their speakers, as Kaldi wants. What is left of
    a name longer than `ID_PART` ends in `=~` and a digest of it.

    Raises
    ------
    UnicodeEncodeError
        A ValueError, for the name of a file that is not UTF-8.
    """
    parts = []
    for name in names:
        part = re.sub(r"[-+,=]", lambda match: f"%{ord(match[0]):02X}", file_stem(name)).replace("%", "=")
        if len(part) > ID_PART:
            part = f"{part[: ID_PART - 18]}=~{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        parts.append(part)
    return "-".join(parts)


def feature_set(tables: Mapping[str, Any]) -> str | None:
    """Name of the folder of a system's stored features, `<type>-<digest>`; None if it has none.

    Systems with the same [features] and the same segments share one folder.

    Parameters
    ----------
    tables : mapping
        Of a system's TOML file or config.json.
    """
    features, extract = tables.get("features", {}), tables.get("extract", {})
    if features.get("type") in (None, "waveform", "embedding"):
        return None
    names = FEATURE_KEYS + (VAD_KEYS if extract.get("vad") else ())
    key = {"features": features, "extract": {name: extract[name] for name in names if name in extract}}
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return f"{features['type']}-{digest[:6]}"
