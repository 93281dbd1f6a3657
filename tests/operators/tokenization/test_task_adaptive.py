"""A task's pieces must come first, the base must keep its ids, and every text must come back."""

import random

import numpy as np
import pytest
from byte_models import END, hub_bpe, model_of
from fuzz_texts import FUZZ
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.tokenization.byte_tokenizer import ByteTokenizer, as_byte_tokenizer
from operators.tokenization.config import TokenizerConfig
from operators.tokenization.embedding_rows import make_rows, plan_rows
from operators.tokenization.laboratory import train_tokenizer
from operators.tokenization.task_adaptive import TaskAdaptiveTokenizer
from operators.tokenization.tokenizer import Tokenizer
from operators.tokenization.vocabulary_matching import match_specials

BASE = Tokenizer(model_of(merges=[("h", "e"), ("he", "r"), ("o", "f"), ("i", "n")]))


def task(pieces, scores=None):
    return model_of(pieces, scores=scores or [-1.0 - 0.01 * n for n in range(len(pieces))])


def spelled(tokenizer, text, **draws):
    return [tokenizer.tokens[number] for number in tokenizer.encode(text, **draws)]


def medical(seed=0, texts=200):
    generator = random.Random(seed)
    words = ["fever", "of the heart", "in the blood", "therapy", "naïve", "ש", "dose 20 mg"]
    return [" ".join(generator.choices(words, k=8)) for _ in range(texts)]


@pytest.fixture(scope="module")
def adapted():
    config = TokenizerConfig(algorithm="unigram", vocab_size=300, pretokenizer="none")
    return TaskAdaptiveTokenizer(BASE, train_tokenizer(medical(), config).model)


def test_pieces_of_the_task_come_first_and_the_base_spells_the_rest():
    tokenizer = TaskAdaptiveTokenizer(BASE, task(["fever of", "blood"]))
    assert spelled(tokenizer, "her fever of in the blood") == [
        b"her", b" ", b"fever of", b" ", b"in", b" ", b"t", b"he", b" ", b"blood",
    ]  # fmt: skip


def test_the_rest_is_given_to_the_base_in_one_piece():
    # Letter by letter the base would find no token of its own.
    tokenizer = TaskAdaptiveTokenizer(BASE, task(["x1"]))
    assert spelled(tokenizer, "herx1of") == [b"her", b"x1", b"of"]


def test_only_pieces_that_the_base_lacks_are_added():
    tokenizer = TaskAdaptiveTokenizer(BASE, task(["her", "hers", "in"]))
    assert tokenizer.added == (b"hers",)
    assert tokenizer.vocab_size == BASE.vocab_size + 1
    assert tokenizer.tokens[: BASE.vocab_size] == BASE.tokens
    assert tokenizer.encode("hers") == [BASE.vocab_size]
    assert tokenizer.encode("her") == [BASE.tokens.index(b"her")]


def test_a_piece_that_cuts_a_character_takes_no_part():
    tokenizer = TaskAdaptiveTokenizer(BASE, task([b"a\xd7", b"\xa9b", "aש"]))
    assert tokenizer.added == ("aש".encode(),)
    assert tokenizer.decode(tokenizer.encode("aשb שb")) == "aשb שb"


def test_a_piece_that_reads_like_the_special_token_gets_an_id_of_its_own():
    pieces = task(["x" + END])
    tokenizer = TaskAdaptiveTokenizer(BASE, pieces)
    assert 0 not in tokenizer.encode("x" + END + END)
    assert tokenizer.decode(tokenizer.encode("x" + END + END)) == "x" + END + END


@pytest.mark.parametrize("text", FUZZ.values(), ids=FUZZ.keys())
def test_a_text_comes_back_byte_for_byte(adapted, text):
    assert adapted.decode(adapted.encode(text)) == text


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.integers(0, 3))
def test_any_text_comes_back_however_it_is_drawn(adapted, text, epoch):
    drawing = TaskAdaptiveTokenizer(BASE, adapted._task.model, alpha=0.3)
    assert drawing.decode(drawing.encode(text, epoch=epoch)) == text


