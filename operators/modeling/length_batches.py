"""Prompts of one length read together, so that none is padded."""

from collections.abc import Iterator, Sequence, Sized


def length_batches(prompts: Sequence[Sized], batch_size: int) -> Iterator[list[int]]:
    """Numbers of prompts of one length, at most ``batch_size`` of them; short prompts come first.

    Within a length they are in order; every number comes once.
    """
    by_length: dict[int, list[int]] = {}
    for number, prompt in enumerate(prompts):
        by_length.setdefault(len(prompt), []).append(number)
    for length in sorted(by_length):
        rows = by_length[length]
        for first in range(0, len(rows), batch_size):
            yield rows[first : first + batch_size]
