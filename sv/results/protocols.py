"""Protocols by which noise was added to test sets, and sentences on what they do to the labels of conditions."""

from collections.abc import Mapping, Sequence

from sv.results.rows import EXACT, Row, stamped

NOTES = {
    "exu_net": (
        "5 s pieces of MUSAN, one repeated through an utterance, and 1e-4 added to the power of speech and of noise before the SNR "
        "is set, as the published ExU-Net code does; so the label is not the SNR: speech at -30 dBFS with noise at -50 dBFS is "
        "10.0 dB better than its label, with noise at -60 dBFS 19.6 dB, with noise at -20 dBFS 0.4 dB worse. Compare it with rows "
        "of the same protocol alone"
    )
}


def protocols_of(systems: Sequence[Sequence[Row]]) -> dict[str, str]:
    """Protocol of each system, by name, that has rows of another one than the exact."""
    return {
        row["system"]: stamped(row, "protocol") for rows in systems for row in rows if stamped(row, "protocol") != EXACT
    }


def protocol_notes(protocols: Mapping[str, str]) -> list[str]:
    """One line per protocol: the systems whose rows are of it, and what it does; none for the exact one."""
    alike: dict[str, list[str]] = {}
    for system, protocol in protocols.items():
        alike.setdefault(protocol, []).append(system)
    return [
        f"{', '.join(names)}: noise added by protocol {protocol}: {NOTES.get(protocol, 'not known here')}"
        for protocol, names in alike.items()
    ]
