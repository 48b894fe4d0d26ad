// Mutate shows that the tests of the log would notice if one of the steps that make
// it safe were left out: it takes each of them out of a copy of the tree, one after
// the other, and runs the short tests there, which must fail.
//
//	go run ./scripts/mutate [-only TEXT] [-run TESTS] [-j N]
//
// It prints a table, and exits with 1 if a mutation survives, or if a table entry no
// longer fits the code.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

const pkg = "pkg/eventlog"

// tested are the packages whose tests are run.
var tested = []string{"./" + pkg, "./pkg/compact"}

// first are the tests that are quick and kill most: the others are only run if
// these pass.
const first = "^TestPromise"

// mutation is a step that is taken out.
type mutation struct {
	name string
	file string // from pkg
	// old is replaced by new; it must be there exactly once, behind the first
	// place where after is.
	after, old, new string
}

func main() {
	only := flag.String("only", "", "mutations whose name contains `TEXT`")
	run := flag.String("run", ".", "the `TESTS` that are run, as in go test -run, after "+first)
	jobs := flag.Int("j", 1, "run `N` at a time")
	limit := flag.Duration("limit", 5*time.Minute, "how long the tests may take; then they count as failed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ok, err := all(ctx, *only, *run, *jobs, *limit)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func all(ctx context.Context, only, run string, jobs int, limit time.Duration) (ok bool, err error) {
	tmp, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(tmp)
	trees := make([]string, max(jobs, 1))
	for i := range trees {
		trees[i] = filepath.Join(tmp, fmt.Sprint(i))
		if err := copyTree(trees[i]); err != nil {
			return false, err
		}
	}

	fmt.Printf(row, "MUTATION", "", "SECONDS", "FAILING TEST")
	none := mutation{name: "nothing (must pass)"}
	if r := none.try(ctx, trees[0], run, limit); !r.print(none.name) {
		return false, ctx.Err()
	}
	todo := make(chan mutation)
	var wg sync.WaitGroup
	var mu sync.Mutex
	ok = true
	for _, tree := range trees {
		wg.Go(func() {
			for m := range todo {
				r := m.try(ctx, tree, run, limit)
				mu.Lock()
				if !r.print(m.name) {
					ok = false
				}
				mu.Unlock()
			}
		})
	}
	for _, m := range mutations {
		if ctx.Err() == nil && strings.Contains(m.name, only) {
			todo <- m
		}
	}
	close(todo)
	wg.Wait()
	return ok, ctx.Err()
}

const row = "%-62s %-9s %7s  %s\n"

// print prints a line of the table and reports whether it is as it should be.
func (r *result) print(name string) bool {
	fmt.Printf(row, name, r.what, fmt.Sprintf("%.1f", r.took.Seconds()), r.by)
	return !r.bad
}

// copyTree copies what the tests need.
func copyTree(to string) error {
	if err := os.MkdirAll(to, 0o777); err != nil {
		return err
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("%w (is this the root of the repository?)", err)
		}
		if err := os.WriteFile(filepath.Join(to, name), b, 0o666); err != nil {
			return err
		}
	}
	return os.CopyFS(filepath.Join(to, "pkg"), os.DirFS("pkg"))
}

type result struct {
	bad  bool
	what string
	by   string
	took time.Duration
	out  string
}

var failing = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// try runs the tests with the mutation in tree, which is as it was afterwards.
func (m *mutation) try(ctx context.Context, tree, run string, limit time.Duration) result {
	if m.file != "" {
		name := filepath.Join(tree, pkg, m.file)
		before, err := os.ReadFile(name)
		if err != nil {
			return result{bad: true, what: "ERROR", by: err.Error()}
		}
		mutated, err := m.apply(string(before))
		if err != nil {
			return result{bad: true, what: "ERROR", by: err.Error()}
		}
		defer os.WriteFile(name, before, 0o666)
		if err := os.WriteFile(name, []byte(mutated), 0o666); err != nil {
			return result{bad: true, what: "ERROR", by: err.Error()}
		}
	}
	begin := time.Now()
	var r result
	for _, tests := range []string{first, run} {
		if tests == "" {
			continue
		}
		if r = m.test(ctx, tree, tests, limit); r.what != survives {
			break
		}
	}
	r.took = time.Since(begin)
	if m.file == "" {
		if r.what == survives {
			return result{what: "passes", took: r.took}
		}
		r.bad, r.what, r.by = true, "FAILS", r.by+"\n"+r.out
	}
	return r
}

const survives = "SURVIVES"

func (m *mutation) test(ctx context.Context, tree, tests string, limit time.Duration) result {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var out bytes.Buffer
	args := []string{"test", "-short", "-count=1", "-vet=off", "-failfast", "-run", tests}
	c := exec.CommandContext(ctx, "go", append(args, tested...)...)
	c.Dir, c.Stdout, c.Stderr = tree, &out, &out
	// Not a kill: the tests have processes of their own, and clean up after them.
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 10 * time.Second
	err := c.Run()
	r := result{what: "killed", by: "(panic)", out: out.String()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		r.by = "(it takes for ever)"
	case err == nil:
		r.bad, r.what, r.by = true, survives, ""
	case !errors.As(err, &exit):
		r.bad, r.what, r.by = true, "ERROR", err.Error()
	case strings.Contains(r.out, "[build failed]") || strings.Contains(r.out, "[setup failed]"):
		r.bad, r.what, r.by = true, "ERROR", "does not build:\n"+r.out
	default:
		if f := failing.FindStringSubmatch(r.out); f != nil {
			r.by = f[1]
		}
	}
	return r
}

func (m *mutation) apply(code string) (string, error) {
	at := strings.Index(code, m.after)
	if at < 0 {
		return "", fmt.Errorf("%s has no %q", m.file, m.after)
	}
	// To the end of the function.
	end := len(code)
	if m.after != "" {
		if n := strings.Index(code[at:], "\n}\n"); n >= 0 {
			end = at + n
		}
	}
	part := code[at:end]
	if n := strings.Count(part, m.old); n != 1 {
		return "", fmt.Errorf("%s has %q %d times in %q", m.file, m.old, n, m.after)
	}
	return code[:at] + strings.Replace(part, m.old, m.new, 1) + code[end:], nil
}
