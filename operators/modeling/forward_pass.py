"""From a micro-batch to the loss of each token, by every switch that a recipe has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from operators.modeling.attention_to_prompt import AttentionToPrompt
from operators.modeling.cross_entropy import chunked_token_losses
from operators.modeling.decoder import decoder_of
from operators.modeling.losses import token_losses
from operators.modeling.micro_batches import MicroBatch, micro_batches
from operators.modeling.multi_token import ExtraHeads, multi_token_losses
from operators.modeling.objectives import make_objective
from operators.modeling.random_ltd import (
    KeptTokens,
    TokenDropping,
    random_layer_token_dropping,
)
from operators.modeling.recipe import TrainingRecipe
from operators.modeling.token_rows import TokenRows
from operators.weighting.history import ParameterHistory
from operators.weighting.token_selection import prompt_positions

# Architectures whose logits are the last hidden states times the unembedding, and nothing else.
_PLAIN_HEADS = ("llama", "mistral", "qwen2")
# From so many logits a token on they are not kept, but made chunk by chunk: that takes a fraction
# of the memory, and on a CPU some more time.
LARGE_VOCABULARY = {"cpu": 65536, "cuda": 8192}


@dataclass(frozen=True)
class TokenLosses:
    """Losses of a micro-batch, ``[b, t]`` in nats, laid out as `token_losses` does.

    Attributes:
        plain: cross-entropy, to be told and to be weighed by.
        trained: what is minimised; the same tensor where the objective is cross-entropy.
        attention: what each token gives to the prompt, where a selection asks for it.
    """

    plain: Tensor
    trained: Tensor
    attention: Tensor | None = None


class ForwardPass(nn.Module):
    """A model as it is trained: with its extra heads, dropped tokens, masks and objective.

    Attributes:
        model: the model itself, which stays an ordinary one.
        loss_factor: by which losses are multiplied before the backward pass.
    """

    def __init__(self, model: nn.Module, recipe: TrainingRecipe) -> None:
        super().__init__()
        self.model = model
        self.recipe = recipe
        self.loss_factor = 1.0
        if recipe.activation_checkpointing:
            model.gradient_checkpointing_enable(  # type: ignore[operator]
                gradient_checkpointing_kwargs={"use_reentrant": False}
            )
        self._needs_attention = recipe.selection == "sstoken" and recipe.selection_gamma < 1
        self._history: ParameterHistory | None = None
        self._objective = make_objective(model, recipe)
        self.future = (
            ExtraHeads(model, recipe.future_tokens, seed=recipe.seed)
            if recipe.future_tokens > 1
            else None
        )
        self._dropping: TokenDropping | None = None
        self._kept: KeptTokens | None = None
        # Not submodules: their parameters are those of the model.
        self._calls: tuple[Any, ...] = (torch.compile(model) if recipe.compile else model,)
        self._decoders: tuple[Any, ...] = ()
        self._step = 0

    @contextmanager
    def dropping_tokens(self, width: int) -> Iterator[None]:
        """While this is open, middle layers see some of the tokens only, where the recipe says so.

        Args:
            width: of the longest row.
        """
        least = self.recipe.ltd_min_tokens
        if least is None:
            yield
            return
        self._kept = KeptTokens(
            minimum=least,
            maximum=width,
            steps=max(1, self.recipe.ltd_steps),
            increment=self.recipe.ltd_increment,
        )
        with random_layer_token_dropping(self.model) as self._dropping:
            yield
        self._dropping = None

    def begin_step(self, step: int) -> None:
        """Say which step follows, counted from 1."""
        self._step = step
        if self._dropping is not None and self._kept is not None:
            self._dropping.kept = self._kept.after(step - 1)

    @property
    def remembers_targets(self) -> bool:
        """Whether `end_step` needs the targets of the whole batch."""
        return self.recipe.objective == "gradient_gating"

    def end_step(self, targets: Tensor | None, scored: Tensor) -> None:
        """Take the step's weights and targets into what follows them."""
        if self._history is not None:
            self._history.update(self.model)
        if self._objective is not None and targets is not None:
            self._objective.end_step(targets, scored)

    def forward(self, micro: MicroBatch, number: int | None) -> TokenLosses:
        """Losses of a micro-batch, by the recipe or, to validate, by the model alone.

        Both are this one call: sharded weights are whole inside of it only.

        Args:
            micro: what the losses are of.
            number: counts those of the step, over all workers; None validates.
        """
        if number is None:
            logits = self.model(**self._arguments(micro)).logits
            plain = token_losses(logits, micro.targets, ~micro.scored)
            return TokenLosses(plain, plain)
        # Dropout and dropped tokens follow from where in the run this is, not from what ran before.
        words = np.random.SeedSequence([self.recipe.seed, self._step, number])
        seed = int(words.generate_state(1, np.uint64)[0] >> np.uint64(1))
        torch.manual_seed(seed)
        if self._dropping is not None:
            self._dropping.generator.manual_seed(seed)
        device = micro.targets.device.type
        with ExitStack() as stack:
            watched = (
                stack.enter_context(AttentionToPrompt(self.model))
                if self._needs_attention
                else None
            )
            stack.enter_context(
                torch.autocast(device, torch.bfloat16, enabled=self.recipe.precision == "bfloat16")
            )
            plain, trained = self._losses(micro)
            attention = None if watched is None else watched.shares(prompt_positions(micro.scored))
        return TokenLosses(plain, trained, attention)

    def history_losses(self, micro: MicroBatch) -> Tensor | None:
        """Losses of what the model is compared with: those stored, or of its own average."""
        if micro.reference_losses is not None or self.recipe.selection != "sstoken":
            return micro.reference_losses
        if self._history is None:
            self._history = ParameterHistory(self.model, self.recipe.history_decay)
        with torch.no_grad():
            logits = self._history.model(**self._arguments(micro)).logits
            return token_losses(logits, micro.targets, ~micro.scored)

    @torch.no_grad()
    def loss_of(self, rows: TokenRows, most: int, batch_size: int) -> float:
        """Mean loss of the first rows, in nats per scored token, in evaluation mode."""
        device = next(self.model.parameters()).device
        count = min(most, len(rows))
        was_training = self.model.training
        self.model.eval()
        total, scored = 0.0, 0
        for first in range(0, count, batch_size):
            taken = np.arange(first, min(first + batch_size, count))
            (micro,) = micro_batches(
                [rows], np.zeros_like(taken), taken, range(1), 1, device,
                documents_apart=self.recipe.documents_apart,
            )  # fmt: skip
            losses = self(micro, None).plain
            total += float(losses.double().sum())
            scored += int(micro.scored.sum())
        self.model.train(was_training)
        return total / max(1, scored)

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs beside the parameters."""
        made: dict[str, Any] = {}
        if self._history is not None:
            made["history"] = {n: t.detach().clone() for n, t in self._history.state_dict().items()}
        if self._objective is not None:
            made["objective"] = self._objective.state_dict()
        return made

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put back what `state` gave."""
        if "history" in state:
            self._history = ParameterHistory(self.model, self.recipe.history_decay)
            self._history.load_state_dict(state["history"])
        if self._objective is not None:
            self._objective.load_state_dict(state["objective"])

    def _losses(self, micro: MicroBatch) -> tuple[Tensor, Tensor]:
        arguments = self._arguments(micro)
        (call,) = self._calls
        if self.future is not None:
            # Of all heads; the first is the model's own, and what is told.
            losses = multi_token_losses(
                self.model,
                self.future,
                arguments.pop("input_ids"),
                ~micro.scored,
                **{name: arguments[name] for name in arguments.keys() - {"use_cache"}},
            )
            return losses[0], losses.sum(dim=0)
        if self._objective is not None:
            return self._objective(call, arguments, micro.targets, micro.scored)
        if self._has_large_plain_head(micro.targets.device.type):
            if not self._decoders:
                # That of a compiled model would be the decoder as it was, not compiled.
                decoder = decoder_of(self.model)
                self._decoders = (torch.compile(decoder) if self.recipe.compile else decoder,)
            (decode,) = self._decoders
            hidden = decode(**arguments).last_hidden_state
            head: Any = self.model.get_output_embeddings()  # type: ignore[operator]
            plain = chunked_token_losses(hidden, head.weight, micro.targets, ~micro.scored)
            return plain, plain
        plain = token_losses(call(**arguments).logits, micro.targets, ~micro.scored)
        return plain, plain

    def _arguments(self, micro: MicroBatch) -> dict[str, Any]:
        """What the model is called with. There is no mask for padding: it stands on the right."""
        arguments: dict[str, Any] = {"input_ids": micro.input_ids, "use_cache": False}
        if micro.documents is not None:
            arguments["position_ids"] = micro.documents.positions
            arguments["attention_mask"] = micro.documents.attention_mask()
        return arguments

    def _has_large_plain_head(self, device: str) -> bool:
        config = getattr(self.model, "config", None)
        return getattr(config, "model_type", None) in _PLAIN_HEADS and getattr(
            config, "vocab_size", 0
        ) >= LARGE_VOCABULARY.get(device, 65536)
