# povrisk: every command a newcomer needs. Only Python 3.11 (or newer) and make must be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export MLFLOW_DISABLE_TELEMETRY := true
export BENTOML_DO_NOT_TRACK := True

.PHONY: demo test check setup serve bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    from nothing to an explained score over HTTP (about 5 minutes at most)"
	@echo "make test    the whole suite (about 15 minutes at most)"
	@echo "make check   the fast part of it (about 2 minutes)"
	@echo "make setup   only the environment in $(VENV)"
	@echo "make serve   the scoring service with the demo bundle at http://127.0.0.1:3000"

setup: $(STAMP)

# One resolver pass over pinned versions; uv when it can be had, otherwise pip.
$(STAMP): constraints.txt pyproject.toml
	@echo "Installing the pinned environment into $(VENV); this takes a minute or two"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv 2>/dev/null \
	  && $(BIN)/uv pip install --python $(BIN)/python --quiet -c constraints.txt setuptools wheel \
	  && $(BIN)/uv pip install --python $(BIN)/python --quiet -c constraints.txt --no-build-isolation -e '.[test]' \
	  || { echo "uv is not available here, installing with pip"; \
	       $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt setuptools wheel \
	       && $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[test]'; }
	@touch $(STAMP)

demo: $(STAMP)
	@$(BIN)/python -m serving.demo

serve: $(STAMP)
	@test -f demo/bundle/manifest.json || $(BIN)/python -m serving.demo
	$(BIN)/povrisk serve demo/bundle --demo

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests/spec features models training serving

test: lint
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --cov --cov-report=term:skip-covered
	$(BIN)/python -m pytest -q --nbmake notebooks

clean:
	rm -rf demo build dist *.egg-info
