"""A chain or a fan of no-op stages with the engine, timed after Ray is up.

    python -m benchmarks.noop SHAPE STAGES FOLDER     writes one JSON line: seconds a stage

Inside the clock: keys, tasks on Ray, shards and manifests written and committed, the record in
MLflow on SQLite complete and closed. Outside: imports, making the plan, starting and ending Ray.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path


def dag(shape: str, stages: int) -> str:
    lines = ["pipeline: noop", "stages:", "  s0: {uses: noop_stages:First}"]
    for number in range(1, stages):
        before = number - 1 if shape == "chain" else 0
        lines.append(f"  s{number}: {{uses: 'noop_stages:Next', needs: {{documents: s{before}}}, "
                     f"with: {{number: {number}}}}}")  # fmt: skip
    return "\n".join(lines) + "\n"


def shards(count: int) -> str:
    return (
        "pipeline: noop\nstages:\n"
        f"  rows: {{uses: 'noop_stages:Shards', with: {{number: {count}}}}}\n"
        "  same: {uses: 'noop_stages:Same', needs: {documents: rows}}\n"
    )


def main(shape: str, count: int, folder: Path) -> None:
    from cluster.runtime import RayRuntime
    from pipelines.leases import Lease
    from pipelines.mlflow_client import open_client
    from pipelines.planner import make_plan
    from pipelines.recorder import Recorder
    from pipelines.run import Runner
    from pipelines.sender import ProcessSender
    from pipelines.spec import read_dag
    from pipelines.store import Store

    shutil.copy(Path(__file__).with_name("noop_stages.py"), folder)
    file = folder / "dag.yaml"
    file.write_text(shards(count) if shape == "shards" else dag(shape, count))
    plan = make_plan(read_dag(file))
    store = Store(str(folder / "store"))
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    open_client(uri).search_experiments()  # makes the tables
    runtime = RayRuntime(workers=2)
    runtime.submit("warm", _warm)
    while not runtime.wait(1.0):
        pass
    runtime_close, runtime.close = runtime.close, lambda: None  # ending Ray is outside, too
    sender = ProcessSender(uri, plan.pipeline, store)
    sender.catch_up(folder / "spool")  # its imports are outside, too
    began = time.perf_counter()
    lease = Lease(store, plan.pipeline)
    recorder = Recorder(
        uri, plan, store, run=lease.entry.run, spool=folder / "spool", sender=sender
    )
    statuses = Runner(plan, store, lambda: runtime, [recorder], lease=lease).run()
    computed = time.perf_counter() - began
    told = recorder.close(state="FINISHED")
    lease.close("FINISHED", recorder.run_id)
    seconds = time.perf_counter() - began
    assert not told, told
    assert {status.state for status in statuses} == {"computed"}, statuses
    if shape == "shards":
        seconds = statuses[-1].seconds
    runtime_close()
    print(json.dumps({"seconds": seconds, "computed": computed}), flush=True)


def _warm(_: object) -> None:
    import pipelines.execute  # noqa: F401


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
