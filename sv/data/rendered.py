"""Data directories whose audio is rendered from lhotse cuts: nothing is copied."""

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from sv.data.manifests import CUTS, write_jsonl_gz
from sv.kaldi.data_dir import write_data_dir


def write_rendered_dir(
    out: str | Path,
    cuts: Iterable[Mapping],
    *,
    utt2spk: Mapping[str, str],
    utt2dur: Mapping[str, float],
    spk2gender: Mapping[str, str] | None = None,
) -> None:
    """Write the cuts, as dicts with the utterances as ids, and a Kaldi data directory whose wav.scp renders them.

    The entries of wav.scp are pipes for other tools' sake; ours read the cuts and never run a pipe.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    write_jsonl_gz(out / CUTS, cuts)
    manifest = shlex.quote(str((out / CUTS).absolute()))
    write_data_dir(
        out,
        wav_scp={utt: f"python -m sv.bin.render_cut {manifest} {shlex.quote(utt)} |" for utt in utt2spk},
        utt2spk=utt2spk,
        utt2dur=utt2dur,
        spk2gender=spk2gender,
    )
