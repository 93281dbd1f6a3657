"""training.language_model with its switches: each runs, gives the same bytes twice, and bends the
training only where it says so."""

import math

import numpy as np
import pyarrow as pa
import pytest
import torch

from operators.modeling import load_model, token_losses
from operators.modeling.spikes import judge_step
from stages.editing_characters import EXAMPLES
from stages.tokenizer import Encode
from stages.tokenizer_examples import Examples
from stages.tokenizer_files import load_tokenizer
from stages.training import LanguageModel, _Watch

STEPS = 6
SHARDED = {"sharded_over": 2, "micro_batch_size": 4}
ANSWERS = {"cat": "meow", "dog": "woof", "hen": "cluck", "fox": "yelp", "owl": "hoot", "cow": "moo"}


@pytest.fixture(scope="session")
def lessons(run_stage, artifact, tokenizer):
    """Six examples: which animal says what."""
    made = artifact("documents", [])
    rows = [
        {"id": animal, "text": "", "language": "eng_Latn", "source": "", "group": None, "edits": [],
         "instruction": "Now what does it say, this", "input": f"{animal} ?", "target": answer}
        for animal, answer in ANSWERS.items()
    ]  # fmt: skip
    made.shards = [pa.Table.from_pylist(rows, EXAMPLES)]
    inputs = {"documents": made, "tokenizer": tokenizer}
    return run_stage(Examples, inputs, template="{instruction} {input}")["tokens"]


@pytest.fixture(scope="session")
def train(run_stage, tokens, tokenizer, tiny_model):
    def train(given=tokens, *, more=None, checkpoints=None, **settings):
        inputs = {"tokens": given, "tokenizer": tokenizer, **(more or {})}
        fast = {**tiny_model, "steps": STEPS, "weighting_warmup_steps": 0}
        return run_stage(LanguageModel, inputs, checkpoints=checkpoints, **{**fast, **settings})

    return train


@pytest.fixture(scope="session")
def plain(train):
    return train()


@pytest.fixture(scope="session")
def deep(train):
    """Without a switch, of four layers: for what works on those in the middle."""
    return train(layers=4)


def files(ran):
    return {path.name: path.read_bytes() for path in ran["model"].folder().iterdir()}


def same(one, other):
    return files(one) == files(other) and one.rows("history") == other.rows("history")


def losses(ran, name="loss"):
    return [row["value"] for row in ran.rows("history") if row["metric"] == name]


def losses_by_token(ran, rows):
    """Of each row, in nats."""
    model = load_model(ran["model"].folder(), "cpu")
    with torch.no_grad():
        return [
            token_losses(model(input_ids=ids).logits, ids)[0].numpy()
            for row in rows
            for ids in [torch.tensor([row["tokens"]])]
        ]


# --- supervised fine-tuning -----------------------------------------------------------------------


def test_a_model_learns_the_answers_and_not_what_is_asked(train, lessons, tokenizer):
    ran = train(lessons, steps=80, batch_size=6, learning_rate=3e-2)
    rows = lessons.table().to_pylist()
    of_prompts, of_answers = [], []
    for row, found in zip(rows, losses_by_token(ran, rows), strict=True):
        scored = np.array(row["scored"])
        of_answers += found[scored].tolist()
        of_prompts += found[~scored][1:].tolist()
    assert max(of_answers) < 0.5
    assert np.mean(of_prompts) > 0.8 * math.log(300), "all prompts begin alike, and were not learnt"
    assert ran.context.metrics["tokens_seen"] == 80 * sum(sum(row["scored"]) for row in rows)

    model = load_model(ran["model"].folder(), "cpu")
    text_of = load_tokenizer(tokenizer)
    for row in rows:
        prompt = [t for t, scored in zip(row["tokens"], row["scored"], strict=True) if not scored]
        made = model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=12)
        answer = made[0, len(prompt) :].tolist()
        assert text_of.decode(answer) == f"{ANSWERS[row['id']]}<|endoftext|>"


def test_examples_may_go_on_from_a_model(train, run_stage, lessons, sayings, tokenizer):
    given = run_stage(Encode, {"documents": sayings, "tokenizer": tokenizer}, sequence_length=64)
    before = train(given["tokens"], steps=2)
    ran = train(lessons, more={"model": before["model"]}, steps=3, batch_size=3)
    assert losses(ran)[0] > 0
    assert files(ran)["model.safetensors"] != files(before)["model.safetensors"]


