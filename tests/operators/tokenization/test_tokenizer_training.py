"""Trained tokenizers must give every text back, and be the same wherever they are trained."""

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.tokenization import Algorithm, round_trip_failures, train_tokenizer

REPOSITORY = Path(__file__).parents[3]
ALGORITHMS = get_args(Algorithm)

FUZZ = {
    "emoji_zwj": "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽",
    "combining_marks": "e\u0301 vs é, n\u0303o\u0302, Z\u0351\u0343a\u0363l\u0334go",
    "right_to_left": "\u202eשלום\u202c \u200fمرحبا\u200e 123",
    "crlf": "a\r\nb\rc\n\n\r\n",
    "tabs": "\tif x:\n\t\treturn\t1",
    "trailing_spaces": "end   ",
    "only_spaces": "    ",
    "leading_space": " start",
    "space_before_punctuation": "Hello , world ! do n't",
    "nul": "a\0b\0",
    "digits": "0 00 007 1234567890 ٠١٢٣ ١٢",
    "empty": "",
    "no_break_and_zero_width": "a\u00a0b\u200bc\ufeff",
    "outside_the_training_data": "ကမ္ဘာ ꙮ 𒀀 \U0010ffff",
    "special_token_in_text": "a<|endoftext|>b <|endoftext|> <|endof",
    "byte_alphabet_itself": "ĠhelloĊ Ģ",
}


def corpus(seed: int = 0, texts: int = 300) -> list[str]:
    # Few letters and short words: many pairs and pieces tie, which is where order could decide.
    generator = random.Random(seed)
    words = ["".join(generator.choices("abcdé😀ש", k=generator.randint(1, 6))) for _ in range(200)]
    return [" ".join(generator.choices(words, k=12)) for _ in range(texts)]


@pytest.fixture(scope="module", params=ALGORITHMS)
def tokenizer(request):
    return train_tokenizer(corpus(), algorithm=request.param, vocab_size=380)


@pytest.mark.parametrize("text", FUZZ.values(), ids=FUZZ.keys())
def test_a_text_comes_back_byte_for_byte(tokenizer, text):
    assert round_trip_failures(tokenizer, [text]) == []


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"])), max_size=5))
def test_any_text_comes_back_byte_for_byte(tokenizer, texts):
    assert round_trip_failures(tokenizer, texts) == []


def test_end_of_text_is_id_0_and_the_only_special_token(tokenizer):
    assert tokenizer.token_to_id("<|endoftext|>") == 0
    added = tokenizer.get_added_tokens_decoder()
    assert [(id_, token.content, token.special) for id_, token in added.items()] == [
        (0, "<|endoftext|>", True)
    ]


def test_plain_text_never_holds_the_special_token(tokenizer):
    assert all(0 not in encoding.ids for encoding in tokenizer.encode_batch(corpus(seed=1)))


def test_vocabulary_has_the_asked_size_and_dense_ids(tokenizer):
    vocabulary = tokenizer.get_vocab()
    assert sorted(vocabulary.values()) == list(range(380))


def test_training_compresses_what_it_was_trained_on(tokenizer):
    texts = corpus()
    tokens = sum(len(encoding.ids) for encoding in tokenizer.encode_batch(texts))
    assert tokens < 0.6 * sum(len(text.encode()) for text in texts)


SCRIPT = """
import sys
sys.path[:0] = [{root!r}, {here!r}]
from test_tokenizer_training import corpus
from operators.tokenization import train_tokenizer
for algorithm in ("bpe", "unigram"):
    for seed, texts in ((0, 300), (1, 3)):
        trained = train_tokenizer(corpus(seed, texts), algorithm=algorithm, vocab_size=450)
        print(algorithm, seed, __import__("hashlib").sha256(trained.to_str().encode()).hexdigest())
"""


def test_every_process_trains_the_same_tokenizer():
    def train_elsewhere(parallelism: str) -> list[str]:
        script = SCRIPT.format(root=str(REPOSITORY), here=str(Path(__file__).parent))
        environment = {**os.environ, "TOKENIZERS_PARALLELISM": parallelism, "PYTHONHASHSEED": "1"}
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()

    here = [
        f"{algorithm} {seed} "
        + hashlib.sha256(
            train_tokenizer(corpus(seed, texts), algorithm=algorithm, vocab_size=450)
            .to_str()
            .encode()
        ).hexdigest()
        for algorithm in ALGORITHMS
        for seed, texts in ((0, 300), (1, 3))
    ]
    assert train_elsewhere("false") == here
    assert train_elsewhere("true") == here


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_order_of_the_texts_must_not_change_the_tokenizer(algorithm):
    texts = corpus()
    forward = train_tokenizer(texts, algorithm=algorithm, vocab_size=400)
    backward = train_tokenizer(reversed(texts), algorithm=algorithm, vocab_size=400)
    assert forward.to_str() == backward.to_str()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("texts", [[], [""], ["a"], ["\0"]], ids=["none", "empty", "one", "nul"])
def test_too_little_data_gives_a_small_vocabulary_that_still_spells_everything(algorithm, texts):
    tokenizer = train_tokenizer(texts, algorithm=algorithm, vocab_size=1000)
    assert 257 <= tokenizer.get_vocab_size() < 260
    assert tokenizer.token_to_id("<|endoftext|>") == 0
    assert round_trip_failures(tokenizer, list(FUZZ.values())) == []


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("size", [257, 258, 259])
def test_a_vocabulary_must_not_be_larger_than_asked(algorithm, size):
    assert train_tokenizer(corpus(), algorithm=algorithm, vocab_size=size).get_vocab_size() == size


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_fewer_ids_than_bytes_and_the_special_token_are_refused(algorithm):
    with pytest.raises(ValueError, match=">= 257"):
        train_tokenizer(corpus(), algorithm=algorithm, vocab_size=256)


def test_a_pair_exactly_as_frequent_as_min_frequency_is_merged():
    texts = ["xy", "xy", "xy"]
    at = train_tokenizer(texts, algorithm="bpe", vocab_size=300, min_frequency=3)
    above = train_tokenizer(texts, algorithm="bpe", vocab_size=300, min_frequency=4)
    assert at.token_to_id("xy") == 257
    assert above.token_to_id("xy") is None


def test_a_unigram_piece_may_be_sixteen_characters_of_a_three_byte_script():
    word = "ကခဂဃငစဆဇဈညဋဌဍဎဏတ"
    tokenizer = train_tokenizer(
        [f"{word}{end} {word}" for end in "abcdef"] * 20, algorithm="unigram", vocab_size=300
    )
    assert max(len(piece) for piece in tokenizer.get_vocab() if piece != "<|endoftext|>") > 16


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"algorithm": "wordpiece"}, "'bpe' or 'unigram'"),
        ({"min_frequency": -1}, "min_frequency"),
        ({"end_of_text": "a"}, "end_of_text"),
    ],
)
def test_wrong_settings_are_named(settings_, message):
    with pytest.raises(ValueError, match=message):
        train_tokenizer(["a"], **{"algorithm": "bpe", "vocab_size": 300, **settings_})
