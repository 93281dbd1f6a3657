"""What a result is: the hash of its making (the key) and the hash of its content (the digest).

A key holds what changes the result: the stage's type, its identity config, the code it reaches,
the digests of its inputs and the content of what it reads from outside. It never holds resources,
retries, worker counts, storage roots, tracking addresses or the time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from blake3 import blake3

from pipelines.redact import without_secrets
from stages.contract import StageConfig

# How keys are made and content is hashed. What was made in another way is not found, and made anew.
FORMAT = 3

# 128 bits: no collision by chance in any store that will ever be, and the longest digest that an
# MLflow dataset can carry is 36 characters.
DIGEST_BYTES = 16


def canonical_json(value: Any) -> bytes:
    """The one way to write `value`: keys sorted, no spaces, UTF-8.

    Raises:
        TypeError: the value holds something that JSON cannot say; nothing is guessed.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def hash_bytes(*parts: bytes) -> str:
    """Hex digest of the parts; ("ab", "c") and ("a", "bc") differ."""
    state = blake3()
    for part in parts:
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return str(state.hexdigest(DIGEST_BYTES))


def identity_config(config: StageConfig) -> dict[str, Any]:
    """The fields of `config` that can change the result, defaults included, without secrets: a
    password that was changed makes no other result.
    """
    execution_only = {
        name
        for name, field in type(config).model_fields.items()
        if isinstance(field.json_schema_extra, dict) and "execution_only" in field.json_schema_extra
    }
    return dict(without_secrets(config.model_dump(mode="json", exclude=execution_only)))


@dataclass(frozen=True)
class KeyParts:
    """Everything that a key is made of, kept in the record so that a miss can be explained.

    Attributes:
        uses: the stage's type.
        config: its identity config.
        code: "module:name" -> hash of what the stage reaches.
        inputs: input name -> digests, each with the matrix cell it came from where that counts.
        sources: address -> hash of content read from outside the store.
        libraries: distribution -> version, of those that the stage says change its result.
        provenance: input name -> hash of how its artifacts were made, where the stage asks for it.
    """

    uses: str
    config: Mapping[str, Any]
    code: Mapping[str, str]
    inputs: Mapping[str, list[tuple[Mapping[str, Any], str]]]
    sources: Mapping[str, str]
    libraries: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        parts = asdict(self)
        if not self.provenance:
            del parts["provenance"]  # keys of stages that do not ask for it are as they were
        return parts

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> KeyParts:
        inputs = {name: [(cell, digest) for cell, digest in wires]
                  for name, wires in data["inputs"].items()}  # fmt: skip
        libraries, provenance = data.get("libraries", {}), data.get("provenance", {})
        return cls(data["uses"], data["config"], data["code"], inputs, data["sources"], libraries,
                   provenance)  # fmt: skip

    @property
    def key(self) -> str:
        """Identity of the planned stage."""
        return hash_bytes(b"stage %d" % FORMAT, canonical_json(self.as_json()))

    @property
    def key_without_code(self) -> str:
        """What a pinned stage is found by: the same making, whatever the code and libraries."""
        parts = self.as_json()
        del parts["code"], parts["libraries"]
        return hash_bytes(b"pinned stage %d" % FORMAT, canonical_json(parts))


def explain(old: KeyParts, new: KeyParts) -> list[str]:
    """Which parts of the key changed, one sentence a change; empty when none did."""
    changes = []
    if old.uses != new.uses:
        changes.append(f"the stage uses {new.uses}, and used {old.uses}")
    for name, before, after in changed(old.config, new.config):
        changes.append(f"config {name}: {_show(before)} -> {_show(after)}")
    for name, before, after in changed(old.code, new.code):
        verb = "is new" if before is None else "is gone" if after is None else "changed"
        changes.append(f"code {name} {verb}")
    for name, before, after in changed(old.libraries, new.libraries):
        changes.append(f"library {name}: {before or 'none'} -> {after or 'none'}")
    for name, before, after in changed(old.inputs, new.inputs):
        was, now = (len(side or ()) for side in (before, after))
        detail = f" ({was} -> {now} artifacts)" if was != now else ""
        changes.append(f"input {name} has other content{detail}")
    for name, _, _ in changed(old.provenance, new.provenance):
        changes.append(f"input {name} was made in another way")
    sources = list(changed(old.sources, new.sources))
    if sources:
        names = ", ".join(name for name, _, _ in sources[:3])
        more = f" and {len(sources) - 3} more" if len(sources) > 3 else ""
        changes.append(f"source changed: {names}{more}")
    return changes


def changed(
    old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterable[tuple[str, Any | None, Any | None]]:
    """Names under which two mappings differ, with both values; None for what is not there."""
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        present = name in old, name in new
        if not all(present) or canonical_json(before) != canonical_json(after):
            yield name, before, after


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
