"""Rows as they are read, written shard by shard; what could not be read, set aside and counted."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa

from stages.contract import Context, Sink
from stages.kinds import DROPPED
from stages.reading.records import Bad

# A shard ends at so many characters too: large documents must not add up in memory.
SHARD_CHARACTERS = 64 * 2**20
SHOWN_REASONS = 5


class Written:
    """Rows on their way into shards of an output; in memory is one shard at most."""

    def __init__(self, sink: Sink, schema: pa.Schema, shard_rows: int) -> None:
        self.rows = 0
        self._sink, self._schema, self._shard_rows = sink, schema, shard_rows
        self._waiting: list[dict[str, Any]] = []
        self._characters = 0

    def add(self, row: dict[str, Any], characters: int) -> None:
        self.rows += 1
        self._waiting.append(row)
        self._characters += characters
        if len(self._waiting) == self._shard_rows or self._characters >= SHARD_CHARACTERS:
            self._flush()

    def end(self) -> None:
        """Write the rest; an output without rows still has a shard, and so a schema."""
        if self._waiting or not self.rows:
            self._flush()

    def _flush(self) -> None:
        self._sink.write(pa.Table.from_pylist(self._waiting, self._schema))
        self._waiting, self._characters = [], 0


class Quarantine:
    """Bad input: dropped with its reason, or an error at once, as the settings say."""

    def __init__(self, sink: Sink, config: Any) -> None:
        self._fails = config.on_bad_input == "fail"
        self._most = config.max_bad_fraction
        self._written = Written(sink, DROPPED, config.shard_rows)
        self._reasons: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self._ids: Counter[str] = Counter()

    def add(self, bad: Bad) -> None:
        if self._fails:
            raise ValueError(bad.message)
        self._reasons[bad.reason] += 1
        self._first.setdefault(bad.reason, bad.message)
        self._written.add(
            {"id": bad.id, "source": bad.source, "reason": bad.reason, "value": bad.value,
             "text": bad.text},
            len(bad.text),
        )  # fmt: skip

    def end(self, good: int, context: Context) -> None:
        """Check the share of what was bad, and tell how much there was of each kind.

        Raises:
            ValueError: more than the allowed share; the first message of each reason is named.
        """
        bad = self._written.rows
        if bad and bad > self._most * (good + bad):
            told = [
                f"{reason} ({count}): {self._first[reason]}"
                for reason, count in self._reasons.most_common(SHOWN_REASONS)
            ]
            raise ValueError(
                f"{bad} of {good + bad} could not be read, above max_bad_fraction {self._most:g}: "
                + "; ".join(told)
            )
        self._written.end()
        context.metric("bad_input", bad)
        for reason, count in sorted(self._reasons.items()):
            context.metric(f"bad_input.{reason}", count)
