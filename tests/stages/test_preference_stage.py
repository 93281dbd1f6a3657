"""training.preference: margins grow, neutral settings to the bit, what is left out and why."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from pydantic import ValidationError

from operators.modeling import load_model
from stages.tokenizer_files import end_of_text_id, load_tokenizer
from stages.training_pairs import Pairs
from stages.training_preference import Preference

FAST = {"steps": 8, "batch_size": 4, "learning_rate": 3e-3, "warmup_steps": 2, "device": "cpu"}
ROWS = {
    f"{animal}-{n}": (f"The {animal} sat", chosen, " in " * (n + 1))
    for animal in ("cat", "dog", "hen")
    for n, chosen in enumerate([" on the mat", " by it", " on", " under a tree"])
}


@pytest.fixture(scope="module")
def pairs(artifact):
    def make(rows=ROWS, without=()):
        made = artifact(
            "documents",
            [{"id": id_, "text": "", "language": "eng_Latn", "source": "here", "group": None,
              "edits": []} for id_ in rows],
        )  # fmt: skip
        columns = zip(*rows.values(), strict=True)
        for name, texts in zip(("prompt", "chosen", "rejected"), columns, strict=True):
            if name not in without:
                column = pa.array(texts, pa.string())
                made.shards = [shard.append_column(name, column) for shard in made.shards]
        return made

    return make


@pytest.fixture(scope="module")
def prefer(run_stage, trained, pairs):
    def prefer(given=None, more=None, **settings):
        inputs = {"pairs": given or pairs(), "model": trained["model"], **(more or {})}
        return run_stage(Preference, inputs, **{**FAST, **settings})

    return prefer


@pytest.fixture(scope="module")
def dpo(prefer):
    return prefer()


def files(ran):
    return {path.name: path.read_bytes() for path in ran["model"].folder().iterdir()}


def same(one, other):
    return files(one) == files(other) and one.rows("history") == other.rows("history")


def measured(ran, name):
    return [row["value"] for row in ran.rows("history") if row["metric"] == name]


@pytest.mark.parametrize("loss", ["dpo", "tdpo1", "tdpo2", "cdpo"])
def test_what_is_chosen_becomes_likelier_than_what_is_rejected(prefer, trained, loss):
    more = {"positive": trained["model"], "negative": trained["model"]} if loss == "cdpo" else {}
    ran = prefer(loss=loss, more=more)
    assert measured(ran, "margin")[0] == pytest.approx(0, abs=1e-6)
    assert measured(ran, "margin")[-1] > 0.01
    assert measured(ran, "loss")[-1] < measured(ran, "loss")[0] == pytest.approx(np.log(2))
    assert measured(ran, "accuracy")[-1] == 1.0
    assert ran.context.curves["margin"][-1] == (8, measured(ran, "margin")[-1])


def test_the_model_loads_with_its_tokenizer_and_the_one_given_stays(dpo, trained, tokenizer):
    assert files(dpo).keys() == files(trained).keys()
    assert files(dpo)["model.safetensors"] != files(trained)["model.safetensors"]
    assert list(load_tokenizer(dpo["model"]).tokens) == list(load_tokenizer(tokenizer).tokens)


def test_the_same_settings_give_the_same_bytes_and_another_seed_another_model(prefer, dpo):
    assert same(prefer(log_every=1), dpo)
    assert not same(prefer(seed=5), dpo)


def test_neutral_settings_are_dpo_to_the_bit(prefer, dpo):
    assert same(prefer(loss="tdpo2", alpha=0), dpo)
    assert same(prefer(ches_keep=1, ches_length_normalised=True), dpo)


def test_the_negative_model_says_which_tokens_are_critical(prefer, trained, run_stage, tokens,
                                                           tokenizer, tiny_model):  # fmt: skip
    from stages.training import LanguageModel

    untaught = run_stage(
        LanguageModel, {"tokens": tokens, "tokenizer": tokenizer}, **{**tiny_model, "steps": 1}
    )
    more = {"positive": trained["model"], "negative": untaught["model"]}
    contrasted = prefer(loss="cdpo", more=more)
    assert not same(contrasted, prefer(loss="cdpo", more=more, contrast=0))


def test_pairs_that_displace_most_are_left_out_with_their_score(prefer, pairs, dpo):
    ran = prefer(ches_keep=0.5)
    dropped = ran.rows("dropped")
    assert len(dropped) == 6 == ran.context.metrics["dropped_pairs"]
    assert {row["reason"] for row in dropped} == {"ches"}
    assert len({row["value"] for row in dropped}) == 6
    assert ran.context.metrics["pairs"] == 6
    assert not same(ran, dpo)
    # Responses that are the same have a score of exactly <H, H> - |H|^2.
    given = pairs({"same": ("The cat sat", " on the mat", " on the mat"), **ROWS})
    scores = {row["id"]: row["value"] for row in prefer(given, ches_keep=0.1).rows("dropped")}
    assert scores["same"] == pytest.approx(0, abs=1e-6)


def test_pairs_are_the_same_without_those_that_were_left_out(prefer, pairs):
    ran = prefer(ches_keep=0.5)
    out = {row["id"] for row in ran.rows("dropped")}
    kept = {id_: row for id_, row in ROWS.items() if id_ not in out}
    assert same(prefer(pairs(kept)), ran)


def test_a_pair_that_is_too_long_is_dropped_whole(prefer, pairs):
    long = {"long": ("The cat sat", " on the mat" * 9, " on"), **ROWS}
    ran = prefer(pairs(long))
    (dropped,) = ran.rows("dropped")
    assert (dropped["id"], dropped["reason"]) == ("long", "longer_than_max_length")
    assert dropped["value"] > 16
    assert dropped["text"].startswith("The cat sat\n on the mat")
    assert ran.context.metrics["pairs"] == len(ROWS)
    with pytest.raises(ValueError, match=r"no pair to train on: 12 of 12 are longer than 3 tokens"):
        prefer(max_length=3)


def test_the_responses_end_is_learnt_and_the_prompt_is_not_scored(prefer, pairs, trained):
    """The first report is of the model as it was: its own log-probabilities of the response."""
    tokenizer = load_tokenizer(trained["model"])
    end = end_of_text_id(tokenizer)
    prompt, response = tokenizer.encode("The cat sat"), tokenizer.encode(" on")
    ids = torch.tensor([[end, *prompt, *response, end]])
    model = load_model(trained["model"].folder(), "cpu")
    with torch.no_grad():
        told = model(input_ids=ids).logits.log_softmax(-1)[0, :-1].gather(1, ids[0, 1:, None])
    ran = prefer(pairs({"a": ("The cat sat", " on", " under")}), steps=1, batch_size=1)
    assert measured(ran, "chosen_log_probability")[0] == pytest.approx(
        float(told[len(prompt) :].sum()), rel=1e-4
    )


@pytest.mark.parametrize("column", ["prompt", "chosen", "rejected"])
def test_documents_that_are_no_pairs_are_refused_with_what_is_missing(prefer, pairs, column):
    with pytest.raises(ValueError, match=f'no column "{column}"'):
        prefer(pairs(without=[column]))
    texts = ["a", "b", "c"]
    texts[["prompt", "chosen", "rejected"].index(column)] = None
    with pytest.raises(ValueError, match=f"row x has no {column}"):
        prefer(pairs({"x": texts}))


def test_models_are_wired_for_cdpo_and_for_nothing_else(prefer, trained):
    with pytest.raises(ValueError, match="cdpo contrasts two more models: wire positive"):
        prefer(loss="cdpo", more={"positive": trained["model"]})
    with pytest.raises(ValueError, match="negative is read by loss cdpo only, and loss is dpo"):
        prefer(more={"negative": trained["model"]})


def bitext(artifact, rows):
    """`rows` maps ids to (text as it is, text as it should be)."""
    languages = {"source_language": "eng_Latn", "target_language": "eng_Latn"}
    return artifact(
        "bitext",
        [{"id": id_, "group": "g", "source_text": given, "target_text": wanted, "score": 0.0,
          "source_sentences": [], "target_sentences": [], "edits": ["cleaned"], **languages}
         for id_, (given, wanted) in rows.items()],
    )  # fmt: skip


def test_of_a_text_and_its_correction_the_correction_is_chosen(run_stage, artifact, prefer):
    given = {"a": ("The {source} sit", "The {source} sat"), "b": ("It is.", "It is.")}
    ran = run_stage(Pairs, {"bitext": bitext(artifact, given)}, template="<{source}>: ")
    (row,) = ran.rows()
    assert row == {
        "id": "a", "text": "<The {source} sit>: The {source} sat", "language": "eng_Latn",
        "source": "a", "group": "g", "edits": ["cleaned"], "prompt": "<The {source} sit>: ",
        "chosen": "The {source} sat", "rejected": "The {source} sit",
    }  # fmt: skip
    assert [(r["id"], r["reason"]) for r in ran.rows("dropped")] == [("b", "nothing_to_prefer")]
    short = run_stage(
        Pairs, {"bitext": bitext(artifact, {"a": ("sat on", "on the mat")})}, template="{source} "
    )
    assert prefer(short["documents"], steps=2).context.metrics["pairs"] == 1


def test_a_prompt_without_the_text_is_refused_with_the_config():
    with pytest.raises(ValidationError, match=r"template\n.*has no {source}"):
        Pairs.Config(template="Correct it.")
