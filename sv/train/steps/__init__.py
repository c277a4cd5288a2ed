"""Step functions: from a batch to its losses; front end, model and criteria in one module, so DDP sees every parameter.

A step is built as `Step(frontend, model, config, num_speakers)`, keeps `model`, and maps (waveforms, references,
speaker_ids, epoch) to losses by name, `loss` among them. It may offer `parameter_groups()`, for the optimiser, whose
groups may set `lr_scale`, and `after_backward()`, which the loop calls before it clips gradients.
"""

from sv.train.steps.classification import ClassificationConfig, ClassificationStep
from sv.train.steps.diff_sv import DiffSVLossConfig, DiffSVStep
from sv.train.steps.enhancement import EnhancementConfig, EnhancementStep, LinearConfig
from sv.train.steps.ge2e import GE2ELossConfig, GE2EStep
from sv.train.steps.metric import MetricConfig, MetricStep
from sv.train.steps.pairs import PairLossConfig, PairStep
from sv.train.steps.rawnet import NormSoftmaxConfig, NormSoftmaxStep, RawNet1LossConfig, RawNet1Step

STEPS = {
    "pairs": (PairLossConfig, PairStep),
    "classification": (ClassificationConfig, ClassificationStep),
    "metric": (MetricConfig, MetricStep),
    "enhancement": (EnhancementConfig, EnhancementStep),
    "linear": (LinearConfig, None),  # in closed form, by sv.bin.train_enhancement
    "ge2e": (GE2ELossConfig, GE2EStep),
    "rawnet1": (RawNet1LossConfig, RawNet1Step),
    "norm_softmax": (NormSoftmaxConfig, NormSoftmaxStep),
    "diff_sv": (DiffSVLossConfig, DiffSVStep),
}
