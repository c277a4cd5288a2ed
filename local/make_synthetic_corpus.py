#!/usr/bin/env python3
"""Speak a small corpus with eSpeak NG and synthesise noises, laid out as VoxCeleb1, MUSAN, Nonspeech100 and RIRS_NOISES are.

    local/make_synthetic_corpus.py data/mini/corpora

A speaker is a voice variant with its own accent, pitch, range and rate; no variant of a test speaker is heard in training
or in babble. Each video (session) has a channel of its own: equalisation, level, background noise. The same seed gives the
same bytes, whatever --nj. For trying the recipe out: results on it say nothing about real speech.
"""

import argparse
import ctypes
import json
import multiprocessing
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import numpy as np
import soundfile
from scipy.signal import butter, firwin2, lfilter, resample_poly, sosfilt

from sv.base.files import write_text
from sv.base.layout import SAMPLING_RATE as RATE
from sv.base.numbers import COUNT, SEED
from sv.base.packages import require
from sv.base.progress import counted
from sv.base.seeding import generator

JobT = TypeVar("JobT")
ACCENTS = ("en-us", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-us-nyc")
FEMALE = frozenset("""f1 f4 Andrea Annie anika aunty belinda grandma linda shelby steph steph2 steph3""".split())
# Left out of eSpeak's variants: whispers, which have no pitch; effects that are not speakers; breathy voices, whose noise
# differs from one run to the next.
UNUSABLE = frozenset(
    """whisper whisperf Demonic AnxiousAndy anikaRobot UniRobot fast croak Tweaky announcer
    Alicia f2 f3 f5 sandro victor""".split()
)
WORDS = {
    "who": """the captain|my neighbour|an old teacher|the young doctor|her brother|our driver|the gardener|a tall singer
        |the baker|his cousin|the librarian|a quiet student|the painter|their uncle|a fisherman|the engineer""",
    "did": """carried|described|forgot|noticed|repaired|borrowed|counted|watched|painted|followed|measured|remembered
        |folded|polished|delivered|examined""",
    "what": """seven wooden boxes|the narrow bridge|a letter from Paris|the kitchen window|some very old maps
        |twelve green bottles|a broken clock|the village church|two heavy suitcases|the garden fence|a bowl of cherries
        |the winter schedule""",
    "where": """behind the station|near the quiet harbour|at the corner of the street|under the apple tree
        |on the third floor|beside the river|in the crowded market|outside the theatre|across the valley""",
    "when": """early this morning|just before midnight|after a long journey|during the storm|while it was raining
        |last September|on a cold Thursday|as soon as possible|when nobody was looking|for the first time""",
}


@dataclass(frozen=True, kw_only=True)
class Voice:
    """Sound of a speaker; pitch and pitch range in eSpeak's 0..100, rate in words per minute."""

    variant: str
    accent: str
    pitch: int
    pitch_range: int
    rate: int


@dataclass(frozen=True, kw_only=True)
class Job:
    """The recordings of one speaker: made in a process of its own, since eSpeak keeps state from one to the next."""

    speaker: str
    voice: Voice
    folder: str
    num_utterances: int
    seed: int
    babble: bool = False


def espeak() -> ModuleType:
    """Return the package that carries eSpeak NG's library and voices."""
    require("the synthetic corpus", "recipes", "espeakng_loader")
    import espeakng_loader

    return espeakng_loader


class Espeak:
    """eSpeak NG's library; one per process."""

    def __init__(self) -> None:
        loader = espeak()
        self.lib = ctypes.cdll.LoadLibrary(loader.get_library_path())
        synchronous = 2
        self.rate = self.lib.espeak_Initialize(synchronous, 0, str(loader.get_data_path()).encode(), 0)
        if self.rate <= 0:
            raise RuntimeError("eSpeak NG did not start: its voice data were not found")
        self.chunks: list[np.ndarray] = []
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self.callback = kind(self._receive)  # kept: the library holds only a pointer
        self.lib.espeak_SetSynthCallback(self.callback)

    def _receive(self, samples: object, count: int, events: object) -> int:
        if samples and count > 0:
            self.chunks.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        return 0

    def speak(self, text: str, voice: Voice) -> np.ndarray:
        """Speech at 16 kHz, (samples,) float64."""
        if self.lib.espeak_SetVoiceByName(f"{voice.accent}+{voice.variant}".encode()) != 0:
            raise RuntimeError(f"eSpeak NG has no voice {voice.accent}+{voice.variant}")
        for parameter, value in ((1, voice.rate), (3, voice.pitch), (4, voice.pitch_range)):
            self.lib.espeak_SetParameter(parameter, value, 0)
        self.chunks.clear()
        data, utf8 = text.encode(), 1
        self.lib.espeak_Synth(data, ctypes.c_size_t(len(data) + 1), 0, 0, 0, utf8, None, None)
        speech = np.concatenate(self.chunks).astype(np.float64) / 32768
        return resample_poly(speech, RATE, self.rate)


def choose_voices(count: int, seed: int) -> list[Voice]:
    """Voices with different variants."""
    names = (path.name for path in Path(espeak().get_data_path(), "voices", "!v").iterdir())
    variants = sorted(
        name for name in names if name not in UNUSABLE and " " not in name and not name.startswith("robosoft")
    )
    rng = generator(seed, "voices")
    if count > len(variants):
        sys.exit(f"make_synthetic_corpus.py: {count} speakers asked for, eSpeak NG has {len(variants)} voice variants")
    return [
        Voice(
            variant=variant,
            accent=str(rng.choice(ACCENTS)),
            pitch=int(rng.integers(25, 76)),
            pitch_range=int(rng.integers(30, 71)),
            rate=int(rng.integers(145, 191)),
        )
        for variant in rng.permutation(variants)[:count]
    ]


def sentence(rng: np.random.Generator) -> str:
    """A clause from the word lists."""
    kinds = ("who", "did", "what", str(rng.choice(["where", "when"])))
    clause = " ".join(str(rng.choice(WORDS[kind].split("|"))).strip() for kind in kinds)
    return f"{clause.capitalize()}."


def channel(rng: np.random.Generator):
    """A function that passes speech through one session's equalisation, level and background noise."""
    frequencies = [0, 150, 500, 1500, 3000, 5000, RATE / 2]
    tilt_db = np.cumsum(rng.normal(0, 2.0, len(frequencies)))
    equaliser = firwin2(129, frequencies, 10 ** ((tilt_db - tilt_db.mean()) / 20), fs=RATE)
    level, noise_db, colour = rng.uniform(0.03, 0.12), rng.uniform(25, 40), rng.uniform(0.0, 0.95)

    def apply(speech: np.ndarray) -> np.ndarray:
        wet = lfilter(equaliser, 1, speech)
        wet *= level / np.sqrt(np.mean(wet**2))
        background = lfilter([1], [1, -colour], rng.standard_normal(len(wet)))
        return wet + background * level * 10 ** (-noise_db / 20) / np.sqrt(np.mean(background**2))

    return apply


def write_wav(path: Path, samples: np.ndarray) -> None:
    """16-bit mono wav."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.clip(samples, -1, 1 - 2**-15), RATE, subtype="PCM_16")


def speak_speaker(job: Job) -> None:
    """Write one speaker's recordings: up to three a video, or a long one for babble."""
    espeak = Espeak()
    if job.babble:
        rng = generator(job.seed, job.speaker)
        write_wav(Path(job.folder), 0.5 * np.concatenate([espeak.speak(sentence(rng), job.voice) for _ in range(3)]))
        return
    for number in range(job.num_utterances):
        video, place = divmod(number, 3)
        pass_through = channel(generator(job.seed, job.speaker, "video", video))
        speech = espeak.speak(sentence(generator(job.seed, job.speaker, number)), job.voice)
        write_wav(
            Path(job.folder, job.speaker, video_id(job.speaker, video), f"{place + 1:05d}.wav"), pass_through(speech)
        )


def video_id(speaker: str, video: int) -> str:
    """Eleven characters, as VoxCeleb's videos have."""
    return f"SYN{speaker[2:]}v{video:02d}"


def speaker_jobs(out: Path, args: argparse.Namespace) -> dict[str, list[Job]]:
    """Speakers of dev, test and babble, each with a voice that no one else has."""
    counts = {"dev": args.num_train_speakers, "test": args.num_test_speakers, "babble": args.num_babble}
    voices = iter(choose_voices(sum(counts.values()), args.seed))
    jobs: dict[str, list[Job]] = {}
    for split, count in counts.items():
        jobs[split] = []
        for i in range(count):
            speaker = {"dev": f"id2{i:04d}", "test": f"id1{i:04d}", "babble": f"speech-librivox-{i:04d}"}[split]
            folder = (
                out / "musan/speech/librivox" / f"{speaker}.wav"
                if split == "babble"
                else out / "voxceleb1" / split / "wav"
            )
            jobs[split].append(
                Job(
                    speaker=speaker,
                    voice=next(voices),
                    folder=str(folder),
                    num_utterances=args.num_utterances,
                    seed=args.seed,
                    babble=split == "babble",
                )
            )
    return jobs


def write_lists(root: Path, jobs: dict[str, list[Job]], seed: int) -> None:
    """vox1_meta.csv and veri_test2.txt: every target pair across videos, three times as many nontarget ones."""
    rows = ["VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet"]
    for split in ("dev", "test"):
        for job in jobs[split]:
            gender = "f" if job.voice.variant in FEMALE else "m"
            rows.append(f"{job.speaker}\tSynthetic_{job.voice.variant}\t{gender}\t{job.voice.accent}\t{split}")
    write_text(root / "vox1_meta.csv", "".join(f"{row}\n" for row in rows))
    files = sorted(str(path.relative_to(root / "test/wav")) for path in (root / "test/wav").rglob("*.wav"))
    pairs = [(a, b) for i, a in enumerate(files) for b in files[i + 1 :]]
    targets = [(a, b) for a, b in pairs if a.split("/")[0] == b.split("/")[0] and a.split("/")[1] != b.split("/")[1]]
    others = [(a, b) for a, b in pairs if a.split("/")[0] != b.split("/")[0]]
    rng = generator(seed, "trials")
    chosen = rng.choice(len(others), size=min(len(others), 3 * len(targets)), replace=False)
    lines = [f"1 {a} {b}" for a, b in targets] + [f"0 {others[i][0]} {others[i][1]}" for i in np.sort(chosen)]
    write_text(root / "veri_test2.txt", "".join(f"{line}\n" for line in lines))


def envelope(rng: np.random.Generator, num_samples: int) -> np.ndarray:
    """A slow random modulation between 0.1 and 1."""
    knots = rng.uniform(0.1, 1, max(2, num_samples // 4000))
    return np.interp(np.linspace(0, len(knots) - 1, num_samples), np.arange(len(knots)), knots)


def noise(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Band-limited, modulated noise, with clicks now and then."""
    num_samples = int(seconds * RATE)
    low = rng.uniform(60, 2000)
    band = butter(2, [low, min(7800, low * rng.uniform(1.5, 8))], "bandpass", fs=RATE, output="sos")
    samples = sosfilt(band, rng.standard_normal(num_samples)) * envelope(rng, num_samples)
    samples /= np.abs(samples).max()
    clicks = (rng.random(num_samples) < 2 / RATE) * rng.normal(0, 1, num_samples) * rng.integers(0, 2)
    return 0.3 * samples + 0.3 * lfilter([1], [1, -0.97], clicks)


def music(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Chords of decaying harmonic tones over a beat."""
    beat, root = rng.uniform(0.3, 0.6), rng.uniform(110, 220)
    out = np.zeros(int(seconds * RATE) + RATE)
    for start in np.arange(0, seconds, beat):
        t = np.arange(RATE) / RATE
        for step in rng.choice([0, 3, 4, 5, 7, 9, 12, 16], size=3, replace=False):
            pitch = root * 2 ** (step / 12)
            tone = sum(np.sin(2 * np.pi * pitch * k * t + k) / k**1.5 for k in range(1, 6) if pitch * k < 7500)
            first = int(start * RATE)
            out[first : first + RATE] += tone * np.exp(-4 * t)
    out = out[: int(seconds * RATE)]
    return 0.4 * out / np.abs(out).max()


def event(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """A chirp, a ring or a burst."""
    t = np.arange(int(seconds * RATE)) / RATE
    sweep = np.sin(2 * np.pi * (rng.uniform(300, 3000) * t + rng.uniform(-800, 800) * t**2 / seconds))
    burst = noise(rng, seconds) * np.exp(-3 * t / seconds)
    mix = rng.random()
    return 0.3 * (mix * sweep * (1 + np.sin(2 * np.pi * rng.uniform(2, 12) * t)) / 2 + (1 - mix) * burst)


def room(rng: np.random.Generator) -> np.ndarray:
    """A room response: direct sound and an exponential tail."""
    decay = rng.uniform(0.15, 0.6)
    t = np.arange(int(decay * RATE)) / RATE
    tail = rng.standard_normal(len(t)) * np.exp(-6.9 * t / decay) * rng.uniform(0.05, 0.25)
    tail[0] = 1.0
    return 0.7 * tail / np.abs(tail).max()


# One of each size can be held out for tests.
ROOMS = ("smallroom/Room002", "mediumroom/Room001", "mediumroom/Room002", "largeroom/Room001", "largeroom/Room002")


def write_noises(out: Path, args: argparse.Namespace) -> None:
    """MUSAN's noise and music, Nonspeech100 and room responses."""
    kinds = (
        ("musan/noise/free-sound/noise-free-sound-{:04d}.wav", 20, lambda rng: noise(rng, rng.uniform(4, 15))),
        ("musan/music/fma/music-fma-{:04d}.wav", 12, lambda rng: music(rng, rng.uniform(10, 20))),
        ("Nonspeech100/n{}.wav", 20, lambda rng: event(rng, rng.uniform(0.8, 4))),
        ("RIRS_NOISES/simulated_rirs/smallroom/Room001/Room001-{:05d}.wav", 20, room),
        *((f"RIRS_NOISES/simulated_rirs/{name}/{name[-7:]}-{{:05d}}.wav", 4, room) for name in ROOMS),
    )
    for pattern, count, make in kinds:
        for i in range(1, count + 1):
            write_wav(out / pattern.format(i), make(generator(args.seed, pattern, i)))


def speak_all(speak: Callable[[JobT], None], jobs: Sequence[JobT], nj: int) -> None:
    """Do each job in a process of its own, `nj` at a time."""
    with multiprocessing.get_context("fork").Pool(nj, maxtasksperchild=1) as pool:
        for _ in counted(pool.imap(speak, jobs), len(jobs), "voices", "speakers"):
            pass


def make_corpus(out: Path, args: argparse.Namespace) -> None:
    """Write everything below `out`."""
    jobs = speaker_jobs(out, args)
    speak_all(speak_speaker, [job for split in jobs.values() for job in split], args.nj)
    write_noises(out, args)
    write_lists(out / "voxceleb1", jobs, args.seed)


def publish(out: Path, options: str, make: Callable[[Path], None]) -> None:
    """Make a corpus in a folder beside `out` and rename it, unless `out` is already what the options give."""
    marker = out / ".options.json"
    if marker.exists() and marker.read_text() == options:
        print(f"{out} is complete")
        return
    if out.exists() and not marker.exists():
        sys.exit(f"{Path(sys.argv[0]).name}: {out} exists and was not made by this command; remove it or name another")
    temporary = out.with_name(f"{out.name}.tmp")
    if temporary.is_symlink():  # somebody's: what it points at is not ours to fill or empty
        temporary.unlink()
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    make(temporary)
    readme = "Synthetic: spoken by eSpeak NG and generated noise, laid out as the real corpora are.\n"
    write_text(temporary / "README.txt", readme)
    write_text(temporary / marker.name, options)
    shutil.rmtree(out, ignore_errors=True)
    temporary.rename(out)


def run_synthesis(
    make: Callable[[Path, argparse.Namespace], None], description: str, *sizes: tuple[str, int, str]
) -> None:
    """Parse `OUT --seed --nj --num-babble` and further sizes (option, default, help), and make the corpus."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0], allow_abbrev=False)
    for name, default, text in (*sizes, ("--num-babble", 14, "speakers of the speech for babble")):
        parser.add_argument(name, type=COUNT, default=default, help=text)
    parser.add_argument("--seed", type=SEED, default=0)
    parser.add_argument("--nj", type=COUNT, default=1, help="processes")
    parser.add_argument("out", type=Path, help="folder to write; complete, or not there")
    args = parser.parse_args()
    options = {key: value for key, value in vars(args).items() if key not in ("out", "nj")}
    options["rooms"] = len(ROOMS)  # a corpus of an earlier release, without them, is made anew
    publish(args.out, json.dumps(options, sort_keys=True), lambda out: make(out, args))


if __name__ == "__main__":
    run_synthesis(
        make_corpus,
        __doc__,
        ("--num-train-speakers", 48, "of VoxCeleb1's dev"),
        ("--num-test-speakers", 12, "of VoxCeleb1's test"),
        ("--num-utterances", 10, "of each speaker"),
    )
