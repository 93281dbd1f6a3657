"""The `tokenmill` command. Only click is imported to show a help page; the rest when it is used."""

from __future__ import annotations

import click

from pipelines.cli_catalog import catalog
from pipelines.cli_cluster import cluster, doctor
from pipelines.cli_jobs import jobs, logs, stop, submit
from pipelines.cli_plan import plan, why
from pipelines.cli_run import run
from pipelines.cli_schedule import schedule
from pipelines.cli_stages import stages
from pipelines.cli_store import gc, lineage, ls, show, verify
from pipelines.cli_tokenize import tokenize
from pipelines.cli_ui import ui
from pipelines.console import INTERRUPTED, WRONG_INPUT, fail

EPILOG = """\b
Examples:
  tokenmill run                                 run dag.yaml, reuse what is unchanged
  tokenmill run --only comparison --workers 2   a stage and what it needs
  tokenmill run --set model.steps=400           change a setting for this run
  tokenmill plan                                what would run, and why
  tokenmill lineage comparison                  from a result back to its source files
  tokenmill ui                                  look at it all in MLflow
"""


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tokenmill")
def cli() -> None:
    """From raw text to compared language models: run a DAG of data and training stages on Ray,
    keep every result by the bytes and the code that made it, and record every run in MLflow.
    """


for command in (run, plan, why, stages, ui, ls, show, lineage, verify, gc, catalog, tokenize,
                submit, jobs, logs, stop, cluster, doctor, schedule):  # fmt: skip
    cli.add_command(command)


def main() -> None:
    """The entry point; errors of ours become one readable line, never a traceback."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Abort:
        raise SystemExit(INTERRUPTED) from None
    except click.ClickException as error:
        error.show()
        raise SystemExit(WRONG_INPUT) from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except RuntimeError as error:
        from pipelines.files import StoreError

        if not isinstance(error, StoreError):
            raise
        fail(str(error))


if __name__ == "__main__":
    main()
