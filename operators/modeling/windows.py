"""Sliding windows over a token sequence that is longer than a model's context."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """Tokens ``start:end`` are the input; tokens ``first_new:end`` are scored, the rest context."""

    start: int
    first_new: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


def sliding_windows(length: int, context_length: int, stride: int) -> list[Window]:
    """Windows that score every token of a sequence but its first exactly once.

    The first window scores all it holds. Every later one scores the next ``stride`` tokens with
    the ``context_length - stride`` tokens before them as context.

    Args:
        length: tokens of the sequence, its first (never scored) one included. Below 2 there is
            nothing to score and no window.
        context_length: longest window in tokens.
        stride: new tokens of each window after the first; ``1 <= stride < context_length``, so
            that the first new token has at least one token to be predicted from.

    Raises:
        ValueError: a stride out of range.
    """
    if not 1 <= stride < context_length:
        raise ValueError(f"stride must be >= 1 and < context_length {context_length}, got {stride}")
    if length < 2:
        return []
    windows = [Window(start=0, first_new=1, end=min(length, context_length))]
    while (first_new := windows[-1].end) < length:
        windows.append(
            Window(
                start=first_new - (context_length - stride),
                first_new=first_new,
                end=min(length, first_new + stride),
            )
        )
    return windows
