"""A system: its record, its model folder, the identity of its run."""
