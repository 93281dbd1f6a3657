"""Train any tokenizer, or many at once that share what can be shared.

Of one corpus and pre-tokenizer, words are counted once, and then

- *BPE*: one training at the largest size holds every smaller one, and the first stage of every
  SuperBPE;
- *SuperBPE*: one second stage for each transition, at the largest size;
- *Picky BPE*: one training for each threshold, at the largest size;
- *WordPiece*: the vocabularies of that BPE;
- *Unigram*: one chain of prunings, from which every size is cut;
- *LiB*: each by itself.

What is shared changes nothing: each tokenizer is the one that training it alone gives.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from operators.tokenization.bpe_training import train_bpe
from operators.tokenization.config import TokenizerConfig
from operators.tokenization.encoders import require_bytes
from operators.tokenization.lib_training import train_lib
from operators.tokenization.model import TokenizerModel
from operators.tokenization.picky_bpe import train_picky_bpe
from operators.tokenization.pretokenization import PretokenCounts, count_with_each
from operators.tokenization.superbpe import extend
from operators.tokenization.tokenizer import Tokenizer
from operators.tokenization.unigram_training import train_unigrams
from operators.tokenization.wordpiece_training import plain_bpe, wordpieces_of_bpe


def train_tokenizer(texts: Iterable[str], config: TokenizerConfig) -> Tokenizer:
    """Train one tokenizer.

    Args:
        texts: read once, in any order: the result depends on the multiset of texts only.

    Raises:
        ValueError: for a text with a lone surrogate (which text, and where), or conventions that
            no `Tokenizer` encodes by.
    """
    require_bytes(config)
    (tokenizer,) = train_tokenizers(count_for(texts, [config]), [config])
    return tokenizer


def count_for(texts: Iterable[str], configs: Iterable[TokenizerConfig]) -> list[PretokenCounts]:
    """All counts that the configs are trained from, in one pass over the texts.

    Raises:
        ValueError: for a wrong pre-tokenizer, or a text with a lone surrogate.
    """
    names = list(dict.fromkeys(name for config in configs for name in config.counted))
    return count_with_each(texts, names)


def train_tokenizers(
    counts: PretokenCounts | Iterable[PretokenCounts], configs: Sequence[TokenizerConfig]
) -> list[Tokenizer]:
    """Train a tokenizer for each config, sharing all work that can be shared.

    Args:
        counts: of every pre-tokenizer that the configs name, of one corpus: see `count_for`.

    Returns:
        Tokenizers in the order of the configs, each the same as if it were trained alone. What a
        corpus cannot give is said at `train_bpe_family`, `train_wordpiece`, `train_unigram` and
        `train_lib`.

    Raises:
        ValueError: if counts are missing, or two are of one pre-tokenizer; for conventions that
            no `Tokenizer` encodes by.
    """
    for config in configs:
        require_bytes(config)
    return [Tokenizer(model) for model in train_models(counts, configs)]


def train_models(
    counts: PretokenCounts | Iterable[PretokenCounts], configs: Sequence[TokenizerConfig]
) -> list[TokenizerModel]:
    """`train_tokenizers` without what makes a model ready to encode; for all conventions."""
    corpus = _Corpus([counts] if isinstance(counts, PretokenCounts) else list(counts), configs)
    groups: dict[Hashable, list[int]] = {}
    for index, config in enumerate(configs):
        groups.setdefault(_together(config), []).append(index)
    models: dict[int, TokenizerModel] = {}
    for indices in groups.values():
        group = [configs[index] for index in indices]
        models.update(zip(indices, _TRAINERS[group[0].algorithm](corpus, group), strict=True))
    return [models[index] for index in range(len(configs))]


def _together(config: TokenizerConfig) -> Hashable:
    """What the tokenizers of one call of a trainer have in common."""
    common = (config.algorithm, config.counted)
    if config.algorithm == "superbpe":
        return (
            *common,
            _bpe_key(config),
            config.has_stage2,
            config.transition_size,
            config.max_words,
        )
    if config.algorithm == "picky_bpe":
        return *common, _bpe_key(config), config.picky_threshold, config.coverage
    return common if config.algorithm in ("unigram", "lib") else (*common, _bpe_key(config))


def _bpe_key(config: TokenizerConfig) -> Hashable:
    """What decides the merges of a BPE, whatever its size."""
    return config.counted[0], config.min_frequency, config.end_of_text, config.conventions


def _bpe_size(config: TokenizerConfig) -> int:
    """How many ids of a plain BPE a tokenizer is made from; 0 where it is made from none."""
    if config.algorithm == "superbpe" and config.has_stage2:
        return config.transition_size or 0
    return config.vocab_size if config.algorithm in ("bpe", "superbpe", "wordpiece") else 0


class _Corpus:
    """Counts by pre-tokenizer, and the largest BPE that was learned from each."""

    def __init__(
        self, counts: Sequence[PretokenCounts], configs: Iterable[TokenizerConfig]
    ) -> None:
        self._counts = {each.pretokenizer: each for each in counts}
        if len(self._counts) < len(counts):
            names = [each.pretokenizer for each in counts]
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"two counts are of pretokenizer {twice!r}: add them first")
        self._sizes: dict[Hashable, int] = {}
        for config in configs:
            key = _bpe_key(config)
            self._sizes[key] = max(_bpe_size(config), self._sizes.get(key, 0))
        self._largest: dict[Hashable, TokenizerModel] = {}

    def counts(self, config: TokenizerConfig, stage: int = 0) -> PretokenCounts:
        """What a stage of training reads."""
        name = config.counted[stage]
        if name not in self._counts:
            there = ", ".join(map(repr, self._counts)) or "none"
            raise ValueError(
                f"{config.algorithm} wants counts of pretokenizer {name!r}, but there are those "
                f"of {there}: count_for(texts, configs) makes all"
            )
        return self._counts[name]

    def bpe(self, config: TokenizerConfig, vocab_size: int) -> TokenizerModel:
        """The plain BPE of this size with the other settings of `config`."""
        key = _bpe_key(config)
        size = max(vocab_size, self._sizes[key])
        if key not in self._largest or self._largest[key].config.vocab_size < size:
            self._largest[key] = train_bpe(self.counts(config), plain_bpe(config, size))
        return self._largest[key].prefix(vocab_size)


def _bpes(corpus: _Corpus, configs: Sequence[TokenizerConfig]) -> list[TokenizerModel]:
    return [replace(corpus.bpe(config, config.vocab_size), config=config) for config in configs]


def _superbpes(corpus: _Corpus, configs: Sequence[TokenizerConfig]) -> list[TokenizerModel]:
    """Of one transition."""
    if not configs[0].has_stage2:
        return _bpes(corpus, configs)
    largest = max(configs, key=lambda config: config.vocab_size)
    base = corpus.bpe(largest, _bpe_size(largest))
    # The corpus may have had no pair left before the transition that was asked for.
    settled = replace(largest, transition_size=base.vocab_size)
    model = extend(base, corpus.counts(largest, stage=1), settled)
    return [
        replace(
            model.prefix(config.vocab_size),
            config=replace(config, transition_size=base.vocab_size),
        )
        for config in configs
    ]


def _picky_bpes(corpus: _Corpus, configs: Sequence[TokenizerConfig]) -> list[TokenizerModel]:
    """Of one threshold."""
    largest = max(configs, key=lambda config: config.vocab_size)
    model = train_picky_bpe(corpus.counts(largest), largest)
    return [replace(model.prefix(config.vocab_size), config=config) for config in configs]


def _wordpieces(corpus: _Corpus, configs: Sequence[TokenizerConfig]) -> list[TokenizerModel]:
    return wordpieces_of_bpe(lambda vocab_size: corpus.bpe(configs[0], vocab_size), configs)


def _unigrams(corpus: _Corpus, configs: Sequence[TokenizerConfig]) -> list[TokenizerModel]:
    return train_unigrams(corpus.counts(configs[0]), configs)


def _libs(corpus: _Corpus, configs: Sequence[TokenizerConfig]) -> list[TokenizerModel]:
    return [train_lib(corpus.counts(config), config) for config in configs]


_TRAINERS: Mapping[str, Callable[[_Corpus, Sequence[TokenizerConfig]], list[TokenizerModel]]] = (
    MappingProxyType(
        {
            "bpe": _bpes,
            "superbpe": _superbpes,
            "picky_bpe": _picky_bpes,
            "wordpiece": _wordpieces,
            "unigram": _unigrams,
            "lib": _libs,
        }
    )
)
