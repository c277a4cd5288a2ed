"""Write one cut of a lhotse manifest as 16-bit wav to stdout: what the pipes in a noisy set's wav.scp run.

python -m sv.bin.render_cut data/voxceleb1_test-babble-snr5/cuts.jsonl.gz id10270-5r0dWxy17C8-00001 > out.wav
"""

import argparse
import io
import sys
from pathlib import Path

import soundfile

from sv.data.audio import SAMPLING_RATE
from sv.data.manifests import import_lhotse, render


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and render."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("cuts", type=Path, help="jsonl.gz of lhotse cuts")
    parser.add_argument("utterance", help="id of the cut")
    args = parser.parse_args(argv)
    for cut in import_lhotse().CutSet.from_jsonl_lazy(args.cuts):
        if cut.id == args.utterance:
            wav = io.BytesIO()
            soundfile.write(wav, render(cut), SAMPLING_RATE, format="WAV", subtype="PCM_16")
            sys.stdout.buffer.write(wav.getvalue())
            return
    sys.exit(f"{args.cuts}: no cut {args.utterance}")


if __name__ == "__main__":
    main()
