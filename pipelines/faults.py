"""The fault switch: things go wrong on purpose, so that tests can show that nothing is lost.

    TOKENMILL_FAULTS="kill_worker=0.05,raise=0.02,tracker_down=0.1,slow=0.05"
    TOKENMILL_FAULTS_SEED=7

Whether a fault strikes is a draw from a hash of the seed and of what it would strike, so the same
seed gives the same faults in every process. Without the variable nothing is drawn.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

KINDS = {
    "kill_worker": "a worker kills its own process as it takes up a task",
    "raise": "a task raises an exception, as a stage's own code might",
    "slow": "a task sleeps for up to two seconds before it begins",
    "tracker_down": "the connection to the tracking server breaks, before or after the request",
}
LONGEST_SLEEP = 2.0


class FaultInjected(Exception):
    """Raised on purpose by the fault switch."""


@dataclass(frozen=True)
class Faults:
    """Which faults strike, and how often: a probability a kind."""

    probabilities: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0

    def strikes(self, kind: str, *names: object) -> bool:
        """Whether the fault `kind` strikes what is called `names`."""
        probability = self.probabilities.get(kind, 0.0)
        return probability > 0 and self.draw(kind, *names) < probability

    def draw(self, *names: object) -> float:
        """A number from 0 (included) to 1 (not included), the same for the same names."""
        text = repr((self.seed, *(str(name) for name in names)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def active_faults() -> Faults:
    """The faults that the environment asks for.

    Raises:
        ValueError: it asks for what there is not; the message says what there is.
    """
    return _parse(
        os.environ.get("TOKENMILL_FAULTS", ""), os.environ.get("TOKENMILL_FAULTS_SEED", "0")
    )


@lru_cache(maxsize=8)
def _parse(text: str, seed: str) -> Faults:
    if not text.strip():
        return Faults()
    if not seed.strip().lstrip("-").isdigit():
        raise ValueError(f'TOKENMILL_FAULTS_SEED should be a whole number, and is "{seed}"')
    probabilities: dict[str, float] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        kind, equals, amount = (part.strip() for part in item.partition("="))
        if kind not in KINDS:
            known = ", ".join(KINDS)
            raise ValueError(f'TOKENMILL_FAULTS: there is no fault "{kind}"; there are {known}')
        try:
            probability = float(amount) if equals else -1.0
        except ValueError:
            probability = -1.0
        if not 0 <= probability <= 1:
            raise ValueError(
                f'TOKENMILL_FAULTS: "{item}" should be {kind}=PROBABILITY, from 0 to 1'
            )
        probabilities[kind] = probability
    return Faults(probabilities, int(seed))


def suffer(*names: object, attempt: object) -> None:
    """What befalls a task as it is taken up; each attempt at it is a draw of its own.

    Raises:
        FaultInjected: the fault `raise` struck.
    """
    faults = active_faults()
    if not faults.probabilities:
        return
    if faults.strikes("slow", *names, attempt):
        time.sleep(0.2 + (LONGEST_SLEEP - 0.2) * faults.draw("how slow", *names, attempt))
    if faults.strikes("kill_worker", *names, attempt):
        os.kill(os.getpid(), signal.SIGKILL)
    if faults.strikes("raise", *names, attempt):
        raise FaultInjected(f"a fault on purpose ({', '.join(map(str, names))}, try {attempt})")
