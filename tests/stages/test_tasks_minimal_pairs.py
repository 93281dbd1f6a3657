"""tasks.minimal_pairs: each line of a file in BLiMP's format is a question, or a clear error."""

import gzip
import json
import os
from pathlib import Path

import pytest

from stages.tasks_minimal_pairs import MinimalPairs

DATA = os.environ.get("TOKENMILL_DATA")
PAIR = {"sentence_good": "She ran.", "sentence_bad": "She run.", "UID": "past", "pairID": "0"}


@pytest.fixture
def write(tmp_path):
    def write(name, *rows):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return str(path)

    return write


def test_a_pair_is_a_question_without_a_prompt_whose_first_choice_is_right(write, run_stage):
    path = write("a.jsonl", PAIR, "", {**PAIR, "pairID": "1", "sentence_bad": "She did run off."})
    first, second = run_stage(MinimalPairs, sources=[path]).rows()
    assert first == {
        "id": "blimp:past:0", "task": "blimp", "group": "past", "prompt": "",
        "choices": ["She ran.", "She run."], "gold": 0, "baseline": None,
    }  # fmt: skip
    assert (second["id"], second["baseline"]) == ("blimp:past:1", 0)


def test_the_trivial_rule_takes_the_shorter_sentence(write, run_stage):
    path = write("a.jsonl", {**PAIR, "sentence_good": "She ran away."})
    assert run_stage(MinimalPairs, sources=[path]).rows()[0]["baseline"] == 1


def test_ids_tell_the_pair_and_not_where_the_file_lies(write, run_stage):
    here, there = (write(f"{folder}/a.jsonl", PAIR) for folder in ("here", "there"))
    assert (
        run_stage(MinimalPairs, sources=[here]).rows()
        == run_stage(MinimalPairs, sources=[there]).rows()
    )


def test_fields_have_the_names_that_are_set_and_the_file_names_the_paradigm(write, run_stage):
    path = write("agreement.jsonl", {"a": "She ran.", "b": "She run."})
    (row,) = run_stage(
        MinimalPairs, sources=[path], good_field="a", bad_field="b", paradigm_field=None, task="own"
    ).rows()
    assert (row["id"], row["group"]) == ("own:agreement:1", "agreement")


def test_globs_and_compressed_files_are_read_and_counted(write, run_stage, tmp_path):
    write("a.jsonl", PAIR)
    with gzip.open(tmp_path / "b.jsonl.gz", "wt") as stream:
        stream.write(json.dumps({**PAIR, "UID": "other"}) + "\n")
    ran = run_stage(MinimalPairs, sources=[str(tmp_path / "*.jsonl*")])
    assert ran.context.metrics == {"pairs": 2, "paradigms": 2, "identical_pairs": 0}
    stage = MinimalPairs(MinimalPairs.Config(sources=[str(tmp_path / "*.jsonl*")]))
    assert len(stage.sources()) == 2


def test_a_pair_of_one_sentence_stays_and_is_counted(write, run_stage):
    # BLiMP has such pairs (passive_1, pair 324): without them it would be another set.
    ran = run_stage(MinimalPairs, sources=[write("a.jsonl", {**PAIR, "sentence_bad": "She ran."})])
    assert ran.context.metrics["identical_pairs"] == 1
    assert ran.rows()[0]["baseline"] is None


def test_so_many_pairs_are_drawn_by_their_ids_and_keep_their_order(write, run_stage):
    rows = [{**PAIR, "pairID": str(number)} for number in range(20)]
    ids = [
        row["id"]
        for row in run_stage(MinimalPairs, sources=[write("a.jsonl", *rows)], pairs=5).rows()
    ]
    backwards = write("b.jsonl", *reversed(rows))
    again = [row["id"] for row in run_stage(MinimalPairs, sources=[backwards], pairs=5).rows()]
    assert len(ids) == 5
    assert ids == again[::-1]
    assert ids != [f"blimp:past:{number}" for number in range(5)]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", r'a.jsonl:2: "{" is not valid JSON .*; mend or remove the line'),
        ("[]", r'a.jsonl:2: "\[\]" is not a JSON object; write one pair a line'),
        ({"UID": "past"}, r'a.jsonl:2: has no field "sentence_good"; it has UID: name the right'),
        ({**PAIR, "sentence_bad": 7}, r'a.jsonl:2: its "sentence_bad" is 7, but must be a text'),
        ({**PAIR, "sentence_good": " "}, r'its "sentence_good" is " ", but must be a text'),
        ({**PAIR, "UID": None}, r'its "UID" is null, but must be a text'),
        ({**PAIR, "sentence_bad": "\ud800"}, r'its "sentence_bad" is no Unicode text'),
        (PAIR, r'a.jsonl:2: the pair "blimp:past:0" is at .*a.jsonl:1 already'),
    ],
)
def test_a_line_that_is_no_pair_is_told_with_place_value_and_cure(write, run_stage, line, fault):
    path = write("a.jsonl", PAIR, line)
    with pytest.raises(ValueError, match=fault):
        run_stage(MinimalPairs, sources=[path])


def test_a_file_that_is_no_text_and_one_without_pairs_are_clear_errors(write, run_stage, tmp_path):
    (tmp_path / "binary.jsonl").write_bytes(b"\x00\x01")
    with pytest.raises(ValueError, match="is a binary file"):
        run_stage(MinimalPairs, sources=[str(tmp_path / "binary.jsonl")])
    (tmp_path / "latin.jsonl").write_bytes(b'{"sentence_good": "\xe9"}\n')
    with pytest.raises(ValueError, match=r"latin.jsonl:1: is not UTF-8 text"):
        run_stage(MinimalPairs, sources=[str(tmp_path / "latin.jsonl")])
    with pytest.raises(ValueError, match="there is no pair in"):
        run_stage(MinimalPairs, sources=[write("empty.jsonl")])


@pytest.mark.parametrize("name", ["no-such.jsonl", "a.txt"])
def test_what_is_not_there_or_no_json_is_told_when_the_plan_is_made(write, name):
    folder = Path(write("a.txt", "text")).parent
    with pytest.raises((FileNotFoundError, ValueError), match=name.replace(".", r"\.")):
        MinimalPairs(MinimalPairs.Config(sources=[str(folder / name)])).sources()


def test_the_files_of_blimp_are_read(run_stage):
    if not DATA:
        pytest.skip("TOKENMILL_DATA is not set: the files of BLiMP are not here")
    ran = run_stage(MinimalPairs, sources=[str(Path(DATA, "blimp", "*.jsonl"))])
    assert ran.context.metrics["pairs"] == 8000
    assert ran.context.metrics["paradigms"] == 8
    assert {row["gold"] for row in ran.rows()} == {0}
