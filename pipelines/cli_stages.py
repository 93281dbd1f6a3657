"""`tokenmill stages`: the stage types a DAG can use."""

from __future__ import annotations

from pathlib import Path

import click

from pipelines.console import fail, print_json, store_options


@click.command()
@click.argument("name", required=False)
@click.option("--module", metavar="FILE:CLASS", help="Describe a stage of a file of your own.")
@store_options
def stages(
    name: str | None,
    module: str | None,
    store_url: str | None,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """List the stage types a DAG can use; with NAME, its settings, inputs and outputs."""
    from pipelines.describe import describe_stage, stage_lines
    from pipelines.display import console, rows_table
    from pipelines.registry import UnknownStage, find_stage, vocabulary

    if name or module:
        try:
            found = find_stage(module or name or "", Path.cwd())
        except UnknownStage as error:
            fail(str(error))
        description = describe_stage(found)
        if as_json:
            print_json(description)
        else:
            for renderable in stage_lines(description):
                console().print(renderable)
        return
    described = [describe_stage(stage) for stage in vocabulary().values()]
    if as_json:
        print_json(described)
    else:
        rows = [(d["uses"], d["summary"]) for d in described]
        console().print(rows_table(("stage", "what it does"), rows))
