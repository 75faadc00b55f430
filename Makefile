# make demo      set up .venv and train one ablation on generated data
# make test      set up .venv and run the tests
# make slow      the longer checks
# make snapshots write the tests' pictures of the screens anew, after a change of how they look
# make check     lint, format, types and import contracts
# make audit     known advisories for the pinned packages (needs a network that knows them)
#                AUDIT="-s osv --osv-url URL" asks a mirror of the advisories instead, where there is no such network
# make bench     the suite of benchmarks: a table of ratios, and bench.json; some minutes
#                BENCH=--quick runs all of it small, to see that it runs
#
# PYTHON=python3.12     another interpreter (3.11 or newer)
# TORCH_INDEX=URL       where pip finds a special torch build, such as the CPU-only one (see README)
# WORKERS=4             processes for the tests: one more than there are cores, as many of them wait now and then

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
PIP_FLAGS := --quiet --disable-pip-version-check -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: demo test slow snapshots check audit bench clean

demo: $(VENV)/ready
	$(BIN)/tfllmer run --ablation no-norm

test: $(VENV)/ready-test
	$(BIN)/pytest -n $(WORKERS) --dist loadfile

slow: $(VENV)/ready-test
	$(BIN)/pytest -m slow -n $(WORKERS) --dist loadfile

snapshots: $(VENV)/ready-test
	TFLLMER_UPDATE_SNAPSHOTS=1 $(BIN)/pytest tests/tui/app/test_snapshots.py

check: $(VENV)/ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# In an environment of its own, as its packages are none of ours. --strict: what could not be asked about is an error.
audit:
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/pip install --quiet --disable-pip-version-check 'pip-audit>=2.7,<3'
	.venv-audit/bin/pip-audit --strict --no-deps --disable-pip $(AUDIT) -r constraints.txt

bench: $(VENV)/ready
	$(BIN)/python benchmarks/suite.py $(BENCH)

clean:
	rm -rf $(VENV) .venv-audit build dist *.egg-info

# Each stamp is newer than what it was installed from, so a second call installs nothing.
$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "tfllmer needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/ready: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing tfllmer into $(VENV) (the first time takes a few minutes)"
	$(BIN)/pip install $(PIP_FLAGS) -e .
	@touch $@

$(VENV)/ready-test: $(VENV)/ready
	$(BIN)/pip install $(PIP_FLAGS) -e '.[test]'
	@touch $@

$(VENV)/ready-dev: $(VENV)/ready
	$(BIN)/pip install $(PIP_FLAGS) -e '.[dev]'
	@touch $@
