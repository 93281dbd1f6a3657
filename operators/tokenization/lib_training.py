"""LiB, "Less is Better" (Yang, Frank and van den Bosch 2020): as few tokens and types as it can.

A reader with a lexicon of chunks goes through the text again and again. He always takes the
longest chunk that he knows, and

- *memorises*: two neighbours that he has just read may become a chunk, ranked last;
- *ranks*: a chunk that made the reading shorter than the next shorter one would have moves up by
  what it saved; one that saved nothing, or cost something, moves down;
- *forgets*: now and then the tail of the ranking is dropped, but for the newest chunks.

Tokens get fewer as chunks grow, types as the tail goes. Encoding is what the reader does: the
longest token first, left to right. Nothing knows of words: with the pretokenizer "none" chunks
span several where they go together.

The paper's lexicon is a list in which chunks are moved by places. Here a number, the credit, gives
the order, and it fades, so that a lexicon of any size costs the same for each chunk read. The
numbers below are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from operators.tokenization.byte_alphabet import ALPHABET
from operators.tokenization.config import SMALLEST_VOCABULARY, TokenizerConfig
from operators.tokenization.lib_kernels import learn_lexicon
from operators.tokenization.model import TokenizerModel
from operators.tokenization.pretokenization import PretokenCounts
from operators.tokenization.token_trie import end_to_end

# SplitMix64's states are 64-bit numbers.
_SEEDS = 2**64


@dataclass(frozen=True, slots=True, kw_only=True)
class LibSettings:
    """How the reader learns.

    Attributes:
        rounds: how often each different pretoken is read, in an order drawn anew each time.
        memorise: probability that two neighbours are memorised, for each time they occur.
        forget: share of the lexicon that is dropped after each round but the settling ones,
            from the tail.
        life: rounds for which a new chunk is spared.
        fade: what a credit is multiplied by after each round.
        spare: how much larger than the vocabulary the lexicon may be while it learns.
        settling: rounds at the end in which the lexicon shrinks to the vocabulary step by step.

    Raises:
        ValueError: naming the value and what it may be.
    """

    rounds: int = 16
    memorise: float = 0.05
    forget: float = 0.1
    life: int = 1
    fade: float = 0.5
    spare: float = 2.0
    settling: int = 5

    def __post_init__(self) -> None:
        for name, least in (("rounds", 1), ("life", 0), ("settling", 1), ("spare", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be >= {least}")
        for name in ("memorise", "forget", "fade"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be in [0, 1]")


def train_lib(
    counts: PretokenCounts, config: TokenizerConfig, settings: LibSettings | None = None
) -> TokenizerModel:
    """Learn a LiB vocabulary.

    Args:
        counts: of the pre-tokenizer that the config names. `config.seed` seeds all that is
            drawn: the same counts and seed give the same vocabulary.
        settings: None is `LibSettings()`.

    Returns:
        A model with at most `config.vocab_size` tokens, learned ones by rank; fewer where the
        corpus is too small to learn so many. An empty corpus gives the alphabet.

    Raises:
        ValueError: for counts of another pre-tokenizer, or another algorithm.
    """
    if config.algorithm != "lib":
        raise ValueError(f"algorithm is {config.algorithm!r}, but must be 'lib'")
    if counts.pretokenizer != config.pretokenizer:
        raise ValueError(
            f"the counts are of {counts.pretokenizer!r}, but the tokenizer wants "
            f"{config.pretokenizer!r}"
        )
    how = settings or LibSettings()
    data, ends = end_to_end(counts.pretokens)
    end_of_text = config.end_of_text.encode()
    starts, lengths = learn_lexicon(
        data,
        ends,
        np.ascontiguousarray(counts.counts, np.int64),
        np.frombuffer(end_of_text, np.uint8),
        _limits(config.vocab_size - SMALLEST_VOCABULARY, how),
        float(how.memorise),
        config.max_token_bytes,
        float(how.forget),
        how.life,
        how.settling,
        float(how.fade),
        np.uint64(config.seed % _SEEDS),
    )
    text = data.tobytes()
    chunks = [
        text[start : start + length]
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)
    ]
    return TokenizerModel(config=config, tokens=(end_of_text, *ALPHABET, *chunks))


def _limits(size: int, how: LibSettings) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Chunks that may stay after each round: `spare` times `size`, and at last `size`."""
    steps = min(how.settling, how.rounds)
    shrinking = np.linspace(how.spare, 1.0, steps + 1)[1:]
    growing = np.full(how.rounds - steps, how.spare)
    limits: np.ndarray[tuple[int], np.dtype[np.int64]] = np.floor(
        size * np.concatenate([growing, shrinking])
    ).astype(np.int64)
    return limits
