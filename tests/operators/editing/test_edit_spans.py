"""Edit spans: what is extracted makes the target of the source, is short, and reads back."""

from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.editing.edit_spans import (
    SpanEdit,
    apply_edits,
    extract_edits,
    format_edits,
    parse_edits,
)

tokens = st.lists(st.sampled_from("abc"), max_size=9)
any_tokens = st.lists(
    st.text(min_size=1, max_size=5).filter(lambda token: token.split() == [token]), max_size=6
)


@cache
def distance(source, target):
    """Levenshtein, as it is defined."""
    if not source or not target:
        return len(source) + len(target)
    return min(
        distance(source[1:], target[1:]) + (source[0] != target[0]),
        distance(source[1:], target) + 1,
        distance(source, target[1:]) + 1,
    )


def test_the_published_example():
    source, target = ["he", "go", "to", "school"], ["he", "goes", "to", "a", "school"]
    edits = extract_edits(source, target)
    assert format_edits(edits) == '(1,2,"goes") (3,3,"a")'
    assert apply_edits(source, edits) == target


@given(source=tokens, target=tokens)
def test_the_edits_of_the_source_give_the_target(source, target):
    edits = extract_edits(source, target)
    assert apply_edits(source, edits) == target
    assert (edits == []) == (source == target)


@given(source=tokens, target=tokens)
def test_the_edits_are_the_fewest_and_those_without_a_kept_token_between_are_one(source, target):
    edits = extract_edits(source, target)
    cost = sum(max(edit.end - edit.start, len(edit.replacement)) for edit in edits)
    assert cost == distance(tuple(source), tuple(target))
    for before, after in pairwise(edits):
        assert before.end < after.start


@given(source=any_tokens, target=any_tokens)
def test_edits_are_read_back_as_they_were_written(source, target):
    edits = extract_edits(source, target)
    text = format_edits(edits)
    assert parse_edits(text) == edits
    assert parse_edits(f"\n {text.replace(') (', ')  (')} ") == edits
    assert apply_edits(source, parse_edits(text)) == target


@pytest.mark.parametrize(
    ("source", "target", "text"),
    [
        ("a b c", "a b c", "None"),
        ("", "", "None"),
        ("", "a b", '(0,0,"a b")'),
        ("a b", "", '(0,2,"")'),
        ("a b c", "a c", '(1,2,"")'),
        ("a", "a a", '(1,1,"a")'),
        ("a b c d", "a x d", '(1,3,"x")'),
        ('say "x" \\', 'say "y" \\', '(1,2,"\\"y\\"")'),
    ],
)
def test_deletions_insertions_and_none(source, target, text):
    edits = extract_edits(source.split(), target.split())
    assert format_edits(edits) == text
    assert parse_edits(text) == edits


def test_a_replacement_may_be_longer_or_shorter_than_what_it_replaces():
    edits = [SpanEdit(0, 1, ("x", "y")), SpanEdit(2, 4)]
    assert apply_edits(list("abcde"), edits) == ["x", "y", "b", "e"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no edit in an empty text"),
        ("none", 'no edit at character 0: "none"'),
        ('(1,2,"a") and', 'no edit at character 10: "and"'),
        ("(1,2,a)", "no edit at character 0"),
        ('(1,"a")', "no edit at character 0"),
        ('(-1,2,"a")', "no edit at character 0"),
        ('(1,2,"\\x")', "replacement at character 5 is no JSON"),
        ('(2,1,"a")', r"span \(2,1\) must have"),
        ('(1,3,"a") (2,4,"b")', "overlap or are not in order"),
        ('(3,4,"a") (1,2,"b")', "overlap or are not in order"),
        ('None (1,2,"a")', "no edit at character 0"),
    ],
)
def test_a_text_that_is_no_edits_is_an_error_that_says_where(text, says):
    with pytest.raises(ValueError, match=says):
        parse_edits(text)


def test_an_edit_behind_the_source_is_an_error():
    with pytest.raises(ValueError, match=r'\(1,5,"x"\) ends behind the 4 tokens'):
        apply_edits(list("abcd"), [SpanEdit(1, 5, ("x",))])


@pytest.mark.parametrize("token", ["a b", "", "a\u00a0b"])
def test_a_token_that_could_not_be_read_back_is_an_error(token):
    with pytest.raises(ValueError, match="holds white space or nothing"):
        format_edits([SpanEdit(0, 1, (token,))])


def test_long_texts_with_few_changes_are_quick():
    source = [str(number) for number in range(3000)]
    target = [*source[:10], "x", *source[10:2990], *source[2991:]]
    assert extract_edits(source, target) == [SpanEdit(10, 10, ("x",)), SpanEdit(2990, 2991)]
