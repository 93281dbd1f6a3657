"""Data sets of the `datasets` library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from stages.content_hash import local_hashes
from stages.reading.records import Bad, Columns, Limits, Read, from_row
from stages.reading.source import Source


class HubSource(Source):
    """A data set of the `datasets` library, from the hub or from a local folder.

    `hf://NAME` or `hf://NAME/CONFIG`; a local folder begins with `.` or `/`. The split is `train`
    unless the URL ends in `?split=NAME`.
    """

    def __init__(
        self,
        url: str,
        columns: Columns,
        max_files: int | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(url, columns, max_files, limits)
        name, _, query = url.removeprefix("hf://").partition("?")
        self._split = "train"
        for pair in filter(None, query.split("&")):
            key, _, value = pair.partition("=")
            if key != "split":
                raise ValueError(f'"{url}": unknown option "{key}"; known is split')
            self._split = value
        self._local = name.startswith((".", "/"))
        if self._local:
            self._path, self._config = name, None
        else:
            parts = name.split("/")
            # A hub name is owner/name; a third part is the configuration.
            self._path = "/".join(parts[:2])
            self._config = parts[2] if len(parts) > 2 else None

    def hashes(self) -> Mapping[str, str]:
        if self._local:
            folder = Path(self._path)
            if not folder.is_dir():
                raise FileNotFoundError(f'the source "{self.url}" is no folder')
            files = sorted(p for p in folder.rglob("*") if p.is_file())
            return {str(path): digest for path, digest in local_hashes(files).items()}
        from huggingface_hub import HfApi

        # The hub's own commit of the data set: exact, and one small request.
        return {self.url: str(HfApi().dataset_info(self._path).sha)}

    def documents(self) -> Iterator[Read | Bad]:
        from datasets import load_dataset

        rows = load_dataset(self._path, self._config, split=self._split)
        for number, row in enumerate(rows, start=1):
            place = f"{self.url}#{number}"
            yield from_row(place, place, self.url, row, self.columns, self.limits)
