"""How a model is run: on which device, on how many CPU threads, in which mode, by which call."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def resolve_device(device: str) -> torch.device:
    """``"auto"`` is the GPU where there is one and the CPU elsewhere; other names are torch's."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def parameters_to_bfloat16(model: torch.nn.Module) -> None:
    """Make the parameters bfloat16, and leave buffers as they are.

    `torch.nn.Module.to` would round the frequencies of rotary positions, which nothing saves: the
    model would turn its positions by other angles than after it is loaded again.
    """
    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.bfloat16)


@contextmanager
def cpu_threads(threads: int) -> Iterator[None]:
    """Run the block with ``threads`` torch CPU threads, then put the previous number back.

    A fixed number is part of reproducibility: torch splits long sums among its threads, so the
    order of the additions, and with it the last bits, depend on how many there are. The number
    belongs to the process: do not run two blocks with different numbers at the same time.

    Raises:
        ValueError: fewer than one thread.
    """
    if threads < 1:
        raise ValueError(f"threads must be >= 1, got {threads}")
    previous = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(previous)


@contextmanager
def inference(model: torch.nn.Module, device: str, threads: int) -> Iterator[torch.device]:
    """Evaluation mode without gradients on a device; afterwards the mode is as before.

    The model is moved to the device and stays there.
    """
    target = resolve_device(device)
    was_training = model.training
    model.to(target)
    model.eval()
    try:
        # Not torch.inference_mode: a buffer that a model caches there cannot be trained with later.
        with cpu_threads(threads), torch.no_grad():
            yield target
    finally:
        model.train(was_training)


def next_token_logits(model: torch.nn.Module, input_ids: Tensor) -> Tensor:
    """Logits ``[b, t, v]`` of a causal model for ids ``[b, t]``; row ``j`` predicts token ``j+1``.

    ``model`` is anything that is called as ``model(input_ids=..., use_cache=False)`` and answers
    with an object that has ``.logits``. There is no attention mask: padding stands on the right,
    where a causal model does not see it from the tokens that count.
    """
    logits: Tensor = model(input_ids=input_ids, use_cache=False).logits
    return logits
