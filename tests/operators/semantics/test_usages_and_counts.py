"""Usages of words, cleaning, and vectors from counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.semantics import (
    CountSpace,
    HashSample,
    align_spaces,
    cooccurrences,
    find_usages,
    letter_share,
    numbered,
    ppmi,
    sentence_chunks,
    tokenize,
    truncated_svd,
    usage_pattern,
    vocabulary,
)
from operators.semantics.wordpiece import train_wordpiece


def usages(text, words, reach=30, **settings):
    return list(find_usages(text, *usage_pattern(words, **settings), reach=reach))


def test_whole_words_are_found_and_no_parts_of_words():
    found = usages("A cell, cells; CELL. cellular uncell _cell cell's", ["cell"])
    assert [usage.form for usage in found] == ["cell", "CELL", "cell"]
    assert [usage.form for usage in usages("Cell cell", ["cell"], ignore_case=False)] == ["cell"]


def test_variants_stand_for_their_word_the_longest_first():
    found = usages("His color, the colours. A colour-blind", ["colour"],
                   variants={"colour": ["color", "colours"]})  # fmt: skip
    assert [(u.word, u.form) for u in found] == [
        ("colour", "color"), ("colour", "colours"), ("colour", "colour")]  # fmt: skip


@given(st.text(st.sampled_from("ab \nçé,.x"), max_size=80), st.integers(1, 20))
def test_the_span_of_a_usage_is_the_word_whatever_is_around(text, reach):
    for usage in usages(text + " aé " + text, ["aé", "b"], reach=reach):
        assert usage.form.lower() in ("aé", "b")
        assert usage.context == usage.context.strip()
        assert "  " not in usage.context.replace("\n", " ")


def test_context_is_cut_at_spaces():
    (usage,) = usages("one two three WORD four five six", ["word"], reach=11)
    assert usage.context == "two three WORD four five"


@pytest.mark.parametrize(
    ("words", "variants", "says"),
    [
        ([], {}, "no words"),
        (["a", ""], {}, "empty"),
        (["cell", "cells"], {"cell": ["cells"]}, '"cells" stands for'),
        (["cell"], {"sell": ["x"]}, 'variants of "sell"'),
    ],
)
def test_words_that_cannot_be_looked_for_are_refused(words, variants, says):
    with pytest.raises(ValueError, match=says):
        usage_pattern(words, variants)


def test_a_sample_depends_on_ids_alone():
    ids = [f"row {k}" for k in range(500)]
    chosen = []
    for order in (ids, ids[::-1], ids[250:] + ids[:250]):
        sample = HashSample(20, seed=1)
        for id_ in order:
            sample.add(id_, id_)
        chosen.append((sample.seen, sample.chosen(20)))
    assert chosen[0] == chosen[1] == chosen[2]
    assert len(set(chosen[0][1])) == 20
    assert set(sample.chosen(5)) <= set(sample.chosen(20))
    other = HashSample(20, seed=2)
    for id_ in ids:
        other.add(id_, id_)
    assert other.chosen(20) != chosen[0][1]


def test_letters_are_of_the_given_class():
    assert letter_share("añb") == 1
    assert letter_share("ab12") == 0.5
    assert letter_share("a b ") == 0.5  # spaces are no letters
    assert letter_share("абв") == 0
    assert letter_share("абв", "а-я") == 1
    assert letter_share("") == 0
    with pytest.raises(ValueError, match="no list of characters"):
        letter_share("a", "z-a")


def test_chunks_hold_as_much_as_fits():
    lengths = [100, 154, 1, 300, 254]
    assert sentence_chunks(["s"] * 5, lengths, 254) == [[0, 1], [2], [3], [4]]
    assert sentence_chunks([], [], 254) == []


def test_a_word_piece_tokenizer_marks_begin_and_end_and_is_always_the_same():
    texts = ["the old mill by the river", "the miller mills the old corn"] * 3
    trained = [train_wordpiece(texts, vocab_size=80) for _ in range(3)]
    assert len({tokenizer.to_str() for tokenizer in trained}) == 1
    encoded = trained[0].encode("the old mill")
    assert encoded.tokens[0] == "[CLS]"
    assert encoded.tokens[-1] == "[SEP]"
    assert trained[0].decode(encoded.ids) == "the old mill"


def counted(texts, window=2):
    frames = [tokenize(texts)]
    words = vocabulary(frames, largest=50, min_count=1)
    return words, cooccurrences(numbered(frames[0], words), len(words), window=window).toarray()


def test_words_near_each_other_are_counted_both_ways_and_not_across_documents():
    words, counts = counted(["a b c d", "d a"], window=2)
    at = {word: k for k, word in enumerate(words)}
    found = {(x, y) for x in words for y in words if counts[at[x], at[y]]}
    assert (counts == counts.T).all()
    assert found == {pair for x, y in ["ab", "ac", "bc", "bd", "cd", "da"]
                     for pair in ((x, y), (y, x))}  # fmt: skip
    assert counts[at["d"], at["a"]] == 1


def test_a_word_out_of_the_vocabulary_holds_its_place():
    frame = tokenize(["a x b"])
    tokens = numbered(frame, ["a", "b"])
    assert cooccurrences(tokens, 2, window=1).sum() == 0
    assert cooccurrences(tokens, 2, window=2).sum() == 2


def test_ppmi_is_the_log_of_how_much_more_than_by_chance():
    from scipy.sparse import csr_array

    counts = np.array([[0, 4, 1], [4, 0, 1], [1, 1, 0]], float)
    found = ppmi(csr_array(counts), smoothing=1.0).toarray()
    for i in range(3):
        for j in range(3):
            by_chance = counts[i].sum() * counts[:, j].sum() / counts.sum()
            expected = np.log(counts[i, j] / by_chance) if counts[i, j] else 0
            assert found[i, j] == pytest.approx(max(0, expected))


def test_singular_vectors_come_back_the_same_and_in_order():
    from scipy.sparse import csr_array

    matrix = csr_array(np.random.default_rng(0).poisson(1, (12, 12)).astype(float))
    once, again = (truncated_svd(matrix, 5, power=1.0) for _ in range(2))
    assert (once == again).all()
    lengths = np.linalg.norm(once, axis=0)
    assert (np.diff(lengths) <= 1e-9).all()
    np.testing.assert_allclose(lengths, np.linalg.svd(matrix.toarray())[1][:5])
    assert truncated_svd(csr_array((4, 4)), 3).tolist() == [[0] * 3] * 4


def test_a_turned_space_is_turned_back():
    draw = np.random.default_rng(0)
    new = draw.normal(size=(40, 6))
    turn, _ = np.linalg.qr(draw.normal(size=(6, 6)))
    back = align_spaces(new @ turn, new)
    np.testing.assert_allclose(back, new / np.linalg.norm(new, axis=1, keepdims=True))
    anchored = align_spaces(new @ turn, new, anchors=np.arange(40) < 20)
    np.testing.assert_allclose(anchored, back)


def test_a_usage_is_what_stands_before_and_after_it_and_not_itself():
    space = CountSpace(["red", "blue"], np.eye(2), np.array([0.5, 0.5]))
    contexts = ["red word blue", "blue word red", "red red word", "unknown", "red"]
    spans = [(4, 8), (5, 9), (8, 12), (0, 7), (0, 3)]
    made = space.usage_vectors(contexts, spans, window=5)
    weight = 0.01 / 0.51
    assert made[0] == pytest.approx([weight, 0, 0, weight])
    assert made[1] == pytest.approx([0, weight, weight, 0])
    assert made[2] == pytest.approx([1.5 * weight, 0, 0, 0])
    assert not made[3:].any()
    assert space.usage_vectors(contexts, spans, window=1)[2] == pytest.approx([weight, 0, 0, 0])
