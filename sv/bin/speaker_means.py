"""Average each speaker's embeddings, as Kaldi's ivector-mean does (stage 5).

sv speaker_means --embeddings exp/exu_net/embeddings data/voxceleb1_train data/voxceleb1_test

Reads <embeddings>/<set>/xvector.scp; writes spk_xvector.{ark,scp} and num_utts, lines of <speaker> <number of utterances>.
"""

from pathlib import Path

from sv.base.files import existing_file
from sv.bin.common import command_parser, fail_in_one_line
from sv.kaldi import DataDirError, open_ark_scp, read_utt2spk, read_vectors, write_table
from sv.kaldi.data_dir import quarantined
from sv.kaldi.scp import invert
from sv.scoring.speakers import speaker_means


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and average."""
    parser = command_parser("speaker_means", __doc__)
    parser.add_argument("--embeddings", type=Path, required=True, help="folder of the embeddings")
    parser.add_argument("data_dirs", type=Path, nargs="+", metavar="DATA_DIR")
    args = parser.parse_args(argv)
    for data_dir in args.data_dirs:
        out = (args.embeddings / data_dir.name).absolute()
        vectors, left_out = read_vectors(existing_file(out / "xvector.scp", "run stage 5 first")), quarantined(data_dir)
        utt2spk = {utt: spk for utt, spk in read_utt2spk(data_dir / "utt2spk").items() if utt not in left_out}
        if missing := [utt for utt in utt2spk if utt not in vectors]:
            raise DataDirError(f"{out}/xvector.scp: {len(missing)} utterances are not there, e.g. {missing[:3]}")
        with open_ark_scp(out / "spk_xvector.ark", out / "spk_xvector.scp") as write:
            for speaker, mean in speaker_means(vectors, utt2spk).items():
                write(speaker, mean)
        write_table(out / "num_utts", {speaker: str(len(utts)) for speaker, utts in invert(utt2spk).items()})


if __name__ == "__main__":
    main()
