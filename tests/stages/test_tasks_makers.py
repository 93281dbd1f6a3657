"""Stages that make tasks: questions of the kind `tasks`, documents that teach them, clear errors."""

import re

import pyarrow as pa
import pytest

from stages.kinds import Kind
from stages.tasks import Arithmetic, Retrieval, Reversal
from stages.tasks_characters import CharacterAnalysis, Characters
from stages.tokenizer import Train
from stages.tokenizer_examples import Examples

MAKERS = [
    pytest.param(Arithmetic, {"problems": 30, "training": 40}, id="addition"),
    pytest.param(Arithmetic, {"kind": "comparison", "problems": 9, "training": 9}, id="comparison"),
    pytest.param(Reversal, {"facts": 4, "templates": 2}, id="reversal"),
    pytest.param(Retrieval, {"lengths": (8,), "questions": 2, "training": 9}, id="retrieval"),
]
CUTE = ("cute.spell", "cute.unspell", "cute.contains", "cute.insert", "cute.delete",
        "cute.substitute", "cute.swap")  # fmt: skip


@pytest.fixture(scope="module")
def held_out(documents, prose):
    return documents({f"d{seed}": prose(seed, words=400) for seed in range(6)}, shards=2)


@pytest.fixture(scope="module")
def characters(run_stage, held_out):
    def make(given=held_out, **settings):
        sizes = {"shortest": 4, "longest": 6, "words": 4}
        return run_stage(Characters, {"documents": given}, **{**sizes, **settings})

    return make


@pytest.mark.parametrize(("stage", "settings"), MAKERS)
def test_questions_and_documents_come_with_ids_of_their_own(run_stage, stage, settings):
    ran = run_stage(stage, **settings)
    tasks, texts = ran.rows("tasks"), ran.rows("documents")
    assert tasks
    assert texts
    ids = [row["id"] for row in tasks + texts]
    assert len(set(ids)) == len(ids)
    assert all(0 <= row["gold"] < len(row["choices"]) for row in tasks)
    assert (ran.context.metrics["tasks"], ran.context.metrics["documents"]) == (
        len(tasks), len(texts),
    )  # fmt: skip


@pytest.mark.parametrize(("stage", "settings"), MAKERS)
def test_no_document_holds_a_question_that_is_asked(run_stage, stage, settings):
    ran = run_stage(stage, **settings)
    texts = [row["text"] for row in ran.rows("documents")]
    assert not any(row["prompt"] in text for row in ran.rows("tasks") for text in texts)


@pytest.mark.parametrize(("stage", "settings"), MAKERS)
def test_the_seed_decides(run_stage, stage, settings):
    one, again, other = (run_stage(stage, **settings, seed=seed) for seed in (1, 1, 2))
    for name in ("tasks", "documents"):
        assert one.rows(name) == again.rows(name) != other.rows(name)


def test_without_training_there_are_no_documents(run_stage):
    assert run_stage(Arithmetic, problems=30, training=0).rows("documents") == []
    assert run_stage(Retrieval, lengths=(8,), training=0).rows("documents") == []


def test_problems_on_a_line_each_make_documents(run_stage):
    texts = run_stage(Arithmetic, problems=10, training=20, shortest=2, lines=8).rows("documents")
    assert [row["text"].count("\n") for row in texts] == [8] * 5
    assert all(re.fullmatch(r"(\d+\+\d+=\d+\n)+", row["text"]) for row in texts)


def test_versions_of_a_fact_share_a_group(run_stage):
    texts = run_stage(Reversal, facts=4, templates=3).rows("documents")
    sizes = {}
    for row in texts:
        sizes[row["group"]] = sizes.get(row["group"], 0) + 1
    assert sorted(sizes.values()) == [3] * 8 + [6] * 4


def test_a_fact_in_documents_can_be_permuted_by_units(run_stage):
    from stages.editing_structure import Permute

    given = run_stage(Reversal, facts=3, templates=2, choices=2)["documents"]
    ran = run_stage(Permute, {"documents": given}, original=0, reversed=1, random=0)
    assert ran.context.counts["unfaithful"] == ran.context.counts["whole"] == 0
    assert ran.context.counts["reversed"] == given.rows


