"""What follows in some encoded text must be live, and nothing else."""

import os
from pathlib import Path

import numpy as np
import pytest
from byte_oracles import hub_bpe, our_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.tokenization.cover_tokenizer import CoverTokenizer, cover_tokenizer
from operators.tokenization.live_tokens import LiveTokens
from operators.tokenization.pretokenization import PRETOKENIZERS

ALPHABET = " \n\r\t'arestlvmdRSé01٣!./-中\u00a0\u3000\u0301😀"
AWKWARD = st.text(alphabet=ALPHABET, max_size=24)

# Runs of spaces and lines, contractions, digits, scripts, halves of characters.
CORPUS = [
    "they're here, we'll see\n\n\nthe  end   \n",
    "don't 12345 123 1234567 é éa éé  \u00a0 \u3000\u3000 x",
    "  if a:\n\n    return a's\r\n\r\n\tx  !!! ... ?!\n",
    "中中文 文中 😀😀 😃 e\u0301e\u0301 R'S R'RE ٣٣٣ 3.14 --- ///",
    "aaaa aaa aa rrrr trete lettera alter later rate\n \n  \n",
] * 3

KINDS = {
    **{name: {"pretokenizer": name} for name in PRETOKENIZERS if not name.startswith("superbpe")},
    "superbpe": {"algorithm": "superbpe", "transition_size": 320},
    "picky": {"algorithm": "picky_bpe", "picky_threshold": 0.5},
    "longest_first": {"encoder": "longest_first"},
    "longest_merge": {"encoder": "longest_merge"},
    "pathpiece": {"encoder": "pathpiece", "pretokenizer": "gpt4"},
    "greedy": {"encoder": "greedy"},
    "greedy_suffix": {"encoder": "greedy_suffix"},
}


@pytest.fixture(scope="module")
def live_of():
    made = {}

    def make(kind):
        if kind not in made:
            made[kind] = LiveTokens(cover_tokenizer(our_tokenizer(CORPUS, 400, **KINDS[kind])))
        return made[kind]

    return make


def numbers(live, *pieces):
    return tuple(live.tokenizer.tokens.index(piece) for piece in pieces)


def has(live, window, piece):
    (number,) = numbers(live, piece)
    return bool(live.after(numbers(live, *window))[number])


def whole_text_search(live):
    """The same tokenizer, of whose regex nothing is known."""
    own = live.tokenizer
    return LiveTokens(
        CoverTokenizer(own.tokens, own.special_ids, own.end_id, own.encode_batch, None, False)
    )


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(text=AWKWARD)
def test_every_token_of_every_encoded_text_is_live_where_it_stands(live_of, kind, text):
    assert live_of(kind).unproven([text]) == []


@pytest.mark.parametrize("kind", ["gpt2", "gpt4", "digits-rtl", "superbpe", "picky", "pathpiece"])
@settings(max_examples=4, deadline=None)
@given(text=st.text(alphabet=ALPHABET, max_size=7), data=st.data())
def test_the_window_decides_as_a_search_through_whole_texts_does(live_of, kind, text, data):
    live = live_of(kind)
    ids = tuple(live.tokenizer.encode(text))
    ids = ids[: data.draw(st.integers(0, len(ids)))]
    written = b"".join(live.tokenizer.tokens[one] for one in ids)
    window = ids[live.tokens_in(ids, 0, live.settled(written)) :]
    quick = live.after(window)
    slow = whole_text_search(live).after(ids)
    # The slow search tries fewer endings, so that it may find less, and never more.
    assert not np.any(slow & ~quick), [
        live.tokenizer.tokens[one] for one in np.flatnonzero(slow & ~quick)
    ]
    more = [live.tokenizer.tokens[one] for one in np.flatnonzero(quick & ~slow)]
    assert all(is_shown(live, ids, token) for token in more), more


def is_shown(live, ids, token):
    """Whether some text with a longer ending has the token there."""
    number = live.tokenizer.tokens.index(token)
    written = b"".join(live.tokenizer.tokens[one] for one in (*ids, number))
    endings = ["".join(pair) for pair in [(a, b) for a in ALPHABET + "𑁦𐌰" for b in ALPHABET + "𑁦𐌰"]]
    for tail in [b"", *(bytes([byte]) for byte in range(0x80, 0xC0))]:
        try:
            texts = [(written + tail).decode() + ending for ending in endings]
        except UnicodeDecodeError:
            continue
        encoded = live.tokenizer.encode_batch(texts)
        if any(tuple(one[: len(ids) + 1]) == (*ids, number) for one in encoded):
            return True
    return False


@pytest.mark.parametrize("kind", ["gpt2", "digits-rtl", "superbpe", "picky", "greedy"])
def test_no_text_begins_with_tokens_that_are_dead(live_of, kind):
    live = live_of(kind)
    tokenizer = live.tokenizer
    generator = np.random.default_rng(5)
    checked = 0
    for start in ["the", "a\n", " 12", "they'r", " é", "  "]:
        ids = tuple(tokenizer.encode(start))
        window = ids[live.tokens_in(ids, 0, live.settled(start.encode())) :]
        dead = ~live.after(window)
        for number in np.flatnonzero(dead):
            token = tokenizer.tokens[number]
            if number in tokenizer.special_ids:
                continue
            try:
                written = start + token.decode()
            except UnicodeDecodeError:
                continue
            texts = [written + "".join(generator.choice(list(ALPHABET), 4)) for _ in range(20)]
            for text, encoded in zip(texts, tokenizer.encode_batch(texts), strict=True):
                assert tuple(encoded[: len(ids) + 1]) != (*ids, number), (text, token)
            checked += 1
    assert checked > 10


