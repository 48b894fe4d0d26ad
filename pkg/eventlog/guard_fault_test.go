package eventlog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"

	"logtools/pkg/internal/vfs/vfstest"
	"logtools/pkg/stream"
)

// claims is what was told about names, by partition.
type claims struct {
	mu   sync.Mutex
	told []claimed
}

// claimed is one name of a batch, and what was told of it when op operations had been
// done: that it was stored at an offset, or refused because of that.
type claimed struct {
	partition int
	name      string
	offset    int64
	refused   bool
	op        int
}

// note keeps what an Ack says of a batch with these names.
func (c *claims) note(m *vfstest.Mem, batch []string, a stream.Ack) {
	c.mu.Lock()
	defer c.mu.Unlock()
	op := len(m.Log())
	refused, next := a.Refused, a.Offset
	for i, n := range batch {
		if len(refused) > 0 && refused[0].Index == i {
			c.told = append(c.told, claimed{a.Partition, n, refused[0].TakenBy, true, op})
			refused = refused[1:]
			continue
		}
		c.told = append(c.told, claimed{a.Partition, n, next, false, op})
		next++
	}
	if next != a.Offset+int64(a.Count) {
		panic(fmt.Sprintf("%d names, %+v", len(batch), a))
	}
}

// check compares what is in a log with what was told by the first ops operations.
func (c *claims) check(t testing.TB, m *vfstest.Mem, partitions, ops int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	at := wantOnce(t, m, partitions, 0)
	for _, k := range c.told {
		if o, ok := at[k.partition][k.name]; k.op <= ops && (!ok || o != k.offset) {
			t.Errorf("%+v: it is at %d, %v", k, o, ok)
		}
	}
}

// claim appends batches of names until one fails, each when the one before is done;
// or all at once.
func (c *claims) claim(m *vfstest.Mem, l *Log, o AppendOptions, partitions int, pipelined bool, batches [][]string) (err error) {
	a, err := l.Appender(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	var mu sync.Mutex
	var failed error
	for i, names := range batches {
		b := named(names...)
		b.Partition = i % partitions
		if err := a.Append(context.Background(), b, func(ack stream.Ack, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = errors.Join(failed, err)
				return
			}
			c.note(m, names, ack)
		}); err != nil {
			return err
		}
		if !pipelined {
			a.Flush(context.Background())
		}
		mu.Lock()
		err := failed
		mu.Unlock()
		if err != nil {
			break
		}
	}
	a.Flush(context.Background())
	return failed
}

// someNames are n batches of names of which there are only so many; they are long
// enough that tiny segments are soon full.
func someNames(rng *rand.Rand, n, names int) [][]string {
	var out [][]string
	for range n {
		var b []string
		for range 1 + rng.IntN(4) {
			i := rng.IntN(names)
			b = append(b, fmt.Sprintf("%d%s", i, strings.Trim(noise(30, i), `"`)))
		}
		out = append(out, b)
	}
	return out
}

// TestGuardCrash cuts the power after each operation, and once more in the recovery.
// The index on the disk is what it was then, or one that knows more than the log.
func TestGuardCrash(t *testing.T) {
	m := vfstest.New()
	s := newShelf()
	k := &claims{}
	rng := rand.New(rand.NewPCG(1, 2))
	l := tinySegments(guardedLog(t, m, 1))
	shelves := map[int]*shelf{}
	for range 3 {
		for range 5 {
			if err := k.claim(m, l, AppendOptions{Guard: &names{t: t, shelf: s, due: 4}, Workers: 1}, 1, false, someNames(rng, 1, 20)); err != nil {
				t.Fatal(err)
			}
			shelves[len(m.Log())] = s.clone()
		}
		if err := k.claim(m, l, AppendOptions{Guard: &names{t: t, shelf: s, due: 4}, Workers: 1}, 1, true, someNames(rng, 5, 20)); err != nil {
			t.Fatal(err)
		}
		shelves[len(m.Log())] = s.clone()
	}
	all := someNames(rand.New(rand.NewPCG(3, 4)), 10, 20)
	ops := m.Log()
	was := newShelf()
	for n := 0; n <= len(ops); n++ {
		if at, ok := shelves[n]; ok {
			was = at
		}
		if n > 0 && !ops[n-1].Changes() && n != len(ops) {
			continue
		}
		hows := []vfstest.Loss{vfstest.LoseAll(), vfstest.KeepAll(), vfstest.KeepTorn(), vfstest.Random(uint64(n)), vfstest.Ordered(uint64(n))}
		if testing.Short() {
			hows = []vfstest.Loss{vfstest.LoseAll(), hows[1+n%4]}
		}
		for i, how := range hows {
			c := m.Crash(n, how)
			l, err := Open("log", Options{FS: c, Warn: func(msg string) { t.Errorf("after operation %d, %v: %s", n, how, msg) }})
			if err != nil || l.settings.Rules.None() {
				continue // it was not finished
			}
			shelf := was
			if i%2 == 1 {
				shelf = s
			}
			after := &claims{}
			for _, k := range k.told {
				if k.op <= n {
					after.told = append(after.told, claimed{k.partition, k.name, k.offset, k.refused, 0})
				}
			}
			if err := after.claim(c, tinySegments(l), AppendOptions{Guard: &names{t: t, shelf: shelf.clone(), due: 3}, Workers: 1}, 1, n%2 == 0, all); err != nil {
				t.Fatalf("after operation %d (%v), %v: %v", n, ops[max(n, 1)-1], how, err)
			}
			after.check(t, c, 1, 1<<30)
			again := c.Crash(len(c.Log()), vfstest.LoseAll())
			recoverLog(t, again)
			after.check(t, again, 1, 1<<30)
			if t.Failed() {
				t.Fatalf("after operation %d (%v), %v", n, ops[max(n, 1)-1], how)
			}
		}
	}
}

