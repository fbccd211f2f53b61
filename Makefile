# `make demo` and `make test` need Python 3.11 or later and make, nothing else.
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := PIP_ROOT_USER_ACTION=ignore $(BIN)/python -m pip --disable-pip-version-check install -q
# Two at a time: most tests wait for something half of the time.
PYTEST_ARGS ?= -n 2 --dist loadfile
CODE := localbox scripts tests benchmarks examples

.PHONY: help demo test test-as-ordinary-user check bench fmt unasync clean

help:
	@echo 'make demo   create the environment and analyse an Excel workbook inside a sandbox'
	@echo 'make test   create the environment and run the tests (as root: also as an ordinary user)'
	@echo 'make check  formatting, lint, types, generated code, import contracts'
	@echo 'make bench  compare speed with subprocess, bubblewrap and ipykernel'
	@echo 'make fmt    write the sync client, format, fix what can be fixed'

$(VENV)/.made: scripts/make-venv.sh
	PYTHON='$(PYTHON)' sh scripts/make-venv.sh $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.made pyproject.toml
	$(PIP) -e '.[cli,data,interpreter]'
	@touch $@

$(VENV)/.test: $(VENV)/.made pyproject.toml
	$(PIP) -e '.[cli,data,interpreter,test]'
	@touch $@ $(VENV)/.demo

$(VENV)/.dev: $(VENV)/.test
	$(PIP) -e '.[cli,data,interpreter,test,dev]'
	@touch $@

demo: $(VENV)/.demo
	@sh scripts/system-packages.sh run
	$(BIN)/python examples/demo.py

test: $(VENV)/.test
	@sh scripts/system-packages.sh test
	$(BIN)/python -m pytest $(PYTEST_ARGS)
	@if [ "$$(id -u)" = 0 ]; then $(MAKE) --no-print-directory test-as-ordinary-user; fi

# An ordinary user meets other answers from the kernel, so what touches it runs again as one.
test-as-ordinary-user: $(VENV)/.test
	@echo 'again, as an ordinary user:'
	$(BIN)/python scripts/as_ordinary_user.py \
		$(BIN)/python -m pytest $(PYTEST_ARGS) $(wildcard tests/confinement tests/client)

check: $(VENV)/.dev
	$(BIN)/ruff format --check $(wildcard $(CODE))
	$(BIN)/ruff check $(wildcard $(CODE))
	$(BIN)/python scripts/unasync.py --check
	$(BIN)/lint-imports
	$(BIN)/mypy

bench: $(VENV)/.test
	@sh scripts/system-packages.sh test
	$(BIN)/python -m benchmarks

unasync: $(VENV)/.dev
	$(BIN)/python scripts/unasync.py

fmt: unasync
	$(BIN)/ruff check --fix $(wildcard $(CODE))
	$(BIN)/ruff format $(wildcard $(CODE))

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
