"""The parts of `benchmarks.alignment` and `benchmarks.corpus`: each measures one method."""
