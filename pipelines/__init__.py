"""What runs: read a DAG, plan it, run it, record it."""
