"""Equal error rate on held-out speakers, clean and in noise, for choosing the weights of an adaptation."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn

from sv.base.config import ConfigError
from sv.base.layout import CLEAN
from sv.base.seeding import generator
from sv.data.augment import AugmentConfig, NoiseLibrary, parts_of
from sv.data.manifests import iter_waveforms
from sv.data.mixing import noise_gain, power
from sv.embed.utterances import UtteranceEmbedder
from sv.features.segments import compute_features
from sv.kaldi import read_trials, read_utt2spk, split_keys
from sv.kaldi.enrolment import read_enrolment
from sv.scoring import compute_eer, model_embeddings, score_cosine
from sv.system.config import SystemConfig
from sv.train.distributed import World, gather_objects

NoisyAs = tuple[str, float] | None  # noise and SNR in dB; None: clean


class HeldOutAudio:
    """Held-out utterances, clean or with noise that is the same at every evaluation.

    Parameters
    ----------
    valid_dir : Path
    library : NoiseLibrary
        Of the training noise.
    augment : AugmentConfig
        Tells the number of talkers in babble.
    seed : int
    """

    def __init__(self, valid_dir: Path, library: NoiseLibrary, augment: AugmentConfig, seed: int) -> None:
        self.valid_dir, self.library, self.seed = valid_dir, library, seed
        self.augment = replace(augment, noise_prob=1.0, reverb_prob=0.0, channel_prob=0.0)

    def __call__(self, utterances: Sequence[str], condition: NoisyAs) -> Iterator[tuple[str, np.ndarray]]:
        """Yield each utterance and its (samples,)."""
        for utterance, samples in iter_waveforms(self.valid_dir, utterances):
            yield utterance, self._noisy(utterance, samples, *condition) if condition else samples

    def _noisy(self, utterance: str, samples: np.ndarray, noise: str, snr_db: float) -> np.ndarray:
        rng = generator(self.seed, "held-out", f"{noise} {snr_db:g}", utterance)
        pieces = self.library.draw_noise(rng, noise, len(samples), self.augment.num_babble)
        total = self.library.sum_of(noise, pieces, len(samples))
        return samples + np.float32(noise_factor(samples, total, snr_db)) * total


def noise_factor(speech: np.ndarray, noise: np.ndarray, snr_db: float) -> float:
    """Factor that brings noise to an SNR; 0 for silent speech, whose SNR is undefined."""
    return noise_gain(power(speech), power(noise), snr_db) if speech.any() else 0.0


def check_conditions(conditions: Sequence[tuple[str, float]], library: NoiseLibrary, where: str) -> None:
    """Raise ConfigError if a condition's noise is none of the training's."""
    for noise, _ in conditions:
        if absent := [part for part in parts_of(noise) if part not in library.noises]:
            raise ConfigError(
                f"{where}: loss.held_out: no recordings of {absent[0]!r}; there are {', '.join(sorted(library.noises))}"
            )


def make_noisy_evaluation(
    system: SystemConfig, frontend: nn.Module, valid_dir: Path, library: NoiseLibrary, world: World
) -> Callable[[nn.Module], dict[str, float]]:
    """Make a function from a model to its EERs in percent on held-out speakers; the ranks share the utterances.

    `eer`, which picks the weights, is the mean of clean speech and the conditions of [loss] held_out, each of which is
    there by name, too. Embeddings are of utterances as [extract] cuts them, scores cosines.

    Parameters
    ----------
    system : SystemConfig
    frontend : torch.nn.Module
    valid_dir : Path
        Data directory with `trials`.
    library : NoiseLibrary
    world : World
    """
    trials, utt2spk = read_trials(valid_dir / "trials"), read_utt2spk(valid_dir / "utt2spk")
    models = read_enrolment(valid_dir, utt2spk)
    mine = split_keys(list(utt2spk), world.size, world.rank + 1)
    audio = HeldOutAudio(valid_dir, library, system.augment, system.seed)
    conditions: dict[str, NoisyAs] = {CLEAN: None}
    conditions |= {f"{noise}-snr{snr_db:g}": (noise, snr_db) for noise, snr_db in system.loss.held_out}

    def eer_of(embedder: UtteranceEmbedder, condition: NoisyAs) -> float:
        heard = ((utt, compute_features(frontend, samples, system.extract)) for utt, samples in audio(mine, condition))
        embeddings = {utt: vector for utt, vector, _ in embedder(heard)}
        everyone = {utt: vector for part in gather_objects(embeddings) for utt, vector in part.items()}
        everyone |= model_embeddings(models, everyone)
        return 100 * compute_eer(score_cosine(trials, everyone), trials.is_target)

    def evaluate(model: nn.Module) -> dict[str, float]:
        embedder = UtteranceEmbedder.of_model(system, frontend, model)
        found = {name: eer_of(embedder, condition) for name, condition in conditions.items()}
        return {"eer": sum(found.values()) / len(found), **{f"eer_{name}": eer for name, eer in found.items()}}

    return evaluate
