"""AdamW for a model that is bfloat16 through and through, without losing small updates.

A bfloat16 number has 8 significant bits: above 1 the next one is 1.0078125, and rounding to the
nearest makes of 1.0 + 0.003 again 1.0, however often it is added. Updates below 2^-9 of a weight
would all be lost. Rounding up or down by chance, in proportion to the distances, keeps the mean: of
a thousand updates of 0.003 about 384 move the weight, by 0.0078125 each.

The same holds for the running means of the optimiser, which are kept in bfloat16 too: that is where
the memory is saved.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

_LOW_BITS = 16  # bits of a float32 that a bfloat16 does not have


def stochastic_round(values: Tensor, generator: torch.Generator) -> Tensor:
    """Round float32 to one of the two nearest bfloat16 numbers, such that the mean is kept.

    A number that is a bfloat16 stays as it is; what is not finite stays what it is. Values between
    the largest bfloat16 and the largest float32 may become infinite, as in other roundings.

    Args:
        values: float32, any shape.
        generator: on the device of ``values``.

    Raises:
        ValueError: values of another type.
    """
    if values.dtype != torch.float32:
        raise ValueError(f"float32 is rounded to bfloat16, got {values.dtype}")
    noise = torch.randint(
        0, 1 << _LOW_BITS, values.shape, dtype=torch.int32, device=values.device,
        generator=generator,
    )  # fmt: skip
    # The bits of a float, read as an integer, grow with its magnitude: adding noise below the
    # last kept bit carries over in proportion to what is cut off.
    bits = (values.view(torch.int32) + noise) & -(1 << _LOW_BITS)
    # An infinity plus noise would read as NaN.
    return torch.where(values.isfinite(), bits.view(torch.float32), values).to(torch.bfloat16)


class StochasticAdamW(torch.optim.Optimizer):
    """AdamW (Loshchilov and Hutter) that rounds bfloat16 weights and states stochastically.

    Each step is computed in float32, tensor by tensor, and rounded once. Parameters of other types
    are updated as `torch.optim.AdamW` would: with float32 parameters this is that optimiser.

    The random numbers are a function of the seed, the parameter's place and its step, so a run
    that goes on from ``state_dict()`` needs no other state and rounds as if it had not stopped.

    Args:
        parameters: parameters or groups, as for every optimiser.
        lr: learning rate, ``>= 0``.
        betas: averaging factors of the gradient and of its square, in ``[0, 1)``.
        eps: added to the root of the second moment, ``> 0``.
        weight_decay: decoupled; each step takes ``lr * weight_decay`` of the weight.
        seed: of the rounding, ``>= 0``. Ranks that hold the same weights need the same seed.

    Raises:
        ValueError: numbers out of range.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.1,
        seed: int = 0,
    ) -> None:
        if not (lr >= 0 and eps > 0 and weight_decay >= 0 and seed >= 0):
            raise ValueError(
                f"lr, weight_decay and seed must be >= 0 and eps > 0, got {lr}, {weight_decay}, "
                f"{seed} and {eps}"
            )
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas must be in [0, 1), got {betas}")
        self.seed = seed
        self._generators: dict[torch.device, torch.Generator] = {}
        super().__init__(
            parameters, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        ordinal = 0
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, _local(parameter.grad), group, ordinal)
                ordinal += 1
        return loss

    def _update(
        self, parameter: Tensor, gradient: Tensor, group: dict[str, Any], ordinal: int
    ) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        step: int = state["step"]
        first, second = group["betas"]
        weight, kept_mean, kept_square = (
            _local(tensor) for tensor in (parameter, state["exp_avg"], state["exp_avg_sq"])
        )
        wide = torch.float32 if weight.dtype == torch.bfloat16 else weight.dtype
        gradient = gradient.to(wide)
        mean = kept_mean.to(wide).lerp(gradient, 1 - first)
        square = kept_square.to(wide).mul(second).addcmul(gradient, gradient, value=1 - second)
        scale = square.sqrt().div_(math.sqrt(1 - second**step)).add_(group["eps"])
        value = weight.to(wide).mul(1 - group["lr"] * group["weight_decay"])
        value.addcdiv_(mean, scale, value=-group["lr"] / (1 - first**step))
        results = ((weight, value), (kept_mean, mean), (kept_square, square))
        if weight.dtype != torch.bfloat16:
            for kept, result in results:
                kept.copy_(result)
            return
        generator = self._seeded(weight.device, ordinal, step)
        for kept, result in results:
            kept.copy_(stochastic_round(result, generator))

    def _seeded(self, device: torch.device, ordinal: int, step: int) -> torch.Generator:
        generator = self._generators.get(device)
        if generator is None:
            generator = self._generators[device] = torch.Generator(device)
        words = np.random.SeedSequence([self.seed, ordinal, step]).generate_state(1, np.uint64)
        # Torch takes the seed as a signed number.
        generator.manual_seed(int(words[0] >> np.uint64(1)))
        return generator


def _local(tensor: Tensor) -> Tensor:
    """This rank's part of a tensor that lies over several; else the tensor itself."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
