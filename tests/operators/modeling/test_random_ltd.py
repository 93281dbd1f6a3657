"""Middle layers see a random, ordered part of the tokens, and nothing leaks or moves."""

import copy

import pytest
import torch

from operators.modeling.architecture import LlamaShape, build_llama
from operators.modeling.document_masks import packed_documents
from operators.modeling.random_ltd import KeptTokens, layer_tokens, random_layer_token_dropping

VOCABULARY, BATCH, LENGTH = 11, 3, 12


@pytest.fixture(scope="module")
def model():
    shape = LlamaShape(
        hidden_size=16, layers=4, heads=4, kv_heads=2, intermediate_size=24, context_length=32
    )
    built = build_llama(shape, VOCABULARY, bos_token_id=None, eos_token_id=None, seed=1)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.mul_(4.0)
    return built.train()


@pytest.fixture
def input_ids():
    return torch.randint(0, VOCABULARY, (BATCH, LENGTH), generator=torch.Generator().manual_seed(3))


def logits(model, input_ids, **extra):
    return model(input_ids=input_ids, use_cache=False, **extra).logits


def dropped_logits(model, input_ids, kept, seed=0, layers=None, **extra):
    with random_layer_token_dropping(model, layers) as dropping:
        dropping.kept = kept
        dropping.generator.manual_seed(seed)
        result = logits(model, input_ids, **extra)
        return result, dropping


def test_the_schedule_has_the_numbers_of_the_oracle():
    schedule = KeptTokens(minimum=128, maximum=2048, steps=1000, increment=16)
    steps = (0, 1, 10, 100, 500, 1000, 1200)
    expected = [128, 128, 144, 320, 1088, 2048, 2048]
    assert [schedule.after(step) for step in steps] == expected


def test_layer_tokens_are_counted_as_in_the_oracle():
    assert layer_tokens(batch=2, length=2048, kept=128, layers=12, dropping_layers=10) == 10752


