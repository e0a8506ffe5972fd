# The verbs of this project. Each works on a machine with Python 3.11 or newer, make and a package registry.
#   make run    install what is missing, run the scenario `quick` against the built-in endpoint, say where its report is
#   make test   install what is missing, then lint, types and tests
#   make lint   ruff alone         make docs   write the generated pages of docs/ anew         make clean

PYTHON := $(shell for p in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
# --prefer-binary: a bare machine has no compiler for the few wheels that a registry may lack in the newest version.
INSTALL := $(BIN)/pip install -q --disable-pip-version-check --prefer-binary

.PHONY: run test lint docs clean
.DEFAULT_GOAL := run

# A stamp a set of packages, written after the installation: one that broke off is done again, one that ended is not.
$(VENV)/run.stamp: pyproject.toml $(BIN)/python
	@echo "openloop: installing into $(VENV) (once; a minute or so) ..."
	@$(INSTALL) -e .
	@touch $@

$(VENV)/dev.stamp: pyproject.toml $(BIN)/python
	@echo "openloop: installing with the tools for tests into $(VENV) (once; a minute or so) ..."
	@$(INSTALL) -e '.[dev]'
	@touch $(VENV)/run.stamp $@

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "openloop: Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3" >&2; exit 2; }
	@echo "openloop: creating $(VENV) with $(PYTHON) ..."
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "openloop: the module venv is missing or broken; Debian and Ubuntu have it in the package python3-venv" >&2; exit 2; }

run: $(VENV)/run.stamp
	@$(BIN)/openloop run quick

test: $(VENV)/dev.stamp lint
	@echo "openloop: mypy ..."
	@$(BIN)/mypy
	@echo "openloop: pytest ..."
	@$(BIN)/python -m pytest -n 2 --dist loadfile  # they wait more than they compute

lint: $(VENV)/dev.stamp
	@echo "openloop: ruff ..."
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

docs: $(VENV)/run.stamp
	@$(BIN)/python -m console.reference

# runs/ stays: it is data.
clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
