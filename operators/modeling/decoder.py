"""The trunk of a Hugging Face decoder: the blocks that its tokens pass."""

from torch import nn


def decoder_of(model: nn.Module) -> nn.Module:
    """The part of a causal language model that has ``layers``: all but its output layer.

    Args:
        model: a Llama-shaped `transformers.PreTrainedModel`, or one that carries adapters.

    Raises:
        ValueError: a model without such a part. Wrappers for several devices must be taken off.
    """
    get_decoder = getattr(model, "get_decoder", None)
    decoder = get_decoder() if callable(get_decoder) else model
    if not isinstance(decoder, nn.Module) or not isinstance(
        getattr(decoder, "layers", None), nn.ModuleList
    ):
        raise ValueError(
            f"{type(model).__name__} has no decoder with a list of layers; give the Hugging Face "
            "model itself, not a wrapper"
        )
    return decoder
