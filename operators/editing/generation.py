"""Text that a model makes up: sampling with a key-value cache, each row with numbers of its own.

What a row becomes depends on its prompt, its id and the seed, not on the rows beside it: prompts of
one length are read together without padding, every batch has the same number of rows, and the
random number of a row's step is its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from operators.editing.drawing import SamplingRule, draw_by_rule, row_uniforms
from operators.modeling.execution import inference
from operators.modeling.length_batches import length_batches


@dataclass(frozen=True)
class Continuation:
    """What a model wrote behind a prompt.

    Attributes:
        tokens: int64, without the prompt and without the end of text.
        ended: the model drew the end of text; else the limit or the context cut it off.
    """

    tokens: NDArray[np.int64]
    ended: bool


def continue_prompts(
    model: torch.nn.Module,
    prompts: Sequence[Sequence[int] | NDArray[np.integer[Any]]],
    row_ids: Sequence[str],
    *,
    limits: int | Sequence[int],
    context: int,
    end_of_text: int | None,
    rule: SamplingRule | None = None,
    never_drawn: Sequence[int] = (),
    seed: int = 0,
    batch_size: int = 16,
    device: str = "auto",
    threads: int = 1,
) -> list[Continuation]:
    """Let a model write on from each prompt.

    Args:
        model: called as ``model(input_ids=..., past_key_values=..., use_cache=True)``; answers
            with ``.logits`` and ``.past_key_values``, as causal models of `transformers` do. Moved
            to ``device``.
        prompts: one or more tokens each.
        row_ids: as many distinct ids, stable over runs.
        limits: tokens to write at most, for all or for each prompt; a higher limit changes
            nothing of what a lower one gives.
        context: tokens that the model sees at most; prompt and continuation stay within.
        end_of_text: where it is drawn, the row is complete; None: rows run to their limits.
        rule: of the draws; by default the model's own distribution.
        never_drawn: ids that are not drawn: special tokens, and rows of the vocabulary beyond the
            tokenizer's. The end of text can be drawn although it is among them.
        seed: of the draws.
        batch_size: rows of one pass; every pass has this many.
        device: ``"auto"``, or a torch device.
        threads: CPU threads; part of the last bits of the probabilities.

    Returns:
        One for each prompt, in order.

    Raises:
        ValueError: an empty prompt, one that leaves no room in the context, ids that repeat or do
            not fit, or a setting out of range.
    """
    if len(row_ids) != len(prompts) or len(set(row_ids)) != len(row_ids):
        raise ValueError(
            f"{len(prompts)} prompts need as many distinct ids, got {len(row_ids)} with "
            f"{len(set(row_ids))} distinct"
        )
    room = [limits] * len(prompts) if isinstance(limits, int) else list(limits)
    if len(room) != len(prompts) or min(room, default=0) < 0:
        raise ValueError("limits must be one number >= 0, or one for each prompt")
    if batch_size < 1:
        raise ValueError(f"batch_size must be >= 1, got {batch_size}")
    for prompt, row_id in zip(prompts, row_ids, strict=True):
        if not 1 <= len(prompt) < context:
            raise ValueError(
                f'the prompt of "{row_id}" has {len(prompt)} tokens, but must have one or more and '
                f"leave room in a context of {context}"
            )
    rule = SamplingRule() if rule is None else rule
    done: list[Continuation] = [Continuation(np.empty(0, dtype=np.int64), False)] * len(prompts)
    with inference(model, device, threads) as target:
        barred = torch.tensor(
            sorted({*never_drawn} - {end_of_text}), dtype=torch.int64, device=target
        )
        for batch in length_batches(prompts, batch_size):
            ids = np.array([prompts[row] for row in batch], dtype=np.int64)
            steps = [min(room[row], context - ids.shape[1]) for row in batch]
            # The last batch is filled up with copies of its last row.
            rows = np.arange(batch_size).clip(max=len(batch) - 1)
            numbers = np.zeros((len(batch), max(steps)), dtype=np.float64)
            for place, row in enumerate(batch):
                numbers[place] = row_uniforms(seed, row_ids[row], max(steps))
            written = _write(
                model,
                torch.from_numpy(ids[rows]).to(target),
                torch.from_numpy(numbers[rows]).to(target),
                np.array(steps)[rows],
                rule,
                barred,
                end_of_text,
            )
            for place, row in enumerate(batch):
                done[row] = _cut(written[place, : steps[place]], end_of_text)
    return done


def _write(
    model: torch.nn.Module,
    input_ids: Tensor,
    uniforms: Tensor,
    steps: NDArray[np.int64],
    rule: SamplingRule,
    barred: Tensor,
    end_of_text: int | None,
) -> NDArray[np.int64]:
    """``[b, max(steps)]``; what stands behind a row's end means nothing."""
    longest = int(steps.max())
    written = torch.zeros((len(input_ids), longest), dtype=torch.int64, device=input_ids.device)
    limits = torch.from_numpy(steps).to(input_ids.device)
    running = torch.ones(len(input_ids), dtype=torch.bool, device=input_ids.device)
    cache = None
    for step in range(longest):
        answer = model(input_ids=input_ids, past_key_values=cache, use_cache=True)
        cache = answer.past_key_values
        drawn = draw_by_rule(
            answer.logits[:, -1], uniforms[:, step].contiguous(), rule, never_drawn=barred
        )
        written[:, step] = drawn
        running &= limits > step + 1
        if end_of_text is not None:
            running &= drawn != end_of_text
        if not running.any():
            break
        input_ids = drawn.unsqueeze(-1)
    return np.asarray(written.cpu().numpy())


def _cut(written: NDArray[np.int64], end_of_text: int | None) -> Continuation:
    ends = np.flatnonzero(written == (-1 if end_of_text is None else end_of_text))
    if len(ends):
        return Continuation(written[: ends[0]].copy(), True)
    return Continuation(written.copy(), False)
