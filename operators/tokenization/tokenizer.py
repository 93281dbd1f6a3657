"""A trained tokenizer at work: text to ids and back, on all cores."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from operators.tokenization.config import EncoderName
from operators.tokenization.encoders import make_encoder
from operators.tokenization.model import TokenizerModel
from operators.tokenization.pretokenization import pretokenizer, to_utf8
from operators.tokenization.scanning_program import ScanningProgram, program_for
from operators.tokenization.token_trie import end_to_end

if TYPE_CHECKING:
    from tokenizers import Tokenizer as HubTokenizer

# Characters that a thread takes at once: enough to be worth a thread, few enough that threads end
# together and that the ids fit the caches of the machine.
_FEWEST_CHARACTERS, _MOST_CHARACTERS = 1 << 15, 1 << 20

_LARGEST_SEED = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


@dataclass(frozen=True, slots=True, eq=False)
class EncodedTexts:
    """Ids of several texts, end to end.

    Attributes:
        ids: [tokens].
        ends: [texts] where the ids of each text end.
    """

    ids: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> npt.NDArray[np.int32]:
        """The ids of one text."""
        number = range(len(self.ends))[index]
        return self.ids[self.ends[number - 1] if number else 0 : self.ends[number]]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each text, [texts]."""
        return np.diff(self.ends, prepend=0)

    def tolist(self) -> list[list[int]]:
        """The ids of each text as plain lists."""
        flat: list[int] = self.ids.tolist()
        return [flat[start:end] for start, end in pairwise([0, *self.ends.tolist()])]


