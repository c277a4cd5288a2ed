"""The `sv` command: `sv COMMAND ...`, each command a module of sv.bin."""

import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "embed": "embeddings of audio files, a wav.scp or a feats.scp",
    "backend": "mean, LDA and PLDA of a training set's embeddings",
    "score": "scores of a trial list",
    "verify": "whether two recordings hold the same speaker",
    "metrics": "EER, minDCF, Cllr of a score file",
    "calibrate": "scores to log-likelihood ratios",
    "fuse": "scores of several systems to log-likelihood ratios",
    "convert": "a published checkpoint into a model folder",
    "export": "a trained model as one TorchScript or ONNX file",
    "results": "the tables of RESULTS.md, from recorded results",
    "b_vector": "RawNet1's back end: training and scores",
    "embeddings": "published embeddings to and from Kaldi archives",
    "breakdown": "results by room, microphone and the like",
    "report": "results of several systems as tables and a page",
}
USAGE = "usage: sv COMMAND ... (sv COMMAND --help tells more)\n" + "\n".join(
    f"  {name:10s} {what}" for name, what in COMMANDS.items()
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command that the command line names; exit 2 if it names none."""
    command, *rest = (list(sys.argv[1:] if argv is None else argv)) or [""]
    if command in ("-h", "--help"):
        print(USAGE)
    elif command not in COMMANDS:
        problem = f"sv: unknown command {command!r}\n" if command else ""
        print(f"{problem}{USAGE}", file=sys.stderr)
        sys.exit(2)
    else:
        importlib.import_module(f"sv.bin.{command}").main(rest)


if __name__ == "__main__":
    main()
