"""The joint loss of NoiseLoRA-SV: its terms by hand, what each of them reaches, and the teacher that stays."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.data.dataset import Batch
from sv.losses import AAMSoftmax, AAMSoftmaxConfig
from sv.losses.distillation import masked_contrast
from sv.models.noise_lora import NoiseLoRA, NoiseLoRAConfig
from sv.train.config import TrainConfig
from sv.train.distributed import World
from sv.train.loop import Trainer, make_optimizer
from sv.train.steps.noise_lora import NoiseLoRALossConfig, NoiseLoRAStep

LIGHT = NoiseLoRAConfig(
    num_mel_bins=16, channels=8, res2net_scale=4, squeezed_channels=4, attention_channels=4, aggregated_channels=12,
    embedding_dim=5, noise_channels=(2, 3, 4, 5), rnn_channels=2, rnn_hidden=3, noise_dim=4, hyper_hidden=6, gate_hidden=3,
    init_scale=0.3,
)  # fmt: skip


class Mels(nn.Module):
    """Sixteen rows of features, which are not centred."""

    def forward(self, waveforms: Tensor) -> Tensor:
        return waveforms.unflatten(1, (16, -1)) + 3.0


@pytest.fixture
def batch(batch_of) -> Batch:
    generator = torch.Generator().manual_seed(0)
    references, noise = torch.randn(2, 4, 16 * 24, generator=generator)
    noise[1] = 0.0
    return batch_of(references + 0.5 * noise, torch.tensor([1, 0, 1, 2]), references)


def step_of(**config) -> NoiseLoRAStep:
    torch.manual_seed(1)
    return NoiseLoRAStep(Mels(), NoiseLoRA(LIGHT), NoiseLoRALossConfig(**config), num_speakers=3)


def test_other_utterances_of_a_speaker_are_no_wrong_ones() -> None:
    students = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    teachers = torch.tensor([[1.0, 0.0], [0.0, 3.0], [5.0, 0.0]])
    root, warmth = math.sqrt(0.5), 0.5
    first = math.log(1 + math.exp((0 - 1) / warmth))  # against the second alone: the third is of the same speaker
    second = math.log(1 + 2 * math.exp((0 - 1) / warmth))
    third = math.log(1 + math.exp((root - root) / warmth))
    found = masked_contrast(students, teachers, torch.tensor([7, 3, 7]), warmth)
    assert found.item() == pytest.approx((first + second + third) / 3, abs=1e-6)


def test_one_speaker_alone_has_nothing_to_be_told_apart_from() -> None:
    students = torch.randn(3, 2, requires_grad=True)
    loss = masked_contrast(students, torch.randn(3, 2), torch.zeros(3, dtype=torch.long), 0.1)
    loss.backward()
    assert loss.item() == 0 and torch.equal(students.grad, torch.zeros(3, 2))


def test_terms_by_hand(batch) -> None:
    step = step_of(speaker=2.0, distillation=3.0, noise=0.5, temperature=0.2).eval()
    losses = step(batch)
    features, clean = batch.waveforms.unflatten(1, (16, -1)), batch.references.unflatten(1, (16, -1))
    embeddings, estimate = step.model.embed_and_estimate(features)
    criterion = AAMSoftmax(5, 3, AAMSoftmaxConfig(scale=30.0))
    criterion.load_state_dict(step.criteria["speaker"].state_dict())
    expected = criterion(embeddings, batch.speaker_ids, 0.2)
    torch.testing.assert_close(losses["speaker"], expected, rtol=1e-4, atol=1e-5)
    targets = step.teacher.embed(clean)
    expected = masked_contrast(embeddings, targets, batch.speaker_ids, 0.2)
    torch.testing.assert_close(losses["distillation"], expected, rtol=1e-4, atol=1e-5)
    heard = [0, 2, 3]  # the second crop has no noise
    noise = (features - clean)[heard]
    expected = F.mse_loss(estimate[heard], noise - noise.mean(dim=2, keepdim=True))
    torch.testing.assert_close(losses["noise"], expected, rtol=1e-4, atol=1e-5)
    total = 2 * losses["speaker"] + 3 * losses["distillation"] + 0.5 * losses["noise"]
    torch.testing.assert_close(losses["loss"], total)


def test_a_batch_without_any_noise_has_no_noise_loss(batch_of) -> None:
    clean = torch.randn(2, 16 * 24)
    losses = step_of()(batch_of(clean, torch.tensor([0, 1])))
    assert losses["noise"].item() == 0 and torch.isfinite(losses["loss"])


def gradients_of(step: NoiseLoRAStep, loss: Tensor) -> dict[str, float]:
    """Largest gradient of each part."""
    step.zero_grad()
    loss.backward()
    prefixes = ("model.adapters.", "model.noise.decoder.", "model.noise.", "teacher.", "criteria.", "model.")
    largest = {}
    for name, parameter in step.named_parameters():
        part = next(prefix for prefix in prefixes if name.startswith(prefix))
        value = 0.0 if parameter.grad is None else parameter.grad.abs().max().item()
        largest[part] = max(value, largest.get(part, 0.0))
    return largest


@pytest.mark.parametrize(
    ("term", "reached"),
    [
        ("speaker", {"model.", "model.adapters.", "model.noise.", "criteria."}),
        ("distillation", {"model.", "model.adapters.", "model.noise."}),
        ("noise", {"model.noise.", "model.noise.decoder."}),
    ],
)
def test_every_loss_reaches_its_parts_and_no_other(term, reached, batch) -> None:
    step = step_of().train()
    assert {part for part, value in gradients_of(step, step(batch)[term]).items() if value > 0} == reached


def test_everything_but_the_teacher_is_trained(batch) -> None:
    step = step_of().train()
    before = {name: value.clone() for name, value in step.state_dict().items()}
    Trainer(step, TrainConfig(lr=1e-2, amsgrad=False), World()).train_step(batch, 1e-2)
    changed = {name for name, value in step.state_dict().items() if not torch.equal(value, before[name])}
    assert not {name for name in changed if name.startswith("teacher.")}
    trained = {name for name, parameter in step.named_parameters() if not name.startswith("teacher.")}
    without = {name for name in trained - changed if not name.endswith(".bias")}  # some reach a softmax or a norm alone
    assert without == set()
    assert step.training and not step.teacher.training and not step.eval().training


def test_the_encoder_has_a_learning_rate_of_its_own() -> None:
    step = step_of(encoder_lr=0.25)
    optimizer = make_optimizer(step, TrainConfig(decayed="matrices"))
    rates = {id(each): group["lr_scale"] for group in optimizer.param_groups for each in group["params"]}
    names = {name: rates.get(id(parameter)) for name, parameter in step.named_parameters()}
    assert {name.split(".")[0] for name, rate in names.items() if rate is None} == {"teacher"}
    assert len(rates) == sum(rate is not None for rate in names.values())
    slow = {name for name, rate in names.items() if rate == 0.25}
    assert slow == {f"model.{name}" for name, _ in step.teacher.named_parameters()}


def test_one_rate_for_all_trains_each_weight_once() -> None:
    groups = step_of(encoder_lr=1.0).parameter_groups("all")
    chosen = [id(each) for group in groups for each in group["params"]]
    assert len(chosen) == len(set(chosen))


@pytest.mark.parametrize(
    ("config", "terms", "gone"),
    [
        ({"distillation": 0.0}, {"speaker", "noise"}, "teacher."),
        ({"noise": 0.0}, {"speaker", "distillation"}, "-"),
        ({"speaker": 0.0}, {"distillation", "noise"}, "criteria."),
    ],
)
def test_a_term_of_weight_0_is_left_out(config, terms, gone, batch) -> None:
    step = step_of(**config).train()
    losses = step(batch)
    assert losses.keys() == terms | {"loss"}
    assert not [name for name in step.state_dict() if name.startswith(gone)]
    losses["loss"].backward()
    assert all(each.grad is not None for each in step.parameters() if each.requires_grad)  # as several ranks need it


def test_the_teacher_follows_the_weights_that_training_starts_from() -> None:
    step = step_of()
    weights = {name: value + 1 for name, value in step.model.state_dict().items()}
    step.model.load_state_dict(weights)
    assert not torch.equal(step.teacher.fc.weight, step.model.fc.weight)
    step.follow_start()
    assert all(torch.equal(value, weights[name]) for name, value in step.teacher.state_dict().items())


def test_the_result_has_no_teacher() -> None:
    step = step_of()
    assert step.result() is step.model
    assert not [name for name in step.model.state_dict() if "teacher" in name]


def test_another_network_is_refused(tiny) -> None:
    with pytest.raises(ValueError, match=r'loss\.type = "noise_lora" trains model\.type = "noise_lora" alone'):
        NoiseLoRAStep(*tiny, NoiseLoRALossConfig(), num_speakers=3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"temperature": 0.0}, "temperature must be positive, got 0.0"),
        ({"noise": -1.0}, "noise must not be negative, got -1.0"),
        ({"speaker": 0.0, "distillation": 0.0}, "speaker or distillation must be positive"),
        ({"scale": 0.0}, "scale must be positive"),
        ({"tail": "soft"}, "tail must be continuous, published or easy"),
    ],
)
def test_impossible_options_are_named(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NoiseLoRALossConfig(**values)
