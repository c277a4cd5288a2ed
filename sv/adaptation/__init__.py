"""Adaptation: from a trained model to one that noise disturbs less."""
