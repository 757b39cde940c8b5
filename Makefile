# `make` lists the commands. Everything is installed into .venv; nothing outside this folder is touched.
PYTHON ?= $(firstword $(foreach p,python3.12 python3.13 python3.11 python3,$(if $(shell $(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo y),$(p))))
VENV ?= .venv
BIN := $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Two at a time, file by file: most tests wait for encoders, players and disks.
TWO = -n 2 --dist loadfile
# Encoders, players and browsers in real time share the machine with each other: what failed twice is tried once more with
# nothing beside it. What fails then has failed.
REAL = { rm -rf .tools/pytest; $(BIN)/python -m pytest $(TWO) -m "not alone" tests/interop tests/e2e \
  || { [ $$? -eq 1 ] && echo "what failed, once more by itself:" \
  && $(BIN)/python -m pytest --last-failed --last-failed-no-failures none -m "not alone" tests/interop tests/e2e; }; } \
  && $(BIN)/python -m pytest -m alone tests/interop tests/e2e
OFFLINE = { echo "could not download from PyPI: is there a network or a proxy? then run make again" >&2; exit 1; }

.DEFAULT_GOAL := help
.PHONY: help run test check e2e bench conformance pythons setup setup-dev web clean

help:  ## list the commands
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: setup web  ## install into .venv, start the server with a moving test picture, print where it plays
	@$(BIN)/headwater demo

test: setup-dev web  ## all tests, some 14 minutes on two cores; programs that are missing are named in the skips
	@$(BIN)/python -m pytest $(TWO) tests/unit tests/conformance tests/fuzz
	@$(REAL)

check: setup-dev  ## ruff, mypy --strict, import-linter
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

e2e: setup-dev web  ## only the tests with real encoders, players and browsers
	@$(REAL)

conformance: setup-dev web  ## every operation through the official SDKs (Go where it is installed; its first build takes minutes)
	@HEADWATER_CONFORMANCE_GO=1 $(BIN)/python -m pytest tests/conformance

PYTHONS ?= $(wildcard $(foreach v,3.12 3.13 3.14,$(HOME)/.pyenv/versions/$(v)*/bin/python /usr/bin/python$(v)))

pythons: web  ## the unit tests on every other Python that the machine has
	@for python in $(PYTHONS); do \
	  venv=.tools/venv-$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	  $(MAKE) --no-print-directory setup-dev VENV=$$venv PYTHON=$$python && echo "$$($$venv/bin/python --version):" \
	    && HEADWATER_EXAMPLES=20 $$venv/bin/python -m pytest $(TWO) tests/unit || exit 1; \
	done

bench: setup-dev web  ## speed, each figure beside a peer or a bound of the same run
	@$(BIN)/python -m benchmarks

setup: $(VENV)/.runtime
setup-dev: $(VENV)/.dev
web: src/headwater/web/vendor/.fetched

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Headwater needs Python 3.11 or newer (set PYTHON=/path/to/python3.11)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python's venv module is missing: on Debian and Ubuntu, apt install python3-venv"; exit 1; }

# Each step has a stamp of its own: what failed is tried again, also where the steps before it are done.
$(VENV)/.pip: | $(BIN)/python
	@$(PIP) --upgrade 'pip>=25.1' || $(OFFLINE)
	@touch $@

$(VENV)/.runtime: pyproject.toml | $(VENV)/.pip
	@echo "installing Headwater into $(VENV) ..."
	@$(PIP) -e . || $(OFFLINE)
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.runtime
	@echo "installing the development tools into $(VENV) ..."
	@$(PIP) --group dev || $(OFFLINE)
	@touch $@

src/headwater/web/vendor/.fetched: tools/fetch_web.py | $(VENV)/.runtime
	@$(BIN)/python tools/fetch_web.py
	@touch $@

clean:  ## remove what was installed and built
	rm -rf $(VENV) src/headwater/web/vendor build dist .mypy_cache .ruff_cache .tools
