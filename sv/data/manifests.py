"""lhotse's view of a Kaldi data directory, and the audio behind either.

Importing lhotse takes seconds, so it happens inside the functions that need it.
"""

import gzip
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from sv.base.files import atomic_write
from sv.base.layout import SAMPLING_RATE
from sv.data.audio import BadAudio, is_pipe
from sv.data.mixing import convolve
from sv.data.utterances import Utterance, read_utterances
from sv.kaldi.scp import DataDirError, byte_order, read_scp, read_utt2spk

CUTS = "cuts.jsonl.gz"


def import_lhotse():
    """Return the lhotse module, reading audio through libsndfile alone (its other back ends need what is not there).

    Its rooms convolve by our function: the last bits of torch's Fourier transform depend on threads and processor.
    """
    os.environ.setdefault("LHOTSE_AUDIO_BACKEND", "LibsndfileBackend")
    import lhotse
    from lhotse.augmentation import rir

    rir.convolve1d = _convolve_tensors
    return lhotse


def _convolve_tensors(signal, kernel):
    import torch

    return torch.from_numpy(convolve(signal.numpy(), kernel.numpy()))


def recording_of(recording_id: str, path: str, num_samples: int):
    """The lhotse Recording of a mono 16 kHz file, without opening it."""
    lhotse = import_lhotse()
    source = lhotse.audio.AudioSource(type="file", channels=[0], source=path)
    return lhotse.Recording(
        id=recording_id,
        sources=[source],
        sampling_rate=SAMPLING_RATE,
        num_samples=num_samples,
        duration=num_samples / SAMPLING_RATE,
    )


def cut_of(cut_id: str, speaker: str, utterance: Utterance, start: int = 0, length: int | None = None):
    """The lhotse MonoCut of an utterance, or of `length` samples of it from `start` on."""
    lhotse = import_lhotse()
    duration = (utterance.num_samples if length is None else length) / SAMPLING_RATE
    supervision = lhotse.SupervisionSegment(
        id=cut_id, recording_id=utterance.recording, start=0.0, duration=duration, channel=0, speaker=speaker
    )
    return lhotse.MonoCut(
        id=cut_id,
        start=((utterance.start or 0) + start) / SAMPLING_RATE,
        duration=duration,
        channel=0,
        supervisions=[supervision],
        recording=recording_of(utterance.recording, utterance.path, utterance.recording_samples),
    )


def repeat_cut(cut, num_samples: int):
    """The cut over and over until it has `num_samples`, as a lhotse MixedCut that can itself be a track."""
    lhotse = import_lhotse()
    tracks = []
    for offset in range(0, num_samples, cut.num_samples):
        rest = min(cut.num_samples, num_samples - offset) / SAMPLING_RATE
        part = cut.truncate(duration=rest) if rest < cut.duration else cut
        tracks.append(lhotse.cut.MixTrack(cut=part, offset=offset / SAMPLING_RATE))
    return lhotse.cut.MixedCut(id=cut.id, tracks=tracks)


