"""Training of an adaptation: the extractor's weights, the training set, and held-out speakers put together."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sv.adaptation.evaluation import check_conditions, make_noisy_evaluation
from sv.adaptation.parent import Parent, load_adaptation
from sv.base.config import ConfigError
from sv.data.augment import AugmentConfig, NoiseLibrary
from sv.data.dataset import TrainingSet, UtteranceIndex, load_batches
from sv.data.sampler import EpochPlan
from sv.embed.evaluation import check_held_out
from sv.kaldi.data_dir import audio_digest
from sv.system.config import SystemConfig, with_speakers
from sv.system.run import TrainingData, build_sampler, digest_of_tables
from sv.train.distributed import World


@dataclass(frozen=True, kw_only=True)
class AdaptationData:
    """Audio that a model is adapted with.

    Attributes
    ----------
    train_dir, valid_dir : Path
        Data directories of clean speech, the latter of held-out speakers, with trials.
    library : NoiseLibrary
        Noise, rooms and microphones of the training.
    augmentation_dirs : list of str
        Their data directories.
    """

    train_dir: Path
    valid_dir: Path
    library: NoiseLibrary
    augmentation_dirs: list[str]


def adaptation_of(
    config: Path, parent: Parent, data: AdaptationData, seed: int, world: World
) -> tuple[SystemConfig, TrainingData]:
    """System that adapts a model as a TOML file says, and what it is trained on.

    Raises
    ------
    ConfigError
        If the model cannot be adapted so, or the file is not an adaptation's.
    DataDirError
        If there is no clean audio to train on.
    """
    system = load_adaptation(config, parent)
    check_augmented(system.augment, str(config))
    check_conditions(system.loss.held_out, data.library, str(config))
    index = UtteranceIndex(data.train_dir)
    dataset = TrainingSet(index, system.train.crop_samples, system.augment, data.library, seed)
    check_held_out(set(index.speakers), data.valid_dir)
    system = with_speakers(system, dataset.num_speakers, seed)
    sampler = build_sampler(system, dataset.speaker_ids, world)
    training = TrainingData(
        plan=EpochPlan(sampler, partial(load_batches, dataset, num_workers=system.train.num_workers)),
        make_evaluation=lambda frontend: make_noisy_evaluation(system, frontend, data.valid_dir, data.library, world),
        identity={
            "training data": digest_of_tables(data.train_dir),
            "training audio": audio_digest([data.train_dir, data.valid_dir, *data.augmentation_dirs]),
        },
        summary=(
            f"adapted from {parent.record.name}, {len(dataset)} utterances of {system.num_speakers} speakers, "
            f"{sampler.steps_per_epoch} steps an epoch, {sampler.num_left_over} crops left over"
        ),
        prepare=lambda step: step.start_from(parent.weights),
    )
    return system, training


def check_augmented(augment: AugmentConfig, where: str) -> None:
    """Raise ConfigError if what the student hears is what the teacher hears: there is nothing to learn."""
    if not augment.noise_prob + augment.reverb_prob + augment.channel_prob:
        raise ConfigError(
            f"{where}: augment.noise_prob, reverb_prob and channel_prob are all 0, so that student and teacher would hear "
            "the same; set one of them"
        )
