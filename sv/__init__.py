"""Noise-robust speaker verification: data, models, losses, training, scoring."""

__version__ = "0.1.0"
