"""Train language models."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stages.contract import Artifact, Checkpoints, Context, Input, Kind, Output, Sink, Stage
from stages.kinds import METRICS
from stages.tokenizer_files import copy_tokenizer, end_of_text_id, load_tokenizer
from stages.training_settings import SHAPE, Settings

if TYPE_CHECKING:
    from operators.modeling.reports import StepReport
    from operators.modeling.token_rows import TokenRows
    from operators.modeling.training import Training
    from operators.modeling.training_state import TrainingState
    from operators.tokenization.byte_tokenizer import ByteTokenizer

# Kept beside the last: one that was damaged while it was written has another before it.
KEPT_CHECKPOINTS = 2
LONGEST_UNSAVED = 500  # steps


class LanguageModel(Stage):
    """Train a Llama-shaped causal language model on sequences of tokens.

    From fresh weights, or on from those of `model`, with a fresh optimiser and schedule: continued
    pre-training, with `replay` of older data; fine-tuning, where the sequences say which tokens are
    scored. Samples may be weighted by their losses (Sow et al. 2025), tokens selected by them. A
    killed run goes on from its last checkpoint, to the bit. The checkpoint opens with
    `AutoModelForCausalLM.from_pretrained`, and carries its tokenizer.
    """

    word = "training.language_model"
    libraries = ("torch", "transformers")
    Config = Settings

    inputs = {
        "tokens": Input(Kind.TOKENS, "sequences; `scored`, `inputs`, `reference_losses` are used"),
        "tokenizer": Input(Kind.TOKENIZER, "what made them; kept with the model"),
        "model": Input(
            Kind.MODEL, "to go on from; its shape is kept, its tokenizer is the one given",
            optional=True,
        ),
        "replay": Input(Kind.TOKENS, "sequences of older data to mix in", optional=True),
        "validation": Input(
            Kind.TOKENS, "sequences whose loss is told while it trains", optional=True
        ),
        "old_validation": Input(
            Kind.TOKENS, "the same of older data: what is forgotten", optional=True
        ),
    }  # fmt: skip
    outputs = {
        "model": Output(Kind.MODEL, "checkpoint with its tokenizer"),
        "history": Output(Kind.METRICS, "loss, tokens seen and FLOPs at each step"),
    }

    def workers(self) -> int:
        """Processes that train together."""
        return int(self.config.sharded_over or self.config.workers)

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.modeling import parameter_count, save_model
        from operators.modeling.training_state import TrainingState

        history = context.team(self.train, self.workers())
        checkpoints = context.checkpoints()
        finished = checkpoints.latest()
        assert finished is not None, "training leaves a checkpoint of its last step"
        trained = TrainingState.load(finished[1])
        model, _ = self._model(inputs)
        model = self._finished(model, trained)
        outputs["history"].write(pa.Table.from_pylist(history, METRICS))
        folder = outputs["model"].folder()
        save_model(model, str(folder))
        copy_tokenizer(inputs["tokenizer"], folder)
        context.metric("parameters", parameter_count(model))

    def train(
        self, rank: int, size: int, inputs: Mapping[str, Any], context: Context
    ) -> list[dict[str, Any]]:
        """Train to the last step, as one of several; rows of the history."""
        from operators.modeling.training import Training
        from operators.modeling.training_state import TrainingState

        config = self.config
        model, tokenizer = self._model(inputs)
        sources, shares = self._sources(inputs)
        training = Training(
            self._adapted(model),
            sources,
            self._recipe(tokenizer),
            shares=shares,
            validation={
                f"{name}_loss": _rows(inputs[name], config.pad)
                for name in ("validation", "old_validation")
                if name in inputs
            },
            validate_every=config.validate_every,
        )
        checkpoints = context.checkpoints()
        found = checkpoints.latest()
        if found is not None:
            state = TrainingState.load(found[1])
            training.go_on_from(state)
            context.metric("resumed_from_workers", state.workers)
        watch = _Watch(self, training, context)
        for report in training.reports:  # of before, for the curves of this run
            watch.see(report)
        every = config.checkpoint_every or max(1, min(config.steps // 10, LONGEST_UNSAVED))
        saver = _Saver(checkpoints, None if found is None else found[0])

        def save(state: TrainingState) -> None:
            if rank == 0:
                saver(state)

        summary = training.run(watch.see, save_every=every, save=save)
        if config.steps % every:
            save(training.state())
        context.metric("workers", size)
        context.metric("final_loss", summary.final_loss)
        context.metric("epochs", summary.epochs)
        context.metric("tokens_seen", summary.tokens_seen)
        context.metric("smallest_effective_sample_size", summary.smallest_effective_sample_size)
        context.metric("skipped_steps", summary.skipped_steps)
        context.metric("rolled_back", summary.rolled_back)
        context.metric("data_wait_share", summary.data_wait_seconds / max(summary.seconds, 1e-9))
        return watch.rows()

    def _recipe(self, tokenizer: ByteTokenizer) -> Any:
        numbers: tuple[tuple[int, float], ...] = ()
        if self.config.objective == "number_tokens":
            numbers = tuple(
                (number, float(token))
                for number, token in enumerate(tokenizer.tokens)
                if token.isdigit()
            )
            if not numbers:
                raise ValueError(
                    "objective number_tokens needs tokens that are digits, and the tokenizer has "
                    "none"
                )
        return self.config.recipe(numbers)

    def _model(self, inputs: Mapping[str, Any]) -> tuple[Any, ByteTokenizer]:
        """The model as it is before the first step, and its tokenizer."""
        from operators.modeling import LlamaShape, build_llama

        config = self.config
        tokenizer = load_tokenizer(inputs["tokenizer"])
        rows = _rows(inputs["tokens"], config.pad)
        longest = int(rows.lengths.max())
        # What the model sees may have ids behind the vocabulary: masks, which are never a target.
        size = max(len(tokenizer.tokens), rows.seen_ids()[1] + 1)
        if "model" in inputs:
            model = self._continued(inputs["model"], tokenizer, longest)
            return _with_rows(model, size, len(tokenizer.tokens)), tokenizer
        end_of_text = end_of_text_id(tokenizer)
        shape = LlamaShape(
            hidden_size=config.hidden_size,
            layers=config.layers,
            heads=config.heads,
            kv_heads=config.kv_heads or config.heads,
            intermediate_size=config.intermediate_size or round(config.hidden_size * 8 / 3),
            context_length=longest,
        )
        model = build_llama(
            shape,
            size,
            bos_token_id=end_of_text,
            eos_token_id=end_of_text,
            seed=config.seed,
        )
        return _with_rows(model, size, len(tokenizer.tokens)), tokenizer

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
        for name, place in SHAPE.items():
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

    def _sources(self, inputs: Mapping[str, Any]) -> tuple[list[TokenRows], list[float]]:
        """What is trained on, and the share of each in the tokens."""
        rows = _rows(inputs["tokens"], self.config.pad)
        if "replay" not in inputs:
            return [rows], [1.0]
        share = self.config.replay_share
        return [rows, _rows(inputs["replay"], self.config.pad)], [1 - share, share]

    def _adapted(self, model: Any) -> Any:
        """The model as it is trained: with adapters, where there are some."""
        if not self.config.lora_rank:
            return model
        from operators.modeling.adapters import LowRank, add_adapters

        size = LowRank(rank=self.config.lora_rank, alpha=self.config.lora_alpha)
        return add_adapters(model, size, self.config.seed)

    def _finished(self, model: Any, trained: TrainingState) -> Any:
        """The model with the weights of the last step, an ordinary one."""
        from operators.modeling.execution import parameters_to_bfloat16

        adapted = self._adapted(model)
        if self.config.precision == "pure_bfloat16":
            parameters_to_bfloat16(adapted)
        adapted.load_state_dict(
            {
                name.removeprefix("model."): tensor
                for name, tensor in trained.model.items()
                if name.startswith("model.")
            }
        )
        if not self.config.lora_rank:
            return adapted
        from operators.modeling.adapters import merge_adapters

        return merge_adapters(adapted)


class _Watch:
    """Tells of a training while it runs, and of its losses at the end."""

    def __init__(self, stage: LanguageModel, training: Training, context: Context) -> None:
        self._config, self._training, self._context = stage.config, training, context
        self._utilisation = training.utilisation()

    def see(self, report: StepReport) -> None:
        config, context = self._config, self._context
        context.progress(report.step, config.steps, "steps")
        if report.step % config.log_every == 0 or report.step in (1, config.steps):
            for name, value in asdict(report).items():
                if name != "step":
                    context.metric(name, float(value), report.step)
            context.metric("memory_mib", self._training.memory() / 2**20, report.step)
            if self._utilisation is not None:
                share = self._utilisation(report.tokens_per_second)
                context.metric("mfu", share, report.step)
        for name, loss in self._training.validated_at(report.step).items():
            context.metric(name, loss, report.step)

    def rows(self) -> list[dict[str, Any]]:
        """Rows of the history, in order of the steps."""
        told = [
            (report.step, name, getattr(report, name))
            for report in self._training.reports
            for name in ("loss", "weighted_loss", "tokens_seen")
        ]
        flops = self._training.flops_per_token()
        told += [
            (report.step, "flops", float(flops * report.tokens_seen))
            for report in self._training.reports
        ]
        told += [
            (point.step, name, loss)
            for point in self._training.validation
            for name, loss in point.losses.items()
        ]
        return [
            {"id": str(step), "metric": name, "value": float(value), "weight": 1.0, "group": "step"}
            for step, name, value in sorted(told, key=lambda row: row[0])
        ]


class _Saver:
    """Saves checkpoints, and keeps the last and the one before it."""

    def __init__(self, checkpoints: Checkpoints, found: int | None) -> None:
        self._checkpoints = checkpoints
        self._kept = [] if found is None else [found]

    def __call__(self, state: TrainingState) -> None:
        with tempfile.TemporaryDirectory() as name:
            state.save(Path(name))
            self._checkpoints.save(state.step, Path(name))
        self._kept = [*self._kept, state.step][-KEPT_CHECKPOINTS:]
        self._checkpoints.keep(self._kept)


def _with_rows(model: Any, size: int, used: int) -> Any:
    """The model with rows for `size` ids, of which only the first `used` are ever generated."""
    import torch

    before = model.get_input_embeddings().weight.shape[0]
    if size > before:
        model.resize_token_embeddings(size, mean_resizing=False)
        with torch.no_grad():
            for table in {model.get_input_embeddings(), model.get_output_embeddings()}:
                table.weight[before:] = table.weight[:before].mean(dim=0)
    if size > used:
        model.generation_config.suppress_tokens = list(range(used, size))
    return model


def _rows(artifact: Artifact, pad: bool) -> TokenRows:
    """The sequences of an artifact, as they lie.

    Raises:
        ValueError: there are none, or they differ in length where that must be a mistake.
    """
    from operators.modeling.token_rows import TokenRows

    rows = TokenRows(artifact.table())
    if not len(rows):
        raise ValueError(
            "there is not a single full sequence to train on; read more text or use a smaller "
            "sequence_length"
        )
    lengths = np.unique(rows.lengths)
    if len(lengths) != 1 and not pad and "scored" not in rows.columns:
        raise ValueError(
            f"sequences have {len(lengths)} different lengths; they must have one, or set pad"
        )
    return rows