@pytest.mark.parametrize(
    "change", [{"minimum": 4}, {"minimum": 33}, {"maximum": 31}, {"steps": 0}, {"increment": 0}]
)
def test_an_impossible_schedule_is_named(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        KeptTokens(**{"minimum": 8, "maximum": 32, "steps": 10, "increment": 8} | change)
    with pytest.raises(ValueError, match="steps_done"):
        KeptTokens(minimum=8, maximum=32, steps=10).after(-1)


@pytest.mark.parametrize("kept", [None, LENGTH, LENGTH + 5])
def test_with_all_tokens_kept_the_outputs_are_those_of_the_plain_model_to_the_bit(
    model, input_ids, kept
):
    plain = logits(model, input_ids)
    result, dropping = dropped_logits(model, input_ids, kept)
    assert torch.equal(result, plain)
    assert dropping.layer_tokens == 4 * BATCH * LENGTH


def test_the_gathered_path_with_every_position_is_the_plain_model_to_the_bit(model, input_ids):
    plain = logits(model, input_ids)
    documents = packed_documents([[0, 5], [0], [0, 3]], LENGTH)
    packed = {
        "position_ids": documents.positions,
        "attention_mask": documents.attention_mask(),
    }
    plain_packed = logits(model, input_ids, **packed)
    everything = torch.arange(LENGTH).expand(BATCH, -1)
    with random_layer_token_dropping(model) as dropping:
        # Drawing all positions would take the short way; so nothing is drawn.
        model.model._forward_pre_hooks.clear()
        dropping._positions = {1: everything, 2: everything}
        assert torch.equal(logits(model, input_ids), plain)
        assert torch.equal(logits(model, input_ids, **packed), plain_packed)


def reference(model, input_ids, positions, mask=None, position_ids=None):
    """The method once more, written out for one sequence at a time."""
    trunk = model.model
    rows = []
    for row in range(input_ids.shape[0]):
        hidden = trunk.embed_tokens(input_ids[row : row + 1])
        places = torch.arange(LENGTH) if position_ids is None else position_ids[row]
        allowed = torch.ones(LENGTH, LENGTH).tril().bool() if mask is None else mask[row, 0]
        for number, layer in enumerate(trunk.layers):
            kept = positions[number][row] if number in positions else torch.arange(LENGTH)
            rotary = trunk.rotary_emb(hidden, position_ids=places[kept][None])
            output = layer(
                hidden[:, kept],
                attention_mask=allowed[kept][:, kept][None, None],
                position_embeddings=rotary,
            )
            hidden = hidden.clone()
            hidden[:, kept] = output
        rows.append(model.lm_head(trunk.norm(hidden)))
    return torch.cat(rows)


@pytest.mark.parametrize("packed", [False, True])
def test_each_layer_works_on_its_own_positions_with_their_original_rotary_places(
    model, input_ids, packed
):
    extra = {}
    if packed:
        documents = packed_documents([[0, 5], [0], [0, 3]], LENGTH)
        extra = {
            "position_ids": documents.positions,
            "attention_mask": documents.attention_mask(),
        }
    result, dropping = dropped_logits(model, input_ids, 5, **extra)
    positions = dropping._positions
    assert sorted(positions) == [1, 2]
    assert dropping.layer_tokens == BATCH * (2 * 5 + 2 * LENGTH)
    for chosen in positions.values():
        assert chosen.shape == (BATCH, 5)
        assert (chosen.diff(dim=-1) > 0).all()
    assert not torch.equal(positions[1], positions[2])
    expected = reference(
        model, input_ids, positions, extra.get("attention_mask"), extra.get("position_ids")
    )
    assert torch.allclose(result, expected, atol=1e-5)
    assert not torch.allclose(result, logits(model, input_ids, **extra), atol=1e-2)


def test_no_later_token_leaks_into_an_earlier_one(model, input_ids):
    changed = input_ids.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % VOCABULARY
    before, _ = dropped_logits(model, input_ids, 6)
    after, _ = dropped_logits(model, changed, 6)
    assert torch.allclose(before[:, :7], after[:, :7], atol=1e-6)
    assert not torch.allclose(before[:, 7:], after[:, 7:], atol=1e-2)


def test_every_position_is_kept_about_as_often(model):
    ids = torch.zeros(64, LENGTH, dtype=torch.long)
    with torch.no_grad():
        _, dropping = dropped_logits(model, ids, 6)
    kept = torch.cat(list(dropping._positions.values())).flatten().bincount(minlength=LENGTH)
    assert kept.sum() == 2 * 64 * 6
    assert (kept - 64).abs().max() < 4 * (128 * 0.25) ** 0.5


def test_evaluation_drops_nothing(model, input_ids):
    model.eval()
    try:
        result, _ = dropped_logits(model, input_ids, 2)
        assert torch.equal(result, logits(model, input_ids))
    finally:
        model.train()


def test_the_seed_decides_and_the_global_random_state_is_not_touched(model, input_ids):
    state = torch.random.get_rng_state()
    first, _ = dropped_logits(model, input_ids, 5, seed=4)
    again, _ = dropped_logits(model, input_ids, 5, seed=4)
    other, _ = dropped_logits(model, input_ids, 5, seed=5)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_gradients_are_the_same_with_activation_checkpointing(model, input_ids):
    def gradients(checkpointing):
        one = copy.deepcopy(model)
        if checkpointing:
            one.gradient_checkpointing_enable(
                gradient_checkpointing_kwargs={"use_reentrant": False}
            )
        with random_layer_token_dropping(one) as dropping:
            dropping.kept = 5
            dropping.generator.manual_seed(0)
            logits(one, input_ids).square().sum().backward()
        return [parameter.grad for parameter in one.parameters()]

    for ours, plain in zip(gradients(True), gradients(False), strict=True):
        assert torch.allclose(ours, plain, rtol=1e-4)


def test_afterwards_the_model_is_as_it_was(model, input_ids):
    names = list(model.state_dict())
    plain = logits(model, input_ids)
    with random_layer_token_dropping(model) as dropping:
        dropping.kept = 3
        assert list(model.state_dict()) == names
    assert torch.equal(logits(model, input_ids), plain)


def test_what_cannot_work_is_an_error(model, input_ids):
    with pytest.raises(ValueError, match=r"layers \[9\] of a model that has 4"):  # noqa: SIM117
        with random_layer_token_dropping(model, layers=[9]):
            pass
    with pytest.raises(ValueError, match="Linear has no decoder"):  # noqa: SIM117
        with random_layer_token_dropping(torch.nn.Linear(2, 2)):
            pass
    with random_layer_token_dropping(model) as dropping:
        dropping.kept = 3
        with pytest.raises(ValueError, match="use_cache=False"):
            model(input_ids=input_ids, use_cache=True)
