# Everything from a fresh clone: `make play` opens a world, `make test` proves that it works.
# Needs git, make and Python 3.11 or newer; all else is set up here, once, in .venv.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.SILENT:
.DEFAULT_GOAL := help
.PHONY: help play test lint format bench page chromium clean

VENV := .venv
BIN  := $(VENV)/bin
PORT ?= 8700
HOST ?= 127.0.0.1
ARGS ?=
# The first of these that is new enough; `make PYTHON=/path/to/python` overrides.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
  "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

help: ## What there is to make
	grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

play: $(VENV)/.play page ## Open a world in the browser  (WORLD=name PORT=8700 HOST=127.0.0.1)
	$(BIN)/perdure play $(WORLD) --port $(PORT) --host $(HOST)

test: $(VENV)/.test page chromium ## Run the whole suite  (ARGS="tests/world -x"; one process: ARGS="-n 0 --pdb")
	echo "· tests"
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

lint: $(VENV)/.test ## Style, formatting and types
	echo "· lint       ruff check, ruff format, pyright"
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --check . || true; echo "run: make format"; exit 1; }
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.test ## Let ruff mend what it can
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .

bench: $(VENV)/.test page chromium ## Measure the live loop in a real browser
	$(BIN)/perdure bench live --seconds 60

page: $(VENV)/bin/hatchling ## Build the page, if its sources changed
	$(BIN)/python hatch_build.py

clean: ## Remove all that was set up or built here (worlds stay: they live in ~/.perdure)
	rm -rf $(VENV) build dist perdure/server/page client/node_modules .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/hatchling:
	[[ -n "$(PYTHON)" ]] || { echo "expected Python 3.11 or newer; install it, or say: make PYTHON=/path/to/python"; exit 1; }
	echo "· python     $$($(PYTHON) --version) in $(VENV)"
	$(PYTHON) -m venv $(VENV) || { echo "could not make $(VENV): on Debian, apt-get install python3-venv"; exit 1; }
	$(PIP) install 'hatchling>=1.26'
	touch $@

$(VENV)/.play: pyproject.toml $(BIN)/hatchling | page
	echo "· packages   numpy, mujoco, openvino and friends (150 MB to fetch; a minute or two the first time)"
	$(PIP) install --editable .
	touch $@

$(VENV)/.test: pyproject.toml $(BIN)/hatchling | page
	echo "· packages   the above, torch, and the tools that check (a few minutes the first time)"
	$(PIP) install --editable '.[train,eval,data,worlds,video,dev]'
	touch $@ $(VENV)/.play

# Best effort: without it the tests that need a browser skip, and say so.
chromium:
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null && exit 0
	if [[ $$(id -u) == 0 ]] && command -v apt-get >/dev/null; then
	  echo "· browser    installing Debian's chromium, for the tests that drive the page"
	  export DEBIAN_FRONTEND=noninteractive
	  { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1 && exit 0
	fi
	echo "· browser    no chromium here: the tests that drive the page will skip"