def test_texts_of_the_task_get_shorter(adapted):
    texts = medical(1, 50)
    assert sum(map(len, adapted.encode_batch(texts))) < 0.5 * sum(
        map(len, BASE.encode_batch(texts))
    )


def test_a_batch_is_its_texts_one_by_one(adapted):
    texts = [*medical(1, 20), "", "nothing of it"]
    assert adapted.encode_batch(texts) == [adapted.encode(text) for text in texts]
    assert adapted.encode_batch([]) == []


def test_segmentations_are_drawn_in_proportion_to_powers_of_their_probability():
    # "ab" whole: 0.5; "a" + "b" by the base: e^-9 * e^-9. At alpha 0.05: 0.707... and 0.4066...
    tokenizer = TaskAdaptiveTokenizer(BASE, task(["ab"], scores=[float(np.log(0.5))]), alpha=0.05)
    whole = sum(len(tokenizer.encode("ab", name=str(n))) == 1 for n in range(4000)) / 4000
    expected = 0.5**0.05 / (0.5**0.05 + np.exp(-18 * 0.05))
    assert whole == pytest.approx(expected, abs=0.03)


def test_draws_depend_on_epoch_and_name_alone(adapted):
    drawing = TaskAdaptiveTokenizer(BASE, adapted._task.model, alpha=0.1)
    texts = medical(2, 30)
    first = drawing.encode_batch(texts, epoch=1)
    assert drawing.encode_batch(texts[::-1], epoch=1)[::-1] == first
    assert drawing.encode_batch(texts, epoch=2) != first


def test_new_rows_are_the_mean_of_the_bases_pieces(adapted):
    # What TRANSFER's "mean" makes of it: copies for the base, means of base pieces for the rest.
    assert isinstance(adapted, ByteTokenizer)
    assert adapted.added
    old = np.random.default_rng(0).standard_normal((BASE.vocab_size, 5))
    plan = plan_rows(BASE, adapted, match_specials(BASE, adapted, None), method="mean")
    rows = make_rows(plan, old, seed=0, label="input")
    assert np.array_equal(rows[: BASE.vocab_size], old)
    for number, piece in enumerate(adapted.added):
        ids = list(adapted.base_pieces[piece])
        assert b"".join(BASE.tokens[each] for each in ids) == piece
        assert rows[BASE.vocab_size + number] == pytest.approx(old[ids].mean(axis=0))


def test_a_tokenizer_of_the_library_can_be_the_base():
    base = as_byte_tokenizer(hub_bpe(["the heart of the matter"] * 9, 280))
    tokenizer = TaskAdaptiveTokenizer(base, task(["heart of", "blood"]))
    text = "the heart of the blood, naïve"
    assert b"heart of" in spelled(tokenizer, text)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_a_task_without_pieces_is_the_base():
    tokenizer = TaskAdaptiveTokenizer(BASE, task([]))
    assert tokenizer.added == ()
    assert tokenizer.base_pieces == {}
    assert tokenizer.encode("her of") == BASE.encode("her of")


def test_an_id_beyond_the_vocabulary_is_named(adapted):
    with pytest.raises(ValueError, match=f"id {adapted.vocab_size} is not in a vocabulary"):
        adapted.decode([adapted.vocab_size])


def test_a_model_without_scores_is_refused():
    with pytest.raises(ValueError, match="pieces come from a unigram model, but this is bpe"):
        TaskAdaptiveTokenizer(BASE, BASE.model)


@pytest.mark.parametrize("alpha", [-0.1, float("nan")])
def test_an_alpha_out_of_range_is_named(alpha):
    with pytest.raises(ValueError, match=f"alpha is {alpha}, but must be >= 0"):
        TaskAdaptiveTokenizer(BASE, task(["ab"]), alpha=alpha)
