"""Equal error rate on held-out speakers, for training."""

from collections.abc import Callable
from pathlib import Path

from torch import nn

from sv.embed.inputs import check_features, set_features
from sv.embed.utterances import UtteranceEmbedder
from sv.kaldi import read_trials, read_utt2spk, split_keys
from sv.kaldi.enrolment import read_enrolment
from sv.scoring import compute_eer, model_embeddings, score_cosine
from sv.system.config import SystemConfig
from sv.train.distributed import World, gather_objects


def make_evaluation(
    system: SystemConfig, frontend: nn.Module, valid_dir: Path, feats: Path | None, world: World
) -> Callable[[nn.Module], dict[str, float]]:
    """Make a function from a model to its EER in percent on held-out speakers; the ranks share the utterances.

    Parameters
    ----------
    system : SystemConfig
    frontend : torch.nn.Module
    valid_dir : Path
        Data directory with `trials`, scored by cosine.
    feats : Path, optional
        Folder of its stored features; computed without it.
    world : World

    Raises
    ------
    ValueError, FileNotFoundError
        If the stored features are not those that the system reads, or there are none.
    """
    if feats:
        check_features(feats, system)
    trials = read_trials(valid_dir / "trials")
    utt2spk = read_utt2spk(valid_dir / "utt2spk")
    models = read_enrolment(valid_dir, utt2spk)
    mine = split_keys(list(utt2spk), world.size, world.rank + 1)

    def evaluate(model: nn.Module) -> dict[str, float]:
        embedder = UtteranceEmbedder.of_model(system, frontend, model)
        features = set_features(system, frontend, valid_dir, feats, mine)
        embeddings = {utt: vector for utt, vector, _ in embedder(features)}
        everyone = {utt: vector for part in gather_objects(embeddings) for utt, vector in part.items()}
        everyone |= model_embeddings(models, everyone)
        return {"eer": 100 * compute_eer(score_cosine(trials, everyone), trials.is_target)}

    return evaluate


def check_held_out(speakers: set[str], valid_dir: Path) -> None:
    """Raise ValueError if a training speaker is among a data directory's speakers."""
    if shared := speakers & set(read_utt2spk(valid_dir / "utt2spk").values()):
        raise ValueError(f"{len(shared)} speakers of {valid_dir} are in training, e.g. {min(shared)}")
