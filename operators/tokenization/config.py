"""What a tokenizer shall be: algorithm, size, pre-tokenizer, encoder and their switches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

TokenizerAlgorithm = Literal["bpe", "picky_bpe", "superbpe", "unigram", "wordpiece", "lib"]
Conventions = Literal["bytes", "subword-nmt", "picky"]
EncoderName = Literal[
    "merges",  # BPE: the earliest learned merge first
    "events",  # Picky BPE: merges and splits in the order of training
    "longest_first",  # LBPE: the longest token anywhere, then its two sides
    "longest_merge",  # LBPE, the other reading: BPE that prefers the longest result
    "pathpiece",  # fewest tokens, ties to the longest last token
    "pathpiece_random",  # fewest tokens, ties drawn
    "greedy",  # longest prefix, left to right
    "greedy_suffix",  # longest suffix, right to left
    "unigram",  # the most probable segmentation
    "unigram_sampled",  # a segmentation drawn by its probability
]

ALGORITHMS: tuple[str, ...] = get_args(TokenizerAlgorithm)
ENCODERS: tuple[str, ...] = get_args(EncoderName)

# Encoders that dropout applies to.
MERGING_ENCODERS: tuple[str, ...] = ("merges", "longest_merge")

# The 256 bytes and the end-of-text token: below this a tokenizer could not spell every text.
SMALLEST_VOCABULARY = 257

_OWN_ENCODER: Mapping[str, EncoderName] = {
    "bpe": "merges",
    "superbpe": "merges",
    "picky_bpe": "events",
    "unigram": "unigram",
    "wordpiece": "greedy",
    "lib": "greedy",
}
# Encoders that need more than a vocabulary, and who learns it.
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "merges": ("bpe", "superbpe"),
    "longest_merge": ("bpe", "superbpe"),
    "events": ("picky_bpe",),
    "unigram": ("unigram",),
    "unigram_sampled": ("unigram",),
}
_CONVENTIONS_OF: Mapping[str, tuple[str, ...]] = {
    "bytes": ALGORITHMS,
    "subword-nmt": ("bpe",),
    "picky": ("picky_bpe",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerConfig:
    """The whole description of a tokenizer but its data. Checked when it is made.

    Attributes:
        algorithm: what learns the vocabulary.
        vocab_size: ids altogether, special tokens included. A corpus that cannot give so many
            gives a smaller vocabulary: ask the model.
        pretokenizer: a name in `PRETOKENIZERS` or a regex; no token crosses a pretoken.
        encoder: what makes ids of a text; None is the algorithm's own.
        min_frequency: a pair occurring so often (>=) may be merged. BPE family.
        end_of_text: the special token, id 0; never made of ordinary text.
        picky_threshold: IoS above which (>) Picky BPE removes a token; 1 and more: plain BPE.
        transition_size: SuperBPE's vocabulary size at which whitespace stops to bound tokens;
            None is the end, which is plain BPE.
        stage2_pretokenizer: SuperBPE's pre-tokenizer after the transition, and at encoding.
        max_words: SuperBPE makes no token of more words.
        dropout: share of merges left out at random while encoding (Provilkov et al. 2020).
        power: the encoder "unigram_sampled" draws in proportion to P ** power (Kudo 2018 calls
            it alpha): 1 samples from the model, less is more even, 0 uniform.
        seed: of whatever is drawn: dropout, sampled segmentations, ties.
        max_token_bytes: longest piece that Unigram, WordPiece, LiB and PathPiece may make.
        coverage: share of characters that get a token of their own, the rarest becoming UNK;
            for the "picky" conventions only, as bytes cover everything.
        conventions: "bytes" (reversible for any text), or those of a reference implementation,
            which work on characters: "subword-nmt" (BPE with "</w>", no special token) and
            "picky" (Picky BPE with U+2581 before a word, and PAD, UNK, BOS, EOS).

    Raises:
        ValueError: naming the value and what it may be.
    """

    algorithm: TokenizerAlgorithm
    vocab_size: int
    pretokenizer: str = "gpt2"
    encoder: EncoderName | None = None
    min_frequency: int = 2
    end_of_text: str = "<|endoftext|>"
    picky_threshold: float = 0.9
    transition_size: int | None = None
    stage2_pretokenizer: str = "superbpe-stage2"
    max_words: int = 4
    dropout: float = 0.0
    power: float = 1.0
    seed: int = 0
    max_token_bytes: int = 48
    coverage: float = 0.9999
    conventions: Conventions = "bytes"

    def __post_init__(self) -> None:
        _one_of("algorithm", self.algorithm, ALGORITHMS)
        _one_of("conventions", self.conventions, tuple(_CONVENTIONS_OF))
        _one_of(
            f"with {self.conventions!r} conventions, algorithm",
            self.algorithm,
            _CONVENTIONS_OF[self.conventions],
        )
        if self.encoder is not None:
            _one_of("encoder", self.encoder, ENCODERS)
            needed = _NEEDS.get(self.encoder, ALGORITHMS)
            _one_of(f"for encoder {self.encoder!r}, algorithm", self.algorithm, needed)
        smallest = SMALLEST_VOCABULARY if self.conventions == "bytes" else 1
        if self.vocab_size < smallest:
            raise ValueError(
                f"vocab_size is {self.vocab_size}, but must be >= {smallest}"
                + (": 256 bytes and end_of_text" if smallest == SMALLEST_VOCABULARY else "")
            )
        if self.min_frequency < 0:
            raise ValueError(f"min_frequency is {self.min_frequency}, but must be >= 0")
        if any("\ud800" <= character <= "\udfff" for character in self.end_of_text):
            raise ValueError(f"end_of_text is {self.end_of_text!r}: UTF-8 has no lone surrogates")
        if len(self.end_of_text.encode()) < 2:
            raise ValueError(f"end_of_text is {self.end_of_text!r}, but must have >= 2 bytes")
        if not self.picky_threshold >= 0:
            raise ValueError(f"picky_threshold is {self.picky_threshold}, but must be >= 0")
        if not 0 <= self.dropout <= 1:
            raise ValueError(f"dropout is {self.dropout}, but must be in [0, 1]")
        if self.dropout > 0 and self.own_encoder not in MERGING_ENCODERS:
            raise ValueError(
                f"dropout is {self.dropout}, but encoder {self.own_encoder!r} makes no merges to "
                f"drop: choose {' or '.join(MERGING_ENCODERS)}, or dropout=0"
            )
        if not 0 <= self.power < math.inf:
            raise ValueError(f"power is {self.power}, but must be >= 0 and finite")
        if not 0 < self.coverage <= 1:
            raise ValueError(f"coverage is {self.coverage}, but must be in (0, 1]")
        if self.max_words < 1:
            raise ValueError(f"max_words is {self.max_words}, but must be >= 1")
        if self.max_token_bytes < 1:
            raise ValueError(f"max_token_bytes is {self.max_token_bytes}, but must be >= 1")
        if self.transition_size is not None and not (
            SMALLEST_VOCABULARY <= self.transition_size <= self.vocab_size
        ):
            raise ValueError(
                f"transition_size is {self.transition_size}, but must be from "
                f"{SMALLEST_VOCABULARY} to vocab_size {self.vocab_size}"
            )

    @property
    def specials(self) -> int:
        """How many ids, from 0, stand for no text."""
        return {"bytes": 1, "subword-nmt": 0, "picky": 4}[self.conventions]

    @property
    def counted(self) -> tuple[str, ...]:
        """What `count_pretokens` must be asked for before training, in the order of training."""
        if self.conventions != "bytes":
            return (self.conventions,)
        if self.has_stage2:
            return (self.pretokenizer, self.stage2_pretokenizer)
        return (self.pretokenizer,)

    @property
    def own_encoder(self) -> EncoderName:
        """The encoder that is used: the one asked for, or the algorithm's own."""
        return self.encoder or _OWN_ENCODER[self.algorithm]

    @property
    def has_stage2(self) -> bool:
        """Whether this is a SuperBPE with something left to learn after the transition."""
        return (
            self.algorithm == "superbpe"
            and self.transition_size is not None
            and self.transition_size < self.vocab_size
        )

    @property
    def encoding_pretokenizer(self) -> str:
        """What splits a text before it is encoded: the last one that training used."""
        return self.stage2_pretokenizer if self.has_stage2 else self.pretokenizer

    def with_vocab_size(self, vocab_size: int) -> TokenizerConfig:
        """The same at another size; a transition beyond it moves to the end."""
        transition = self.transition_size
        if transition is not None:
            transition = min(transition, vocab_size)
        return replace(self, vocab_size=vocab_size, transition_size=transition)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TokenizerConfig:
        """The inverse of `to_dict`.

        Raises:
            ValueError: for a name that is not a setting, or a missing or wrong value.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"{unknown} are no settings of a tokenizer: {sorted(known)}")
        missing = sorted({"algorithm", "vocab_size"} - set(values))
        if missing:
            raise ValueError(f"the settings of a tokenizer lack {missing}")
        return cls(**values)


def _one_of(what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{what} is {value!r}, but must be one of {', '.join(allowed)}")
