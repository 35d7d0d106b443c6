# make demo  sets up an environment and clusters 700 real cells
# make test  sets up an environment and passes the tests
# PYTHON= picks the interpreter (make test PYTHON=python3.12); PIP_CONSTRAINT is honoured by pip.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test lint clean
.DELETE_ON_ERROR:

# the environment is made again when the interpreter or the dependencies change
STAMP = $(VENV)/installed-$(notdir $(PYTHON))

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "scclu needs Python >= 3.11, and PYTHON=$(PYTHON) is " + sys.version.split()[0])'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $@

demo: $(STAMP)
	$(BIN)/python -m scclu demo

test: $(STAMP)
	$(BIN)/python -m pytest

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

clean:
	rm -rf $(VENV) demo
