# logtools. `make` builds into bin/; `make help` lists the rest.

PREFIX ?= /usr/local
GO     ?= go

# Static binaries that do not name the builder's directories.
export CGO_ENABLED = 0
# The version is stamped from git, where git can tell it.
BUILDVCS := $(shell git rev-parse -q --verify HEAD >/dev/null 2>&1 && echo auto || echo false)
BUILD     = $(GO) build -trimpath -buildvcs=$(BUILDVCS)

.PHONY: build help test demo install uninstall completions bench fuzz torture mutate cross clean

build:
	@mkdir -p bin
	$(BUILD) -o bin/ ./cmd/...

help:
	@echo 'make              build the commands into bin/'
	@echo 'make test         everything that must hold (STEPS="unit fuzz": only these)'
	@echo 'make demo         write a sample access log and show the main job on it'
	@echo 'make install      into PREFIX ($(PREFIX)), below DESTDIR if set'
	@echo 'make uninstall    what make install has put there'
	@echo 'make bench        engine benchmarks, then whole processes beside other tools (N=lines)'
	@echo 'make fuzz         every fuzz target for FUZZTIME (60s)'
	@echo 'make torture      kill, power cut, fill: the log for TIME (10m), as root with loop devices'
	@echo 'make mutate       take out each step that makes the log safe: a test must notice'
	@echo 'make cross        check that it builds for the other systems'
	@echo 'make clean        remove what was built'

# Which steps there are, and what each needs: scripts/test.sh.
test: build
	@GO='$(GO)' sh scripts/test.sh $(STEPS)

demo: build
	@GO='$(GO)' sh scripts/demo.sh

completions:
	$(GO) run ./scripts/completions

install: build completions
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' sh scripts/install.sh

uninstall: completions
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' sh scripts/install.sh --remove

bench: build
	$(GO) test -run '^$$' -bench . -benchtime 0.5s ./pkg/...
	$(GO) run ./scripts/bench $(if $(N),-n $(N))

fuzz:
	@GO='$(GO)' FUZZTIME='$(or $(FUZZTIME),60s)' sh scripts/test.sh fuzz

# They are short in make test.
torture:
	LOGTOOLS_TORTURE='$(or $(TIME),10m)' $(GO) test -count=1 -timeout 0 -v -run '^TestTorture' ./pkg/eventlog ./pkg/cmd/logappend ./pkg/cmd/logcompact ./pkg/guard

# Arguments: make mutate MUTATE='-only sync -j 2'
mutate:
	$(GO) run ./scripts/mutate $(MUTATE)

cross:
	@GO='$(GO)' sh scripts/test.sh cross

clean:
	rm -rf bin completions
