"""Sentence alignment, by the method that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from operators.alignment.beads import Bead
from operators.alignment.gale_church import align_by_length
from operators.alignment.lexical import align_by_words


def align_sentences(
    source: Sequence[str],
    target: Sequence[str],
    *,
    method: Literal["lexical", "length"] = "lexical",
    ratio: float | None = None,
) -> list[Bead]:
    if method == "lexical":
        return align_by_words(source, target)
    return align_by_length(list(map(len, source)), list(map(len, target)), ratio=ratio)
