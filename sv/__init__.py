"""Noise-robust speaker verification: data, models, losses, training, scoring."""
