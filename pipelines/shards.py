"""Shards of an interrupted attempt, found again: what was computed is not computed twice.

A shard is known by the key of its stage and the content of the input shard it is made from, so it
is the same shard on any number of workers, after a restart, and in another run. When one is done
and written, a note of it is left beside it:

    STORE/shards/TYPE/KEY/ATTEMPT/finished/SHARD.json

A later attempt at the same key looks for such notes, compares the bytes of the shard with the note,
and links it into its own folder. Notes are removed when the attempt becomes an artifact.
"""

from __future__ import annotations

import base64
import json
import posixpath
from dataclasses import asdict

from pipelines.files import StoreError
from pipelines.identity import hash_bytes
from pipelines.results import TaskResult, Written
from pipelines.store import Part, Store

FOLDER = "finished"


def shard_key(key: str, input_hash: str) -> str:
    """Identity of one shard of the stage `key`, made from input rows of this hash."""
    return hash_bytes(b"shard", key.encode(), input_hash.encode())


def leave_note(store: Store, prefix: str, shard: str, result: TaskResult) -> None:
    """Say that a shard is done; its files are written."""
    data = asdict(result)
    data["figures"] = {n: base64.b64encode(png).decode() for n, png in result.figures.items()}
    path = posixpath.join(prefix, FOLDER, f"{shard}.json")
    store.files.overwrite(path, json.dumps(data).encode())


def finished_shards(store: Store, prefix: str) -> dict[str, str]:
    """Shards that other attempts at the key of `prefix` have finished: shard -> its note."""
    attempts, own = posixpath.split(prefix)
    found: dict[str, str] = {}
    for attempt in store.files.names(attempts):
        if attempt != own:
            folder = posixpath.join(attempts, attempt, FOLDER)
            for name in store.files.names(folder):
                found[name.removesuffix(".json")] = posixpath.join(folder, name)
    return found


def take_over(store: Store, note: str, prefix: str, index: int) -> TaskResult | None:
    """Make a finished shard part `index` of another attempt; None where it is not sound."""
    data = store.files.read(note)
    if data is None:
        return None
    fields = json.loads(data)
    came_from = posixpath.dirname(posixpath.dirname(note))
    outputs: dict[str, Written] = {}
    try:
        for name, written in fields["outputs"].items():
            parts = []
            for part in (Part(**part) for part in written["parts"]):
                source = posixpath.join(came_from, name, part.path)
                if store.files.checksum(source) != part.checksum:
                    return None
                path = f"part-{index:05d}.arrow"
                store.files.copy(source, posixpath.join(prefix, name, path))
                parts.append(Part(**{**asdict(part), "path": path}))
            schema = [(column, kind) for column, kind in written["schema"]]
            outputs[name] = Written(parts, schema)
    except FileNotFoundError:  # it was cleaned away meanwhile
        return None
    except OSError as error:
        raise StoreError(f"the store {store.url} cannot be read: {error}") from error
    figures = {name: base64.b64decode(text) for name, text in fields["figures"].items()}
    return TaskResult(
        **{**fields, "shard": index, "outputs": outputs, "figures": figures, "resumed": True}
    )


def drop_notes(store: Store, prefix: str) -> None:
    """The attempt became an artifact, or is of no use."""
    store.files.remove(posixpath.join(prefix, FOLDER))
