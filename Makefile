# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Everything that a person or CI runs. `make` alone lists it.

.DEFAULT_GOAL := help
PYTHON := .venv/bin/python

# Without bytecode every start of Ansible compiles all its modules again: seconds, each time.
unexport PYTHONDONTWRITEBYTECODE
# molecule and ansible-lint call ansible-config and others by name.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

.PHONY: venv
venv: .venv/made ## .venv with our package (editable), Ansible and the tools; the rest makes it by itself

# A stamp: a second `make demo` costs nothing, a changed pyproject.toml makes the environment anew.
.venv/made: pyproject.toml .ci/constraints.txt tests/support/tooling/make-venv.sh
	@tests/support/tooling/make-venv.sh .venv

.PHONY: demo
demo: ## a fleet in containers loses an inference server to the OOM killer and heals it, as you watch
	@tests/lab/demo.sh

.PHONY: demo-clean
demo-clean: ## remove what KEEP=1 make demo left running
	@tests/lab/demo.sh clean

.PHONY: bench
bench: .venv/made ## figures, each beside its baseline from the same run
	@$(PYTHON) -m bench

# Every check also stands alone: `make unit`, or one test with .venv/bin/pytest tests/unit/rules -k oom.
.PHONY: quick
quick: .venv/made ## lint, and the unit tests that are not slow: about three minutes on two cores
	@$(PYTHON) -m tests.support.tooling lint unit-quick

.PHONY: test lint lint-plain unit unit-targets integration sanity targets docs collection importer wheel exporter cores lab
test: .venv/made ## every check: linters, unit tests, ansible-test, packages, the lab; on two versions of Ansible
	@$(PYTHON) -m tests.support.tooling

lint lint-plain unit unit-targets integration sanity targets docs collection importer wheel exporter cores lab: .venv/made
	@$(PYTHON) -m tests.support.tooling $@
lint: ## ruff, mypy, import-linter, yamllint, ansible-lint, antsibull-docs, antsibull-changelog, reuse
lint-plain: ## ansible-lint of what is committed, in a plain clone and without our environment
unit: ## unit tests
unit-targets: ## unit tests of the modules on each Python of this machine from 3.9 on that has no environment of ours
integration: ## the receiver with its real parts, on this machine
sanity: ## ansible-test sanity
docs: ## build the documentation as a site, into build/docs; a broken link or a warning fails
targets: ## ansible-test integration: every module's target on this machine
collection: ## build the collection, install it elsewhere and use it
importer: ## galaxy-importer, as Galaxy and Automation Hub run it on what is uploaded: nothing to warn of
wheel: ## build the sdist and the wheel of it, as a release does, install them with pip, pipx and uv, and use them
exporter: ## build autoglm-exporter, and run it on each Python of this machine from 3.9 on
cores: ## every other ansible-core that is supported: documentation, syntax, and each module at work
lab: ## the end-to-end test: a real OOM kill on real hosts, in containers

.PHONY: molecule
molecule: .venv/made ## every role on clean hosts with systemd, in containers: SCENARIO=alert_rules (all)
	@$(PYTHON) -m tests.support.tooling.molecule $(SCENARIO)

.PHONY: fuzz
fuzz: .venv/made ## search for inputs that break a parser: FUZZ_SECONDS=3600, FUZZ_TARGETS="alert-payload ..." (all)
	@$(PYTHON) -m tests.fuzz --seconds $(or $(FUZZ_SECONDS),3600) $(FUZZ_TARGETS)

.PHONY: test-gpu
test-gpu: .venv/made ## read-only checks on the GPUs of this machine; skipped, with the reason, where there are none
	@.venv/bin/pytest tests/gpu

.PHONY: clean
clean: ## remove what was made here (not the caches below ~/.cache/autoglm-recovery)
	rm -rf .venv .venv-demo .venv-newest .cache .ansible .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build
