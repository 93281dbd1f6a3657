"""YAML that knows its lines: safe loading, duplicate keys, environment variables."""

import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.located import InvalidDag, Located, Mistake, load_located, nearest


def load(tmp_path: Path, text: str, **environment: str) -> Located:
    path = tmp_path / "some.yaml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return load_located(path, environment)


def refused(tmp_path: Path, text: str) -> Mistake:
    with pytest.raises(InvalidDag) as raised:
        load(tmp_path, text)
    (mistake,) = raised.value.mistakes
    return mistake


# -- lines -----------------------------------------------------------------------------------------


def test_every_key_and_value_has_its_line(tmp_path: Path) -> None:
    located = load(
        tmp_path,
        """\
        first: 1
        second:
          inner:
            - a
            - {deep: b}
          folded: >
            text
        """,
    )
    assert located.data == {
        "first": 1,
        "second": {"inner": ["a", {"deep": "b"}], "folded": "text\n"},
    }
    assert located.line(("first",)) == 1
    assert located.line(("second",)) == 2
    assert located.line(("second", "inner")) == 3
    assert located.line(("second", "inner"), value=True) == 4
    assert located.line(("second", "inner", 1)) == 5
    assert located.line(("second", "inner", 1, "deep")) == 5
    assert located.line(("second", "folded")) == 6


def test_a_path_that_is_not_there_takes_the_line_of_its_nearest_ancestor(tmp_path: Path) -> None:
    located = load(tmp_path, "a: 1\nb:\n  c: 2\n")
    assert located.line(("b", "c", "nothing", 4)) == 3
    assert located.line(("nowhere",)) == 1


def test_mistakes_are_sorted_by_line_and_said_once() -> None:
    late, early = Mistake("f", 9, "x", "p"), Mistake("f", 2, "y", "q", "do r")
    error = InvalidDag([late, early, late])
    assert error.mistakes == [early, late]
    assert str(error) == "f:2: y: q; do r\nf:9: x: p"


# -- what is no YAML of ours -----------------------------------------------------------------------


def test_duplicate_keys_are_mistakes_that_name_both_lines(tmp_path: Path) -> None:
    located = load(tmp_path, "a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\na: 4\n")
    assert [str(m).removeprefix(f"{tmp_path}/") for m in located.mistakes] == [
        'some.yaml:5: b: duplicate key "c"; line 3 has it already; keep one',
        'some.yaml:6: duplicate key "a"; line 1 has it already; keep one',
    ]


def test_keys_that_mean_the_same_text_are_duplicates(tmp_path: Path) -> None:
    located = load(tmp_path, '{1: a, "1": b}')
    assert ["duplicate" in m.problem for m in located.mistakes] == [True]


def test_the_same_key_in_two_mappings_is_no_duplicate(tmp_path: Path) -> None:
    assert load(tmp_path, "a: {x: 1}\nb: {x: 2}\n").mistakes == []


@pytest.mark.parametrize(
    "text",
    ["a: [1, 2\nb: 3\n", "a: 1\n  b: 2\n", "a: *nothing\n", "a: 1\n---\nb: 2\n", "a:\t- 1\n"],
    ids=["open_bracket", "indentation", "unknown_alias", "two_documents", "tab"],
)
def test_invalid_yaml_is_one_mistake_with_a_line(tmp_path: Path, text: str) -> None:
    mistake = refused(tmp_path, text)
    assert "is not valid YAML" in mistake.problem
    assert "\n" not in str(mistake)
    assert mistake.line >= 1


def test_the_line_of_invalid_yaml_is_where_it_breaks(tmp_path: Path) -> None:
    assert refused(tmp_path, "a: 1\nb: 2\nc: ]\n").line == 3


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.getcwd []\n",
        "a: !!int abc\n",
        "a: !!timestamp 2020-99-99\n",
        "a: !mine b\n",
    ],
    ids=["python_object", "int_that_is_none", "date_that_is_none", "unknown_tag"],
)
def test_tags_never_build_objects_and_never_end_in_a_traceback(tmp_path: Path, text: str) -> None:
    try:
        located = load(tmp_path, text)
    except InvalidDag:
        return
    assert isinstance(located.data["a"], str | list) or located.mistakes


def test_a_control_character_is_a_mistake_and_no_traceback(tmp_path: Path) -> None:
    assert "YAML" in refused(tmp_path, "a: \x07\n").problem


def test_a_value_that_holds_itself_is_a_mistake_and_no_traceback(tmp_path: Path) -> None:
    assert refused(tmp_path, "a: &x [*x]\n").line == 1


def test_an_anchor_can_be_used_again(tmp_path: Path) -> None:
    assert load(tmp_path, "a: &x {b: 1}\nc: *x\n").data == {"a": {"b": 1}, "c": {"b": 1}}


