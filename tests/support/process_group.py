"""Run a function in several processes that form one process group."""

import multiprocessing
import tempfile
from pathlib import Path


def in_ranks(size, function):
    """`function(rank)` in `size` forked processes with gloo; their results in order of rank."""
    forking = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        ends = [forking.Pipe(duplex=False) for _ in range(size)]
        processes = [
            forking.Process(
                target=_run, args=(function, rank, size, folder, ends[rank][1]), daemon=True
            )
            for rank in range(size)
        ]
        for process in processes:
            process.start()
        for _, sending in ends:
            sending.close()  # so that the end of a process is seen here
        found = [receiving.recv() for receiving, _ in ends]
        for process in processes:
            process.join()
    for result in found:
        if isinstance(result, BaseException):
            raise result
    return found


def _run(function, rank, size, folder, end):
    import torch
    import torch.distributed as dist

    # A fork has no threads but its own: a parallel region of OpenMP would wait for ever.
    torch.set_num_threads(1)
    try:
        dist.init_process_group(
            "gloo", f"file://{Path(folder, 'store')}", rank=rank, world_size=size
        )
        dist.barrier()  # a rank that raises at once must not be gone while others connect
        result = function(rank)
        dist.destroy_process_group()
    except Exception as error:  # noqa: BLE001 - the test says which it expects
        result = error
    end.send(result)
