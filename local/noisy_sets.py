"""Noisy copies of a test set: draws of noise, and their data directories of lhotse cuts."""

import shutil
from pathlib import Path

from local.noises import NOISES, own_noise
from sv.base.files import write_text
from sv.base.layout import SAMPLING_RATE, condition_name
from sv.base.seeding import generator
from sv.data.audio import BadAudio
from sv.data.augment import Draw, NoiseLibrary
from sv.data.manifests import cut_of
from sv.data.rendered import write_rendered_dir
from sv.data.utterances import Utterance, read_utterances
from sv.kaldi.data_dir import quarantined
from sv.kaldi.scp import read_table, read_utt2spk

LISTS = ("trials", "enrolment")  # that hold for the noisy set too


def noisy_cut(
    utt: str, speaker: str, source: Utterance, library: NoiseLibrary, category: str, snr_db: float, seed: int
) -> tuple[dict, str]:
    """The MixedCut of one utterance in one condition, as a dict, and its line of draws.tsv."""
    speech = source.read_all()
    if not speech.any():
        raise BadAudio(f"{source.path}: every sample is zero, so it has no signal-to-noise ratio")
    rng = generator(seed, "noisy-test", utt, category, f"{snr_db:g}")
    pieces = library.draw_noise(rng, category, len(speech))
    draw = Draw(category=category, snr_db=snr_db, pieces=pieces)
    gain = library.gain(draw, speech, library.sum_of(category, pieces, len(speech)))
    cut = library.to_cut(draw, cut_of(utt, speaker, source), speech)
    noises = ",".join(f"{piece.recording}:{piece.start}+{piece.num_samples}@{piece.offset}" for piece in pieces)
    return cut.to_dict(), f"{utt}\t{snr_db:g}\t{gain:.9g}\t{noises}"


def write_condition(condition: tuple[str, float], test_dir: Path, data: Path, seed: int) -> int:
    """Write one noisy data directory; returns its number of utterances."""
    category, snr_db = condition
    out = data / condition_name(test_dir.name, category, snr_db)
    out.mkdir(parents=True, exist_ok=True)
    library = NoiseLibrary({category: data / (NOISES.get(category) or own_noise(category)).test})
    utterances, utt2spk = read_utterances(test_dir), read_utt2spk(test_dir / "utt2spk")
    rows = [noisy_cut(utt, spk, utterances[utt], library, category, snr_db, seed) for utt, spk in utt2spk.items()]
    write_text(
        out / "draws.tsv",
        "utterance\tsnr_db\tgain\tnoise:start+samples@offset\n" + "".join(f"{line}\n" for _, line in rows),
    )
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
