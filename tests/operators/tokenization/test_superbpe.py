"""SuperBPE must cross spaces after its transition, within its rules, and be BPE without one."""

import random

import numpy as np
import pytest

from operators.tokenization.bpe_family import train_bpe_family
from operators.tokenization.config import TokenizerConfig
from operators.tokenization.picky_encoding import merge_encoder
from operators.tokenization.pretokenization import Pretokenizer, count_pretokens
from operators.tokenization.superbpe import extend, stage1
from operators.tokenization.symbols import symbols_of


def superbpe(texts, vocab_size, transition_size, **settings_):
    config = TokenizerConfig(
        algorithm="superbpe",
        vocab_size=vocab_size,
        transition_size=transition_size,
        **settings_,
    )
    return train_bpe_family(config, *(count_pretokens(texts, name) for name in config.counted))


def bpe(texts, vocab_size):
    config = TokenizerConfig(algorithm="bpe", vocab_size=vocab_size)
    return train_bpe_family(config, count_pretokens(texts, "gpt2"))


def words(token):
    return [word for word in token.split(b" ") if word]


def sentences(seed=0, size=400, extra=()):
    generator = random.Random(seed)
    choices = ["by the way", "of course", "on the other hand", "cat", "12", "note: x", "!?", *extra]
    return [" ".join(generator.choices(choices, k=12)) for _ in range(size)]


def test_a_phrase_becomes_one_token_and_five_words_never_do():
    texts = ["by the way " * n for n in range(1, 40)]
    model = superbpe(texts, 330, 275)
    assert b" by the way" in model.tokens or b"by the way" in model.tokens
    assert max(len(words(token)) for token in model.tokens) <= 4
    free = superbpe(texts, 330, 275, max_words=99)
    assert max(len(words(token)) for token in free.tokens) > 4


@pytest.mark.parametrize("most", range(1, 6))
def test_a_token_may_have_exactly_max_words(most):
    texts = [" ".join(["one", "two", "three", "four", "five", "six", "seven"] * 5)] * 9
    model = superbpe(texts, 400, 282, max_words=most)
    assert max(len(words(token)) for token in model.tokens) == most


def test_a_space_behind_a_colon_is_never_inside_a_token():
    texts = ["note: x note: x note: y"] * 50 + ["see : it see : it"] * 50
    model = superbpe(texts, 320, 262)
    assert any(b"note" in token for token in model.tokens)
    assert not [token for token in model.tokens if b": " in token]


def test_no_token_mixes_digits_and_letters():
    model = superbpe(sentences(extra=["page 7 of 99"]), 500, 300)
    assert any(b" " in token.strip() for token in model.tokens)
    for token in model.tokens[257:]:
        text = token.decode(errors="replace")
        assert not (any(c.isdigit() for c in text) and any(c.isalpha() for c in text))


@pytest.mark.parametrize("seed", range(3))
def test_merges_before_the_transition_are_those_of_bpe(seed):
    texts = sentences(seed)
    model, plain = superbpe(texts, 400, 280), bpe(texts, 400)
    assert model.tokens[:280] == plain.tokens[:280]
    before = len(plain.prefix(280).merges)
    assert np.array_equal(model.merges[:before], plain.merges[:before])
    assert model.tokens != plain.tokens


@pytest.mark.parametrize("transition", [400, None])
def test_a_transition_at_the_end_is_bpe(transition):
    texts = sentences()
    model, plain = superbpe(texts, 400, transition), bpe(texts, 400)
    assert model.tokens == plain.tokens
    assert np.array_equal(model.merges, plain.merges)
    assert model.config.encoding_pretokenizer == plain.config.pretokenizer


def test_one_training_holds_every_smaller_one():
    texts = sentences(7)
    largest = superbpe(texts, 420, 290)
    for size in (257, 270, 290, 291, 350, 420):
        smaller = superbpe(texts, size, min(290, size))
        assert largest.prefix(size) == smaller


def test_one_stage_1_serves_several_transitions_and_extensions():
    texts = sentences(8)
    stage2 = count_pretokens(texts, "superbpe-stage2")
    config = TokenizerConfig(algorithm="superbpe", vocab_size=400, transition_size=300)
    base = stage1(count_pretokens(texts, "gpt2"), config)
    for transition in (270, 280):
        size = TokenizerConfig(algorithm="superbpe", vocab_size=400, transition_size=transition)
        assert extend(base.prefix(transition), stage2, size) == superbpe(texts, 400, transition)


def test_a_transition_that_stage_1_cannot_reach_happens_earlier_and_is_told():
    model = superbpe(["by the way by the way"] * 9, 900, 800)
    assert model.config.transition_size < 300
    assert model.vocab_size < 300
    assert any(len(words(token)) > 1 for token in model.tokens)


def test_encoding_the_corpus_gives_fewer_tokens_than_bpe_and_gives_it_back():
    texts = sentences(9)
    model, plain = superbpe(texts, 400, 290), bpe(texts, 400)

    def tokens(trained):
        split = Pretokenizer(trained.config.encoding_pretokenizer).split
        pretokens = [piece.encode() for text in texts for piece in split(text)]
        ids, _ = merge_encoder(trained).encode(*symbols_of(trained)(pretokens))
        assert b"".join(trained.tokens[token] for token in ids) == "".join(texts).encode()
        return len(ids)

    assert tokens(model) < 0.75 * tokens(plain)


def test_tokens_cross_line_breaks_as_published_unless_lines_are_set_apart():
    texts = ["the cat\nthe dog\n" * 5] * 20
    crossing = superbpe(texts, 300, 265)
    assert any(b"\n" in token.strip(b"\n") for token in crossing.tokens)
    apart = superbpe(texts, 300, 265, stage2_pretokenizer="superbpe-stage2-lines")
    assert not any(b"\n" in token.strip(b"\n") for token in apart.tokens)


def test_missing_or_wrong_counts_of_stage_2_are_refused():
    config = TokenizerConfig(algorithm="superbpe", vocab_size=300, transition_size=280)
    counts = count_pretokens(["a b"], "gpt2")
    with pytest.raises(ValueError, match="wants counts of 'superbpe-stage2', but got none"):
        train_bpe_family(config, counts)
    with pytest.raises(ValueError, match="but got of 'gpt2'"):
        train_bpe_family(config, counts, counts)


def test_an_empty_corpus_gives_the_alphabet():
    assert superbpe([], 400, 300).vocab_size == 257
