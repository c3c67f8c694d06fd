# Everything a developer does here is a target; `make help` lists them.
# Needs Python 3.10 to 3.13 and make. The rest is installed into .venv and .cache.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10 python; do \
	"$$p" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' \
	2>/dev/null && { command -v "$$p"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime-installed
DEVELOPMENT := $(VENV)/.development-installed
# Each file's tests run in one process, beside another's; most of them wait for a server.
TEST_PROCESSES ?= 2
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --no-input
SHOW_DOTS := | awk '/^(Collecting|Installing)/ { printf "."; fflush() } END { print "" }'
SOURCES := agent.py log_privacy.py session_context.py assistant benchmarks config \
	connection_events demo devstack memory migrations orchestrator people profiles sessions \
	storage tests worker

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@[[ -n "$(PYTHON)" ]] || { echo "Python 3.10 to 3.13 is needed: install it, or run make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)

$(RUNTIME): requirements.txt | $(BIN)/python
	@echo "installing what the worker needs (under a minute)"
	@$(PIP_INSTALL) -r requirements.txt $(SHOW_DOTS)
	@touch $@

$(DEVELOPMENT): requirements.txt requirements-dev.txt | $(BIN)/python
	@echo "installing what development needs (about a minute)"
	@$(PIP_INSTALL) -r requirements-dev.txt $(SHOW_DOTS)
	@touch $@ $(RUNTIME)

.PHONY: setup
setup: $(DEVELOPMENT) ## install everything, servers included, and start nothing
	@$(BIN)/python -m devstack install

.PHONY: run
run: $(RUNTIME) ## run LiveKit, Redis, worker and orchestrator, without any key
	@exec $(BIN)/python -m devstack run

.PHONY: demo
demo: $(RUNTIME) ## two scripted conversations over WebRTC; the second remembers the first
	@exec $(BIN)/python -m demo

.PHONY: transcript
transcript: $(RUNTIME) ## a session by plain curl, written to docs/orchestrator-transcript.md
	@exec $(BIN)/python -m demo.curl_walk

.PHONY: chat
chat: $(RUNTIME) ## a typed conversation in this terminal, without any server
	@exec $(BIN)/python -m assistant.chat

.PHONY: test
test: $(DEVELOPMENT) ## the whole suite, real servers included
	@$(BIN)/python -m devstack install
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile -m "not soak and not alone"
	@$(BIN)/python -m pytest -m "alone and not soak"

.PHONY: soak
soak: $(DEVELOPMENT) ## the suite's repeated cases at their full counts
	@$(BIN)/python -m devstack install
	@SOAK=true $(BIN)/python -m pytest --timeout 1800 -m soak

.PHONY: check
check: $(DEVELOPMENT) ## format, lint, strict types, import contract, SQL lint
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy $(SOURCES)
	@$(BIN)/lint-imports
	@$(BIN)/squawk migrations/*.sql

.PHONY: format
format: $(DEVELOPMENT) ## put the code into the project's format
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

.PHONY: bench
bench: $(DEVELOPMENT) ## what memory costs a join and a turn, beside the same worker without it
	@$(BIN)/python -m devstack install livekit
	@$(BIN)/python -m benchmarks.latency

.PHONY: bench-recall
bench-recall: $(DEVELOPMENT) ## what the search finds: make bench-recall FILE=conversations.json
	@$(BIN)/python -m devstack install
	@$(BIN)/python -m benchmarks.recall --backend both "$(FILE)"

.PHONY: bench-release
bench-release: $(DEVELOPMENT) ## how soon a job is silent and pays nobody when its person is gone
	@$(BIN)/python -m devstack install
	@$(BIN)/python -m benchmarks.release

.PHONY: bench-lost
bench-lost: $(DEVELOPMENT) ## how long a job works on for a client that was killed in mid-sentence
	@$(BIN)/python -m devstack install livekit redis
	@$(BIN)/python -m benchmarks.lost_client

.PHONY: bench-voice
bench-voice: $(DEVELOPMENT) ## a spoken answer over /ws/voice, beside WebRTC
	@$(BIN)/python -m devstack install livekit redis
	@$(BIN)/python -m benchmarks.voice_round_trip

.PHONY: bench-memory
bench-memory: $(DEVELOPMENT) ## how fast memory answers and stores in a store of a million
	@$(BIN)/python -m devstack install
	@$(BIN)/python -m benchmarks.memory --backend both

.PHONY: migrate
migrate: export DATABASE_URL ?=
migrate: $(RUNTIME) ## apply the SQL migrations: make migrate DATABASE_URL=postgresql://...
	@exec env DATABASE_URL="$$DATABASE_URL" $(BIN)/python -m migrations.apply

.PHONY: clean
clean: ## remove what was installed and cached; people's data stays
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
