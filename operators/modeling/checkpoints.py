"""Save a model to a local folder and load it from one. Nothing is fetched from anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from operators.modeling.execution import resolve_device

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def save_model(model: PreTrainedModel, folder: str | Path) -> None:
    """Write weights (safetensors) and configuration into ``folder``, which is made if needed.

    The same weights and configuration give the same files, byte for byte, with one version of
    transformers (its number is part of ``config.json``), whichever device the model is on.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with no_progress_bars():
        model.save_pretrained(folder)


def load_model(folder: str | Path, device: str = "auto") -> PreTrainedModel:
    """Load a causal language model from ``folder``, in evaluation mode, on ``device``.

    Only safetensors are read, and no code of the folder is run.

    Raises:
        FileNotFoundError: the folder holds no ``config.json``.
    """
    from transformers import AutoModelForCausalLM

    folder = Path(folder)
    if not (folder / "config.json").is_file():
        # Without this, a wrong path is taken for the name of a repository on the internet.
        raise FileNotFoundError(f"no model in {folder}: config.json is missing")
    with no_progress_bars():
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            attn_implementation="sdpa",
        )
    return model.to(resolve_device(device)).eval()


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Without the bars transformers draws on stderr, which in a pipeline's log are only noise."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
