"""The processes that train together, and sums over them that do not depend on how many they are.

A sum of floats depends on its order. Here gradients of micro-batches are added as leaves of one
balanced tree, whose branches the processes compute: two or eight of them give the bits that one
gives (on CPUs; NCCL adds in an order of its own).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

_BUCKET = 2**23  # elements of gradients that are exchanged at once


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together.

    Attributes:
        rank: its number, from 0.
        size: how many there are; 1 where no process group is there.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def present(cls) -> Ranks:
        """The default process group, or this process alone."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls()

    def share(self, parts: int) -> range:
        """The numbers of the parts of a step that are this rank's.

        Raises:
            ValueError: the ranks are no power of 2, or cannot have equal shares.
        """
        if self.size & (self.size - 1):
            raise ValueError(
                f"{self.size} workers train together, but only 1, 2, 4, 8, ... add gradients in "
                "one order"
            )
        if parts % self.size:
            raise ValueError(
                f"a step has {parts} micro-batches, which {self.size} workers cannot share "
                "equally: set micro_batch_size smaller, or workers to a divisor"
            )
        each = parts // self.size
        return range(self.rank * each, (self.rank + 1) * each)

    def gathered(self, tensor: Tensor) -> Tensor:
        """The tensors of all ranks, of one shape, laid one after the other in order of rank."""
        if self.size == 1:
            return tensor
        # Bits are exchanged as bytes: not every backend takes booleans.
        sent = tensor.to(torch.uint8) if tensor.dtype == torch.bool else tensor
        found = [torch.empty_like(sent) for _ in range(self.size)]
        dist.all_gather(found, sent.contiguous())
        return torch.cat(found).to(tensor.dtype)

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Replace the gradient of each parameter by the sum over the ranks."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        for bucket in _buckets(gradients):
            flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
            if flat.is_cuda:
                dist.all_reduce(flat)
            else:
                found = [torch.empty_like(flat) for _ in range(self.size)]
                dist.all_gather(found, flat)
                while len(found) > 1:
                    found = [found[n].add_(found[n + 1]) for n in range(0, len(found), 2)]
                flat = found[0]
            first = 0
            for gradient in bucket:
                gradient.copy_(flat[first : first + gradient.numel()].view_as(gradient))
                first += gradient.numel()

    def barrier(self) -> None:
        """Wait for all."""
        if self.size > 1:
            dist.barrier()


def add_as_tree(
    backward: Callable[[int], None],
    parts: range,
    parameters: Sequence[torch.nn.Parameter],
) -> None:
    """Leave the sum of the gradients of `parts` in the parameters, added as a balanced tree.

    Args:
        backward: computes one part and adds its gradients to those of the parameters, which have
            none then.
        parts: numbers of the parts.
        parameters: those that are trained.
    """
    for parameter in parameters:
        parameter.grad = None
    if len(parts) == 1:
        backward(parts[0])
        return
    middle = len(parts) // 2
    add_as_tree(backward, parts[:middle], parameters)
    left = [parameter.grad for parameter in parameters]
    add_as_tree(backward, parts[middle:], parameters)
    for parameter, before in zip(parameters, left, strict=True):
        if before is None:
            continue
        parameter.grad = before if parameter.grad is None else before.add_(parameter.grad)


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Gradients of one dtype, in order, together below the size of an exchange where they can."""
    for dtype in dict.fromkeys(gradient.dtype for gradient in gradients):
        bucket: list[Tensor] = []
        size = 0
        for gradient in gradients:
            if gradient.dtype != dtype:
                continue
            if bucket and size + gradient.numel() > _BUCKET:
                yield bucket
                bucket, size = [], 0
            bucket.append(gradient)
            size += gradient.numel()
        if bucket:
            yield bucket
