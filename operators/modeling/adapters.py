"""Low-rank adapters (LoRA) through the optional library `peft`.

Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (ICLR 2022, arXiv
2106.09685). The weights of the model are frozen; beside chosen matrices ``W`` a product ``B A`` of
rank ``r`` is trained, and ``W + (alpha / r) B A`` is used. ``B`` begins at 0: with fresh adapters
the model gives what it gave before, to the bit.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# The matrices of a Llama block; the embedding and the output layer are left alone.
BLOCK_MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, kw_only=True)
class LowRank:
    """The size of the adapters.

    Attributes:
        rank: inner dimension of the product, ``>= 1``.
        alpha: the product is multiplied by ``alpha / rank``, ``> 0``.
        dropout: share of inputs of the adapters that are dropped in training, in ``[0, 1)``.
        targets: names of the linear layers that get one.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    targets: Sequence[str] = BLOCK_MATRICES

    def __post_init__(self) -> None:
        if self.rank < 1 or not self.alpha > 0 or not 0 <= self.dropout < 1:
            raise ValueError(
                f"rank must be >= 1, alpha > 0 and dropout in [0, 1), got {self.rank}, "
                f"{self.alpha} and {self.dropout}"
            )
        if isinstance(self.targets, str) or not self.targets:
            raise ValueError(f"targets must be a list of names of layers, got {self.targets!r}")


def add_adapters(model: PreTrainedModel, size: LowRank, seed: int) -> nn.Module:
    """The model with adapters, which alone are trainable. The model itself is changed.

    Args:
        model: a causal language model.
        size: of the adapters.
        seed: of the initialisation; the global random state is left as it was.

    Raises:
        ModuleNotFoundError: `peft` is not installed.
        ValueError: the model has no layer of one of the names.
    """
    peft = _peft()
    linear = {
        name.rsplit(".", 1)[-1]
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
    }
    missing = [target for target in size.targets if target not in linear]
    if missing:
        raise ValueError(
            f"the model has no linear layers called {', '.join(missing)}; it has "
            f"{', '.join(sorted(linear))}"
        )
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=size.rank,
        lora_alpha=size.alpha,
        lora_dropout=size.dropout,
        target_modules=list(size.targets),
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        adapted: nn.Module = peft.get_peft_model(model, config)
    return adapted


def merge_adapters(adapted: nn.Module) -> PreTrainedModel:
    """The plain model again, with the adapters added into its weights.

    It is saved, loaded and run as if there had never been any. Rounded to the type of the weights.

    Raises:
        ValueError: a model without adapters.
    """
    merge: Any = getattr(adapted, "merge_and_unload", None)
    if merge is None:
        raise ValueError(f"{type(adapted).__name__} has no adapters to merge")
    merged: PreTrainedModel = merge(safe_merge=True)
    return merged.requires_grad_(True)


def save_adapters(adapted: nn.Module, folder: str | Path) -> None:
    """Write the adapters alone (safetensors and configuration) into ``folder``.

    The same adapters give the same files, byte for byte, with one version of `peft`.
    """
    folder = Path(folder)
    save: Any = adapted.save_pretrained
    save(folder, safe_serialization=True, save_embedding_layers=False)
    # peft writes the names of the layers in the order of a set, and a model card without content.
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text("utf-8"))
    config["target_modules"] = sorted(config["target_modules"])
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")
    (folder / "README.md").unlink(missing_ok=True)


def load_adapters(model: PreTrainedModel, folder: str | Path, *, trainable: bool) -> nn.Module:
    """The model with the adapters that `save_adapters` wrote.

    Args:
        model: the model they were trained on, without adapters.
        folder: where they are.
        trainable: whether training is to go on.

    Raises:
        ModuleNotFoundError: `peft` is not installed.
        FileNotFoundError: the folder holds no adapters.
    """
    peft = _peft()
    if not (Path(folder) / "adapter_config.json").is_file():
        # Without this, a wrong path is taken for the name of a repository on the internet.
        raise FileNotFoundError(f"no adapters in {folder}: adapter_config.json is missing")
    adapted: nn.Module = peft.PeftModel.from_pretrained(
        model, str(folder), is_trainable=trainable, local_files_only=True
    )
    return adapted


def _peft() -> Any:
    try:
        return importlib.import_module("peft")
    except ModuleNotFoundError as error:
        if error.name != "peft":
            raise
        raise ModuleNotFoundError(
            "adapters need the library peft, which is not installed: "
            "pip install 'tokenmill[adapters]'",
            name="peft",
        ) from error
