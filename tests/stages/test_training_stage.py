"""training.language_model: a checkpoint that loads, the same bytes again, and identity limits."""

import math

import numpy as np
import pyarrow as pa
import pytest
import torch
from pydantic import ValidationError

from stages.training import LanguageModel


@pytest.fixture
def train(run_stage, tokens, tokenizer, tiny_model):
    def train(**settings):
        inputs = {"tokens": tokens, "tokenizer": tokenizer}
        return run_stage(LanguageModel, inputs, **{**tiny_model, "steps": 8, **settings})

    return train


def files(ran):
    return {path.name: path.read_bytes() for path in ran["model"].folder().iterdir()}


def same(one, other):
    return files(one) == files(other) and one.rows("history") == other.rows("history")


def test_the_model_loads_with_transformers_and_carries_its_tokenizer(trained, tokens):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = str(trained["model"].folder())
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.model_type == "llama"
    assert model.config.max_position_embeddings == 16
    assert model.config.vocab_size == len(AutoTokenizer.from_pretrained(folder))
    assert sum(p.numel() for p in model.parameters()) == trained.context.metrics["parameters"]
    # The loss it was trained to is the loss it has.
    ids = torch.tensor(tokens.table().column("tokens").to_pylist())
    with torch.no_grad():
        loss = float(model(input_ids=ids, labels=ids).loss)
    curve = trained.context.curves["loss"]
    assert loss < 0.6 * curve[0][1]
    assert loss == pytest.approx(curve[-1][1], rel=0.35)


def test_the_same_seed_gives_the_same_bytes(train):
    assert same(train(), train())


def test_another_seed_gives_another_model(train):
    one, other = train(seed=1), train(seed=2)
    assert files(one)["model.safetensors"] != files(other)["model.safetensors"]


def test_weights_of_infinite_temperature_give_the_bytes_of_uniform_ones(train):
    uniform = train(weighting="uniform")
    for strategy in ("linupper", "quadratic", "extremes"):
        weighted = train(weighting=strategy, temperature=math.inf, weighting_warmup_steps=0)
        assert same(weighted, uniform), strategy


def test_weights_after_the_last_step_give_the_bytes_of_uniform_ones(train):
    assert same(train(weighting="linupper", weighting_warmup_steps=8), train(weighting="uniform"))


def test_weights_change_the_model(train):
    weighted = train(weighting="linupper", weighting_warmup_steps=0)
    assert not same(weighted, train(weighting="uniform"))
    assert weighted.context.metrics["smallest_effective_sample_size"] < 8


def test_what_is_recorded_on_the_way_changes_nothing(train):
    assert same(train(log_every=1), train(log_every=100))


def test_the_history_has_each_step_once_for_each_loss(train):
    ran = train(steps=6, log_every=4, weighting="linupper", weighting_warmup_steps=3)
    rows = ran.rows("history")
    assert [(row["id"], row["metric"]) for row in rows] == [
        (str(step), name)
        for step in range(1, 7)
        for name in ("loss", "weighted_loss", "tokens_seen", "flops")
    ]
    losses = [[row["value"] for row in rows if row["metric"] == name]
              for name in ("loss", "weighted_loss")]  # fmt: skip
    # Uniform weights while it warms up, others from then on.
    weighs = [plain != weighted for plain, weighted in zip(*losses, strict=True)]
    assert weighs == [False] * 3 + [True] * 3
    curve = ran.context.curves["loss"]
    assert curve == [(step, losses[0][step - 1]) for step in (1, 4, 6)]


def test_how_much_was_seen_is_told(train, tokens):
    metrics = train(steps=6).context.metrics
    assert metrics["epochs"] == 6 * 8 / tokens.rows
    assert metrics["tokens_seen"] == 6 * 8 * 15  # nothing predicts the first of a sequence


def test_a_warm_up_longer_than_the_training_is_cut_to_it(train):
    assert same(train(warmup_steps=8), train(warmup_steps=500))


def test_without_a_sequence_the_error_says_what_to_change(run_stage, artifact, tokenizer):
    inputs = {"tokens": artifact("tokens", []), "tokenizer": tokenizer}
    with pytest.raises(ValueError, match=r"not a single full sequence.*smaller sequence_length"):
        run_stage(LanguageModel, inputs, steps=1)


def test_sequences_of_different_lengths_are_a_clear_error(run_stage, artifact, tokenizer):
    rows = [{"id": f"d:{n}", "tokens": list(range(n)), "documents": ["d"], "starts": [0],
             "edits": []} for n in (4, 5)]  # fmt: skip
    inputs = {"tokens": artifact("tokens", rows), "tokenizer": tokenizer}
    with pytest.raises(ValueError, match="sequences have 2 different lengths"):
        run_stage(LanguageModel, inputs, steps=1)


def test_the_division_into_shards_does_not_change_the_model(
    run_stage, tokens, tokenizer, tiny_model
):
    settings = {**tiny_model, "steps": 4}
    runs = [
        run_stage(LanguageModel, {"tokens": given, "tokenizer": tokenizer}, **settings)
        for given in (tokens, tokens.in_shards_of(5))
    ]
    assert same(*runs)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 100}, "heads\n.*must divide hidden_size 100 into even parts"),
        ({"hidden_size": 48, "heads": 5}, "heads\n.*must divide hidden_size 48"),
        ({"heads": 4, "kv_heads": 3}, "kv_heads\n.*must divide heads 4"),
    ],
)
def test_shapes_that_no_model_can_have_are_refused_with_the_config(settings, message):
    with pytest.raises(ValidationError, match=message):
        LanguageModel.Config(**settings)


