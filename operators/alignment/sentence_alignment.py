"""Sentence alignment, by the method that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from operators.alignment.beads import Bead
from operators.alignment.gale_church import align_by_length
from operators.alignment.lexical import align_by_words
from operators.alignment.vecalign import Vectors, align_by_vectors

Method = Literal["lexical", "length", "embedding"]


def align_sentences(
    source: Sequence[str],
    target: Sequence[str],
    *,
    method: Method = "lexical",
    ratio: float | None = None,
    source_vectors: Vectors | None = None,
    target_vectors: Vectors | None = None,
    max_bead: int = 4,
    seed: int = 0,
) -> list[Bead]:
    """Align the sentences of a document with those of its translation.

    Every sentence is in one bead, in order. With one side empty all beads are 1-0 or 0-1; with
    both empty there are none. A lower score is a better bead, on a scale of each method's own.

    - "lexical" (`align_by_words`): learns which words translate each other from the two texts
      alone. Beads of up to 4 sentences a side. The score is a cost in nats: below 0 the bead is
      more probable as a translation than by chance.
    - "length" (`align_by_length`): Gale and Church 1993, lengths in characters, with length ratio
      and variance of the two texts. Beads of up to 2 sentences a side. The score is a cost in
      nats, at least -log 0.89 = 0.117.
    - "embedding" (`align_by_vectors`): the cost and search of vecalign, by sentence vectors of the
      user's. Beads of up to `max_bead` sentences in all. The score is a cost for each pair of
      sentences, about 1 for a pair taken at random, and 0 for a bead with an empty side.

    Time and memory grow about linearly with the length of the texts.

    Args:
        source, target: sentences of the two texts.
        method: as above.
        ratio: for "length": expected target characters for a source character; None takes it
            from the texts.
        source_vectors, target_vectors: for "embedding": vectors of sentences, of blocks of
            sentences, or an encoder (`align_by_vectors`).
        max_bead, seed: for "embedding".

    Raises:
        ValueError: an unknown method, an argument of another method, or a value that
            makes no sense.
    """
    if method not in ("lexical", "length", "embedding"):
        raise ValueError(f'method must be "lexical", "length" or "embedding", not {method!r}')
    if ratio is not None and method != "length":
        raise ValueError(f'ratio is for the method "length", not "{method}"')
    if method == "embedding":
        if source_vectors is None or target_vectors is None:
            raise ValueError('the method "embedding" needs source_vectors and target_vectors')
        return align_by_vectors(
            source, target, source_vectors=source_vectors, target_vectors=target_vectors,
            max_bead=max_bead, seed=seed,
        )  # fmt: skip
    if source_vectors is not None or target_vectors is not None:
        raise ValueError(f'vectors are for the method "embedding", not "{method}"')
    if method == "lexical":
        return align_by_words(source, target)
    return align_by_length(list(map(len, source)), list(map(len, target)), ratio=ratio)
