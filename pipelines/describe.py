"""Things of a DAG in words: stage types, artifacts, lineage."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.text import Text
from rich.tree import Tree

from pipelines.display import rows_table
from pipelines.registry import type_of
from pipelines.store import Manifest, Store
from pipelines.trace import Origin
from stages.compute_settings import ComputeSettings
from stages.contract import Stage
from stages.kinds import FILE_KINDS, Kind

SHOWN = 60  # characters of a value in a table of rows


def describe_stage(stage: type[Stage]) -> dict[str, Any]:
    """A stage type as plain data: summary, settings, inputs, outputs."""
    documentation = inspect.cleandoc(stage.__doc__ or "")
    properties = stage.Config.model_json_schema().get("properties", {})
    fields = stage.Config.model_fields
    settings = []
    # Pydantic has inherited fields first; what a stage is about are its own.
    for name in sorted(fields, key=lambda name: name in ComputeSettings.model_fields):
        field = fields[name]
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        settings.append(
            {
                "name": name,
                "type": _type_name(properties.get(name, {})),
                "required": field.is_required(),
                "default": None
                if field.is_required()
                else field.get_default(call_default_factory=True),
                "description": field.description or "",
                "in_key": "execution_only" not in extra,
            }
        )
    return {
        "uses": type_of(stage),
        "summary": documentation.split("\n\n")[0].replace("\n", " "),
        "documentation": documentation,
        "settings": settings,
        "inputs": {
            name: {"kind": i.kind, "description": i.description, "many": i.many,
                   "optional": i.optional}
            for name, i in stage.inputs.items()
        },
        "outputs": {
            name: {"kind": o.kind, "description": o.description}
            for name, o in stage.outputs.items()
        },
    }  # fmt: skip


def stage_lines(described: dict[str, Any]) -> Iterator[Any]:
    """The page of `tokenmill stages NAME`."""
    yield Text(described["uses"], style="bold")
    yield Text(described["documentation"])
    yield ""
    for title in ("inputs", "outputs"):
        if described[title]:
            rows = [
                (
                    name,
                    f"{entry['kind']}"
                    + (" (of all matrix cells)" if entry.get("many") else "")
                    + (" (optional)" if entry.get("optional") else ""),
                    entry["description"],
                )
                for name, entry in described[title].items()
            ]
            yield rows_table((title, "kind", ""), rows)
            yield ""
    rows_of_settings = [
        (
            s["name"],
            s["type"],
            "required" if s["required"] else repr(s["default"]),
            s["description"] + ("" if s["in_key"] else " (not part of the key)"),
        )
        for s in described["settings"]
    ]
    if rows_of_settings:
        yield rows_table(("with", "type", "default", ""), rows_of_settings)


def first_rows(store: Store, manifest: Manifest, count: int) -> list[dict[str, Any]]:
    """The first rows as plain data; bytes as their number."""
    if manifest.kind in FILE_KINDS:
        return []
    rows: list[dict[str, Any]] = []
    for batch in store.batches(manifest):
        rows.extend(batch.slice(0, count - len(rows)).to_pylist())
        if len(rows) >= count:
            break
    return [
        {k: f"<{len(v)} bytes>" if isinstance(v, bytes) else v for k, v in row.items()}
        for row in rows
    ]


def show_lines(store: Store, manifest: Manifest, count: int) -> Iterator[Any]:
    """The page of `tokenmill show`."""
    made = manifest.made_by
    yield Text(f"{manifest.kind} {manifest.digest}", style="bold")
    facts = [
        ("rows", f"{manifest.rows:,} in {len(manifest.parts)} shards")
        if manifest.kind not in FILE_KINDS
        else ("files", ", ".join(part.path for part in manifest.parts)),
        ("bytes", f"{manifest.size:,}"),
        ("where", store.address(manifest.location)),
        ("made by", f"{made['stage']}.{made['output']} ({made['uses']}) at {made['time']}"),
        ("run", made.get("run") or "not recorded"),
        ("key", made["key"]),
    ]
    for name, digests in made["inputs"].items():
        facts.append((f"from {name}", ", ".join(digest[:10] for digest in digests)))
    if made.get("sources"):
        facts.append(("from sources", f"{made['sources']:,} (tokenmill lineage lists them)"))
    yield rows_table(("", ""), facts)
    if manifest.schema:
        yield ""
        yield rows_table(("column", "type"), manifest.schema)
    rows = first_rows(store, manifest, count)
    if rows:
        yield ""
        yield rows_table(
            list(rows[0]), [[_shorten(value) for value in row.values()] for row in rows]
        )


def extract_files(store: Store, manifest: Manifest, folder: Path) -> list[Path]:
    """Write the files of a report, model or tokenizer into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    if manifest.kind is Kind.REPORT:
        for row in store.table(manifest).to_pylist():
            path = folder / row["id"]
            path.write_bytes(row["content"])
            written.append(path)
    elif manifest.kind in FILE_KINDS:
        for part in manifest.parts:
            path = folder / part.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((store.folder(manifest) / part.path).read_bytes())
            written.append(path)
    return written


def lineage_tree(origin: Origin, name: str = "") -> Tree:
    """From a result back to its sources, as a tree."""
    made = origin.manifest.made_by
    label = Text(f"{name}: " if name else "", style="dim")
    label.append(f"{made['stage']}.{made['output']}", style="bold")
    rows = f", {origin.manifest.rows:,} rows" if origin.manifest.rows else ""
    label.append(f"  {origin.manifest.kind} {origin.manifest.digest[:10]}{rows}", style="default")
    label.append(f"  {made['uses']}", style="dim")
    if made.get("run"):
        label.append(f"  run {made['run'][:8]}", style="dim")
    if origin.seen:
        label.append("  (shown above)", style="dim")
    tree = Tree(label)
    for source in origin.sources[:10]:
        tree.add(Text(source, style="cyan"))
    if len(origin.sources) > 10:
        tree.add(Text(f"… and {len(origin.sources) - 10:,} more sources", style="cyan"))
    for input_name, origins in origin.inputs.items():
        for upstream in origins:
            tree.add(lineage_tree(upstream, input_name))
    return tree


def _type_name(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if "anyOf" in schema:
        return " | ".join(_type_name(choice) for choice in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type_name(schema.get('items', {}))}"
    names = {"integer": "whole number", "string": "text", "boolean": "true or false"}
    return names.get(str(schema.get("type")), str(schema.get("type", "mapping")))


def _shorten(value: Any) -> str:
    text = str(value).replace("\n", "⏎")
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
