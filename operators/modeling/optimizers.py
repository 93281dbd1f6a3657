"""AdamW over the parameters that are trained: in one piece, sharded, or in pure bfloat16."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from operators.modeling.precision import StochasticAdamW
from operators.modeling.ranks import Ranks
from operators.modeling.recipe import TrainingRecipe

# The state of an optimiser over sharded weights that has made no step.
_FRESH: Mapping[str, Any] = {"fresh": True}


class Optimizer:
    """What changes the weights, and how model and optimiser are taken down and put back.

    Attributes:
        parameters: those that are trained, in the order of the model.
        sharded: whether they lie over the workers (FSDP2), which then also add up the gradients.
    """

    def __init__(self, module: torch.nn.Module, recipe: TrainingRecipe, ranks: Ranks) -> None:
        """Shard the module, where the recipe says so, and make the optimiser."""
        self.sharded = recipe.sharded
        if recipe.sharded:
            _shard(module, ranks)
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        groups = [
            {
                "params": [p for p in self.parameters if p.ndim > 1],
                "weight_decay": recipe.weight_decay,
            },
            {"params": [p for p in self.parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        settings: dict[str, Any] = {"lr": recipe.learning_rate, "betas": recipe.betas}
        self._optimizer: torch.optim.Optimizer = (
            StochasticAdamW(groups, **settings, seed=recipe.seed)
            if recipe.precision == "pure_bfloat16"
            else torch.optim.AdamW(groups, **settings, fused=True)
        )

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self._optimizer.zero_grad(set_to_none=True)

    def clip(self, largest: float) -> float:
        """Scale the gradients down to a global norm; returns the norm before."""
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, largest)
        return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)

    def step(self, learning_rate: float) -> None:
        """Change the weights."""
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._optimizer.step()

    def state(self, module: torch.nn.Module) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
        """Copies of the state of the module and of the optimiser, whole, on the CPU."""
        if self.sharded:
            return self._whole_state(module)
        return _copied(module.state_dict()), _copied(self._optimizer.state_dict())

    def restore(
        self,
        module: torch.nn.Module,
        weights: Mapping[str, Tensor],
        optimizer: Mapping[str, Any],
    ) -> None:
        """Put back what `state` gave."""
        if self.sharded:
            self._restore_parts(module, weights, optimizer)
            return
        module.load_state_dict(dict(weights))
        # It keeps the tensors that it is given.
        self._optimizer.load_state_dict(_copied(dict(optimizer)))

    def _whole_state(
        self, module: torch.nn.Module
    ) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
        """What lies over the ranks, put together on rank 0; others have nothing of it."""
        from torch.distributed.checkpoint.state_dict import (
            StateDictOptions,
            get_model_state_dict,
            get_optimizer_state_dict,
        )

        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        weights: Any = get_model_state_dict(module, options=options)
        if not self._optimizer.state:
            # To give a state, torch would make a first step, which the next would count.
            return weights, dict(_FRESH)
        optimizer: Any = get_optimizer_state_dict(module, self._optimizer, options=options)
        return weights, optimizer

    def _restore_parts(
        self,
        module: torch.nn.Module,
        weights: Mapping[str, Tensor],
        optimizer: Mapping[str, Any],
    ) -> None:
        """Give each rank its part of what rank 0 has."""
        from torch.distributed.checkpoint.state_dict import (
            StateDictOptions,
            set_model_state_dict,
            set_optimizer_state_dict,
        )

        options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
        set_model_state_dict(module, dict(weights), options=options)
        self._optimizer.state.clear()
        if optimizer != _FRESH:
            set_optimizer_state_dict(module, self._optimizer, dict(optimizer), options=options)


def _shard(module: torch.nn.Module, ranks: Ranks) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    if ranks.size == 1:
        raise ValueError("weights can be sharded over two workers or more: set workers")
    kind = next(module.parameters()).device.type
    mesh = init_device_mesh(kind, (ranks.size,))
    for block in _blocks(module):
        fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh)


def _blocks(module: torch.nn.Module) -> list[torch.nn.Module]:
    """The layers of a model: what stands in its longest list of modules."""
    lists = [list(m) for m in module.modules() if isinstance(m, torch.nn.ModuleList)]
    return max(lists, key=len, default=[])


def _copied(value: Any) -> Any:
    """A copy of nested values, tensors on the CPU."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {name: _copied(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(each) for each in value]
    return value
