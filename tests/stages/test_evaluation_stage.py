"""evaluation.language_model: one row a document, and rows that pool to the metric."""

import importlib
import math
from itertools import pairwise

import numpy as np
import pytest

from stages.evaluation import LanguageModel
from stages.tokenizer_files import end_of_text_id, load_tokenizer

HELD_OUT = {
    "known": "The cat sat on the mat. The dog sat in the sun.",
    "long": "The owl sat under the old tree. " * 8,
    "strange": {"text": "Ξένες λέξεις και 磨坊.", "language": "ell_Grek"},
    "empty": "",
}


@pytest.fixture(scope="module")
def evaluate(run_stage, trained):
    def evaluate(given, *, tokens=None, **settings):
        inputs = {"model": trained["model"], "documents": given}
        if tokens is not None:
            inputs["tokens"] = tokens
        return run_stage(LanguageModel, inputs, **{"device": "cpu", **settings})

    return evaluate


@pytest.fixture(scope="module")
def scored(evaluate, documents, tokens):
    return evaluate(documents(HELD_OUT), tokens=tokens)


def of(ran, metric):
    return {row["id"]: row for row in ran.rows() if row["metric"] == metric}


def test_there_is_one_row_a_document_with_its_bytes_and_language(scored):
    rows = [row for row in scored.rows() if row["metric"] == "bits_per_byte"]
    assert [(row["id"], row["weight"], row["group"]) for row in rows] == [
        ("known", float(len(HELD_OUT["known"])), "eng_Latn"),
        ("long", float(len(HELD_OUT["long"])), "eng_Latn"),
        ("strange", float(len(HELD_OUT["strange"]["text"].encode())), "ell_Grek"),
    ]
    assert scored.context.metrics["documents"] == 3


def test_bits_per_byte_pooled_from_the_rows_are_those_of_the_metric(scored):
    rows = of(scored, "bits_per_byte").values()
    bits = math.fsum(row["value"] * row["weight"] for row in rows)
    pooled = bits / math.fsum(row["weight"] for row in rows)
    assert pooled == pytest.approx(scored.context.metrics["bits_per_byte"], rel=1e-12)


def test_a_document_like_the_training_text_costs_fewer_bits_than_a_strange_one(scored):
    rows = of(scored, "bits_per_byte")
    assert rows["known"]["value"] < 0.7 * rows["strange"]["value"]


def test_bits_are_the_negative_log_probability_of_every_token_after_the_first(
    evaluate, documents, trained, tokenizer
):
    import torch

    from operators.modeling import load_model

    text = "The cat sat."
    tool = load_tokenizer(tokenizer)
    ids = [end_of_text_id(tool), *tool.encode(text)]
    assert len(ids) <= 16, "one window"
    with torch.no_grad():
        model = load_model(str(trained["model"].folder()), device="cpu")
        logits = model(input_ids=torch.tensor([ids])).logits[0, :-1].double()
    nats = -torch.log_softmax(logits, -1)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].sum()
    (row,) = evaluate(documents({"a": text})).rows()
    assert row["value"] == pytest.approx(float(nats) / math.log(2) / len(text), rel=1e-6)


def test_the_order_of_documents_and_the_division_into_shards_do_not_matter(
    evaluate, documents, scored
):
    backwards = dict(reversed(HELD_OUT.items()))
    other = of(evaluate(documents(backwards, shards=4)), "bits_per_byte")
    here = of(scored, "bits_per_byte")
    assert {id_: row["value"] for id_, row in other.items()} == pytest.approx(
        {id_: row["value"] for id_, row in here.items()}, rel=1e-6
    )


def test_losses_by_frequency_count_every_token_once_and_pool_to_the_mean(scored, tokenizer):
    bins = of(scored, "loss_by_frequency").values()
    tool = load_tokenizer(tokenizer)
    texts = [row if isinstance(row, str) else row["text"] for row in HELD_OUT.values()]
    weights = [row["weight"] for row in bins]
    assert sum(weights) == sum(len(tool.encode(text)) for text in texts)
    mean = np.average([row["value"] for row in bins], weights=weights)
    assert mean == pytest.approx(scored.context.metrics["nats_per_token"], rel=1e-9)


