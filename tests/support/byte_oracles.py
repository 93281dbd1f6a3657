"""Slow and simple counterparts of exact byte probabilities, to be compared with."""

from collections import defaultdict
from itertools import product

import numpy as np

from operators.tokenization.bpe_family import train_bpe_family
from operators.tokenization.config import TokenizerConfig
from operators.tokenization.cover_tokenizer import CoverTokenizer
from operators.tokenization.pretokenization import count_pretokens
from operators.tokenization.tokenizer import Tokenizer

END_OF_TEXT = "<|endoftext|>"


def our_tokenizer(texts, vocab_size, *, encoder=None, **settings):
    """BPE of ours (or `algorithm=`) trained on a few texts."""
    settings = {"algorithm": "bpe", "min_frequency": 1} | settings
    config = TokenizerConfig(vocab_size=vocab_size, **settings)
    stage2 = None
    if config.has_stage2:
        stage2 = count_pretokens(texts, config.stage2_pretokenizer)
    model = train_bpe_family(config, count_pretokens(texts, config.pretokenizer), stage2)
    return Tokenizer(model, encoder=encoder)


def hub_bpe(texts, vocab_size, pattern=None):
    """Byte-level BPE of `tokenizers`, with GPT-2's regex or another one."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    if pattern is None:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(pattern), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def greedy_tokenizer(tokens):
    """Longest match from the left over a few ASCII tokens; the last id is the end of the text."""

    def encode(text):
        ids, at = [], 0
        while at < len(text):
            size = max(len(one) for one in tokens if text.encode()[at:].startswith(one))
            ids.append(tokens.index(text.encode()[at : at + size]))
            at += size
        return ids

    end = len(tokens)
    return CoverTokenizer(
        (*tokens, b"<end>"), frozenset([end]), end, lambda texts: [encode(text) for text in texts]
    )


class MarkovTokens:
    """A first-order Markov chain over tokens.

    Args:
        start: [V] probabilities of the first token.
        transitions: [V, V] of the token in the column after the one in the row.
    """

    def __init__(self, start, transitions):
        rows = np.vstack([start, transitions])
        assert np.allclose(rows.sum(axis=1), 1)
        with np.errstate(divide="ignore"):
            self.rows = np.log(rows)

    def log_probabilities(self, sequences):
        return self.rows[[1 + sequence[-1] if len(sequence) else 0 for sequence in sequences]]


class CorpusModel:
    """The perfect model of tokens for a few texts with weights: it counts encodings."""

    def __init__(self, tokenizer, texts, weights):
        self.tokenizer = tokenizer
        self.following = defaultdict(lambda: np.zeros(len(tokenizer.tokens)))
        for text, weight in zip(texts, weights, strict=True):
            ids = (*tokenizer.encode(text), tokenizer.end_id)
            for number, token in enumerate(ids):
                self.following[ids[:number]][token] += weight

    def log_probabilities(self, sequences):
        with np.errstate(divide="ignore"):
            rows = []
            for ids in sequences:
                row = self.following[tuple(ids)]
                assert row.sum() > 0, f"asked about {ids}, which no text begins with"
                rows.append(np.log(row / row.sum()))
            return np.stack(rows)


class NoisyModel:
    """Random log-probabilities, fixed by a seed and the sequence; every token is possible."""

    def __init__(self, size, seed=0, spread=2.0):
        self.size, self.seed, self.spread = size, seed, spread
        self.asked = 0

    def log_probabilities(self, sequences):
        self.asked += len(sequences)
        return np.stack([self.row(ids) for ids in sequences])

    def row(self, ids):
        generator = np.random.default_rng([self.seed, *(int(one) + 1 for one in ids)])
        logits = generator.normal(scale=self.spread, size=self.size)
        return logits - np.log(np.exp(logits).sum())


def next_bytes_of(texts, weights, prefix):
    """[257] of the byte (256: the end) that follows a prefix in weighted texts."""
    sums = np.zeros(257)
    for text, weight in zip(texts, weights, strict=True):
        data = text.encode()
        if data.startswith(prefix):
            sums[data[len(prefix)] if len(data) > len(prefix) else 256] += weight
    return sums / sums.sum()


class BruteForce:
    """P(a text begins with some bytes), by the definition.

    Every way to spell the bytes is walked; what may follow what is asked of all continuations of
    up to `reach` characters of `alphabet`, always with the whole text. A character is finished
    with each byte that can come next.
    """

    def __init__(self, model, tokenizer, alphabet, reach):
        self.model, self.tokenizer = model, tokenizer
        self.endings = [
            "".join(one) for size in range(reach + 1) for one in product(alphabet, repeat=size)
        ]
        more = [bytes([byte]) for byte in range(0x80, 0xC0)]
        self.tails = [
            b"",
            *more,
            *(one + b"\x80" for one in more),
            *(one + b"\x80\x80" for one in more),
        ]
        self.known = {}

    def is_live(self, ids):
        if ids not in self.known:
            data = b"".join(self.tokenizer.tokens[one] for one in ids)
            whole = [data + tail for tail in self.tails if _is_text(data + tail)]
            if _is_text(data):
                whole = [data]
            texts = [one.decode() + ending for one in whole for ending in self.endings]
            encoded = self.tokenizer.encode_batch(texts)
            self.known[ids] = any(tuple(one[: len(ids)]) == ids for one in encoded)
        return self.known[ids]

    def row(self, ids):
        """[V] renormalised probabilities; the end's is at its id."""
        row = np.exp(self.model.log_probabilities([ids])[0])
        for token in range(len(row)):
            if token == self.tokenizer.end_id:
                data = b"".join(self.tokenizer.tokens[one] for one in ids)
                well = _is_text(data) and tuple(self.tokenizer.encode(data.decode())) == ids
            else:
                well = token not in self.tokenizer.special_ids and self.is_live((*ids, token))
            row[token] *= well
        return row / row.sum()

    def begins_with(self, data, ids=()):
        """P(bytes | ids), where the ids come first and are no longer than the bytes."""
        if not data:
            return 1.0
        total = 0.0
        row = self.row(ids)
        for token, bytes_of in enumerate(self.tokenizer.tokens):
            if row[token] == 0 or token == self.tokenizer.end_id:
                continue
            if bytes_of.startswith(data):
                total += row[token]
            elif data.startswith(bytes_of):
                total += row[token] * self.begins_with(data[len(bytes_of) :], (*ids, token))
        return total

    def is_text(self, text):
        """P(the text is this and ends)."""
        ids = tuple(self.tokenizer.encode(text))
        total = 1.0
        for number, token in enumerate((*ids, self.tokenizer.end_id)):
            total *= self.row(ids[:number])[token]
        return total


def _is_text(data):
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