@contextmanager
def open_jsonl_gz(path: str | Path) -> Iterator[Callable[[Mapping], None]]:
    """Yield write(item), of one JSON object a line, gzipped without a time stamp; the file appears whole or not at all."""
    with (
        atomic_write(path, "wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0, compresslevel=6) as out,
    ):
        yield lambda item: out.write(json.dumps(item, ensure_ascii=False).encode() + b"\n")


def write_jsonl_gz(path: str | Path, items: Iterable[Mapping]) -> None:
    """Write one JSON object a line, gzipped, whole or not at all: same items, same bytes."""
    with open_jsonl_gz(path) as write:
        for item in items:
            write(item)


def write_manifests(data_dir: str | Path) -> None:
    """Write recordings, supervisions and cuts beside the Kaldi tables; ids of cuts are the utterances'.

    They are written as they are made: of a million utterances no list is kept.
    """
    data_dir = Path(data_dir)
    utterances, written = read_utterances(data_dir), set()
    with (
        open_jsonl_gz(data_dir / "recordings.jsonl.gz") as write_recording,
        open_jsonl_gz(data_dir / "supervisions.jsonl.gz") as write_supervision,
        open_jsonl_gz(data_dir / CUTS) as write_cut,
    ):
        for utt, speaker in read_utt2spk(data_dir / "utt2spk").items():
            cut, supervision = _records_of(utt, speaker, utterances[utt])
            if cut["recording"]["id"] not in written:
                written.add(cut["recording"]["id"])
                write_recording(cut["recording"])
            write_supervision(supervision)
            write_cut(cut)


def _records_of(utt: str, speaker: str, utterance: Utterance) -> tuple[dict, dict]:
    """Records of `cut_of`, and of its supervision as one of the recording, as lhotse writes them, but without importing it."""
    start, duration = (utterance.start or 0) / SAMPLING_RATE, utterance.num_samples / SAMPLING_RATE
    of_cut = {"start": start, "duration": duration, "channel": 0}
    supervision = {"id": utt, "recording_id": utterance.recording} | of_cut | {"speaker": speaker}
    recording = {
        "id": utterance.recording,
        "sources": [{"type": "file", "channels": [0], "source": utterance.path}],
        "sampling_rate": SAMPLING_RATE,
        "num_samples": utterance.recording_samples,
        "duration": utterance.recording_samples / SAMPLING_RATE,
        "channel_ids": [0],
    }
    within = [supervision | {"start": 0.0}]
    return {"id": utt, **of_cut, "supervisions": within, "recording": recording, "type": "MonoCut"}, supervision


def read_cuts(data_dir: str | Path):
    """The lhotse CutSet of a data directory, read as it is iterated; raises DataDirError if it has none."""
    path = Path(data_dir) / CUTS
    if not path.exists():
        raise DataDirError(f"{data_dir}: there is no {CUTS}; make the data directory anew")
    return import_lhotse().CutSet.from_jsonl_lazy(path)


def render(cut) -> np.ndarray:
    """The audio of a lhotse cut, (samples,) float32.

    Raises
    ------
    BadAudio
        If one of its recordings is missing, damaged, or has another length than the cut says. lhotse fills up to 25 ms in silently.
    """
    for path, num_samples, tolerance in _sources(cut):
        try:
            frames = soundfile.info(path).frames
        except soundfile.LibsndfileError as error:
            raise BadAudio(
                f"{cut.id}: {path}: {error.error_string if Path(path).exists() else 'no such file'}"
            ) from error
        if abs(frames - num_samples) > tolerance:
            raise BadAudio(f"{cut.id}: {path}: has {frames} samples, the cut was made for {num_samples}")
    try:
        return cut.load_audio()[0]
    except Exception as error:  # lhotse's own kinds, of which several are plain exceptions
        raise BadAudio(f"{cut.id}: {str(error).strip().splitlines()[0] if str(error).strip() else error!r}") from error


def _sources(cut) -> set[tuple[str, int, int]]:
    """Files of the recordings in a cut, their numbers of samples, and by how many these may be wrong."""
    if hasattr(cut, "tracks"):
        return set().union(*(_sources(track.cut) for track in cut.tracks))
    num_samples, tolerance = cut.recording.num_samples, 0
    for transform in cut.recording.transforms or []:
        if type(transform).__name__ in ("Speed", "Tempo"):  # lhotse rounded the new length
            num_samples, tolerance = round(num_samples * transform.factor), tolerance + 1
    return {(source.source, num_samples, tolerance) for source in cut.recording.sources}


def iter_waveforms(
    data_dir: str | Path, utterances: Collection[str], allow_pipes: bool = False, bad: list[str] | None = None
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (utterance, (samples,) float32 at 16 kHz) in byte order.

    With `bad`, utterances that cannot be used are left out, and it gets a line on each: the utterance and the reason.

    Files of wav.scp are read as they are, or the parts of them that segments names. A noisy set's wav.scp holds pipes for
    other tools: they are never run, lhotse renders the set's cuts instead. The pipes of a directory without cuts run only
    if `allow_pipes`.

    Raises
    ------
    DataDirError
        If an utterance is not there, or in a pipe that may not run.
    BadAudio
        Without `bad`, naming the utterance: its file is missing, its command fails, it is cut off, or not as long as the
        tables say.
    """
    data_dir = Path(data_dir)
    has_segments, wav_scp = (data_dir / "segments").exists(), read_scp(data_dir / "wav.scp")
    found = read_utterances(data_dir, wav_scp) if has_segments else {}
    entries = found if has_segments else wav_scp
    if missing := [utt for utt in utterances if utt not in entries]:
        table = data_dir / ("segments" if has_segments else "wav.scp")
        raise DataDirError(f"{table}: {len(missing)} utterances are not there, e.g. {missing[:3]}")
    ordered = sorted(utterances, key=byte_order)
    locations = wav_scp.values() if has_segments else [wav_scp[utt] for utt in ordered]
    if any(map(is_pipe, locations)):
        if (data_dir / CUTS).exists() and not has_segments:
            yield from _rendered(data_dir, ordered, bad)
            return
        if not allow_pipes:
            raise DataDirError(
                f"{data_dir}/wav.scp holds pipes, and there is no {CUTS} to render instead; --allow-pipes runs them in a shell"
            )
    found = found or read_utterances(data_dir, wav_scp)
    for utt in ordered:
        try:
            samples = found[utt].read_all(allow_pipes)
        except (BadAudio, OSError) as error:
            if bad is None:
                raise BadAudio(f"{data_dir}: {utt}: {error}") from error
            bad.append(f"{utt} of {data_dir}: {error}")
        else:
            yield utt, samples


def _rendered(data_dir: Path, ordered: list[str], bad: list[str] | None) -> Iterator[tuple[str, np.ndarray]]:
    wanted = set(ordered)
    # Cuts lie in byte order too, so the file is read once and nothing is kept.
    for cut in read_cuts(data_dir):
        if cut.id in wanted:
            wanted.remove(cut.id)
            try:
                samples = render(cut)
            except BadAudio as error:
                if bad is None:
                    raise
                bad.append(f"{data_dir}: {error}")
            else:
                yield cut.id, samples
    if wanted:
        raise DataDirError(f"{data_dir}/{CUTS}: {len(wanted)} utterances have no cut, e.g. {sorted(wanted)[:3]}")
