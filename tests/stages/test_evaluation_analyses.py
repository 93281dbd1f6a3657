"""evaluation.attribution and evaluation.displacement on a tiny model that knows its sayings."""

import math

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from stages.evaluation_analyses import Attribution
from stages.evaluation_displacement import LikelihoodDisplacement
from stages.tokenizer_files import load_tokenizer
from stages.training_preference import Preference

FAST = {"device": "cpu", "max_updates": 12, "min_updates": 2, "runs": 2, "draws": 2, "rationale": 2}
TEXTS = {
    "cat": "The cat sat on the mat. The cat sat by the door.",
    "dog": {"text": "The dog sat in the sun.", "language": "eng_Brai"},
    "one": "T",
    "none": "",
}
MEASURES = {
    "soft_ns",
    "soft_nc",
    "hellinger_soft_ns",
    "hellinger_soft_nc",
    "hellinger_comprehensiveness",
}


@pytest.fixture(scope="module")
def attribute(run_stage, trained):
    def attribute(more=None, **settings):
        return run_stage(Attribution, {"model": trained["model"], **more}, **{**FAST, **settings})

    return attribute


@pytest.fixture(scope="module")
def explained(attribute, documents):
    return attribute({"documents": documents(TEXTS)}, targets_per_document=2)


@pytest.fixture(scope="module")
def tasks(artifact):
    rows = [
        {"id": "a", "task": "places", "group": "g", "prompt": "The cat sat", "choices": [" on the mat", " on the roof"], "gold": 1, "baseline": None},
        {"id": "b", "task": "places", "group": "g", "prompt": "The dog sat", "choices": [" in the sun", " by the door"], "gold": 0, "baseline": 0},
    ]  # fmt: skip
    return artifact("tasks", rows)


def by_metric(rows, id_):
    return {row["metric"]: row["value"] for row in rows if row["id"] == id_}


def test_every_example_has_its_faithfulness_beside_that_of_chance(explained):
    rows = explained.rows("scores")
    ids = {row["id"] for row in rows}
    assert {id_.split("#")[0] for id_ in ids} == {"cat", "dog"}
    assert len(ids) == 4
    for id_ in ids:
        found = by_metric(rows, id_)
        assert found.keys() >= MEASURES | {
            f"{name}_{method}" for name in MEASURES for method in ("random", "shuffled")
        }
        assert 0 <= found["probability"] <= 1
        assert 2 <= found["updates"] <= 12
    assert {row["group"] for row in rows} == {"eng_Latn", "eng_Brai"}
    assert {row["weight"] for row in rows} == {1.0}


def test_the_recorded_metrics_are_the_means_of_the_rows(explained):
    values = [row["value"] for row in explained.rows("scores") if row["metric"] == "soft_nc_random"]
    assert explained.context.metrics["soft_nc_random"] == pytest.approx(np.mean(values))
    assert explained.context.metrics["examples"] == 4
    assert explained.context.metrics["examples_without_measure"] == 0
    assert -1 <= explained.context.metrics["position_correlation"] <= 1


def test_importances_are_those_of_the_tokens_before_the_target(explained, tokenizer):
    tool = load_tokenizer(tokenizer)
    rows = explained.rows("importances")
    for id_ in {row["id"].split("@")[0] for row in rows}:
        mine = [row for row in rows if row["id"].startswith(f"{id_}@")]
        name, place = id_.split("#")
        text = TEXTS[name] if isinstance(TEXTS[name], str) else TEXTS[name]["text"]
        before = tool.encode(text)[: int(place)][
            -15:
        ]  # the model sees 16, one of them begin of text
        assert [row["group"] for row in mine] == [tool.tokens[token].decode() for token in before]
        assert math.fsum(row["value"] for row in mine) == pytest.approx(1)


def test_neither_order_nor_shards_nor_other_documents_change_an_example(
    attribute, documents, explained
):
    alone = attribute({"documents": documents({"dog": TEXTS["dog"]})}, targets_per_document=2)
    backwards = attribute(
        {"documents": documents(dict(reversed(TEXTS.items())), shards=3)}, targets_per_document=2
    )
    assert sorted(map(str, backwards.rows("scores"))) == sorted(map(str, explained.rows("scores")))
    mine = [row for row in explained.rows("scores") if row["id"].startswith("dog")]
    assert sorted(map(str, alone.rows("scores"))) == sorted(map(str, mine))


