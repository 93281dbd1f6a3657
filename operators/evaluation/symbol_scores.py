"""What a model expects at each place of a text whose tokens are single symbols.

The loss of a text says how probable what stands there was. Where the truth is known, more is asked:
how probable each symbol was, and whether something else was more so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from operators.modeling.execution import inference, next_token_logits
from operators.modeling.windows import sliding_windows


@dataclass(frozen=True, slots=True)
class SymbolScores:
    """Log-probabilities, in nats, at each token of one document given what stands before it.

    Attributes:
        symbols: of the symbols asked for, float64 [tokens, k].
        others: of all other tokens together, float64 [tokens]; -inf where there are none.
        best_other: of the most probable one of them, float64 [tokens].
    """

    symbols: NDArray[np.float64]
    others: NDArray[np.float64]
    best_other: NDArray[np.float64]


def symbol_scores(
    model: torch.nn.Module,
    documents: Sequence[Sequence[int]],
    symbols: Sequence[int],
    *,
    context_length: int,
    stride: int,
    bos_token_id: int,
    batch_size: int,
    left_out: Sequence[int] = (),
    device: str = "auto",
    threads: int = 1,
) -> list[SymbolScores]:
    """Score every token of every document once, in the windows of `sliding_windows`.

    As `operators.modeling.scoring.score_documents` reads: each document behind one BOS, which is
    context only; long ones in windows, sorted by length and padded on the right.

    Args:
        model: called as `operators.modeling.execution.next_token_logits` says; moved to ``device``.
        documents: token ids; a document may be empty.
        symbols: k different ids.
        context_length, stride, batch_size, device, threads: of `score_documents`.
        bos_token_id: put before each document, and used as padding.
        left_out: ids that cannot come, by what is asked: their probability goes to all others in
            proportion.

    Raises:
        ValueError: ids that repeat, or a stride or batch size out of range.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be >= 1, got {batch_size}")
    if len({*symbols, *left_out}) != len(symbols) + len(left_out) or not symbols:
        raise ValueError(f"symbols {list(symbols)} and left_out {list(left_out)} must differ")
    streams = [np.array([bos_token_id, *document], dtype=np.int64) for document in documents]
    scores = [
        SymbolScores(np.zeros((size, len(symbols))), np.zeros(size), np.zeros(size))
        for size in map(len, documents)
    ]
    jobs = [
        (index, window)
        for index, stream in enumerate(streams)
        for window in sliding_windows(len(stream), context_length, stride)
    ]
    jobs.sort(key=lambda job: -len(job[1]))
    with inference(model, device, threads) as target:
        asked = torch.tensor(list(symbols), device=target)
        barred = torch.tensor(list(left_out), dtype=torch.int64, device=target)
        for first in range(0, len(jobs), batch_size):
            batch = jobs[first : first + batch_size]
            input_ids = np.full((len(batch), len(batch[0][1])), bos_token_id, dtype=np.int64)
            for row, (index, window) in enumerate(batch):
                input_ids[row, : len(window)] = streams[index][window.start : window.end]
            logits = next_token_logits(model, torch.from_numpy(input_ids).to(target)).double()
            logs = logits.index_fill(-1, barred, -torch.inf).log_softmax(dim=-1)
            of_symbols = logs[..., asked].cpu().numpy()
            rest = logs.index_fill(-1, asked, -torch.inf)
            others = rest.logsumexp(dim=-1).cpu().numpy()
            best = rest.amax(dim=-1).cpu().numpy()
            for row, (index, window) in enumerate(batch):
                # Token k of the stream is token k - 1 of the document, and is predicted from the
                # place before it.
                there = slice(window.first_new - 1, window.end - 1)
                read = slice(window.first_new - window.start - 1, len(window) - 1)
                scores[index].symbols[there] = of_symbols[row, read]
                scores[index].others[there] = others[row, read]
                scores[index].best_other[there] = best[row, read]
    return scores
