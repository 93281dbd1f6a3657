"""Going on with new data: what is replayed, what is re-warmed, and what is told of the old."""

import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from stages.training import LanguageModel

LENGTH = 25
NEW, OLD = 200, 201  # begin each sequence


@pytest.fixture(scope="module")
def rows(artifact):
    """`rows(n, mark, step)` -> n sequences of 25 tokens: a mark, and ten ids going round by step."""

    def make(count, mark, step):
        return artifact(
            "tokens",
            [
                {"id": f"{mark}:{n}", "documents": ["d"], "starts": [0], "edits": [],
                 "tokens": [mark, *(100 + (n + step * k) % 10 for k in range(LENGTH - 1))]}
                for n in range(count)
            ],
        )  # fmt: skip

    return make


@pytest.fixture(scope="module")
def new(rows):
    return rows(40, NEW, 7)


@pytest.fixture(scope="module")
def old(rows):
    """The same ids in another order: what is learnt of the one is wrong of the other."""
    return rows(24, OLD, 1)


@pytest.fixture(scope="module")
def before(run_stage, old, tokenizer):
    """A tiny model of the old data."""
    settings = {"steps": 30, "batch_size": 8, "hidden_size": 16, "layers": 1, "heads": 2,
                "warmup_steps": 4, "learning_rate": 2e-2, "device": "cpu", "seed": 3}  # fmt: skip
    return run_stage(LanguageModel, {"tokens": old, "tokenizer": tokenizer}, **settings)["model"]


@pytest.fixture
def go_on(run_stage, before, new, tokenizer):
    """`go_on(share, ...)`: ten steps of 100 tokens; further inputs by name."""

    def go_on(inputs=None, **settings):
        given = {"tokens": new, "tokenizer": tokenizer, "model": before, **(inputs or {})}
        settings = {"steps": 10, "batch_size": 4, "warmup_steps": 2, "learning_rate": 1e-2,
                    "device": "cpu", "seed": 3, **settings}  # fmt: skip
        return run_stage(LanguageModel, given, **settings)

    return go_on


def files(ran):
    return {path.name: path.read_bytes() for path in ran["model"].folder().iterdir()}


def told(ran, metric):
    return {int(r["id"]): r["value"] for r in ran.rows("history") if r["metric"] == metric}


@pytest.fixture
def seen():
    """Tokens of new and of old sequences that a model was trained on, as its embedding saw them."""
    counts = {"new": 0, "old": 0}

    def count(module, args):
        if isinstance(module, torch.nn.Embedding) and torch.is_grad_enabled():
            for sequence in args[0].reshape(-1, args[0].shape[-1]).tolist():
                counts["new" if sequence[0] == NEW else "old"] += LENGTH

    hook = register_module_forward_pre_hook(count)
    yield counts
    hook.remove()


# --- replay ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.25, {"new": 750, "old": 250}), (0.05, {"new": 950, "old": 50}),
     (0.0, {"new": 1000, "old": 0})],
)  # fmt: skip
def test_what_is_replayed_is_taken_out_of_a_budget_of_a_thousand_tokens(
    go_on, old, seen, share, expected
):
    ran = go_on({"replay": old}, replay_share=share)
    assert seen == expected
    assert ran.context.metrics["tokens_seen"] == 10 * 4 * (LENGTH - 1)


def test_the_control_without_replay_sees_a_thousand_new_tokens(go_on, seen):
    go_on()
    assert seen == {"new": 1000, "old": 0}


def test_replay_of_nothing_is_training_without_replay_to_the_bit(go_on, old):
    replayed, plain = go_on({"replay": old}, replay_share=0), go_on()
    assert files(replayed) == files(plain)
    assert replayed.rows("history") == plain.rows("history")


def test_replay_changes_the_model_and_a_little_is_not_nothing(go_on, old):
    models = [
        files(go_on({"replay": old}, replay_share=share))["model.safetensors"]
        for share in (0, 0.05, 0.25)
    ]
    assert len(set(models)) == 3


def test_replay_is_the_same_on_every_run(go_on, old):
    runs = [go_on({"replay": old}, replay_share=0.25) for _ in range(2)]
    assert files(runs[0]) == files(runs[1])
    assert runs[0].rows("history") == runs[1].rows("history")


# --- what is told of old and new ------------------------------------------------------------------


@pytest.fixture
def validation(old, new):
    return {"validation": new, "old_validation": old}


def test_both_losses_are_told_from_before_the_switch_to_the_last_step(go_on, validation):
    ran = go_on(validation, validate_every=4)
    for metric in ("validation_loss", "old_validation_loss"):
        assert list(told(ran, metric)) == [0, 4, 8, 10]
        assert [step for step, _ in ran.context.curves[metric]] == [4, 8, 10]


def test_the_first_old_loss_is_that_of_the_model_gone_on_from(go_on, validation, before, old):
    from operators.modeling import load_model

    ids = torch.tensor(old.table().column("tokens").to_pylist())
    with torch.no_grad():
        loss = float(load_model(str(before.folder()), device="cpu")(input_ids=ids, labels=ids).loss)
    assert told(go_on(validation), "old_validation_loss")[0] == pytest.approx(loss, rel=1e-5)


def test_only_the_loss_that_is_wired_is_told(go_on, old):
    ran = go_on({"old_validation": old}, validate_every=5)
    assert list(told(ran, "old_validation_loss")) == [0, 5, 10]
    assert not told(ran, "validation_loss")


def test_looking_at_the_losses_changes_nothing(go_on, validation):
    assert files(go_on(validation, validate_every=1)) == files(go_on())


def test_without_replay_the_old_data_is_forgotten_and_with_it_less(go_on, old, validation):
    settings = {"steps": 40, "validate_every": 10, "warmup_steps": 4, "learning_rate": 2e-2}
    plain = told(go_on(validation, **settings), "old_validation_loss")
    replayed = told(
        go_on({**validation, "replay": old}, replay_share=0.25, **settings), "old_validation_loss"
    )
    assert plain[0] == replayed[0]
    assert plain[40] > plain[0] + 1
    assert replayed[40] < plain[40] - 1


# --- the learning rate ----------------------------------------------------------------------------


def rates(ran):
    return dict(ran.context.curves["learning_rate"])


def test_going_on_warms_up_to_the_peak_again_and_decays_to_a_tenth(go_on):
    found = rates(go_on(log_every=1))
    assert found[1] == pytest.approx(5e-3)
    assert found[2] == max(found.values()) == pytest.approx(1e-2)
    assert found[10] == pytest.approx(1e-3)


def test_without_re_warming_the_rate_is_held_where_it_ended(go_on):
    held = go_on(log_every=1, schedule="constant", warmup_steps=0, learning_rate=1e-3)
    assert set(rates(held).values()) == {1e-3}
