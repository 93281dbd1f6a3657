"""Byte-pair encoding (Sennrich et al. 2016) learned from counted pretokens.

With "bytes" conventions the merges are those of `tokenizers`' BpeTrainer, one by one: the most
frequent pair first, and among equally frequent ones the pair with the smaller ids. Only integers
are added, so nothing depends on the order of texts, shards or processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from operators.tokenization.bpe_kernels import learn
from operators.tokenization.config import TokenizerConfig
from operators.tokenization.model import TokenizerModel
from operators.tokenization.pretokenization import PretokenCounts
from operators.tokenization.symbols import alphabet, initial_symbols

# Places of pairs are 32-bit numbers, up to three for each symbol.
_MOST_SYMBOLS = 600_000_000
_NO_REMOVAL = 2.0
_EVERYTHING = 2**62


@dataclass(frozen=True)
class Learned:
    """What the kernel gives, as `bpe_kernels.learn` describes it; ids in the order of making."""

    tokens: list[bytes]
    present: npt.NDArray[np.bool_]
    frequencies: npt.NDArray[np.int64]
    events: npt.NDArray[np.int32]
    pieces: npt.NDArray[np.int32]

    @property
    def merges(self) -> npt.NDArray[np.int32]:
        return np.ascontiguousarray(self.events[self.events[:, 0] == 0, 1:])


def train_bpe(
    counts: PretokenCounts, config: TokenizerConfig, *, most_merges: int | None = None
) -> TokenizerModel:
    """Learn a BPE vocabulary.

    Args:
        counts: of the pre-tokenizer that the config names.
        most_merges: stop after so many merges, even where they reused ids.

    Returns:
        A model with at most `config.vocab_size` tokens: fewer where the corpus has no pair left
        that occurs `min_frequency` times. An empty corpus gives the alphabet.

    Raises:
        ValueError: for counts of another pre-tokenizer, or an alphabet larger than vocab_size.
    """
    learned = learn_events(counts, config, most_merges=most_merges)
    return TokenizerModel(config=config, tokens=tuple(learned.tokens), merges=learned.merges)


def learn_events(
    counts: PretokenCounts,
    config: TokenizerConfig,
    *,
    threshold: float = _NO_REMOVAL,
    most_merges: int | None = None,
) -> Learned:
    """Run the kernel from the alphabet of the config. Errors as in `train_bpe`."""
    if counts.pretokenizer != config.counted[0]:
        raise ValueError(
            f"the counts are of {counts.pretokenizer!r}, but the tokenizer wants "
            f"{config.counted[0]!r}"
        )
    initial = alphabet(config, counts)
    if config.vocab_size < len(initial):
        raise ValueError(
            f"vocab_size is {config.vocab_size}, but the alphabet of this corpus alone has "
            f"{len(initial)} ids"
        )
    symbols, begins = initial_symbols(config, initial)(counts.pretokens)
    return run_kernel(
        symbols,
        begins,
        counts.counts,
        initial,
        config,
        threshold=threshold,
        most_merges=most_merges,
    )


def run_kernel(
    symbols: npt.NDArray[np.int32],
    begins: npt.NDArray[np.int64],
    weights: npt.NDArray[np.int64],
    tokens: tuple[bytes, ...],
    config: TokenizerConfig,
    *,
    threshold: float = _NO_REMOVAL,
    most_merges: int | None = None,
    max_words: int = 0,
) -> Learned:
    """`bpe_kernels.learn` with Python's types around it.

    Raises:
        ValueError: if there are more symbols than it can number.
    """
    if len(symbols) > _MOST_SYMBOLS:
        raise ValueError(
            f"the different pretokens have {len(symbols)} symbols together, but at most "
            f"{_MOST_SYMBOLS} can be trained on: train on fewer texts, or split them further"
        )
    lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
    data, ends, present, frequencies, events, pieces = learn(
        symbols,
        begins,
        weights,
        np.frombuffer(b"".join(tokens), np.uint8).copy(),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        config.specials,
        config.vocab_size,
        _EVERYTHING if most_merges is None else most_merges,
        config.min_frequency,
        float(threshold),
        config.conventions == "subword-nmt",
        max_words,
    )
    text = data.tobytes()
    strings = [text[start:stop] for start, stop in pairwise(ends.tolist())]
    return Learned(strings, present, frequencies, events, pieces)