class Tokenizer:
    """Encodes with the model's vocabulary, pre-tokenizer and encoder; `decode` gives texts back.

    `decode(encode(text)) == text` for every text that UTF-8 can carry, whatever the encoder.
    Encoders that draw (dropout, random ties, sampled Unigram) draw anew for every epoch, and the
    same for the same name of a text, epoch and seed: neither the order of texts nor the number
    of threads matters. One object may be used by several threads.

    Args:
        model: with "bytes" conventions.
        encoder: another encoder than the model's; see `encoders`.
        dropout: another than the configuration's.
        power: another than the configuration's.

    Raises:
        ValueError: if the model does not suit the encoder, has other conventions (the message
            says what encodes by those), or its pre-tokenizer is no regex.
    """

    def __init__(
        self,
        model: TokenizerModel,
        *,
        encoder: EncoderName | None = None,
        dropout: float | None = None,
        power: float | None = None,
    ) -> None:
        self.model = model
        self._settings = (encoder, dropout, power)
        self.encoder: str = encoder or model.config.own_encoder
        self.dropout = model.config.dropout if dropout is None else dropout
        self._encoder = make_encoder(model, encoder, dropout=dropout, power=power)
        self._pretokenizer = pretokenizer(model.config.encoding_pretokenizer)

    def __reduce__(self) -> tuple[object, ...]:
        # Compiled tables are made again where the tokenizer arrives.
        return _again, (self.model, *self._settings)

    def __repr__(self) -> str:
        config = self.model.config
        return f"Tokenizer({config.algorithm}, {self.vocab_size} ids, encoder {self.encoder})"

    @property
    def tokens(self) -> tuple[bytes, ...]:
        """The bytes of each id."""
        return self.model.tokens

    @property
    def vocab_size(self) -> int:
        """Number of ids, special ones included."""
        return self.model.vocab_size

    @property
    def special_ids(self) -> range:
        """The ids that stand for no text."""
        return self.model.special_ids

    @property
    def unknown_id(self) -> None:
        """None: every text can be spelled."""
        return None

    @property
    def end_of_text_id(self) -> int:
        """The id of `end_of_text`."""
        return 0

    @property
    def draws(self) -> bool:
        """Whether ids depend on seed, epoch and name."""
        return self._encoder.draws

    def encode(
        self, text: str, *, allow_special: bool = False, epoch: int = 0, name: str | None = None
    ) -> list[int]:
        """Ids of one text; see `encode_batch`."""
        names = None if name is None else [name]
        (ids,) = self.encode_batch(
            [text], allow_special=allow_special, epoch=epoch, names=names, threads=1
        )
        return ids

    def encode_batch(
        self,
        texts: Sequence[str],
        *,
        allow_special: bool = False,
        epoch: int = 0,
        names: Sequence[str] | None = None,
        threads: int | None = None,
    ) -> list[list[int]]:
        """Ids of texts; nothing is added to them.

        Args:
            allow_special: `end_of_text` inside a text is the special token; without it, it is
                spelled like any other text.
            epoch: draws are other ones in every epoch.
            names: [texts] what seeds the draws of each text; the text itself if not given.
            threads: None is one for each processor that this process may use.

        Raises:
            ValueError: for a text with a lone surrogate, naming the text's index and the
                position; if there are not as many names as texts.
        """
        if allow_special and any(self.model.config.end_of_text in text for text in texts):
            return self._encode_with_special(texts, epoch=epoch, names=names, threads=threads)
        encoded = self._encode_blocks(texts, epoch, names, threads)
        return [ids for block in encoded for ids in block.tolist()]

    def encode_arrays(
        self,
        texts: Sequence[str],
        *,
        epoch: int = 0,
        names: Sequence[str] | None = None,
        threads: int | None = None,
    ) -> EncodedTexts:
        """`encode_batch` as arrays, without Python's numbers; `end_of_text` is never special."""
        blocks = self._encode_blocks(texts, epoch, names, threads)
        lengths = np.concatenate([np.empty(0, np.int64), *(block.lengths for block in blocks)])
        ids = np.concatenate([np.empty(0, np.int32), *(block.ids for block in blocks)])
        return EncodedTexts(ids, np.cumsum(lengths))

    def decode(self, ids: Sequence[int] | npt.NDArray[np.integer]) -> str:
        """The text of ids; the special token is written out.

        Ids that end inside of a character give U+FFFD in its place.

        Raises:
            ValueError: for an id that the vocabulary does not have.
        """
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def decode_bytes(self, ids: Sequence[int] | npt.NDArray[np.integer]) -> bytes:
        """The bytes of ids, whether they are UTF-8 or not.

        Raises:
            ValueError: for an id that the vocabulary does not have.
        """
        numbers = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
        if numbers and not 0 <= min(numbers) <= max(numbers) < self.vocab_size:
            wrong = next(number for number in numbers if not 0 <= number < self.vocab_size)
            raise ValueError(f"id {wrong} is not in a vocabulary of {self.vocab_size}")
        return b"".join(map(self.tokens.__getitem__, numbers))

    def save(self, path: str | Path) -> None:
        """Write the model to a file; an encoder given to this object only is not part of it."""
        self.model.save(path)

    def to_hf(self) -> HubTokenizer:
        """The same tokenizer for the `tokenizers` library; see `hub_tokenizer.to_hub`."""
        from operators.tokenization.hub_tokenizer import to_hub

        if self.draws:
            raise ValueError(
                f"{self!r} draws by seed and name, which `tokenizers` cannot: export it with "
                "dropout=0, or with an encoder that does not draw"
            )
        return to_hub(self.model, self.encoder)

    def _encode_blocks(
        self,
        texts: Sequence[str],
        epoch: int,
        names: Sequence[str] | None,
        threads: int | None,
    ) -> list[EncodedTexts]:
        if names is not None and len(names) != len(texts):
            raise ValueError(f"{len(texts)} texts have {len(names)} names")
        workers = _processors() if threads is None else threads
        if workers < 1:
            raise ValueError(f"threads is {threads}, but must be >= 1")
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        blocks = list(pairwise(_cuts(lengths, workers)))
        program = program_for(self._pretokenizer.pattern, int(lengths.sum()))

        def encode(block: tuple[int, int]) -> EncodedTexts:
            start, stop = block
            named = None if names is None else names[start:stop]
            return self._encode_block(texts[start:stop], start, epoch, named, program)

        if len(blocks) < 2 or workers == 1:
            return [encode(block) for block in blocks]
        with ThreadPoolExecutor(min(workers, len(blocks))) as pool:
            return list(pool.map(encode, blocks))

    def _encode_block(
        self,
        texts: Sequence[str],
        first: int,
        epoch: int,
        names: Sequence[str] | None,
        program: ScanningProgram | None,
    ) -> EncodedTexts:
        encoded = [to_utf8(text, first + number) for number, text in enumerate(texts)]
        data, text_ends = end_to_end(encoded)
        if program is None:
            ends, groups = self._split_with_regex(texts, data)
        else:
            ends, groups = program.split(data, text_ends)
        seeds = None
        if self.draws:
            seeds = self._seeds(encoded if names is None else map(str.encode, names), epoch)
        return EncodedTexts(*self._encoder.encode(data, ends, groups, seeds))

    def _split_with_regex(
        self, texts: Sequence[str], data: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Where pretokens end in `data`, and how many come before each text."""
        pieces = [self._pretokenizer.split(text) for text in texts]
        lengths = np.fromiter(map(len, chain.from_iterable(pieces)), np.int64)
        # Lengths are in characters; a character begins at every byte that does not continue one.
        begins = np.append(np.flatnonzero(data & 0xC0 != 0x80), len(data))
        groups = np.cumsum([0, *map(len, pieces)], dtype=np.int64)
        return begins[np.cumsum(lengths)], groups

    def _seeds(self, names: Iterable[bytes], epoch: int) -> npt.NDArray[np.uint64]:
        from xxhash import xxh3_64_intdigest

        if epoch < 0:
            raise ValueError(f"epoch is {epoch}, but must be >= 0")
        seed = (self.model.config.seed * _GOLDEN + epoch) & _LARGEST_SEED
        return np.array([xxh3_64_intdigest(name, seed) for name in names], np.uint64)

    def _encode_with_special(
        self,
        texts: Sequence[str],
        *,
        epoch: int,
        names: Sequence[str] | None,
        threads: int | None,
    ) -> list[list[int]]:
        parts = [text.split(self.model.config.end_of_text) for text in texts]
        parts_of = None
        if names is not None:
            parts_of = [
                f"{name}\0{number}"
                for name, pieces in zip(names, parts, strict=True)
                for number in range(len(pieces))
            ]
        flat = list(chain.from_iterable(parts))
        encoded = iter(self.encode_batch(flat, epoch=epoch, names=parts_of, threads=threads))
        together = []
        for pieces in parts:
            ids = list(next(encoded))
            for _ in pieces[1:]:
                ids.append(self.end_of_text_id)
                ids += next(encoded)
            together.append(ids)
        return together


def load_tokenizer(path: str | Path) -> Tokenizer:
    """The tokenizer that `Tokenizer.save` wrote.

    Raises:
        ValueError: if the file holds no such tokenizer.
    """
    return Tokenizer(TokenizerModel.load(path))


def _again(
    model: TokenizerModel, encoder: EncoderName | None, dropout: float | None, power: float | None
) -> Tokenizer:
    return Tokenizer(model, encoder=encoder, dropout=dropout, power=power)


def _processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cuts(lengths: npt.NDArray[np.int64], workers: int) -> list[int]:
    """Bounds of runs of whole texts, of about the size that suits so many threads."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    size = min(max(total // (4 * workers), _FEWEST_CHARACTERS), _MOST_CHARACTERS)
    steps = np.arange(size, total, size)
    cuts: list[int] = np.unique([0, *(np.searchsorted(ends, steps) + 1), len(lengths)]).tolist()
    return cuts
