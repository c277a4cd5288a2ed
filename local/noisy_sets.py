"""Copies of a test set under a condition: draws of noise, and their data directories of lhotse cuts."""

import shutil
from functools import partial
from pathlib import Path

from local.exu_net_noise import ExuNetNoise
from local.kinds import PROTOCOLS
from local.noises import NOISES, own_noise
from local.processed_sets import ROOMS, encoder_of, processed_cut
from sv.base.files import write_text
from sv.base.layout import FAR, SAMPLING_RATE, Condition, parse_condition
from sv.base.seeding import generator
from sv.data.audio import BadAudio
from sv.data.augment import Draw, NoiseLibrary
from sv.data.manifests import cut_of
from sv.data.rendered import write_rendered_dir
from sv.data.utterances import Utterance, read_utterances
from sv.kaldi.data_dir import quarantined
from sv.kaldi.scp import read_table, read_utt2spk

LISTS = ("trials", "enrolment")  # that hold for the noisy set too

EXACT, EXU_NET = PROTOCOLS


def noisy_cut(
    utt: str, speaker: str, source: Utterance, library: NoiseLibrary, condition: Condition, seed: int
) -> tuple[dict, str]:
    """The MixedCut of one utterance in one condition, as a dict, and its line of draws.tsv."""
    speech = source.read_all()
    if not speech.any():
        raise BadAudio(f"{source.path}: every sample is zero, so it has no signal-to-noise ratio")
    category, snr_db = condition.noise, condition.snr_db
    further = () if condition.draw == 1 else (condition.draw,)  # the first draw's key is that of sets without draws
    rng = generator(seed, "noisy-test", utt, category, f"{snr_db:g}", *further)
    pieces = library.draw_noise(rng, category, len(speech))
    draw = Draw(category=category, snr_db=snr_db, pieces=pieces)
    gain = library.gain(draw, speech, library.sum_of(category, pieces, len(speech)))
    cut = library.to_cut(draw, cut_of(utt, speaker, source), speech)
    noises = ",".join(f"{piece.recording}:{piece.start}+{piece.num_samples}@{piece.offset}" for piece in pieces)
    return cut.to_dict(), f"{utt}\t{snr_db:g}\t{gain:.9g}\t{noises}"


def library_of(condition: Condition, data: Path, protocol: str) -> NoiseLibrary:
    """Noise and rooms that a condition draws from."""
    noise, needs_rooms = condition.noise, condition.name.startswith(("reverb-", f"{FAR}-"))
    noises = {noise: data / (NOISES.get(noise) or own_noise(noise)).test} if noise else {}
    if protocol == EXU_NET:
        return ExuNetNoise(noises)
    return NoiseLibrary(noises, data / ROOMS if needs_rooms else None)


def say(path: Path, text: str) -> None:
    """Write a file of one line; without text there is no such file."""
    if text:
        write_text(path, f"{text}\n")
    else:
        path.unlink(missing_ok=True)


def write_condition(name: str, test_dir: Path, data: Path, seed: int, protocol: str = EXACT) -> int:
    """Write the data directory of this name, of a test set under a condition; returns its number of utterances.

    Files `encoder` and `protocol` say what stamps of results need to know; the latter holds for noise that is added to speech and
    nothing else, and is not there if that is at the SNR of its label.
    """
    condition, out = parse_condition(name), data / name
    out.mkdir(parents=True, exist_ok=True)
    protocol = protocol if condition.kind == condition.noise else EXACT
    library = library_of(condition, data, protocol)
    utterances, utt2spk = read_utterances(test_dir), read_utt2spk(test_dir / "utt2spk")
    if condition.kind == condition.noise:
        header = "utterance\tsnr_db\tgain\tnoise:start+samples@offset\n"
        draw = partial(noisy_cut, library=library, condition=condition, seed=seed)
    else:
        header = "utterance\tdrawn\n"
        draw = partial(processed_cut, library=library, condition=condition, data=data, seed=seed)
    rows = [draw(utt, speaker, utterances[utt]) for utt, speaker in utt2spk.items()]
    write_text(out / "draws.tsv", header + "".join(f"{line}\n" for _, line in rows))
    say(out / "encoder", encoder_of(condition))
    say(out / "protocol", protocol if protocol != EXACT else "")
    genders = test_dir / "spk2gender"
    write_rendered_dir(
        out,
        (cut for cut, _ in rows),
        utt2spk=utt2spk,
        utt2dur={utt: utterances[utt].num_samples / SAMPLING_RATE for utt in utt2spk},
        spk2gender=read_table(genders) if genders.exists() else None,
    )
    for name in LISTS:
        if (test_dir / name).exists():
            shutil.copyfile(test_dir / name, out / name)
    return len(rows) + len(quarantined(out))
