"""Minimal pairs from files in the format of BLiMP, as tasks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import PurePath
from typing import Any

import pyarrow as pa

from stages.contract import Context, Field, Kind, Output, Sink, Stage, StageConfig
from stages.kinds import TASKS
from stages.reading.files import JSON_LINES, FileSource
from stages.reading.records import Bad, Columns, Limits, beginning
from stages.reading.streams import COMPRESSIONS, bounded_lines, opened, plain_name
from stages.reading.text import LOOKED_AT, binary_fault, decoded_line

# A line of a pair of sentences; above that, a file is something else.
_LINE_LIMITS = Limits(max_bytes=2**20)


class PairFiles(FileSource):
    """JSON lines on any fsspec filesystem."""

    endings = (*JSON_LINES, *(name + end for name in JSON_LINES for end in COMPRESSIONS))

    def lines(self) -> Iterator[tuple[str, int, str]]:
        """Address, number (from 1) and text of every line that is not blank, file by file.

        Raises:
            ValueError: a file that is no UTF-8 text, or a line of no sensible length.
        """
        for path in self._infos():
            address = self._address(path)
            with opened(self._filesystem, path) as stream:
                for line in bounded_lines(stream, _LINE_LIMITS.max_bytes):
                    bad = binary_fault(address, line.content[:LOOKED_AT])
                    text = bad or decoded_line(address, line, _LINE_LIMITS)
                    if isinstance(text, Bad):
                        raise ValueError(text.message)
                    if text.strip():
                        yield address, line.number, text


class MinimalPairs(Stage):
    """Minimal pairs in the format of BLiMP: two sentences, and which of them is good English.

    Warstadt et al. 2020 (TACL). Each line is a task with an empty prompt; its choices are the two
    sentences, the good one first. A line that is no pair ends the stage: scores of a set with gaps
    cannot be compared with those of others. The trivial rule is to take the shorter sentence.
    """

    word = "tasks.minimal_pairs"

    class Config(StageConfig):
        sources: list[str] = Field(
            min_length=1,
            description="files and globs of JSON lines on any filesystem, also compressed",
        )
        task: str = Field("blimp", min_length=1, description="what the task is called in scores")
        good_field: str = Field("sentence_good", description="field with the good sentence")
        bad_field: str = Field("sentence_bad", description="field with the bad one")
        paradigm_field: str | None = Field(
            "UID", description="field with the paradigm, the `group`; null: the name of the file"
        )
        pairs: int | None = Field(
            None, ge=1, description="of each paradigm at most, drawn by their ids; default all"
        )

    outputs = {"tasks": Output(Kind.TASKS, "one row a pair: no prompt, two choices, gold 0")}

    def sources(self) -> Mapping[str, str]:
        hashes: dict[str, str] = {}
        for url in self.config.sources:
            hashes.update(PairFiles(url, Columns()).hashes())
        return hashes

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        by_paradigm: dict[str, list[dict[str, Any]]] = {}
        places: dict[str, str] = {}
        for url in self.config.sources:
            for address, number, text in PairFiles(url, Columns()).lines():
                place = f"{address}:{number}"
                row = self._row(place, address, number, text)
                if row["id"] in places:
                    raise ValueError(
                        f'{place}: the pair "{row["id"]}" is at {places[row["id"]]} already; give '
                        "each pair of a paradigm its own pairID, and each file once"
                    )
                places[row["id"]] = place
                by_paradigm.setdefault(row["group"], []).append(row)
        if not places:
            raise ValueError(f"there is no pair in {', '.join(self.config.sources)}")
        kept = [row for rows in by_paradigm.values() for row in self._drawn(rows)]
        outputs["tasks"].write(pa.Table.from_pylist(kept, TASKS))
        context.metric("pairs", len(kept))
        context.metric("paradigms", len(by_paradigm))
        # BLiMP has some: nothing can tell them apart, so they are ties.
        same = sum(row["choices"][0] == row["choices"][1] for row in kept)
        context.metric("identical_pairs", same)

    def _row(self, place: str, address: str, number: int, text: str) -> dict[str, Any]:
        config = self.config
        pair = _object(place, text)
        good, bad = (_text(place, pair, name) for name in (config.good_field, config.bad_field))
        if config.paradigm_field is None:
            paradigm = PurePath(plain_name(address)).stem
        else:
            paradigm = _text(place, pair, config.paradigm_field)
        shorter = None if len(good) == len(bad) else int(len(bad) < len(good))
        return {
            "id": f"{config.task}:{paradigm}:{pair.get('pairID', number)}",
            "task": config.task,
            "group": paradigm,
            "prompt": "",
            "choices": [good, bad],
            "gold": 0,
            "baseline": shorter,
        }

    def _drawn(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """So many rows as are wanted, in their order in the file."""
        if self.config.pairs is None or len(rows) <= self.config.pairs:
            return rows
        order = sorted(rows, key=lambda row: blake2b(row["id"].encode()).digest())
        taken = {row["id"] for row in order[: self.config.pairs]}
        return [row for row in rows if row["id"] in taken]


def _object(place: str, text: str) -> dict[str, Any]:
    try:
        pair = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f'{place}: "{beginning(text)}" is not valid JSON ({error}); mend or remove the line'
        ) from error
    if not isinstance(pair, dict):
        raise ValueError(
            f'{place}: "{beginning(text)}" is not a JSON object; write one pair a line, as '
            '{"sentence_good": ..., "sentence_bad": ..., "UID": ...}'
        )
    return pair


def _text(place: str, pair: Mapping[str, Any], name: str) -> str:
    if name not in pair:
        raise ValueError(
            f'{place}: has no field "{name}"; it has {", ".join(pair) or "none"}: name the right '
            "one in the settings of the stage"
        )
    value = pair[name]
    if not isinstance(value, str) or not value.strip():
        raise ValueError(
            f'{place}: its "{name}" is {json.dumps(value)[:200]}, but must be a text that is not '
            "blank; mend or remove the line"
        )
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f'{place}: its "{name}" is no Unicode text ({error}); mend or remove the line'
        ) from error
    return value
