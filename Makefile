# Each target does its own set-up, in .venv and web/node_modules; all that is needed is Python 3.11 or newer,
# Node (20.19 or a later 20, or 22.12 or newer, as Vite wants it) and a shell.

RUN := .venv/bin/python
PYTHONS := $(PYTHON) python3.11 python3.12 python3.13 python3
PAGE := web/dist/index.html
MODULES := web/node_modules/.package-lock.json
PAGE_SOURCES := $(shell find web \( -name node_modules -o -name dist -o -name tests -o -name bench \) -prune -o -type f -print)
TYPES := web/src/api/schema.d.ts
BENCHMARKS := ink generator decoder published memory latency exports queue metrics canvas page at_the_page

.PHONY: demo page test check types bench train
.DELETE_ON_ERROR:

demo: .venv/ready $(PAGE) ## a running service with images, a plot and a sign-in link
	@.venv/bin/accrue demo

page: $(PAGE) ## the web page, built: `pip install .` packs it

test: .venv/ready-dev .venv/ready-chromium $(PAGE) ## every test
	@npm --prefix web --silent test
	@$(RUN) -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --ignore tests/web
	@$(RUN) -m pytest tests/web # one after the other: a browser takes a machine of its own

check: .venv/ready-dev $(MODULES) ## format, lint, types, imports and the house rules
	@npm --prefix web run --silent check
	@$(RUN) -m commands.openapi | npm --prefix web run --silent types | diff - $(TYPES) >/dev/null || \
	    { echo "The API has changed and the page's types have not: run \`make types\`." >&2; exit 1; }
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .
	@$(RUN) -m mypy
	@.venv/bin/lint-imports
	@$(RUN) -m pytest -q tests/test_architecture.py

types: .venv/ready $(MODULES) ## the page's types, from the API as it is
	@$(RUN) -m commands.openapi | npm --prefix web run --silent types > $(TYPES)

bench: .venv/ready-dev .venv/ready-chromium $(PAGE) ## what the networks cost, what the simulators draw, how long interactions, metrics, exports, strokes and the page take, how much memory
	@missed=0; for each in $(BENCHMARKS); do $(RUN) -m benchmarks.$$each || missed=1; done; exit $$missed

train: .venv/ready ## training in miniature: one minute, to see that all of it works
	@.venv/bin/accrue train --minutes 1 --out runs/mini

$(PAGE): $(MODULES) $(PAGE_SOURCES)
	@npm --prefix web run --silent build

$(MODULES): web/package.json web/package-lock.json
	@node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 22 || (a == 22 && b >= 12) || (a == 20 && b >= 19) ? 0 : 1)' 2>/dev/null || \
	    { echo 'Accrue needs Node 20.19 or a later 20, or 22.12 or newer, with npm to build its page (https://nodejs.org).' >&2; exit 1; }
	@npm --prefix web ci --silent
	@touch $@

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
