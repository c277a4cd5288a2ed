"""Copies of a test set that passed a room, a codec or a clipping amplifier, or were recorded from afar, as lhotse cuts.

Each draw is keyed by (seed, utterance, condition), so it does not depend on what else is in the set.
"""

from pathlib import Path

import numpy as np
import soundfile

from local.kinds import FORMATS
from sv.base.files import atomic_write
from sv.base.layout import FAR, SAMPLING_RATE, Condition
from sv.base.seeding import generator
from sv.data.augment import Draw, NoiseLibrary
from sv.data.manifests import cut_of, recording_of
from sv.data.utterances import Utterance
from sv.kaldi.scp import DataDirError

COMPRESSION = 0.99  # lhotse's scale from 0 to 1; its default
CLIP_DB = (10.0, 20.0)  # above the level at which the loudest sample is still whole
LEVEL_DB = (-20.0, 0.0)  # of far speech against the close one
BAND = (300.0, 3400.0)  # Hz, of a telephone
NUM_TAPS = 511
ROOMS = "rirs_test"  # data directory of the rooms that training does not hear, from local/hold_out_rooms.py


def room_of(library: NoiseLibrary, rng: np.random.Generator, size: str = "") -> str:
    """Draw a held-out simulated room's response: one of a size's, or, without a size, of any.

    Raises
    ------
    DataDirError
        If no room of the size was held out.
    """
    names = [
        key for key in library.rirs.ids if key.startswith(f"{size}room-" if size else ("small", "medium", "large"))
    ]
    if not names:
        raise DataDirError(
            f"{ROOMS}: no {size or 'simulated'} room was held out; RIRS_NOISES has at least two of a size"
        )
    return names[rng.integers(len(names))]


def processed_cut(
    utt: str, speaker: str, source: Utterance, library: NoiseLibrary, condition: Condition, data: Path, seed: int
) -> tuple[dict, str]:
    """The cut of one utterance in one condition, as a dict, and its line of draws.tsv."""
    rng = generator(seed, "processed-test", utt, condition.name)
    cut, name = cut_of(utt, speaker, source), condition.first_name
    if condition.kind.startswith(f"{FAR} "):
        return _far_cut(cut, source, library, condition, rng)
    if condition.kind == "reverb":
        room = room_of(library, rng, name.removeprefix("reverb-"))
        return library.to_cut(Draw(rir=room), cut, source.read_all()).to_dict(), f"{utt}\t{room}"
    if condition.kind == "clip":
        gain_db = round(float(rng.uniform(*CLIP_DB)), 3)
        clipped = cut.clip_amplitude(hard=True, gain_db=gain_db, oversampling=None, affix_id=False)
        return clipped.to_dict(), f"{utt}\t{gain_db:g} dB"
    codec = name.removeprefix("codec-")
    if codec == "telephone":
        band = recording_of("telephone-band", str(telephone_band(data)), NUM_TAPS)
        return cut.reverb_rir(band, affix_id=False).narrowband("mulaw", affix_id=False).to_dict(), f"{utt}\t{codec}"
    return cut.compress(codec, COMPRESSION).to_dict(), f"{utt}\t{codec}"


def _far_cut(
    cut, source: Utterance, library: NoiseLibrary, condition: Condition, rng: np.random.Generator
) -> tuple[dict, str]:
    """A lower level, a room, then noise at the SNR against the reverberated speech."""
    factor = round(10 ** (float(rng.uniform(*LEVEL_DB)) / 20), 6)
    speech = source.read_all() * np.float32(factor)
    room = room_of(library, rng)
    pieces = library.draw_noise(rng, condition.noise, len(speech))
    draw = Draw(category=condition.noise, snr_db=condition.snr_db, pieces=pieces, rir=room)
    far = library.to_cut(draw, cut.perturb_volume(factor, affix_id=False), speech)
    noises = ",".join(f"{piece.recording}:{piece.start}+{piece.num_samples}@{piece.offset}" for piece in pieces)
    return far.to_dict(), f"{cut.id}\t{room}, level {factor:g}, {noises}"


def telephone_band(data: Path) -> Path:
    """File of the linear-phase band-pass filter of a telephone; written if it is not there."""
    path = data.absolute() / "telephone_band.wav"
    if not path.exists():
        from scipy.signal import firwin  # a second to import, once for a data folder

        taps = firwin(NUM_TAPS, BAND, pass_zero=False, fs=SAMPLING_RATE).astype(np.float32)
        with atomic_write(path, "wb") as file:
            soundfile.write(file, taps, SAMPLING_RATE, format="WAV", subtype="FLOAT")
    return path


def encoder_of(condition: Condition) -> str:
    """Library and version that renders a codec's condition; empty for others."""
    codec = condition.name.removeprefix("codec-")
    if codec in FORMATS:
        return f"libsndfile {soundfile.__libsndfile_version__}, compression {COMPRESSION:g}"
    return "mu-law 8 kHz" if codec == "telephone" else ""
