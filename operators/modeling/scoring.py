"""Score documents with a language model: the loss of every token, each exactly once."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from operators.modeling.execution import inference, next_token_logits
from operators.modeling.losses import token_losses
from operators.modeling.windows import sliding_windows


def score_documents(
    model: torch.nn.Module,
    documents: Sequence[Sequence[int]],
    *,
    context_length: int,
    stride: int,
    bos_token_id: int,
    batch_size: int,
    device: str = "auto",
    threads: int = 1,
) -> list[NDArray[np.float64]]:
    """Negative log-probability of every token of every document.

    Each document is put behind one BOS, which is context and never scored (so a document must not
    bring its own), and read in the windows of `sliding_windows`. Windows are sorted by length
    (ties: document order) and batched, padded on the right, where a causal model does not look:
    the result is a function of the list of documents, and of one document alone up to the float
    noise of matrix products of different shapes.

    Args:
        model: called as `operators.modeling.execution.next_token_logits` says; moved to
            ``device``.
        documents: token ids; a document may be empty.
        context_length: longest window in tokens, BOS included.
        stride: new tokens of each window after a document's first, ``>= 1`` and
            ``< context_length``. Smaller is slower and gives every token more context.
        bos_token_id: put before each document, and used as padding.
        batch_size: windows of one forward pass.
        device: ``"auto"``, or a torch device.
        threads: CPU threads; part of the result's last bits.

    Returns:
        For each document a float64 array of its length, in nats. The softmax is taken in float64:
        a corpus sums up millions of these.

    Raises:
        ValueError: a stride or batch size out of range.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be >= 1, got {batch_size}")
    streams = [
        np.concatenate([[bos_token_id], np.asarray(document, dtype=np.int64)]).astype(np.int64)
        for document in documents
    ]
    scores = [np.zeros(len(stream) - 1, dtype=np.float64) for stream in streams]
    jobs = [
        (index, window)
        for index, stream in enumerate(streams)
        for window in sliding_windows(len(stream), context_length, stride)
    ]
    jobs.sort(key=lambda job: -len(job[1]))  # a stable sort; longest first, to fail early
    with inference(model, device, threads) as target:
        for first in range(0, len(jobs), batch_size):
            batch = jobs[first : first + batch_size]
            input_ids = np.full((len(batch), len(batch[0][1])), bos_token_id, dtype=np.int64)
            for row, (index, window) in enumerate(batch):
                input_ids[row, : len(window)] = streams[index][window.start : window.end]
            ids = torch.from_numpy(input_ids).to(target)
            losses = token_losses(next_token_logits(model, ids).double(), ids).cpu().numpy()
            for row, (index, window) in enumerate(batch):
                # Token k of the stream is token k - 1 of the document.
                scores[index][window.first_new - 1 : window.end - 1] = losses[
                    row, window.first_new - window.start : len(window)
                ]
    return scores
