"""The conventions of subword-nmt (Sennrich et al. 2016), version 0.2: merges and segmentation.

Words lie between single spaces. They begin as characters, the last of which carries "</w>". The
most frequent pair is merged, among equally frequent ones the pair whose strings are largest;
learning stops where no pair occurs `min_frequency` times. A segmented word has "@@" at the end of
each piece but the last, and characters that were never seen stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from operators.tokenization.bpe_training import train_bpe
from operators.tokenization.config import Conventions, TokenizerConfig
from operators.tokenization.model import TokenizerModel
from operators.tokenization.picky_encoding import merge_encoder
from operators.tokenization.pretokenization import count_pretokens, to_utf8
from operators.tokenization.symbols import WORD_END, alphabet, symbols_of

CONVENTIONS: Conventions = "subword-nmt"
SEPARATOR = "@@"
_HEADER = "#version: 0.2"
_STRIPPED = "\r\n "


def learn_bpe(texts: Iterable[str], merges: int, *, min_frequency: int = 2) -> TokenizerModel:
    """What `subword-nmt learn-bpe -s MERGES` learns.

    Raises:
        ValueError: for a negative number of merges, or a text with a lone surrogate.
    """
    if merges < 0:
        raise ValueError(f"merges is {merges}, but must be >= 0")
    counts = count_pretokens(texts, CONVENTIONS)
    smallest = TokenizerConfig(
        algorithm="bpe", vocab_size=1, min_frequency=min_frequency, conventions=CONVENTIONS
    )
    size = len(alphabet(smallest, counts)) + merges
    config = smallest.with_vocab_size(max(size, 1))
    return train_bpe(counts, config, most_merges=merges)


def codes(model: TokenizerModel) -> str:
    """The merges as a file of codes that `subword-nmt apply-bpe` reads."""
    names = [token.decode() for token in model.tokens]
    lines = [f"{names[left]} {names[right]}" for left, right, _ in model.merges.tolist()]
    return "\n".join([_HEADER, *lines, ""])


class Segmenter:
    """What `subword-nmt apply-bpe` does with a text. Words are segmented once.

    Raises:
        ValueError: for a model of other conventions.
    """

    def __init__(self, model: TokenizerModel) -> None:
        if model.config.conventions != CONVENTIONS:
            raise ValueError(
                f"the model has {model.config.conventions!r} conventions, not {CONVENTIONS!r}"
            )
        self._symbols = symbols_of(model)
        self._encoder = merge_encoder(model)
        # Characters a token covers, its "</w>" not counted; one for what is unknown.
        self._widths = np.array(
            [
                len(token.decode()) - len(WORD_END) * token.endswith(WORD_END.encode())
                for token in model.tokens
            ]
            + [1],
            np.int64,
        )
        self._segments: dict[str, str] = {}

    def segment(self, text: str) -> str:
        """The text with its words in pieces: "lower" -> "low@@ er".

        Spaces at both ends of a line stay, several between two words become one.
        """
        lines = text.splitlines(keepends=True)
        words = [line.strip(_STRIPPED).split(" ") for line in lines]
        self._learn_words(text, sorted({word for line in words for word in line if word}))
        segmented = []
        for line, of_line in zip(lines, words, strict=True):
            inner = " ".join(self._segments[word] for word in of_line if word)
            begin = line[: len(line) - len(line.lstrip(_STRIPPED))]
            end = line[len(line.rstrip(_STRIPPED)) :] if inner else ""
            segmented.append(begin + inner + end)
        return "".join(segmented)

    def _learn_words(self, text: str, words: list[str]) -> None:
        to_utf8(text)
        new = [word for word in words if word not in self._segments]
        symbols, begins = self._symbols([word.encode() for word in new])
        ids, ends = self._encoder.encode(symbols, begins)
        cuts = np.concatenate([[0], np.cumsum(self._widths[ids])]).tolist()
        for word, begin, (first, last) in zip(
            new, begins.tolist(), pairwise(ends.tolist()), strict=False
        ):
            bounds = pairwise(cuts[first : last + 1])
            self._segments[word] = f"{SEPARATOR} ".join(
                word[start - begin : stop - begin] for start, stop in bounds
            )
