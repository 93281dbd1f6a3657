"""The vocabulary that PathPiece leaves must miss what it dropped the least."""

import random

import numpy as np
import pytest
from byte_models import model_of
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.tokenization.bpe_family import train_bpe_family
from operators.tokenization.config import TokenizerConfig
from operators.tokenization.encoders import encode_pretokens, make_encoder
from operators.tokenization.pathpiece_vocabulary import pathpiece_vocabulary, token_costs
from operators.tokenization.pretokenization import count_pretokens
from operators.tokenization.token_trie import end_to_end
from operators.tokenization.tokenizer import Tokenizer


def costs_of(model, words, weights):
    data, ends = end_to_end([word.encode() for word in words])
    costs, uses, total = token_costs(list(model.tokens), 1, data, ends, np.array(weights, np.int64))
    learned = model.tokens[257:]
    return (
        {token.decode(): int(cost) for token, cost in zip(learned, costs[257:], strict=True)},
        {token.decode(): int(use) for token, use in zip(learned, uses[257:], strict=True)},
        total,
    )


def paths(text, vocabulary, start=0):
    """All segmentations as tuples of (start, stop)."""
    if start == len(text):
        yield ()
    for stop in range(start + 1, len(text) + 1):
        if stop == start + 1 or text[start:stop] in vocabulary:
            for rest in paths(text, vocabulary, stop):
                yield ((start, stop), *rest)


def slow_costs(words, weights, vocabulary):
    """Every path of every word, with and without each occurrence of the segmentation's tokens."""
    costs = dict.fromkeys(vocabulary, 0)
    total = 0
    for word, weight in zip(words, weights, strict=True):
        ways = list(paths(word, set(vocabulary)))
        fewest = min(map(len, ways))
        total += fewest * weight
        chosen = max(
            (way for way in ways if len(way) == fewest),
            key=lambda way: [stop - start for start, stop in reversed(way)],
        )
        for start, stop in chosen:
            if stop - start > 1:
                without = min(len(way) for way in ways if (start, stop) not in way)
                costs[word[start:stop]] += (without - fewest) * weight
    return costs, total


def test_a_token_costs_what_its_pretokens_would_need_more():
    model = model_of(["ab", "abc", "cd"])
    # "abc" [abc] -> [ab][c]: 1 more, thrice. "abcd" [ab][cd]: without "ab" [abc][d], 0 more;
    # without "cd" the same.
    costs, uses, total = costs_of(model, ["abc", "abcd"], [3, 5])
    assert costs == {"ab": 0, "abc": 3, "cd": 0}
    assert uses == {"ab": 5, "abc": 3, "cd": 5}
    assert total == 3 + 10


def test_a_longer_token_can_stand_in():
    model = model_of(["bc", "abc"])
    # "bc" is used in "xbc" only; "abc" has "bc" to fall back on.
    costs, _, _ = costs_of(model, ["xbc", "abc"], [1, 1])
    assert costs == {"bc": 1, "abc": 1}
    # [ab][cde] is chosen for its longest last token; without "cde", "abcd" spans "ab" and ends
    # inside of "cde".
    spanning = model_of(["ab", "abcd", "cde"])
    costs, _, _ = costs_of(spanning, ["abcde"], [1])
    assert costs == {"ab": 0, "abcd": 0, "cde": 0}


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.text("abc", min_size=2, max_size=5), max_size=10, unique=True),
    st.lists(st.tuples(st.text("abc", min_size=1, max_size=9), st.integers(1, 5)), max_size=5),
)
def test_costs_equal_a_search_through_all_paths(vocabulary, corpus):
    words, weights = [word for word, _ in corpus], [weight for _, weight in corpus]
    costs, _, total = costs_of(model_of(vocabulary), words, weights)
    assert (costs, total) == slow_costs(words, weights, vocabulary)


def corpus(seed=0, texts=60):
    generator = random.Random(seed)
    stems = ["".join(generator.choices("abcdeé", k=generator.randint(2, 5))) for _ in range(40)]
    words = [stem + end for stem in stems for end in ("", "ing", "ed", "s", "ly")]
    return [" ".join(generator.choices(words, k=20)) for _ in range(texts)]


