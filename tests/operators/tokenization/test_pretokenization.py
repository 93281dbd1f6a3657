"""Pre-tokenizers must lose no text; counts must not know the order of texts or shards."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.tokenization import pretokenization, scanning_program
from operators.tokenization.pretokenization import (
    PRETOKENIZERS,
    PretokenCounts,
    Pretokenizer,
    count_pretokens,
    count_with_each,
    from_counter,
)

FUZZ = [
    "",
    " ",
    "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽",
    "e\u0301 vs é, n\u0303o\u0302, Z\u0351\u0343a\u0363l\u0334go",
    "\u202eשלום\u202c \u200fمرحبا\u200e 123",
    "a\r\nb\rc\n\n\r\n",
    "\tif x:\n\t\treturn\t1",
    "end   ",
    "  two  spaces ",
    "Hello , world ! do n't don't DON'T",
    "a\0b\0",
    "0 00 007 1234567890 ٠١٢٣ ١٢ x1y22",
    "a\u00a0b\u200bc\ufeff",
    "--- ... :: // \n/\n",
    "\x1c\x1d\x85\u2028",
]
CUSTOM = [r"\w+", r"(\w)(\w)?", r"\b", r"(?<word>\p{Lu}\w*)", r"a|", r"x*"]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@pytest.mark.parametrize("name", [*PRETOKENIZERS, *CUSTOM])
@pytest.mark.parametrize("text", FUZZ)
def test_the_pretokens_are_the_text(name, text):
    pieces = Pretokenizer(name).split(text)
    assert "".join(pieces) == text
    assert "" not in pieces


@settings(max_examples=300, deadline=None)
@given(texts, st.sampled_from([*PRETOKENIZERS, *CUSTOM]))
def test_the_pretokens_of_any_text_are_the_text(text, name):
    pieces = Pretokenizer(name).split(text)
    assert "".join(pieces) == text
    assert "" not in pieces


@pytest.mark.parametrize(
    ("name", "text", "pieces"),
    [
        ("gpt2", "Hello world's  end\n\n x", ["Hello", " world", "'s", " ", " end", "\n\n", " x"]),
        ("gpt4", "I'LL pay 12345!\n", ["I", "'LL", " pay", " ", "123", "45", "!\n"]),
        ("llama3", "a\n\n  b", ["a", "\n\n", " ", " b"]),
        ("none", "a b\nc", ["a b\nc"]),
        ("whitespace", "it's  so, ok ", ["it's", " ", " so,", " ok", " "]),
        ("spaces-apart", "a  b\n", ["a", " ", " ", "b", "\n"]),
        ("digits-single", "in 1984", ["in", " ", "1", "9", "8", "4"]),
        ("punctuation", "Wait... why?!", ["Wait", ".", ".", ".", " why", "?", "!"]),
        ("superbpe-stage2", "by the way, 2024 is --- it", ["by the way, ", "202", "4", " is", " ---", " it"]),
        ("superbpe-stage2", "one\ntwo", ["one\ntwo"]),
        ("superbpe-stage2-lines", "one\n two", ["one", "\n", " two"]),
        (r"[aeiou]", "bead", ["b", "e", "a", "d"]),
    ],
)  # fmt: skip
def test_a_pretokenizer_cuts_where_its_regex_says(name, text, pieces):
    assert Pretokenizer(name).split(text) == pieces


@pytest.mark.parametrize("digits", range(1, 11))
def test_digits_are_grouped_from_the_side_that_was_asked(digits):
    number = "1234567890"[:digits]
    left = [len(piece) for piece in Pretokenizer("digits-ltr").split(number)]
    right = [len(piece) for piece in Pretokenizer("digits-rtl").split(number)]
    assert left == [3] * (digits // 3) + [digits % 3] * (digits % 3 > 0)
    assert right == [digits % 3] * (digits % 3 > 0) + [3] * (digits // 3)


def test_right_to_left_groups_each_run_of_digits_by_itself():
    pieces = Pretokenizer("digits-rtl").split("12,345.6789 a1234b")
    assert [piece for piece in pieces if piece.isdigit()] == ["12", "345", "6", "789", "1", "234"]


def test_a_run_of_very_many_digits_is_grouped_in_reasonable_time():
    assert len(Pretokenizer("digits-rtl").split("7" * 10_001)) == 3334


def test_the_gpt2_pretokens_are_those_of_tokenizers():
    from tokenizers.pre_tokenizers import ByteLevel

    from operators.tokenization.byte_alphabet import to_characters

    theirs = ByteLevel(add_prefix_space=False)
    ours = Pretokenizer("gpt2")
    for text in FUZZ:
        pieces = [piece for piece, _ in theirs.pre_tokenize_str(text)]
        assert [to_characters(piece.encode()) for piece in ours.split(text)] == pieces


@pytest.mark.parametrize("name", ["gpt2", "gpt4", "digits-rtl", "superbpe-stage1"])
def test_the_pretokens_are_those_of_tokenizers_with_the_same_regex(name):
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import Split

    theirs = Split(Regex(PRETOKENIZERS[name].replace("*+", "*")), "isolated")
    for text in FUZZ:
        pieces = [piece for piece, _ in theirs.pre_tokenize_str(text)]
        assert Pretokenizer(name).split(text) == pieces


def test_a_regex_that_is_none_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match=r"'\(' is neither one of gpt2, .* nor a regex"):
        Pretokenizer("(")
    with pytest.raises(ValueError, match="empty regex"):
        Pretokenizer("")
    with pytest.raises(ValueError, match="without loss"):
        Pretokenizer("picky")


def corpus(seed=0, size=400):
    generator = random.Random(seed)
    words = [
        "".join(generator.choices("abcé😀 ש'1\n", k=generator.randint(1, 9))) for _ in range(99)
    ]
    return [" ".join(generator.choices(words, k=9)) for _ in range(size)]


def test_counts_are_of_the_pretokens_in_the_order_of_their_bytes():
    counts = count_pretokens(["the cat", " the the"], "gpt2")
    assert list(zip(counts.pretokens, counts.counts.tolist(), strict=True)) == [
        (b" cat", 1), (b" the", 2), (b"the", 1),
    ]  # fmt: skip
    assert (counts.total, len(counts)) == (4, 3)


@pytest.mark.parametrize("name", ["gpt2", "gpt4", "superbpe-stage2", "picky", "subword-nmt"])
def test_order_of_texts_and_shards_must_not_change_the_counts(name):
    everything = corpus()
    whole = count_pretokens(everything, name)
    backwards = count_pretokens(reversed(everything), name)
    sharded = sum(
        (count_pretokens(everything[n::7], name) for n in range(1, 7)),
        start=count_pretokens(everything[0::7], name),
    )
    assert whole == backwards == sharded
    assert list(whole.pretokens) == sorted(whole.pretokens)


@pytest.mark.parametrize("name", ["gpt2", "none", "superbpe-stage2"])
def test_no_byte_of_the_corpus_is_left_uncounted(name):
    everything = corpus()
    assert count_pretokens(everything, name).total_bytes == sum(len(x.encode()) for x in everything)


def test_counts_come_back_from_a_table():
    counts = count_pretokens(corpus(), "gpt4")
    assert PretokenCounts.from_table(counts.to_table()) == counts
    nothing = count_pretokens([], "gpt4")
    assert PretokenCounts.from_table(nothing.to_table()) == nothing


def test_a_table_that_does_not_say_how_it_was_cut_is_refused():
    table = count_pretokens(["a"], "gpt2").to_table().replace_schema_metadata(None)
    with pytest.raises(ValueError, match="does not name the pretokenizer"):
        PretokenCounts.from_table(table)


def test_counts_of_different_pretokenizers_must_not_be_added():
    with pytest.raises(ValueError, match="'gpt2' and 'gpt4'"):
        count_pretokens(["a"], "gpt2") + count_pretokens(["a"], "gpt4")


@pytest.mark.parametrize("name", ["gpt2", "picky"])
def test_a_lone_surrogate_is_refused_where_it_stands(name):
    with pytest.raises(ValueError, match=r"text 1 has the lone surrogate U\+D83D at position 3"):
        count_pretokens(["fine", "bad\ud83d", "fine"], name)


def test_nul_is_counted_as_any_byte():
    counts = count_pretokens(["a\0\0b"], "gpt2")
    assert dict(zip(counts.pretokens, counts.counts.tolist(), strict=True)) == {
        b"a": 1, b"\0\0": 1, b"b": 1,
    }  # fmt: skip


def test_words_of_reference_implementations_are_cut_as_they_cut_them():
    text = "  two  words\u00a0x \n\tlast"
    assert list(count_pretokens([text], "picky").pretokens) == [
        "▁last".encode(), "▁two".encode(), "▁words".encode(), "▁x".encode(),
    ]  # fmt: skip
    assert list(count_pretokens([text], "subword-nmt").pretokens) == [
        b"\tlast", b"two", "words\u00a0x".encode(),
    ]  # fmt: skip


@pytest.mark.parametrize("name", [*PRETOKENIZERS, r"\w+", r"(\w)\w*"])
def test_many_bytes_are_counted_as_few_are(name, monkeypatch):
    texts = [*FUZZ, *corpus(1), "".join(map(chr, [*range(0xD800), *range(0xE000, 0x11000)]))]
    monkeypatch.setattr(scanning_program, "_WORTH_A_PROGRAM", 10**12)
    few = count_pretokens(texts, name)
    monkeypatch.setattr(scanning_program, "_WORTH_A_PROGRAM", 1)
    assert count_pretokens(texts, name) == few
    monkeypatch.setattr(pretokenization, "_BATCH_BYTES", 999)
    assert count_pretokens(texts, name) == few


def test_several_pretokenizers_count_in_one_pass():
    names = ["gpt2", "picky", "superbpe-stage2"]
    together = count_with_each(iter(corpus(2)), names)
    assert together == [count_pretokens(corpus(2), name) for name in names]


def test_what_never_occurs_is_no_pretoken():
    counts = from_counter(Counter({b"a": 2, b"b": 0}), "gpt2")
    assert list(counts.pretokens) == [b"a"]
    assert counts.counts.dtype == np.int64
