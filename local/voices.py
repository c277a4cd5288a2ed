"""Names of VOiCES recordings, field by field (Richey et al. 2018, arXiv:1804.05053; the corpus' README)."""

import re
from dataclasses import dataclass

PREFIX = "Lab41-SRI-VOiCES-"
PLACES = "clo|mid|far|beh|tbo|cec|ceo|wal|wlo"  # from the closest to the loudspeaker to obstructed ones
SPEAKER_FIELDS = (("speaker", r"sp\d{4}"), ("chapter", r"ch\d{6}"), ("segment", r"sg\d{4}"))
SOURCE_FIELDS = (("room", "src"), *SPEAKER_FIELDS)
DISTANT_FIELDS = (
    ("room", "rm[1-4]"),
    ("distractor", "none|musi|tele|babb"),
    *SPEAKER_FIELDS,
    ("microphone", r"mc\d{2}"),
    ("microphone type", "stu|lav"),
    ("microphone place", PLACES),
    ("angle", "dg(?:0[0-9]0|1[0-8]0)"),
)
# Type and place of the microphones of rooms 1 and 2; the corpus has no such table of rooms 3 and 4.
MICROPHONES = {
    "mc01": "stu-clo", "mc02": "lav-clo", "mc03": "stu-mid", "mc04": "lav-mid", "mc05": "stu-far", "mc06": "lav-far",
    "mc07": "stu-beh", "mc08": "lav-beh", "mc09": "lav-tbo", "mc10": "lav-cec", "mc11": "lav-ceo", "mc12": "lav-wal",
}  # fmt: skip
ABSENT = "source"  # room, microphone and so on of what was never played in a room


class OddName(ValueError):
    """A file name that is not one of the corpus; the message says which field."""


@dataclass(frozen=True, kw_only=True)
class VoicesName:
    """A recording's name, field by field; `source` stands where a source recording has none.

    Attributes
    ----------
    speaker, chapter, segment : str
        `sp0032`, `ch021631`, `sg0005`: what was read.
    room, distractor, microphone, mic_type, place, angle : str
        `rm1`, `musi`, `mc01`, `stu`, `clo`, `dg090`.
    """

    speaker: str
    chapter: str
    segment: str
    room: str = ABSENT
    distractor: str = ABSENT
    microphone: str = ABSENT
    mic_type: str = ABSENT
    place: str = ABSENT
    angle: str = ABSENT

    @property
    def is_source(self) -> bool:
        """True for what was played, false for a recording of that in a room."""
        return self.room == ABSENT

    @property
    def speech(self) -> tuple[str, str, str]:
        """Speaker, chapter and segment: two recordings of the same words agree in them."""
        return self.speaker, self.chapter, self.segment

    @property
    def utterance(self) -> str:
        """Utterance id: the name's fields, the speaker first."""
        if self.is_source:
            return "-".join((self.speaker, "src", self.chapter, self.segment))
        where = (self.room, self.distractor, self.chapter, self.segment)
        return "-".join((self.speaker, *where, self.microphone, self.mic_type, self.place, self.angle))


def parse_name(stem: str) -> VoicesName:
    """Parse a file name without its suffix.

    Raises
    ------
    OddName
        Naming the first field that is not what it should be.
    """
    if not stem.startswith(PREFIX):
        raise OddName(f"{stem!r} does not begin with {PREFIX}")
    values = stem.removeprefix(PREFIX).split("-")
    fields = SOURCE_FIELDS if values[0] == "src" else DISTANT_FIELDS
    for number, (name, pattern) in enumerate(fields):
        value = values[number] if number < len(values) else ""
        if not re.fullmatch(pattern, value):
            raise OddName(f"{stem!r}: the {name} must be {readable(pattern)}, got {value or 'nothing'!r}")
    if len(values) > len(fields):
        raise OddName(f"{stem!r}: nothing may follow the {fields[-1][0]}, got {'-'.join(values[len(fields) :])!r}")
    if fields is SOURCE_FIELDS:
        return VoicesName(speaker=values[1], chapter=values[2], segment=values[3])
    room, distractor, speaker, chapter, segment, microphone, mic_type, place, angle = values
    expected = MICROPHONES.get(microphone)
    if room in ("rm1", "rm2") and expected != f"{mic_type}-{place}":
        known = f"is {expected}" if expected else f"is not there; there are {min(MICROPHONES)} to {max(MICROPHONES)}"
        raise OddName(f"{stem!r}: in room {room} {microphone} {known}, got {mic_type}-{place}")
    return VoicesName(
        speaker=speaker,
        chapter=chapter,
        segment=segment,
        room=room,
        distractor=distractor,
        microphone=microphone,
        mic_type=mic_type,
        place=place,
        angle=angle,
    )


def readable(pattern: str) -> str:
    """A field's pattern as a person writes it."""
    named = {
        r"sp\d{4}": "spNNNN",
        r"ch\d{6}": "chNNNNNN",
        r"sg\d{4}": "sgNNNN",
        r"mc\d{2}": "mcNN",
        "rm[1-4]": "rm1 to rm4",
    }
    if pattern.startswith("dg"):
        return "dg000 to dg180 in steps of ten"
    return named.get(pattern) or " or ".join(pattern.split("|"))
