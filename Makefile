# make lab     environment, tools for the start page, JupyterLab
# make test    lint, unit tests, the platform on real services, every notebook, the browser
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := lab
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: lab test bench lint notebooks unit tools clean

lab: $(VENV)/.lab
	@$(BIN)/iaclab tools install --for 00-start-here
	@$(BIN)/iaclab lab

test: $(VENV)/.dev
	@$(MAKE) --no-print-directory lint
	@$(BIN)/iaclab tools install
	@$(BIN)/pytest

unit: $(VENV)/.dev
	@$(BIN)/pytest tests/unit

bench: $(VENV)/.dev
	@$(BIN)/iaclab tools install
	@$(BIN)/python bench/run.py

lint: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m iaclab.build --check

notebooks: $(VENV)/.dev
	@$(BIN)/python -m iaclab.build

tools: $(VENV)/.dev
	@$(BIN)/iaclab tools install

# uv installs what the lock names, with its hashes; a plain pip brings uv.
$(VENV)/bin/uv:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"IaC Lab needs Python 3.11 or newer; this is {v[0]}.{v[1]}. Name another: make PYTHON=python3.12")'
	@echo "Making the environment in $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check uv

$(VENV)/.lab: requirements/lab.lock pyproject.toml | $(VENV)/bin/uv
	@echo "Installing what the lessons need …"
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --require-hashes -r requirements/lab.lock
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.lab
	@echo "Installing what the tests need …"
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --require-hashes -r requirements/dev.lock
	@touch $@

requirements: pyproject.toml
	$(BIN)/uv pip compile --universal --generate-hashes --no-header --no-emit-index-url -q pyproject.toml --group dev -o requirements/dev.lock
	$(BIN)/uv pip compile --universal --generate-hashes --no-header --no-emit-index-url -q pyproject.toml -c requirements/dev.lock -o requirements/lab.lock

clean:
	rm -rf $(VENV) build
