# Each target does its own set-up in .venv; all that is needed is Python 3.11 or newer and a shell.

RUN := .venv/bin/python
PYTHONS := $(PYTHON) python3.11 python3.12 python3.13 python3

.PHONY: demo test check bench train
.DELETE_ON_ERROR:

demo: .venv/ready ## a running service with images, a plot and a sign-in link
	@.venv/bin/accrue demo

test: .venv/ready-dev .venv/ready-chromium ## every test
	@$(RUN) -m pytest

check: .venv/ready-dev ## format, lint, types, imports and the house rules
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .
	@$(RUN) -m mypy
	@.venv/bin/lint-imports
	@$(RUN) -m pytest -q tests/test_architecture.py

bench: .venv/ready-dev ## what the networks cost, what the simulators draw, how long interactions, metrics and exports take, how much memory
	@$(RUN) -m benchmarks.ink
	@$(RUN) -m benchmarks.generator
	@$(RUN) -m benchmarks.decoder
	@$(RUN) -m benchmarks.published
	@$(RUN) -m benchmarks.memory
	@$(RUN) -m benchmarks.latency
	@$(RUN) -m benchmarks.exports
	@$(RUN) -m benchmarks.metrics

train: .venv/ready ## training in miniature: one minute, to see that all of it works
	@.venv/bin/accrue train --minutes 1 --out runs/mini

.venv/bin/python:
	@for python in $(PYTHONS); do \
	    if "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        exec "$$python" -m venv .venv; \
	    fi; \
	done; \
	echo 'Accrue needs Python 3.11 or newer with its venv module (on Debian: apt-get install python3-venv).' >&2; \
	exit 1

.venv/ready: pyproject.toml | .venv/bin/python
	@$(RUN) -m pip install --quiet --editable .
	@touch $@

.venv/ready-dev: .venv/ready
	@$(RUN) -m pip install --quiet --editable '.[dev]'
	@touch $@

.venv/ready-chromium: | .venv/bin/python
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; then \
	    touch $@; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    { DEBIAN_FRONTEND=noninteractive apt-get install -qq -y chromium >/dev/null 2>&1 || \
	        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y chromium >/dev/null; }; } && touch $@; \
	else \
	    echo 'The tests of the page need Chromium on the PATH (on Debian: apt-get install chromium).' >&2; \
	    exit 1; \
	fi
