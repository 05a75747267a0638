# Everything runs in .venv, made with any Python 3.11 or newer: make PYTHON=python3.12 …
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help setup setup-test demo parts screenshot bench hardware test check format clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.venv/made: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Pumasi needs Python 3.11 or newer; say which: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@if $(PYTHON) -c 'import ensurepip' 2> /dev/null; then $(PYTHON) -m venv .venv; \
	else $(PYTHON) -m venv --without-pip .venv && $(PYTHON) tests/parts.py --pip .venv/bin/python; fi
	$(PIP) install --quiet --constraint constraints.txt --editable ".[meters]"
	@touch $@

.venv/made-test: .venv/made
	$(PIP) install --quiet --constraint constraints.txt --editable ".[meters,flash,postgresql,parquet,hardware,test]"
	$(PIP) install --quiet --constraint constraints.txt --upgrade --target .stubs micropython-esp32-stubs
	@touch $@

setup: .venv/made  ## make the environment in .venv

setup-test: .venv/made-test  ## … with what the tests and checks need

demo: .venv/made  ## a street of real homes trades; prints a link to its pages
	@$(BIN)/pumasi demo $(ARGS)

parts: .venv/made-test  ## unpack the Debian parts that tests need into .parts, as far as they are not installed
	@$(BIN)/python tests/parts.py mosquitto influxdb postgresql victoria-metrics chromium

screenshot: parts  ## the pictures of README and docs/dashboard.md, made from a running demo
	$(BIN)/python docs/picture.py

bench: .venv/made-test  ## measure; docs/benchmarks.md has the figures
	$(BIN)/python -m benchmarks.demo
	$(BIN)/python -m benchmarks.dashboard
	$(BIN)/python -m benchmarks.clearing
	$(BIN)/python -m benchmarks.backtest
	$(BIN)/python -m benchmarks.series
	$(BIN)/python -m benchmarks.settlement
	$(BIN)/python -m benchmarks.proofs
	$(BIN)/python -m benchmarks.record
	$(BIN)/python -m benchmarks.fleet

hardware: .venv/made-test  ## make the board's files again with KiCad 9, and check them
	$(BIN)/python -m hardware $(ARGS)

test: .venv/made-test parts  ## check, then run every test
	@$(MAKE) --no-print-directory check
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

check: .venv/made-test  ## what CI asks of the code: format, lint, types
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/pyright --project firmware/device

format: .venv/made-test  ## put the code into shape
	$(BIN)/ruff format --quiet .
	$(BIN)/ruff check --quiet --fix .

clean:  ## remove what make made
	rm -rf .venv .parts .stubs .pumasi build dist *.egg-info
