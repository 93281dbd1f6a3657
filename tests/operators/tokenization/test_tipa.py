"""TIPA examples: characters by position, last first; no special token and no broken character."""

import json

import pytest
from hub_tokenizers import END_OF_TEXT, byte_bpe
from hypothesis import given
from hypothesis import strategies as st

from operators.tokenization.byte_tokenizer import as_byte_tokenizer
from operators.tokenization.tipa import (
    TIPA_SCHEMA,
    character_positions,
    mtipa_rows,
    tipa_rows,
)

TOKENIZER = byte_bpe(["the 要考虑 cats' \n\n 😀😁😂" * 20], 330)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("要考虑", '{"3":"虑","2":"考","1":"要"}'),
        ("Hi", '{"2":"i","1":"H"}'),
        ("e\u0301", '{"2":"\u0301","1":"e"}'),  # code points, not what is seen as one character
        ('"\\', '{"2":"\\\\","1":"\\""}'),
        ("", "{}"),
    ],
)
def test_tipa_oracles(text, expected):
    assert character_positions(text) == expected


def test_forward_order_lists_the_first_character_first():
    assert character_positions("Hi", reverse=False) == '{"1":"H","2":"i"}'


@given(st.text())
def test_the_text_can_be_read_off_the_target_and_its_length_comes_first(text):
    pairs = json.loads(character_positions(text), object_pairs_hook=list)
    assert "".join(character for _, character in reversed(pairs)) == text
    assert [int(position) for position, _ in pairs] == list(range(len(text), 0, -1))


def test_a_lone_surrogate_is_refused_with_its_place():
    with pytest.raises(ValueError, match=r"position 2 .* lone surrogate"):
        character_positions("ab\ud83d")


def test_every_token_that_is_text_has_one_row_and_no_other_has():
    table = tipa_rows(TOKENIZER)
    assert table.schema == TIPA_SCHEMA
    tokens = as_byte_tokenizer(TOKENIZER).tokens
    rows = {int(row["id"].removeprefix("token:")): row for row in table.to_pylist()}
    assert list(rows) == sorted(rows)
    for number, token in enumerate(tokens):
        try:
            text = token.decode().strip()
        except UnicodeDecodeError:
            text = ""
        if number == 0 or not text:
            assert number not in rows
        else:
            assert rows[number]["text"] == text
            assert rows[number]["target"] == character_positions(text)


def test_special_tokens_and_parts_of_characters_and_whitespace_are_left_out():
    tokens = as_byte_tokenizer(TOKENIZER).tokens
    texts = tipa_rows(TOKENIZER).column("text").to_pylist()
    assert END_OF_TEXT not in texts
    assert any(b"\xf0\x9f" in token and not _is_text(token) for token in tokens)
    assert all("\ufffd" not in text and text == text.strip() != "" for text in texts)
    assert "考虑" in "".join(texts)


def _is_text(token):
    try:
        token.decode()
    except UnicodeDecodeError:
        return False
    return True


# --- MTIPA --------------------------------------------------------------------------------------

SENTENCES = [f"sentence {number}" for number in range(2000)]
IDS = [f"s{number}" for number in range(2000)]


def test_sentences_are_chosen_by_their_ids_whatever_their_order_or_shard():
    whole = mtipa_rows(SENTENCES, IDS, share=0.1, seed=5).to_pylist()
    assert 150 < len(whole) < 250
    turned = mtipa_rows(SENTENCES[::-1], IDS[::-1], share=0.1, seed=5).to_pylist()
    assert turned == whole[::-1]
    parts = [
        row
        for half in (slice(0, 700), slice(700, None))
        for row in mtipa_rows(SENTENCES[half], IDS[half], share=0.1, seed=5).to_pylist()
    ]
    assert parts == whole
    assert mtipa_rows(SENTENCES, IDS, share=0.1, seed=6).to_pylist() != whole


def test_a_larger_share_holds_the_smaller_one():
    few, many = (
        set(mtipa_rows(SENTENCES, IDS, share=share)["id"].to_pylist()) for share in (0.05, 0.2)
    )
    assert few < many


def test_no_share_takes_none_and_a_whole_one_all_that_have_characters():
    assert mtipa_rows(SENTENCES, IDS, share=0).num_rows == 0
    assert mtipa_rows(["a", "", "b"], ["1", "2", "3"], share=1)["id"].to_pylist() == ["1", "3"]


def test_long_sentences_are_cut_after_code_points():
    (row,) = mtipa_rows(["考虑考虑"], ["1"], share=1, longest=3).to_pylist()
    assert (row["text"], row["target"]) == ("考虑考", '{"3":"考","2":"虑","1":"考"}')


@pytest.mark.parametrize(
    ("texts", "ids", "options", "message"),
    [
        (["a"], ["1"], {"share": 1.1}, "share is 1.1"), (["a"], ["1"], {"longest": 0}, "longest"),
        (["a"], [], {}, "1 texts need"), (["a", "b"], ["1", "1"], {}, "1 different"),
        (["a\ud800"], ["1"], {"share": 1}, "lone surrogate"),
    ],
)  # fmt: skip
def test_what_gives_no_examples_is_refused(texts, ids, options, message):
    with pytest.raises(ValueError, match=message):
        mtipa_rows(texts, ids, **options)
