"""The same graph of no-op steps in other tools, each the idiomatic way."""
