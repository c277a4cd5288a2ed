"""Kinds of test condition besides added noise: which there are, what a list of them asks for, what this machine can do."""

from sv.base.layout import CODECS, REVERB_SIZES

KINDS = ("noise", "reverb", "codec", "clip", "far")
FORMATS = {
    "gsm": ("RAW", "GSM610"),
    "opus": ("OGG", "OPUS"),
    "vorbis": ("OGG", "VORBIS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
PROTOCOLS = ("exact", "exu_net")  # of added noise: at the SNR on the label, or as local/exu_net_noise.py says
NAMES = (*(f"reverb-{size}" for size in REVERB_SIZES), *(f"codec-{codec}" for codec in CODECS), "clip")
KNOWN = tuple(dict.fromkeys((*KINDS, *NAMES)))


def kinds_of(text: str) -> list[str]:
    """Kinds and single conditions separated by commas, as `noise`, `far` and `NAMES`, each once.

    Raises
    ------
    ValueError
        Naming the option, for one that is not known or stands twice, or a codec that this libsndfile cannot encode.
    """
    found: list[str] = []
    for name in text.split(",") if text else []:
        if name not in KNOWN:
            raise ValueError(f"--conditions: unknown kind {name[:80]!r}; known are {', '.join(KNOWN)}")
        found += [name] if name in ("noise", "far", *NAMES) else [one for one in NAMES if one.startswith(f"{name}-")]
    if len(set(found)) < len(found):
        raise ValueError(f"--conditions {text[:200]}: a condition appears twice")
    check_codecs([name.removeprefix("codec-") for name in found if name.startswith("codec-")])
    return found


def check_codecs(codecs: list[str]) -> None:
    """Raise ValueError, naming the codec and the library, for one that the installed libsndfile cannot encode."""
    if not FORMATS.keys() & set(codecs):
        return
    import soundfile  # late: a recipe asks for its conditions in every run

    formats, version = soundfile.available_formats(), soundfile.__libsndfile_version__
    for codec in (codec for codec in codecs if codec in FORMATS):
        container, subtype = FORMATS[codec]
        if container not in formats or subtype not in soundfile.available_subtypes(container):
            raise ValueError(
                f"--conditions: codec-{codec} needs a libsndfile that encodes {subtype}, this is {version}; "
                "install a newer one, or leave the codec out"
            )
