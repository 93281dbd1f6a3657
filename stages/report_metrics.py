"""What is known of the metrics that arms are compared in: which way is better, and in what unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Better = Literal["lower", "higher"]


@dataclass(frozen=True)
class Measure:
    """A metric as a report speaks of it.

    Attributes:
        name: as the scores call it.
        better: which way is better.
        unit: of a difference; empty where it is a plain number.
        by_token: counts tokens, which are not the same thing for another tokenizer.
    """

    name: str
    better: Better
    unit: str = ""
    by_token: bool = False

    @property
    def title(self) -> str:
        return self.name.replace("_", " ")

    def difference(self, value: float) -> str:
        """A difference with its sign and unit."""
        return f"{value:+.4f}" + (f" {self.unit}" if self.unit else "")


_KNOWN = (
    Measure("bits_per_byte", "lower", "bits per byte"),
    Measure("exact_bits_per_byte", "lower", "bits per byte"),
    Measure("token_bits_per_byte", "lower", "bits per byte"),
    Measure("loss_by_frequency", "lower", "nats a token", by_token=True),
    Measure("macro_loss_by_frequency", "lower", "nats a token", by_token=True),
    Measure("accuracy", "higher"),
    Measure("log_probability", "higher", "nats"),
    Measure("margin", "higher", "nats"),
    Measure("wer", "lower"),
    Measure("cer", "lower"),
    Measure("error_rate", "lower"),
    Measure("f1", "higher"),
    Measure("bleu", "higher"),
    Measure("chrf", "higher"),
)
KNOWN = {measure.name: measure for measure in _KNOWN}


def measure_of(name: str, better: Literal["auto", "lower", "higher"]) -> Measure:
    """What to say of a metric.

    Raises:
        ValueError: nobody knows which way it is better.
    """
    known = KNOWN.get(name)
    if better != "auto":
        return Measure(name, better, *((known.unit, known.by_token) if known else ()))
    if known is None:
        raise ValueError(
            f'whether less or more of "{name}" is better is not known: say it with '
            f"`better: lower` or `better: higher`"
        )
    return known
