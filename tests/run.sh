#!/bin/sh
# Everything that must hold, fast things first. Stops at the first that does not.
set -eu
step() { printf '\n== %s\n' "$1"; }

# Journeys wait much of their time, for processes to start and for clocks: two at once, in the order
# of their names, or the one that waits for real minutes would be the last and wait alone. To read all
# tests takes longer than to read those folders.
step "ruff"; ruff check . ; ruff format --check .
step "mypy"; mypy
step "import-linter"; lint-imports
step "unit tests"; pytest -n 2 -m "not journey"
step "what journeys need"; sh tests/machine.sh
step "journeys"; pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 30 \
  -m journey tests/cluster tests/journeys
