# `make demo` and `make test` work on a fresh machine: deploy/local/setup brings what they need, once.
# ARGS is passed on to the command behind a target: make demo ARGS=--exit, make test ARGS="-k identity".

ARGS ?=
MINUTES ?= 5
# Most of a test's time is waiting for servers: three at once take half the time on two cores.
TESTERS ?= 3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test chaos safeguards native wheel bench mutants lint fuzz clean kafka-libs-list kafka-streams-libs-list

help: ## This list
	@echo 'Targets (ARGS="…" is passed on to the command):'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: ## The whole hub on this machine with a story played through it; Ctrl-C ends it (ARGS=--exit: ends by itself)
	@deploy/local/setup run
	@$(BIN)/hub demo $(ARGS)

test: ## All tests, against real Kafka, PostgreSQL and Alertmanager, on TESTERS=3 processes with servers of their own
	@deploy/local/setup test
	@$(BIN)/pytest -n $(TESTERS) --dist loadfile --no-loadscope-reorder $(ARGS)

chaos: ## Harm every process and server for MINUTES=5, then count what was lost or doubled (ARGS="--nodes 3 --seed 1 --log FILE")
	@deploy/local/setup test
	@$(BIN)/python -m tests.chaos --minutes $(MINUTES) $(ARGS)

safeguards: ## Switch off each safeguard in turn: the check must find what goes wrong (ARGS=name…); kill a rebuild at every step
	@deploy/local/setup test
	@$(BIN)/python -m tests.chaos.safeguards $(ARGS)
	@HUB_TEST_THOROUGH=1 $(BIN)/pytest tests/verify/test_rebuild.py -k killed --timeout 900

native: ## Compile rules and codec into .local/native (deploy/native.py says how to run that)
	@deploy/local/setup native

wheel: ## The wheel of the image in dist/, rules and codec compiled, for this Python and machine
	@deploy/local/setup native
	@HUB_NATIVE=1 $(BIN)/python -m build --wheel --no-isolation

bench: ## The figures of bench/, of the native form, the peers' beside them: printed, and in bench/results
	@deploy/local/setup bench
	@PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/.local/native:$(CURDIR) $(BIN)/python -m bench $(ARGS)

mutants: ## Change the rules in one small way after the other: a test has to fail each time (ARGS="domain.sla.* --processes 2")
	@deploy/local/setup mutants
	@.local/mutants-venv/bin/python -m tests.mutants $(ARGS)

lint: ## ruff, mypy --strict and the rule that imports point down only
	@deploy/local/setup lint
	@$(BIN)/ruff check .
	@$(BIN)/mypy .
	@$(BIN)/lint-imports

fuzz: ## The property tests alone, with 200 times their usual number of examples
	@deploy/local/setup test
	@HYPOTHESIS_PROFILE=fuzz $(BIN)/pytest -m hypothesis --timeout 0 $(ARGS)

clean: ## Stops the local servers and removes everything the other targets made (data, environment, jars)
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m hub.local.stack clean; fi
	rm -rf .venv .local build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

kafka-libs-list: ## After a change of deploy/local/pom.xml: accept the jars that the set-up refused
	cd .local/kafka-libs.new && LC_ALL=C sha256sum *.jar >../../deploy/local/kafka-libs.sha256

kafka-streams-libs-list: ## The same after a change of bench/peers/kafka-streams/pom.xml
	cd .local/kafka-streams-libs.new && LC_ALL=C sha256sum *.jar >../../bench/peers/kafka-streams/libs.sha256
