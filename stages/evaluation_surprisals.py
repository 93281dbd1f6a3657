"""How surprising each token of a document is to a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from stages.compute_settings import WindowSettings
from stages.contract import Context
from stages.tokenizer_files import end_of_text_id

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from operators.tokenization.byte_tokenizer import ByteTokenizer

# Documents between two moves of the live display; fixed, so that no float depends on it.
_AT_A_TIME = 32


def surprisals(
    model: Any,
    tokenizer: ByteTokenizer,
    documents: Sequence[Sequence[int]],
    settings: WindowSettings,
    context: Context,
) -> list[NDArray[np.float64]]:
    """Nats of each token of each document, in sliding windows behind the end of text."""
    from operators.modeling import score_documents

    length = int(model.config.max_position_embeddings)
    nats: list[NDArray[np.float64]] = []
    for start in range(0, len(documents), _AT_A_TIME):
        nats += score_documents(
            model,
            documents[start : start + _AT_A_TIME],
            context_length=length,
            stride=settings.stride or max(1, length // 2),
            bos_token_id=end_of_text_id(tokenizer),
            batch_size=settings.batch_size,
            device=settings.device,
            threads=settings.threads,
        )
        context.progress(len(nats), len(documents), "documents")
    return nats
