# Two commands: `make demo` and `make test`. Each sets up what it needs (tests/support/bootstrap).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

bootstrap := tests/support/bootstrap
lab := tests/support/lab/lab
bin := $(CURDIR)/.venv/bin
export PATH := $(bin):$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
SCENARIO ?=
# The demo has a window whenever somebody looks: one that began half a day ago.
began = $(shell date -u -d '12 hours ago' +%H:%M)
any_time = {"day2_windows": [{"name": "any-time", "rrule": "FREQ=DAILY", "start": "$(began)", "duration": "24h"}]}

.PHONY: help
help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

.PHONY: setup
setup: ## Virtual environment, and the link by which ansible finds this checkout
	@$(bootstrap) python

.PHONY: demo-up
demo-up: ## Bring up the demo's hosts
	@$(bootstrap) lab python
	@$(lab) up demo --host options-engine-1=options_engine --host analytics-1=snowflake_analytics

.PHONY: demo
demo: demo-up ## A backup, a restore drill, the daily checklist and a maintenance on real hosts with a history
	@ansible-playbook day2.ops.backup day2.ops.restore_drill day2.ops.daily -i inventories/lab -e day2_fail_on=never
	@ansible-playbook day2.ops.maintenance_setup day2.ops.maintenance -i inventories/lab -e day2_fail_on=never \
	  -e day2_hosts=options_engine -e '$(any_time)'

.PHONY: demo-down
demo-down: setup ## Remove the demo
	@$(lab) down demo

.PHONY: test
test: ready ## Everything
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target lint sanity
	@$(MAKE) --no-print-directory unit integration molecule

# What cannot be installed is said before anything begins.
.PHONY: ready
ready:
	@$(bootstrap) lab tools python

.PHONY: lint
lint: setup ## ruff, mypy, yamllint, ansible-lint
	@$(bootstrap) tools
	ruff check .
	ruff format --check .
	cd .collections && MYPYPATH=. mypy --config-file ../pyproject.toml -p ansible_collections.day2.ops.plugins
	mypy --config-file pyproject.toml --explicit-package-bases tests/support/lab
	yamllint --strict .
	ansible-lint --offline

.PHONY: sanity
sanity: setup ## ansible-test sanity, in a copy at the path it wants
	@$(bootstrap) tools
	tests/sanity/run

.PHONY: unit
unit: setup ## Unit tests
	@$(bootstrap) tools
	pytest tests/unit -n 2

.PHONY: integration
integration: setup ## Tests against real servers on lab hosts
	@$(bootstrap) tools lab
	pytest tests/integration -n 4 --dist loadfile --no-loadscope-reorder

.PHONY: molecule
molecule: setup ## Molecule scenarios (SCENARIO=name: one)
	@$(bootstrap) lab
	$(if $(SCENARIO),molecule test -s $(SCENARIO),molecule/run)

.PHONY: bench
bench: setup ## The benchmarks, each beside its baseline
	@$(bootstrap) tools
	python -m bench

.PHONY: docs
docs: setup ## Generate what is generated
	python tests/support/generate_docs.py
	python tests/support/generate_map.py

.PHONY: lock
lock: setup ## Pin requirements-dev.txt anew
	pip install --quiet uv && uv pip compile --quiet --no-header --no-emit-index-url --no-emit-find-links \
	  --generate-hashes --python-version 3.11 requirements-dev.txt -o requirements-lock.txt

.PHONY: clean
clean: ## Remove what was made here, but not the lab (make demo-down)
	rm -rf .venv .collections .build .cache .ansible .mypy_cache .ruff_cache .hypothesis