def test_needles_stand_between_words_of_the_documents_whatever_their_order(run_stage, documents):
    texts = {"a": "alpha beta gamma delta " * 5, "b": "epsilon zeta eta theta " * 5, "c": ""}
    settings = {"lengths": (8,), "questions": 3, "training": 3}
    here = run_stage(Retrieval, {"documents": documents(texts)}, **settings)
    other = documents(dict(reversed(texts.items())), shards=3)
    there = run_stage(Retrieval, {"documents": other}, **settings)
    assert here.rows("tasks") == there.rows("tasks")
    known = {*" ".join(texts.values()).split()}
    for row in here.rows("tasks"):
        text = re.sub(r"The key of \w+ is \d+\.", "", row["prompt"].split("\n")[0])
        assert set(text.split()) <= known


@pytest.mark.parametrize("texts", [{}, {"a": " "}])
def test_documents_without_words_are_an_error(run_stage, documents, texts):
    with pytest.raises(ValueError, match="the documents have no words to put needles between"):
        run_stage(Retrieval, {"documents": documents(texts)})


def test_characters_are_asked_of_words_of_the_documents(characters, held_out):
    ran = characters(shots=2, training=3)
    found = set(re.findall(r"[a-zA-Z]+", " ".join(held_out.table().column("text").to_pylist())))
    tasks = ran.rows("tasks")
    assert len(tasks) == 4 * 3 * 4
    assert {row["task"] for row in tasks} == {
        "charbench.frequency", "charbench.unique", "charbench.first", "charbench.last",
    }  # fmt: skip
    words = [row["word"] for row in tasks]
    assert set(words) <= found
    assert len({word.lower() for word in words}) == len(words)
    for row in tasks:
        end = row["word_start"] + len(row["word"])
        assert row["prompt"][row["word_start"] : end] == row["word"]
        assert (row["character"] is None) == (row["task"] == "charbench.unique")
    taught = [row["text"] for row in ran.rows("documents")]
    assert len(taught) == 4 * 3 * 3
    assert not any(f'"{word}"' in text for word in words for text in taught)
    shown = {word for row in tasks for word in re.findall(r'"(\w{2,})"', row["prompt"])[:-1]}
    assert shown.isdisjoint(words)


def test_words_follow_from_the_documents_and_not_from_their_order(characters, documents, held_out):
    texts = dict(zip(held_out.table().column("id").to_pylist(),
                     held_out.table().column("text").to_pylist(), strict=True))  # fmt: skip
    other = documents(dict(reversed(texts.items())), shards=5)
    assert characters(other).rows("tasks") == characters().rows("tasks")


def test_editing_tasks_are_made_beside_those_of_charbench(characters):
    ran = characters(tasks=("charbench.first", *CUTE), words=2, training=1)
    tasks = ran.rows("tasks")
    assert {row["task"] for row in tasks} == {"charbench.first", *CUTE}
    words = [row["word"] for row in tasks]
    assert len(set(words)) == len(words) == 8 * 3 * 2
    assert all(row["word"] in row["prompt"].replace(" ", "") for row in tasks)
    assert len(ran.rows("documents")) == 8 * 3


def test_too_few_words_are_an_error_that_says_what_there_is(characters, documents):
    few = documents({"a": "four five nine zero ones two"})
    with pytest.raises(ValueError, match="there are 5 different words of 4 letters, but 4 tasks"):
        characters(few, longest=4)
    with pytest.raises(ValueError, match="there are 0 different words of 4 letters"):
        characters(documents({}), longest=4)


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="must be >= shortest, which is 8"):
        Characters.Config(shortest=8, longest=5)
    with pytest.raises(ValueError, match="names a task twice"):
        Characters.Config(tasks=("cute.spell", "cute.spell"))


def scores_of(artifact, tasks, answer_of):
    """Scores as `evaluation.tasks` gives them."""
    rows = []
    for row in tasks:
        answer = answer_of(row)
        right = answer.strip() == row["choices"][row["gold"]].strip()
        rows += [
            {"id": row["id"], "metric": "accuracy", "value": float(right), "weight": 1.0,
             "group": row["task"]},
            {"id": row["id"], "metric": "margin", "value": 0.0, "weight": 1.0,
             "group": row["task"]},
        ]  # fmt: skip
    made = artifact(Kind.METRICS, rows)
    answers = [answer_of(row) for row in tasks for _ in range(2)]
    made.shards[0] = made.shards[0].append_column("answer", pa.array(answers, pa.string()))
    return made


