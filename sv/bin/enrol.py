"""Add a speaker to a database of voices.

sv enrol --model campplus voices alice a1.wav a2.wav
sv enrol --model campplus voices alice --add a3.wav      more recordings of a speaker who is there
sv identify --model campplus voices someone.wav

The database is a folder: the mean embedding of each speaker as Kaldi ark and scp, the numbers of recordings, and the hash
of the model, which must stay the same.
"""

import sys
from pathlib import Path

from sv.bin.common import command_parser, fail_in_one_line
from sv.bin.options import model_option, speech_options
from sv.embed.database import RECORD, enrol, read_database
from sv.embed.opening import find_source, open_model
from sv.embed.verification import embed_files, warn_of_short


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and enrol."""
    parser = command_parser("enrol", __doc__)
    model_option(parser)
    parser.add_argument("--add", action="store_true", help="the speaker may be there; add to the recordings")
    speech_options(parser, 0.3)
    parser.add_argument("database", type=Path, metavar="DB", help="folder, made if it is not there")
    parser.add_argument("speaker", help="one word")
    parser.add_argument("recordings", type=Path, nargs="+", metavar="AUDIO", help="wav, flac, m4a, mp3, ogg")
    args = parser.parse_intermixed_args(argv)
    if len({path.resolve() for path in args.recordings}) < len(args.recordings):
        parser.error("a recording is given twice")
    source = find_source(args.model)
    if (args.database / RECORD).is_file():
        read_database(args.database, source)  # before the work of embedding
    vectors, seconds = embed_files(open_model(source).listening(args.vad, args.min_speech), args.recordings)
    for line in warn_of_short(args.recordings, seconds):
        print(line, file=sys.stderr)
    count, num_speakers = enrol(args.database, source, args.speaker, vectors, args.add)
    print(f"{args.speaker}: {count} recordings; {args.database}: {num_speakers} speakers")


if __name__ == "__main__":
    main()
