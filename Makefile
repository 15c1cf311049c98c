# Everything that a fresh machine needs is Python 3.11+ and git; each target sets up what it uses.
#   make demo      install, then compare RNN, LSTM, GRU, minGRU and Transformer (under 5 minutes)
#   make test      install, then run the tests
#   make check     lint, types and the direction of imports
#   make test-all  the slow tests too
#   make bench     against peers (minutes; needs a quiet machine)

PYTHON ?= python3
BIN := .venv/bin

.PHONY: help install demo test test-all check bench picture clean

help:
	@sed -n 's/^#   //p' Makefile

install: .venv/.core

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "phalanx needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)."; \
	  echo "Install one and run: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "Creating the environment .venv ..."
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/.core: .venv/python pyproject.toml constraints.txt
	@echo "Installing phalanx and what it needs into .venv (once; minutes on a slow network) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/.dev: .venv/.core
	@echo "Installing what the tests and checks need into .venv (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,check]'
	@touch $@

demo: install
	$(BIN)/phalanx compare rnn lstm gru mingru transformer --budget 240 --output demo

test: .venv/.dev
	$(BIN)/python -m pytest -m "not slow"

test-all: .venv/.dev
	$(BIN)/python -m pytest

check: .venv/.dev
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.dev
	$(BIN)/python benchmarks/shakespeare.py

picture: install
	$(BIN)/phalanx compare rnn lstm gru mingru transformer --budget 240 --output demo --picture docs/picture.svg

clean:
	rm -rf .venv build demo src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