def test_selecting_all_tokens_is_training_on_them_all_to_the_bit(train, lessons):
    everything = train(lessons, reduction="tokens", batch_size=6)
    for selection in ("sstoken", "focal"):
        gamma = {"selection_gamma": 0.0} if selection == "focal" else {}
        chosen = train(
            lessons,
            reduction="tokens",
            batch_size=6,
            selection=selection,
            selection_share=1,
            **gamma,
        )
        assert same(chosen, everything), selection


def test_selecting_some_tokens_says_how_many(train, lessons):
    ran = train(lessons, batch_size=6, selection="sstoken", selection_share=0.5)
    share = ran.context.metrics["selected_share"]
    assert 0.5 <= share < 0.8  # half of each answer, rounded up
    assert not same(ran, train(lessons, reduction="tokens", batch_size=6))


# --- switches: they run, again, and do something --------------------------------------------------

SWITCHES = {
    "emo": {"objective": "emo"},
    "gradient_gating": {"objective": "gradient_gating"},
    "documents_apart": {"documents_apart": True},
    "adapters": {"lora_rank": 2},
    "bfloat16": {"precision": "bfloat16"},
    "pure_bfloat16": {"precision": "pure_bfloat16"},
    "rank": {"selection": "rank"},
    "wsd": {"schedule": "wsd", "decay_steps": 2},
}
DEEP = {
    "future_tokens": {"future_tokens": 2},
    "dropped_tokens": {"ltd_min_tokens": 4, "ltd_steps": 4, "ltd_increment": 4},
}


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_switch_is_reproducible_and_changes_the_model(train, plain, switch):
    one, other = train(**SWITCHES[switch]), train(**SWITCHES[switch])
    assert same(one, other)
    assert files(one)["model.safetensors"] != files(plain)["model.safetensors"]
    assert losses(one)[-1] < losses(one)[0]
    assert files(one).keys() == files(plain).keys()


@pytest.mark.parametrize("switch", DEEP)
def test_a_switch_of_deep_models_is_reproducible_and_changes_the_model(train, deep, switch):
    settings = {"layers": 4, **DEEP[switch]}
    one, other = train(**settings), train(**settings)
    assert same(one, other)
    assert files(one)["model.safetensors"] != files(deep)["model.safetensors"]
    assert files(one).keys() == files(deep).keys()
    assert one.context.metrics["parameters"] == deep.context.metrics["parameters"]


def test_a_number_is_punished_by_how_far_it_is_off(train, run_stage, documents):
    from stages.tokenizer import Train

    counting = documents({"a": " ".join(str(n) for n in range(200))})
    digits = run_stage(Train, {"documents": counting}, vocab_size=280)["tokenizer"]
    given = run_stage(Encode, {"documents": counting, "tokenizer": digits}, sequence_length=16)
    settings = {"more": {"tokenizer": digits}, "batch_size": 4, "objective": "number_tokens"}
    one = train(given["tokens"], **settings)
    assert same(one, train(given["tokens"], **settings))
    assert all(
        minimised > plain
        for plain, minimised in zip(losses(one), losses(one, "weighted_loss"), strict=True)
    )
    nothing = train(given["tokens"], **settings, objective_weight=0)
    plain = train(given["tokens"], more={"tokenizer": digits}, batch_size=4)
    assert same(nothing, plain)


def test_adapters_with_no_room_to_learn_leave_the_model_as_it_was(train, trained):
    """What is merged at the end is the model given and the adapters: near a rate of 0 the first."""
    ran = train(more={"model": trained["model"]}, lora_rank=2, learning_rate=1e-12, steps=2)
    before = load_model(trained["model"].folder(), "cpu").state_dict()
    after = load_model(ran["model"].folder(), "cpu").state_dict()
    assert before.keys() == after.keys()
    assert all(torch.allclose(before[name], after[name], atol=1e-8) for name in before)


def test_the_model_of_pure_bfloat16_is_saved_as_it_was_trained(train):
    folder = train(precision="pure_bfloat16", steps=2)["model"].folder()
    kinds = {tensor.dtype for tensor in load_model(folder, "cpu").state_dict().values()}
    assert kinds == {torch.bfloat16}


# --- switches that change no bit ------------------------------------------------------------------


