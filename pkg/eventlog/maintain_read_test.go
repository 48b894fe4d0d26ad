package eventlog

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/internal/vfs/vfstest"
)

// beside calls read with a log of another process, once undisturbed, and then again and
// again, so that maintain does its work in the midst of it: before the first operation
// of read, the second, and so on.
func beside(t *testing.T, start *vfstest.Mem, step int, maintain func(m *vfstest.Mem) error, read func(l *Log, where string)) {
	t.Helper()
	for n := 1; ; n += step {
		m := start.Crash(len(start.Log()), vfstest.KeepAll())
		p := m.Process()
		l, err := Open("log", Options{FS: p})
		if err != nil {
			t.Fatal(err)
		}
		stopped, done := p.StopAt(n), make(chan struct{})
		go func() {
			defer close(done)
			read(l, fmt.Sprintf("stopped before operation %d", n))
		}()
		select {
		case <-done:
			if n < 20 {
				t.Errorf("only %d operations", n)
			}
			return
		case <-stopped:
		}
		err = maintain(m)
		p.Continue()
		<-done
		if err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			return
		}
	}
}

// A reader that was opened before gets each survivor once and in order, and of the rest
// some, wherever it stands when the segments are replaced and removed.
func TestMaintainBesideReader(t *testing.T) {
	start, k := newChore(t, 26)
	merge := func(m *vfstest.Mem) error {
		return upkeepIn(m, MaintainOptions{}, k.mergeAll)
	}
	for _, tt := range []struct {
		name     string
		o        ReadOptions
		maintain func(m *vfstest.Mem) error
		survive  int64 // from which offset on
	}{
		{"merged", ReadOptions{}, merge, 0},
		{"merged, the oldest removed", ReadOptions{}, func(m *vfstest.Mem) error { return k.run(m) }, k.starts[1]},
		{"most removed", ReadOptions{}, func(m *vfstest.Mem) error {
			return upkeepIn(m, MaintainOptions{}, func(l *Log, up *Maintenance) error {
				for _, s := range k.all[:5] {
					if err := up.Remove(s); err != nil {
						return err
					}
				}
				return k.merge(l, up, k.all[5].Base, noStop)
			})
		}, k.all[5].Base},
		{"merged, from the midst", ReadOptions{From: AtOffset(k.all[4].Base + 2)}, merge, 0},
		{"killed", ReadOptions{}, func(m *vfstest.Mem) error {
			p := m.Process()
			p.KillAt(20 + len(m.Log())*7%300)
			if err := k.run(p); err != nil && !errors.Is(err, vfstest.ErrKilled) {
				return err
			}
			return nil
		}, k.starts[1]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			step := 1
			if testing.Short() {
				step = 2
			}
			beside(t, start, step, tt.maintain, func(l *Log, where string) {
				r, err := l.Read(0, tt.o)
				if err != nil {
					t.Error(where, err)
					return
				}
				defer r.Close()
				g := readAll(t, context.Background(), r, 1)
				for _, err := range g.errs {
					var gone *event.GoneError
					if !errors.As(err, &gone) || tt.survive == 0 {
						t.Errorf("%s: %v", where, err)
					}
				}
				for i, e := range g.events {
					if was := between(k.events, e.offset, e.offset+1); len(was) != 1 || !same(was, g.events[i:i+1]) || i > 0 && e.offset <= g.events[i-1].offset {
						t.Errorf("%s: %v behind %v", where, e, g.events[:i])
						return
					}
				}
				first := max(tt.survive, tt.o.From.n)
				if got, want := k.staying(between(g.events, first, noStop)), k.staying(between(k.events, first, noStop)); !same(got, want) || !g.last || len(g.damages) > 0 {
					t.Errorf("%s: read %v\nwant %v\n%v", where, got, want, g.damages)
				}
			})
		})
	}
}

