"""The words a DAG is written in, one module a family."""