def test_grouped_query_attention_is_what_the_checkpoint_has(train):
    from transformers import AutoConfig

    folder = train(steps=1, kv_heads=1)["model"].folder()
    config = AutoConfig.from_pretrained(str(folder))
    assert (config.num_attention_heads, config.num_key_value_heads) == (2, 1)
    assert config.intermediate_size == round(16 * 8 / 3)


def test_losses_are_numbers_in_nats_that_begin_near_a_uniform_guess(trained, tokenizer):
    from stages.tokenizer_files import load_tokenizer

    first = trained.rows("history")[0]["value"]
    assert np.isclose(first, math.log(len(load_tokenizer(tokenizer).tokens)), rtol=0.05)


# --- going on from a model ------------------------------------------------------------------------


@pytest.fixture
def go_on(run_stage, tokens, tokenizer, trained):
    def go_on(given=tokens, model=trained["model"], **settings):
        inputs = {"tokens": given, "tokenizer": tokenizer, "model": model}
        settings = {"steps": 8, "batch_size": 8, "device": "cpu", "seed": 3, **settings}
        return run_stage(LanguageModel, inputs, **settings)

    return go_on


def test_training_goes_on_where_the_model_stands(go_on, trained, tokens, train):
    ran = go_on(learning_rate=1e-3)
    first = ran.rows("history")[0]["value"]
    assert first < 0.6 * train(steps=1).rows("history")[0]["value"]
    assert first == pytest.approx(trained.context.curves["loss"][-1][1], rel=0.35)
    assert ran.context.metrics["parameters"] == trained.context.metrics["parameters"]
    assert files(ran).keys() == files(trained).keys()
    assert files(ran)["model.safetensors"] != files(trained)["model.safetensors"]


def test_the_model_that_was_given_stays_as_it_was(go_on, trained):
    before = files(trained)
    go_on()
    assert files(trained) == before


def test_going_on_twice_gives_the_same_bytes(go_on):
    assert same(go_on(), go_on())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 32}, "hidden_size is 32, but the model to go on from has 16"),
        ({"layers": 3}, "layers is 3, but the model to go on from has 1"),
        ({"kv_heads": 1}, "kv_heads is 1, but the model to go on from has 2"),
    ],
)
def test_another_shape_than_the_models_is_refused(go_on, settings, message):
    with pytest.raises(ValueError, match=message):
        go_on(**settings)


def test_the_shape_that_the_model_has_may_be_said(go_on):
    assert same(go_on(hidden_size=16, layers=1, heads=2), go_on())


def test_sequences_beyond_the_models_context_are_refused(go_on, run_stage, sayings, tokenizer):
    from stages.tokenizer import Encode

    inputs = {"documents": sayings, "tokenizer": tokenizer}
    long = run_stage(Encode, inputs, sequence_length=40)["tokens"]
    with pytest.raises(ValueError, match=r"sequences have 40 tokens.*sees 16"):
        go_on(long)


# --- what the model sees, and what is wrong -------------------------------------------------------


def with_column(tokens, name, values, kind):
    """The same rows with another column."""
    table = tokens.table().append_column(name, pa.array(values, pa.list_(kind)))
    return type(tokens)("tokens", [table])


def test_a_mask_behind_the_vocabulary_gets_a_row_and_is_never_generated(
    run_stage, tokens, tokenizer, tiny_model
):
    from transformers import AutoModelForCausalLM

    from stages.tokenizer_files import load_tokenizer

    mask = len(load_tokenizer(tokenizer).tokens)
    seen = [
        [mask if place % 5 == 2 else token for place, token in enumerate(row)]
        for row in tokens.table().column("tokens").to_pylist()
    ]
    masked = with_column(tokens, "inputs", seen, pa.int32())
    settings = {**tiny_model, "steps": 4}
    ran = run_stage(LanguageModel, {"tokens": masked, "tokenizer": tokenizer}, **settings)
    model = AutoModelForCausalLM.from_pretrained(str(ran["model"].folder()))
    assert model.config.vocab_size == mask + 1
    assert model.generation_config.suppress_tokens == [mask]
    # A model that was trained without masks gets the row when it goes on with them.
    plain = run_stage(LanguageModel, {"tokens": tokens, "tokenizer": tokenizer}, **settings)
    given = {"tokens": masked, "tokenizer": tokenizer, "model": plain["model"]}
    on = run_stage(LanguageModel, given, **{**settings, "hidden_size": 16})
    model = AutoModelForCausalLM.from_pretrained(str(on["model"].folder()))
    assert model.config.vocab_size == mask + 1


def test_rows_with_all_labels_masked_are_named(run_stage, tokens, tokenizer, tiny_model):
    scored = [[row != 3] * 16 for row in range(tokens.rows)]
    given = {"tokens": with_column(tokens, "scored", scored, pa.bool_()), "tokenizer": tokenizer}
    with pytest.raises(ValueError, match=r"row 3 has no scored token.*all its labels are masked"):
        run_stage(LanguageModel, given, **tiny_model)


def test_sequences_of_different_lengths_may_be_padded(run_stage, artifact, tokenizer, tiny_model):
    rows = [{"id": f"d:{n}", "tokens": list(range(3, 3 + n)), "documents": ["d"], "starts": [0],
             "edits": []} for n in (4, 5, 9)]  # fmt: skip
    given = {"tokens": artifact("tokens", rows), "tokenizer": tokenizer}
    ran = run_stage(
        LanguageModel, given, **{**tiny_model, "steps": 3, "batch_size": 3, "pad": True}
    )
    assert ran.context.metrics["tokens_seen"] == 3 * (3 + 4 + 8)
