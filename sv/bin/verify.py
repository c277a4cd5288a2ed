"""Do two recordings hold the same speaker?

sv verify --model exp/exu_net a.wav b.wav
sv verify --model exp/exu_net --p-target 0.5 --json a.flac b.m4a

Prints the cosine score, the log-likelihood ratio by the system's calibration (stage 7 makes it), and the decision that
costs least at the prior and costs given. Recordings of any rate and number of channels are made 16 kHz mono.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from sv.bin.common import existing_scp, fail_in_one_line
from sv.data.audio import BadAudio
from sv.embed.embedder import Embedder, utterance_embedding
from sv.embed.inputs import FeatureReader
from sv.features.segments import frames_per_segment
from sv.kaldi import Trials
from sv.scoring import OperatingPoint, score_cosine
from sv.scoring.calibration import read_calibration
from sv.system.folder import load_model


def cosine_of(model_dir: Path, recordings: list[Path]) -> float:
    """Cosine score of two recordings, as stages 5 and 7 compute it."""
    system, frontend, model = load_model(model_dir, "cuda" if torch.cuda.is_available() else "cpu")
    reader = FeatureReader(system, frontend)
    frames = frames_per_segment(frontend, system.extract)
    embedder = Embedder(model, frames, system.extract.batch_size)
    inputs = {str(i): (str(path), path) for i, path in enumerate(recordings)}
    unit = system.extract.unit_segments
    vectors = {key: utterance_embedding(segments, unit) for key, segments in embedder(reader(inputs))}
    if reader.bad:
        raise BadAudio(f"cannot use {reader.bad[0]}")
    return float(score_cosine(Trials(["0"], ["1"], torch.zeros(1, dtype=torch.bool).numpy()), vectors)[0])


def verify(model_dir: Path, recordings: list[Path], point: OperatingPoint) -> dict[str, Any]:
    """Score, log-likelihood ratio, threshold and decision."""
    path = existing_scp(
        model_dir / "calibration" / "cosine.json", "run stage 7, or fit it on held-out trials with sv calibrate fit"
    )
    calibration, record = read_calibration(path)
    if record["inputs"] != ["score"]:
        raise ValueError(f"{path}: expects {', '.join(record['inputs'])}; sv verify has a score alone")
    score = cosine_of(model_dir, recordings)
    llr = float(calibration.llrs([[score]])[0])
    decision = "same speaker" if llr >= point.threshold else "different speakers"
    return {"score": score, "llr": llr, "threshold": point.threshold, "decision": decision}


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(
        prog="sv verify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--model", type=Path, required=True, help="model folder, calibrated")
    parser.add_argument("--p-target", type=float, default=0.05, help="prior probability of one speaker (%(default)s)")
    parser.add_argument("--c-miss", type=float, default=1.0, help="cost of rejecting one speaker (%(default)s)")
    parser.add_argument("--c-fa", type=float, default=1.0, help="cost of accepting two speakers (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("recordings", type=Path, nargs=2, metavar="AUDIO", help="wav, flac or m4a")
    args = parser.parse_args(argv)
    found = verify(args.model, args.recordings, OperatingPoint(args.p_target, args.c_miss, args.c_fa))
    if args.json:
        print(json.dumps(found))
        return
    print(f"score      {found['score']:.4f}   (cosine)")
    print(f"LLR        {found['llr']:.3f}   (natural log; accepted from {found['threshold']:.3f})")
    print(f"decision   {found['decision']}")


if __name__ == "__main__":
    main()
