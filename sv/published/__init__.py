"""Other people's checkpoints to model folders, and their published embeddings to and from Kaldi archives.

A family of checkpoints is one module that offers `SYSTEMS`, from each system's name to its `checkpoint.Reader`; it is
listed in `convert.FAMILIES`.
"""
