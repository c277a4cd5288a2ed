"""The `sv` command: `sv COMMAND ...`, each command a module of sv.bin, with `_` where the command has `-`."""

import importlib
import sys
from collections.abc import Mapping, Sequence

from sv import __version__
from sv.base.output import until_nobody_reads

COMMANDS = {
    "models": "published models by name: list, get, card",
    "embed": "embeddings of audio files, a wav.scp or a feats.scp",
    "backend": "back ends of a training set's embeddings: mean, LDA and PLDA, b-vector",
    "score": "scores of a trial list",
    "verify": "decision for two recordings: same speaker or not",
    "enrol": "a speaker into a database of voices",
    "identify": "who of a database speaks, or nobody",
    "threshold": "a threshold for one's own trials, with its interval",
    "make-trials": "a trial list, drawn from the speakers of a data directory",
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
STAGE_COMMANDS = {
    "resolve_config": "configurations with a recipe's --set in them",
    "compute_feats": "stage 3: features of data directories",
    "train": "stage 4: a system, from a TOML file",
    "make_enhancement_inputs": "stage 4: noisy copies or halves of a training set",
    "make_enhancement_lists": "stage 4: lists that an enhancement is trained on",
    "train_enhancement": "stage 4: an enhancement of embeddings",
    "adapt": "stage 4: a trained model made robust",
    "extract": "stage 5: embeddings of data directories",
    "enhance": "stage 5: enhanced embeddings",
    "speaker_means": "stage 5: each speaker's mean embedding",
    "score_sets": "stage 7: scores and results of test sets",
    "calibrate_sets": "stage 7: calibrated scores of test sets",
    "utt2snr": "signal-to-noise ratio of every utterance",
    "render_cut": "one utterance of a noisy set, as wav",
    "draw_cuts": "what training draws in an epoch, as lhotse cuts",
    "combine_embeddings": "targets of an enhancement, as embeddings",
}


def table(commands: Mapping[str, str]) -> str:
    """Format a group of commands, one per line."""
    width = max(map(len, commands)) + 1
    return "\n".join(f"  {name:{width}s} {purpose}" for name, purpose in commands.items())


USAGE = f"""usage: sv COMMAND ... (sv COMMAND --help tells more)
{table(COMMANDS)}

commands that the stages of a recipe call, also as python -m sv.bin.COMMAND:
{table(STAGE_COMMANDS)}

sv --version prints the version."""


@until_nobody_reads()
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command that the command line names; exit 2 if it names none."""
    command, *rest = (list(sys.argv[1:] if argv is None else argv)) or [""]
    if command in ("-h", "--help"):
        print(USAGE)
    elif command == "--version":
        print(f"sv {__version__}")
    elif command not in COMMANDS | STAGE_COMMANDS:
        problem = f"sv: unknown command {command!r}\n" if command else ""
        print(f"{problem}{USAGE}", file=sys.stderr)
        sys.exit(2)
    else:
        importlib.import_module(f"sv.bin.{command.replace('-', '_')}").main(rest)


if __name__ == "__main__":
    main()
