"""Steps by the type of [loss]: (config class, step class); `sv.train.steps.protocol` has their contract.

A step is built as `Step(frontend, model, config, num_speakers)` and called as `step(batch, epoch)`.
"""

from collections.abc import Mapping
from typing import Any

from sv.base.config import ConfigError
from sv.losses import LOSSES
from sv.train.steps.adaptation import (
    AdapterAdaptation,
    AdaptersConfig,
    ClosedFormAdaptation,
    FrontendAdaptation,
    FrontendConfig,
    FullAdaptation,
    FullConfig,
    WCCNConfig,
)
from sv.train.steps.classification import ClassificationConfig, ClassificationStep
from sv.train.steps.criteria import CriterionConfig, with_options
from sv.train.steps.diff_sv import DiffSVLossConfig, DiffSVStep
from sv.train.steps.embedding_diffusion import EmbeddingDiffusionLossConfig, EmbeddingDiffusionStep
from sv.train.steps.enhancement import ClosedForm, EnhancementConfig, EnhancementStep, LinearConfig
from sv.train.steps.ge2e import GE2ELossConfig, GE2EStep
from sv.train.steps.metric import MetricConfig, MetricStep
from sv.train.steps.noise_lora import NoiseLoRALossConfig, NoiseLoRAStep
from sv.train.steps.pairs import PairLossConfig, PairStep
from sv.train.steps.protocol import StepModule
from sv.train.steps.rawnet import NormSoftmaxConfig, NormSoftmaxStep, RawNet1LossConfig, RawNet1Step

STEPS: dict[str, tuple[type, type[StepModule]]] = {
    "pairs": (PairLossConfig, PairStep),
    "classification": (ClassificationConfig, ClassificationStep),
    "metric": (MetricConfig, MetricStep),
    "enhancement": (EnhancementConfig, EnhancementStep),
    "embedding_diffusion": (EmbeddingDiffusionLossConfig, EmbeddingDiffusionStep),
    "ge2e": (GE2ELossConfig, GE2EStep),
    "rawnet1": (RawNet1LossConfig, RawNet1Step),
    "norm_softmax": (NormSoftmaxConfig, NormSoftmaxStep),
    "diff_sv": (DiffSVLossConfig, DiffSVStep),
    "noise_lora": (NoiseLoRALossConfig, NoiseLoRAStep),
    "adapt_full": (FullConfig, FullAdaptation),
    "adapt_adapters": (AdaptersConfig, AdapterAdaptation),
    "adapt_frontend": (FrontendConfig, FrontendAdaptation),
}
# Fitted, not trained.
CLOSED_FORMS = {"linear": (LinearConfig, ClosedForm), "adapt_wccn": (WCCNConfig, ClosedFormAdaptation)}
LOSS_TYPES = STEPS | CLOSED_FORMS


def loss_record(loss_type: str, table: Mapping[str, Any]) -> type:
    """Class of the record of a [loss] table: the step's, with the options of the criterion that the table names."""
    record = LOSS_TYPES[loss_type][0]
    if issubclass(record, CriterionConfig):
        name = table.get("criterion", record.criterion)
        return with_options(record, name) if name in list(LOSSES) else record  # whose checks name the known ones
    return record


def waveform_step(loss_type: str, where: str) -> type[StepModule]:
    """The step class of a loss of waveforms.

    Raises
    ------
    ConfigError
        Naming the file `where` and what trains it, if the loss is one of embeddings, or adapts a model.
    """
    if loss_type == "linear":
        raise ConfigError(f'{where}: loss.type = "{loss_type}" is fitted in closed form by sv.bin.train_enhancement')
    step = LOSS_TYPES[loss_type][1]
    if step.reads == "embeddings":
        raise ConfigError(
            f'{where}: loss.type = "{loss_type}" reads embeddings; train it with sv.bin.train_enhancement'
        )
    if step.adapts:
        raise ConfigError(f'{where}: loss.type = "{loss_type}" adapts a trained model; train it with sv.bin.adapt')
    return step
