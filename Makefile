# What a person types. Each target says what it does; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
JOBS ?= $(shell nproc)
# Two makes in one tree take turns.
CMAKE := flock build/.lock cmake --log-level=WARNING
NINJA := flock build/.lock ninja -j $(JOBS)
PYTHON := build/venv/bin/python

.PHONY: help setup build run test unit e2e conformance bench soak asan tsan fuzz format lint docs clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /\1\t/' | column -t -s $$'\t'

setup: ## install what is missing: Debian packages, Python packages, Wasmtime's C API
	@scripts/setup

build: setup ## build build/release/heddle
	@echo "== building build/release/heddle"
	@$(CMAKE) --preset release >/dev/null
	@$(NINJA) -C build/release heddle | tail -n 1

library: build ## build build/release/libheddle.so
	@$(NINJA) -C build/release heddle_shared | tail -n 1
.PHONY: library

install: library ## install the program, the library and its headers below PREFIX (default /usr/local; DESTDIR too)
	@$(CMAKE) --install build/release --prefix $${PREFIX:-/usr/local} --strip >/dev/null
	@echo "== installed below $${DESTDIR:-}$${PREFIX:-/usr/local}"
.PHONY: install

examples: setup ## build the example plugins into build/examples
	@echo "== building the example plugins"
	@scripts/build-examples
.PHONY: examples

run: build examples ## build everything and serve the example plugins on 127.0.0.1:8080
	@scripts/run-examples

unit: setup examples ## unit tests
	@echo "== unit tests"
	@$(CMAKE) --preset release >/dev/null
	@$(NINJA) -C build/release | tail -n 1
	@ctest --test-dir build/release --output-on-failure -j $(JOBS)

e2e: library examples ## end-to-end tests with the real plugins, nginx and curl
	@echo "== end-to-end tests"
	@$(PYTHON) -m pytest tests -q

conformance: build ## the tables of tests/conformance, pass or fail per row
	@$(PYTHON) -m pytest tests/conformance -v --no-header | sed -En 's/.*test_row\[(.*)\] (PASSED|FAILED).*/\2  \1/p; /^(E  |=+ .* (passed|failed))/p'

fuzz: setup ## every fuzzer for ten seconds on its corpus (FUZZ_SECONDS to change)
	@echo "== fuzzers"
	@$(CMAKE) --preset fuzz >/dev/null
	@$(NINJA) -C build/fuzz fuzzers | tail -n 1
	@tests/fuzz/run_fuzzers $${FUZZ_SECONDS:-10}

test: unit e2e ## everything: unit tests, end-to-end tests, fuzzers on their corpus
	@FUZZ_SEED=$${FUZZ_SEED:-1} FUZZ_SECONDS=$${FUZZ_SECONDS:-5} $(MAKE) --no-print-directory fuzz
	@echo "== all tests passed"

soak: build examples ## the long runs: 10,000 reloads under mixed load, 100,000 route instances, 1,000,000 JSON-RPC calls, kill -9
	@HEDDLE_SOAK=1 $(PYTHON) -m pytest tests/test_soak.py tests/test_reload.py tests/test_route_leaks.py tests/test_json_rpc_soak.py tests/test_messaging_crash.py -q -s \
		-k "leak_nothing or survive_kills"

asan: setup examples ## the whole suite under AddressSanitizer and UBSan
	@$(CMAKE) --preset asan >/dev/null
	@$(NINJA) -C build/asan | tail -n 1
	@scripts/with-sanitizer asan ctest --test-dir build/asan --output-on-failure
	@HEDDLE_BIN=build/asan/heddle scripts/with-sanitizer asan $(PYTHON) -m pytest tests -q

tsan: setup examples ## the whole suite under ThreadSanitizer
	@$(CMAKE) --preset tsan >/dev/null
	@$(NINJA) -C build/tsan | tail -n 1
	@scripts/with-sanitizer tsan ctest --test-dir build/tsan --output-on-failure
	@HEDDLE_BIN=build/tsan/heddle scripts/with-sanitizer tsan $(PYTHON) -m pytest tests -q

bench: build examples ## measure against nginx and Envoy; rewrites the table in docs/performance.md
	@$(PYTHON) bench/run.py --write-docs

profile: setup examples ## record anew what the release build is optimised for: cmake/heddle.proftext.gz
	@scripts/record-profile
.PHONY: profile

format: ## format the sources
	@git ls-files -z '*.cc' '*.h' ':!third_party' | xargs -0 clang-format-19 -i

lint: setup ## formatting, clang-tidy, shellcheck
	@git ls-files -z '*.cc' '*.h' ':!third_party' | xargs -0 clang-format-19 --dry-run -Werror
	@$(CMAKE) --preset dev >/dev/null
	@scripts/lint

docs: build ## regenerate docs/configuration.md and its JSON Schema
	@$(NINJA) -C build/release heddle_config_docs | tail -n 1
	@build/release/src/config/heddle_config_docs docs

clean: ## remove build/ (the caches in ~/.cache stay)
	rm -rf build