@pytest.fixture(scope="module")
def counts():
    return count_pretokens(corpus(), "gpt2")


@pytest.fixture(scope="module")
def initial(counts):
    pieces = {
        word[a:b]
        for word in counts.pretokens
        for a in range(len(word))
        for b in range(a + 2, len(word) + 1)
    }
    return model_of(sorted(pieces), pretokenizer="gpt2")


def tokens_of(model, counts):
    ids = encode_pretokens(make_encoder(model, "pathpiece"), counts.pretokens)
    return int(np.array([len(each) for each in ids]) @ counts.counts)


def test_the_vocabulary_has_the_size_asked_for_and_keeps_bytes_and_specials(counts, initial):
    for size in (600, 400, 300, 257):
        model = pathpiece_vocabulary(counts, initial, size)
        assert model.vocab_size == size
        assert model.tokens[:257] == initial.tokens[:257]
        assert model.config.own_encoder == "pathpiece"
        assert set(model.tokens) <= set(initial.tokens)


def test_a_smaller_vocabulary_needs_more_tokens_and_a_larger_one_never_does(counts, initial):
    tokens = [
        tokens_of(pathpiece_vocabulary(counts, initial, size), counts)
        for size in (600, 400, 300, 257)
    ]
    assert tokens == sorted(tokens)
    assert tokens[-1] == counts.total_bytes
    # Tokens that no segmentation uses are not missed.
    assert tokens_of(initial, counts) == counts.total


def test_dropping_by_cost_beats_dropping_by_chance(counts, initial):
    chosen = tokens_of(pathpiece_vocabulary(counts, initial, 350), counts)
    generator = random.Random(5)
    for _ in range(3):
        some = model_of(generator.sample(initial.tokens[257:], 350 - 257), pretokenizer="gpt2")
        assert chosen < 0.8 * tokens_of(some, counts)


def test_smaller_batches_are_no_worse(counts, initial):
    slow = tokens_of(pathpiece_vocabulary(counts, initial, 320, share=0.005), counts)
    at_once = tokens_of(pathpiece_vocabulary(counts, initial, 320, share=1.0), counts)
    assert slow < at_once


def test_the_same_corpus_gives_the_same_vocabulary(counts, initial):
    again = count_pretokens(reversed(corpus()), "gpt2")
    assert pathpiece_vocabulary(again, initial, 333) == pathpiece_vocabulary(counts, initial, 333)


def test_enough_room_drops_nothing(counts, initial):
    model = pathpiece_vocabulary(counts, initial, initial.vocab_size + 10)
    assert model.tokens == initial.tokens


@pytest.mark.parametrize("vocab_size", [290, 340])
def test_tokens_of_several_words_stay_within_reach(vocab_size):
    config = TokenizerConfig(algorithm="superbpe", vocab_size=400, transition_size=330)
    text = "by the way of the world"
    texts = [text] * 200 + corpus()
    superbpe = train_bpe_family(config, *(count_pretokens(texts, name) for name in config.counted))
    stage2 = count_pretokens(texts, config.stage2_pretokenizer)
    tokenizer = Tokenizer(pathpiece_vocabulary(stage2, superbpe, vocab_size))
    assert tokenizer.vocab_size == vocab_size
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert any(b" " in tokenizer.tokens[number].strip() for number in ids)


def test_scores_stay_with_their_tokens(counts):
    scored = model_of(["ing", "ed", "zz"], scores=[-1.0, -2.0, -3.0], pretokenizer="gpt2")
    model = pathpiece_vocabulary(counts, scored, 259)
    assert model.tokens[257:] == (b"ing", b"ed")
    assert model.scores[257:].tolist() == [-1.0, -2.0]


def test_wrong_settings_are_named(counts, initial):
    with pytest.raises(ValueError, match="gpt4"):
        pathpiece_vocabulary(count_pretokens(["a"], "gpt4"), initial, 300)
    with pytest.raises(ValueError, match=">= 257"):
        pathpiece_vocabulary(counts, initial, 256)
    with pytest.raises(ValueError, match="share"):
        pathpiece_vocabulary(counts, initial, 300, share=0.0)
