"""Randomness that is keyed, not sequenced: the same key gives the same draws, whatever was drawn before."""

import hashlib

import numpy as np


def derive_seed(*key: str | int) -> int:
    """A 64-bit seed from the parts of a key, the same in every process and on every machine.

    Parameters
    ----------
    key : str or int
        For instance (seed, "crop", epoch, utterance). Order and type matter: 1 and "1" differ.
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in key:
        encoded = f"{type(part).__name__}:{part}".encode()
        digest.update(len(encoded).to_bytes(4, "little") + encoded)
    return int.from_bytes(digest.digest(), "little")


def generator(*key: str | int) -> np.random.Generator:
    """A NumPy generator seeded with `derive_seed(*key)`."""
    return np.random.Generator(np.random.PCG64(derive_seed(*key)))
