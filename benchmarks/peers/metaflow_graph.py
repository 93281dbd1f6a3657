"""Metaflow, local: a flow is a process, a step is a process of its own; artifacts are pickled.

    python metaflow_graph.py SHAPE STEPS FOLDER

Inside the clock: the whole `run` command less the import of metaflow, measured beside it. A step's
own process starts Python anew: that is how the tool works, and cannot be left out.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def flow(shape: str, steps: int) -> str:
    lines = ["from metaflow import FlowSpec, step", "", "class Noop(FlowSpec):"]
    names = ["start", *(f"s{n}" for n in range(1, steps - 1)), "end"]
    if shape == "chain":
        for name, after in zip(names, [*names[1:], ""], strict=True):
            lines += ["    @step", f"    def {name}(self):", f"        self.row = {name!r}"]
            lines += [f"        self.next(self.{after})"] if after else []
    else:
        middle = names[1:-2]  # and a step that joins them, which the last one may not be
        lines += [
            "    @step",
            "    def start(self):",
            "        self.row = 'start'",
            "        self.next(" + ", ".join(f"self.{m}" for m in middle) + ")",
        ]
        for name in middle:
            lines += [
                "    @step",
                f"    def {name}(self):",
                f"        self.row = {name!r}",
                "        self.next(self.join)",
            ]
        lines += [
            "    @step",
            "    def join(self, inputs):",
            "        self.row = 'join'",
            "        self.next(self.end)",
            "    @step",
            "    def end(self):",
            "        self.row = 'end'",
        ]
    return "\n".join([*lines, "", "if __name__ == '__main__':", "    Noop()", ""])


def timed(command: list[str], folder: Path) -> float:
    began = time.perf_counter()
    subprocess.run(
        command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return time.perf_counter() - began


def main(shape: str, steps: int, folder: Path) -> None:
    os.environ.update(
        METAFLOW_HOME=str(folder / "home"),
        USERNAME="bench",
        METAFLOW_DEFAULT_METADATA="local",
        METAFLOW_DEFAULT_DATASTORE="local",
    )
    (folder / "noop.py").write_text(flow(shape, steps))
    imports = timed([sys.executable, "-c", "import metaflow"], folder)
    whole = timed([sys.executable, "noop.py", "--quiet", "run", "--max-num-splits", "1000"], folder)
    print(json.dumps({"seconds": whole - imports}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
