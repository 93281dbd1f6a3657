"""subword-nmt's own fixtures must come out identical: merges and segmentation."""

import os
from pathlib import Path

import pytest

from operators.tokenization.bpe_family import train_bpe_family
from operators.tokenization.config import TokenizerConfig
from operators.tokenization.pretokenization import count_pretokens
from operators.tokenization.subword_nmt import Segmenter, codes, learn_bpe


@pytest.fixture(scope="module")
def folder():
    if "TOKENMILL_DATA" not in os.environ:
        pytest.skip("TOKENMILL_DATA is unset: it names the folder with the fixtures")
    return Path(os.environ["TOKENMILL_DATA"], "subword_nmt")


@pytest.fixture(scope="module")
def reference(folder):
    return learn_bpe([(folder / "corpus.en").read_text(encoding="utf-8")], 1000)


def test_the_merges_are_those_of_the_fixture(folder, reference):
    assert codes(reference) == (folder / "bpe.ref").read_text(encoding="utf-8")


def test_the_segmentation_is_that_of_the_fixture(folder, reference):
    segmented = Segmenter(reference).segment((folder / "corpus.en").read_text(encoding="utf-8"))
    assert segmented == (folder / "corpus.bpe.ref.en").read_text(encoding="utf-8")


def test_a_model_that_was_saved_segments_alike(reference, tmp_path):
    reference.save(tmp_path / "model.json")
    again = type(reference).load(tmp_path / "model.json")
    text = "the unseen words ж and others\n"
    assert Segmenter(again).segment(text) == Segmenter(reference).segment(text)


def test_the_pair_with_the_larger_strings_goes_first_among_equals():
    assert codes(learn_bpe(["ab ab cd cd"], 2)).splitlines()[1:] == ["c d</w>", "a b</w>"]
    assert codes(learn_bpe(["xay xay xbz xbz"], 1)).splitlines()[1:] == ["x b"]


def test_learning_stops_where_no_pair_is_frequent_enough():
    assert len(learn_bpe(["ab ab cd"], 10).merges) == 1
    assert len(learn_bpe(["ab ab cd"], 10, min_frequency=1).merges) == 2


def test_the_last_character_of_a_word_is_another_symbol_than_inside():
    model = learn_bpe(["aa aa"], 0)
    assert model.tokens == (b"a", b"a</w>")
    assert codes(learn_bpe(["aaa aaa"], 2)).splitlines()[1:] == ["a a</w>", "a aa</w>"]


@pytest.mark.parametrize(
    ("text", "segmented"),
    [
        ("low lower", "low lo@@ w@@ e@@ r"),
        ("  low   low  \n", "  low low  \n"),
        ("low\n\n \nlow", "low\n\n \nlow"),
        ("жж low", "ж@@ ж low"),
        ("ж", "ж"),
        ("", ""),
        ("lowж", "lo@@ w@@ ж"),
    ],
)
def test_words_are_cut_and_spaces_kept_as_apply_bpe_does(text, segmented):
    assert Segmenter(learn_bpe(["low low low lower"], 2)).segment(text) == segmented


def test_the_size_counts_characters_and_merges():
    config = TokenizerConfig(algorithm="bpe", vocab_size=8, conventions="subword-nmt")
    model = train_bpe_family(config, count_pretokens(["low lower low lower"], "subword-nmt"))
    # l, o, w, e inside; w, r at the end; two merges.
    assert model.vocab_size == 8
    assert len(model.merges) == 2
    small = TokenizerConfig(algorithm="bpe", vocab_size=5, conventions="subword-nmt")
    with pytest.raises(ValueError, match="alphabet of this corpus alone has 6 ids"):
        train_bpe_family(small, count_pretokens(["low lower"], "subword-nmt"))


def test_wrong_use_is_named():
    with pytest.raises(ValueError, match="merges is -1"):
        learn_bpe(["a"], -1)
    with pytest.raises(ValueError, match="lone surrogate"):
        learn_bpe(["a\ud800"], 1)
    config = TokenizerConfig(algorithm="bpe", vocab_size=300)
    plain = train_bpe_family(config, count_pretokens(["a"], "gpt2"))
    with pytest.raises(ValueError, match="'bytes' conventions, not 'subword-nmt'"):
        Segmenter(plain)


def test_nothing_to_learn_from_gives_nothing():
    model = learn_bpe([], 5)
    assert model.tokens == ()
    assert Segmenter(model).segment("ab") == "a@@ b"
