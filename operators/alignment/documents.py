"""Which documents of two languages are versions of each other: by name, and by content.

The content is told by the vectors of a miner (`operators.alignment.miner`), summed over a document,
so that no translation is needed (as Buck and Koehn 2016, W16-2347, do with tf-idf on translated
text); pairs are chosen so that their scores are highest together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from operators.alignment.mining import Margin, MixedVectors, score_neighbours

_PART = re.compile(r"[^\W_]+|[\W_]")
_OPTION = re.compile(r"(?<=[?&])(?:lang|language|locale|hl|l)=[\w-]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class DocumentPair:
    """Two documents, by number; the score, and whether their names or their content told."""

    source: int
    target: int
    score: float
    by: str


def nameless(name: str, codes: Sequence[str]) -> str:
    """A file name or URL without its language: what versions of one document have in common.

    Taken away are `lang=…` and its like in a query, and each part between signs that is one of
    `codes`, with what follows it up to the next part: `/en/a.html`, `a.en.html`, `a_en-GB.html`.
    The name is compared without case.
    """
    wanted = {code.casefold() for code in codes}
    kept = []
    parts = _PART.findall(_OPTION.sub("", name).casefold())
    for n, part in enumerate(parts):
        is_code = part in wanted
        # The region of a code: en-GB, pt_br.
        is_region = n > 1 and len(part) == 2 and parts[n - 1] in "-_" and parts[n - 2] in wanted
        kept.append("\0" if is_code or is_region else part)
    bare = "".join(kept)
    return re.sub(r"\0[-_]\0", "\0", bare)


def pair_by_name(
    source_names: Sequence[str],
    target_names: Sequence[str],
    source_codes: Sequence[str],
    target_codes: Sequence[str],
) -> list[DocumentPair]:
    """Documents whose names differ in the language alone, where just one on each side does.

    A name that is the same on both sides without any language taken away tells nothing: it is the
    file that both documents come from.
    """
    sides: list[dict[str, list[int]]] = []
    for names, codes in ((source_names, source_codes), (target_names, target_codes)):
        found: dict[str, list[int]] = {}
        for number, name in enumerate(names):
            found.setdefault(nameless(name, codes), []).append(number)
        sides.append(found)
    pairs = []
    for bare, own in sides[0].items():
        others = sides[1].get(bare, [])
        if len(own) == len(others) == 1 and source_names[own[0]] != target_names[others[0]]:
            pairs.append(DocumentPair(own[0], others[0], 1.0, "name"))
    return pairs


def pair_by_content(
    source_vectors: MixedVectors,
    target_vectors: MixedVectors,
    *,
    threshold: float,
    k: int = 8,
    margin: Margin = "ratio",
) -> list[DocumentPair]:
    """Pairs of documents with the highest sum of margins, each document in one pair at most.

    A document is left alone where its margin to what is free is not > `threshold`. Candidates are
    the `k` nearest of each document, so that time and memory stay near those of the vectors.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    rows, columns, scores = score_neighbours(source_vectors, target_vectors, k=k, margin=margin)
    good = scores > threshold
    rows, columns, scores = rows[good], columns[good], scores[good]
    if not len(rows):
        return []
    sources, targets = len(source_vectors), len(target_vectors)
    graph = csr_array(
        (np.ones(len(rows)), (rows, sources + columns)), shape=(sources + targets,) * 2
    )
    _, parts = connected_components(graph, directed=False)
    order = np.lexsort((columns, rows, parts[rows]))
    rows, columns, scores = rows[order], columns[order], scores[order]
    starts = np.flatnonzero(np.diff(parts[rows], prepend=-1)).tolist()
    pairs = []
    for first, last in zip(starts, [*starts[1:], len(rows)], strict=True):
        own, row = np.unique(rows[first:last], return_inverse=True)
        others, column = np.unique(columns[first:last], return_inverse=True)
        gains = np.zeros((len(own), len(others)))
        gains[row, column] = scores[first:last] - threshold
        for i, j in zip(*linear_sum_assignment(gains, maximize=True), strict=True):
            if gains[i, j] > 0:
                pairs.append(DocumentPair(int(own[i]), int(others[j]),
                                          float(gains[i, j] + threshold), "content"))  # fmt: skip
    return sorted(pairs, key=lambda pair: (pair.source, pair.target))
