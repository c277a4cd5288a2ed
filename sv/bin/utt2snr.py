"""Estimate the signal-to-noise ratio of every utterance of data directories, for calibration with qualities.

sv utt2snr data/voxceleb1_valid data/voxceleb1_test-babble-snr5 ...

Writes <data dir>/utt2snr, lines of <utt> <dB>. Noisy sets are rendered.
"""

from pathlib import Path

from sv.bin.common import command_parser, fail_in_one_line
from sv.data.manifests import iter_waveforms
from sv.data.quality import estimate_snr
from sv.kaldi import read_utt2spk, write_table


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and estimate."""
    parser = command_parser("utt2snr", __doc__)
    parser.add_argument("data_dirs", type=Path, nargs="+", metavar="DATA_DIR")
    args = parser.parse_args(argv)
    for data_dir in args.data_dirs:
        utts = list(read_utt2spk(data_dir / "utt2spk"))
        snrs = {utt: f"{estimate_snr(samples):.2f}" for utt, samples in iter_waveforms(data_dir, utts)}
        write_table(data_dir / "utt2snr", snrs)


if __name__ == "__main__":
    main()
