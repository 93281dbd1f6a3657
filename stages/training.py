"""Train language models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import ValidationInfo, field_validator

from stages.contract import (
    Artifact,
    Context,
    Field,
    Input,
    Kind,
    Output,
    Sink,
    Stage,
    StageConfig,
    execution_field,
)
from stages.kinds import METRICS
from stages.tokenizer_files import copy_tokenizer, end_of_text_id, load_tokenizer

if TYPE_CHECKING:
    from operators.modeling import StepReport
    from operators.tokenization.byte_tokenizer import ByteTokenizer

# Settings of a fresh model -> what they are called in the configuration of one that exists.
_SHAPE = {
    "hidden_size": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "intermediate_size": "intermediate_size",
}


class LanguageModel(Stage):
    """Train a Llama-shaped causal language model on packed sequences.

    Samples may be weighted by their losses (Sow et al. 2025): weights are computed over the whole
    optimiser batch, after a warm-up with uniform ones. The checkpoint opens with
    `AutoModelForCausalLM.from_pretrained`, and carries its tokenizer. Training begins with fresh
    weights, or goes on from those of `model`, with a fresh optimiser and schedule.
    """

    word = "training.language_model"
    libraries = ("torch", "transformers")

    class Config(StageConfig):
        steps: int = Field(200, ge=1, description="optimiser steps")
        batch_size: int = Field(16, ge=1, description="sequences a step")
        hidden_size: int = Field(128, ge=8, description="width of the residual stream")
        layers: int = Field(2, ge=1, description="transformer blocks")
        heads: int = Field(
            4, ge=1, validate_default=True,
            description="attention heads; hidden_size / heads must be even",
        )  # fmt: skip
        kv_heads: int | None = Field(
            None, ge=1, description="key-value heads (grouped-query attention); default heads"
        )
        intermediate_size: int | None = Field(
            None, ge=8, description="width of the MLP; default 8/3 of hidden_size"
        )
        learning_rate: float = Field(3e-3, gt=0, description="peak; linear warm-up, then cosine")
        min_learning_rate_ratio: float = Field(
            0.1, ge=0, le=1, description="where the cosine ends, as a share of the peak"
        )
        warmup_steps: int = Field(20, ge=0, description="steps of the linear warm-up")
        weight_decay: float = Field(0.1, ge=0, description="of AdamW, on matrices only")
        gradient_clip: float = Field(1.0, gt=0, description="largest global gradient norm")
        weighting: Literal["uniform", "linupper", "quadratic", "extremes"] = Field(
            "uniform", description="how samples are weighted by their losses"
        )
        temperature: float = Field(
            1.0, gt=0, description="of the weights; small is peaky, .inf is uniform"
        )
        weighting_warmup_steps: int = Field(
            20, ge=0, description="first steps, with uniform weights"
        )
        precision: Literal["float32", "bfloat16"] = Field(
            "float32", description="of the forward pass; weights stay float32"
        )
        threads: int = Field(
            1, ge=1, description="CPU threads; in the key because the order of float sums is"
        )
        seed: int = Field(0, ge=0, description="of initial weights and the order of the data")
        device: Literal["auto", "cpu", "cuda"] = Field(
            "auto", description="auto: a GPU where the task was given one"
        )
        log_every: int = execution_field(
            5,
            description="steps between points of the recorded curves",
            why="what is recorded on the way does not touch the weights",
        )

        @field_validator("heads")
        @classmethod
        def _divides_the_width(cls, heads: int, info: ValidationInfo) -> int:
            width = info.data.get("hidden_size")
            if width is not None and width % (2 * heads):
                raise ValueError(f"must divide hidden_size {width} into even parts")
            return heads

        @field_validator("kv_heads")
        @classmethod
        def _divides_the_heads(cls, kv_heads: int | None, info: ValidationInfo) -> int | None:
            heads = info.data.get("heads")
            if kv_heads is not None and heads is not None and heads % kv_heads:
                raise ValueError(f"must divide heads {heads}")
            return kv_heads

    inputs = {
        "tokens": Input(Kind.TOKENS, "packed sequences"),
        "tokenizer": Input(Kind.TOKENIZER, "what made them; kept with the model"),
        "model": Input(
            Kind.MODEL, "to go on from; its shape is kept, its tokenizer is the one given",
            optional=True,
        ),
    }  # fmt: skip
    outputs = {
        "model": Output(Kind.MODEL, "checkpoint with its tokenizer"),
        "history": Output(Kind.METRICS, "loss at each step"),
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.modeling import (
            LlamaShape,
            TrainingRecipe,
            build_llama,
            parameter_count,
            save_model,
            train,
        )

        config = self.config
        sequences = _sequences(inputs["tokens"].table())
        tokenizer = load_tokenizer(inputs["tokenizer"])
        end_of_text = end_of_text_id(tokenizer)
        if "model" in inputs:
            model = self._continued(inputs["model"], tokenizer, sequences.shape[1])
        else:
            shape = LlamaShape(
                hidden_size=config.hidden_size,
                layers=config.layers,
                heads=config.heads,
                kv_heads=config.kv_heads or config.heads,
                intermediate_size=config.intermediate_size or round(config.hidden_size * 8 / 3),
                context_length=sequences.shape[1],
            )
            model = build_llama(
                shape,
                len(tokenizer.tokens),
                bos_token_id=end_of_text,
                eos_token_id=end_of_text,
                seed=config.seed,
            )
        recipe = TrainingRecipe(
            steps=config.steps,
            batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            warmup_steps=min(config.warmup_steps, config.steps),
            min_learning_rate_ratio=config.min_learning_rate_ratio,
            weight_decay=config.weight_decay,
            gradient_clip=config.gradient_clip,
            strategy=config.weighting,
            temperature=config.temperature,
            reweighting_warmup_steps=config.weighting_warmup_steps,
            seed=config.seed,
            threads=config.threads,
            device=config.device,
            precision=config.precision,
        )
        history: list[dict[str, Any]] = []

        def on_step(report: StepReport) -> None:
            for name in ("loss", "weighted_loss"):
                history.append(
                    {"id": str(report.step), "metric": name, "value": getattr(report, name),
                     "weight": 1.0, "group": "step"}
                )  # fmt: skip
            context.progress(report.step, config.steps, "steps")
            if report.step % config.log_every == 0 or report.step in (1, config.steps):
                for name, value in asdict(report).items():
                    if name != "step":
                        context.metric(name, value, report.step)

        summary = train(model, sequences, None, recipe, on_step=on_step)
        outputs["history"].write(pa.Table.from_pylist(history, METRICS))
        folder = outputs["model"].folder()
        save_model(model, str(folder))
        copy_tokenizer(inputs["tokenizer"], folder)
        context.metric("parameters", parameter_count(model))
        context.metric("final_loss", summary.final_loss)
        context.metric("epochs", summary.epochs)
        context.metric("tokens_seen", summary.tokens_seen)
        context.metric("smallest_effective_sample_size", summary.smallest_effective_sample_size)

    def _continued(self, artifact: Artifact, tokenizer: ByteTokenizer, length: int) -> Any:
        """The model to go on from, in float32.

        Raises:
            ValueError: its tokenizer is another one, its context too short, or a setting of the
                shape asks for another shape.
        """
        from operators.modeling import load_model

        if list(load_tokenizer(artifact).tokens) != list(tokenizer.tokens):
            raise ValueError(
                "the model to go on from has another vocabulary than the tokenizer that made the "
                "tokens: give it this one with transfer.tokenizer first"
            )
        model = load_model(str(artifact.folder()), device="cpu").float()
        shape = model.config.get_text_config()
        for name, place in _SHAPE.items():
            asked, is_so = getattr(self.config, name), getattr(shape, place, None)
            if asked not in (type(self.config).model_fields[name].default, is_so):
                raise ValueError(
                    f"{name} is {asked}, but the model to go on from has {is_so}: leave it out"
                )
        longest = getattr(shape, "max_position_embeddings", None)
        if longest is not None and length > longest:
            raise ValueError(
                f"sequences have {length} tokens, but the model to go on from sees {longest}: "
                "encode with a smaller sequence_length"
            )
        return model


def _sequences(table: pa.Table) -> Any:
    """int32 [rows, length] from a column of equally long lists."""
    if table.num_rows == 0:
        raise ValueError(
            "there is not a single full sequence to train on; read more text or use a smaller "
            "sequence_length"
        )
    column = table.column("tokens").combine_chunks()
    lengths = np.unique(column.value_lengths().to_numpy())
    if len(lengths) != 1:
        raise ValueError(f"sequences have {len(lengths)} different lengths; they must have one")
    return column.flatten().to_numpy().reshape(table.num_rows, int(lengths[0]))
