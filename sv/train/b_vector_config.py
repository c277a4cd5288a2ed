"""Options of RawNet1's b-vector network; apart from its training, so that reading them needs no torch."""

from dataclasses import dataclass, fields

SLOPE = 0.3  # of the leaky ReLUs, in training and in scoring


@dataclass(frozen=True, kw_only=True)
class BVectorConfig:
    """Network and optimisation; the defaults are the published ones.

    Attributes
    ----------
    hidden_dim, num_layers : int
        Of the hidden layers.
    input_dropout, dropout : float
    pairs_per_batch : int
        Half of them of one speaker, each of another; fewer if there are not so many speakers.
    steps_per_epoch, num_epochs : int
    lr, lr_decay : float
        Divided by 1 + lr_decay x step.
    weight_decay : float
        Of the weights, not of the biases; twice Keras' l2.

    Raises
    ------
    ValueError
        If a size or number is not positive.
    """

    hidden_dim: int = 1024
    num_layers: int = 4
    input_dropout: float = 0.2
    dropout: float = 0.5
    pairs_per_batch: int = 120
    steps_per_epoch: int = 1000
    num_epochs: int = 1000
    lr: float = 1e-3
    lr_decay: float = 1e-4
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        for field in fields(self):
            if isinstance(field.default, int) and getattr(self, field.name) < 1:
                raise ValueError(f"{field.name} must be positive, got {getattr(self, field.name)}")
