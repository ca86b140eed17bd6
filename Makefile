# povrisk: every command a newcomer needs. Only Python 3.11 (or newer) and make must be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
SPARK := .venv-spark
STAMP := $(VENV)/.installed
export MLFLOW_DISABLE_TELEMETRY := true
export BENTOML_DO_NOT_TRACK := True

.PHONY: demo test coverage check setup serve bento browser bench spark-test clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    from nothing to an explained score and a visit over HTTP (about 5 minutes at most)"
	@echo "make test    the whole suite (about 15 minutes at most)"
	@echo "make coverage   the tests with lines counted (about 12 minutes)"
	@echo "make check   the fast part of it (about 2 minutes)"
	@echo "make setup   only the environment in $(VENV)"
	@echo "make bench   speed and memory beside peers, on this machine (about 25 minutes)"
	@echo "make spark-test   the same vectors on Spark as on one machine (about 3 minutes; needs Java 17 or newer)"
	@echo "make bento BUNDLE=path   a bento of the service with that bundle inside"
	@echo "make serve   the demo's service and pages at http://127.0.0.1:3000"

setup: $(STAMP)

# One resolver pass over pinned versions; uv when it can be had, otherwise pip.
$(STAMP): constraints.txt pyproject.toml
	@echo "Installing the pinned environment into $(VENV); this takes a minute or two"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv 2>/dev/null \
	  && $(BIN)/uv pip install --python $(BIN)/python --quiet -c constraints.txt setuptools wheel \
	  && $(BIN)/uv pip install --python $(BIN)/python --quiet --compile-bytecode -c constraints.txt --no-build-isolation -e '.[test,bench]' \
	  || { echo "uv is not available here, installing with pip"; \
	       $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt setuptools wheel \
	       && $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[test,bench]'; }
	@touch $(STAMP)

demo: $(STAMP)
	@$(BIN)/python -m serving.demo

serve: $(STAMP)
	@test -f demo/bundle/manifest.json -a -f demo/store.db -a -f demo/today || $(BIN)/python -m serving.demo
	POVRISK_TODAY=$$(cat demo/today) $(BIN)/povrisk serve demo/bundle --demo --store sqlite:///demo/store.db --visits 60

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests/spec features models training serving

# A bento with a verified bundle inside: make bento BUNDLE=path (the demo's without it).
BUNDLE ?= demo/bundle
bento: $(STAMP)
	$(BIN)/povrisk verify $(BUNDLE)
	rm -rf bundle && cp -r $(BUNDLE) bundle
	$(BIN)/bentoml build

# What the browser tests need from the system. Where it can neither be found nor installed they say so and are skipped.
browser:
	@command -v chromium >/dev/null && fc-list :lang=zh 2>/dev/null | grep -q . || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing chromium and fonts-noto-cjk for the browser tests"; \
	    { apt-get install -y -q --no-install-recommends chromium fonts-noto-cjk fontconfig \
	      || { apt-get update -q && apt-get install -y -q --no-install-recommends chromium fonts-noto-cjk fontconfig; }; } \
	      >/dev/null 2>&1 || echo "chromium could not be installed; the browser tests will be skipped"; \
	  else echo "The browser tests need chromium and a Chinese font (Debian: apt install chromium fonts-noto-cjk)"; fi; }

test: lint browser
	$(BIN)/python -m pytest -q -n 2 --dist loadfile
	$(BIN)/python -m pytest -q --nbmake notebooks

# Counting lines makes every test a third slower, so it is a run of its own.
coverage: $(STAMP) browser
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --cov --cov-report=term:skip-covered

bench: $(STAMP) $(PEERS)/.installed
	$(BIN)/python -m benchmarks.report --folder build/bench

# Featuretools needs an older pandas and therefore a place of its own; where it cannot be had, its line stays empty.
$(PEERS)/.installed: benchmarks/peers/featuretools.txt
	@$(PYTHON) -m venv $(PEERS) && ( \
	  $(BIN)/uv pip install --python $(PEERS)/bin/python --quiet -r $< 2>/dev/null \
	  || $(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r $< ) \
	  && touch $@ || echo "Featuretools cannot be installed here; going on without it"

# Spark weighs more than everything else together, so its tests have an environment of their own.
spark-test: $(SPARK)/.installed
	@command -v java >/dev/null || { echo "make spark-test needs Java 17 or newer (Debian: openjdk-17-jre-headless)"; exit 1; }
	$(SPARK)/bin/python -m pytest -q -rs tests/agreement/test_spark.py

$(SPARK)/.installed: constraints.txt pyproject.toml
	@echo "Installing the pinned environment with Spark into $(SPARK); this takes a minute or two"
	@$(PYTHON) -m venv $(SPARK)
	@$(SPARK)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv 2>/dev/null \
	  && $(SPARK)/bin/uv pip install --python $(SPARK)/bin/python --quiet -c constraints.txt setuptools wheel \
	  && $(SPARK)/bin/uv pip install --python $(SPARK)/bin/python --quiet -c constraints.txt --no-build-isolation -e '.[test,spark]' \
	  || { $(SPARK)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt setuptools wheel \
	       && $(SPARK)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[test,spark]'; }
	@touch $@

clean:
	rm -rf demo build dist bundle *.egg-info
