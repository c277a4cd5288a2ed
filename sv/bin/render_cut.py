"""Write one cut of a lhotse manifest as 16-bit wav to stdout: what the pipes in a noisy set's wav.scp run.

sv render_cut data/voxceleb1_test-babble-snr5/cuts.jsonl.gz id10270-5r0dWxy17C8-00001 > out.wav
"""

import gzip
import io
import json
import sys
from pathlib import Path

import soundfile

from sv.base.layout import SAMPLING_RATE
from sv.bin.common import command_parser, fail_in_one_line
from sv.data.manifests import import_lhotse, render
from sv.kaldi.scp import DataDirError


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and render."""
    parser = command_parser("render_cut", __doc__)
    parser.add_argument("cuts", type=Path, help="jsonl.gz of lhotse cuts")
    parser.add_argument("utterance", help="id of the cut")
    args = parser.parse_args(argv)
    wav = io.BytesIO()
    try:
        soundfile.write(wav, render(find_cut(args.cuts, args.utterance)), SAMPLING_RATE, format="WAV", subtype="PCM_16")
    except (ValueError, OSError) as error:
        sys.exit(f"render_cut: {error}")
    sys.stdout.buffer.write(wav.getvalue())


def find_cut(manifest: Path, utterance: str):
    """The lhotse cut of an utterance; raises DataDirError if the manifest has none."""
    wanted = json.dumps(utterance, ensure_ascii=False)
    with gzip.open(manifest, "rt", encoding="utf-8") as lines:
        for line in lines:
            # A search of the text is a tenth of the work of decoding every cut before the one.
            if wanted in line and (cut := json.loads(line))["id"] == utterance:
                return import_lhotse().cut.set.deserialize_cut(cut)
    raise DataDirError(f"{manifest}: no cut {utterance!r}")


if __name__ == "__main__":
    main()
