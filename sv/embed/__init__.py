"""Audio or features to embeddings, and a trained model to one file."""
