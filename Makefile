# Two commands: `make demo` and `make test`. Each sets up what it needs (tests/support/bootstrap).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

bootstrap := tests/support/bootstrap
lab := tests/support/lab/lab
bin := $(CURDIR)/.venv/bin
export PATH := $(bin):$(CURDIR)/.cache/tools:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
SCENARIO ?=
# The demo has a window whenever somebody looks: one that began half a day ago.
began = $(shell date -u -d '12 hours ago' +%H:%M)
any_time = {"day2_windows": [{"name": "any-time", "rrule": "FREQ=DAILY", "start": "$(began)", "duration": "24h"}]}
# A demo that waits for something for ever is ended.
limited := timeout --foreground --kill-after=10 900 ansible-playbook
# What a person says who has looked: no machine can prove that another one without a power switch is off.
off := -e '{"approved_by": "A. Person", "day2_dr_approve": ["fence"], "day2_dr_reason": "its power is cut"}'

define demo_ends
'The demo is up. Each of its runs has a directory in day2-reports: open day2-reports/*/report.html in a browser' \
'(latest is the maintenance; the one before it has the daily checklist).' \
'One finding is meant: unit options-report is down on purpose. A busy machine adds its CPU, and the command below' \
'ends with 2 where there are findings.' \
'Go on:   . .venv/bin/activate && ansible-playbook day2.ops.daily -i inventories/lab' \
'Look:    tests/support/lab/lab exec demo options-engine-1 -- systemctl --failed' \
'Remove:  make demo-down'
endef

.PHONY: help
help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

.PHONY: run-env
run-env: ## What playbooks need to run from this checkout, in seconds: a virtual environment, and the link
	@$(bootstrap) run
	@echo 'ready. Next: . .venv/bin/activate && ansible-playbook day2.ops.daily -i inventories/localhost'

.PHONY: setup
setup: python ## What development and tests need: a virtual environment, and the link
	@echo 'ready. Next: . .venv/bin/activate, then make demo or make test'

.PHONY: python
python:
	@$(bootstrap) python

.PHONY: demo-up
demo-up: ## Bring up the demo's hosts
	@$(bootstrap) lab python
	@$(lab) up demo --host options-engine-1=options_engine --host analytics-1=snowflake_analytics

.PHONY: demo
demo: demo-up ## A backup, a restore drill, the daily checklist and a maintenance on real hosts with a history
	@ansible-playbook day2.ops.backup day2.ops.restore_drill day2.ops.daily -i inventories/lab -e day2_fail_on=never
	@ansible-playbook day2.ops.maintenance_setup day2.ops.maintenance -i inventories/lab -e day2_fail_on=never \
	  -e day2_hosts=options_engine -e maintenance_window_duration=2h -e '$(any_time)'
	@printf '%s\n' '' $(demo_ends)

# Always from new hosts: what is left of the last one has failed over already.
.PHONY: demo-dr-up
demo-dr-up:
	@$(bootstrap) lab python
	@$(lab) down demo-dr
	@$(lab) up demo-dr --host analytics-1=snowflake_analytics --host analytics-2=snowflake_analytics \
	  --host analytics-3=snowflake_analytics --host app-1=options_engine
	@$(limited) molecule/dr/prepare.yml -i inventories/lab_dr

.PHONY: demo-dr
demo-dr: demo-dr-up ## A failover: the machine of a primary is lost under an application that writes all the time
	@$(limited) day2.ops.dr_assess -i inventories/lab_dr -e day2_fail_on=never
	@$(lab) kill demo-dr analytics-1
	@$(limited) day2.ops.dr_assess -i inventories/lab_dr -e day2_fail_on=never
	@$(limited) day2.ops.dr_failover -i inventories/lab_dr --check -e day2_fail_on=never $(off)
	@$(limited) day2.ops.dr_failover -i inventories/lab_dr -e day2_run_id=demo-dr-$(shell date -u +%H%M%S) $(off) \
	  -e day2_dr_confirm=snowflake_analytics
	@$(bin)/python tests/support/demo_dr.py

.PHONY: demo-down
demo-down: python ## Remove the demos
	@$(lab) down demo
	@$(lab) down demo-dr

# What waits for hosts most of the time, and what does not, side by side. Where one part fails the others still run.
.PHONY: test
test: ready ## Everything
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=line off-hosts on-hosts

.PHONY: off-hosts
off-hosts: ready
	@$(MAKE) --no-print-directory --keep-going lint sanity unit controller

