# Every command that a person or the CI runs. `make help` lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run test check dev demo it e2e fuzz load bench setup pages

# Passed on to the program that a target starts: make demo ARGS="--http 0.0.0.0:8080"
ARGS ?=
# Seconds of fuzzing for each target.
FUZZ_SECONDS ?= 60

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Install what is missing, build, and start the demo: a looping live broadcast with one invitee
	@scripts/setup run
	@scripts/pages
	@scripts/step "Building the server" cargo build --release --locked -p stagedoor-server
	@exec target/release/stagedoor demo $(ARGS)

test: ## Install what is missing and run everything; ends with "N passed, N failed"
	@scripts/test

check: ## The fast part of `make test`: format, lints, house rules, licences, types (no tests)
	@scripts/setup check
	@scripts/test format clippy tidy deny web-check

dev: ## Start the demo from a development build, with the pages rebuilt whenever they change
	@scripts/setup run
	@scripts/dev $(ARGS)

demo: ## Start the demo again from what `make run` has built
	@test -x target/release/stagedoor || { echo "Nothing is built yet: run 'make run' once."; exit 1; }
	@exec target/release/stagedoor demo $(ARGS)

it: ## Unit and integration tests of the Rust crates, on SQLite and PostgreSQL
	@scripts/setup test
	@scripts/test rust

e2e: ## The real binary, real publishers and a real browser; screenshots go to e2e/screenshots
	@scripts/setup test
	@E2E_ARGS='$(ARGS)' scripts/test web-build e2e

fuzz: ## Fuzz every parser, FUZZ_SECONDS=60 for each
	@scripts/setup check
	@FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/test fuzz

load: ## Be many viewers: make load ARGS="--viewers 500 --url http://127.0.0.1:8080/live/…/index.m3u8"
	@scripts/step "Building the server" cargo build --release --locked -p stagedoor-server
	@exec target/release/stagedoor load $(ARGS)

bench: ## Measure against the bars of docs/benchmarks.md and print them
	@scripts/setup bench
	@scripts/pages
	@scripts/step "Building the server" cargo build --release --locked -p stagedoor-server --bins --example timing
	@bench/run $(ARGS)

setup: ## Install what every other target needs
	@scripts/setup test

pages: ## Build the viewer and organiser pages into web/dist
	@scripts/pages
