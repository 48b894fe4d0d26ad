package guard

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"logtools/pkg/eventlog"
	"logtools/pkg/internal/vfs/vfstest"
)

// stores makes a table of that many runs, each of some events, and waits for merges.
func stores(r *reader, runs, events, keys int) error {
	rng := rand.New(rand.NewPCG(uint64(runs), uint64(events)))
	for range runs {
		for range events {
			v := tableValue(rng)
			r.log.append(fact{rng.IntN(keys), v[:min(len(v), 20)]})
		}
		r.learn()
		if err := r.store(); err != nil {
			return err
		}
		r.settle()
	}
	return nil
}

// twoRuns returns a disk with a table of two runs.
func twoRuns(t *testing.T) (*vfstest.Mem, *factLog) {
	m, log := newDisk(), &factLog{sums: []uint32{1}}
	r := &reader{log: log, fs: m}
	if err := r.open(0); err != nil {
		t.Fatal(err)
	}
	if err := stores(r, 2, 14, 10); err != nil {
		t.Fatal(err)
	}
	if err := r.table.close(); err != nil {
		t.Fatal(err)
	}
	return m, log
}

// never is a check of a table that may be damaged: what it says is right, or it
// says that it is damaged. load: its filters are loaded first.
func never(r *reader, load bool) (damaged bool, err error) {
	if load {
		for _, x := range r.table.runs {
			x.lookups = math.MaxInt64 / 2
		}
	}
	want := r.log.at(r.known)
	for k := range 40 {
		got, ok, err := r.table.get(hashOf(k), nil)
		value, there := want[k]
		switch {
		case errors.Is(err, errDamaged):
			damaged = true
		case err != nil:
			return damaged, err
		case ok != there || string(got) != string(value):
			return damaged, fmt.Errorf("key %d: got %q, %t; want %q, %t", k, got, ok, value, there)
		}
	}
	return damaged, nil
}

// TestTortureTable flips bits of the files, and cuts them off anywhere.
func TestTortureTable(t *testing.T) {
	m, log := twoRuns(t)
	names, err := m.ReadDir(tableDir)
	if err != nil {
		t.Fatal(err)
	}
	ops := len(m.Log())
	harm := func(what string, at int, later bool, do func(*vfstest.Mem)) {
		for _, load := range []bool{false, true} {
			c := m.Crash(ops, vfstest.KeepAll())
			r := &reader{log: log, fs: c}
			if !later {
				do(c)
			}
			if err := r.open(0); err != nil {
				t.Fatal(what, err)
			}
			if later {
				do(c)
			}
			stored := r.known
			damaged, err := never(r, load)
			if err != nil {
				t.Fatal(what, err)
			}
			// All is checked that was not read before, and not only what the keys
			// happen to meet.
			if load && !damaged && stored == log.next() && !(later && at < runHeadLen) {
				t.Fatal(what, "was not noticed")
			}
			r.learn()
			if err := r.store(); err != nil {
				t.Fatal(what, err)
			}
			for again := range 2 {
				err := r.check(15)
				if err == nil {
					break
				}
				if !errors.Is(err, errDamaged) || again > 0 {
					t.Fatal(what, err)
				}
				damaged = true
				if err := r.table.clear(); err != nil {
					t.Fatal(what, err)
				}
				r.known = 0
				r.learn()
				if err := r.store(); err != nil {
					t.Fatal(what, err)
				}
			}
			if err := r.table.close(); err != nil {
				t.Fatal(what, err)
			}
			// What was read before may be damaged since.
			if err := r.open(0); err != nil || r.known != log.next() && (damaged || !later) {
				t.Fatal(what, err, r.known)
			}
			// Two runs, one of which may have been whole, and the lock of merges.
			if left, _ := c.ReadDir(tableDir); len(left) > 3 {
				t.Fatal(what, left)
			}
			r.table.close()
		}
	}
	runs := 0
	for _, name := range names {
		if !strings.HasSuffix(name, runSuffix) {
			continue
		}
		runs++
		path := filepath.Join(tableDir, name)
		data, err := m.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		step := 7 // all of them in the long run
		if os.Getenv("LOGTOOLS_TORTURE") != "" {
			step = 1
		}
		for i := 0; i < 8*len(data); i += step {
			for _, later := range []bool{false, true} {
				harm(fmt.Sprintf("%s: bit %d", name, i), i/8, later, func(c *vfstest.Mem) { c.Corrupt(path, int64(i/8), uint(i%8)) })
			}
		}
		for n := 0; n < len(data); n += step {
			for _, later := range []bool{false, true} {
				harm(fmt.Sprintf("%s: cut off at %d", name, n), runHeadLen, later, func(c *vfstest.Mem) { c.WriteFile(path, data[:n]) })
			}
		}
	}
	if runs != 2 {
		t.Fatal(names)
	}
}

