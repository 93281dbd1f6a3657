# The two commands of the README, with all their set-up. A fresh machine needs Python 3.11 or newer
# with venv; everything else goes into .venv here. Both can be repeated: what is up to date is kept.

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready

.PHONY: run test lint bench clean

run: $(READY)  ## Run dag.yaml on this machine.
	$(VENV)/bin/tokenmill run dag.yaml

test: $(READY)  ## Lint, types, floors, unit tests, journeys.
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" sh tests/run.sh

# One environment for both commands: python-docs:// reads the packages in it, and a corpus must not
# change because the tests were run.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tokenmill needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[adapters,dev,harness,s3,server,speech]'
	touch $(READY)

bench: $(READY)  ## Measure; results go into benchmarks/RESULTS.md.
	$(VENV)/bin/python -m benchmarks.overhead
	$(VENV)/bin/python -m benchmarks.engine

clean:  ## Remove the environment; the store and the record in .tokenmill stay.
	rm -rf $(VENV)
