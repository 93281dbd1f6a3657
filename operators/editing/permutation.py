"""Semantic-aware permutation: sentences with their units in another order.

Source: Guo et al., "Mitigating Reversal Curse in Large Language Models via Semantic-aware
Permutation Training" (ACL Findings 2024, arXiv 2403.00758). A sentence is cut into semantic units
(names, phrases), which come in the original, the reversed or a random order; words inside of a
unit keep theirs. A model so trained is asked for the beginning of a sentence given its end.

The paper cuts with a language model that is told to repeat the text verbatim; here any function
does, and `semantic_units` by rule. Whether the units are the sentence is checked: where they are
not, the sentence stays as it is and is counted. The equal chances of the orders are our reading.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from types import MappingProxyType
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from operators.editing.row_draws import check_names, row_generator
from operators.editing.semantic_units import semantic_units, sentences

Order = Literal["original", "reversed", "random"]
ORDERS: tuple[Order, ...] = get_args(Order)
EQUAL_CHANCES: Mapping[Order, float] = MappingProxyType(dict.fromkeys(ORDERS, 1 / 3))

Segmenter = Callable[[str], Sequence[str]]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class PermutedText:
    """A text with permuted sentences, and what became of each sentence.

    Attributes:
        text: sentences in their order, with the white space between them as it was.
        drawn: how many sentences drew each order, of those with two units or more.
        changed: sentences that differ afterwards; two equal units may change places.
        whole: sentences of a single unit, which have one order only.
        unfaithful: sentences whose units, put together, were not the sentence.
    """

    text: str
    drawn: Mapping[Order, int]
    changed: int
    whole: int
    unfaithful: int

    @property
    def eligible(self) -> int:
        """Sentences that have more than one order."""
        return sum(self.drawn.values())


def permute_texts(
    texts: Sequence[str],
    names: Sequence[str],
    *,
    chances: Mapping[Order, float] = EQUAL_CHANCES,
    segmenter: Segmenter = semantic_units,
    joiner: str = " ",
    seed: int = 0,
) -> list[PermutedText]:
    """Draw an order for each sentence of each text, by the text's name and the sentence's number.

    In another order than the original, units lose the white space around them and are put together
    with `joiner`; what stood before the first and behind the last unit stays. In the original
    order nothing changes, to the byte.

    Args:
        texts: of any number of sentences.
        names: of the texts, all different.
        chances: of the orders, which sum up to 1. An order that is not named has none.
        segmenter: a sentence -> its units, verbatim.
        joiner: between units; "" for a script without spaces.
        seed: of the draws.

    Raises:
        ValueError: names that repeat or do not fit, an unknown order, or chances that are negative
            or do not sum up to 1.
    """
    check_names(len(texts), len(names), len(set(names)))
    bounds = _cumulative(chances)
    return [
        _permuted(text, segmenter, joiner, bounds, row_generator(seed, "permutation", name))
        for text, name in zip(texts, names, strict=True)
    ]


def permute_units(
    units: Sequence[Item], order: Order, generator: np.random.Generator
) -> list[Item]:
    """Units in an order; of tokens, "reversed" is reversal token by token.

    Raises:
        ValueError: an unknown order.
    """
    if order == "original":
        return list(units)
    if order == "reversed":
        return list(reversed(units))
    if order == "random":
        return [units[place] for place in generator.permutation(len(units))]
    raise ValueError(f"order is {order!r}, but must be one of {', '.join(ORDERS)}")


def permute_chunks(tokens: Sequence[Item], size: int, generator: np.random.Generator) -> list[Item]:
    """Chunks of `size` tokens in random order, the last one shorter: a baseline of the paper.

    Raises:
        ValueError: a size below 1.
    """
    if size < 1:
        raise ValueError(f"a chunk of {size} tokens is none; it must have >= 1")
    chunks = [tokens[start : start + size] for start in range(0, len(tokens), size)]
    return [token for chunk in permute_units(chunks, "random", generator) for token in chunk]


def _permuted(
    text: str,
    segmenter: Segmenter,
    joiner: str,
    bounds: Sequence[tuple[Order, float]],
    generator: np.random.Generator,
) -> PermutedText:
    pieces: list[str] = []
    drawn: Counter[Order] = Counter()
    changed = whole = unfaithful = 0
    for sentence in sentences(text):
        # Before any test, so that what becomes of one sentence does not shift the next one's draw.
        lot, shuffle = generator.random(), int(generator.integers(0, 2**63))
        units = segmenter(sentence)
        edited = sentence
        if "".join(units) != sentence:
            unfaithful += 1
        elif sum(bool(unit.strip()) for unit in units) < 2:
            whole += 1
        else:
            order = next(order for order, bound in bounds if lot < bound)
            drawn[order] += 1
            if order != "original":
                own = np.random.Generator(np.random.PCG64(shuffle))
                edited = _rejoined(sentence, units, order, joiner, own)
        changed += edited != sentence
        pieces.append(edited)
    return PermutedText("".join(pieces), dict(drawn), changed, whole, unfaithful)


def _rejoined(
    sentence: str, units: Sequence[str], order: Order, joiner: str, generator: Any
) -> str:
    bare = [unit.strip() for unit in units if unit.strip()]
    before = sentence[: len(sentence) - len(sentence.lstrip())]
    behind = sentence[len(sentence.rstrip()) :]
    return before + joiner.join(permute_units(bare, order, generator)) + behind


def _cumulative(chances: Mapping[Order, float]) -> list[tuple[Order, float]]:
    """Each order with the number below which a lot in [0, 1) means it."""
    unknown = sorted(set(chances) - set(ORDERS))
    if unknown:
        raise ValueError(f"there is no order {unknown[0]!r}; orders are {', '.join(ORDERS)}")
    total = sum(chances.values())
    if any(chance < 0 for chance in chances.values()) or not isclose(total, 1, abs_tol=1e-6):
        raise ValueError(
            f"the chances of the orders are {dict(chances)}: none may be negative, and together "
            f"they must be 1, not {total:g}"
        )
    bounds: list[tuple[Order, float]] = []
    below = 0.0
    for order in ORDERS:
        if chances.get(order, 0) > 0:
            below += chances[order]
            bounds.append((order, below))
    # The last one takes what rounding has left: every lot is below 1.
    return [*bounds[:-1], (bounds[-1][0], 1.0)]
