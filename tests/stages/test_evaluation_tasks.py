"""evaluation.tasks: one row a question, pooled to metrics, with trivial answers beside them."""

import json
import os
from pathlib import Path

import pytest

from stages.evaluation_tasks import Tasks
from stages.tasks_minimal_pairs import MinimalPairs

DATA = os.environ.get("TOKENMILL_DATA")


def question(id_, prompt, choices, gold, *, task="place", group="seen", baseline=None):
    return {
        "id": id_, "task": task, "group": group, "prompt": prompt, "choices": choices,
        "gold": gold, "baseline": baseline,
    }  # fmt: skip


PLACES = [
    question("cat", "The cat sat on the", [" mat.", " tam."], 0, baseline=1),
    question("dog", "The dog sat in the", [" nus.", " sun."], 1, baseline=1),
    question("hen", "The hen sat by the", [" door.", " rood.", " xyzw."], 0, baseline=2),
    question("no", "The owl sat by the", [" door.", " qqqq."], 1, group="false"),
]


@pytest.fixture(scope="module")
def ask(run_stage, trained, artifact):
    def ask(rows, **settings):
        inputs = {"model": trained["model"], "tasks": artifact("tasks", rows)}
        return run_stage(Tasks, inputs, **{"device": "cpu"} | settings)

    return ask


@pytest.fixture(scope="module")
def scored(ask):
    return ask(PLACES)


def of(ran, metric):
    return {row["id"]: row for row in ran.rows() if row["metric"] == metric}


def test_each_question_has_a_row_a_measure_with_its_task_and_group(scored):
    accuracy = of(scored, "accuracy")
    assert {id_: (row["value"], row["weight"], row["group"]) for id_, row in accuracy.items()} == {
        "cat": (1.0, 1.0, "place/seen"), "dog": (1.0, 1.0, "place/seen"),
        "hen": (1.0, 1.0, "place/seen"), "no": (0.0, 1.0, "place/false"),
    }  # fmt: skip
    assert accuracy["dog"]["answer"] == " sun."
    assert {row["metric"] for row in scored.rows()} == {
        "accuracy", "accuracy_per_byte", "log_probability", "margin", "baseline_accuracy",
    }  # fmt: skip


def test_log_probability_and_margin_are_of_the_right_choice(scored, trained):
    from operators.evaluation.choices import encode_choices, score_choices
    from stages.editing_prior import open_prior

    prior = open_prior(trained["model"], "cpu")
    pairs = [(PLACES[2]["prompt"], choice) for choice in PLACES[2]["choices"]]
    encoded = encode_choices(prior.tokenizer, pairs, prior.end_of_text)
    logs = [
        score.log_probability
        for score in score_choices(prior.model, encoded, context=prior.context, device="cpu")
    ]
    assert of(scored, "log_probability")["hen"]["value"] == logs[0]
    assert of(scored, "margin")["hen"]["value"] == logs[0] - max(logs[1:])
    assert of(scored, "margin")["no"]["value"] < 0


def test_metrics_are_the_means_of_the_rows_by_task_and_group(scored):
    metrics = scored.context.metrics
    assert metrics["accuracy"] == metrics["place.accuracy"] == 3 / 4
    assert metrics["place/seen.accuracy"] == 1.0
    assert metrics["place/false.accuracy"] == 0.0
    assert metrics["place.macro_accuracy"] == 1 / 2
    assert metrics["questions"] == 4
    assert metrics["tied"] == metrics["merged_boundaries"] == 0


def test_trivial_answers_stand_beside_the_models(scored):
    metrics = scored.context.metrics
    assert metrics["place.baseline_accuracy"] == 1 / 3  # of the three that have one
    assert {id_: row["value"] for id_, row in of(scored, "baseline_accuracy").items()} == {
        "cat": 0.0, "dog": 1.0, "hen": 0.0,
    }  # fmt: skip
    assert metrics["place.chance"] == pytest.approx((3 / 2 + 1 / 3) / 4)
    assert metrics["place.constant_accuracy"] == 1 / 4
    assert scored.context.figures["accuracy"].startswith(b"\x89PNG")


def test_a_constant_answer_that_beats_the_model_is_seen(ask):
    rows = [question(str(n), "How many?", [" 1\n", " 2\n"], 0) for n in range(4)]
    ran = ask([*rows, question("5", "How many?", [" 1\n", " 2\n"], 1)])
    assert ran.context.metrics["place.constant_accuracy"] == 4 / 5


def test_a_tie_is_wrong_unless_the_first_of_equals_is_asked_for(ask):
    rows = [question("a", "The", [" cat", " cat"], 0), question("b", "The", [" cat", " cat"], 1)]
    ran = ask(rows)
    assert [row["value"] for row in of(ran, "accuracy").values()] == [0.0, 0.0]
    assert [row["value"] for row in of(ran, "margin").values()] == [0.0, 0.0]
    assert ran.context.metrics["tied"] == 1.0
    first = ask(rows, ties="first")
    assert [row["value"] for row in of(first, "accuracy").values()] == [1.0, 0.0]


