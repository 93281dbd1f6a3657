"""Settings that the stages with a model share: what it runs on, and how it reads long texts.

How many rows, sequences or contexts share a forward pass (`batch_size`) each stage says itself:
the unit and the default are its own.
"""

from __future__ import annotations

from typing import Literal

from stages.contract import Field, StageConfig


class ComputeSettings(StageConfig):
    """What a model runs on; `tokenmill stages` shows these behind a stage's own settings."""

    threads: int = Field(
        1, ge=1, description="CPU threads; in the key because the order of float sums is"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: a GPU where the task was given one"
    )


class WindowSettings(ComputeSettings):
    """How a model reads documents longer than its context: in sliding windows."""

    stride: int | None = Field(
        None, ge=1, description="new tokens a window; default half of the context"
    )
    batch_size: int = Field(16, ge=1, description="windows in a forward pass")
