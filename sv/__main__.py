"""The `sv` command: `sv COMMAND ...`, each command a module of sv.bin."""

import importlib
import sys

COMMANDS = {
    "embed": "embeddings of audio files, a wav.scp or a feats.scp",
    "score": "scores of a trial list",
    "metrics": "EER and minDCF of a score file",
    "convert": "a published checkpoint into a model folder",
    "report": "results of several systems as tables and a page",
}


def main() -> None:
    """Run the command that the command line names."""
    usage = "usage: sv COMMAND ... (sv COMMAND --help tells more)\n" + "\n".join(
        f"  {name:10s} {what}" for name, what in COMMANDS.items()
    )
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(usage)
        sys.exit(0 if len(sys.argv) > 1 else 2)
    if sys.argv[1] not in COMMANDS:
        print(f"sv: unknown command {sys.argv[1]!r}\n{usage}", file=sys.stderr)
        sys.exit(2)
    importlib.import_module(f"sv.bin.{sys.argv[1]}").main(sys.argv[2:])


if __name__ == "__main__":
    main()
