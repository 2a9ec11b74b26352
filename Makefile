# `make` alone prints this help. Everything is installed into .venv; nothing else on the machine is touched.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONFIG ?= scripts/configs/laptop.toml
# Processes that run the tests, a file of tests each. On two cores three are faster than two: many tests wait.
TEST_WORKERS ?= 3
# For `make train`: ARGS=--resume goes on with an interrupted run, ARGS=--clean begins again.
ARGS ?=
# For `make play`: who answers; without it the trained run, or else the bundled base.
POLICY ?=
# Without an NVIDIA GPU, torch comes from its CPU index: gigabytes smaller. `make TORCH_INDEX= ...` takes PyPI's build.
TORCH_INDEX ?= $(if $(shell command -v nvidia-smi),,https://download.pytorch.org/whl/cpu)
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help train test test-slow lint format docs play clean python

help:  ## print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

train: $(VENV)/.train  ## install, train the bundled agent on the CPU, print before and after
	$(BIN)/mailsleuth train --config $(CONFIG) $(ARGS)

test: $(VENV)/.dev  ## install, run the tests
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile

test-slow: $(VENV)/.dev  ## run the tests that take minutes
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.dev  ## style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev  ## rewrite the files in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev  ## rewrite the reference of the configuration
	$(BIN)/python -m scripts.config_reference > scripts/configs/README.md

play: $(VENV)/.train  ## ask an inbox in the browser: make play MAILBOX=my.db INBOX=me
	$(BIN)/mailsleuth play $(if $(POLICY),--policy $(POLICY)) $(if $(MAILBOX),--mailbox $(MAILBOX)) $(if $(INBOX),--inbox $(INBOX))

clean:  ## remove .venv and caches; runs and mailboxes under data/ stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find agent inbox_env rewards scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "make: Python 3.11 or newer is needed and $(PYTHON) is $$($(PYTHON) --version 2>&1); name another: make PYTHON=python3.12 ..." >&2; exit 2; }

$(BIN)/python: | python
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "make: $(PYTHON) cannot create a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 2; }

# The stamps make a second call immediate; they are older than what they were made from when that changes.
$(VENV)/.torch: constraints.txt | $(BIN)/python
	@echo "installing into $(VENV) (once, a few minutes) ..."
	@$(PIP_INSTALL) --no-deps $(if $(TORCH_INDEX),--retries 1 --extra-index-url $(TORCH_INDEX)) torch
	@touch $@

$(VENV)/.train: pyproject.toml constraints.txt | $(VENV)/.torch
	@$(PIP_INSTALL) -e '.[train]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/.torch
	@$(PIP_INSTALL) -e '.[train,dev]'
	@touch $@ $(VENV)/.train