def test_fewer_examples_are_some_of_them_and_the_rest_is_counted(attribute, documents, explained):
    few = attribute({"documents": documents(TEXTS)}, targets_per_document=2, examples=1)
    whole = {str(row) for row in explained.rows("scores")}
    assert {str(row) for row in few.rows("scores")} < whole
    assert few.context.metrics["examples_left_out"] == 3


def test_of_a_task_the_first_token_is_explained_in_which_the_choices_differ(
    attribute, tasks, tokenizer
):
    ran = attribute({"tasks": tasks})
    tool = load_tokenizer(tokenizer)
    prompt, right, wrong = (
        tool.encode(text) for text in ("The cat sat", " on the roof", " on the mat")
    )
    place = next(i for i in range(len(right)) if right[: i + 1] != wrong[: i + 1])
    assert place > 0
    seen = [row["group"] for row in ran.rows("importances") if row["id"].startswith("a@")]
    assert seen == [tool.tokens[token].decode() for token in [*prompt, *right[:place]][-15:]]
    assert {row["group"] for row in ran.rows("scores")} == {"places"}


def test_what_the_model_says_is_at_least_as_probable_as_what_stands_there(attribute, tasks):
    gold = attribute({"tasks": tasks})
    predicted = attribute({"tasks": tasks}, target="predicted")
    for id_ in ("a", "b"):
        here, there = (
            by_metric(ran.rows("scores"), id_)["probability"] for ran in (gold, predicted)
        )
        assert there >= here


@pytest.mark.parametrize("sampler", ["unigram", "uniform"])
def test_replacements_may_come_from_elsewhere(attribute, tasks, tokens, explained, sampler):
    ran = attribute({"tasks": tasks, "tokens": tokens}, sampler=sampler)
    assert len({row["id"] for row in ran.rows("scores")}) == 2
    assert ran.rows("scores") != attribute({"tasks": tasks}).rows("scores")


def test_unigrams_without_training_tokens_are_those_of_the_contexts(attribute, tasks):
    assert attribute({"tasks": tasks}, sampler="unigram").rows("scores")


def test_the_page_is_one_file_that_shows_the_tokens_and_escapes_them(attribute, documents):
    ran = attribute(
        {"documents": documents({"x": "<b>The cat</b> sat & on"})}, targets_per_document=3, shown=2
    )
    files = {row["id"]: row["content"] for row in ran.rows("report")}
    assert files["faithfulness.png"].startswith(b"\x89PNG")
    page = files["attribution.html"].decode()
    assert page.count('class="example"') == 2
    assert "1 more" in page
    assert "<b>" not in page
    assert "http" not in page
    assert "soft ns" in page


@pytest.mark.parametrize("wired", [(), ("documents", "tasks")])
def test_one_of_documents_and_tasks_is_wired(attribute, documents, tasks, wired):
    given = {"documents": documents(TEXTS), "tasks": tasks}
    with pytest.raises(ValueError, match="wire one of them"):
        attribute({name: given[name] for name in wired})


def test_documents_without_a_context_are_a_clear_error(attribute, documents):
    with pytest.raises(ValueError, match="no token with a context"):
        attribute({"documents": documents({"a": "", "b": "T"})})


PAIRS = {
    f"{animal}-{n}": (f"The {animal} sat", chosen, " in " * (n + 1), ["!", " on fire"][: n % 3])
    for animal in ("cat", "dog", "hen")
    for n, chosen in enumerate([" on the mat", " by it", " on", " under a tree"])
}


@pytest.fixture(scope="module")
def pairs(artifact):
    def make(rows=PAIRS, columns=("prompt", "chosen", "rejected", "opposite")):
        made = artifact(
            "documents",
            [{"id": id_, "text": "", "language": "eng_Latn", "source": "here", "group": None, "edits": []} for id_ in rows],
        )  # fmt: skip
        for place, name in enumerate(("prompt", "chosen", "rejected", "opposite")):
            if name in columns:
                type_ = pa.list_(pa.string()) if name == "opposite" else pa.string()
                column = pa.array([row[place] for row in rows.values()], type_)
                made.shards = [shard.append_column(name, column) for shard in made.shards]
        return made

    return make


