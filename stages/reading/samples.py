"""Corpora that come with this project."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path

from stages.content_hash import hash_content
from stages.reading.records import Read
from stages.reading.source import Source

SAMPLES = {"parallel": "parallel_corpus"}


class SampleSource(Source):
    """A corpus that comes with this project: one sentence a line, versions share a group."""

    def _file(self) -> Path:
        name = self.url.removeprefix("sample://").strip("/")
        if name not in SAMPLES:
            raise ValueError(f'there is no sample "{name}"; there is: {", ".join(SAMPLES)}')
        return Path(str(resources.files("stages") / SAMPLES[name] / "documents.jsonl"))

    def hashes(self) -> Mapping[str, str]:
        return {self.url: hash_content(self._file().read_bytes())}

    def documents(self) -> Iterator[Read]:
        for line in self._file().read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            text = "\n".join(row["sentences"])
            yield Read(row["id"], text, self.url, row["language"], row["group"])


def sample_gold(name: str) -> Path:
    """The hand-made sentence alignment of a sample."""
    return Path(str(resources.files("stages") / SAMPLES[name] / "gold.jsonl"))
