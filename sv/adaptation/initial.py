"""Start of a training from the weights of a model that exists: `--initial`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from sv.adaptation.parent import Parent, open_parent
from sv.base.config import to_dict
from sv.base.layout import ModelFolder
from sv.base.log import get_logger
from sv.embed.opening import find_source
from sv.system.config import SystemConfig, load_system
from sv.system.folder import build_model
from sv.system.run import start_from
from sv.train import checkpoint
from sv.train.initial import check_fit, fit_of
from sv.train.steps.protocol import StepModule

OPTION = "--initial"
NOT_OF_THE_CLASSIFIER = ("model.", "frontend.")


def open_initial(model: str | Path, system: SystemConfig) -> tuple[Parent, list[str]]:
    """Read the model that a system's training starts from; beside it a warning if it reads other features.

    Raises
    ------
    ConfigError, CheckpointError
        As `sv.adaptation.parent.open_parent`.
    """
    parent = open_parent(model, OPTION)
    there, here = ({"type": one.features_type, **to_dict(one.features)} for one in (parent.system, system))
    differing = [
        f"{key} is {there[key]!r}, here {here[key]!r}" for key in here if there.get(key, here[key]) != here[key]
    ]
    if not differing:
        return parent, []
    return parent, [f"{OPTION} {model} was trained on other features: {'; '.join(differing)}"]


def fit_lines(model: str | Path, config: str | Path) -> list[str]:
    """Tell which weights the system of a TOML file would take from a model, and which not.

    Raises
    ------
    ConfigError, CheckpointError
        As `open_initial`, and if fewer than half of the system's weights fit.
    """
    system = load_system(config)
    parent, warnings = open_initial(model, system)
    fit = fit_of(build_model(system).state_dict(), parent.weights)
    check_fit(fit, f"{OPTION} {model}")
    return [*fit.lines(str(model)), *warnings]


def started_from(
    model: str | Path, system: SystemConfig, training_data: str
) -> tuple[SystemConfig, Callable[[StepModule], None]]:
    """Give a system a model to start from: its record, which names the model, and what makes a fresh step start there.

    If the model was trained here on the same data, the classifier starts from its own, too: what it learnt of these speakers at
    their own speed.

    Parameters
    ----------
    model : str or path
    system : SystemConfig
    training_data : str
        Digest of the data directory, `sv.system.run.digest_of_tables`.

    Raises
    ------
    ConfigError, CheckpointError
        As `open_initial`.
    """
    parent, warnings = open_initial(model, system)
    for line in warnings:
        get_logger("train").warning("%s", line)
    classifier = _classifier_of(model, parent.system, system, training_data)

    def prepare(step: StepModule) -> None:
        start_from(step.model, parent.weights, f"{OPTION} {model}")
        step.follow_start()
        own = step.state_dict()
        fitting = {
            name: given[: len(own[name])]
            for name, given in classifier.items()
            if name in own
            and own[name].dim()
            and len(own[name]) <= len(given)
            and own[name].shape[1:] == given.shape[1:]
        }
        step.load_state_dict(own | fitting)
        if fitting:
            parts = dict.fromkeys("teacher" if name.startswith("teacher.") else name for name in fitting)
            get_logger("train").info("the classifier, too, of the same speakers: %s", ", ".join(parts))

    return replace(system, parent=parent.record), prepare


def _classifier_of(
    model: str | Path, before: SystemConfig, system: SystemConfig, training_data: str
) -> dict[str, Tensor]:
    """Weights of the criteria of a model that was trained on this data; speakers at other speeds come after the others."""
    source, speeds = find_source(model), system.augment.speeds
    if source.kind != "folder" or before.augment.speeds[: len(speeds)] != speeds:
        return {}
    state = checkpoint.load_newest(ModelFolder(source.path).checkpoints)
    if state is None or state["identity"].get("training data") != training_data:
        return {}
    return {name: value for name, value in state["system"].items() if not name.startswith(NOT_OF_THE_CLASSIFIER)}
