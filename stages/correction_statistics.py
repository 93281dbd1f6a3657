"""How languages are mixed in code-switched sentences, beside how real learners mix them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from stages.contract import (
    Context,
    Field,
    Input,
    Kind,
    Output,
    Sink,
    Stage,
    StageConfig,
)
from stages.correction_switching import with_column
from stages.kinds import METRICS

if TYPE_CHECKING:
    pass


class Statistics(Stage):
    """How the languages are mixed: share of the second one and switch points, beside real learners.

    Both are counted in tokens of the correct sentence; where words are written without spaces, a
    translated phrase is one token.
    """

    word = "correction.statistics"

    class Config(StageConfig):
        learners: Literal["zho", "kor", "jpn"] = Field(
            "zho", description="first language of the learners to compare with (Chan et al. 2024)"
        )

    inputs = {"bitext": Input(Kind.BITEXT, "code-switched sentences, of correction.code_switch")}
    outputs = {
        "statistics": Output(
            Kind.METRICS, "l2_ratio and switch_points by sentence (weight: tokens), and over all"
        )
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.correction import LEARNERS, switch_points
        from operators.plotting import histogram_with_density

        target = LEARNERS[self.config.learners]
        rows: list[dict[str, Any]] = []
        ratios, points = [], []
        for row in with_column(inputs["bitext"].table(), "switches").to_pylist():
            tags = [False] * len(row["target_text"].split())
            for switch in row["switches"]:
                tags[switch["start"] : switch["end"]] = [True] * (switch["end"] - switch["start"])
            ratios.append(sum(tags) / max(1, len(tags)))
            points.append(switch_points(tags))
            for metric, value in (("l2_ratio", ratios[-1]), ("switch_points", points[-1])):
                rows.append(
                    {"id": row["id"], "metric": metric, "value": float(value),
                     "weight": float(len(tags)), "group": self.config.learners}
                )  # fmt: skip
        if not ratios:
            raise ValueError(
                "there is no code-switched sentence to count; the phrase table may know too little"
            )
        summary = {
            "l2_ratio_mean": float(np.mean(ratios)),
            "l2_ratio_std": float(np.std(ratios)),
            "target_mean": target.ratio,
            "target_std": target.english_std,
            "target_density": float(np.mean([target.density(ratio) for ratio in ratios])),
            "switch_points_mean": float(np.mean(points)),
        }
        for metric, value in summary.items():
            rows.append({"id": "all", "metric": metric, "value": round(value, 12),
                         "weight": float(len(ratios)), "group": self.config.learners})  # fmt: skip
            context.metric(metric, value)
        outputs["statistics"].write(pa.Table.from_pylist(rows, METRICS))
        context.figure(
            "l2_ratio",
            histogram_with_density(
                ratios,
                target.density,
                bins=20,
                title="Share of the second language in a sentence",
                xlabel="share of tokens",
                label=f"learners ({self.config.learners})",
            ),
        )