def test_merge_keys_and_keys_that_are_no_words_are_refused(tmp_path: Path) -> None:
    located = load(tmp_path, "a: &x {b: 1}\nc:\n  <<: *x\n? [d]\n: 1\n")
    assert [(m.line, m.problem) for m in located.mistakes] == [
        (3, "merge keys (<<) are not part of the DAG language"),
        (4, "a key must be a plain word"),
    ]


def test_a_missing_file_a_folder_and_binary_data_are_mistakes(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00a")
    for path, reason in [
        (tmp_path / "no.yaml", "No such file"),
        (tmp_path, "directory"),
        (binary, "UTF-8"),
    ]:
        with pytest.raises(InvalidDag) as raised:
            load_located(path)
        (mistake,) = raised.value.mistakes
        assert (mistake.file, mistake.line) == (str(path), 1)
        assert mistake.problem.startswith("cannot be read: ")
        assert reason in mistake.problem


# -- the types of values ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("200", 200),
        ("0.5", 0.5),
        ("true", True),
        ("2024-05-06", "2024-05-06"),
        ("text", "text"),
        ("'200'", "200"),
        ('"0.5"', "0.5"),
        ("", None),
        ("null", None),
        (".inf", float("inf")),
        # How everyone who trains models writes a learning rate:
        ("3e-3", 3e-3),
        ("1e6", 1e6),
        ("2.5E-4", 2.5e-4),
    ],
)
def test_a_plain_value_has_the_type_that_it_looks_like(
    tmp_path: Path, text: str, value: object
) -> None:
    found = load(tmp_path, f"a: {text}\n").data["a"]
    assert (found, type(found)) == (value, type(value))


# -- environment variables -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${STEPS:-200}", 200),
        ("${STEPS:-0.5}", 0.5),
        ("${STEPS:-true}", True),
        ("${STEPS:-many}", "many"),
        ('"${STEPS:-200}"', "200"),
        ("'${STEPS:-200}'", "200"),
        ("${N}", 7),
        ("${N}${N}", 77),
        ("'${N}'", "7"),
        ("${N}:-8", "7:-8"),
        ("${N:-8}", 7),
        ("s3://${WORD}/${MISSING:-data}/x", "s3://bucket/data/x"),
        ("${MISSING:-}", None),
        ("'${MISSING:-}'", ""),
        ("$N", "$N"),
        ("${EVIL}", "{a: [1]}"),
    ],
)
def test_a_variable_takes_the_type_of_its_text_and_quoted_stays_text(
    tmp_path: Path, text: str, value: object
) -> None:
    located = load(tmp_path, f"a: {text}\n", N="7", WORD="bucket", EVIL="{a: [1]}")
    assert located.mistakes == []
    assert (located.data["a"], type(located.data["a"])) == (value, type(value))


def test_a_variable_can_stand_inside_braces_and_brackets(tmp_path: Path) -> None:
    located = load(tmp_path, "a: {b: ${N}, c: [${N:-8}, 'x${N}']}\n", N="7")
    assert located.data == {"a": {"b": 7, "c": [7, "x7"]}}


def test_an_unset_variable_is_a_mistake_at_its_line_that_says_how_to_default(
    tmp_path: Path,
) -> None:
    located = load(tmp_path, "a: 1\nb:\n  c: x-${MISSING}-y\n")
    assert [str(m).removeprefix(f"{tmp_path}/") for m in located.mistakes] == [
        "some.yaml:3: b.c: the environment variable MISSING is not set; "
        "set it, or give a default: ${MISSING:-value}"
    ]


def test_a_variable_in_a_comment_is_not_read(tmp_path: Path) -> None:
    assert load(tmp_path, "a: 1  # ${MISSING}\n").mistakes == []


def test_what_a_variable_holds_is_not_expanded_again(tmp_path: Path) -> None:
    assert load(tmp_path, "a: ${A}\n", A="${B}", B="no").data["a"] == "${B}"


def test_without_an_environment_given_that_of_the_process_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENMILL_TEST_STEPS", "12")
    path = tmp_path / "some.yaml"
    path.write_text("a: ${TOKENMILL_TEST_STEPS}\n")
    assert load_located(path).data == {"a": 12}


# -- the nearest right word ------------------------------------------------------------------------


@given(st.lists(st.text("abcdefghij_", min_size=4, max_size=10), min_size=1, max_size=6))
def test_a_word_that_is_there_is_nearest_to_itself(words: list[str]) -> None:
    for word in words:
        assert nearest(word, words) == f'did you mean "{word}"?'


def test_where_no_word_is_near_all_are_listed_up_to_twelve() -> None:
    assert nearest("xyz", ["beta", "alpha"]) == "it can be one of: alpha, beta"
    assert nearest("xyz", [f"word{n:02d}" for n in range(20)]).endswith("word11, …")
    assert nearest("xyz", []) == ""
