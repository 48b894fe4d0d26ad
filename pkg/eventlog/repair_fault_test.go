package eventlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/internal/vfs/vfstest"
	"logtools/pkg/stream"
)

// manyHarms makes a log with damage of all kinds.
func manyHarms(t *testing.T) *vfstest.Mem {
	m, names := madeOf(t, 22)
	if len(names) < 6 {
		t.Fatalf("only %d segments", len(names))
	}
	m.Corrupt(names[0], 33, 1)
	at, _ := unitsOf(t, m, names[1])
	m.Corrupt(names[1], at[2]-1, 1)
	m.Remove(names[3])
	m.SyncDir("log/00000")
	active := names[len(names)-1]
	at, _ = unitsOf(t, m, active)
	m.Corrupt(active, at[1]+50, 1)
	return m.Crash(len(m.Log()), vfstest.LoseAll()) // all of it is durable
}

// TestRepairCrash cuts the power after each operation of a repair: what could be
// read before can be read then, and the next repair puts all right.
func TestRepairCrash(t *testing.T) {
	m := manyHarms(t)
	before := reads(t, m).events
	from := len(m.Log())
	done, err := repairs(m)
	if err != nil || len(done) != 4 {
		t.Fatalf("%+v %v", done, err)
	}
	ops := m.Log()
	for n := from; n <= len(ops); n++ {
		if n > from && !ops[n-1].Changes() {
			continue
		}
		for _, how := range losses() {
			c := m.Crash(n, how)
			g := reads(t, c)
			if !same(g.events, before) || len(g.errs) > 0 {
				t.Fatalf("after operation %d (%v), %v: read %v %v\nof %v", n, ops[n-1], how, g.events, g.errs, before)
			}
			if _, err := repairs(c); err != nil {
				t.Fatalf("after operation %d (%v), %v: %v", n, ops[n-1], how, err)
			}
			if err := wholeAgain(t, c, before); err != nil {
				t.Fatalf("after operation %d (%v), %v: %v", n, ops[n-1], how, err)
			}
		}
	}
	if err := wholeAgain(t, m.Crash(len(ops), vfstest.LoseAll()), before); err != nil {
		t.Error(err)
	}
}

// TestRepairFail lets each operation of a repair fail once.
func TestRepairFail(t *testing.T) {
	whole := manyHarms(t)
	before := reads(t, whole).events
	step := 1
	if testing.Short() {
		step = 7
	}
	for _, cause := range []error{syscall.ENOSPC, syscall.EIO} {
		for n := 1; ; n += step {
			m := whole.Crash(len(whole.Log()), vfstest.KeepAll())
			m.Fail(n, cause, cause == syscall.ENOSPC)
			_, err := repairs(m)
			if !m.Fired() {
				if n < 100 || err != nil {
					t.Errorf("%d operations: %v", n, err)
				}
				break
			}
			// What concerns only an .idx, or the removal of a file of ours, is no error.
			if err != nil && !errors.Is(err, cause) {
				t.Fatalf("operation %d failed with %v, told as: %v", n, cause, err)
			}
			m.Fail(0, nil, false)
			for _, how := range []vfstest.Loss{vfstest.KeepAll(), vfstest.LoseAll(), vfstest.Random(uint64(n))} {
				c := m.Crash(len(m.Log()), how)
				if g := reads(t, c); !same(g.events, before) {
					t.Fatalf("operation %d (%v) failed with %v, then %v: read %v %v", n, m.Log()[len(m.Log())-1], cause, how, g.events, g.damages)
				}
				if _, err := repairs(c); err != nil {
					t.Fatal(err)
				}
				if err := wholeAgain(t, c, before); err != nil {
					t.Fatalf("operation %d failed with %v, then %v: %v", n, cause, how, err)
				}
			}
		}
	}
}

