package eventlog

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"logtools/pkg/internal/vfs/vfstest"
)

// The tests in this file take one promise each and make the moment in which it
// matters. scripts/mutate takes the steps out that keep them.

// history is a log with batches that were acknowledged and, behind them, others
// that were only written.
func history(t *testing.T, acked, written int) (*vfstest.Mem, *ledger) {
	t.Helper()
	m := vfstest.New()
	k := &ledger{acks: map[int]ackAt{}}
	l := mustCreate(t, m, "log", Change{})
	if err := k.store(l, m, acked); err != nil {
		t.Fatal(err)
	}
	for range written {
		id := len(k.batches)
		k.batches = append(k.batches, []string{fmt.Sprintf(`{"unsynced":%d,"pad":"%0600x"}`, id, id*7919), `{"second":1}`})
		k.batches[id][1] = fmt.Sprintf(`{"second":%d}`, id)
		if _, err := appendAll(t, l, AppendOptions{NoSync: true, Workers: 1}, batch(k.batches[id]...)); err != nil {
			t.Fatal(err)
		}
	}
	return m, k
}

// torn is the state in which the last write to a segment was half done.
func torn(m *vfstest.Mem) *vfstest.Mem {
	ops := m.Log()
	for n := len(ops); ; n-- {
		if o := ops[n-1]; o.Kind == vfstest.Write && strings.HasSuffix(o.Name, segmentExt) {
			return m.Crash(n, vfstest.KeepTorn())
		}
	}
}

// recoverLog does what a writer does before it appends.
func recoverLog(t *testing.T, m *vfstest.Mem) {
	t.Helper()
	l, err := Open("log", Options{FS: m, Warn: func(msg string) { t.Error("warning: ", msg) }})
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.partition(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if err := p.acquire(); err != nil {
		t.Fatal(err)
	}
	p.free()
}

// cuts calls check with what is left when the power is cut after each operation of m
// behind the first from.
func cuts(m *vfstest.Mem, from int, seeds uint64, check func(c *vfstest.Mem, where string)) {
	how := []vfstest.Loss{vfstest.LoseAll()}
	for s := range seeds {
		how = append(how, vfstest.Random(s))
	}
	ops := m.Log()
	for n := from; n <= len(ops); n++ {
		if n > 0 && !ops[n-1].Changes() {
			continue
		}
		for _, h := range how {
			where := ""
			if n > 0 {
				where = fmt.Sprintf("after operation %d (%v), %v", n, ops[n-1], h)
			}
			check(m.Crash(n, h), where)
		}
	}
}

// What a killed writer had written is made durable before anybody is told that it
// is; if its last unit is half there, too.
func TestPromiseLeftIsMadeDurable(t *testing.T) {
	for _, half := range []bool{false, true} {
		m, k := history(t, 2, 3)
		c := m.Crash(len(m.Log()), vfstest.KeepAll())
		if half {
			c = torn(m)
		}
		recoverLog(t, c)
		found := content(t, c, "log", 0)
		if len(found) < 5 {
			t.Fatal("only", found)
		}
		after := c.Crash(len(c.Log()), vfstest.LoseAll())
		if left := content(t, after, "log", 0); !maps.Equal(found, left) {
			t.Errorf("half %v: a reader finds %d events, and after a power cut %d", half, len(found), len(left))
		}
		cuts(c, 0, 60, func(c *vfstest.Mem, where string) {
			after, err := k.reopen(c)
			if err == nil {
				err = after.check(content(t, c, "log", 0), 1<<30)
			}
			if err != nil {
				t.Fatal(where, err)
			}
		})
	}
}

// kept reports whether bytes lie at their place in a file, or in one under lost/.
func kept(m *vfstest.Mem, name string, at int, bytes string) bool {
	if b, err := m.ReadFile(name); err == nil && len(b) >= at && string(b[at:]) == bytes {
		return true
	}
	return slices.ContainsFunc(m.Names(), func(n string) bool {
		b, err := m.ReadFile(n)
		return strings.Contains(n, "/"+lostName+"/") && err == nil && string(b) == bytes
	})
}

// A torn end is cut off only when a copy of it is durable, whenever the power is cut
// and the writer that does it is killed.
func TestPromiseTornIsKept(t *testing.T) {
	m, _ := history(t, 2, 0)
	const name = "log/00000/00000000000000000000.zst"
	b, err := m.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	garbage := strings.Repeat("no unit ", 100)
	m.WriteFile(name, append(slices.Clone(b), garbage...))
	m = m.Crash(len(m.Log()), vfstest.KeepAll())
	first := m.Crash(0, vfstest.KeepAll())
	recoverLog(t, first)
	check := func(c *vfstest.Mem, where string) {
		if !kept(c, name, len(b), garbage) {
			t.Errorf("the torn end is lost %s: %v", where, c.Names())
		}
	}
	cuts(first, 0, 10, check)
	for n := range first.Log() {
		second := first.Crash(n, vfstest.KeepAll())
		recoverLog(t, second)
		cuts(second, 0, 3, func(c *vfstest.Mem, where string) {
			check(c, fmt.Sprintf("%s, the one before was killed after operation %d (%v)", where, n, first.Log()[max(n, 1)-1]))
		})
	}
	// And nothing of it is read.
	if got, _ := first.ReadFile(name); string(got) != string(b) {
		t.Errorf("the segment has %d bytes, had %d sound ones", len(got), len(b))
	}
}

// A damaged segment is left with all that is sound in it, for good.
func TestPromiseLeftSegmentIsDurable(t *testing.T) {
	m, k := history(t, 3, 2)
	// A bit of the second batch, which was acknowledged.
	const name = "log/00000/00000000000000000000.zst"
	b, _ := m.ReadFile(name)
	c := m.Crash(len(m.Log()), vfstest.KeepAll())
	c.Corrupt(name, int64(len(b)/6), 3)
	// Without the head all of it is looked at.
	if err := c.Remove("log/00000/head"); err != nil {
		t.Fatal(err)
	}
	warned := ""
	l, err := Open("log", Options{FS: c, Warn: func(msg string) { warned = msg }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := appendAll(t, l, AppendOptions{}, batch(`"behind"`)); err != nil || !strings.Contains(warned, "damaged") {
		t.Fatalf("%v; warned: %q", err, warned)
	}
	found := content(t, c, "log", 0)
	left := content(t, c.Crash(len(c.Log()), vfstest.LoseAll()), "log", 0)
	if !maps.Equal(found, left) {
		t.Errorf("after the damage a reader finds %d events, and after a power cut %d", len(found), len(left))
	}
	if last := k.batches[4][1]; found[9] != last || found[10] != `"behind"` || len(found) == 11 {
		t.Errorf("%v", found)
	}
}
