"""Random numbers of a row: from the seed, what they are for and the row's id, and nothing else."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np


def row_generator(seed: int, purpose: str, name: str) -> np.random.Generator:
    """A stream of its own for each row, so that neither order, batch nor worker count matters.

    Args:
        seed: of the whole edit.
        purpose: the method; two methods with one seed draw independently.
        name: the row's id.
    """
    digest = blake2b(f"{seed}\x00{purpose}\x00{name}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))


def check_names(rows: int, names: int, different: int) -> None:
    """Refuse names that repeat or do not fit: equal names would draw the same.

    Raises:
        ValueError: naming the numbers.
    """
    if names != rows or different != rows:
        raise ValueError(
            f"{rows} rows need as many different ids, not {names} with {different} different"
        )
