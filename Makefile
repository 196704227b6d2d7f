# What there is to do; `make` alone lists it. Set-up is part of every target and takes well under a second once done.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Compiled files are kept, whatever the caller's environment says: a process without them compiles for seconds.
unexport PYTHONDONTWRITEBYTECODE
.DELETE_ON_ERROR:

PYTHON ?= python3
BIN := .venv/bin
IN_CELL := $(BIN)/python -m sandbox.cell
# Tests wait for most of their time, so more run at once than there are cores, each worker in a cell of its own.
WORKERS ?= $(shell expr $$(nproc) + 1)
SIDE_BY_SIDE = --dist loadfile --no-loadscope-reorder --tx '$(WORKERS)*popen//python=$(IN_CELL) $(BIN)/python'
IF_ROOT_IN_CELL := $(if $(filter 0,$(shell id -u)),$(IN_CELL))
SHELL_SCRIPTS := .ci/run $(shell grep -lE '^\#!/bin/sh' prolog/* epilog/* tools/* docs/examples/* 2>/dev/null)
BENCHES := $(shell grep -l '^if __name__ == ' bench/*.py 2>/dev/null | sed 's,bench/\(.*\)\.py,\1,')

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

.PHONY: setup
setup: packages .venv/.ready tools/azurite/node_modules/.ready programs ## install and build what this machine lacks

.PHONY: demo
demo: setup ## a Slurm job with --amlfs-import and --amlfs-export, watched; DEMO_KEEP=1 leaves it running
	@$(IN_CELL) $(BIN)/python -m sandbox.demo

.PHONY: test
test: setup ## every check and every test, from a fresh machine on
	@$(MAKE) --jobs=2 --keep-going --output-sync=target statics newest
	@$(BIN)/python -m sandbox.matrix --on=$(NEWEST) $(ON_THE_NEWEST)
	@$(IN_CELL) true && $(BIN)/pytest --no-skips $(SIDE_BY_SIDE) tests/integration tests/faults tests/contract tests/unit

.PHONY: array
array: setup ## a job array of 1,000 tasks, of which `make test` runs 500; TASKS=N for fewer
	@AMLFS_TASKS=$(or $(TASKS),1000) $(IN_CELL) $(BIN)/pytest --no-skips -k large_array tests/integration/test_sharing.py

.PHONY: matrix
matrix: setup release-tools ## the tests on real daemons, on Slurm 22.05, 24.11 and 26.05; MATRIX=trixie, TESTS=... for some
	@$(BIN)/python -m sandbox.matrix $(if $(MATRIX),--on=$(MATRIX)) $(TESTS)

.PHONY: test-pyslurm
test-pyslurm: $(if $(SLURM_PREFIX),setup) ## the tests on pyslurm, on a Slurm 25.11 that is installed at SLURM_PREFIX=/some/folder
	@tools/test-pyslurm "$(SLURM_PREFIX)"

.PHONY: test-faults
test-faults: setup ## kill the daemon at every named point, then SEEDS=500 random runs with deaths and faults; SEED=N repeats one
	@$(if $(SEED),,AMLFS_WHOLE_WALK=1 $(IN_CELL) $(BIN)/pytest -q --no-skips tests/faults &&) $(IN_CELL) $(BIN)/python -m tests.faults

.PHONY: check
check: setup ## the fast gate: format, lint, types, import contracts, unit tests, properties on a quarter of their cases
	@$(MAKE) --jobs=$$(($(shell nproc) + 2)) --keep-going --output-sync=target $(UNITS) $(STATICS)
	@echo "check: all is well"

.PHONY: bench
bench: setup ## measure; BENCH=name runs one of them
	@$(if $(BENCHES),,echo "bench: there is no benchmark in bench/" >&2; exit 1;) failed=; \
	for name in $(or $(BENCH),$(BENCHES)); do $(IN_CELL) $(BIN)/python -m "bench.$$name" || failed="$$failed $$name"; done; \
	[ -z "$$failed" ] || { echo "bench: not held:$$failed" >&2; exit 1; }

.PHONY: clean
clean: ## remove what was built and cached; .venv and Azurite stay
	rm -rf build dist .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -not -path '*/node_modules/*' -prune -exec rm -rf {} +

# Set-up. Packages are looked at every time, because they belong to the machine and not to this folder.

.PHONY: packages
packages:
	@tools/install-packages

.venv/.ready: requirements.txt tools/bootstrap-requirements.txt pyproject.toml tools/make-venv | packages
	@PYTHON="$(PYTHON)" tools/make-venv
	@touch $@

tools/azurite/node_modules/.ready: tools/azurite/package.json tools/azurite/package-lock.json tools/install-azurite | packages
	@tools/install-azurite
	@touch $@

.PHONY: programs
programs: build/spank_amlfs.so build/lfs build/copytool.so

build/spank_amlfs.so: $(wildcard spank/*.c spank/*.h) spank/Makefile | packages
	@echo "setup: $@"
	@$(MAKE) -C spank OUT=$(abspath $@)

COMPILED := -std=c11 -O2 -Wall -Wextra -Werror

build/lfs: $(wildcard slurm_amlfs/emulator/lfs*.c slurm_amlfs/emulator/*.h) | packages
	@echo "setup: $@"
	@mkdir -p build
	@$(CC) $(COMPILED) -o $@ $(filter %.c,$^)

build/copytool.so: slurm_amlfs/emulator/copytool.c | packages
	@echo "setup: $@"
	@mkdir -p build
	@$(CC) $(COMPILED) -shared -fPIC -o $@ $<

# Root folders with other releases of Debian and Slurm. `make test` runs the tests that differ most between releases on the
# newest one; the folder is made while the checks run.

NEWEST := forky
ON_THE_NEWEST := tests/integration/test_releases.py

.PHONY: release-tools newest
release-tools:
	@tools/install-packages mmdebstrap
newest: setup release-tools
	@tools/release-root $(NEWEST)

# The parts of the gate that run nothing of the project. Each is a target, so that make runs them side by side.

STATICS := check-format check-lint check-types check-imports check-shell

.PHONY: statics
statics: setup
	@$(MAKE) --jobs=$(shell nproc) --keep-going --output-sync=target $(STATICS)

# Parts of the unit tests, so that two cores share them. The adapters and hooks wait for programs half of their time, so
# more parts run than there are cores, and those first.
UNITS := check-hooks check-others check-emulator check-adapters check-domain check-schedules check-application
APART := tests/unit/domain tests/unit/application tests/unit/emulator tests/unit/lua tests/unit/bench
ADAPTERS := $(wildcard tests/unit/test_[a-g]*.py)
# Scripts are let hang for as long as they bear it: most of the time goes by in waits.
HOOKS := $(wildcard tests/unit/test_h*.py)
SCHEDULES := $(wildcard tests/unit/domain/test_[l-z]*.py)
# Left to `make test`: a million of anything takes a while to make.
LARGE := tests/unit/domain/test_a_million_leases.py
# A quarter of the cases of each property; `make test` tries them all.
QUICKLY := $(BIN)/pytest --hypothesis-profile=quick

.PHONY: $(STATICS) $(UNITS)
check-format:
	@$(BIN)/ruff format --check --quiet . || { echo "check: mend it with $(BIN)/ruff format ." >&2; exit 1; }
check-lint:
	@$(BIN)/ruff check --quiet .
check-types:
	@$(BIN)/mypy --no-error-summary
check-imports:
	@$(BIN)/lint-imports >build/imports.log || { cat build/imports.log; exit 1; }
check-shell:
	@shellcheck --external-sources $(SHELL_SCRIPTS)
check-domain:
	@$(IF_ROOT_IN_CELL) $(QUICKLY) -q tests/unit/domain $(addprefix --ignore=,$(SCHEDULES) $(LARGE))
check-schedules:
	@$(IF_ROOT_IN_CELL) $(QUICKLY) -q $(SCHEDULES)
check-application:
	@$(IF_ROOT_IN_CELL) $(QUICKLY) -q tests/unit/application
check-adapters:
	@$(IF_ROOT_IN_CELL) $(QUICKLY) -q tests/contract $(ADAPTERS)
check-emulator:
	@$(IF_ROOT_IN_CELL) $(QUICKLY) -q tests/unit/emulator tests/unit/lua tests/unit/bench
check-hooks:
	@$(IF_ROOT_IN_CELL) $(QUICKLY) -q $(HOOKS)
check-others:
	@$(IF_ROOT_IN_CELL) $(QUICKLY) -q tests/unit $(addprefix --ignore=,$(APART) $(ADAPTERS) $(HOOKS))
