"""Gradient gating: the gradient is that of the formula, the value is untouched, counts expire."""

import copy

import pytest
import torch

from operators.modeling.gradient_gating import (
    AppearanceCounts,
    gated_logits,
    isotropy,
    rare_token_gates,
)
from operators.modeling.losses import token_losses

# Tokens 1 and 3 are rare; the mean of their rates is 0.015.
RATES = torch.tensor([5.0, 0.01, 2.0, 0.02, 1.0])


def setting(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(2, 4, 3, dtype=dtype, generator=generator, requires_grad=True)
    weight = torch.randn(5, 3, dtype=dtype, generator=generator, requires_grad=True)
    return hidden, weight, torch.tensor([[0, 1, 2, 3], [3, 3, 1, 4]])


def gradients(logits, ids, *of):
    return torch.autograd.grad(token_losses(logits, ids).sum(), of)


def by_the_formula(hidden, weight, ids, gates):
    """``g * W h + (1 - g) * stopgrad(W) h``, row by row and target by target."""
    g = torch.ones(2, 4, 5, dtype=hidden.dtype)
    g1, g2 = {1: 0.01, 3: 0.02}, {1: 0.01 / 0.015, 3: 1.0}
    for i in range(2):
        for j in range(3):
            target = int(ids[i, j + 1])
            for row in (1, 3):
                if row != target:
                    g[i, j, row] = (g2 if target in (1, 3) else g1)[row]
    return g * (hidden @ weight.T) + (1 - g) * (hidden @ weight.detach().T)


def test_the_gates_are_the_rate_and_its_share_of_the_mean_of_the_rare():
    gates = rare_token_gates(RATES, 0.03)
    assert gates.rare.tolist() == [1, 3]
    assert gates.common_target.tolist() == pytest.approx([0.01, 0.02])
    assert gates.rare_target.tolist() == pytest.approx([0.01 / 0.015, 1.0])


def test_a_rate_of_exactly_alpha_is_not_rare():
    assert rare_token_gates(torch.tensor([0.25, 0.2]), 0.25).rare.tolist() == [1]


def test_the_gradient_is_that_of_the_formula():
    hidden, weight, ids = setting()
    gates = rare_token_gates(RATES.double(), 0.03)
    expected = gradients(by_the_formula(hidden, weight, ids, gates), ids, hidden, weight)
    ours = gradients(gated_logits(hidden, weight, ids, gates), ids, hidden, weight)
    for one, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)
    plain = gradients(hidden @ weight.T, ids, hidden, weight)[1]
    assert not torch.allclose(plain[1], ours[1][1], rtol=1e-2)


def test_the_value_and_the_gradient_of_the_hidden_states_are_untouched():
    hidden, weight, ids = setting(torch.float32)
    logits = gated_logits(hidden, weight, ids, rare_token_gates(RATES, 0.03))
    plain = torch.nn.functional.linear(hidden, weight)
    assert torch.equal(logits, plain)
    ours, its = gradients(logits, ids, hidden)[0], gradients(plain, ids, hidden)[0]
    torch.testing.assert_close(ours, its)


def test_without_rare_tokens_the_gradient_is_the_plain_one():
    hidden, weight, ids = setting()
    gates = rare_token_gates(RATES.double(), 0.0)
    ours = gradients(gated_logits(hidden, weight, ids, gates), ids, hidden, weight)
    plain = gradients(torch.nn.functional.linear(hidden, weight), ids, hidden, weight)
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=0)


def test_the_pull_of_a_rare_tokens_own_target_is_untouched():
    hidden, weight, _ = setting()
    ids = torch.tensor([[0, 1], [2, 1]])
    gates = rare_token_gates(RATES.double(), 0.03)
    ours = gradients(gated_logits(hidden[:, :2], weight, ids, gates), ids, weight)[0]
    plain = gradients(hidden[:, :2] @ weight.T, ids, weight)[0]
    torch.testing.assert_close(ours[1], plain[1])
    torch.testing.assert_close(ours[3], plain[3])  # g2 of the more frequent rare token is 1


def test_under_autocast_gradients_come_in_the_dtype_of_the_weights():
    hidden, weight, ids = setting(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        logits = gated_logits(hidden, weight, ids, rare_token_gates(RATES, 0.03))
    assert logits.dtype == torch.bfloat16
    ours = gradients(logits, ids, hidden, weight)
    assert [g.dtype for g in ours] == [torch.float32] * 2
    exact = gradients(gated_logits(hidden, weight, ids, rare_token_gates(RATES, 0.03)), ids, weight)
    torch.testing.assert_close(ours[1], exact[0], rtol=0.1, atol=0.05)


def test_rates_are_appearances_a_step_over_the_last_steps():
    counts = AppearanceCounts(4, memory=2)
    assert counts.rates().tolist() == [0.0] * 4
    counts.update(torch.tensor([[0, 1, 1]]), torch.tensor([[False, True, True]]))
    assert counts.rates().tolist() == [0.0, 2.0, 0.0, 0.0]
    counts.update(torch.tensor([[0, 3, 3]]), torch.tensor([[False, True, False]]))
    assert counts.rates().tolist() == [0.0, 1.0, 0.0, 0.5]
    counts.update(torch.tensor([[2, 2, 2]]), torch.tensor([[True, True, True]]))
    assert counts.rates().tolist() == [0.0, 0.0, 1.5, 0.5]


def test_counts_go_on_from_their_state():
    ids, scored = torch.tensor([[0, 1, 1]]), torch.tensor([[False, True, True]])
    whole = AppearanceCounts(4, memory=2)
    whole.update(ids, scored)
    whole.update(ids + 1, scored)
    resumed = AppearanceCounts(4, memory=2)
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    for counts in (whole, resumed):
        counts.update(ids + 2, scored)
    assert torch.equal(resumed.rates(), whole.rates())


def test_tokens_that_never_appeared_are_not_pushed_at_all():
    gates = rare_token_gates(torch.tensor([1.0, 0.0, 0.0]), 0.03)
    assert gates.common_target.tolist() == gates.rare_target.tolist() == [0.0, 0.0]


def test_isotropy_is_1_for_directions_that_cancel_and_low_for_a_narrow_cone():
    assert isotropy(torch.cat([torch.eye(3), -torch.eye(3)])) == pytest.approx(1.0)
    cone = torch.tensor([[5.0, 0.1, 0.0], [5.0, 0.0, 0.1], [5.0, -0.1, -0.1]])
    assert isotropy(cone) < 0.01


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="memory"):
        AppearanceCounts(4, 0)
    with pytest.raises(ValueError, match="counts of 3 tokens"):
        AppearanceCounts(4, 1).load_state_dict(AppearanceCounts(3, 1).state_dict())
    with pytest.raises(ValueError, match="alpha"):
        rare_token_gates(RATES, 1.5)
    with pytest.raises(ValueError, match="vector"):
        rare_token_gates(RATES.unsqueeze(0))
    hidden, weight, ids = setting()
    with pytest.raises(ValueError, match="do not belong"):
        gated_logits(hidden, weight[:4], ids, rare_token_gates(RATES))
    with pytest.raises(ValueError, match="matrix"):
        isotropy(torch.zeros(0, 3))
