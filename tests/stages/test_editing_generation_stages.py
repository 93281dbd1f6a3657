"""A model in its own data: what it writes, what it sees, and what it is to correct."""

import numpy as np
import pyarrow as pa
import pytest

from stages.editing_exposure import ScheduledSampling, SelfCorrect
from stages.editing_generation import Generate
from stages.tokenizer_files import end_of_text_id, load_tokenizer

RUN = {"device": "cpu", "batch_size": 8, "seed": 5}
MIX = {**RUN, "rounds": 2, "round": 1, "last": 0.5}


@pytest.fixture(scope="module")
def end_of_text(tokenizer):
    return end_of_text_id(load_tokenizer(tokenizer))


@pytest.fixture(scope="module")
def written(run_stage, trained, sayings):
    inputs = {"model": trained["model"], "documents": sayings}
    return run_stage(Generate, inputs, prompt_tokens=4, max_tokens=8, **RUN)


def test_what_is_written_begins_as_the_human_text_and_keeps_its_id(written, sayings, tokenizer):
    opened = load_tokenizer(tokenizer)
    for row, human in zip(written.rows(), sayings.table().to_pylist(), strict=True):
        kept = ("id", "language", "source", "group")
        assert [row[name] for name in kept] == [human[name] for name in kept]
        assert row["text"].startswith(opened.decode(opened.encode(human["text"])[:4]))
        assert row["edits"] == ["generated behind 4 tokens"]


def test_tokens_and_text_say_the_same(written, tokenizer, end_of_text):
    opened = load_tokenizer(tokenizer)
    for row, document in zip(written.rows("tokens"), written.rows(), strict=True):
        assert row["tokens"][0] == end_of_text
        assert end_of_text not in row["tokens"][1:]
        assert 5 <= len(row["tokens"]) <= 13
        assert opened.decode(row["tokens"][1:]) == document["text"]
        assert (row["id"], row["documents"], row["starts"]) == (
            document["id"],
            [document["id"]],
            [0],
        )
    assert written.context.metrics["documents"] == 30


def test_without_documents_so_many_are_written_as_asked(run_stage, trained):
    ran = run_stage(Generate, {"model": trained["model"]}, count=7, max_tokens=8, **RUN)
    assert [row["id"] for row in ran.rows()] == [f"generated-{k}" for k in range(7)]
    assert len({row["text"] for row in ran.rows()}) > 1


def test_a_document_does_not_depend_on_the_others(run_stage, trained, sayings, written, documents):
    few = {row["id"]: row for row in sayings.table().to_pylist()[20:23]}
    inputs = {"model": trained["model"], "documents": documents(few)}
    ran = run_stage(Generate, inputs, prompt_tokens=4, max_tokens=8, **RUN)
    assert ran.rows() == written.rows()[20:23]


def test_no_documents_give_none(run_stage, trained, documents):
    inputs = {"model": trained["model"], "documents": documents({})}
    ran = run_stage(Generate, inputs, **RUN)
    assert ran.rows() == ran.rows("tokens") == []


# Scheduled sampling.


@pytest.fixture(scope="module")
def mix(run_stage, trained):
    def mix(given, **settings):
        inputs = {"tokens": given, "model": trained["model"]}
        return run_stage(ScheduledSampling, inputs, **{**MIX, **settings})

    return mix


def test_the_targets_stay_and_some_of_what_is_seen_is_the_models(mix, tokens, end_of_text):
    ran = mix(tokens)
    changed = 0
    for before, after in zip(tokens.table().to_pylist(), ran.rows(), strict=True):
        assert {name: after[name] for name in before} == before
        for place, (true, seen) in enumerate(zip(after["tokens"], after["inputs"], strict=True)):
            assert (true == end_of_text) == (seen == end_of_text)
            assert place or true == seen
            changed += true != seen
    assert ran.context.counts["changed"] == changed > 20
    assert ran.context.metrics["drawn_share"] == pytest.approx(0.5, abs=0.15)


def test_in_the_first_round_all_that_is_seen_is_true(mix, tokens):
    assert all(row["inputs"] == row["tokens"] for row in mix(tokens, round=0).rows())


@pytest.mark.parametrize("shard_rows", [5, 1000])
def test_mixtures_do_not_depend_on_the_division_into_shards(mix, tokens, shard_rows):
    divided = {row["id"]: row for row in mix(tokens.in_shards_of(shard_rows)).rows()}
    assert divided == {row["id"]: row for row in mix(tokens).rows()}