def test_activations_computed_anew_give_the_same_bytes(train, plain):
    assert same(train(activation_checkpointing=True), plain)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"weighting": "linupper"},
        {"selection": "sstoken", "selection_share": 0.5},
        {"objective": "gradient_gating"},
    ],
    ids=["plain", "weighted", "selected", "gated"],
)
def test_two_workers_give_the_bytes_of_one(train, settings):
    settings = {**settings, "micro_batch_size": 2}
    assert same(train(**settings, workers=2), train(**settings))


def test_weights_sharded_over_two_workers_learn_the_same(train, plain, tokens):
    one = train(**SHARDED, more={"validation": tokens})
    assert losses(one) == pytest.approx(losses(plain), rel=1e-4)
    assert losses(one, "validation_loss")[-1] < losses(one, "validation_loss")[0]
    weights, expected = (
        load_model(ran["model"].folder(), "cpu").state_dict() for ran in (one, plain)
    )
    assert all(torch.allclose(weights[n], expected[n], rtol=1e-2, atol=1e-3) for n in expected)


def test_sharded_weights_can_be_pure_bfloat16(train):
    one = train(**SHARDED, precision="pure_bfloat16")
    assert same(one, train(**SHARDED, precision="pure_bfloat16"))
    assert losses(one) == pytest.approx(losses(train(precision="pure_bfloat16")), rel=2e-2)


def test_sharded_weights_go_back_behind_a_spike_as_whole_ones_do(train, monkeypatch):
    """Back to before the first step, where the optimiser has no state; the batch is left out."""

    def third_batch_is_bad(rule, state, batch, loss, norm):
        return judge_step(rule, state, batch, math.inf if batch == 3 else loss, norm)

    monkeypatch.setattr("operators.modeling.training.judge_step", third_batch_is_bad)
    sharded, whole = (train(**given, on_spike="roll_back") for given in (SHARDED, {}))
    assert sharded.context.metrics["rolled_back"] == whole.context.metrics["rolled_back"] == 1
    assert losses(sharded) == pytest.approx(losses(whole), rel=1e-4)


# --- after an exception in the middle -------------------------------------------------------------


class _Fails(Exception):
    pass


@pytest.mark.parametrize(
    "settings",
    [
        {"weighting": "linupper", "micro_batch_size": 4},
        {"selection": "sstoken", "selection_share": 0.5, "history_decay": 0.5},
        {"objective": "gradient_gating"},
        {"lora_rank": 2},
        {"layers": 4, "future_tokens": 2, "ltd_min_tokens": 4, "ltd_steps": 4, "ltd_increment": 4},
        {"precision": "pure_bfloat16"},
        {"on_spike": "roll_back"},
        SHARDED,
    ],
    ids=[
        "weighted",
        "selected",
        "gated",
        "adapters",
        "deep",
        "pure_bfloat16",
        "roll_back",
        "sharded",
    ],
)
def test_a_run_that_goes_on_gives_the_bytes_of_one_that_was_not_disturbed(
    train, tokens, checkpoints, monkeypatch, settings
):
    more = {"validation": tokens}
    settings = {**settings, "checkpoint_every": 2, "validate_every": 2, "more": more}
    undisturbed = train(**settings)
    see = _Watch.see

    def fail_at_step_5(watch, report):
        if report.step == 5:
            raise _Fails
        see(watch, report)

    monkeypatch.setattr(_Watch, "see", fail_at_step_5)
    with pytest.raises(_Fails):
        train(**settings, checkpoints=checkpoints)
    monkeypatch.undo()
    assert checkpoints.steps == [2, 4]
    again = train(**settings, checkpoints=checkpoints)
    assert same(again, undisturbed)
    assert again.context.curves["loss"] == undisturbed.context.curves["loss"]
    assert checkpoints.steps == [4, 6]


def test_what_two_workers_began_one_ends_to_the_same_bytes(train, checkpoints, monkeypatch):
    settings = {"micro_batch_size": 2, "checkpoint_every": 2}
    see = _Watch.see

    def fail_at_step_3(watch, report):
        if report.step == 3:
            raise _Fails
        see(watch, report)

    monkeypatch.setattr(_Watch, "see", fail_at_step_3)
    with pytest.raises(_Fails):
        train(**settings, workers=2, checkpoints=checkpoints)
    monkeypatch.undo()
    assert checkpoints.steps == [2]
    again = train(**settings, checkpoints=checkpoints)
    assert again.context.metrics["resumed_from_workers"] == 2
    assert same(again, train(**settings))
