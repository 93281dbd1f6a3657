"""Cut texts into pretokens, which no token crosses, and count them.

Every pre-tokenizer is one regex of the `regex` package. It never loses text: what the regex does
not match is a pretoken too. Counts are mergeable: shards are counted apart and added.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORDS_AND_REST = (
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|%s"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

PRETOKENIZERS: Mapping[str, str] = MappingProxyType(
    {
        # Radford et al. 2019.
        "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        # cl100k, as published for GPT-4; Llama 3 took it over.
        "gpt4": _WORDS_AND_REST % r"\p{N}{1,3}",
        "llama3": _WORDS_AND_REST % r"\p{N}{1,3}",
        # The whole text is one pretoken.
        "none": r"(?s:.+)",
        # A word keeps the space before it ("FirstSpace" of Schmidt et al. 2024).
        "whitespace": r" ?\S+|\s+(?!\S)|\s+",
        # Words, and each whitespace character by itself ("Space" there).
        "spaces-apart": r"\S+|\s",
        # GPT-4's with digits grouped from the left, from the right (Singh and Strouse 2024: the
        # look-ahead wants a multiple of three digits to follow), or each by itself.
        "digits-ltr": _WORDS_AND_REST % r"\p{N}{1,3}",
        "digits-rtl": _WORDS_AND_REST % r"\p{N}{1,3}(?=(?:\p{N}{3})*+(?!\p{N}))",
        "digits-single": _WORDS_AND_REST % r"\p{N}",
        # Every punctuation mark and symbol by itself ("Punct" of Dagan et al. 2024).
        "punctuation": r" ?\p{L}[\p{L}\p{M}]*| ?\p{N}{1,3}|[^\s\p{L}\p{N}]|\s+(?!\S)|\s+",
        # Liu et al. 2025. Stage 1: letters by case as GPT-4o has them. Stage 2: only digits and
        # runs of punctuation stand apart, so tokens cross spaces.
        "superbpe-stage1": (
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*"
            rf"[\p{{Ll}}\p{{Lm}}\p{{Lo}}\p{{M}}]+{_CONTRACTIONS}?"
            r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
            rf"[\p{{Ll}}\p{{Lm}}\p{{Lo}}\p{{M}}]*{_CONTRACTIONS}?"
            r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        ),
        "superbpe-stage2": r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]{2,}[\r\n/]*| +(?!\S)",
        "superbpe-stage2-lines": (r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]{2,}[\r\n/]*|\s*[\r\n]+| +(?!\S)"),
    }
)


def _subword_nmt_words(text: str) -> list[str]:
    return [
        word
        for line in text.splitlines(keepends=True)
        for word in line.strip("\r\n ").split(" ")
        if word
    ]


def _picky_words(text: str) -> list[str]:
    return ["\u2581" + word for word in text.split()]


# What reference implementations count: words, between which whitespace is lost. Names that
# `count_pretokens` knows beside those of pre-tokenizers.
WORDS: Mapping[str, Callable[[str], list[str]]] = MappingProxyType(
    {"subword-nmt": _subword_nmt_words, "picky": _picky_words}
)


# Texts are counted in batches of so many bytes.
_BATCH_BYTES = 1 << 24


class Pretokenizer:
    """A named or custom regex, ready to split. `"".join(split(text)) == text` always.

    Args:
        name: a name in `PRETOKENIZERS`; any other string is taken as a regex.

    Raises:
        ValueError: if it is neither.
    """

    def __init__(self, name: str) -> None:
        import regex

        if name in WORDS:
            raise ValueError(f"{name!r} counts words, and cannot split a text without loss")
        self.name = name
        self.pattern = PRETOKENIZERS.get(name, name)
        try:
            self._pattern = regex.compile(self.pattern)
            # Splitting at a group gives the matches and what lies between them in one call.
            self._splitter = None if self._pattern.groups else regex.compile(f"({self.pattern})")
        except regex.error as error:
            raise ValueError(
                f"pretokenizer {name!r} is neither one of {', '.join(PRETOKENIZERS)} "
                f"nor a regex: {error}"
            ) from error
        if not self.pattern:
            raise ValueError("an empty regex splits nothing: the pretokenizer 'none' says so")

    def split(self, text: str) -> list[str]:
        """The pretokens of a text, none of them empty."""
        if self._splitter is not None:
            pieces: list[str] = self._pattern.findall(text)
            if sum(map(len, pieces)) == len(text):
                return pieces if "" not in pieces else list(filter(None, pieces))
            return list(filter(None, self._splitter.split(text)))
        pieces, end = [], 0
        for match in self._pattern.finditer(text):
            pieces += (text[end : match.start()], match[0])
            end = match.end()
        pieces.append(text[end:])
        return list(filter(None, pieces))


@lru_cache(maxsize=64)
def pretokenizer(name: str) -> Pretokenizer:
    """`Pretokenizer(name)`, made once a process."""
    return Pretokenizer(name)


def to_utf8(text: str, index: int = 0) -> bytes:
    """The bytes of text number `index`.

    Raises:
        ValueError: if it holds a lone surrogate, which no UTF-8 can carry; where it is.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"text {index} has the lone surrogate U+{ord(text[error.start]):04X} at position "
            f"{error.start}, which UTF-8 cannot carry: clean the text first"
        ) from error


