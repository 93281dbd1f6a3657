"""The code behind a result, kept with it, so that `why` can show what changed, not only that.

    STORE/code/HASH.json    {"module:name": normalised source} of everything that a stage reaches

One file a set of code, however many results it made. The text is what counts for the key: without
comments, docstrings and layout.
"""

from __future__ import annotations

import difflib
import json
import posixpath
from collections.abc import Mapping

from pipelines.identity import canonical_json, hash_bytes
from pipelines.store import Store


def name_of(code: Mapping[str, str]) -> str:
    """The name of a set of code: of its hashes, unit by unit."""
    return hash_bytes(b"code", canonical_json(dict(code)))


def keep_texts(store: Store, code: Mapping[str, str], texts: Mapping[str, str]) -> None:
    """Keep the texts of a set of code, once."""
    path = posixpath.join("code", f"{name_of(code)}.json")
    if not store.files.exists(path):
        store.files.create(path, json.dumps(dict(texts), indent=0).encode())


def texts_of(store: Store, code: Mapping[str, str]) -> dict[str, str]:
    """The texts of a set of code; empty where they were not kept."""
    data = store.files.read(posixpath.join("code", f"{name_of(code)}.json"))
    return {} if data is None else dict(json.loads(data))


def difference(name: str, before: str | None, after: str | None) -> list[str]:
    """A unified diff of one unit, line by line; empty where a text is not known."""
    lines = difflib.unified_diff(
        (before or "").splitlines(), (after or "").splitlines(),
        f"{name} (then)", f"{name} (now)", lineterm="", n=2,
    )  # fmt: skip
    return list(lines)
