#!/bin/sh
# Runs what must hold, step by step: test.sh [STEP...], all steps without
# operands. Stops at the first step that fails. A tool that is not there is
# named and its step skipped: Go, make and git are enough.
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}
FUZZTIME=${FUZZTIME:-2s}
PATH=$PATH:$("$GO" env GOPATH)/bin
export PATH

STEPS='build vet gofmt layers unit purego fuzz race cross man static vulns'

skip() { echo "skipped: $*"; }
have() { command -v "$1" >/dev/null 2>&1; }

step_build() { # with the settings of the binaries
	CGO_ENABLED=0 "$GO" build ./...
}

step_vet() { "$GO" vet ./...; }

step_gofmt() {
	files=$(find . -name '*.go' -not -path './.git/*' -exec "$("$GO" env GOROOT)/bin/gofmt" -l {} +)
	[ -z "$files" ] || { echo "not formatted by gofmt:"; echo "$files"; return 1; }
}

# Who may import whom, and that the repository speaks of itself alone.
step_layers() { "$GO" test -count=1 .; }

# Unit tests and the commands' scripts (txtar).
step_unit() { "$GO" test ./...; }

# The same without assembly.
step_purego() { "$GO" test -tags purego ./pkg/event ./pkg/parse; }

# Go 1.26 sometimes calls it a failure that the time is over while a worker is
# busy. Whatever fuzzing really finds, it writes down.
only_deadline() {
	grep -q '^    context deadline exceeded$' "$1" && ! grep -Eq 'Failing input|panic:|fatal error:|_test\.go:' "$1"
}

# A short time for each fuzz target there is. A minimisation takes longer than
# that by default, so it is limited too.
step_fuzz() {
	grep -rl --include='*_test.go' '^func Fuzz' cmd pkg scripts | sed 's|/[^/]*$||' | sort -u | while read -r dir; do
		for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$dir"/*_test.go | sort); do
			echo "$dir $target"
			if "$GO" test -run '^$' -fuzz "^$target\$" -fuzztime "$FUZZTIME" -fuzzminimizetime 10x "./$dir" >"$out" 2>&1; then
				tail -n 1 "$out"
			elif only_deadline "$out"; then
				echo "ended at the deadline, nothing found"
			else
				cat "$out"
				exit 1
			fi
		done
	done
}

# Where goroutines share memory.
RACE='./pkg/cli ./pkg/source ./pkg/scan ./pkg/agg ./pkg/expr ./pkg/eventlog ./pkg/compact ./pkg/guard ./pkg/internal/vfs/... ./pkg/cmd/...'
step_race() {
	cc=$("$GO" env CC)
	if ! have "${cc%% *}"; then
		skip "the race detector needs a C compiler"
		return
	fi
	# shellcheck disable=SC2086 # a list
	CGO_ENABLED=1 "$GO" test -race -short $RACE
}

# vet, too, as it looks at the tests as well.
step_cross() {
	for target in darwin/arm64 windows/amd64 linux/arm64 linux/386; do
		echo "$target"
		GOOS=${target%/*} GOARCH=${target#*/} CGO_ENABLED=0 "$GO" build ./...
		GOOS=${target%/*} GOARCH=${target#*/} CGO_ENABLED=0 "$GO" vet ./...
	done
}

step_man() {
	have mandoc || { skip "mandoc is not installed"; return; }
	pages=$(find man -name '*.[1-8]' | sort)
	[ -n "$pages" ] || { echo "no man pages"; return 1; }
	# shellcheck disable=SC2086 # a list
	mandoc -T lint -W warning $pages
	echo "$pages"
}

step_static() {
	have staticcheck || { skip "staticcheck is not installed"; return; }
	staticcheck ./...
}

# govulncheck needs the network: only what it finds is an error (exit 3).
step_vulns() {
	have govulncheck || { skip "govulncheck is not installed"; return; }
	status=0
	govulncheck ./... || status=$?
	case $status in
	0) ;;
	3) return 1 ;;
	*) skip "govulncheck could not look (exit $status)" ;;
	esac
}

out=$(mktemp)
trap 'rm -f "$out"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# shellcheck disable=SC2086 # a list
[ $# -gt 0 ] || set -- $STEPS
for step; do
	case " $STEPS " in
	*" $step "*) ;;
	*) echo "no step $step; there are: $STEPS" >&2; exit 2 ;;
	esac
	echo "== $step"
	begin=$(date +%s)
	# Not in a condition: there, set -e does not stop at a failing command.
	"step_$step"
	echo "   $step: $(($(date +%s) - begin)) s"
done
echo "all passed: $*"
