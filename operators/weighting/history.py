"""The history model of ssToken, kept as a moving average of the parameters of the one in training.

Where the history is the model from before the training, nothing need be kept: its losses are
computed once and stored with the data (the stage `weighting.reference_losses`).

Source: Qin et al. 2026, "ssToken" (arXiv 2510.18250).
"""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class ParameterHistory:
    """``history = decay * history + (1 - decay) * parameters``, in a model of its own.

    The average lives in a second module, so a forward pass of it neither swaps nor touches the
    weights that are trained; it costs their memory once more. Parameters in half precision are
    averaged in float32, where small steps would be lost in rounding, and rounded into the module.
    Parameters that a model uses twice (tied embeddings) are averaged once. What is not trained
    (buffers, frozen parameters) follows too, buffers by copy.

    Attributes:
        model: the history, in evaluation mode and without gradients; call it as the other is
            called, under ``torch.no_grad()`` or not.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """
        Args:
            model: the model in training, not wrapped for distribution; the history begins as a
                copy of it, on the same device.
            decay: in ``[0, 1]``; 0 is always the model itself, 1 is for ever the first one.

        Raises:
            ValueError: a decay out of range.
        """
        if not 0 <= decay <= 1:
            raise ValueError(f"decay must be >= 0 and <= 1, got {decay}")
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._averages = [
            p.detach().float() if p.dtype in (torch.float16, torch.bfloat16) else p.detach()
            for p in self.model.parameters()
        ]

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take the weights of one more step into the average.

        Raises:
            ValueError: a model with other parameters than the first one.
        """
        theirs = [parameter.detach() for parameter in model.parameters()]
        if [p.shape for p in theirs] != [average.shape for average in self._averages]:
            raise ValueError("the model has other parameters than the history was made of")
        for average, now in zip(self._averages, theirs, strict=True):
            average.lerp_(now.to(average), 1 - self.decay)
        self._round_into_model()
        for kept, buffer in zip(self.model.buffers(), model.buffers(), strict=True):
            kept.copy_(buffer)

    def state_dict(self) -> dict[str, Tensor]:
        """All that a checkpoint must hold for the average to go on exactly."""
        averages = {str(index): average for index, average in enumerate(self._averages)}
        buffers = {f"buffer {name}": buffer for name, buffer in self.model.named_buffers()}
        return averages | buffers

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state_dict` gave.

        Raises:
            ValueError: the state of another model.
        """
        own = self.state_dict()
        if {name: t.shape for name, t in own.items()} != {n: t.shape for n, t in state.items()}:
            raise ValueError("the state is of another model than this history")
        for name, tensor in own.items():
            tensor.copy_(state[name])
        self._round_into_model()

    def _round_into_model(self) -> None:
        """Where a parameter is its own average, in full precision, there is nothing to do."""
        for average, parameter in zip(self._averages, self.model.parameters(), strict=True):
            if average.dtype != parameter.dtype:
                parameter.copy_(average)
