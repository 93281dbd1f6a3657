"""What preference training took away from the responses that it was to make likelier."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stages.compute_settings import ComputeSettings
from stages.contract import Artifact, Context, Field, Input, Kind, Output, Sink, Stage
from stages.kinds import METRICS
from stages.table_columns import check_columns
from stages.tokenizer_files import end_of_text_id, load_tokenizer
from stages.training_pairs import COLUMNS

if TYPE_CHECKING:
    from operators.evaluation.displacement import Displacement


class LikelihoodDisplacement(Stage):
    """Whether preference training made chosen responses less likely while margins grew.

    Razin et al. 2025: the probability of both responses falls, that of the rejected one faster, and
    goes to something else. `others` names a column of further answers, whose mass then shows
    whether it was they that won.
    """

    word = "evaluation.displacement"
    libraries = ("torch", "transformers")

    class Config(ComputeSettings):
        beta: float = Field(
            0.1, gt=0, allow_inf_nan=False, description="of the training: margin and loss of DPO"
        )
        others: str | None = Field(
            None, description="a column of the pairs with a list of further answers a row"
        )
        batch_size: int = Field(16, ge=1, description="windows in a forward pass")

    inputs = {
        "before": Input(Kind.MODEL, "the model before preference training, with its tokenizer"),
        "after": Input(Kind.MODEL, "the model after it, of the same tokens"),
        "pairs": Input(Kind.DOCUMENTS, "documents with prompt, chosen and rejected"),
    }
    outputs = {
        "scores": Output(
            Kind.METRICS, "log-probabilities (nats) and margins by pair, before and after; "
            "displaced 0 or 1",
        )
    }  # fmt: skip

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.evaluation.displacement import Displacement

        tokenizers = [load_tokenizer(inputs[name]) for name in ("before", "after")]
        if list(tokenizers[0].tokens) != list(tokenizers[1].tokens):
            raise ValueError(
                "the models before and after have different vocabularies: their log-probabilities "
                "are not of the same tokens"
            )
        table = inputs["pairs"].table()
        others = [self.config.others] if self.config.others else []
        check_columns(table, [*COLUMNS, *others], "pairs")
        rows = table.to_pylist()
        if not rows:
            raise ValueError("there is no pair to measure displacement on")
        said = [self._said(inputs[name], rows, context) for name in ("before", "after")]
        (chosen, rejected, others), (chosen_after, rejected_after, others_after) = said
        found = Displacement(chosen, chosen_after, rejected, rejected_after)
        columns = _columns(found, self.config.beta)
        if self.config.others:
            columns |= {"others_log_probability_before": others,
                        "others_log_probability": others_after}  # fmt: skip
        outputs["scores"].write(
            pa.Table.from_pylist(
                [
                    {"id": row["id"], "metric": name, "value": float(value), "weight": 1.0,
                     "group": row["language"]}
                    for name, values in columns.items()
                    for row, value in zip(rows, values, strict=True)
                    if math.isfinite(value)  # a row without further answers has no mass of them
                ],
                METRICS,
            )
        )  # fmt: skip
        for name, values in columns.items():
            finite = np.asarray(values, float)[np.isfinite(values)]
            if len(finite):
                context.metric(
                    "displaced_share" if name == "displaced" else name, float(finite.mean())
                )
        context.metric("pairs", len(rows))

    def _said(
        self, artifact: Artifact, rows: Sequence[Mapping[str, Any]], context: Context
    ) -> tuple[Any, Any, Any]:
        """Log-probabilities of chosen and rejected responses, and of the others of a row."""
        from operators.evaluation.displacement import log_mass, response_log_probabilities
        from operators.modeling import load_model

        config = self.config
        model = load_model(str(artifact.folder()), config.device).float()
        tokenizer = load_tokenizer(artifact)
        length = int(model.config.max_position_embeddings)

        def scored(prompts: Sequence[str], responses: Sequence[str]) -> Any:
            return response_log_probabilities(
                model,
                tokenizer.encode_batch(list(prompts)),
                tokenizer.encode_batch(list(responses)),
                context_length=length,
                end_of_text=end_of_text_id(tokenizer),
                batch_size=config.batch_size,
                device=config.device,
                threads=config.threads,
            )

        prompts = [row["prompt"] for row in rows]
        chosen = scored(prompts, [row["chosen"] for row in rows])
        rejected = scored(prompts, [row["rejected"] for row in rows])
        further = [row[config.others] or [] if config.others else [] for row in rows]
        counts = [len(answers) for answers in further]
        each = scored(
            [row["prompt"] for row, count in zip(rows, counts, strict=True) for _ in range(count)],
            [answer for answers in further for answer in answers],
        )
        parts = np.split(each, np.cumsum(counts)[:-1])
        context.progress(len(rows), len(rows), "pairs")
        return chosen, rejected, np.array([log_mass(part) for part in parts])


def _columns(found: Displacement, beta: float) -> dict[str, Any]:
    return {
        "chosen_log_probability_before": found.chosen_before,
        "chosen_log_probability": found.chosen_after,
        "rejected_log_probability_before": found.rejected_before,
        "rejected_log_probability": found.rejected_after,
        "margin_before": found.margin_before,
        "margin": found.margin_after,
        "chosen_change": found.chosen_change,
        "margin_change": found.margin_change,
        "reward_margin": found.reward_margin(beta),
        "dpo_loss": found.dpo_loss(beta),
        "displaced": found.displaced.astype(float),
    }
