# Two commands do all the set-up: `make demo` and `make test`. They need Python 3.11 to 3.13 and a package index, nothing else.
#
#   make demo     the sample practice on a local page; prints the address
#   make test     the whole suite
#   make check    what CI runs: format, lint, types, imports, docs, and the suite
#   make soak     the tests of what may go wrong, at full length: minutes to an hour
#   make stand-ins  a local Slack to try things out with, in .stand-ins
#   make bench    how much our bookkeeping costs, as ratios
#   make docs     write the generated lists in docs/ again
#   make model    fetch the embedding model, where the set-up could not
#   make lock     write locks/ again after a change in pyproject.toml; UPGRADE=--upgrade takes the newest versions

.DEFAULT_GOAL := help
.PHONY: help demo test check soak stand-ins bench docs model lock ready-run ready-dev

PY := .venv/bin/python
COMPILE = $(PY) -m uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet $(UPGRADE)

help:
	@sed -n 's/^#   //p' Makefile

demo: ready-run
	@exec $(PY) -m bot demo

# The promises have figures in seconds: they are held with nothing beside them.
test: ready-dev
	@$(PY) -m pytest --ignore=tests/promises
	@exec $(PY) -m pytest --numprocesses=0 tests/promises

check: ready-dev
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) .venv/bin/lint-imports
	$(PY) -m tests.docs_writer --check
	@$(MAKE) --no-print-directory test

soak: ready-dev
	@HOLDFAST_SOAK=1 $(PY) -m pytest --timeout 3600 -rP --ignore=tests/promises
	@HOLDFAST_SOAK=1 exec $(PY) -m pytest --timeout 3600 -rP --numprocesses=0 tests/promises

stand-ins:
	@exec bash .ci/stand_ins

bench: ready-dev
	@exec $(PY) -m tests.bench

docs: ready-dev
	$(PY) -m tests.docs_writer

model: ready-run
	@exec $(PY) .ci/venv.py model

lock: ready-dev
	$(COMPILE) --all-extras --group dev pyproject.toml -o locks/dev.txt
	$(COMPILE) --constraint locks/dev.txt pyproject.toml -o locks/run.txt
	$(COMPILE) --constraint locks/dev.txt --extra postgres pyproject.toml -o locks/postgres.txt

# .venv holds a copy of each lock it was brought to; where the copy is the lock and Python starts, there is nothing to do.
ready-run ready-dev: ready-%:
	@cmp -s locks/$*.txt .venv/$*.txt && $(HAS_MODEL) && $(PY) -c '' 2>/dev/null || { $(FIND_PYTHON); "$$python" .ci/venv.py $*; }

# .venv/model.txt: it is there; .venv/model.txt.missing: it could not be fetched, which is tried again by `make model`.
HAS_MODEL = { cmp -s locks/model.txt .venv/model.txt || cmp -s locks/model.txt .venv/model.txt.missing; }

FIND_PYTHON = for python in $(PYTHON) python3.13 python3.12 python3.11 python3 python none; do \
	"$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && break; done; \
	test $$python != none || { \
	echo "Holdfast needs Python 3.11, 3.12 or 3.13 and found none: install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
