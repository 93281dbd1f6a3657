"""Flip-flop language: read back the bit that was written last, however long ago that was.

Liu et al. 2023 (arXiv 2306.00946). A text is pairs of an instruction and a bit: `w` writes the bit,
`i` ignores it, `r` reads, and what stands after `r` must be the bit of the latest `w`. The bits
after `w` and `i` are random, so a loss over all symbols says nothing: only bits after `r` count,
and a correct algorithm makes no error there.

One character a symbol, without spaces: "w0i1r0". A byte-level tokenizer without merges has one
token a symbol then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from operators.editing.row_draws import row_generator

WRITE, READ, IGNORE = "w", "r", "i"
BITS = ("0", "1")
SYMBOLS = (WRITE, READ, IGNORE, *BITS)


def flip_flop_text(name: str, *, pairs: int = 256, ignore: float, seed: int) -> str:
    """A text of FFL(`ignore`): instructions are independent, P(i) = `ignore`, and `w` and `r` share
    the rest equally; the first is `w` and the last `r`.

    Args:
        name: id of the text, which with the seed decides all of it.
        pairs: of instruction and bit; the text has twice as many symbols (the paper: 256).
        ignore: in [0, 1]. The paper trains at 0.8; 0.98 is its sparse tail, 0.1 its dense one.
        seed: of the draws.

    Raises:
        ValueError: fewer than two pairs, or a probability out of range.
    """
    if pairs < 2:
        raise ValueError(
            f"pairs is {pairs}, but must be >= 2: a text begins with w and ends with r"
        )
    if not 0 <= ignore <= 1:
        raise ValueError(f"ignore is {ignore}, but must be in [0, 1]: it is a probability")
    numbers = row_generator(seed, "flip-flop", name)
    drawn = numbers.random(pairs)
    bits = numbers.integers(0, 2, pairs)
    # One number decides an instruction: with a larger `ignore` what was ignored still is.
    write_below = ignore + (1 - ignore) / 2
    instructions = np.where(drawn < ignore, IGNORE, np.where(drawn < write_below, WRITE, READ))
    instructions[0], instructions[-1] = WRITE, READ
    # The pair that wrote last, at each pair: the bit that a read must give.
    places = np.arange(pairs)
    written = np.maximum.accumulate(np.where(instructions == WRITE, places, 0))
    bits = np.where(instructions == READ, bits[written], bits)
    return "".join(
        f"{do}{bit}" for do, bit in zip(instructions.tolist(), bits.tolist(), strict=True)
    )


def fault_of(text: str) -> str | None:
    """What makes a text no flip-flop text, in words; None where nothing does."""
    if len(text) < 4 or len(text) % 2:
        return (
            f"it has {len(text)} symbols, but pairs of instruction and bit, two or more, are needed"
        )
    for place, symbol in enumerate(text):
        wanted = BITS if place % 2 else (WRITE, READ, IGNORE)
        if symbol not in wanted:
            return f'"{symbol}" at position {place} is not one of {", ".join(wanted)}'
    if text[0] != WRITE:
        return f'it begins with "{text[0]}", and not with "{WRITE}"'
    if text[-2] != READ:
        return f'its last instruction is "{text[-2]}", and not "{READ}"'
    wrong = np.flatnonzero(read_bits(text) != read_truths(text))
    if len(wrong):
        place = int(read_positions(text)[wrong[0]])
        return f"the bit at position {place} is not the one that was written last"
    return None


def read_positions(text: str) -> npt.NDArray[np.int64]:
    """Where the bits stand that were read: behind each `r`. int64 [reads]."""
    return np.flatnonzero(_symbols(text)[0::2] == ord(READ)) * 2 + 1


def read_bits(text: str) -> npt.NDArray[np.int64]:
    """The bits that stand there. int64 [reads], 0 or 1."""
    return _symbols(text)[read_positions(text)].astype(np.int64) - ord("0")


def read_truths(text: str) -> npt.NDArray[np.int64]:
    """The bits that should: of the latest `w` before each. int64 [reads], 0 or 1.

    A read before any write has the first bit of the text; `fault_of` finds such a text.
    """
    symbols = _symbols(text)
    pairs = np.arange(len(symbols) // 2)
    latest = np.maximum.accumulate(np.where(symbols[0::2] == ord(WRITE), pairs, 0))
    reads = read_positions(text) // 2
    return symbols[1::2][latest[reads]].astype(np.int64) - ord("0")


@dataclass(frozen=True, slots=True)
class ReadScores:
    """Errors of a model at the reads of one text.

    Attributes:
        reads: how many there are.
        greedy_errors: another symbol than the right bit is as probable as it, or more.
        binary_errors: the wrong bit is as probable as the right one, or more. A tie is an error
            in both: a model that cannot tell the bits apart has not read.
        margin: mean of logit(right bit) - logit(wrong bit), in nats.
    """

    reads: int
    greedy_errors: int
    binary_errors: int
    margin: float

    @property
    def greedy_error_rate(self) -> float:
        """Share of the reads, in [0, 1]."""
        return self.greedy_errors / self.reads

    @property
    def binary_error_rate(self) -> float:
        """Share of the reads, in [0, 1]; never above the greedy one."""
        return self.binary_errors / self.reads


def read_scores(
    truths: npt.ArrayLike, bit_logits: npt.ArrayLike, best_other: npt.ArrayLike
) -> ReadScores:
    """Score a model at the reads, teacher-forced.

    Args:
        truths: the right bits, [reads], from `read_truths`.
        bit_logits: logits or log-probabilities of "0" and "1" there, [reads, 2].
        best_other: the highest of all other tokens of the vocabulary there, [reads]; -inf where
            there are none.

    Raises:
        ValueError: shapes that do not fit, no read, or a logit that is NaN.
    """
    right = np.asarray(truths, dtype=np.int64)
    logits = np.asarray(bit_logits, dtype=np.float64)
    others = np.asarray(best_other, dtype=np.float64)
    if logits.shape != (len(right), 2) or others.shape != right.shape:
        raise ValueError(
            f"{len(right)} reads have logits {logits.shape} and others {others.shape}; they must "
            "be [reads, 2] and [reads]"
        )
    if not len(right):
        raise ValueError("there is no read to score: a flip-flop text ends with one")
    if np.isnan(logits).any() or np.isnan(others).any():
        raise ValueError("a logit is NaN: the model has not been trained to an end")
    rows = np.arange(len(right))
    of_right, of_wrong = logits[rows, right], logits[rows, 1 - right]
    return ReadScores(
        reads=len(right),
        greedy_errors=int((np.maximum(of_wrong, others) >= of_right).sum()),
        binary_errors=int((of_wrong >= of_right).sum()),
        margin=float((of_right - of_wrong).mean()),
    )


def error_rate(text: str, bits: Sequence[int] | npt.NDArray[np.integer]) -> float:
    """Share of the reads of a text for which `bits` has not the right one."""
    truths = read_truths(text)
    answers = np.asarray(bits, dtype=np.int64)
    if answers.shape != truths.shape:
        raise ValueError(f"{len(truths)} reads have {answers.size} answers")
    return float((answers != truths).mean())


def copied_bits(text: str) -> npt.NDArray[np.int64]:
    """Answers of a trivial rule: the bit before, whatever its instruction was. int64 [reads]."""
    return _symbols(text)[read_positions(text) - 2].astype(np.int64) - ord("0")


def _symbols(text: str) -> npt.NDArray[np.uint8]:
    return np.frombuffer(text.encode("ascii", errors="replace"), dtype=np.uint8)