@pytest.fixture(scope="module")
def answers(artifact, tokenizer, end_of_text, sayings):
    """Prompts of three tokens with answers, of many lengths."""
    opened = load_tokenizer(tokenizer)
    rows, scored = [], []
    for number, row in enumerate(sayings.table().to_pylist()[:9]):
        ids = [end_of_text, *opened.encode(row["text"])[: 4 + number % 3], end_of_text]
        rows.append({"id": row["id"], "tokens": ids, "documents": [row["id"]], "starts": [0],
                     "edits": []})  # fmt: skip
        scored.append([place >= 3 for place in range(len(ids))])
    made = artifact("tokens", rows)
    made.shards = [
        shard.append_column("scored", pa.array(scored, pa.list_(pa.bool_())))
        for shard in made.shards
    ]
    return made


def test_a_prompt_stays_true_and_rows_may_have_any_length(mix, answers):
    ran = mix(answers, first=0.9, last=1.0, temperature=5.0)
    assert ran.context.counts["changed"] > 5
    for row in ran.rows():
        assert row["inputs"][:3] == row["tokens"][:3]
        assert len(row["inputs"]) == len(row["tokens"])


@pytest.mark.parametrize(
    ("settings", "message"), [({"round": 2}, "below rounds 2"), ({"first": 0.6}, "first share 0.6")]
)
def test_a_schedule_that_cannot_be_meant_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ScheduledSampling.Config(**{**MIX, **settings})


# Corrections.


@pytest.fixture(scope="module")
def correct(run_stage, trained):
    def correct(given, **settings):
        inputs = {"tokens": given, "model": trained["model"]}
        return run_stage(SelfCorrect, inputs, **{**RUN, "mark": "!", **settings})

    return correct


@pytest.mark.parametrize("correction", ["whole", "divergence"])
def test_a_row_is_prompt_answer_mark_and_what_is_scored(correct, answers, tokenizer, correction):
    mark = load_tokenizer(tokenizer).encode("!")
    ran = correct(answers, correction=correction)
    for before, after in zip(answers.table().to_pylist(), ran.rows(), strict=True):
        head = [*before["tokens"][:3], *after["generated"], *mark]
        assert after["tokens"][: len(head)] == head
        reference = after["tokens"][len(head) :]
        assert before["tokens"][-len(reference) :] == reference
        assert after["scored"] == [False] * len(head) + [True] * len(reference)
        assert correction == "divergence" or reference == before["tokens"][3:]
        assert after["id"] == before["id"]


def test_corrections_do_not_depend_on_the_division_into_shards(correct, answers):
    assert correct(answers.in_shards_of(2)).rows() == correct(answers).rows()


def test_an_answer_has_no_more_tokens_than_asked(correct, answers):
    assert {len(row["generated"]) for row in correct(answers, max_tokens=1).rows()} <= {0, 1}


def test_what_cannot_be_corrected_is_named(correct, tokens, answers, artifact):
    with pytest.raises(ValueError, match='no column "scored"'):
        correct(tokens)
    with pytest.raises(ValueError, match=r'row "cat-0" has \d+ tokens, which leaves no room'):
        correct(answers, mark="!" * 16)
    unscored = artifact("tokens", answers.table().to_pylist()[:1])
    unscored.shards = [
        shard.append_column("scored", pa.array([[True] + [False] * (len(shard["tokens"][0]) - 1)]))
        for shard in unscored.shards
    ]
    with pytest.raises(ValueError, match='row "cat-0" has no scored token'):
        correct(unscored)


def test_tokens_that_the_model_does_not_know_are_named(mix, artifact):
    row = {"id": "a", "tokens": [1, 99_999], "documents": ["a"], "starts": [0], "edits": []}
    with pytest.raises(ValueError, match="go up to 99999"):
        mix(artifact("tokens", [row]))


def test_a_shard_without_rows_stays_one(mix, artifact):
    assert mix(artifact("tokens", [])).rows() == []


def test_the_seen_tokens_of_a_perfect_model_are_the_true_ones(mix, tokens, end_of_text, run_stage):
    """What a greedy model finds most probable, seen as the truth, is its own mixture."""
    greedy = mix(tokens, first=0.9, last=1.0, temperature=0.0, passes=16)
    rows = [{**row, "tokens": row.pop("inputs")} for row in greedy.rows()]
    again = mix(tokens.__class__(tokens.kind, [pa.Table.from_pylist(rows, tokens.table().schema)]),
                first=0.9, last=1.0, temperature=0.0, passes=16)  # fmt: skip
    assert all(np.array_equal(row["inputs"], row["tokens"]) for row in again.rows())
