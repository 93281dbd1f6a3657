"""The lines of a page that C4 keeps (Raffel et al. 2020, section 2.2)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from operators.corpus.quality import utf8_of

# In the order of `operators.corpus.c4_kernels`: what becomes of a line.
VERDICTS = ("kept", "long_word", "no_end", "few_words", "lorem_ipsum", "javascript",
            "curly_bracket", "policy")  # fmt: skip
RULES = ("no_end", "few_words", "long_word", "javascript", "policy")

_CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")


class Lines(NamedTuple):
    """Texts with the lines that are kept, and how many lines of each verdict there were."""

    texts: list[str]
    changed: list[bool]
    counts: dict[str, int]


def keep_c4_lines(
    texts: pa.Array,
    *,
    rules: Sequence[str] = RULES,
    min_words: int = 3,
    max_word_length: int = 1000,
    citations: bool = False,
) -> Lines:
    """Each text without the lines that C4 drops, white space at the ends of lines stripped.

    Lines with "lorem ipsum" or a curly bracket stay: they speak against their whole page, and that
    is a rule over signals (`operators.corpus.quality_rules`). A text of which no line is dropped,
    and no citation, stays as it is to the byte.

    Args:
        texts: Arrow strings [n].
        rules: those that are on: "no_end" (no . ! ? or quote at the end, or an ellipsis),
            "few_words" (fewer (<) than `min_words`), "long_word" (more (>) characters than
            `max_word_length`), "javascript", "policy" (cookies, terms of use).
        citations: whether "[3]", "[edit]" and "[citation needed]" stay.

    Raises:
        ValueError: no such rule.
    """
    from operators.corpus.c4_kernels import line_verdicts
    from operators.corpus.characters import character_classes

    unknown = set(rules) - set(RULES)
    if unknown:
        raise ValueError(f"no rule {sorted(unknown)[0]!r}; there are {', '.join(RULES)}")
    data, offsets = utf8_of(texts)
    most = int(offsets[-1] - offsets[0]) + len(texts)
    starts, stops, verdicts = (np.empty(most, np.int64) for _ in range(3))
    at = line_verdicts(
        data, offsets, character_classes(),
        min_words if "few_words" in rules else -1,
        max_word_length if "long_word" in rules else -1,
        "no_end" in rules, starts, stops, verdicts,
    )  # fmt: skip
    lines = int(at[-1])
    dropping = np.array([name in rules for name in VERDICTS])[verdicts[:lines]]
    buffer = memoryview(data)  # type: ignore[arg-type]
    kept, changed = [], []
    for index, text in enumerate(texts.to_pylist()):
        first, last = at[index], at[index + 1]
        if dropping[first:last].any():
            spans = zip(starts[first:last], stops[first:last], dropping[first:last], strict=True)
            new = "\n".join(str(buffer[a:b], "utf-8") for a, b, gone in spans if not gone)
        else:
            new = text
        if not citations:
            new = _CITATION.sub("", new)
        kept.append(new)
        changed.append(new != text)
    counts = np.bincount(verdicts[:lines], minlength=len(VERDICTS))
    return Lines(kept, changed, dict(zip(VERDICTS, counts.tolist(), strict=True)))