@pytest.fixture(scope="module")
def preferred(run_stage, trained, pairs):
    settings = {
        "steps": 8,
        "batch_size": 4,
        "learning_rate": 3e-3,
        "warmup_steps": 2,
        "device": "cpu",
    }
    return run_stage(Preference, {"pairs": pairs(), "model": trained["model"]}, **settings)


@pytest.fixture(scope="module")
def displace(run_stage, trained, preferred, pairs):
    def displace(given=None, after=None, **settings):
        inputs = {
            "before": trained["model"],
            "after": (after or preferred)["model"],
            "pairs": given or pairs(),
        }
        return run_stage(LikelihoodDisplacement, inputs, **{"device": "cpu", **settings})

    return displace


@pytest.fixture(scope="module")
def displaced(displace):
    return displace(others="opposite")


def column(ran, metric):
    return {row["id"]: row["value"] for row in ran.rows() if row["metric"] == metric}


def test_margins_and_displacement_follow_from_the_log_probabilities_of_each_pair(displaced):
    chosen, before = (
        column(displaced, "chosen_log_probability"),
        column(displaced, "chosen_log_probability_before"),
    )
    rejected, rejected_before = (
        column(displaced, f"rejected_log_probability{when}") for when in ("", "_before")
    )
    for id_ in PAIRS:
        change = chosen[id_] - before[id_]
        margin = change - (rejected[id_] - rejected_before[id_])
        assert column(displaced, "margin_change")[id_] == pytest.approx(margin, abs=1e-9)
        assert column(displaced, "reward_margin")[id_] == pytest.approx(0.1 * margin, abs=1e-9)
        assert column(displaced, "dpo_loss")[id_] == pytest.approx(
            math.log1p(math.exp(-0.1 * margin))
        )
        assert column(displaced, "displaced")[id_] == float(change < 0 < margin)


def test_preference_training_lets_margins_grow(displaced):
    metrics = displaced.context.metrics
    assert metrics["margin"] > metrics["margin_before"]
    assert metrics["pairs"] == len(PAIRS)
    assert metrics["displaced_share"] == pytest.approx(
        np.mean(list(column(displaced, "displaced").values()))
    )


def test_further_answers_are_one_mass_a_row_where_there_are_any(displaced):
    masses = column(displaced, "others_log_probability")
    assert masses.keys() == {id_ for id_, row in PAIRS.items() if row[3]}
    assert all(mass < 0 for mass in masses.values())
    assert column(displaced, "others_log_probability_before").keys() == masses.keys()


def test_a_model_that_was_not_trained_has_displaced_nothing(displace, trained):
    ran = displace(after=trained)
    assert set(column(ran, "displaced").values()) == {0.0}
    assert set(column(ran, "margin_change").values()) == {0.0}
    assert "others_log_probability" not in {row["metric"] for row in ran.rows()}


def test_the_history_of_the_training_began_with_the_same_log_probabilities(
    displaced, preferred, pairs
):
    """The first report of training.preference is of its first batch, before its update."""
    first = {row["metric"]: row["value"] for row in preferred.rows("history") if row["id"] == "1"}
    before = column(displaced, "chosen_log_probability_before")
    low, high = min(before.values()), max(before.values())
    assert low <= first["chosen_log_probability"] <= high


def test_missing_columns_pairs_and_other_vocabularies_are_clear_errors(
    displace, pairs, run_stage, tokens, sayings, tiny_model
):
    from stages.tokenizer import Encode, Train
    from stages.training import LanguageModel

    with pytest.raises(ValueError, match='no column "rejected"'):
        displace(pairs(columns=("prompt", "chosen")))
    with pytest.raises(ValueError, match='no column "absent"'):
        displace(others="absent")
    with pytest.raises(ValueError, match="there is no pair"):
        displace(pairs(rows={}))
    with pytest.raises(ValidationError, match="beta"):
        displace(beta=0)
    other = run_stage(Train, {"documents": sayings}, vocab_size=280)["tokenizer"]
    made = run_stage(Encode, {"documents": sayings, "tokenizer": other}, sequence_length=16)[
        "tokens"
    ]
    model = run_stage(
        LanguageModel,
        {"tokens": made, "tokenizer": other},
        **{**tiny_model, "steps": 1, "warmup_steps": 0},
    )
    with pytest.raises(ValueError, match="different vocabularies"):
        displace(after=model)