// What is asked of a log has the right answer while its segments are merged, and none
// of its events goes.
func TestMaintainBesideQuestions(t *testing.T) {
	start, k := newChore(t, 26)
	merge := func(m *vfstest.Mem) error {
		return upkeepIn(m, MaintainOptions{}, func(l *Log, up *Maintenance) error {
			for _, i := range []int{1, 3} {
				old, err := up.Segments()
				if err != nil {
					return err
				}
				if _, err := up.Replace(old[i:i+2], 0, some(l, old[i:i+2], all)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	read := func(o ReadOptions) func(l *Log) (any, error) {
		return func(l *Log) (any, error) {
			r, err := l.Read(0, o)
			if err != nil {
				return nil, err
			}
			defer r.Close()
			g := readAll(t, context.Background(), r, 1)
			if len(g.errs)+len(g.damages) > 0 {
				return nil, errors.Join(append(g.errs, fmt.Errorf("%v", g.damages))...)
			}
			return g.events, nil
		}
	}
	at := AtTime(instant(k.events[len(k.events)/2].appended))
	n := int64(len(k.events))
	to := BeforeEnd(5)
	questions := map[string]func(l *Log) (any, error){
		"the last":          read(ReadOptions{Tail: 1}),
		"some of the last":  read(ReadOptions{Tail: n / 2}),
		"most of the last":  read(ReadOptions{Tail: n - 3}),
		"before the end":    read(ReadOptions{From: BeforeEnd(n * 2 / 3), To: &to}),
		"from a time":       read(ReadOptions{From: at}),
		"up to a time":      read(ReadOptions{To: &at}),
		"from an offset":    read(ReadOptions{From: AtOffset(k.all[2].Base + 1)}),
		"described":         nil,
		"verified":          nil,
		"segments, if only": nil,
	}
	questions["described"] = func(l *Log) (any, error) {
		d, err := l.Describe(context.Background())
		if err == nil {
			d[0].Bytes, d[0].Segments = 0, 0
		}
		return d, err
	}
	questions["verified"] = func(l *Log) (any, error) {
		v, err := l.Verify(context.Background(), 0, VerifyOptions{Damaged: func(d *event.DamagedError) { t.Error(d) }})
		return []int64{v.Events, v.RawBytes, v.First, v.Next, int64(v.Gaps), int64(v.Damaged)}, err
	}
	questions["segments, if only"] = func(l *Log) (any, error) {
		all, _, err := (&Maintenance{l: l}).look()
		events, raw := int64(0), int64(0)
		for _, s := range all {
			events += s.Events
			raw += s.Raw
		}
		return []int64{events, raw}, err
	}
	for name, ask := range questions {
		t.Run(name, func(t *testing.T) {
			l, err := Open("log", Options{FS: start.Crash(len(start.Log()), vfstest.KeepAll())})
			if err != nil {
				t.Fatal(err)
			}
			want, err := ask(l)
			if err != nil {
				t.Fatal(err)
			}
			beside(t, start, 1, merge, func(l *Log, where string) {
				got, err := ask(l)
				if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s: %v %v\nwant %v", where, got, err, want)
				}
			})
		})
	}
}

// A follower that stands in a segment goes on, whatever becomes of that one, and of
// those behind it, before the follower looks again.
func TestMaintainBesideFollower(t *testing.T) {
	merge := func(from, to int) func(l *Log, up *Maintenance, old []Segment) error {
		return func(l *Log, up *Maintenance, old []Segment) error {
			_, err := up.Replace(old[from:to], 0, some(l, old[from:to], all))
			return err
		}
	}
	remove := func(n int) func(l *Log, up *Maintenance, old []Segment) error {
		return func(_ *Log, up *Maintenance, old []Segment) error {
			for _, s := range old[:n] {
				if err := up.Remove(s); err != nil {
					return err
				}
			}
			return nil
		}
	}
	// Each segment has two events; the follower stands behind those of the second one.
	for _, tt := range []struct {
		name string
		do   func(l *Log, up *Maintenance, old []Segment) error
		gone int64 // offset from which on what was removed before is not read
	}{
		{"replaced", merge(1, 2), 0},
		{"merged into the one before", merge(0, 2), 0},
		{"the next one replaced", merge(2, 3), 0},
		{"removed", remove(2), 0},
		{"the next ones merged", merge(2, 4), 0},
		{"merged with the next one", merge(1, 3), 0},
		{"merged with those around it", merge(0, 3), 0},
		{"merged with all", merge(0, 4), 0},
		{"removed with the next one", remove(3), 6},
		{"all removed", remove(4), 8},
	} {
		for _, asleep := range []bool{true, false} {
			if !asleep && tt.gone > 0 {
				continue // who knows how far it comes
			}
			t.Run(fmt.Sprintf("%s, asleep %v", tt.name, asleep), func(t *testing.T) {
				t.Parallel()
				m := newMemLog(t)
				h := newHand(t, m.Process())
				next := int64(0)
				put := func() {
					h.put(next, fmt.Sprintf(`"%d"`, next), fmt.Sprintf(`"%d"`, next+1))
					h.ack()
					next += 2
				}
				put()
				seal(t, m)
				put()
				p := m.Process()
				l, err := Open("log", Options{FS: p})
				if err != nil {
					t.Fatal(err)
				}
				f := follow(t, l, ReadOptions{})
				defer f.close()
				f.wait(t, 4)
				time.Sleep(20 * time.Millisecond) // it waits for more
				if asleep {
					p.Stop()
				}
				for range 3 {
					seal(t, m)
					put()
				}
				err = upkeepIn(m, MaintainOptions{}, func(l *Log, up *Maintenance) error {
					old, err := up.Segments()
					if err != nil || len(old) != 5 {
						return fmt.Errorf("%+v %v", old, err)
					}
					return tt.do(l, up, old)
				})
				p.Continue()
				if err != nil {
					t.Fatal(err)
				}
				put()
				want := int(next)
				if asleep && tt.gone > 0 {
					want -= int(tt.gone) - 4
				}
				f.wait(t, want)
				f.mu.Lock()
				defer f.mu.Unlock()
				for i, e := range f.events {
					offset := int64(i)
					if i >= 4 {
						offset += next - int64(want)
					}
					if e.offset != offset || e.line != fmt.Sprintf(`"%d"`, offset) {
						t.Errorf("event %d is %+v", i, e)
					}
				}
				var gone *event.GoneError
				if n := len(f.errs); asleep && tt.gone > 0 && (n != 1 || !errors.As(f.errs[0], &gone)) || (!asleep || tt.gone == 0) && n > 0 {
					t.Error(f.errs)
				}
			})
		}
	}
}