// TestTableCrash cuts the power after each operation of storing and merging.
func TestTableCrash(t *testing.T) {
	m, log := newDisk(), &factLog{sums: []uint32{1}}
	r := &reader{log: log, fs: m}
	if err := r.open(0); err != nil {
		t.Fatal(err)
	}
	type done struct {
		ops  int
		next int64
	}
	var acks []done
	for range 2*maxRuns + 3 {
		if err := stores(r, 1, 30, 50); err != nil {
			t.Fatal(err)
		}
		acks = append(acks, done{len(m.Log()), r.known})
	}
	if len(r.table.runs) > maxRuns {
		t.Fatal("nothing was merged")
	}
	ops := m.Log()
	for n := 0; n <= len(ops); n++ {
		if n > 0 && !ops[n-1].Changes() && n < len(ops) {
			continue
		}
		for _, how := range []vfstest.Loss{vfstest.KeepAll(), vfstest.KeepTorn(), vfstest.LoseAll(),
			vfstest.Ordered(1), vfstest.Ordered(2), vfstest.Random(1), vfstest.Random(2)} {
			c := m.Crash(n, how)
			if _, err := c.ReadDir("log"); err != nil {
				continue
			}
			where := fmt.Sprintf("after operation %d (%v), %v", n, ops[max(n, 1)-1], how)
			a := &reader{log: log, fs: c}
			if err := a.open(0); err != nil {
				t.Fatal(where, err)
			}
			for _, d := range acks {
				if d.ops <= n && d.next > a.known {
					t.Fatalf("%s: %d was stored, %d is there\n%s", where, d.next, a.known, strings.Join(c.Names(), "\n"))
				}
			}
			if err := a.check(50); err != nil {
				t.Fatal(where, err)
			}
			for _, name := range c.Names() {
				if strings.Contains(name, ".tmp-") {
					t.Fatal(where, name, "is left")
				}
			}
			a.learn()
			if err := a.store(); err != nil {
				t.Fatal(where, err)
			}
			a.settle()
			if err := a.check(50); err != nil {
				t.Fatal(where, err)
			}
			a.table.close()
		}
	}
}

// TestTableFailures lets the n-th operation fail.
func TestTableFailures(t *testing.T) {
	for n := 1; ; n++ {
		if testing.Short() && n > 150 && n%3 > 0 {
			continue
		}
		m, log := newDisk(), &factLog{sums: []uint32{1}}
		p := m.Process()
		m.FailIf(n, func(op vfstest.Op) bool { return op.Proc == p.Number() }, syscall.EIO, n%2 == 0)
		failed := 0
		try := func(do func() error) {
			t.Helper()
			err := do()
			if err == nil {
				return
			}
			if failed++; !errors.Is(err, syscall.EIO) || failed > 1 {
				t.Fatalf("operation %d: %v", n, err)
			}
			if err := do(); err != nil {
				t.Fatalf("operation %d: again: %v", n, err)
			}
		}
		r := &reader{log: log, fs: p}
		for round := range 2 {
			try(func() error { return r.open(0) })
			for range maxRuns + 1 - 6*round {
				for k := range 9 {
					log.append(fact{k % 7, []byte(fmt.Sprint(r.known))})
					r.learn()
				}
				try(r.store)
				try(func() error { return r.check(7) })
				r.settle()
				try(func() error { return r.check(7) })
				try(func() error { _, err := r.table.refresh(r.known); return err })
			}
			for _, x := range r.table.runs {
				x.lookups = math.MaxInt64 / 2
			}
			try(func() error { return r.check(7) })
			if err := r.table.close(); err != nil && !errors.Is(err, syscall.EIO) {
				t.Fatal(err)
			}
		}
		fired := m.Fired()
		m.Fail(0, nil, false)
		a := &reader{log: log, fs: m}
		if err := a.open(0); err != nil || a.known != log.next() {
			t.Fatalf("operation %d: %v; %d of %d", n, err, a.known, log.next())
		}
		if err := a.check(7); err != nil {
			t.Fatalf("operation %d: %v", n, err)
		}
		a.table.close()
		if !fired {
			if n < 100 {
				t.Errorf("only %d operations", n)
			}
			return
		}
	}
}

