"""Log-likelihood of continuations: how probable a model finds each choice behind a prompt.

A prompt and a choice are divided into tokens as `lm_eval` does it: white space at the end of the
prompt goes to the choice; both are encoded together, and the prompt alone; what the whole has more
is the choice. Where a token stands across the boundary this is not so: then everything from the
first token that differs is scored, so that no byte of the choice is left out. (`lm_eval` lets go of
as many tokens as the prompt alone has, whatever they spell.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from operators.modeling.execution import inference, next_token_logits
from operators.modeling.windows import Window, sliding_windows
from operators.tokenization.byte_tokenizer import ByteTokenizer

# Lengths are rounded up to a multiple: few shapes, and each follows from its row alone.
_MULTIPLE = 8


@dataclass(frozen=True)
class EncodedChoice:
    """A prompt with a choice behind it.

    Attributes:
        ids: int64; the token that begins a document, the prompt, the choice.
        first: index of the first token that is scored, >= 1.
        merged: whether a token stands across the boundary of prompt and choice.
    """

    ids: NDArray[np.int64]
    first: int
    merged: bool


@dataclass(frozen=True)
class ChoiceScore:
    """What a model gives a choice.

    Attributes:
        log_probability: of all its tokens given the prompt, in nats, <= 0.
        tokens: how many were scored.
        greedy: whether each of them is the most probable one in its place.
    """

    log_probability: float
    tokens: int
    greedy: bool


def encode_choices(
    tokenizer: ByteTokenizer, pairs: Sequence[tuple[str, str]], begin: int
) -> list[EncodedChoice]:
    """Tokens of each (prompt, choice), as the module says.

    Args:
        begin: id in front of every document: context, and never scored.

    Raises:
        ValueError: a choice without a token of its own.
    """
    moved = []
    for prompt, choice in pairs:
        kept = prompt.rstrip()
        moved.append((kept, prompt[len(kept) :] + choice))
    prompts = list(dict.fromkeys(prompt for prompt, _ in moved))
    ids_of = dict(zip(prompts, tokenizer.encode_batch(prompts), strict=True))
    wholes = tokenizer.encode_batch([prompt + choice for prompt, choice in moved])
    encoded = []
    for (prompt, _), whole, given in zip(moved, wholes, pairs, strict=True):
        alone = ids_of[prompt]
        shared = _shared(alone, whole)
        if shared == len(whole):
            raise ValueError(
                f"the choice {given[1]!r} has no token behind {given[0][-40:]!r}: leave it out, or "
                "use a tokenizer that spells it"
            )
        ids = np.array([begin, *whole], dtype=np.int64)
        encoded.append(EncodedChoice(ids, 1 + shared, shared < len(alone)))
    return encoded


def score_choices(
    model: torch.nn.Module,
    encoded: Sequence[EncodedChoice],
    *,
    context: int,
    batch_size: int = 16,
    device: str = "auto",
    threads: int = 1,
) -> list[ChoiceScore]:
    """Log-probability of each choice.

    Rows are sorted by length and padded on the right, where a causal model does not look. Every
    batch has the same number of rows (the last one is filled up), and the padded length of a row
    follows from its own: a score does not depend on what else is scored.

    What does not fit into the context is cut from the left. Of a choice that alone is longer than
    that, each token is scored once, in windows that move by half of the context.

    Args:
        model: called as `operators.modeling.execution.next_token_logits` says; moved to ``device``.
        context: tokens that the model reads at most, >= 2.
        batch_size: rows of every forward pass.
        device: ``"auto"``, or a torch device.
        threads: CPU threads; part of the last bits.

    Returns:
        One for each, in order. The softmax is taken in float64.

    Raises:
        ValueError: a setting out of range, or logits that are not finite numbers.
    """
    if batch_size < 1 or context < 2:
        raise ValueError(
            f"batch_size must be >= 1 and context >= 2, got {batch_size} and {context}"
        )
    logs: list[list[float]] = [[] for _ in encoded]
    greedy = [True] * len(encoded)
    with inference(model, device, threads) as target:
        for length, batch in _batches(encoded, context, batch_size):
            ids = np.zeros((batch_size, length), dtype=np.int64)
            rows: list[int] = []
            columns: list[int] = []
            for place in range(batch_size):
                index, window = batch[min(place, len(batch) - 1)]
                ids[place, : len(window)] = encoded[index].ids[window.start : window.end]
                if place < len(batch):
                    new = range(window.first_new - window.start, len(window))
                    rows += [place] * len(new)
                    columns += new
            given = torch.from_numpy(ids).to(target)
            row, column = (torch.tensor(numbers, device=target) for numbers in (rows, columns))
            # Of the logits only those that are needed are widened: most stand in the prompts.
            logits = next_token_logits(model, given)[row, column - 1].double()
            wanted = given[row, column]
            found = torch.log_softmax(logits, dim=-1).gather(-1, wanted.unsqueeze(-1)).squeeze(-1)
            best = (logits.argmax(dim=-1) == wanted).tolist()
            for place, log, is_best in zip(rows, found.tolist(), best, strict=True):
                index = batch[place][0]
                logs[index].append(log)
                greedy[index] &= is_best
    scores = [
        ChoiceScore(math.fsum(values), len(values), is_greedy)
        for values, is_greedy in zip(logs, greedy, strict=True)
    ]
    if any(math.isnan(score.log_probability) for score in scores):
        raise ValueError("the model gives a choice the log-probability NaN: its weights are broken")
    return scores


@dataclass(frozen=True)
class Selection:
    """What a model takes of some choices.

    Attributes:
        index: of the most probable choice, the first of equals.
        tied: whether another one is just as probable.
        margin: the right choice's value minus that of the best wrong one; > 0 exactly where the
            right one is taken and not tied.
    """

    index: int
    tied: bool
    margin: float


def select(values: Sequence[float], gold: int) -> Selection:
    """The choice of the highest value, and how the right one stands.

    Args:
        values: of each choice: log-probabilities, in all or per byte.
        gold: index of the right one.

    Raises:
        ValueError: fewer than two choices, a `gold` that is none of them, or a NaN.
    """
    if len(values) < 2 or not 0 <= gold < len(values):
        raise ValueError(
            f"needed are two choices or more and a gold among them, got {len(values)} and {gold}"
        )
    if any(math.isnan(value) for value in values):
        raise ValueError(f"a choice has the value NaN: {list(values)}")
    highest = max(values)
    wrong = max(value for index, value in enumerate(values) if index != gold)
    # Two infinities have no difference, but they are equal.
    margin = 0.0 if values[gold] == wrong else values[gold] - wrong
    return Selection(list(values).index(highest), list(values).count(highest) > 1, margin)


def per_byte(log_probabilities: Sequence[float], choices: Sequence[str]) -> list[float]:
    """Nats per UTF-8 byte of each choice: without this, short choices win by being short.

    (`acc_norm` of `lm_eval` divides by characters, `acc_bytes` by bytes.)

    Raises:
        ValueError: an empty choice.
    """
    if not all(choices):
        raise ValueError(f"a choice is empty: {list(choices)}")
    return [
        log / len(choice.encode()) for log, choice in zip(log_probabilities, choices, strict=True)
    ]


def _shared(alone: Sequence[int], whole: Sequence[int]) -> int:
    """How many tokens two encodings have in common at their beginning."""
    count = 0
    for one, other in zip(alone, whole, strict=False):
        if one != other:
            break
        count += 1
    return count


def _windows(one: EncodedChoice, context: int) -> list[Window]:
    size = len(one.ids)
    if size - one.first < context:
        return [Window(max(0, size - context), one.first, size)]
    offset = one.first - 1
    return [
        Window(offset + window.start, offset + window.first_new, offset + window.end)
        for window in sliding_windows(size - offset, context, max(1, context // 2))
    ]


def _batches(
    encoded: Sequence[EncodedChoice], context: int, batch_size: int
) -> Iterator[tuple[int, list[tuple[int, Window]]]]:
    """Windows of one padded length, with the numbers of their rows; longest first."""
    by_length: dict[int, list[tuple[int, Window]]] = {}
    for index, one in enumerate(encoded):
        for window in _windows(one, context):
            length = min(-(-len(window) // _MULTIPLE) * _MULTIPLE, context)
            by_length.setdefault(length, []).append((index, window))
    for length in sorted(by_length, reverse=True):
        rows = by_length[length]
        for first in range(0, len(rows), batch_size):
            yield length, rows[first : first + batch_size]
