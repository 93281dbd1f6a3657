"""Texts as bags of character n-grams, words and numbers, in any script."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

# Blocks of the scripts that put no space between words: Thai, Lao, Tibetan, Burmese, Khmer, kana,
# Chinese characters.
_UNSPACED = (
    "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua9e0-\ua9ff\uaa60-\uaa7f\uf900-\ufaff\U00020000-\U0003ffff"
)
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_RUNS = re.compile(f"[{_UNSPACED}]+|[^\\s{_UNSPACED}]+")
# Japanese writes foreign names in it, between words in other scripts.
_KATAKANA = re.compile("[\u30a0-\u30ff]+")


@dataclass(frozen=True)
class Bags:
    """Grams of texts: those of text k are `hashes[begins[k] : begins[k + 1]]`, sorted.

    Attributes:
        begins: int64 [texts + 1].
        hashes: uint64, a gram each; each once a text.
        counts: int32, how often the gram stands in the text.
    """

    begins: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]
    counts: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.begins) - 1


def gram_bags(
    texts: Sequence[str],
    *,
    least: int = 2,
    most: int = 5,
    longest: int = 3,
    words: bool = True,
) -> Bags:
    """The grams of each text, compared without case and in Unicode form NFKC.

    In scripts with spaces: words, and their n-grams of `least` to `most` letters, the two ends of
    the word counted as letters (Bojanowski et al. 2017, Q17-1010). In scripts without (Chinese,
    Japanese, Thai, Lao, Khmer, Burmese, Tibetan): n-grams of 1 to `longest` letters. A number is
    one feature. About 10 million characters a second.
    """
    from operators.alignment import gram_kernels

    points, text_at = _code_points(texts)
    different, which = np.unique(points, return_inverse=True)
    kinds = np.array([_kind(chr(point)) for point in different.tolist()] or [0], np.uint8)
    own = kinds[which] if len(points) else np.zeros(0, np.uint8)
    return Bags(*gram_kernels.gram_hashes(points, own, text_at, least, most, longest, words))


def word_lists(texts: Sequence[str]) -> list[list[str]]:
    """The words and numbers of each text, as `gram_bags` tells them apart.

    In scripts without spaces: all pairs of neighbouring letters, which overlap.
    """
    plain = [unicodedata.normalize("NFKC", text).casefold() for text in texts]
    gaps = {ord(c): " " for c in set().union(*map(set, plain)) if not _kind(c)}
    return [list(_words(_RUNS.findall(text.translate(gaps)))) for text in plain]


def _words(runs: Sequence[str]) -> Iterator[str]:
    for run in runs:
        if _IS_UNSPACED.match(run):
            yield from (run[n : n + 2] for n in range(max(1, len(run) - 1)))
        else:
            yield run


def romanized(texts: Sequence[str]) -> list[str]:
    """Texts in ASCII letters, character by character: names and loan words begin to look alike.

    The tables are anyascii's; what it has no letters for is left out.
    """
    from anyascii import anyascii

    letters = {ord(c): anyascii(c) for c in sorted(set().union(*map(set, texts)))}
    apart = [_KATAKANA.sub(r" \g<0> ", text) for text in texts]
    return [text.translate(letters).lower() for text in apart]


def _code_points(texts: Sequence[str]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    plain = [unicodedata.normalize("NFKC", text).casefold() for text in texts]
    text_at = np.zeros(len(plain) + 1, np.int64)
    np.cumsum([len(text) for text in plain], out=text_at[1:])
    # A lone surrogate has no place in UTF-8, and yet may stand in a string.
    content = "".join(plain).encode("utf-32-le", "surrogatepass")
    return np.frombuffer(content, np.uint32), text_at


def _kind(character: str) -> int:
    from operators.alignment import gram_kernels

    category = unicodedata.category(character)
    if category == "Nd":
        return gram_kernels.DIGIT
    if category[0] not in "LM":
        return gram_kernels.BETWEEN
    return gram_kernels.UNSPACED if _IS_UNSPACED.match(character) else gram_kernels.LETTER


def inverse_frequencies(bags: Sequence[Bags]) -> tuple[npt.NDArray[np.uint64], Floats]:
    """The different grams of some bags, sorted, and ln((1 + texts) / (1 + texts with it)) + 1."""
    grams, found = np.unique(np.concatenate([bag.hashes for bag in bags]), return_counts=True)
    texts = sum(map(len, bags))
    return grams, (np.log((1 + texts) / (1 + found)) + 1).astype(np.float32)


def weighted(
    bags: Bags,
    grams: npt.NDArray[np.uint64],
    weights: Floats,
    *,
    unseen: float | None = None,
) -> tuple[Bags, Floats]:
    """(1 + ln count) · weight for each gram of each bag, each bag's values of length 1 together.

    Args:
        grams, weights: as `inverse_frequencies` gives them; a weight of 0 leaves a gram out.
        unseen: weight of a gram that is not among `grams`; None leaves it out.

    Returns:
        The bags, without what is left out, and a value a gram.
    """
    place = np.minimum(np.searchsorted(grams, bags.hashes), max(len(grams) - 1, 0))
    known = grams[place] == bags.hashes if len(grams) else np.zeros(len(bags.hashes), np.bool_)
    weight = np.where(known, weights[place] if len(grams) else 0.0, unseen or 0.0)
    kept = weight > 0
    begins = np.concatenate([[0], np.cumsum(kept)])[bags.begins]
    bags, weight = Bags(begins, bags.hashes[kept], bags.counts[kept]), weight[kept]
    values = ((1 + np.log(bags.counts)) * weight).astype(np.float32)
    return bags, unit(values, bags.begins)


def unit(values: Floats, begins: npt.NDArray[np.int64]) -> Floats:
    """Values of rows, scaled so that each row has length 1; one without any stays so."""
    from operators.alignment import gram_kernels

    scaled: Floats = gram_kernels.unit_rows(values, begins)
    return scaled