.PHONY: on-hosts
on-hosts: ready
	@$(MAKE) --no-print-directory --keep-going hosts smoke molecule

.PHONY: test-quick
test-quick: ready ## lint, unit tests, and every playbook once by the pinned ansible-core
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=line lint-unit smoke-pinned

.PHONY: lint-unit
lint-unit: ready
	@$(MAKE) --no-print-directory lint unit

# What cannot be installed is said before anything begins.
.PHONY: ready
ready:
	@$(bootstrap) lab tools python cores

# By these names .ci/run knows what a fresh machine has after set-up.
.PHONY: programs
programs: ready
	@IFS=:; for folder in $$PATH; do [ ! -d "$$folder" ] || ls "$$folder"; done | sort -u >.cache/programs.part
	@mv .cache/programs.part .cache/programs

.PHONY: lint
lint: python ## ruff, mypy, yamllint, ansible-lint, what ansible-doc shows
	@$(bootstrap) tools
	ruff check .
	ruff format --check .
	cd .collections && MYPYPATH=. mypy --config-file ../pyproject.toml -p ansible_collections.day2.ops.plugins
	mypy --config-file pyproject.toml --explicit-package-bases tests/support/lab
	yamllint --strict .
	ansible-lint --offline
	cd .collections/ansible_collections/day2/ops && antsibull-changelog lint
	cd .collections && antsibull-docs lint-collection-docs --plugin-docs ansible_collections/day2/ops

.PHONY: sanity
sanity: python ## ansible-test sanity of the pinned and the oldest ansible-core, in copies at the path it wants
	@$(bootstrap) tools cores
	tests/sanity/run pinned
	tests/sanity/run oldest

.PHONY: unit
unit: python ## Unit tests
	@$(bootstrap) tools
	pytest tests/unit -n 2

.PHONY: nightly
nightly: python ## Unit tests with ten times as many random inputs
	@$(bootstrap) tools
	DAY2_EXAMPLES=10 pytest tests/unit -n 2

.PHONY: integration
integration: controller hosts ## Tests against real servers, on this machine and on lab hosts

.PHONY: controller
controller: python ## Those of them that need no lab host
	@$(bootstrap) tools
	pytest tests/integration -m controller -n 2 --dist loadscope --no-loadscope-reorder

.PHONY: hosts
hosts: python ## Those of them that need one
	@$(bootstrap) tools lab
	pytest tests/integration -m lab -n 4 --dist loadscope --no-loadscope-reorder

.PHONY: smoke
smoke: python ## Every playbook, as a plan and for real, by the oldest, the pinned and the newest ansible-core
	@$(bootstrap) lab cores
	pytest tests/smoke -n 4 --dist loadscope

.PHONY: smoke-pinned
smoke-pinned: python
	@$(bootstrap) lab
	pytest tests/smoke -k pinned

.PHONY: molecule
molecule: python ## Molecule scenarios (SCENARIO=name: one)
	@$(bootstrap) lab
	$(if $(SCENARIO),molecule test -s $(SCENARIO),molecule/run)

.PHONY: bench
bench: python ## The benchmarks, each beside its baseline
	@$(bootstrap) tools
	python -m bench

.PHONY: docs
docs: python ## Generate what is generated
	python tests/support/generate_docs.py
	python tests/support/generate_map.py
	python tests/support/generate_build_ignore.py

.PHONY: lock
lock: python ## Pin requirements-dev.txt and requirements-run.txt anew
	pip install --quiet uv && uv pip compile --quiet --no-header --no-emit-index-url --no-emit-find-links \
	  --generate-hashes --python-version 3.11 requirements-dev.txt -o requirements-lock.txt
	uv pip compile --quiet --no-header --no-emit-index-url --no-emit-find-links --generate-hashes \
	  --python-version 3.11 -c requirements-lock.txt requirements-run.txt -o requirements-run-lock.txt
	for core in oldest:3.11 newest:3.12; do uv pip compile --quiet --no-header --no-emit-index-url --no-annotate \
	  --no-emit-find-links --generate-hashes --universal --python-version $${core#*:} \
	  tests/support/core_requirements/$${core%%:*}.in -o tests/support/core_requirements/$${core%%:*}.txt; done

.PHONY: clean
clean: ## Remove what was made here, but not the lab (make demo-down)
	rm -rf .venv .collections .build .cache .ansible .mypy_cache .ruff_cache .hypothesis
