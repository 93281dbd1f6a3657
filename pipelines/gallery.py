"""The catalog: DAGs that come with the package, what each claims, and what it last showed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from pipelines.claims import Finding, judge_claim
from pipelines.resolve import pointer_of
from pipelines.spec import DagSpec, read_dag
from pipelines.store import Store
from stages.kinds import Kind


@dataclass(frozen=True)
class Entry:
    """A DAG of the catalog.

    Attributes:
        name: of its file and its pipeline.
        path: of its file.
        findings: a claim each, with what its last result says.
        figures: pictures of its reports, those that the claims rest on first, by name.
        made: when the last of these results was made; empty where there is none.
    """

    name: str
    path: Path
    spec: DagSpec
    findings: tuple[Finding, ...]
    figures: dict[str, bytes]
    made: str

    @property
    def was_run(self) -> bool:
        return any(finding.outcome != "not run" for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "file": str(self.path),
            "asks": self.spec.description,
            "claims": [finding.as_json() for finding in self.findings],
            "scale_up": self.spec.scale_up,
            "made": self.made or None,
        }


def entries(store: Store, names: Sequence[str] = ()) -> Iterator[Entry]:
    """The DAGs of the catalog, or those of some names, with their last results in the store.

    Raises:
        LookupError: there is none of such a name.
    """
    folder = Path(str(files("pipelines"))) / "catalog"
    paths = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    unknown = [name for name in names if name not in paths]
    if unknown:
        known = ", ".join(paths)
        raise LookupError(f'there is no "{unknown[0]}" in the catalog; there are: {known}')
    for name, path in paths.items():
        if not names or name in names:
            yield _entry(store, name, path)


def _entry(store: Store, name: str, path: Path) -> Entry:
    # Variables that are not set are no matter here: nothing is run.
    spec = read_dag(path)
    findings: list[Finding] = []
    figures: dict[str, bytes] = {}
    made = ""
    for claim in spec.claims:
        outputs, time = _last_outputs(store, spec.pipeline, claim.stage)
        rows = None
        if claim.output in outputs:
            rows = store.table(store.manifest(outputs[claim.output])).to_pylist()
            figures |= _figures(store, claim.stage, outputs)
            made = max(made, time)
        findings.append(judge_claim(claim, rows))
    for stage in spec.stages.values():
        if stage.uses.startswith("report."):
            figures |= _figures(
                store, stage.name, _last_outputs(store, spec.pipeline, stage.name)[0]
            )
    return Entry(name, path, spec, tuple(findings), figures, made)


def _last_outputs(store: Store, pipeline: str, stage: str) -> tuple[dict[str, str], str]:
    """Digests of the outputs that a stage made last in this store, and when."""
    key = store.pointed(pointer_of(pipeline, stage))
    record = store.result(key) if key else None
    if record is None:
        return {}, ""
    outputs = dict(record["outputs"])
    first = store.manifest(next(iter(outputs.values())))
    return outputs, str(first.made_by["time"])


def _figures(store: Store, stage: str, outputs: dict[str, str]) -> dict[str, bytes]:
    found = {}
    for digest in outputs.values():
        manifest = store.manifest(digest)
        if manifest.kind is Kind.REPORT:
            for row in store.table(manifest).to_pylist():
                if row["media_type"] == "image/png":
                    found[f"{stage}-{row['id']}"] = row["content"]
    return found


def write_index(found: Sequence[Entry], folder: Path) -> Path:
    """Write README.md with a line a claim; the pages are beside it."""
    lines = ["# Catalog", "", "What each DAG of `pipelines/catalog/` claims, and what its last run "
             "showed: the value, and the ends of its 95 % interval. A claim *came out* where the "
             "whole interval lies on the expected side.", "",
             "| DAG | claim | source | verdict |", "|---|---|---|---|"]  # fmt: skip
    for entry in found:
        for number, finding in enumerate(entry.findings):
            name = f"[{entry.name}]({entry.name}.md)" if number == 0 else ""
            lines.append(_row(name, finding.claim.says, finding.claim.source, finding.verdict))
    path = folder / "README.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def write_page(entry: Entry, folder: Path) -> list[Path]:
    """Write NAME.md and its pictures into a folder; gives what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{entry.name}-*.png"):
        old.unlink()
    written = []
    lines = [f"# {entry.name}", "", entry.spec.description.strip(), ""]
    lines += ["```sh", f"tokenmill run pipelines/catalog/{entry.name}.yaml", "```", ""]
    if entry.findings:
        lines += ["| claim | source | expected | found | verdict |", "|---|---|---|---|---|"]
    for finding in entry.findings:
        claim = finding.claim
        cells = (claim.says, claim.source, f"{claim.metric} of {claim.row} {claim.expect}",
                 finding.interval or finding.told, f"**{finding.outcome}**")  # fmt: skip
        lines.append(_row(*cells))
    lines.append("")
    remarks = [f for f in entry.findings if f.claim.remark]
    lines += [line for f in remarks for line in (f"**{f.claim.says}**: {f.claim.remark}", "")]
    for name, content in entry.figures.items():
        path = folder / f"{entry.name}-{name}"
        path.write_bytes(content)
        written.append(path)
        lines += [f"![{name.removesuffix('.png').replace('-', ': ')}]({path.name})", ""]
    if entry.spec.scale_up:
        lines += ["## At the paper's scale", "", entry.spec.scale_up.strip(), ""]
    page = folder / f"{entry.name}.md"
    page.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return [page, *written]
