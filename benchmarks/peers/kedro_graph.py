"""Kedro: nodes with pickled datasets and the SequentialRunner. It keeps no record of runs.

    python kedro_graph.py SHAPE STEPS FOLDER

Inside the clock: the run of the pipeline. Outside: imports, the catalog.
"""

import json
import logging
import sys
import time
from pathlib import Path


def main(shape: str, steps: int, folder: Path) -> None:
    logging.disable(logging.CRITICAL)
    from kedro.io import DataCatalog
    from kedro.pipeline import node, pipeline
    from kedro.runner import SequentialRunner
    from kedro_datasets.pickle import PickleDataset

    def make(number):
        return (lambda: {"row": 0}) if number == 0 else (lambda before: {"row": number})

    nodes = []
    for number in range(steps):
        before = None if number == 0 else f"d{number - 1 if shape == 'chain' else 0}"
        nodes.append(node(make(number), before, f"d{number}", name=f"s{number}"))
    catalog = DataCatalog(
        {f"d{n}": PickleDataset(filepath=str(folder / f"d{n}.pkl")) for n in range(steps)}
    )
    began = time.perf_counter()
    SequentialRunner().run(pipeline(nodes), catalog)
    print(json.dumps({"seconds": time.perf_counter() - began}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
