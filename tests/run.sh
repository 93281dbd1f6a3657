#!/bin/sh
# Everything that must hold, fast things first. Stops at the first that does not.
set -eu
step() { printf '\n== %s\n' "$1"; }

step "ruff"; ruff check . ; ruff format --check .
step "mypy"; mypy
step "import-linter"; lint-imports
step "unit tests"; pytest -m "not journey"
step "journeys"; pytest -m journey
