"""evaluation.multiple_choice: two readings of one answer, in all orders of its options."""

import math

import pytest

from stages.evaluation_multiple_choice import MultipleChoice, _orders
from stages.training import LanguageModel

OPTIONS = ["mat", "sun"]
SETTINGS = {"device": "cpu", "max_tokens": 4, "batch_size": 4}


def question(id_, gold, options=OPTIONS, prompt="Cat?"):
    return {
        "id": id_, "task": "place", "group": None, "prompt": prompt, "choices": options,
        "gold": gold, "baseline": None,
    }  # fmt: skip


QUESTIONS = [question(str(number), number % 2) for number in range(6)]


@pytest.fixture(scope="module")
def lettered(run_stage, documents):
    """A model that has read such questions, and always answers with the mat, by its letter."""
    from stages.tokenizer import Encode, Train

    texts = documents(
        {f"{n}": "Cat?\nA. mat\nB. sun\nAnswer: A\n" for n in range(20)}
        | {f"{n}b": "Cat?\nA. sun\nB. mat\nAnswer: B\n" for n in range(20)}
    )
    tokenizer = run_stage(Train, {"documents": texts}, vocab_size=280)["tokenizer"]
    inputs = {"documents": texts, "tokenizer": tokenizer}
    tokens = run_stage(Encode, inputs, sequence_length=32)["tokens"]
    return run_stage(
        LanguageModel, {"tokens": tokens, "tokenizer": tokenizer}, steps=60, batch_size=8,
        hidden_size=32, layers=2, heads=2, warmup_steps=4, learning_rate=2e-2, device="cpu", seed=3,
    )["model"]  # fmt: skip


@pytest.fixture(scope="module")
def ask(run_stage, lettered, artifact):
    def ask(rows, **settings):
        inputs = {"model": lettered, "tasks": artifact("tasks", rows)}
        return run_stage(MultipleChoice, inputs, **SETTINGS | settings)

    return ask


@pytest.fixture(scope="module")
def scored(ask):
    return ask(QUESTIONS)


def test_a_model_that_knows_the_format_answers_with_letters_in_both_readings(scored):
    metrics = scored.context.metrics
    assert metrics["items"] == 6
    assert metrics["first_token_answered"] == 1.0
    assert metrics["text_answered"] == 1.0
    assert metrics["mismatch"] == 0.0
    assert metrics["text_accuracy"] == metrics["first_token_accuracy"]


def test_rows_pool_to_the_metrics(scored):
    for metric in ("text_accuracy", "first_token_accuracy", "mismatch", "text_consistency"):
        rows = [row for row in scored.rows() if row["metric"] == metric]
        pooled = sum(row["value"] * row["weight"] for row in rows) / sum(r["weight"] for r in rows)
        assert pooled == pytest.approx(scored.context.metrics[metric])
        assert {row["id"] for row in rows} == {str(number) for number in range(6)}
    assert {row["weight"] for row in scored.rows() if row["metric"] == "text_consistency"} == {3.0}


def test_orders_are_drawn_by_the_id_and_the_first_is_that_of_the_question():
    options = ["a", "b", "c", "d"]
    one = _orders(question("x", 0, options), 4, 7)
    assert one[0] == [0, 1, 2, 3]
    assert all(sorted(order) == [0, 1, 2, 3] for order in one)
    assert _orders(question("x", 3, options), 4, 7) == one
    assert _orders(question("x", 0, options), 6, 7)[:4] == one
    assert _orders(question("x", 0, options), 4, 8) != one
    assert _orders(question("y", 0, options), 4, 7) != one


def test_the_order_of_questions_does_not_matter(ask, scored):
    def values(ran):
        return {(row["id"], row["metric"]): row["value"] for row in ran.rows()}

    assert values(ask(QUESTIONS[::-1])) == values(scored)


def test_one_order_has_no_consistency(ask):
    ran = ask(QUESTIONS, orders=1)
    assert "text_consistency" not in ran.context.metrics
    assert {row["metric"] for row in ran.rows()} == {
        "text_accuracy", "first_token_accuracy", "mismatch",
    }  # fmt: skip


def test_drawn_answers_have_an_entropy_between_nothing_and_all_alike(ask):
    metrics = ask(QUESTIONS, orders=1, samples=4).context.metrics
    assert 0 <= metrics["choice_entropy"] <= math.log(3)  # two options, and none
    again = ask(QUESTIONS[::-1], orders=1, samples=4).context.metrics
    assert again["choice_entropy"] == pytest.approx(metrics["choice_entropy"])


@pytest.mark.parametrize("refusals", ["wrong", "dropped"])
def test_answers_without_an_option_are_treated_alike_in_both_readings(
    run_stage, trained, artifact, refusals
):
    # A model of sayings that never saw a letter: its text names no option, its letters one.
    inputs = {"model": trained["model"], "tasks": artifact("tasks", [question("a", 0, ["x", "y"])])}
    ran = run_stage(MultipleChoice, inputs, refusals=refusals, **SETTINGS)
    metrics = ran.context.metrics
    assert (metrics["text_answered"], metrics["first_token_answered"]) == (0.0, 1.0)
    if refusals == "wrong":
        assert (metrics["items"], metrics["mismatch"], metrics["text_accuracy"]) == (1, 1.0, 0.0)
    else:
        assert metrics["items"] == 0
        assert not metrics.keys() & {"mismatch", "text_accuracy", "first_token_accuracy"}
        assert not [row for row in ran.rows() if "accuracy" in row["metric"]]


def test_one_option_is_no_choice(ask):
    with pytest.raises(ValueError, match="has 1 choices, and 2 are needed"):
        ask([question("a", 0, ["mat"])])