// TestGuardFail lets each operation fail once, in turn. What is told is true
// nevertheless, and in the end all names can be had.
func TestGuardFail(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	lists := [][][]string{someNames(rng, 8, 15), someNames(rng, 8, 15), someNames(rng, 8, 15)}
	for _, due := range []int{0, 3} {
		for n := 1; ; n++ {
			m := vfstest.New()
			guardedLog(t, m, 1)
			s, k := newShelf(), &claims{}
			m.Fail(n, syscall.EIO, n%2 == 0)
			fired := true
			for round, list := range lists {
				if round == 2 {
					fired = m.Fired()
					m.Fail(0, nil, false)
				}
				l, err := Open("log", Options{FS: m.Process(), Warn: func(msg string) { t.Error("warning: ", msg) }})
				if err == nil {
					err = k.claim(m, tinySegments(l), AppendOptions{Guard: &names{t: t, shelf: s, due: due}, Workers: 1}, 1, n%3 == 0, list)
				}
				if err != nil && (round == 2 || !errors.Is(err, syscall.EIO)) {
					t.Fatalf("operation %d failed, round %d: %v", n, round, err)
				}
			}
			k.check(t, m, 1, 1<<30)
			c := m.Crash(len(m.Log()), vfstest.LoseAll())
			recoverLog(t, c)
			k.check(t, c, 1, 1<<30)
			if t.Failed() {
				t.Fatalf("operation %d failed", n)
			}
			if !fired {
				if n < 50 {
					t.Errorf("only %d operations", n)
				}
				break
			}
		}
	}
}

// TestGuardRace lets several processes run for the same names, some of which are
// killed or meet errors.
func TestGuardRace(t *testing.T) {
	runs := 60
	if testing.Short() {
		runs = 12
	}
	for run := range runs {
		m := vfstest.New()
		s, k := newShelf(), &claims{}
		partitions := 1 + run%2
		guardedLog(t, m, partitions)
		rng := rand.New(rand.NewPCG(uint64(run), 9))
		var wg sync.WaitGroup
		for w := range 2 + run%3 {
			seed := rng.Uint64()
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(seed, 0))
				for life := range 4 {
					p := m.Process()
					killed := life < 3 && rng.IntN(2) == 0
					if killed {
						p.KillAt(20 + rng.IntN(400))
					}
					if life < 3 && rng.IntN(2) == 0 {
						m.FailIf(1+rng.IntN(20), func(o vfstest.Op) bool {
							return (o.Kind == vfstest.Sync || o.Kind == vfstest.Write) && strings.HasSuffix(o.Name, segmentExt)
						}, syscall.EIO, rng.IntN(2) == 0)
					}
					l, err := Open("log", Options{FS: p, Warn: func(msg string) { t.Error("warning:", msg) }})
					if err == nil {
						g := &names{t: t, shelf: s, due: rng.IntN(3) * 5, again: rng.IntN(2) * 7}
						err = k.claim(m, tinySegments(l), AppendOptions{Guard: g, Workers: 2}, partitions, rng.IntN(2) == 0, someNames(rng, 20, 60))
					}
					void := err != nil && strings.Contains(err.Error(), "another process gave up the segment")
					if err != nil && !void && !errors.Is(err, syscall.EIO) && !(killed && errors.Is(err, vfstest.ErrKilled)) {
						t.Errorf("writer %d, life %d: %v", w, life, err)
					}
					p.Kill()
				}
			})
		}
		wg.Wait()
		m.Fail(0, nil, false)
		k.check(t, m, partitions, 1<<30)
		ops := len(m.Log())
		for range 6 {
			at := 1 + rng.IntN(ops)
			c := m.Crash(at, vfstest.LoseAll())
			if _, err := Open("log", Options{FS: c}); err == nil {
				for p := range partitions {
					recoverPartition(t, c, p)
				}
				k.check(t, c, partitions, at-1)
			}
		}
		if t.Failed() {
			t.Fatalf("run %d", run)
		}
	}
}

func recoverPartition(t *testing.T, m *vfstest.Mem, n int) {
	t.Helper()
	l, err := Open("log", Options{FS: m, Warn: func(msg string) { t.Error("warning: ", msg) }})
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.partition(n, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if err := p.acquire(); err != nil {
		t.Fatal(err)
	}
	p.free()
}
