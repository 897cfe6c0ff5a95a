# `make` lists the targets. Needed: git, make and Python (3.10 to 3.13; the demo: up to 3.12).
#
#   PYTHON=python3.13       the Python to make environments with
#   VENV=.venv-3.13         another environment for the tests, beside the usual one
#   SEED=1764057600         what a failed `make fuzz` has printed, to see the same again

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
export PYTHON SEARCH
export GOALS := $(MAKECMDGOALS)

VENV ?= .venv
SEED := $(or $(SEED),$(shell date +%s))
FUZZ_EXAMPLES ?= 10000
KILLS ?= 100

## Use it

.PHONY: demo
demo: .venv-demo/ready ## sync all streams of five made-up accounts into DuckDB, and write demo/report.html; again: what is new
	@.venv-demo/bin/python examples/demo.py

.PHONY: query
query: .venv-demo/ready ## query what the demo has synced: make query SQL="select * from quo_calls"; without SQL: its tables
	@.venv-demo/bin/python examples/demo.py --sql "$(SQL)"

.PHONY: questions
questions: .venv-demo/ready ## who speaks how much, minutes per day, ... of what the demo has synced; or find what was said: SEARCH="words"
	@.venv-demo/bin/python examples/questions.py --search "$$SEARCH"

.PHONY: sandbox
sandbox: $(VENV)/ready ## play the five providers for an hour or until Ctrl-C; the config to reach them: build/sandbox.json
	@mkdir -p build
	@$(VENV)/bin/python -m sandbox --config-file build/sandbox.json

.PHONY: manifest
manifest: $(VENV)/ready ## write build/manifest.yaml, for the Connector Builder
	@mkdir -p build
	@$(VENV)/bin/python -m source_recordings.manifest > build/manifest.yaml
	@echo build/manifest.yaml

.PHONY: image
image: ## build the docker image with docker, podman or buildah
	@scripts/image.sh

## Work on it

.PHONY: test
test: lint types ## all that CI runs: lint, types, tests with coverage
	@$(MAKE) .venv-demo/ready .venv-destinations/ready .venv-target/ready .venv-release/ready OPTIONAL=optional
	$(VENV)/bin/python -m pytest -n auto --dist worksteal --cov

.PHONY: fuzz
fuzz: $(VENV)/ready ## read 10,000 generated answers, most of them wrong, and kill 100 syncs: nothing is lost
	@echo "SEED=$(SEED) FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) KILLS=$(KILLS)"
	@FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) KILLS=$(KILLS) FUZZ_SEED=$(SEED) $(VENV)/bin/python -m pytest \
		integration_tests/test_recovery.py unit_tests/test_fuzz.py \
		-n auto --dist worksteal --hypothesis-seed=$(SEED) -o timeout=1800 -p no:logging -q

.PHONY: lint
lint: $(VENV)/ready ## ruff: rules and format
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

.PHONY: format
format: $(VENV)/ready ## put the code into ruff's format, fix what it can fix
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

.PHONY: types
types: $(VENV)/ready ## mypy, strict
	$(VENV)/bin/mypy

.PHONY: bench
bench: $(VENV)/ready ## measure requests, state, memory and downloads, as the tables in README and docs show them
	@$(VENV)/bin/python -m benchmarks.requests
	@$(VENV)/bin/python -m benchmarks.files

.PHONY: bench-peers
bench-peers: $(VENV)/ready .venv-peers/ready ## measure this connector beside dlt, the Singer SDK, requests and aiohttp; options: PEERS="--quick"
	@.venv-peers/bin/python -m benchmarks.peers --ours $(VENV)/bin/python $(PEERS)

.PHONY: contract
contract: $(VENV)/ready ## hold what the package uses of the CDK against its newest version below 8
	@$(VENV)/bin/uv venv --quiet --clear build/newest
	@$(VENV)/bin/uv pip install --quiet --python build/newest/bin/python --upgrade . hypothesis pytest pytest-timeout requests-mock
	build/newest/bin/python -m pytest unit_tests/test_cdk.py -q

.PHONY: release-check
release-check: .venv-release/ready ## build sdist and wheel, install each elsewhere, run them, check the rest
	@.venv-release/bin/python scripts/release_check.py

.PHONY: lock
lock: $(VENV)/ready ## pin the newest versions that setup.py allows in requirements/
	scripts/lock.sh $(VENV)/bin/uv

.PHONY: clean
clean: ## remove environments, demo data, builds and caches
	rm -rf .venv* demo build dist *.egg-info .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^## /{printf "\n%s\n", substr($$0, 4)} /^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Environments, made anew when what they are made from has changed. Those beside the tests' own have PyAirbyte, which
# is not to be had for Python 3.13.

$(VENV)/ready: setup.py requirements/test.txt scripts/venv.sh
	@scripts/venv.sh $(VENV) requirements/test.txt 14

.venv-%/ready: setup.py requirements/%.txt scripts/venv.sh
	@scripts/venv.sh .venv-$* requirements/$*.txt 13 $(OPTIONAL)
