# What people type. Each target does its own set-up: system packages, ONNX Runtime, Node, npm packages.

TARGET ?= $(or $(CARGO_TARGET_DIR),target)
BIN := $(abspath $(TARGET))/debug/inspectd
export PATH := $(CURDIR)/.setup/node/bin:$(PATH)
export INSPECTD_DATA ?= $(wildcard $(abspath ../shared/data))
export INSPECTD_BIN := $(BIN)
# As tests/run-suites has it: with MPI where it is. The package and what is measured never have it.
MPI = $(if $(shell which mpicc 2>/dev/null),--features inspectd/mpi)

.DEFAULT_GOAL := help
.PHONY: help demo build lite test lint model eval-trunk bench bench-compare bench-train accept soak screenshots package offline-bundle accept-package setup setup-test setup-package setup-book book

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 16

demo: build ## build everything and inspect the synthetic line, with the live page
	$(BIN) demo

# All targets, even for the demo: tests need more features of some dependencies than the program does, and building the program
# alone would build those twice on every machine that also tests.
build: setup web-ui/dist/index.html ## build the program with its dashboard, and everything that tests it
	cargo build -q --workspace --all-targets

setup:
	@./setup.sh build

setup-test:
	@./setup.sh test

setup-package:
	@./setup.sh package

setup-book:
	@./setup.sh book

# The dashboard is embedded into the program, so it is built first.
web-ui/dist/index.html: daemon/openapi.json $(shell find web-ui -path web-ui/node_modules -prune -o -path web-ui/dist -prune -o -path web-ui/src/lib/schema.ts -prune -o -type f -print 2>/dev/null) | setup
	cd web-ui && npm run --silent build

# Alone, so that it has the fewest features; the workspace's own build gives it all.
lite: ## the small program for small devices: a release build, and its size, 15 MB at most (docs/EDGE.md)
	cargo build -q --profile lite -p inspect-lite
	@stat -c '%n: %s bytes' $(TARGET)/lite/inspect-lite
	@[ $$(stat -c %s $(TARGET)/lite/inspect-lite) -le 15000000 ] || { echo "that is more than 15,000,000 bytes" >&2; exit 1; }

test: setup-test web-ui/dist/index.html ## every test; the time of each suite at the end
	@tests/run-suites

lint: setup web-ui/dist/index.html ## formatting and lints, as CI checks them
	cargo fmt --all --check
	cargo clippy -q --workspace --all-targets $(MPI) -- -D warnings

package: setup-package web-ui/dist/index.html ## a Debian package in target/debian (a release build; PACKAGE_BIN=FILE takes a program that is there)
	@PACKAGE_BIN="$(PACKAGE_BIN)" systemd/package/build.sh

offline-bundle: package ## one file that installs and updates a PC without internet: the package and all that it needs, checksums, licences
	@systemd/package/bundle.sh

book: setup-book ## the documents as a book in target/book, by mdBook
	.setup/mdbook/bin/mdbook build docs

accept-package: PACKAGE_BIN ?= $(BIN)
accept-package: build offline-bundle ## the package's life in a clean Debian: installed, updated, back from a broken update, purged
	@tests/package "$$(ls -t target/debian/*.run | head -1)" "$$(ls -t target/debian/*.deb | head -1)"

accept: build accept-package ## the long accuracy runs: synthetic line, steel, few-shot, good-only and more; the program `accept` takes their names
	$(dir $(BIN))accept
	INSPECTD_LOOP_KILLS=30 cargo nextest run --workspace --profile soak --no-capture -E 'binary(learning) & test(killed)'

bench: build ## single calls; the line beside a bare loop and Python loops (PYTHON=...); store, cores; p99 beside a training and ten viewers; PLC; a million records
	cargo measure -q --bench kernels --bench pipeline --bench store --bench cores --bench beside --bench plc --bench viewers --bench history
	@tests/bench-peers

bench-compare: build ## has the hot path become slower since BASE=commit? the line in turns, instructions by callgrind
	@tests/bench-compare $(or $(BASE),$(error name a commit: make bench-compare BASE=main))

bench-train: build ## training throughput, beside PyTorch's where a Python has it (PYTHON=...)
	@tests/bench-train

model: build ## trains the shipped model again from torchvision's checkpoint in TRUNK=FILE (resumable, under an hour on two cores)
	@[ -n "$(TRUNK)" ] || { echo "name the ImageNet trunk: make model TRUNK=mobilenet_v3_small-047dcff4.pth" >&2; exit 2; }
	$(BIN) train --synthetic --trunk $(TRUNK) --out models/weights/default.bundle --priority normal --resume

eval-trunk: build ## the shipped trunk beside ImageNet's (TRUNK=FILE) on real images: NEU, bottle; ELPV_DATA names the cells' folder
	@[ -n "$(TRUNK)" ] || { echo "name the ImageNet trunk: make eval-trunk TRUNK=mobilenet_v3_small-047dcff4.pth" >&2; exit 2; }
	$(dir $(BIN))examples/eval_trunk $(TRUNK) models/weights/default.bundle

screenshots: build ## pictures of every page, from a walk over 5,000 parts, into web-ui/screenshots
	rm -f web-ui/screenshots/*.webp
	INSPECTD_SCREENSHOTS=$(CURDIR)/web-ui/screenshots cargo nextest run --workspace -E 'package(system-tests) & binary(records)'

soak: build ## the long fault runs, three hours: 200 kills, 100 power cuts, 510 damaged files, full and failing disks, 300 random lives of the store, fuzzing, an hour with a fault every two minutes
	INSPECTD_FAULTS=long cargo nextest run --workspace --profile soak --no-capture -E 'binary(faults)'
	PROPTEST_CASES=300 cargo nextest run --workspace --profile soak -E 'binary(store) & test(crash::)'
	PROPTEST_CASES=20000 cargo nextest run --workspace --profile soak -E 'package(stages) & test(the_books_say)'
	tests/fuzz/run 600
	cargo nextest run --workspace --profile soak --no-capture --run-ignored only -E 'binary(faults) & test(soak::)'
