"""What a source is: one entry of `sources:`, as files to hash and documents to read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping

from stages.reading.records import Bad, Columns, Limits, Read


class Source(ABC):
    """One entry of `sources:`."""

    def __init__(
        self,
        url: str,
        columns: Columns,
        max_files: int | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.url, self.columns, self.max_files = url, columns, max_files
        self.limits = limits or Limits()

    @abstractmethod
    def hashes(self) -> Mapping[str, str]:
        """Address of each file -> hash of its content."""

    @abstractmethod
    def documents(self) -> Iterator[Read | Bad]:
        """All documents and what was bad, in an order that depends on the content alone."""
