# make help shows what there is. Needs GNU make, sh, and Python 3.11 or newer.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/setup.stamp
# What to run, when `python3` is not the one: make setup PYTHON=/path/to/python
PYTHON :=
# What `make run` and `make test` hand on: make run ARGS="--archive export.json"
ARGS :=
# How many damaged copies `make corrupt` makes.
CASES := 2000
# Two cores; a file of tests stays on one worker, so that costly module fixtures are made once.
WORKERS := 2

.DEFAULT_GOAL := help
.PHONY: help setup run test check bench corrupt lock clean
.NOTPARALLEL:

help: ## show this table
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## make .venv from requirements.lock, with the daybook command in it
	@$(setup)

run: setup ## start the service; everything is kept under ./data (ARGS="..." are handed on)
	@exec $(BIN)/daybook run $(ARGS)

test: setup ## run all tests, but those that need a browser (ARGS="..." are handed on)
	@exec $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile -m "not browser" $(ARGS)

check: setup ## style, types, direction of imports, the house and its documents
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --quiet --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_house.py $(wildcard tests/test_docs*.py tests/docs)

bench: setup ## measure beside other schedulers: 30 minutes (ARGS="storm --repeat 1", ARGS=--help)
	@exec $(BIN)/python -m tests.benchmarks $(ARGS)

corrupt: setup ## damage 2,000 copies of a store and ask each of them everything: 15 minutes (CASES=5000)
	@DAYBOOK_CORRUPTIONS=$(CASES) exec $(BIN)/python -m pytest -q -s tests/e2e/test_corruption.py $(ARGS)

lock: setup ## pin what pyproject.toml asks for (ARGS=--upgrade takes the newest)
	@env -u VIRTUAL_ENV $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	    --output-file requirements.lock $(ARGS) pyproject.toml
	@echo "requirements.lock is up to date"

clean: ## remove .venv and all that tools leave behind; ./data stays
	@rm -rf $(VENV) build dist *.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- setup --------------------------------------------------------------------------------------------------------------
# The stamp names the place and what was installed. It is written last and compared by content, so that a moved checkout, a
# changed lock, an interpreter that is gone and a setup that was interrupted are all noticed. Compiling is what pip does for
# what it installs: without it each start compiles all that it imports where Python may not write (PYTHONDONTWRITEBYTECODE).

define find_python
find_python() { \
    for candidate in "$(PYTHON)" python3 python3.13 python3.12 python3.11 python; do \
        [ -n "$$candidate" ] || continue; \
        if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
            echo "$$candidate"; return 0; \
        fi; \
        [ "$$candidate" != "$(PYTHON)" ] || break; \
    done; \
    echo "make setup: found no Python 3.11 or newer with its venv module." >&2; \
    for candidate in "$(PYTHON)" python3; do \
        [ -n "$$candidate" ] && found=$$("$$candidate" --version 2>&1) && echo "  $$candidate is $$found" >&2; \
    done; \
    echo "  Install one (Debian and Ubuntu: python3 and python3-venv) or name it: make setup PYTHON=/path/to/python" >&2; \
    return 1; \
}
endef

# Hands on what pip says to a log, counts packages for people who watch, and shows the end of the log when pip fails.
define progress
awk -v total="$$total" -v log_file="$(VENV)/setup.log" -v watched="$$watched" ' \
    /^exit-code / { code = $$2; next } \
    { print >> log_file; last[NR % 15] = $$0 } \
    /^Collecting / && watched { printf "\r  %d of %d packages", ++count, total; fflush() } \
    /^Installing collected packages/ && watched { printf "\r  unpacking %d packages ", count; fflush() } \
    END { if (count) printf "\n"; if (code) for (i = 1; i <= 15; i++) if ((NR + i) % 15 in last) print last[(NR + i) % 15]; exit code }'
endef

define setup
set -eu; \
wanted="$$(pwd) $$(cat requirements.lock pyproject.toml | cksum)"; \
if [ -f $(STAMP) ] && [ "$$(cat $(STAMP))" = "$$wanted" ] && $(BIN)/python -c '' 2>/dev/null; then exit 0; fi; \
$(find_python); \
place="$$(cat $(VENV)/place 2>/dev/null || true)"; \
if [ "$$place" != "$$(pwd)" ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
    python="$$(find_python)"; \
    echo "Making $(VENV) with $$("$$python" --version)"; \
    rm -rf $(VENV); \
    "$$python" -m venv $(VENV); \
    pwd > $(VENV)/place; \
fi; \
rm -f $(STAMP) $(VENV)/setup.log; \
watched=; [ ! -t 1 ] || watched=yes; \
total=$$(grep -c '^[a-z].*==' requirements.lock); \
echo "Installing the packages of requirements.lock ($$total at most; the first time takes a minute or two)"; \
pip() { PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install "$$@" 2>&1 && code=0 || code=$$?; echo "exit-code $$code"; }; \
awk '/^[a-z]/ { keep = /^(setuptools|wheel)==/ } keep' requirements.lock > $(VENV)/build.lock; \
pip --require-hashes --no-deps -r $(VENV)/build.lock | $(progress); \
pip --require-hashes --no-build-isolation -r requirements.lock | $(progress); \
pip --no-deps --no-build-isolation -e . | $(progress); \
$(BIN)/python -m compileall -q daybook.py domain application infrastructure adapters; \
echo "$$wanted" > $(STAMP); \
echo "Ready: $(BIN)/daybook"
endef
