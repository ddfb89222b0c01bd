# Two commands: `make demo` (set up, run the main job) and `make test` (set up, run the tests).
# Needs Linux or macOS, Python >= 3.11 and make; everything else is installed into .venv from requirements.lock.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
CASE   ?= stale-price

# Where Python may not keep what it compiled, each of the many processes of a run compiles it anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo lab check test test-shared test-measures test-all mutants bench bench-all peers bench-judge bench-deciding bench-whatif docs lock clean

help:  ## List the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## Install everything into .venv (demo and test do this first)

$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "No $(PYTHON) here: install Python 3.11 or newer, or say make PYTHON=..."; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; found `$(PYTHON) -V`. Try: make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { echo "Could not make a virtual environment (on Debian and Ubuntu: apt install python3-venv)"; rm -rf $(VENV); exit 2; }
	@echo "Installing the locked packages (a minute or two, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: setup  ## Run the main job on the demo service: one case, one report (CASE=stale-price)
	@$(BIN)/luckyhit run $(CASE)

lab: setup  ## Open the project in JupyterLab, at its root
	$(BIN)/luckyhit lab

check: setup  ## Style, types, import contract, clean notebooks (seconds)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/nbstripout --verify notebooks/*.ipynb

# Tests that measure have the machine to themselves; the others share its cores. Neighbours share fixtures, so each
# process begins with a stretch of them (worksteal). Those that need a browser or a proxy that is not installed here
# (.ci/packages) are skipped, and say which.
test: test-shared test-measures  ## All tests but the slow ones

test-shared: setup  ## Of these, the ones that measure nothing
	$(BIN)/pytest -m "not slow and not measures" -n auto --dist worksteal

test-measures: setup  ## Of these, the ones that measure
	$(BIN)/pytest -m "not slow and measures"

test-all: setup  ## Every test, and more of each
	LUCKYHIT_TESTS=all $(BIN)/pytest -m "not measures" -n auto --dist worksteal
	LUCKYHIT_TESTS=all $(BIN)/pytest -m "measures"

# mutmut is installed for this alone.
mutants: setup  ## Mutants that no test notices (hours; OF=judge/stats: of a part)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[mutants]'
	@.ci/mutants $(OF)

# The peers beside us are installed for this alone; wrk comes from the system (apt install wrk).
bench: setup peers  ## What people wait for, as ratios, in ten minutes; red if a row is worse by a tenth (BASE=revision)
	@$(BIN)/python benchmarks/table $(if $(BASE),--base $(BASE))

bench-all: setup peers  ## Every benchmark in full, one after the other
	@for bench in benchmarks/*.py; do echo "== $$bench"; $(BIN)/python $$bench || exit 1; done

peers:
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[bench]' \
	  || echo "The peers could not be installed; those that are missing are left out."

bench-judge: setup  ## How often the judge is wrong on simulated streams, others beside it (hours)
	$(BIN)/python benchmarks/judge --streams 1000
	$(BIN)/python benchmarks/judge/events.py --runs 500
	$(BIN)/python benchmarks/judge/stale_reads.py --streams 1000
	$(BIN)/python benchmarks/judge/forecasts.py --runs 300

bench-deciding: setup  ## How many of 40 simulated first runs are decided, and how many wrongly (OTHER=checkout: beside it)
	$(BIN)/python benchmarks/deciding $(OTHER)

bench-whatif: setup  ## What if: exact, fast and sampled, beside libCacheSim
	$(BIN)/pip install -q -e '.[bench]'
	$(BIN)/python benchmarks/whatif/against_libcachesim.py same
	$(BIN)/python benchmarks/whatif/against_libcachesim.py speed
	$(BIN)/python benchmarks/whatif/sampled.py

docs: setup  ## Write the generated pages again: case-file reference, JSON Schema, commands, columns, faults
	$(BIN)/python -m luckyhit.case.docs.case_reference
	$(BIN)/python -m luckyhit.cli.command_reference
	$(BIN)/python -m luckyhit.records.column_docs
	$(BIN)/python -m luckyhit.judge.diagnosis.fault_reference

lock: setup  ## Resolve the dependencies anew (needs uv)
	uv pip compile pyproject.toml --extra demo --extra dev --universal --python-version 3.11 --generate-hashes --no-config \
	  --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet --upgrade --output-file requirements.lock

clean:  ## Remove what setup installed (runs and reports stay)
	rm -rf $(VENV)
