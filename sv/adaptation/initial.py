"""Start of a training from the weights of a model that exists: `--initial`."""

from pathlib import Path

from sv.adaptation.parent import Parent, open_parent
from sv.base.config import to_dict
from sv.system.config import SystemConfig, load_system
from sv.system.folder import build_model
from sv.train.initial import check_fit, fit_of

OPTION = "--initial"


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