def test_a_token_that_only_a_later_look_ahead_makes_right_is_live(live_of):
    live = live_of("gpt2")
    assert live.tokenizer.encode("a\n\n") == list(numbers(live, b"a", b"\n\n"))
    assert live.tokenizer.encode("a\n\nr") == list(numbers(live, b"a", b"\n", b"\n", b"r"))
    # Cut where nothing can move any more, behind "a".
    assert has(live, [b"\n"], b"\n")
    assert has(live, [b"\n\n"], b"\n")
    assert not has(live, [b"\n\n"], b"r")
    assert has(live, [b"\n", b"\n"], b"r")


def test_tokens_that_would_have_merged_are_dead(live_of):
    live = live_of("gpt2")
    assert live.tokenizer.encode("the") == list(numbers(live, b"the"))
    assert not has(live, [b"t"], b"he")
    assert has(live, [b"t"], b"h")  # as in "thm"
    assert not has(live, [b"t", b"h"], b"e")


def test_digits_grouped_from_the_right_may_begin_with_any_group(live_of):
    live = live_of("digits-rtl")
    pieces = [live.tokenizer.tokens[one] for one in live.tokenizer.encode("1234567 123456")]
    assert pieces == [b"1", b"234", b"567", b" ", b"123", b"4", b"56"]
    # As in "12349", cut into "12" and "349"; the text "1234" is cut otherwise.
    assert has(live, [b"12"], b"34")
    assert not has(live, [b"12", b"34"], b"5")  # it would be "345"
    assert live.settled(b"1234567") == 0


def test_what_cannot_become_utf8_is_dead(live_of):
    live = live_of("gpt2")
    assert has(live, [], b"\xc3")
    assert has(live, [b"\xc3"], b"\xbf")
    assert not has(live, [b"\xc3"], b"a")
    assert not has(live, [], b"\xbf")
    assert not has(live, [b"a"], b"\xff")
    assert not has(live, [b"\xed"], b"\xa0")  # would be a surrogate
    assert not live.ends(numbers(live, b"\xc3"))


def test_special_tokens_never_follow_and_their_text_is_text(live_of):
    live = live_of("gpt2")
    assert not live.after(())[0]
    assert 0 not in live.tokenizer.encode("a<|endoftext|>b")
    assert live.unproven(["a<|endoftext|>b", "<|endof"]) == []


def test_a_text_ends_only_where_its_encoding_does(live_of):
    live = live_of("gpt2")
    assert live.ends(())
    assert live.ends(numbers(live, b"the"))
    assert not live.ends(numbers(live, b"\n", b"\n"))


@pytest.mark.parametrize(
    "pattern", [r"\w+(?=!!!!!x)|\w|[^\w]+", r"(?<=a)b+|[^b]+|b"], ids=["far_ahead", "behind"]
)
def test_a_regex_that_looks_far_is_either_slow_or_found_out(pattern):
    live = LiveTokens(
        cover_tokenizer(our_tokenizer(["abab!!!!!x ab"] * 5, 300, pretokenizer=pattern))
    )
    if "(?<" in pattern:
        assert live.settled(b"abab ab") == 0  # so the window is all of the text
        assert live.unproven(["abab abbb", "b"]) == []
    else:
        assert live.unproven(["ab ab"]) == []
        assert live.unproven(["ab", "ab!!!!!x"]) == [(1, 0), (1, 1)]


@pytest.mark.parametrize("pattern", [None, PRETOKENIZERS["gpt4"]], ids=["gpt2", "gpt4"])
@settings(max_examples=40, deadline=None)
@given(text=AWKWARD)
def test_tokenizers_of_the_hub_are_understood_too(hub, pattern, text):
    live = hub(pattern)
    assert live.tokenizer.pattern is not None
    assert live.unproven([text]) == []


@pytest.fixture(scope="module")
def hub():
    made = {}

    def make(pattern):
        if pattern not in made:
            made[pattern] = LiveTokens(cover_tokenizer(hub_bpe(CORPUS, 400, pattern)))
        return made[pattern]

    return make


@pytest.mark.skipif("TOKENMILL_DATA" not in os.environ, reason="TOKENMILL_DATA is unset")
def test_a_sentence_of_every_flores_language_is_live_throughout(live_of):
    import pyarrow.parquet as pq

    path = Path(os.environ["TOKENMILL_DATA"], "flores_dev", "flores200_dev_60.parquet")
    (row,) = pq.read_table(path).slice(7, 1).to_pylist()
    texts = [text[:30] for text in row.values()]
    assert len(texts) == 60
    assert live_of("gpt2").unproven(texts) == []
