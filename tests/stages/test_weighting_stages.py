"""weighting.reference_losses: the model's losses, in a column, and nothing else is touched."""

import math

import numpy as np
import pyarrow as pa
import pytest
import torch

from operators.modeling import load_model, next_token_logits, token_losses
from stages.training import LanguageModel
from stages.weighting import ReferenceLosses

SETTINGS = {"device": "cpu", "batch_size": 8}


@pytest.fixture(scope="module")
def score(run_stage, trained):
    def score(given, **settings):
        inputs = {"tokens": given, "model": trained["model"]}
        return run_stage(ReferenceLosses, inputs, **{**SETTINGS, **settings})

    return score


@pytest.fixture(scope="module")
def scored(score, tokens):
    return score(tokens)


def with_tokens(artifact, rows, **columns):
    """An artifact of these token lists, with columns of its own."""
    made = artifact(
        "tokens",
        [
            {"id": f"row {n}", "tokens": row, "documents": ["d"], "starts": [0], "edits": []}
            for n, row in enumerate(rows)
        ],
    )
    for name, values in columns.items():
        made.shards = [s.append_column(name, pa.array(values)) for s in made.shards]
    return made


def test_the_losses_are_the_models_one_a_token(scored, tokens, trained):
    model = load_model(trained["model"].folder(), "cpu")
    ids = torch.tensor(tokens.table().column("tokens").to_pylist())
    with torch.no_grad():
        expected = token_losses(next_token_logits(model, ids), ids).numpy()
    ours = np.array([row["reference_losses"] for row in scored.rows()])
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4)
    assert (ours[:, 0] == 0).all()
    mean = scored.context.metrics["mean_reference_loss"]
    assert mean == pytest.approx(float(expected[:, 1:].mean()), rel=1e-4)
    assert mean < math.log(300) / 2, "the model has learnt these sayings"
    assert scored.context.counts["tokens_scored"] == expected[:, 1:].size


def test_everything_else_of_a_row_stays(scored, tokens):
    table = scored["tokens"].table()
    assert table.drop_columns(["reference_losses"]).equals(tokens.table())
    assert table.schema.field("reference_losses").type == pa.list_(pa.float32())


@pytest.mark.parametrize("shard_rows", [1, 5, 1000])
def test_rows_do_not_depend_on_the_division_into_shards(score, scored, tokens, shard_rows):
    ran = score(tokens.in_shards_of(shard_rows))
    assert ran.rows() == scored.rows()
    assert ran.context.metrics == scored.context.metrics


def test_rows_do_not_depend_on_each_others_order(score, scored, tokens, artifact):
    rows = list(reversed(tokens.table().to_pylist()))
    assert list(reversed(score(artifact("tokens", rows)).rows())) == scored.rows()


def test_rows_may_have_any_length(score, artifact):
    rows = score(with_tokens(artifact, [[], [5], [5, 6], list(range(40))])).rows()
    assert [len(row["reference_losses"]) for row in rows] == [0, 1, 2, 40]
    assert rows[1]["reference_losses"] == [0.0]
    assert all(loss > 0 for row in rows for loss in row["reference_losses"][1:])


def test_where_a_row_has_inputs_the_model_sees_them(score, artifact):
    tokens, seen = [[5, 6, 7, 8]], [[5, 9, 7, 8]]
    plain = score(with_tokens(artifact, tokens)).rows()[0]["reference_losses"]
    ours = score(with_tokens(artifact, tokens, inputs=seen)).rows()[0]["reference_losses"]
    assert ours[:2] == plain[:2]
    assert ours[2] != plain[2]


def test_losses_of_an_earlier_reference_are_replaced(score, scored, tokens):
    again = score(scored["tokens"])
    assert again["tokens"].table().equals(scored["tokens"].table())


def test_no_rows_give_no_rows_with_the_column(score, tokens):
    ran = score(tokens.in_shards_of(1000), batch_size=4)
    empty = score(type(tokens)("tokens", [tokens.table().slice(0, 0)]), batch_size=4)
    assert empty.rows() == []
    assert empty["tokens"].table().schema == ran["tokens"].table().schema
    assert "mean_reference_loss" not in empty.context.metrics


def test_a_model_of_another_vocabulary_is_an_error(score, artifact):
    with pytest.raises(ValueError, match="use a model of the same tokenizer"):
        score(with_tokens(artifact, [[5, 100_000]]))


def test_a_model_can_be_trained_on_what_comes_out(run_stage, scored, tokenizer, tiny_model):
    inputs = {"tokens": scored["tokens"], "tokenizer": tokenizer}
    assert run_stage(LanguageModel, inputs, **{**tiny_model, "steps": 2})["model"]