// TestRepairBeside repairs a log again and again while it is damaged, appended to
// and followed.
func TestRepairBeside(t *testing.T) {
	m := vfstest.New()
	l := tinySegments(mustCreate(t, m, "log", Change{}))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	acked := map[int64]string{}
	const writers, each = 2, 60
	for w := range writers {
		wg.Go(func() {
			o, err := Open("log", Options{FS: m.Process()})
			if err != nil {
				t.Error(err)
				return
			}
			a, err := tinySegments(o).Appender(AppendOptions{Workers: 1})
			if err != nil {
				t.Error(err)
				return
			}
			defer a.Close()
			for i := range each {
				line := fmt.Sprintf(`{"w":%d,"i":%d,"pad":"%x"}`, w, i, i*i*7919*7919*7919)
				if err := a.Append(ctx, batch(line), func(ack stream.Ack, err error) {
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					acked[ack.Offset] = line
				}); err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	seen := map[int64]string{}
	told := 0
	wg.Go(func() {
		r, err := l.Read(0, ReadOptions{Follow: true})
		if err != nil {
			t.Error(err)
			return
		}
		defer r.Close()
		var b stream.Block
		for len(seen)+told < writers*each {
			if err := r.Next(ctx, &b); err != nil {
				t.Error(err)
				return
			}
			var d *event.DamagedError
			if errors.As(b.Err, &d) {
				told += int(d.Next - d.First)
			} else if b.Err != nil {
				t.Error(b.Err)
				return
			}
			for _, e := range blockEvents(&b) {
				if seen[e.offset] != "" {
					t.Errorf("offset %d twice", e.offset)
				}
				seen[e.offset] = e.line
			}
			mu.Lock()
			n := len(acked)
			mu.Unlock()
			if n == writers*each && len(b.Data) == 0 && b.Err == nil {
				break
			}
		}
	})
	broken := 0
	rng := rand.New(rand.NewPCG(1, 2))
	p := m.Process()
	for range 8 {
		time.Sleep(10 * time.Millisecond)
		bases, err := l.segments(l.dir(0))
		if err != nil {
			t.Fatal(err)
		}
		if len(bases) > 2 {
			name := filepath.Join(l.dir(0), segmentName(bases[rng.IntN(len(bases)-1)]))
			if b, err := m.ReadFile(name); err == nil && len(b) > 200 {
				m.Corrupt(name, int64(150+rng.IntN(len(b)-150)), 0)
				broken++
			}
		}
		o, err := Open("log", Options{FS: p})
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Repair(ctx, 0, RepairOptions{}); err != nil {
			t.Error(err)
		}
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		cancel()
		<-done
	}
	for o, line := range seen {
		if acked[o] != line {
			t.Errorf("offset %d: %s, acknowledged as %s", o, line, acked[o])
		}
	}
	if len(acked) != writers*each || broken == 0 {
		t.Errorf("%d acknowledged, %d times damaged", len(acked), broken)
	}
	if _, err := repairs(m); err != nil {
		t.Fatal(err)
	}
	if err := wholeAgain(t, m, reads(t, m).events); err != nil {
		t.Error(err)
	}
}

// TestRepairTidied: writers that open the partition remove what others have left
// half made, but not what a repair is writing.
func TestRepairTidied(t *testing.T) {
	m := manyHarms(t)
	before := reads(t, m).events
	l, err := Open("log", Options{FS: m})
	if err != nil {
		t.Fatal(err)
	}
	other, err := Open("log", Options{FS: m.Process()})
	if err != nil {
		t.Fatal(err)
	}
	times := 0
	if err := l.Repair(context.Background(), 0, RepairOptions{Progress: func(done, total int64) {
		if done > total {
			t.Errorf("%d of %d bytes", done, total)
		}
		p, err := other.partition(0, time.Second)
		if err != nil {
			t.Error(err)
			return
		}
		defer p.close()
		if err := p.acquire(); err != nil {
			t.Error(err)
			return
		}
		p.free()
		times++
	}}); err != nil || times == 0 {
		t.Fatal(err, times)
	}
	if err := wholeAgain(t, m, before); err != nil {
		t.Error(err)
	}
}

func TestRepairSettings(t *testing.T) {
	age, bytes := 30*24*time.Hour, int64(1<<30)
	cleanup, partitions := "delete", 3
	make := func() *vfstest.Mem {
		m := vfstest.New()
		mustCreate(t, m, "log", Change{RetainAge: &age, RetainBytes: &bytes, Cleanup: &cleanup, Partitions: &partitions})
		return m
	}
	repair := func(m *vfstest.Mem) (*RepairedSettings, error) {
		return RepairSettings(context.Background(), "log", Options{FS: m}, time.Second)
	}
	whole := make()
	good, _ := whole.ReadFile("log/log.json")
	if done, err := repair(whole); done != nil || err != nil {
		t.Fatalf("%+v %v", done, err)
	}
	// Each bit.
	for i := range good {
		for bit := range uint(8) {
			if testing.Short() && uint(i)%8 != bit || uint(i)%2 != bit%2 {
				continue
			}
			m := whole.Crash(len(whole.Log()), vfstest.KeepAll())
			m.Corrupt("log/log.json", int64(i), bit)
			bad, _ := m.ReadFile("log/log.json")
			done, err := repair(m)
			if err != nil || done == nil || done.Guessed {
				t.Fatalf("byte %d, bit %d: %+v %v", i, bit, done, err)
			}
			if now, _ := m.ReadFile("log/log.json"); string(now) != string(good) {
				t.Fatalf("byte %d, bit %d: %s", i, bit, now)
			}
			if kept, _ := m.ReadFile(done.Kept); string(kept) != string(bad) {
				t.Fatalf("byte %d, bit %d: %s is not kept", i, bit, bad)
			}
		}
	}
	// Cut off, or not there.
	for n := -1; n < len(good); n += 7 {
		m := whole.Crash(len(whole.Log()), vfstest.KeepAll())
		if n < 0 {
			m.Remove("log/log.json")
		} else {
			m.WriteFile("log/log.json", good[:n])
		}
		done, err := repair(m)
		if err != nil || done == nil || !done.Guessed || (done.Kept == "") != (n < 0) {
			t.Fatalf("cut off at %d: %+v %v", n, done, err)
		}
		l, err := Open("log", Options{FS: m})
		if err != nil {
			t.Fatal(err)
		}
		if s := l.Settings(); s.ID != done.ID || s.Partitions != 3 || s.Cleanup != "none" || s.SegmentBytes != DefaultSegmentBytes {
			t.Fatalf("cut off at %d: %+v", n, s)
		}
		if _, err := appendAll(t, l, AppendOptions{}, batch("1")); err != nil {
			t.Fatal(err)
		}
		if done, err := repair(m); done != nil || err != nil {
			t.Fatalf("the second time: %+v %v", done, err)
		}
	}
	// Those of another log are no help, even with one wrong bit.
	m := make()
	b, _ := make().ReadFile("log/log.json")
	b[30] ^= 1
	m.WriteFile("log/log.json", b)
	if done, err := repair(m); err != nil || done == nil || !done.Guessed {
		t.Errorf("another log's: %+v %v", done, err)
	}
	// What cannot be made anew.
	for name, harm := range map[string]func(m *vfstest.Mem){
		"no partition": func(m *vfstest.Mem) {
			for _, n := range []string{"lock", "maint.lock", "head", segmentName(0)} {
				m.Remove("log/00001/" + n)
			}
			m.Remove("log/00001")
		},
		"no id": func(m *vfstest.Mem) {
			for p := range 3 {
				m.Corrupt(fmt.Sprintf("log/%05d/%s", p, segmentName(0)), 20, 0)
			}
		},
		"two ids": func(m *vfstest.Mem) {
			b, _ := make().ReadFile("log/00002/" + segmentName(0))
			m.WriteFile("log/00002/"+segmentName(0), b)
		},
		"a later version": func(m *vfstest.Mem) {
			m.WriteFile("log/log.json", []byte(`{"format":2,"id":"x"}`))
		},
	} {
		m := make()
		m.WriteFile("log/log.json", nil)
		harm(m)
		old, _ := m.ReadFile("log/log.json")
		done, err := repair(m)
		if err == nil {
			t.Errorf("%s: %+v", name, done)
		}
		if now, _ := m.ReadFile("log/log.json"); string(now) != string(old) {
			t.Errorf("%s: it was touched", name)
		}
	}
	if _, err := repair(vfstest.New()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	// Power cuts: the settings are always the old or the new ones.
	m = make()
	m.WriteFile("log/log.json", good[:50])
	from := len(m.Log())
	if _, err := repair(m); err != nil {
		t.Fatal(err)
	}
	for n := from; n <= len(m.Log()); n++ {
		for _, how := range losses() {
			c := m.Crash(n, how)
			if _, err := repair(c); err != nil {
				t.Fatalf("after %d operations, %v: %v", n, how, err)
			}
			if _, err := Open("log", Options{FS: c}); err != nil {
				t.Fatalf("after %d operations, %v: %v", n, how, err)
			}
		}
	}
}

// TestRepairLocked: a repair that goes on keeps another one out.
func TestRepairLocked(t *testing.T) {
	m, _ := brokenLog(t)
	lock, err := m.Process().Lock("log/00000/" + maintName)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := lock.TryLock(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	l, err := Open("log", Options{FS: m})
	if err != nil {
		t.Fatal(err)
	}
	var locked *LockError
	if err := l.Repair(context.Background(), 0, RepairOptions{LockTimeout: 10 * time.Millisecond}); !errors.As(err, &locked) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Repair(ctx, 0, RepairOptions{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
