"""The order in which a training run sees the rows of one source."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from operators.modeling.mixing import MixedOrder


def batch_rows(rows: int, batch_size: int, batches: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Row numbers ``[batch_size]`` of each of ``batches`` batches.

    Every epoch is a fresh permutation (see `MixedOrder`). The permutations are laid end to end and
    cut into batches, so that a batch may cross epochs, every batch is full, and after ``k`` epochs'
    worth every row has been seen ``k`` times. The first batches do not depend on how many follow.

    Raises:
        ValueError: no rows, or a batch size below 1.
    """
    if rows < 1 or batch_size < 1:
        raise ValueError(f"rows and batch_size must be >= 1, got {rows} and {batch_size}")
    order = MixedOrder([rows], [1.0], batch_size, seed)
    for step in range(1, batches + 1):
        yield order.rows(step)[1]
