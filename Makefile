# Set-up and chores. Needs only Python 3.11 to 3.13, make and a package index.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON := $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1 && echo $$p && break; done)
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: help install demo test test-all test-slurm check format bench clean

help: ## show this page
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## make .venv and install everything (about 6 GB: torch brings the CUDA libraries)

demo: $(INSTALLED) ## train, judge and report on generated images, in a few minutes on two cores
	$(BIN)/python -m medrestore.train experiment=cervix_deblur

test: $(INSTALLED) ## the fast tests
	$(BIN)/pytest -m "not slow"

test-all: $(INSTALLED) ## the fast and the slow tests, notebooks included
	$(BIN)/pytest

test-slurm: $(INSTALLED) ## sweeps on a real SLURM of one node, set up from Debian's packages (as root)
	tests/slurm/run $(BIN)/python

check: $(INSTALLED) ## form, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: $(INSTALLED) ## bring the code into form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED) ## print speeds; asserts nothing
	for b in benchmarks/*.py; do echo "== $$b"; $(BIN)/python $$b || exit 1; done

clean: ## remove .venv and caches, keep outputs
	rm -rf .venv .pytest_cache .ruff_cache .import_linter_cache

# The stamp is written last: an interrupted installation does not count.
$(INSTALLED): pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then \
		echo "Python 3.11, 3.12 or 3.13 was not found; install one, e.g. apt-get install python3 python3-venv" >&2; exit 2; fi
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) has no venv module; install it, e.g. apt-get install python3-venv" >&2; exit 2; }
	@echo "Installing into .venv: about 6 GB are fetched the first time"
	@rm -f $@; [ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@uv=$$(command -v uv || true); \
	if [ -z "$$uv" ] && $(BIN)/python -m pip install -q --disable-pip-version-check uv >/dev/null 2>&1; then uv=$(BIN)/uv; fi; \
	if [ -n "$$uv" ] && "$$uv" pip install -q --compile-bytecode --python $(BIN)/python -c constraints.txt -e '.[dev]'; then :; else \
		$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'; fi
	@touch $@
