"""Other people's checkpoints to model folders."""
