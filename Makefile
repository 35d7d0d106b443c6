# make demo  sets up an environment and clusters 700 real cells
# make test  sets up an environment and runs the tests, except the slow ones
# make test-all  sets up an environment and runs all tests
# make docs  sets up an environment and builds the documentation into docs/_build/html
# make tutorials  sets up an environment, executes the notebooks in tutorials and stores their outputs
# make benchmark SCCLU_DATA=FOLDER  compares all methods on the labelled datasets of a folder, and writes the results to
#   docs/benchmark, docs/benchmark.md and README.md; a second call resumes, and BENCHMARK_OUT= keeps the runs elsewhere
# make dist  builds the wheel and the sdist into dist, and checks them
# PYTHON= picks the interpreter (make test PYTHON=python3.12); PIP_CONSTRAINT is honoured by pip.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test test-all lint docs tutorials benchmark dist clean
.DELETE_ON_ERROR:

# the environment is made again when the interpreter or the dependencies change
STAMP = $(VENV)/installed-$(notdir $(PYTHON))
DOCS_STAMP = $(VENV)/docs-$(notdir $(PYTHON))

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "scclu needs Python >= 3.11, and PYTHON=$(PYTHON) is " + sys.version.split()[0])'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $@

demo: $(STAMP)
	$(BIN)/python -m scclu demo

# one thread for each process, since the processes share the cores, and so that times can be compared
ONE_THREAD = OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1
PYTEST = $(ONE_THREAD) $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist worksteal

test: $(STAMP)
	$(PYTEST) -m "not slow"

test-all: $(STAMP)
	$(PYTEST)

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --group docs
	touch $@

# -W turns warnings into errors; -n warns of references without a target
docs: $(DOCS_STAMP)
	$(BIN)/sphinx-build -W -n --keep-going -b html docs docs/_build/html

tutorials: $(STAMP)
	$(BIN)/python tutorials/execute.py

BENCHMARK_OUT ?= benchmark
BENCHMARK_TIMEOUT ?= 300
BENCHMARKED = cicl scsiameseclu core pca-kmeans leiden scvi-kmeans scvi-leiden

benchmark: $(STAMP)
	@test -d "$(SCCLU_DATA)" || { echo "SCCLU_DATA must name the folder of the labelled datasets (.h5ad)."; exit 2; }
	$(ONE_THREAD) $(BIN)/python -m scclu benchmark "$(SCCLU_DATA)" --methods $(BENCHMARKED) --seeds 0 1 2 \
		--timeout $(BENCHMARK_TIMEOUT) --out "$(BENCHMARK_OUT)"
	$(ONE_THREAD) $(BIN)/python docs/benchmark/pages.py --results "$(BENCHMARK_OUT)"

# uses a separate environment, since building needs neither torch nor scanpy
dist:
	$(PYTHON) -m venv --clear $(VENV)-dist
	$(VENV)-dist/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(VENV)-dist/bin/python -m pip install --quiet --group dist
	rm -rf dist
	$(VENV)-dist/bin/python -m build
	$(VENV)-dist/bin/python -m twine check --strict dist/*

clean:
	rm -rf $(VENV) $(VENV)-dist dist demo docs/_build docs/generated docs/tutorials