@dataclass(frozen=True, eq=False)
class PretokenCounts:
    """How often each pretoken occurs: all that the training of a tokenizer reads.

    Attributes:
        pretokenizer: what made them, a name or a regex.
        pretokens: sorted by their bytes, all different, so that the order of texts and shards
            leaves no trace.
        counts: [len(pretokens)] occurrences, > 0.
    """

    pretokenizer: str
    pretokens: Sequence[bytes]
    counts: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pretokens)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PretokenCounts):
            return NotImplemented
        return (
            self.pretokenizer == other.pretokenizer
            and list(self.pretokens) == list(other.pretokens)
            and np.array_equal(self.counts, other.counts)
        )

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: PretokenCounts) -> PretokenCounts:
        """Counts of both corpora.

        Raises:
            ValueError: if they were cut by different pre-tokenizers.
        """
        if self.pretokenizer != other.pretokenizer:
            raise ValueError(
                f"counts of {self.pretokenizer!r} and {other.pretokenizer!r} cannot be added"
            )
        sums = dict(zip(self.pretokens, self.counts.tolist(), strict=True))
        for pretoken, count in zip(other.pretokens, other.counts.tolist(), strict=True):
            sums[pretoken] = sums.get(pretoken, 0) + count
        return from_counter(sums, self.pretokenizer)

    @property
    def total(self) -> int:
        """Pretokens of the corpus, each as often as it occurs."""
        return int(self.counts.sum())

    @property
    def total_bytes(self) -> int:
        """UTF-8 bytes of the corpus."""
        lengths = np.fromiter(map(len, self.pretokens), np.int64, len(self.pretokens))
        return int(lengths @ self.counts)

    def to_table(self) -> pa.Table:
        """Columns `pretoken` (binary) and `count` (int64); the schema names the pre-tokenizer."""
        return pa.table(
            {
                "pretoken": pa.array(self.pretokens, pa.large_binary()),
                "count": pa.array(self.counts, pa.int64()),
            }
        ).replace_schema_metadata({"pretokenizer": self.pretokenizer})

    @classmethod
    def from_table(cls, table: Any) -> PretokenCounts:
        """The inverse of `to_table`.

        Raises:
            ValueError: if the schema names no pre-tokenizer.
        """
        metadata = table.schema.metadata or {}
        if b"pretokenizer" not in metadata:
            raise ValueError("the table's schema does not name the pretokenizer of its counts")
        return cls(
            metadata[b"pretokenizer"].decode(),
            table.column("pretoken").to_pylist(),
            table.column("count").to_numpy().astype(np.int64),
        )


def from_counter(counts: Mapping[bytes, int], pretokenizer: str) -> PretokenCounts:
    """Counts of pretokens that were counted elsewhere; those that never occur are left out."""
    kept = sorted(pretoken for pretoken, count in counts.items() if count > 0)
    numbers = np.fromiter(map(counts.__getitem__, kept), np.int64, len(kept))
    return PretokenCounts(pretokenizer, kept, numbers)


def count_pretokens(texts: Iterable[str], pretokenizer: str) -> PretokenCounts:
    """Count the pretokens of texts; `texts` is read once, in any order.

    Args:
        pretokenizer: a name in `PRETOKENIZERS`, a regex, or a name in `WORDS`.

    Raises:
        ValueError: for a wrong pre-tokenizer, or a text with a lone surrogate, naming the text's
            index and the position.
    """
    (counts,) = count_with_each(texts, [pretokenizer])
    return counts


def count_with_each(texts: Iterable[str], pretokenizers: Sequence[str]) -> list[PretokenCounts]:
    """`count_pretokens` by several pre-tokenizers, in one pass over the texts."""
    counters = [_Counter(name) for name in pretokenizers]
    batch: list[bytes] = []
    size = 0
    for index, text in enumerate(texts):
        batch.append(to_utf8(text, index))
        size += len(batch[-1])
        if size >= _BATCH_BYTES:
            for counter in counters:
                counter.add(batch, size)
            batch, size = [], 0
    for counter in counters:
        counter.add(batch, size)
    return [from_counter(counter.counts, counter.name) for counter in counters]


class _Counter:
    """Counts of one pre-tokenizer, by the bytes of pretokens."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts: Counter[bytes] = Counter()
        self._pretokenizer = None if name in WORDS else pretokenizer(name)

    def add(self, texts: Sequence[bytes], size: int) -> None:
        """Count texts of `size` bytes together."""
        from operators.tokenization.scanning_program import program_for

        cuts = self._pretokenizer
        program = None if cuts is None else program_for(cuts.pattern, size)
        if program is None:
            split = WORDS[self.name] if cuts is None else cuts.split
            seen = Counter(chain.from_iterable(split(text.decode()) for text in texts))
            self.counts.update({pretoken.encode(): count for pretoken, count in seen.items()})
            return
        from operators.tokenization.counting_kernels import count_distinct

        text_ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)))
        data = np.frombuffer(b"".join(texts), np.uint8)
        pretoken_ends, _ = program.split(data, text_ends)
        distinct, begins, counts = count_distinct(data, pretoken_ends)
        together = distinct.tobytes()
        pretokens = [together[start:stop] for start, stop in pairwise(begins.tolist())]
        self.counts.update(dict(zip(pretokens, counts.tolist(), strict=True)))
