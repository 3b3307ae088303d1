# Set-up, checks and the demo. Every target installs what it needs first; a second run costs nothing.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:

# pyrevm ships wheels for Python 3.11 and 3.12; another one (make PYTHON=python3.13) builds it with Rust.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3,$(shell $(name) -c 'print("$(name)")' 2>/dev/null)) python3)
BIN := .venv/bin

.PHONY: help setup lint test nightly demo bench lock

help:  ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 12

setup: .venv/setup.stamp node_modules/setup.stamp  ## Install the pinned packages and the local EVM node, compile the contracts
	@$(BIN)/python -m novate.chain.compile

.venv/setup.stamp: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "error: Python 3.11 or newer is missing (found: $$($(PYTHON) --version 2>&1 || true));" \
	    "install it or name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "error: Python's venv module is missing; install it (Debian and Ubuntu: python3-venv)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

node_modules/setup.stamp: package.json package-lock.json
	@command -v npm >/dev/null || { \
	  echo "error: npm is missing; install Node.js 20 or newer" >&2; exit 1; }
	@node -e 'process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)' 2>/dev/null || { \
	  echo "error: Node.js 20 or newer is missing (found: $$(node --version 2>&1 || true))" >&2; exit 1; }
	@npm ci --silent
	@node_modules/.bin/anvil --version >/dev/null || { \
	  echo "error: no anvil binary for this platform in @foundry-rs/anvil" >&2; exit 1; }
	@touch $@

lint: setup  ## Static checks: ruff, mypy, import layers, house style
	@$(BIN)/ruff check --quiet src tools tests
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python tools/tidy.py

test: lint  ## Static checks, then every test but the nightly ones
	@$(BIN)/python -m pytest -q -n 2

# A simulation cut short goes on from the first seed its progress lines lack: make nightly SEED=38
SEED ?= 1

nightly: lint  ## Everything, with long seeds and large samples, and a million simulated operations
	@$(BIN)/python -m pytest -q -n 2 -m "nightly or not nightly" --hypothesis-profile=nightly --timeout=3600
	@$(BIN)/python -m novate.sim --seed $(SEED) --seeds $$((101 - $(SEED))) --operations 10000
	@$(BIN)/python -m novate.sim --dated --seed 1 --seeds 10 --operations 5000

demo: setup  ## A real crash through the venue, start to finish
	@$(BIN)/novate demo

bench: setup  ## Gas and sizes of the contracts, measured anew
	@$(BIN)/novate bench gas --save tests/snapshots/gas.json

lock: setup  ## Resolve pyproject.toml again into requirements.lock (keeps what still fits)
	@$(BIN)/python -m pip install --quiet pip-tools
	@$(BIN)/pip-compile --quiet --extra dev --strip-extras --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --output-file requirements.lock pyproject.toml
	@npm install --package-lock-only --silent
