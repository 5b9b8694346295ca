# make lab     environment, tools for the start page, JupyterLab
# make test    lint, unit tests, the platform on real services, every notebook, the browser
# make course  every lesson executed, and an HTML book of them
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := lab
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: lab test course matrix sections bench lint links notebooks grading requirements unit tools clean

lab: $(VENV)/.lab
	@$(BIN)/iaclab tools install --for 00-start-here
	@$(BIN)/iaclab lab

# A test that fails is run once more, since a machine that is busy for a minute is not a fault of the course; the summary
# counts and explains each that did.
test: $(VENV)/.dev
	@$(MAKE) --no-print-directory lint
	@$(BIN)/iaclab tools install
	@$(BIN)/pytest -n auto --maxprocesses=4 --dist=loadscope --no-loadscope-reorder --reruns 1 -raR

# The book is build/course/index.html; a lesson that has not changed since is not run again. `make course LESSONS="03 04"` runs
# two, TEAM, GPU and SCALE go to the lessons that take them, ARGS=--report prints the times of the last run.
course: $(VENV)/.dev
	@$(if $(findstring --report,$(ARGS)),,$(BIN)/iaclab tools install)
	@$(BIN)/python -m iaclab.course $(if $(TEAM),--team=$(TEAM)) $(if $(GPU),--gpu=$(GPU)) $(if $(SCALE),--scale=$(SCALE)) $(ARGS) $(LESSONS)

# Before the catalogue names another version: `make matrix TOOL=kubeconform VERSION="0.7.0 0.8.0"` runs the lessons that use
# it with each, in build/matrix; LESSONS=03 runs those alone.
matrix: $(VENV)/.dev
	@test -n "$(TOOL)" -a -n "$(VERSION)" || { echo 'make matrix TOOL=kubeconform VERSION="0.7.0 0.8.0"' >&2; exit 2; }
	@$(BIN)/python -m iaclab.course.matrix $(TOOL) $(VERSION) $(foreach lesson,$(LESSONS),--lesson=$(lesson))

# For who changes a lecture: each of its sections must stand alone. `make sections ARGS='-k 04-argocd'` runs one lecture's.
sections: $(VENV)/.dev
	@$(BIN)/iaclab tools install
	@$(BIN)/pytest -m sections tests/notebooks $(ARGS)

unit: $(VENV)/.dev
	@$(BIN)/pytest tests/unit

bench: $(VENV)/.dev
	@$(BIN)/iaclab tools install
	@$(BIN)/python -m bench

lint: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m iaclab.build --check

# Whether every page that a text links to is still there; the form of links is part of `make lint`.
links: $(VENV)/.dev
	@$(BIN)/python -m iaclab.build.links

notebooks: $(VENV)/.dev
	@$(BIN)/python -m iaclab.build

# What an instructor needs beside the lessons, and the labs with their solutions in grading/source.
grading: $(VENV)/.grading
	@$(BIN)/python -m iaclab.build --instructor

tools: $(VENV)/.dev
	@$(BIN)/iaclab tools install

NO_PACKAGES = { echo 'The Python packages cannot be had: the lines above say why. The first run needs a network.' >&2; exit 1; }

# uv installs what the lock names, with its hashes; a plain pip brings uv.
$(VENV)/bin/uv:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"IaC Lab needs Python 3.11 or newer; this is {v[0]}.{v[1]}. Name another: make PYTHON=python3.12")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo 'This Python has no venv module: sudo apt install python3-venv' >&2; exit 1; }
	@echo "Making the environment in $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --retries 1 uv || $(NO_PACKAGES)

$(VENV)/.lab: requirements/lab.lock pyproject.toml | $(VENV)/bin/uv
	@echo "Installing what the lessons need …"
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --require-hashes -r requirements/lab.lock || $(NO_PACKAGES)
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps -e . || $(NO_PACKAGES)
	@touch $@

# What an instructor needs beside it: nbgrader, the sandbox, Dask.
$(VENV)/.grading: requirements/grading.lock $(VENV)/.lab
	@echo "Installing what grading needs …"
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --require-hashes -r requirements/grading.lock || $(NO_PACKAGES)
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.lab
	@echo "Installing what the tests need …"
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --require-hashes -r requirements/dev.lock || $(NO_PACKAGES)
	@touch $@

requirements: pyproject.toml
	$(BIN)/uv pip compile --universal --generate-hashes --no-header --no-emit-index-url -q pyproject.toml --group dev --extra grading -o requirements/dev.lock
	$(BIN)/uv pip compile --universal --generate-hashes --no-header --no-emit-index-url -q pyproject.toml -c requirements/dev.lock -o requirements/lab.lock
	$(BIN)/uv pip compile --universal --generate-hashes --no-header --no-emit-index-url -q pyproject.toml --extra grading -c requirements/dev.lock -o requirements/grading.lock

clean:
	rm -rf $(VENV) build
