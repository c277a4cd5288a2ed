#!/usr/bin/env python3
"""Part RIRS_NOISES' room responses into rooms that training may hear and rooms that are kept for tests.

    local/hold_out_rooms.py data        data/rirs -> data/rirs_train, data/rirs_test

A quarter of the simulated rooms of each size, with all their responses, by a hash of the room's name: the same rooms whatever
else is there, and always at least one of two. Real rooms stay with training.
"""

import argparse
import sys
from pathlib import Path

from sv.base.layout import REVERB_SIZES
from sv.base.seeding import derive_seed
from sv.data.manifests import write_manifests
from sv.kaldi.data_dir import cut_data_dir
from sv.kaldi.scp import DataDirError, read_utt2spk

SHARE = 4  # one room in so many


def held_out(rooms: set[str]) -> set[str]:
    """Rooms of one size that are kept for tests; none if there is but one."""
    keys = {room: derive_seed("held-out room", room) for room in rooms}
    chosen = {room for room, key in keys.items() if key % SHARE == 0}
    if len(rooms) > 1 and len(chosen) in (0, len(rooms)):
        return {min(keys, key=keys.__getitem__)}
    return chosen if len(rooms) > 1 else set()


def room_of(utt: str) -> str:
    """Room of a response named as local/prepare_rirs.py does: `smallroom-Room001` of smallroom-Room001-Room001-00001."""
    return "-".join(utt.split("-")[:2])


def hold_out(data: Path) -> None:
    """Write the two data directories."""
    utts = list(read_utt2spk(data / "rirs" / "utt2spk"))
    kept: set[str] = set()
    for size in REVERB_SIZES:
        kept |= held_out({room_of(utt) for utt in utts if utt.startswith(f"{size}room-")})
    for part, inside in (("train", False), ("test", True)):
        chosen = [utt for utt in utts if (room_of(utt) in kept) == inside]
        if not chosen:
            raise DataDirError(
                f"{data}/rirs: no room for {part}; RIRS_NOISES' simulated rooms have at least two of a size"
            )
        cut_data_dir(data / "rirs", data / f"rirs_{part}", chosen)
        write_manifests(data / f"rirs_{part}")


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("data", type=Path, help="folder of data directories")
    args = parser.parse_args(argv)
    try:
        hold_out(args.data)
    except (DataDirError, OSError) as error:
        sys.exit(f"hold_out_rooms.py: {error}")


if __name__ == "__main__":
    main()
