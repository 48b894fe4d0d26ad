package compact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/internal/vfs/vfstest"
)

// several returns a log with several segments of which something goes, and what stays.
func several(t *testing.T) (f *fixture, o Options, before, after []string) {
	f = newFixture(t)
	for i := range 12 {
		lines := []string{put(i%5, i), put(100+i, i), del(100 + i/2), fmt.Sprint(i)}
		f.add(lines...)
		f.pass(time.Minute)
		before = append(before, lines...)
		if i%3 == 2 {
			f.seal()
		}
	}
	f.add(put(0, 99))
	before = append(before, put(0, 99))
	f = f.killed()
	g := f.killed()
	o = compacting()
	g.run(o)
	return f, o, before, g.lines()
}

// Whatever is under way when the context ends, the log is correct and the report says
// how far it came; the next run does the rest.
func TestRunCancelled(t *testing.T) {
	f, o, before, after := several(t)
	for _, both := range []bool{false, true} {
		if both {
			o.Delete, o.RetainAge = true, 5*time.Minute
			g := f.killed()
			g.run(o)
			after = g.lines()
		}
		partly := 0
		for n := 1; ; n += 2 {
			g := f.killed()
			ctx, cancel := context.WithCancel(context.Background())
			left := n
			g.m.FailIf(1, func(vfstest.Op) bool {
				if left--; left == 0 {
					cancel()
				}
				return false
			}, io.EOF, false)
			r, err := g.try(ctx, o)
			cancel()
			g.m.FailIf(0, nil, nil, false)
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					t.Fatalf("operation %d: %v", n, err)
				}
				if r.Steps > 0 && r.Done >= r.Steps {
					t.Fatalf("operation %d: %+v", n, r)
				}
			}
			if r.Done > 0 && r.Done < r.Steps {
				partly++
			}
			if r.Changed != (r.Done > 0) {
				t.Fatalf("operation %d: %+v", n, r)
			}
			lines := g.lines()
			if r.BytesBefore > 0 && int64(len(lines)) != r.EventsAfter {
				t.Fatalf("operation %d: %d events, %+v", n, len(lines), r)
			}
			within(t, lines, before, after)
			for _, name := range g.m.Names() {
				if strings.Contains(name, ".new-") {
					t.Fatalf("operation %d: %s is left", n, name)
				}
			}
			g.run(o)
			equal(t, g.lines(), after...)
			if left > 0 {
				if n < 100 {
					t.Errorf("only %d operations", n)
				}
				break
			}
		}
		if both && partly == 0 {
			t.Error("it never ended between two steps")
		}
	}
}

// within checks that lines are those of before, in their order, and have all of after.
func within(t *testing.T, lines, before, after []string) {
	t.Helper()
	has := map[string]bool{}
	for i, line := range lines {
		for len(before) > 0 && before[0] != line {
			before = before[1:]
		}
		if len(before) == 0 {
			t.Fatalf("line %d, %s, is not where it was", i, line)
		}
		before = before[1:]
		has[line] = true
	}
	for _, line := range after {
		if !has[line] {
			t.Fatalf("%s is gone", line)
		}
	}
}

// Each other operation fails once, in turn.
func TestRunFaults(t *testing.T) {
	f, o, before, after := several(t)
	failure := errors.New("no more of this")
	for n := 1; ; n += 2 {
		g := f.killed()
		g.m.Fail(n, failure, n%4 == 1)
		r, err := g.try(context.Background(), o)
		fired := g.m.Fired()
		g.m.Fail(0, nil, false)
		if err != nil && !errors.Is(err, failure) && !strings.HasSuffix(err.Error(), "was changed while it was rewritten") {
			t.Fatalf("operation %d: %v", n, err)
		}
		if err == nil && r.Done != r.Steps {
			t.Fatalf("operation %d: %+v", n, r)
		}
		for _, op := range g.m.Log() {
			if err == nil && op.Err != nil && errors.Is(op.Err, failure) && op.Changes() && op.Kind != vfstest.Remove {
				t.Fatalf("nobody is told of: %v", op)
			}
		}
		within(t, g.lines(), before, after)
		cut := g.on(g.m.Crash(len(g.m.Log()), vfstest.LoseAll()))
		within(t, cut.lines(), before, after)
		for _, g := range []*fixture{g, cut} {
			g.run(o)
			equal(t, g.lines(), after...)
		}
		if !fired {
			if n < 100 {
				t.Errorf("only %d operations", n)
			}
			break
		}
	}
}

