# Every target sets up what it needs: `make demo` and `make test` work on a fresh clone.
VENV ?= .venv
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := $(VENV)/bin
export OMP_WAIT_POLICY := PASSIVE

.PHONY: help install demo test test-slow test-grid test-iqa validate check lock clean

help:                 ## what can be done here
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

install: $(VENV)/.ready   ## the tested versions, in .venv (about 6 GB, a few minutes, once)

$(VENV)/.ready: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12"; exit 2; }
	@echo "installing the locked versions into $(VENV) (about 6 GB, a few minutes, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
	@echo "environment ready"

demo: install         ## measure, judge and report on this machine, no download: three minutes
	@$(BIN)/qa demo

test: install         ## all tests but the slow ones
	@$(BIN)/python -m pytest -q -m "not slow and not grid" -n 2 --dist worksteal

test-slow: install    ## the tests that take half a minute and more
	@$(BIN)/python -m pytest -q -m slow -n 2 --dist loadfile

test-grid: install    ## whole grids of cases of which other tests try a few: minutes each
	@$(BIN)/python -m pytest -q -m grid -n 2 --dist worksteal

test-iqa: install     ## metrics of pyiqa (non-commercial licence), in a folder of its own
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --upgrade \
		--target $(VENV)/iqa -r requirements-iqa.lock
	@PYTHONPATH=$(VENV)/iqa $(BIN)/python -m pytest -q tests/qa/metrics -k "iqa or niqe or quality or resolution or battery"

validate: install     ## error rates of the gates by simulation: docs/validation.md (an hour on two cores)
	@OMP_NUM_THREADS=1 $(BIN)/python scripts/validate_gates.py
	@$(BIN)/python scripts/same_decoder.py
	@if [ -n "$$QA_ASSETS" ]; then $(BIN)/python scripts/seeded_defects.py; \
		else echo "planted defects: not measured again, QA_ASSETS names no pictures"; fi
	@$(BIN)/python scripts/validation.py

check: install        ## style, types, layers, and what the wheel holds
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python scripts/check_wheel.py

lock:                 ## resolve the newest versions into requirements.lock (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --upgrade \
		--generate-hashes --no-header --no-annotate --no-emit-index-url -q -o requirements.lock

clean:                ## forget the environment and every build product, keep runs/
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
