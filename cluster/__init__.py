"""Where it runs: the Ray runtime."""
