# Two commands on a machine with Python 3.11 and make: `make demo` and `make test`.
# Both can be repeated; they install again only when setup.cfg, pyproject.toml or constraints.txt changed.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
DECLARED := setup.cfg pyproject.toml constraints.txt

DEMO_OUT ?= water_gee_demo
DEMO_SEED ?= 0

.DEFAULT_GOAL := help
.PHONY: help .venv demo test check clean
.DELETE_ON_ERROR:

help:
	@echo "make demo    environment, package, and the main job on a synthetic season ($(DEMO_OUT)/)"
	@echo "make test    environment, package with every extra, and all checks"
	@echo "make .venv   the environment alone"
	@echo "make clean   remove the environment, caches and the demo's results"

.venv: $(VENV)/.installed

demo: $(VENV)/.installed
	$(VENV)/bin/water-gee demo --out $(DEMO_OUT) --seed $(DEMO_SEED)

test: $(VENV)/.installed-test
	scripts/check

check: test

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "water_gee needs Python 3.11; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "water_gee needs Python 3.11 or newer, $(PYTHON) is older; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(DECLARED) | $(VENV)/bin/python
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed-test: $(DECLARED) | $(VENV)/bin/python
	$(PIP) --editable '.[test]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis $(DEMO_OUT)