def test_a_bin_is_called_by_the_frequencies_of_its_tokens_and_unseen_ones_are_apart(scored):
    labels = {id_: row["group"] for id_, row in of(scored, "loss_by_frequency").items()}
    assert labels["bin 0"] == "unseen"
    seen = [id_ for id_ in sorted(labels) if id_ != "bin 0"]
    edges = [tuple(map(int, labels[id_].removeprefix("seen ").split("-"))) for id_ in seen]
    assert all(low <= high for low, high in edges)
    assert all(high < low for (_, high), (low, _) in pairwise(edges))
    metrics = scored.context.metrics
    assert (
        metrics["loss_by_frequency.bin_0"]
        > metrics[f"loss_by_frequency.{seen[-1].replace(' ', '_')}"]
    )


def test_without_training_tokens_there_are_rows_of_documents_only(evaluate, documents):
    ran = evaluate(documents(HELD_OUT))
    assert {row["metric"] for row in ran.rows()} == {"bits_per_byte"}


def test_exact_losses_stand_beside_those_of_the_tokens_and_are_never_more(evaluate, documents):
    ran = evaluate(documents(HELD_OUT), exact_bytes=10_000)
    exact, tokens = of(ran, "exact_bits_per_byte"), of(ran, "token_bits_per_byte")
    whole = of(ran, "bits_per_byte")
    assert exact.keys() == tokens.keys() == whole.keys() == {"known", "long", "strange"}
    for id_, row in exact.items():
        assert row["value"] < tokens[id_]["value"]
        assert (row["weight"], row["group"]) == (whole[id_]["weight"], whole[id_]["group"])
    bits = math.fsum(row["value"] * row["weight"] for row in exact.values())
    pooled = bits / math.fsum(row["weight"] for row in exact.values())
    assert pooled == pytest.approx(ran.context.metrics["exact_bits_per_byte"], rel=1e-12)
    assert pooled < ran.context.metrics["token_bits_per_byte"]


def test_the_exact_loss_is_that_of_the_bytes_one_by_one(evaluate, documents, trained, tokenizer):
    from operators.modeling import load_model
    from operators.tokenization.exact_bytes import ByteStream
    from operators.tokenization.next_token_models import CausalLanguageModel

    text = "The cat sat."
    ran = evaluate(documents({"a": text}), exact_bytes=100)
    tool = load_tokenizer(tokenizer)
    model = load_model(str(trained["model"].folder()), device="cpu")
    stream = ByteStream(CausalLanguageModel(model, begin=[end_of_text_id(tool)]), tool)
    bits = -stream.log_probability(text.encode()) / math.log(2) / len(text)
    assert of(ran, "exact_bits_per_byte")["a"]["value"] == pytest.approx(bits, rel=1e-5)
    whole = of(ran, "bits_per_byte")["a"]["value"]  # one window: read alike
    assert of(ran, "token_bits_per_byte")["a"]["value"] == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("size", [1, 60, 267])
def test_exact_losses_are_of_the_same_bytes_whatever_the_order(evaluate, documents, size):
    here = of(evaluate(documents(HELD_OUT), exact_bytes=size), "exact_bits_per_byte")
    read = sum(row["weight"] for row in here.values())
    assert size - 3 < read <= size  # no character is cut
    backwards = documents(dict(reversed(HELD_OUT.items())), shards=4)
    again = of(evaluate(backwards, exact_bytes=size), "exact_bits_per_byte")
    assert {id_: (row["weight"], row["value"]) for id_, row in again.items()} == {
        id_: (row["weight"], row["value"]) for id_, row in here.items()
    }


@pytest.mark.parametrize("texts", [{}, {"a": "", "b": ""}])
def test_nothing_to_score_is_a_clear_error(evaluate, documents, texts):
    with pytest.raises(ValueError, match="there is no held-out text to score"):
        evaluate(documents(texts))


def test_bytes_that_a_tokenizer_cannot_write_are_charged_and_counted(
    evaluate, documents, monkeypatch
):
    given = documents({"a": "The cat sat.", "b": "The dog sat."})
    free = evaluate(given)
    assert free.context.metrics["lost_bytes"] == 0
    # The package calls its function by the name of this module.
    module = importlib.import_module("operators.evaluation.bits_per_byte")
    monkeypatch.setattr(module, "unknown_bytes", lambda _, text: 3 * ("dog" in text))
    charged = evaluate(given)
    assert charged.context.metrics["lost_bytes"] == 3
    more = {
        name: row["value"] * row["weight"]
        - of(free, "bits_per_byte")[name]["value"] * row["weight"]
        for name, row in of(charged, "bits_per_byte").items()
    }
    assert more == pytest.approx({"a": 0, "b": 8 * 3})
    pooled = [ran.context.metrics["bits_per_byte"] for ran in (free, charged)]
    assert pooled[1] - pooled[0] == pytest.approx(8 * 3 / 24)
