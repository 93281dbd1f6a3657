"""Parts of the benchmarks: each measures one thing and returns its section."""