// TestMergeDamage: what a merge finds is told, and cleared.
func TestMergeDamage(t *testing.T) {
	m, log := newDisk(), &factLog{sums: []uint32{1}}
	r := &reader{log: log, fs: m}
	if err := r.open(0); err != nil {
		t.Fatal(err)
	}
	if err := stores(r, maxRuns, 30, 50); err != nil {
		t.Fatal(err)
	}
	last := r.table.runs[maxRuns-1]
	m.Corrupt(filepath.Join(tableDir, last.name), last.size-1, 3)
	if err := stores(r, 1, 30, 50); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.table.get(hashOf(1000), nil); !errors.Is(err, errDamaged) {
		t.Error("looked up:", err)
	}
	r.learn()
	if err := r.store(); err != nil && !errors.Is(err, errDamaged) {
		t.Error("stored:", err)
	}
	if err := r.table.close(); err != nil {
		t.Fatal(err)
	}
	if err := r.open(0); err != nil || r.known != 0 {
		t.Fatal("not cleared:", r.known, err)
	}
	r.table.close()
}

// TestForeignRuns: runs of another log, partition or other rules are removed, and
// those that the log does not hold.
func TestForeignRuns(t *testing.T) {
	for what, change := range map[string]func(o *tableOptions, l *factLog){
		"log":       func(o *tableOptions, l *factLog) { o.log[3] ^= 1 },
		"rules":     func(o *tableOptions, l *factLog) { o.rules[15] ^= 1 },
		"partition": func(o *tableOptions, l *factLog) { o.partition ^= 1 },
		"place":     func(o *tableOptions, l *factLog) { l.sums[14] ^= 1; l.sums[28] ^= 1 },
		"last":      func(o *tableOptions, l *factLog) { l.sums[28] ^= 1 },
	} {
		m, log := twoRuns(t)
		o := log.options(m, 0)
		change(&o, log)
		tab, err := openTable(o)
		if err != nil {
			t.Fatal(what, err)
		}
		want := 0
		if what == "last" {
			want = 1
		}
		names, _ := m.ReadDir(tableDir)
		names = slices.DeleteFunc(names, func(n string) bool { return n == mergeLock })
		if len(names) != want || tab.stored() != int64(14*want) {
			t.Errorf("%s: %v, %d stored", what, names, tab.stored())
		}
		// Durably so: they must not come back.
		names, _ = m.Crash(len(m.Log()), vfstest.LoseAll()).ReadDir(tableDir)
		if names = slices.DeleteFunc(names, func(n string) bool { return n == mergeLock }); len(names) != want {
			t.Errorf("%s: %v after a power cut", what, names)
		}
		tab.close()
	}
	m, log := twoRuns(t)
	o := log.options(m, 0)
	boom := errors.New("boom")
	for _, what := range []string{"error", "none"} {
		o.holds = log.holds
		if what == "error" {
			o.holds = func(eventlog.Mark) (bool, error) { return false, boom }
		}
		tab, err := openTable(o)
		if what == "error" {
			if !errors.Is(err, boom) {
				t.Error(err)
			}
			continue
		}
		if err != nil || tab.stored() != 28 {
			t.Error("runs were removed because of an error:", tab.stored(), err)
		}
		tab.close()
	}
}

