"""Embeddings to better embeddings."""
