"""Systems whose published names are ours up to a rule: the relation, and the translation in both directions."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from sv.base.config import to_dict
from sv.features.segments import SegmentConfig
from sv.models import MODELS
from sv.published.checkpoint import Converted, load_strictly
from sv.published.containers import Source

# Patterns and replacements, applied one after the other.
Rules = tuple[tuple[str, str | Callable[[re.Match], str]], ...]
# Whole utterances. Shorter ones are repeated to nine frames, of which two are left after a stride of 8: two have a deviation.
WHOLE = SegmentConfig(scheme="whole", segment_samples=400 + 8 * 160, unit_segments=False)
NOTHING = r"(?!)"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The relation of a system's published weights to one of our networks.

    Attributes
    ----------
    model : str
        A key of `sv.models.MODELS`.
    config : callable
        From weights by their published names to the model's config; KeyError for a name that is not there.
    rules : Rules
        From our names to the published ones.
    pointwise : str
        Pattern of the published names of convolutions over one frame, which have an axis more than our linear layers.
    unused : str
        Pattern of published names without a counterpart: what only training needs, the speaker classifier among them.
    classifier : str
        Published name of the classifier's weight, speakers first.
    extract : SegmentConfig
        Of the published evaluation.
    """

    model: str
    config: Callable[[Mapping[str, Tensor]], Any]
    rules: Rules
    pointwise: str = NOTHING
    unused: str = NOTHING
    classifier: str = ""
    extract: SegmentConfig = WHOLE

    def translate(self, system: str, source: Source, features: Mapping[str, Any]) -> Converted:
        """Translate published weights; raises KeyError and CheckpointError as a `Reader` does.

        Parameters
        ----------
        system : str
            Named in errors.
        source : Source
        features : mapping
            The [features] section; the number of mel bins is the model's.
        """
        unused, pointwise = re.compile(self.unused), re.compile(self.pointwise)
        config = self.config(source.weights)
        model = MODELS[self.model][1](config)
        state = {
            name: value[..., 0] if pointwise.fullmatch(name) and value.ndim == 3 and value.shape[-1] == 1 else value
            for name, value in source.weights.items()
            if not unused.fullmatch(name)
        }
        loaded = load_strictly(system, model, state, published_names(model, self.rules)).state_dict()
        head = source.weights.get(self.classifier)
        num_speakers = 0 if head is None else head.shape[0]
        tables = {
            "num_speakers": num_speakers,
            "features": {**features, "num_mel_bins": config.num_mel_bins},
            "model": {"type": self.model, **to_dict(config)},
            "extract": to_dict(self.extract),
        }
        notes = [f"classifier of {num_speakers} speakers: not kept"] if num_speakers else []
        return Converted(tables=tables, weights={"model": loaded}, notes=notes)

    def published(self, model: nn.Module) -> dict[str, Tensor]:
        """Weights of one of our networks by their published names and shapes."""
        names, pointwise = published_names(model, self.rules), re.compile(self.pointwise)
        return {
            names[ours]: value[..., None] if pointwise.fullmatch(names[ours]) else value
            for ours, value in model.state_dict().items()
        }


def published_names(model: nn.Module, rules: Rules) -> dict[str, str]:
    """Map our parameter names to the published ones."""
    names = {}
    for ours in model.state_dict():
        theirs = ours
        for pattern, replacement in rules:
            theirs = re.sub(pattern, replacement, theirs)
        names[ours] = theirs
    return names


def count(weights: Mapping[str, Tensor], pattern: str) -> int:
    """Count the different first groups of a pattern among the names that it begins."""
    return len({found[1] for name in weights if (found := re.match(pattern, name))})


def number(offset: int, template: str) -> Callable[[re.Match], str]:
    """Make a replacement: `{0}`, `{1}`, ... in a template stand for a match's groups, the first of them a number plus `offset`."""

    def replace(found: re.Match) -> str:
        first, *others = found.groups()
        return template.format(int(first) + offset, *others)

    return replace
