#!/usr/bin/env python3
"""Speak a small corpus with eSpeak NG, laid out as VCTK 0.80, the Free Spoken Digit Dataset and MUSAN are.

    local/make_synthetic_vctk.py data/mini/corpora


All of it is 16 kHz. Every VCTK speaker reads the same sentence 001, and others after it. The digits are said by other
voices; takes of a digit differ in pitch, rate and channel. The same seed gives the same bytes, whatever --nj. For trying
the recipe out: results on it say nothing about real speech.
"""

import argparse
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from local.make_synthetic_corpus import (
    FEMALE,
    Espeak,
    Voice,
    channel,
    choose_voices,
    run_synthesis,
    sentence,
    speak_all,
    write_noises,
    write_wav,
)
from sv.base.files import write_text
from sv.base.seeding import generator

SENTENCE_001 = "Please call Stella."
DIGITS = ("zero", "one", "two", "three")


@dataclass(frozen=True, kw_only=True)
class Job:
    """Recordings of one voice: made in a process of its own, since eSpeak keeps state from one to the next."""

    kind: str  # "vctk", "digits" or "babble"
    speaker: str
    voice: Voice
    count: int


def speak(job: Job, out: Path, seed: int) -> None:
    """Write the recordings of one voice."""
    espeak, rng = Espeak(), generator(seed, "vctk", job.speaker)
    if job.kind == "babble":
        speech = np.concatenate([espeak.speak(sentence(rng), job.voice) for _ in range(3)])
        write_wav(out / f"musan/speech/librivox/{job.speaker}.wav", 0.5 * speech)
        return
    pass_through = channel(rng)  # a studio: one microphone a speaker
    for number in range(job.count):
        if job.kind == "vctk":
            text = SENTENCE_001 if number == 0 else sentence(generator(seed, job.speaker, number))
            speech = pass_through(espeak.speak(text, job.voice))
            write_wav(out / f"VCTK-Corpus/wav48/{job.speaker}/{job.speaker}_{number + 1:03d}.wav", speech)
            continue
        for digit, word in enumerate(DIGITS):
            take = replace(
                job.voice,
                pitch=job.voice.pitch + int(rng.integers(-4, 5)),
                rate=job.voice.rate + int(rng.integers(-15, 16)),
            )
            speech = channel(rng)(espeak.speak(f"{word}.", take))
            write_wav(out / f"fsdd/recordings/{digit}_{job.speaker}_{number}.wav", speech)


def jobs_of(args: argparse.Namespace) -> list[Job]:
    """All voices, each with one part."""
    counts = {"vctk": args.num_speakers, "digits": args.num_digit_speakers, "babble": args.num_babble}
    voices = iter(choose_voices(sum(counts.values()), args.seed))
    names = {
        "vctk": lambda i: f"p{225 + i}",
        "digits": lambda i: f"voice{chr(ord('a') + i)}",
        "babble": lambda i: f"speech-librivox-{i:04d}",
    }
    takes = {"vctk": args.num_sentences, "digits": args.num_takes, "babble": 1}
    return [
        Job(kind=kind, speaker=names[kind](i), voice=next(voices), count=takes[kind])
        for kind, count in counts.items()
        for i in range(count)
    ]


def make_corpus(out: Path, args: argparse.Namespace) -> None:
    """Write everything below `out`."""
    jobs = jobs_of(args)
    speak_all(partial(speak, out=out, seed=args.seed), jobs, args.nj)
    rows = ["ID  AGE  GENDER  ACCENTS  REGION"]
    for job in jobs:
        if job.kind == "vctk":
            rows.append(f"{job.speaker[1:]}  0  {'F' if job.voice.variant in FEMALE else 'M'}  {job.voice.accent}")
    write_text(out / "VCTK-Corpus/speaker-info.txt", "".join(f"{row}\n" for row in rows))
    write_noises(out, args)


if __name__ == "__main__":
    run_synthesis(
        make_corpus,
        __doc__,
        ("--num-speakers", 40, "of VCTK"),
        ("--num-sentences", 12, "of each"),
        ("--num-digit-speakers", 10, "of the digits"),
        ("--num-takes", 10, "of each digit and speaker"),
    )
