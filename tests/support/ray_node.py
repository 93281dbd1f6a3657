"""A second node for a cluster that keeps to loopback, in a process of its own.

    python ray_node.py HEAD_HOST:PORT FOLDER OFFER

`ray start --address` takes loopback for the address of the machine, on which such a head does not
listen; this does what `ray.cluster_utils.Cluster` does for its nodes. Prints the raylet's process
id. OFFER is JSON, for instance {"num_cpus": 2}.
"""

import json
import signal
import sys

from ray._private.node import Node
from ray._private.parameter import RayParams

if __name__ == "__main__":
    address, folder, offer = sys.argv[1:]
    parameters = RayParams(
        gcs_address=address,
        temp_dir=folder,
        node_ip_address="127.0.0.1",
        object_store_memory=128 * 2**20,
        dashboard_agent_listen_port=0,
        **json.loads(offer),
    )
    node = Node(parameters, head=False, shutdown_at_exit=True, spawn_reaper=True)
    print(node.all_processes["raylet"][0].process.pid, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
