"""Artifacts on any fsspec filesystem: written under an attempt, committed by one manifest.

    STORE/shards/TYPE/KEY/ATTEMPT/OUTPUT/part-00000.arrow   what a stage writes, while it writes
    STORE/artifacts/DIGEST/manifest.json    written once, last: now the artifact exists
    STORE/results/KEY.json                  which artifacts a planned stage made, and how
    STORE/index/...                         pointers to results, for `why` and `pinned`

All addresses inside the store are relative to it, so a store can be moved. Manifests and results
are created, never overwritten: when two runs make the same artifact at the same time, the first
manifest stands, the other run uses it and removes its own shards.
"""

from __future__ import annotations

import json
import os
import posixpath
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.ipc

from pipelines.content import content_digest, id_sums, rows_hash
from pipelines.files import Files, StoreError, checksum_of
from pipelines.identity import FORMAT
from stages.kinds import FILE_KINDS, SCHEMAS, Kind, schema_faults


class TornArtifact(StoreError):
    """A shard or file of an artifact is gone or is not what was written."""

    def __init__(self, digest: str, path: str, reason: str) -> None:
        super().__init__(digest, path, reason)
        self.digest, self.path, self.reason = digest, path, reason

    def __str__(self) -> str:
        return (
            f"shard {self.path} of artifact {self.digest} cannot be used ({self.reason}); "
            "run again to compute it anew"
        )


# What this process has compared with its checksum: opened again and again, it is read once.
_CHECKED: set[tuple[str, str, str]] = set()


@dataclass(frozen=True)
class Part:
    """One shard or file of an artifact.

    Attributes:
        path: under the artifact's location.
        hash: of its content, value by value; of a file that is no rows, of its bytes.
        checksum: of its bytes as they lie in the store.
        ids: sum of the hashes of its rows' ids modulo 2**64, in hexadecimal: equal sums on both
            sides of a stage mean that no row was lost or doubled.
    """

    path: str
    rows: int
    bytes: int
    hash: str
    checksum: str = ""
    ids: str = ""


