"""transfer.tokenizer: the same tokenizer changes nothing, another one is learned on from."""

import math

import pytest
import torch
from pydantic import ValidationError

from operators.modeling import load_model
from stages.tokenizer import Encode, Train
from stages.tokenizer_files import load_tokenizer
from stages.training import LanguageModel
from stages.transfer import Tokenizer

METHODS = ["identity", "mean", "script", "focus"]
# The documents are few: most tokens are rarer than the default asks for.
FOCUS = {"dimensions": 16, "min_count": 2}


@pytest.fixture(scope="module")
def larger(run_stage, sayings):
    return run_stage(Train, {"documents": sayings}, vocab_size=330)["tokenizer"]


@pytest.fixture(scope="module")
def other(run_stage, documents, prose):
    """A tokenizer of another text: most of what it has learnt is new to the model."""
    texts = documents({str(seed): prose(seed) for seed in range(20)})
    return run_stage(Train, {"documents": texts}, vocab_size=320)["tokenizer"]


@pytest.fixture(scope="module")
def transfer(run_stage, trained, sayings):
    def transfer(tokenizer, *, model=None, with_documents=True, **settings):
        inputs = {"model": model or trained["model"], "tokenizer": tokenizer}
        if with_documents:
            inputs["documents"] = sayings
        return run_stage(Tokenizer, inputs, **{**FOCUS, **settings})

    return transfer


def files(ran):
    return {path.name: path.read_bytes() for path in ran["model"].folder().iterdir()}


def logits(model, ids):
    with torch.no_grad():
        return load_model(model.folder(), "cpu")(input_ids=ids).logits


@pytest.mark.parametrize("method", METHODS)
def test_swapping_to_the_same_tokenizer_changes_no_logit(
    transfer, trained, tokenizer, tokens, method
):
    swapped = transfer(tokenizer, method=method)
    ids = torch.tensor(tokens.table().column("tokens").to_pylist())
    assert torch.equal(logits(swapped["model"], ids), logits(trained["model"], ids))
    weights = [ran["model"].folder() / "model.safetensors" for ran in (swapped, trained)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    metrics = swapped.context.metrics
    assert metrics["rows_copied"] == metrics["vocab_size"] - 1
    assert metrics["rows_special"] == 1
    assert metrics["parameters"] == trained.context.metrics["parameters"]


@pytest.mark.parametrize("method", METHODS)
def test_the_model_carries_its_new_tokenizer_and_finite_rows(transfer, other, trained, method):
    swapped = transfer(other, method=method)
    model = load_model(swapped["model"].folder(), "cpu")
    new = load_tokenizer(other)
    assert list(load_tokenizer(swapped["model"]).tokens) == list(new.tokens)
    assert model.config.vocab_size == len(new.tokens) == swapped.context.metrics["vocab_size"]
    assert torch.isfinite(model.get_input_embeddings().weight).all()
    metrics = swapped.context.metrics
    origins = ("drawn", "special", "copied", "mixed", "script")
    assert sum(metrics[f"rows_{origin}"] for origin in origins) == len(new.tokens)
    old = set(load_tokenizer(trained["model"]).tokens)
    assert metrics["rows_copied"] + 1 == sum(token in old for token in new.tokens) > 256
    assert metrics["rows_mixed"] > 0 or method in ("identity", "script")
    assert metrics["rows_script"] > 0 or method != "script"


def test_the_same_inputs_give_the_same_bytes_and_another_seed_other_draws(transfer, other):
    assert files(transfer(other, method="focus")) == files(transfer(other, method="focus"))
    drawn = [files(transfer(other, method="identity", seed=seed)) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1]
    assert drawn[0]["model.safetensors"] != drawn[2]["model.safetensors"]


@pytest.mark.parametrize("method", METHODS)
def test_training_goes_on_from_the_swapped_model(
    run_stage, transfer, sayings, larger, tiny_model, method
):
    swapped = transfer(larger, method=method)
    inputs = {"documents": sayings, "tokenizer": larger}
    encoded = run_stage(Encode, inputs, sequence_length=16)["tokens"]
    inputs = {"tokens": encoded, "tokenizer": larger, "model": swapped["model"]}
    settings = {name: value for name, value in tiny_model.items() if name not in (
        "hidden_size", "layers", "heads")}  # fmt: skip
    ran = run_stage(LanguageModel, inputs, **settings)
    losses = [row["value"] for row in ran.rows("history") if row["metric"] == "loss"]
    assert losses[0] < 0.8 * math.log(len(load_tokenizer(larger).tokens)), "rows are permuted"
    assert losses[-1] < losses[0]
    assert ran.context.metrics["parameters"] == swapped.context.metrics["parameters"]


def test_a_model_of_another_vocabulary_is_refused_by_the_training(
    run_stage, tokens, tokenizer, transfer, other
):
    inputs = {"tokens": tokens, "tokenizer": tokenizer, "model": transfer(other)["model"]}
    with pytest.raises(ValueError, match=r"another vocabulary.*transfer\.tokenizer first"):
        run_stage(LanguageModel, inputs, steps=1, device="cpu")


def test_there_and_back_is_the_model_that_was_there(transfer, trained, tokenizer, larger):
    there = transfer(larger)
    kept = set(load_tokenizer(tokenizer).tokens) <= set(load_tokenizer(larger).tokens)
    assert kept, "the larger vocabulary must hold the smaller one for this test"
    back = transfer(tokenizer, model=there["model"])
    assert files(back)["model.safetensors"] == files(trained)["model.safetensors"]


def test_focus_without_documents_is_a_clear_error(transfer, other):
    with pytest.raises(ValueError, match="method focus needs documents"):
        transfer(other, method="focus", with_documents=False)


def test_only_scripts_can_leave_equal_tokens(transfer, other):
    for method in ("identity", "mean", "focus"):
        with pytest.raises(ValidationError, match="for method script only"):
            Tokenizer.Config(method=method, copy_equal=False)
    ran = transfer(other, method="script", copy_equal=False)
    assert ran.context.metrics["rows_copied"] == 0


def test_rows_can_be_padded_and_are_counted(transfer, other):
    ran = transfer(other, pad_to_multiple_of=128)
    metrics = ran.context.metrics
    model = load_model(ran["model"].folder(), "cpu")
    assert model.config.vocab_size == metrics["vocab_size"] + metrics["padding_rows"] == 384
    assert metrics["padding_rows"] == 64


def test_a_special_token_that_is_named_wrongly_is_refused(transfer, other):
    with pytest.raises(ValueError, match="'<s>' is no special token of the new tokenizer"):
        transfer(other, specials={"<s>": "<|endoftext|>"})
