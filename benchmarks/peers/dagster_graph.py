"""Dagster in one process: ops with the filesystem IO manager, events in its SQLite instance.

    python dagster_graph.py SHAPE STEPS FOLDER

Inside the clock: `execute_in_process` with an instance on disk. Outside: imports, the definition of
the job, the making of the instance.
"""

import json
import logging
import os
import sys
import time
from pathlib import Path


def main(shape: str, steps: int, folder: Path) -> None:
    os.environ["DAGSTER_HOME"] = str(folder)
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"
    (folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    from dagster import DagsterInstance, FilesystemIOManager, In, job, op

    logging.disable(logging.CRITICAL)

    def make(number: int):
        if number == 0:
            return op(name="s0")(lambda: {"row": 0})
        return op(name=f"s{number}", ins={"before": In()})(lambda before: {"row": number})

    ops = [make(number) for number in range(steps)]

    @job(resource_defs={"io_manager": FilesystemIOManager(base_dir=str(folder / "store"))})
    def noop():
        made = first = ops[0]()
        for step in ops[1:]:
            made = step(made if shape == "chain" else first)

    with DagsterInstance.get() as instance:
        instance.get_runs(limit=1)
        began = time.perf_counter()
        result = noop.execute_in_process(instance=instance)
        seconds = time.perf_counter() - began
        assert result.success
    print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