// The power is cut after each operation of a run: each leaves a correct log, of which
// the next run makes what this one would have.
func TestRunCrash(t *testing.T) {
	f, o, before, after := several(t)
	f.run(o)
	ops := f.m.Log()
	for n, op := range ops {
		if !op.Changes() {
			continue
		}
		seed := uint64(n)
		losses := []vfstest.Loss{vfstest.LoseAll(), vfstest.KeepTorn(), vfstest.Ordered(seed), vfstest.Random(seed), vfstest.Random(seed + 1000)}
		for i := range uint64(30) {
			if op.Kind == vfstest.Remove { // it must not be durable before what it relies on
				losses = append(losses, vfstest.Random(seed+2000+i))
			}
		}
		for i, how := range losses {
			func() {
				defer func() {
					if t.Failed() {
						t.Logf("after operation %d, %v, %v", n, op, how)
					}
				}()
				g := f.on(f.m.Crash(n+1, how))
				within(t, g.lines(), before, after)
				if i == n%5 {
					g.run(o)
					equal(t, g.lines(), after...)
				}
			}()
		}
	}
}

// Progress only grows, and ends where it said, also if not all must be read.
func TestRunProgress(t *testing.T) {
	f, o, _, _ := several(t)
	gone := newFixture(t) // of its last segment nothing stays, and it is not worth merging
	gone.add(fmt.Sprintf("%q", noise(1, 20_000)))
	gone.seal()
	gone.add(put(1, 1), del(1))
	gone.run(Options{Compact: true, Keep: 1})
	lag := o
	lag.MinLag = 5 * time.Minute
	for i, c := range []struct {
		f *fixture
		o Options
	}{{f.killed(), o}, {f, lag}, {gone, Options{Compact: true, Keep: 1}}} {
		var done, total int64
		calls := 0
		c.o.Progress = func(d, n int64) {
			if d < done || d > n || n < total {
				t.Errorf("%d: %d of %d after %d of %d", i, d, n, done, total)
			}
			done, total = d, n
			calls++
		}
		r := c.f.run(c.o)
		if !r.Changed || calls < 2 || done != total || total < r.BytesBefore-145 {
			t.Errorf("%d: %d calls, %d of %d, %+v", i, calls, done, total, r)
		}
	}
}

// Damage anywhere is told, and then nothing is replaced.
func TestRunDamaged(t *testing.T) {
	f, o, before, after := several(t)
	base := f.files()
	found := 0
	for name, content := range base {
		if !strings.HasSuffix(name, ".zst") {
			continue
		}
		for at := 0; at < len(content); at += 17 {
			g := f.killed()
			g.m.Corrupt(name, int64(at), uint(at)%8)
			o.Delete = at%2 == 1
			o.RetainAge = time.Hour
			r, err := g.try(context.Background(), o)
			var damaged *event.DamagedError
			switch {
			case errors.As(err, &damaged):
				found++
				if r.Done > 0 || r.Changed {
					t.Errorf("%s, byte %d: %+v", name, at, r)
				}
			case err != nil:
				t.Errorf("%s, byte %d: %v", name, at, err)
			default:
				// What was harmed tells nothing that others do not.
				within(t, g.lines(), before, after)
				continue
			}
			for other, content := range base {
				now, err := g.m.ReadFile(other)
				if strings.HasSuffix(other, ".zst") && other != name && (err != nil || !strings.HasPrefix(string(now), content)) {
					t.Fatalf("%s, byte %d: %s was changed, %v", name, at, other, err)
				}
			}
			if b, err := g.m.ReadFile(name); err != nil || len(b) < len(content) {
				t.Fatalf("%s, byte %d: it has %d bytes, %v", name, at, len(b), err)
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d times damaged", found)
	}
}
