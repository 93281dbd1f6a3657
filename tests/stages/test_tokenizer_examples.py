"""tokenizer.examples: prompt and target with a clean border; what is scored; nothing is cut."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stages.editing_characters import EXAMPLES, Tipa
from stages.tokenizer_examples import Examples, filled
from stages.tokenizer_files import end_of_text_id, load_tokenizer


@pytest.fixture
def examples(artifact):
    """`examples({id: (instruction, input, target)}, shards=1)` -> documents."""

    def make(rows, shards=1):
        made = artifact("documents", [])
        table = pa.Table.from_pylist(
            [
                {"id": id_, "text": f"text of {id_}", "language": "eng_Latn", "source": "here",
                 "group": None, "edits": [], "instruction": asked, "input": given, "target": answer}
                for id_, (asked, given, answer) in rows.items()
            ],
            EXAMPLES,
        )  # fmt: skip
        made.shards = [table]
        return made if shards == 1 else made.in_shards_of(-(-len(rows) // shards))

    return make


@pytest.fixture
def encode(run_stage, tokenizer, examples):
    def encode(rows, shards=1, **settings):
        made = rows if not isinstance(rows, dict) else examples(rows, shards)
        return run_stage(Examples, {"documents": made, "tokenizer": tokenizer}, **settings)

    return encode


@pytest.fixture(scope="module")
def bytes_of(tokenizer):
    return load_tokenizer(tokenizer)


def parts(row, tokenizer):
    """The texts of prompt and target, without the end-of-text tokens around them."""
    first = row["scored"].index(True)
    assert row["tokens"][0] == row["tokens"][-1] == end_of_text_id(tokenizer)
    return tokenizer.decode(row["tokens"][1:first]), tokenizer.decode(row["tokens"][first:-1])


def test_the_target_and_the_end_behind_it_are_scored_and_the_prompt_is_not(encode, bytes_of):
    (row,) = encode({"a": ("Where sat", "the cat?", "on the mat.")}).rows()
    assert parts(row, bytes_of) == ("Where sat\nthe cat?\n", "on the mat.")
    answered = len(bytes_of.encode("on the mat.")) + 1
    assert row["scored"] == [False] * (len(row["tokens"]) - answered) + [True] * answered
    assert (row["id"], row["documents"], row["starts"], row["edits"]) == ("a", ["a"], [0], [])


def test_no_token_crosses_the_border(encode, bytes_of):
    whole = bytes_of.encode("The cat")
    for cut in range(1, len("The cat")):
        prompt, target = "The cat"[:cut], "The cat"[cut:]
        (row,) = encode({"a": (prompt, "", target)}, template="{instruction}").rows()
        middle = [*bytes_of.encode(prompt), *bytes_of.encode(target)]
        assert row["tokens"][1:-1] == middle
        assert parts(row, bytes_of) == (prompt, target)
    assert len(middle) > len(whole), "the last cut was inside of a token"


@pytest.mark.parametrize(
    ("asked", "given", "prompt"),
    [
        ("Do", "this", "Do\nthis\n"),
        ("Do", "", "Do\n"),
        ("", "this", "this\n"),
        ("", "", ""),
        ("Do", None, "Do\n"),
        ("say {input}", "{instruction}", "say {input}\n{instruction}\n"),
    ],
)
def test_lines_of_empty_slots_are_left_out_of_the_prompt(encode, bytes_of, asked, given, prompt):
    (row,) = encode({"a": (asked, given, "yes")}).rows()
    assert parts(row, bytes_of) == (prompt, "yes")


def test_the_template_decides_where_the_parts_stand(encode, bytes_of):
    template = "Q: {input} ({instruction})\n\nA:"
    (row,) = encode({"a": ("short", "why?", " so.")}, template=template).rows()
    assert parts(row, bytes_of) == ("Q: why? (short)\n\nA:", " so.")


@given(st.text(), st.text())
def test_a_slot_is_filled_with_exactly_what_there_is(instruction, text):
    slots = {"instruction": instruction, "input": text}
    assert filled("<{instruction}>|{input}", **slots) == (
        f"<{instruction}>|{text}" if instruction or text else ""
    )


def test_a_text_that_holds_the_end_of_text_is_text(encode, bytes_of):
    (row,) = encode({"a": ("", "<|endoftext|>", "<|endoftext|>")}).rows()
    assert row["tokens"].count(end_of_text_id(bytes_of)) == 2
    assert parts(row, bytes_of) == ("<|endoftext|>\n", "<|endoftext|>")


def test_an_example_that_is_too_long_is_dropped_whole_and_one_of_the_very_length_is_kept(
    encode, bytes_of
):
    rows = {"short": ("", "a", "b"), "long": ("", "The cat sat", "on the mat and on the roof")}
    lengths = {row["id"]: len(row["tokens"]) for row in encode(rows).rows()}
    ran = encode(rows, max_length=lengths["long"])
    assert [row["id"] for row in ran.rows()] == ["short", "long"]
    ran = encode(rows, max_length=lengths["long"] - 1)
    assert [row["id"] for row in ran.rows()] == ["short"]
    (dropped,) = ran.rows("dropped")
    assert dropped == {
        "id": "long", "source": "here", "reason": "longer_than_max_length",
        "value": float(lengths["long"]), "text": "text of long",
    }  # fmt: skip
    assert ran.context.counts["dropped"] == 1


def test_an_empty_target_teaches_to_stop_at_once(encode):
    (row,) = encode({"a": ("Stop", "", "")}).rows()
    assert row["scored"] == [False] * (len(row["tokens"]) - 1) + [True]


def test_rows_depend_neither_on_their_shard_nor_on_their_order(encode):
    rows = {str(n): ("Count", str(n), "one " * n) for n in range(7)}
    together = encode(rows).rows()
    assert encode(rows, shards=3).rows() == together
    assert encode(dict(reversed(rows.items()))).rows() == together[::-1]


def test_no_rows_give_no_rows_and_all_columns(encode):
    ran = encode({})
    assert ran.rows() == ran.rows("dropped") == []
    assert "scored" in ran["tokens"].table().column_names
    assert "scored_share" not in ran.context.metrics


def test_how_much_is_scored_is_told(encode):
    ran = encode({"a": ("Do", "this", "yes"), "b": ("", "", "no")})
    scored = [sum(row["scored"]) for row in ran.rows()]
    lengths = [len(row["tokens"]) for row in ran.rows()]
    assert ran.context.metrics["scored_share"] == sum(scored) / sum(lengths)
    assert ran.context.metrics["tokens_per_example"] == sum(lengths) / 2


def test_plain_documents_are_refused_with_the_column_that_is_missing(encode, sayings):
    with pytest.raises(ValueError, match=r'no column "instruction".*editing\.tipa'):
        encode(sayings)


def test_an_example_without_an_answer_is_named(encode):
    with pytest.raises(ValueError, match="row b has no target"):
        encode({"a": ("", "x", "y"), "b": ("", "x", None)})


@pytest.mark.parametrize(
    ("template", "message"),
    [("{target}", "has {target}"), ("Answer:", "neither {instruction} nor {input}")],
)
def test_a_template_that_cannot_be_filled_is_refused_with_the_config(template, message):
    with pytest.raises(ValidationError, match=f"template\n.*{message}"):
        Examples.Config(template=template)


def test_examples_of_tipa_can_be_encoded(run_stage, tokenizer, encode, bytes_of):
    made = run_stage(Tipa, {"tokenizer": tokenizer}, instruction="Spell:")["documents"]
    rows = encode(made).rows()
    assert len(rows) == made.rows
    for row, example in zip(rows, made.table().to_pylist(), strict=True):
        prompt = f"{example['instruction']}\n{example['input']}\n"
        assert parts(row, bytes_of) == (prompt, example["target"])