@dataclass(frozen=True)
class Manifest:
    """What an artifact is and who made it from what."""

    kind: Kind
    digest: str
    location: str
    schema: list[tuple[str, str]]
    parts: list[Part]
    made_by: Mapping[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    @property
    def size(self) -> int:
        return sum(part.bytes for part in self.parts)

    def to_json(self) -> bytes:
        data = {**asdict(self), "rows": self.rows, "bytes": self.size}
        return (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        data = json.loads(text)
        return cls(
            kind=Kind(data["kind"]),
            digest=data["digest"],
            location=data["location"],
            schema=[(name, kind) for name, kind in data["schema"]],
            parts=[Part(**part) for part in data["parts"]],
            made_by=data["made_by"],
            format=data["format"],
        )


class Store:
    """Artifacts and results under one URL. Cheap to make; safe to make in every process."""

    def __init__(self, url: str) -> None:
        """`url` is a local path or anything fsspec can write: s3://bucket/prefix, memory://x."""
        self.files = Files(url)
        self.url = url
        self.verify: Literal["on-open", "always"] = "on-open"

    @property
    def is_local(self) -> bool:
        return self.files.is_local

    def address(self, *parts: str) -> str:
        """The address that other programs open: a plain path where the store is local."""
        return self.files.address(*parts)

    # -- writing ----------------------------------------------------------------------------------

    def new_attempt(self, stage_type: str, key: str) -> str:
        """A prefix of its own for one attempt at computing `key`, that a person can make sense of.

        The beginning of the key is enough: two keys that share it get attempts of their own.
        """
        name = stage_type.replace(":", ".")
        return posixpath.join("shards", name, key[:12], uuid.uuid4().hex[:8])

    def write_rows(self, prefix: str, index: int, kind: Kind, table: pa.Table) -> Part:
        """Write one shard as an Arrow IPC file.

        Raises:
            TypeError: the rows are not of `kind`; the message says which column and why.
        """
        faults = schema_faults(kind, table.schema)
        if faults:
            raise TypeError(f"these rows are no {kind}: " + "; ".join(faults))
        table = table.replace_schema_metadata(None)
        name = f"part-{index:05d}.arrow"
        with (
            self.files.writing(posixpath.join(prefix, name)) as file,
            pa.ipc.new_file(file, table.schema) as writer,
        ):
            writer.write_table(table)
        _, ids = id_sums(table)
        return Part(name, table.num_rows, file.size, rows_hash(table), file.checksum, f"{ids:016x}")

    def write_files(self, prefix: str, folder: Path) -> list[Part]:
        """Copy a local folder into the store; the parts are in the order of their names."""
        parts = []
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            name = path.relative_to(folder).as_posix()
            file = self.files.put(path, posixpath.join(prefix, name))
            parts.append(Part(name, 0, file.size, file.checksum, file.checksum))
        return parts

    def commit(
        self,
        kind: Kind,
        location: str,
        schema: Sequence[tuple[str, str]],
        parts: Sequence[Part],
        made_by: Mapping[str, Any],
    ) -> Manifest:
        """Make an artifact exist: one conditional write of its manifest.

        Returns the manifest that stands; where the same content was committed before (by this or
        another run), that is the older one, and the new shards are removed.
        """
        # A model's file names are part of it; a shard's are not.
        contents = [f"{p.path}\0{p.hash}" if kind in FILE_KINDS else p.hash for p in parts]
        digest = content_digest(kind, schema, contents)
        manifest = Manifest(kind, digest, location, list(schema), list(parts), made_by)
        path = posixpath.join("artifacts", digest, "manifest.json")
        if self.files.create(path, manifest.to_json()):
            return manifest
        standing = self.manifest(digest)
        if self.faults(standing, contents=True):
            # Its shards were deleted or torn; the ones just written take their place.
            self.files.overwrite(path, manifest.to_json())
            return manifest
        if standing.location != location:
            self.remove(location)
        return standing

    def remove(self, location: str) -> None:
        """Remove shards that no manifest names."""
        self.files.remove(location)

    def condemn(self, digest: str, why: str) -> None:
        """Take an artifact out of use: what is left of it is not what was written.

        Its manifest is set aside under another name, with the reason; the next run that needs the
        artifact computes it anew.
        """
        path = posixpath.join("artifacts", digest, "manifest.json")
        data = self.files.read(path)
        if data is None:
            return
        aside = {**json.loads(data), "condemned": why}
        self.files.overwrite(f"{path}.condemned", json.dumps(aside, indent=1).encode())
        self.files.remove(path)

    def put_result(
        self, key: str, record: Mapping[str, Any], pointers: Sequence[str], *, anew: bool = False
    ) -> None:
        """Record what the planned stage `key` made, and let `pointers` lead to it.

        A sound result that is there already stays, unless this one was asked for anew.
        """
        data = json.dumps(record, ensure_ascii=False).encode()
        path = posixpath.join("results", f"{key}.json")
        if not self.files.create(path, data) and (anew or self.result(key) is None):
            self.files.overwrite(path, data)
        for pointer in pointers:
            self.files.overwrite(posixpath.join("index", pointer), key.encode())

    def point(self, pointer: str, key: str) -> None:
        """Let `pointer` lead to the result of `key`."""
        if self.pointed(pointer) != key:
            self.files.overwrite(posixpath.join("index", pointer), key.encode())

    # -- reading ----------------------------------------------------------------------------------

    def manifest(self, digest: str) -> Manifest:
        """The manifest of an artifact.

        Raises:
            StoreError: there is no such artifact here.
        """
        data = self.files.read(posixpath.join("artifacts", digest, "manifest.json"))
        if data is None:
            raise StoreError(f"there is no artifact {digest} in {self.url}")
        return Manifest.from_json(data)

    def artifacts(self) -> list[Manifest]:
        """Every artifact, by digest."""
        found = []
        for digest in self.files.names("artifacts"):
            data = self.files.read(posixpath.join("artifacts", digest, "manifest.json"))
            if data is not None:  # else its folder is being made, or cleaned away
                found.append(Manifest.from_json(data))
        return found

    def find(self, prefix: str) -> list[Manifest]:
        """The artifacts whose digest begins with `prefix`."""
        return [m for m in self.artifacts() if m.digest.startswith(prefix)]

    def result(self, key: str) -> dict[str, Any] | None:
        """What `key` made, or None where it made nothing or its artifacts are gone or torn.

        Sizes are looked at; with `verify` "always", every byte.
        """
        record = self.record(key)
        if record is None:
            return None
        for digest in record["outputs"].values():
            try:
                if self.faults(self.manifest(digest), contents=self.verify == "always"):
                    return None
            except StoreError:
                return None
        return record

    def record(self, key: str) -> dict[str, Any] | None:
        """What was recorded for `key`, whether or not its artifacts are still there."""
        data = self.files.read(posixpath.join("results", f"{key}.json"))
        return None if data is None else dict(json.loads(data))

    def pointed(self, pointer: str) -> str | None:
        """The key that `pointer` leads to."""
        data = self.files.read(posixpath.join("index", pointer))
        return None if data is None else data.decode()

    def faults(self, manifest: Manifest, *, contents: bool = False) -> list[str]:
        """What is wrong with an artifact's shards: gone, of another size or, where asked, changed.

        Sizes are looked at each time an artifact is used; `contents` reads every byte.
        """
        if manifest.format != FORMAT:
            where = self.address(manifest.location)
            return [
                f"{where} was written by another version of tokenmill (format {manifest.format}, "
                f"this one's is {FORMAT}); no run uses it, and `tokenmill gc` removes it"
            ]
        found = self.files.sizes(manifest.location)
        faults = []
        for part in manifest.parts:
            path = self.address(manifest.location, part.path)
            if part.path not in found:
                faults.append(f"{path} is gone")
            elif found[part.path] != part.bytes:
                faults.append(f"{path} has {found[part.path]} bytes instead of {part.bytes}")
            elif contents and not self._is_as_written(manifest, part):
                faults.append(f"{path} has other content than was written")
        return faults

    def read_part(self, manifest: Manifest, index: int) -> pa.Table:
        """One shard of rows; memory-mapped where the store is local.

        Its bytes are compared with what was written the first time a process opens it.

        Raises:
            TornArtifact: the shard is gone, torn or changed.
        """
        part = manifest.parts[index]
        path = self.files.full(manifest.location, part.path)
        try:
            if self.is_local:
                self._check(manifest, part)
                return pa.ipc.open_file(pa.memory_map(path)).read_all()
            with self.files.filesystem.open(path, "rb") as file:
                data = file.read()
            if part.checksum and checksum_of(data) != part.checksum:
                raise TornArtifact(manifest.digest, path, "it has other bytes than were written")
            return pa.ipc.open_file(pa.BufferReader(data)).read_all()
        except (FileNotFoundError, pa.ArrowInvalid) as error:
            raise TornArtifact(manifest.digest, path, str(error)) from error

    def _check(self, manifest: Manifest, part: Part) -> None:
        """Compare a part with its checksum, once a process."""
        seen = (self.files.root, manifest.location, part.path)
        if seen in _CHECKED:
            return
        if not self._is_as_written(manifest, part):
            path = self.files.full(manifest.location, part.path)
            raise TornArtifact(manifest.digest, path, "it has other bytes than were written")
        _CHECKED.add(seen)

    def batches(self, manifest: Manifest) -> Iterator[pa.RecordBatch]:
        """All rows in order, in record batches."""
        for index in range(len(manifest.parts)):
            yield from self.read_part(manifest, index).to_batches()

    def table(self, manifest: Manifest) -> pa.Table:
        """All rows at once."""
        tables = [self.read_part(manifest, index) for index in range(len(manifest.parts))]
        return pa.concat_tables(tables) if tables else SCHEMAS[manifest.kind].empty_table()

    def folder(self, manifest: Manifest) -> Path:
        """A local folder with the files of the artifact; fetched once where the store is away."""
        if self.is_local:
            for part in manifest.parts:
                self._check(manifest, part)
            return Path(self.files.root, manifest.location)
        target = Path(tempfile.gettempdir(), f"tokenmill-{os.getuid()}", manifest.digest)
        if not target.exists():
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fetching = Path(tempfile.mkdtemp(dir=target.parent))
            for part in manifest.parts:
                local = fetching / part.path
                local.parent.mkdir(parents=True, exist_ok=True)
                source = self.files.full(manifest.location, part.path)
                try:
                    self.files.filesystem.get_file(source, str(local))
                except FileNotFoundError as error:
                    raise TornArtifact(manifest.digest, source, "it is gone") from error
                if checksum_of(local.read_bytes()) != part.checksum:
                    raise TornArtifact(manifest.digest, source, "it has other bytes")
            try:
                fetching.rename(target)
            except OSError:  # another process was first, with the same bytes
                for part in manifest.parts:
                    (fetching / part.path).unlink()
        return target

    def _is_as_written(self, manifest: Manifest, part: Part) -> bool:
        path = posixpath.join(manifest.location, part.path)
        try:
            return self.files.checksum(path) == part.checksum
        except FileNotFoundError:
            return False
