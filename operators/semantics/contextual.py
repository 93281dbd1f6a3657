"""Vectors of usages from a language model, masked or causal. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from operators.modeling.execution import inference

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def contextual_vectors(
    model: torch.nn.Module,
    tokenizer: Tokenizer,
    contexts: Sequence[str],
    spans: Sequence[tuple[int, int]],
    *,
    layers: int = 4,
    longest: int,
    begin: int | None = None,
    batch_size: int = 32,
    device: str = "auto",
    threads: int = 1,
) -> npt.NDArray[np.float64]:
    """For each usage the mean over the word's sub-tokens of the mean of the last layers.

    A context of more tokens than the model takes is cut to those around the word. Contexts are
    batched by length, so vectors are a function of the whole list, and of one context up to the
    float noise of matrix products of different shapes.

    A causal model has seen only what comes before the word: its vectors know half of the context.

    Args:
        model: a Transformers model that answers with `hidden_states`; moved to `device`.
        tokenizer: with the special tokens that the model wants (its post-processor adds them).
        contexts: texts with the word in them.
        spans: its characters [start, end) in each.
        layers: the last so many; all (with the embeddings) where there are fewer.
        longest: tokens the model takes.
        begin: token put before each context, for tokenizers that add none.
        device: "auto", or a torch device.
        threads: CPU threads; part of the result's last bits.

    Returns:
        [n, hidden size].

    Raises:
        ValueError: a span without a token, or settings out of range.
    """
    if layers < 1 or batch_size < 1 or longest < 3:
        raise ValueError(
            f"layers {layers} and batch_size {batch_size} must be 1 or more, longest {longest} 3"
        )
    windows = [
        _window(encoding, span, longest, begin)
        for encoding, span in zip(tokenizer.encode_batch(list(contexts)), spans, strict=True)
    ]
    # A stable sort; longest first, to fail early.
    order = sorted(range(len(windows)), key=lambda row: -len(windows[row][0]))
    made: list[Any] = [None] * len(windows)
    with inference(model, device, threads) as target:
        for first in range(0, len(order), batch_size):
            rows = order[first : first + batch_size]
            width = len(windows[rows[0]][0])
            ids = torch.zeros((len(rows), width), dtype=torch.long)
            mask = torch.zeros((len(rows), width), dtype=torch.long)
            for line, row in enumerate(rows):
                tokens, _ = windows[row]
                ids[line, : len(tokens)] = torch.tensor(tokens)
                mask[line, : len(tokens)] = 1
            answer = model(
                input_ids=ids.to(target), attention_mask=mask.to(target), output_hidden_states=True
            )
            hidden = torch.stack(answer.hidden_states[-layers:]).double().mean(dim=0).cpu()
            for line, row in enumerate(rows):
                start, end = windows[row][1]
                made[row] = hidden[line, start:end].mean(dim=0).numpy()
    if not made:
        return np.zeros((0, 0))
    return np.stack(made).astype(np.float64)


def load_encoder(source: str, *, local: bool) -> tuple[Any, Tokenizer]:
    """A Transformers model without its head, masked or causal, and its tokenizer.

    Args:
        source: a folder with `config.json` and `tokenizer.json`, or, unless `local`, the name of a
            model on the hub. No code of either is run.

    Raises:
        FileNotFoundError: the folder holds no model.
    """
    from tokenizers import Tokenizer
    from transformers import AutoModel, AutoTokenizer

    from operators.modeling.checkpoints import no_progress_bars

    if local and not Path(source, "config.json").is_file():
        # Without this, a wrong path is taken for the name of a model on the internet.
        raise FileNotFoundError(f"no model in {source}: config.json is missing")
    with no_progress_bars():
        model = AutoModel.from_pretrained(source, local_files_only=local, trust_remote_code=False)
        if Path(source, "tokenizer.json").is_file():
            tokenizer = Tokenizer.from_file(str(Path(source, "tokenizer.json")))
        else:
            tokenizer = AutoTokenizer.from_pretrained(
                source, local_files_only=local, trust_remote_code=False
            ).backend_tokenizer
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return model.eval(), tokenizer


def _window(
    encoding: Any, span: tuple[int, int], longest: int, begin: int | None
) -> tuple[list[int], tuple[int, int]]:
    """Token ids, and which of them are the word's."""
    marks = encoding.special_tokens_mask
    inside = [
        k
        for k, (start, end) in enumerate(encoding.offsets)
        if not marks[k] and start < span[1] and span[0] < end
    ]
    if not inside:
        raise ValueError(f"no token lies in characters {span[0]} to {span[1]} of a context")
    ids = list(encoding.ids)
    first, last = inside[0], inside[-1] + 1
    if begin is not None:
        ids, first, last = [begin, *ids], first + 1, last + 1
    if len(ids) <= longest:
        return ids, (first, last)
    # The special tokens at both ends stay; what is cut is the context furthest from the word.
    head = 1 if begin is not None else _run(marks)
    tail = 0 if begin is not None and not marks[-1] else _run(marks[::-1])
    room = longest - head - tail
    last = min(last, first + room)
    left = max(head, min(first - (room - (last - first)) // 2, len(ids) - tail - room))
    body = ids[left : left + room]
    shift = left - head
    return [*ids[:head], *body, *ids[len(ids) - tail :]], (first - shift, last - shift)


def _run(marks: Sequence[int]) -> int:
    count = 0
    while count < len(marks) and marks[count]:
        count += 1
    return count