def test_per_byte_a_long_choice_can_win_over_a_short_one(ask):
    sayings = " sat on the mat. The cat sat on the mat. The cat sat on the mat."
    (row,) = of(ask([question("a", "The cat", [" sun", sayings], 1)]), "accuracy").values()
    per_byte = of(ask([question("a", "The cat", [" sun", sayings], 1)]), "accuracy_per_byte")
    assert per_byte["a"]["value"] == 1.0
    assert row["value"] in (0.0, 1.0)


@pytest.mark.parametrize("method", ["choices", "generate"])
def test_the_order_of_questions_and_the_batch_do_not_matter(ask, method):
    def values(ran):
        return {(row["id"], row["metric"]): (row["value"], row["answer"]) for row in ran.rows()}

    settings = {"method": method, "max_tokens": 6, "batch_size": 4}
    here = values(ask(PLACES, **settings))
    assert values(ask(PLACES[::-1], **settings)) == here
    alone = [values(ask([row], **settings)) for row in PLACES]
    assert {key: value for one in alone for key, value in one.items()} == here


def test_written_answers_are_compared_by_the_rule(ask):
    rows = [
        question("cat", "The cat sat on the", [" mat"], 0, task="words", group=None),
        question("zebra", "The cat sat on the", [" zebra"], 0, task="words", group=None),
    ]
    settings = {"method": "generate", "stops": ["."], "max_tokens": 8}
    ran = ask(rows, **settings, rule="prefix")
    accuracy = of(ran, "accuracy")
    assert accuracy["cat"]["answer"] == accuracy["zebra"]["answer"]
    assert accuracy["cat"]["value"] == float(accuracy["cat"]["answer"].startswith(" mat"))
    assert accuracy["zebra"]["value"] == 0.0
    assert accuracy["cat"]["group"] == "words"
    assert ran.context.metrics["answered"] == 1.0
    assert "words.chance" not in ran.context.metrics  # there is none in writing
    with pytest.raises(ValueError, match="choose another rule"):
        ask(rows, **settings, rule="integer")


def test_how_many_answers_a_rule_could_read_is_told(ask):
    rows = [question("a", "The cat sat", [" 4"], 0)]
    metrics = ask(rows, method="generate", rule="integer", max_tokens=3).context.metrics
    assert (metrics["answered"], metrics["accuracy"]) == (0.0, 0.0)
    assert metrics["cut_off"] in (0.0, 1.0)


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([], "there is no question to score"),
        ([PLACES[0], PLACES[0]], '1 ids stand for several questions, such as "cat"'),
        ([question("a", "x", ["y"], 0)], "has 1 choices, and 2 are needed"),
        ([question("a", "x", ["y", "z"], 2)], 'the question "a" has 2 choices and gold 2'),
        ([question("a", "x", ["y", "z"], None)], "gold None: it must be 0 to 1"),
        ([question("a", "x", ["y", "z"], 0, baseline=-1)], "baseline -1"),
        ([question("a", "x", ["y", ""], 0)], "has no token behind 'x'"),
    ],
)
def test_questions_that_cannot_be_scored_are_clear_errors(ask, rows, fault):
    with pytest.raises(ValueError, match=fault):
        ask(rows)


def test_a_trained_model_finds_its_own_word_order_more_probable(ask, run_stage, tmp_path):
    path = tmp_path / "order.jsonl"
    pairs = [
        ("The cat sat on the mat.", "The cat on sat the mat."),
        ("The dog sat in the sun.", "The dog in sat the sun."),
    ]
    path.write_text(
        "".join(
            json.dumps({"sentence_good": good, "sentence_bad": bad, "UID": "order"}) + "\n"
            for good, bad in pairs
        )
    )
    tasks = run_stage(MinimalPairs, sources=[str(path)])
    ran = ask(tasks.rows())
    assert ran.context.metrics["blimp.macro_accuracy"] == 1.0


def test_pairs_of_blimp_get_one_accuracy_here_and_from_the_measure(ask, run_stage):
    if not DATA:
        pytest.skip("TOKENMILL_DATA is not set: the files of BLiMP are not here")
    from operators.evaluation.minimal_pairs import pair_accuracy

    tasks = run_stage(MinimalPairs, sources=[str(Path(DATA, "blimp", "*.jsonl"))], pairs=8).rows()
    ran = ask(tasks)
    good = of(ran, "log_probability")
    margins = of(ran, "margin")
    found = pair_accuracy(
        [good[row["id"]]["value"] for row in tasks],
        [good[row["id"]]["value"] - margins[row["id"]]["value"] for row in tasks],
        [row["group"] for row in tasks],
    )
    assert len(tasks) == 64
    assert ran.context.metrics["blimp.macro_accuracy"] == pytest.approx(found.macro)
    assert ran.context.metrics["accuracy"] == found.micro