@pytest.fixture(scope="module")
def analysed(run_stage, artifact, characters, tokenizer):
    """A model that is right on short words only, and says one too little of the others."""
    tasks = characters(tasks=("charbench.last", "cute.spell"), words=8)["tasks"]

    def answer_of(row):
        number = row["gold"] - (len(row["word"]) > 5) if row["character"] else 0
        return f" {number}\n"

    def analyse(others=None):
        inputs = {"tasks": tasks, "tokenizer": tokenizer,
                  "scores": scores_of(artifact, tasks.table().to_pylist(), answer_of)}  # fmt: skip
        if others is not None:
            inputs["others"] = scores_of(artifact, tasks.table().to_pylist(), others)
        return run_stage(CharacterAnalysis, inputs)

    return analyse


def test_being_right_on_short_words_only_correlates_with_length(analysed):
    ran = analysed()
    rows = {row["id"]: row for row in ran.rows()}
    length = rows["charbench.last.word_length"]
    assert (length["metric"], length["weight"], length["group"]) == (
        "correlation", 24.0, "charbench.last",
    )  # fmt: skip
    assert length["value"] < -0.8
    assert rows["charbench.last.too_low"]["value"] == 1
    assert rows["charbench.last.too_low"]["weight"] == 8
    assert rows["charbench.last.too_high"]["value"] == 0
    assert not any(row["group"].startswith("cute") for row in rows.values())
    assert ran.context.metrics["charbench.last.space_before"] == 0


def test_errors_of_a_second_model_are_compared(analysed):
    same = analysed(lambda row: f" {row['gold'] - (len(row['word']) > 5)}\n")
    assert {row["id"]: row["value"] for row in same.rows()}["charbench.last.error_overlap"] == 1
    never = analysed(lambda row: f" {row['gold']}\n")
    assert {row["id"]: row["value"] for row in never.rows()}["charbench.last.error_overlap"] == 0


def test_tasks_and_scores_that_do_not_fit_are_refused(
    run_stage, artifact, characters, tokenizer, metrics_without_answers
):
    tasks = characters()["tasks"]
    bare = run_stage(Reversal, facts=4)["tasks"]
    scores = scores_of(artifact, tasks.table().to_pylist()[1:], lambda row: " 1\n")
    with pytest.raises(ValueError, match="do not say which word they ask about"):
        run_stage(CharacterAnalysis, {"tasks": bare, "scores": scores, "tokenizer": tokenizer})
    with pytest.raises(ValueError, match=r'the question "charbench:.*" has no score'):
        run_stage(CharacterAnalysis, {"tasks": tasks, "scores": scores, "tokenizer": tokenizer})
    with pytest.raises(ValueError, match="the scores have no column answer"):
        run_stage(
            CharacterAnalysis,
            {"tasks": tasks, "scores": metrics_without_answers, "tokenizer": tokenizer},
        )
    edits = characters(tasks=("cute.spell",))["tasks"]
    with pytest.raises(ValueError, match="there is no question of CharBench"):
        run_stage(CharacterAnalysis, {"tasks": edits, "scores": scores, "tokenizer": tokenizer})


@pytest.fixture(scope="module")
def metrics_without_answers(artifact):
    return artifact(Kind.METRICS, [])


def test_texts_with_needles_are_examples_whose_answer_alone_is_learnt(run_stage):
    made = run_stage(Retrieval, lengths=[4], depths=[0.5], questions=2, training=5, needles=2)
    for row in made.rows("documents"):
        assert row["instruction"] == ""
        assert row["text"].startswith(row["input"] + row["target"] + "\n")
        assert row["input"].endswith(" is")
    tokenizer = run_stage(Train, {"documents": made["documents"]}, vocab_size=300)["tokenizer"]
    inputs = {"documents": made["documents"], "tokenizer": tokenizer}
    tokens = run_stage(Examples, inputs, template="{input}").rows("tokens")
    assert len(tokens) == 5
    assert all(0 < sum(row["scored"]) < 10 for row in tokens)
