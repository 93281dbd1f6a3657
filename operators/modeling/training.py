"""Train a causal language model on rows of tokens, with weighted or plain losses.

On a CPU the trained weights are a function of the initial weights, the data and the recipe, to the
bit (for one build of torch on one kind of processor): neither the number of workers nor a stop and
a start from a checkpoint changes them. On a GPU they are so up to float noise.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from operators.modeling.data_checks import check_arrays, check_fits, check_rows
from operators.modeling.execution import cpu_threads, parameters_to_bfloat16, resolve_device
from operators.modeling.flops import (
    device_peak_flops,
    model_flops_utilization,
    token_flops,
)
from operators.modeling.forward_pass import ForwardPass
from operators.modeling.loader import Loader
from operators.modeling.micro_batches import MicroBatch, micro_batches
from operators.modeling.mixing import MixedOrder
from operators.modeling.optimizers import Optimizer
from operators.modeling.ranks import Ranks, add_as_tree
from operators.modeling.recipe import TrainingRecipe, learning_rate_at
from operators.modeling.reports import StepReport, TrainingSummary, ValidationPoint
from operators.modeling.spikes import SpikeRule, SpikeState, Verdict, judge_step
from operators.modeling.step_losses import StepLosses
from operators.modeling.token_rows import TokenRows
from operators.modeling.training_state import OtherRun, TrainingState
from operators.weighting import effective_sample_size

VALIDATION_ROWS = 256

OnStep = Callable[[StepReport], None]


def train(
    model: torch.nn.Module,
    sequences: NDArray[np.integer[Any]],
    scored: NDArray[np.bool_] | None,
    recipe: TrainingRecipe,
    *,
    on_step: OnStep | None = None,
) -> TrainingSummary:
    """Train ``model`` in place on sequences of one length; see `Training`.

    Args:
        model: called as `operators.modeling.execution.next_token_logits` says.
        sequences: integer ``[n, t]``, token ids, ``t >= 2``. Only the rows of the current batch
            are copied: a memory map will do.
        scored: boolean ``[n, t]``, true where a token is a target. ``None`` scores every token;
            the first of a sequence never is.
        recipe: everything else.
        on_step: called after every step.

    Raises:
        ValueError: shapes or ids that do not fit, or a sequence without a scored token.
        FloatingPointError: the loss or the gradient of a step is not finite; names the step. The
            model then holds the weights from before that step.
    """
    check_arrays(sequences, scored)
    return Training(model, [TokenRows.of_arrays(sequences, scored)], recipe).run(on_step)


class Training:
    """A training run that can be looked at, saved between two steps, and gone on with.

    Each step takes the mean loss of every sample over its scored tokens, weighs samples or tokens
    over the whole optimiser batch, and minimises the weighted mean. The model ends up on the
    recipe's device.

    With a process group, every process makes one of these with the same arguments and calls `run`;
    each does its share of the micro-batches of a step.

    Attributes:
        step: optimiser steps made.
        reports: of the steps made.
        validation: losses measured so far.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        sources: Sequence[TokenRows],
        recipe: TrainingRecipe,
        *,
        shares: Sequence[float] | None = None,
        validation: Mapping[str, TokenRows] | None = None,
        validate_every: int = 50,
    ) -> None:
        """Look at everything before the first step.

        Args:
            model: called as `operators.modeling.execution.next_token_logits` says.
            sources: rows to train on.
            recipe: everything else.
            shares: of the tokens that are trained on, of each source; needed for more than one.
            validation: rows whose loss is measured on the way, by name: the first
                `VALIDATION_ROWS` of each.
            validate_every: steps between measurements; the first is before the first step.

        Raises:
            ValueError: data that does not fit to model or recipe, or workers that cannot share
                the micro-batches of a step.
        """
        check_rows(model, sources, recipe)
        for name, rows in (validation or {}).items():
            check_fits(model, rows, f"{name}: ")
        if shares is None:
            if len(sources) > 1:
                raise ValueError(f"{len(sources)} sources need a share each")
            shares = [1.0]
        self.recipe = recipe
        self.model = model
        self.step = 0
        self.reports: list[StepReport] = []
        self.validation: list[ValidationPoint] = []
        self._held_out = dict(validation or {})
        self._validate_every = validate_every
        self._sources = sources
        self._ranks = Ranks.present()
        self._mine = self._ranks.share(recipe.micro_batches)
        self._order = MixedOrder(
            [len(source) for source in sources],
            list(shares),
            recipe.batch_size,
            recipe.seed,
            tokens_per_row=[float(source.lengths.mean()) for source in sources],
        )
        self._position = 0
        self._tokens_seen = 0
        self._resumed: tuple[str, ...] = ()
        self._device = resolve_device(recipe.device)
        model.to(self._device)
        if recipe.precision == "pure_bfloat16":
            parameters_to_bfloat16(model)
        self._forward = ForwardPass(model, recipe)
        if recipe.sharded:
            # Sharded gradients are averaged over the ranks; the losses are shares of one sum.
            self._forward.loss_factor = float(self._ranks.size)
        self._optimizer = Optimizer(self._forward, recipe, self._ranks)
        self._spike_rule = SpikeRule(
            policy=recipe.on_spike,
            deviations=recipe.spike_deviations,
            window=recipe.spike_window,
        )
        self._spikes = SpikeState()
        self._data = {
            "rows": [len(source) for source in sources],
            "tokens": [int(source.lengths.sum()) for source in sources],
            "shares": list(shares),
        }

    def run(
        self,
        on_step: OnStep | None = None,
        *,
        save_every: int | None = None,
        save: Callable[[TrainingState], None] | None = None,
    ) -> TrainingSummary:
        """Make the steps that are left.

        Args:
            on_step: called after every step, in every process.
            save_every: steps between checkpoints; None saves none.
            save: takes a checkpoint; called in every process, with what rank 0 is to keep. Where
                spikes roll back, that is the last snapshot, until the last step.

        Raises:
            FloatingPointError: a spike, where the recipe says to stop; names the step. The model
                then holds the weights from before it.
        """
        recipe = self.recipe
        was_training = self.model.training
        self.model.train()
        started, seen_before = time.perf_counter(), self._tokens_seen
        waited = 0.0
        snapshot = self.state() if recipe.on_spike == "roll_back" else None
        # The global random state is used by dropout only, and given back as it was.
        devices = [self._device] if self._device.type == "cuda" else []
        with ExitStack() as stack:
            stack.callback(self.model.train, was_training)
            stack.enter_context(cpu_threads(recipe.threads))
            stack.enter_context(torch.random.fork_rng(devices=devices))
            width = max(int(source.lengths.max()) for source in self._sources)
            stack.enter_context(self._forward.dropping_tokens(width))
            loader = stack.enter_context(Loader(self._load))
            if self.step == 0:
                self._validate()
            while not self._is_done():
                began = time.perf_counter()
                batch = self._next_batch()
                micros = loader.take(batch)
                wait = time.perf_counter() - began
                waited += wait
                report, verdict = self._one_step(micros, batch, began, wait)
                if verdict.action == "roll_back" and snapshot is not None:
                    self._roll_back(snapshot)
                    continue
                self.reports.append(report)
                if self.step % self._validate_every == 0 or self.step == recipe.steps:
                    self._validate()
                if on_step is not None:
                    on_step(report)
                if snapshot is not None and self.step % recipe.snapshot_every == 0:
                    snapshot = self.state()
                if save is not None and save_every and self.step % save_every == 0:
                    # Where a spike goes back to must be the same after a stop: who goes on from a
                    # snapshot goes back to that one.
                    save(self.state() if snapshot is None or self._is_done() else snapshot)
        seconds = time.perf_counter() - started
        return TrainingSummary(
            steps=self.step,
            tokens_seen=self._tokens_seen,
            epochs=self._position * recipe.batch_size / sum(map(len, self._sources)),
            first_loss=self.reports[0].loss,
            final_loss=self.reports[-1].loss,
            smallest_effective_sample_size=min(r.effective_sample_size for r in self.reports),
            seconds=seconds,
            tokens_per_second=(self._tokens_seen - seen_before) / max(seconds, 1e-9),
            device=str(self._device),
            data_wait_seconds=waited,
            skipped_steps=sum(report.skipped for report in self.reports),
            rolled_back=self._spikes.spikes if recipe.on_spike == "roll_back" else 0,
            resumed=self._resumed,
        )

    def state(self) -> TrainingState:
        """What the rest depends on; copied, so that going on does not change it."""
        model, optimizer = self._optimizer.state(self._forward)
        return TrainingState(
            step=self.step,
            position=self._position,
            tokens_seen=self._tokens_seen,
            workers=self._ranks.size,
            settings=self.recipe.settings(),
            data=self._data,
            model=model,
            optimizer=optimizer,
            extras=self._forward.state(),
            spikes=self._spikes.to_dict(),
            reports=list(self.reports),
            validation=list(self.validation),
        )

    def _is_done(self) -> bool:
        return self.step >= self.recipe.steps

    def validated_at(self, step: int) -> Mapping[str, float]:
        """The losses that were measured after a step, by name."""
        return next((p.losses for p in reversed(self.validation) if p.step == step), {})

    def memory(self) -> int:
        """The most bytes that this process has had in use: on the GPU, or of the machine."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def flops_per_token(self) -> int:
        """Operations of training on one token, of the longest sequences that there are."""
        width = max(int(source.lengths.max()) for source in self._sources)
        return token_flops(self.model, width).total

    def utilisation(self) -> Callable[[float], float] | None:
        """From tokens a second of all ranks to the share of the devices' peak (MFU).

        None where no peak is known, as for a CPU.
        """
        peak = device_peak_flops(self._device)
        if peak is None:
            return None
        flops = self.flops_per_token()
        devices = self._ranks.size

        def share(tokens_per_second: float) -> float:
            found = model_flops_utilization(tokens_per_second, flops, peak, devices)
            return found or 0.0

        return share

    def go_on_from(self, state: TrainingState) -> None:
        """Take up where a state was made, with as many workers as there are now.

        Raises:
            OtherRun: it was made by another recipe, or on other data.
        """
        differs = self.recipe.differs_from(dict(state.settings))
        differs += [
            f"{name} of the data is {self._data[name]} here and {state.data.get(name)} there"
            for name in self._data
            if self._data[name] != state.data.get(name)
        ]
        if differs:
            raise OtherRun(
                "the checkpoint is of another run: " + "; ".join(differs)
                + ". Start without it, or with the settings that it was made with"
            )  # fmt: skip
        with cpu_threads(self.recipe.threads):
            self._restore(state)
        told = [f"went on from step {state.step} of {self.recipe.steps}"]
        if state.workers != self._ranks.size:
            told.append(
                f"{state.workers} workers before, {self._ranks.size} now: the order of the data "
                "is the same"
            )
        self._resumed = tuple(told)

    def _restore(self, state: TrainingState) -> None:
        self._optimizer.restore(self._forward, state.model, state.optimizer)
        self._forward.restore(state.extras)
        self._spikes = SpikeState.from_dict(dict(state.spikes))
        self.step, self._position = state.step, state.position
        self._tokens_seen = state.tokens_seen
        self.reports = list(state.reports)
        self.validation = list(state.validation)

    def _roll_back(self, snapshot: TrainingState) -> None:
        """Back to the snapshot, but without the batches of the spike."""
        after = self._spikes
        self._restore(snapshot)
        self._spikes = after.rolled_back(self._spikes)

    def _next_batch(self) -> int:
        """The number of the next batch of the data, from 1."""
        batch = self._position + 1
        while batch in self._spikes.left_out:
            batch += 1
        return batch

    def _validate(self) -> None:
        """Measure the losses of what is held out, in nats per token."""
        if not self._held_out:
            return
        losses = {
            name: self._forward.loss_of(rows, VALIDATION_ROWS, self.recipe.batch_size)
            for name, rows in self._held_out.items()
        }
        self.validation.append(ValidationPoint(self.step, losses))

    def _load(self, batch: int) -> list[MicroBatch]:
        """This rank's micro-batches of a batch, on the device."""
        sources, rows = self._order.rows(batch)
        return micro_batches(
            self._sources,
            sources,
            rows,
            self._mine,
            self.recipe.micro_batches,
            self._device,
            documents_apart=self.recipe.documents_apart,
        )

    def _one_step(
        self, micros: list[MicroBatch], batch: int, began: float, wait: float
    ) -> tuple[StepReport, Verdict]:
        """One optimiser step on one batch, and whether its update was applied."""
        recipe, step = self.recipe, self.step + 1
        self._forward.begin_step(step)
        losses = StepLosses(
            self._forward, self._ranks, recipe, micros, step=step, first=self._mine[0]
        )
        self._optimizer.zero_grad()
        if self._optimizer.sharded:
            for number in range(len(micros)):
                losses.backward(number)
        else:
            add_as_tree(losses.backward, range(len(micros)), self._optimizer.parameters)
            self._ranks.sum_gradients(self._optimizer.parameters)
        plain, weighted, weights, selected, tokens = losses.totals()
        norm = self._optimizer.clip(recipe.gradient_clip)
        self._spikes, verdict = judge_step(self._spike_rule, self._spikes, batch, plain, norm)
        if verdict.action == "stop":
            self._optimizer.zero_grad()
            raise FloatingPointError(
                f"step {step}: {verdict.reason.partition(': ')[2]} (learning rate "
                f"{learning_rate_at(step, recipe):g}, batch {batch} of the data)"
            )
        if verdict.action == "go_on":
            self._optimizer.step(learning_rate_at(step, recipe))
            self._forward.end_step(losses.targets(), losses.scored)
        else:
            self._optimizer.zero_grad()
        self.step, self._position = step, batch
        self._tokens_seen += tokens
        report = StepReport(
            step=step,
            loss=plain,
            weighted_loss=weighted,
            learning_rate=learning_rate_at(step, recipe),
            gradient_norm=norm,
            tokens_seen=self._tokens_seen,
            effective_sample_size=effective_sample_size(weights),
            tokens_per_second=tokens / max(time.perf_counter() - began, 1e-9),
            selected_share=selected,
            data_wait_seconds=wait,
            skipped=verdict.action != "go_on",
        )
        return report, verdict