// TestTwoMergers: while one process merges, another one does not, and goes on
// reading what is merged away.
func TestTwoMergers(t *testing.T) {
	m, log := newDisk(), &factLog{sums: []uint32{1}}
	p, q := m.Process(), m.Process()
	a, b := &reader{log: log, fs: p}, &reader{log: log, fs: q}
	for _, r := range []*reader{a, b} {
		if err := r.open(0); err != nil {
			t.Fatal(err)
		}
	}
	if err := stores(a, maxRuns, 20, 30); err != nil {
		t.Fatal(err)
	}
	b.learn()
	if ok, err := b.table.refresh(b.known); err != nil || !ok || b.table.recent.n != 0 {
		t.Fatal(ok, err)
	}
	lock, err := m.Lock(filepath.Join(tableDir, mergeLock))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := lock.TryLock(); !got || err != nil {
		t.Fatal(got, err)
	}
	if err := stores(a, 1, 20, 30); err != nil {
		t.Fatal(err)
	}
	if len(a.table.runs) != maxRuns+1 {
		t.Error("merged, though another process does")
	}
	lock.Close()
	if err := stores(a, 1, 20, 30); err != nil {
		t.Fatal(err)
	}
	if len(a.table.runs) > maxRuns {
		t.Error("not merged")
	}
	if err := b.check(30); err != nil {
		t.Error(err)
	}
	b.learn()
	if err := b.store(); err != nil {
		t.Fatal(err)
	}
	if b.settle(); !slices.EqualFunc(a.table.runs, b.table.runs, func(x, y *run) bool { return x.name == y.name }) {
		t.Error("the other one does not know what was merged")
	}
	for _, r := range []*reader{a, b} {
		if err := r.check(30); err != nil {
			t.Error(err)
		}
		if err := r.table.close(); err != nil {
			t.Error(err)
		}
	}
}

// TestOpenFiles: each file that is opened is closed.
func TestOpenFiles(t *testing.T) {
	m, log := newDisk(), &factLog{sums: []uint32{1}}
	a, b := &reader{log: log, fs: m}, &reader{log: log, fs: m}
	for range 3 {
		for _, r := range []*reader{a, b} {
			if err := r.open(0); err != nil {
				t.Fatal(err)
			}
		}
		for range 12 {
			if err := stores(a, 2, 20, 30); err != nil {
				t.Fatal(err)
			}
			b.learn()
			if err := b.store(); err != nil {
				t.Fatal(err)
			}
		}
		b.settle()
		if err := b.table.clear(); err != nil {
			t.Fatal(err)
		}
		a.table.close()
		b.table.close()
	}
	open := map[string]int{}
	for _, op := range m.Log() {
		switch {
		case op.Err != nil:
		case op.Kind == vfstest.Open || op.Kind == vfstest.Create:
			open["all"]++
		case op.Kind == vfstest.Close && filepath.Base(op.Name) != mergeLock:
			open["all"]--
		}
	}
	if open["all"] != 0 {
		t.Errorf("%d files are left open", open["all"])
	}
}

// TestMisplaced: a run under another name is none, and a bucket that the directory
// has in the place of another is not taken for it.
func TestMisplaced(t *testing.T) {
	m, log := twoRuns(t)
	if err := m.Rename(filepath.Join(tableDir, runName(14, 28)), filepath.Join(tableDir, runName(14, 27))); err != nil {
		t.Fatal(err)
	}
	r := &reader{log: log, fs: m}
	if err := r.open(0); err != nil || r.known != 14 {
		t.Error(r.known, err)
	}
	r.table.close()

	m, log = newDisk(), &factLog{sums: []uint32{1}}
	r = &reader{log: log, fs: m}
	if err := r.open(0); err != nil {
		t.Fatal(err)
	}
	if err := stores(r, 1, 300, 300); err != nil {
		t.Fatal(err)
	}
	x := r.table.runs[0]
	path := filepath.Join(tableDir, x.name)
	b, err := m.ReadFile(path)
	if err != nil || x.width < 2 {
		t.Fatal(err, x.width)
	}
	r.table.close()
	copy(b[runHeadLen:], b[runHeadLen+8:runHeadLen+24]) // the first is the second now
	m.WriteFile(path, b)
	if err := r.open(0); err != nil {
		t.Fatal(err)
	}
	for k := range 300 {
		h := hashOf(k)
		hi, _ := h.halves()
		if x.bucket(hi) != 0 {
			continue
		}
		if _, _, err := r.table.get(h, nil); !errors.Is(err, errDamaged) {
			t.Fatal("another bucket was looked into:", err)
		}
	}
	r.table.close()
}
