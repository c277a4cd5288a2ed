"""Scores to rows, tables and verdicts; no torch."""
