package eventlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"logtools/pkg/event"
	"logtools/pkg/internal/vfs"
	"logtools/pkg/internal/vfs/vfstest"
	"logtools/pkg/stream"
)

// chore is a maintenance of a small log: some events go, segments are merged, and the
// oldest one is removed.
type chore struct {
	events []told    // before
	next   int64     // offset that the next event gets
	all    []Segment // before, the active one too
	starts []int64   // bases of the segments that there are to be; the first is removed, then
}

// newChore makes a log in memory, and what is to be done with it.
func newChore(t *testing.T, batches int) (*vfstest.Mem, *chore) {
	t.Helper()
	made, _ := madeOf(t, batches)
	m := made.Crash(len(made.Log()), vfstest.KeepAll())
	k := &chore{events: reads(t, m).events}
	k.next = k.events[len(k.events)-1].offset + 1
	l, err := Open("log", Options{FS: m})
	if err != nil {
		t.Fatal(err)
	}
	up, err := l.Maintain(context.Background(), 0, MaintainOptions{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	if k.all, err = up.Segments(); err != nil {
		t.Fatal(err)
	}
	if len(k.all) < 7 || !k.all[len(k.all)-1].Active {
		t.Fatalf("%d segments: %+v", len(k.all), k.all)
	}
	// Of 1, 2, 3 segments, and of what is left.
	for _, i := range []int{0, 1, 3, 6} {
		k.starts = append(k.starts, k.all[i].Base)
	}
	return m.Crash(len(m.Log()), vfstest.KeepAll()), k
}

// stays says which events stay: two of three, and none of the third segment.
func (k *chore) stays(offset int64) bool {
	return offset%3 != 1 && (offset < k.all[2].Base || offset >= k.all[2].Next)
}

// some copies the events of segments that stay, few to a unit.
func some(l *Log, old []Segment, stays func(offset int64) bool) func(w *SegmentWriter) error {
	return func(w *SegmentWriter) error {
		to := AtOffset(old[len(old)-1].Next)
		r, err := l.Read(0, ReadOptions{From: AtOffset(old[0].Base), To: &to})
		if err != nil {
			return err
		}
		defer r.Close()
		enc, u := NewUnitEncoder(), &Unit{}
		flush := func() error {
			if len(u.Offsets) == 0 {
				return nil
			}
			if err := enc.Encode(u); err != nil {
				return err
			}
			err := w.Write(u)
			u.Reset()
			return err
		}
		var b stream.Block
		for {
			if err := r.Next(context.Background(), &b); err != nil {
				return err
			}
			if b.Err != nil {
				return b.Err
			}
			if b.Last {
				return flush()
			}
			for _, e := range blockEvents(&b) {
				if !stays(e.offset) {
					continue
				}
				u.Add([]byte(e.line+"\n"), e.offset, e.appended)
				if len(u.Offsets) == 5 {
					if err := flush(); err != nil {
						return err
					}
				}
			}
		}
	}
}

// merge puts one segment in the place of those that begin in [from, to).
func (k *chore) merge(l *Log, m *Maintenance, from, to int64) error {
	all, err := m.Segments()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(s Segment) bool { return s.Base < from || s.Base >= to || s.Active })
	if len(all) == 0 {
		return nil
	}
	_, err = m.Replace(all, 0, some(l, all, k.stays))
	return err
}

// mergeAll merges all that is to be merged.
func (k *chore) mergeAll(l *Log, m *Maintenance) error {
	if err := m.Seal(); err != nil {
		return err
	}
	for i, from := range k.starts {
		to := int64(noStop)
		if i+1 < len(k.starts) {
			to = k.starts[i+1]
		}
		if err := k.merge(l, m, from, to); err != nil {
			return err
		}
	}
	return nil
}

// run does all of it; what is done already is done again.
func (k *chore) run(fs vfs.FS) (err error) {
	return upkeepIn(fs, MaintainOptions{}, func(l *Log, m *Maintenance) error {
		if err := k.mergeAll(l, m); err != nil {
			return err
		}
		all, err := m.Segments()
		if err == nil && all[0].Base < k.starts[1] {
			err = m.Remove(all[0])
		}
		if err != nil {
			return err
		}
		return m.WriteNote(struct{ Done bool }{true})
	})
}

// upkeepIn opens the log and calls f with a maintenance of it.
func upkeepIn(fs vfs.FS, o MaintainOptions, f func(l *Log, m *Maintenance) error) (err error) {
	l, err := Open("log", Options{FS: fs})
	if err != nil {
		return err
	}
	m, err := l.Maintain(context.Background(), 0, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	return f(tinySegments(l), m)
}

// between returns the events with offsets from first on and before next.
func between(events []told, first, next int64) (out []told) {
	for _, e := range events {
		if e.offset >= first && e.offset < next {
			out = append(out, e)
		}
	}
	return out
}

func (k *chore) staying(events []told) (out []told) {
	for _, e := range events {
		if k.stays(e.offset) {
			out = append(out, e)
		}
	}
	return out
}

// check checks a log in which some of the work was done, perhaps: each segment has all
// its old events or all its new ones, and nothing is damaged.
func (k *chore) check(t *testing.T, m *vfstest.Mem) error {
	t.Helper()
	g := reads(t, m)
	if len(g.errs) > 0 || len(g.damages) > 0 {
		return fmt.Errorf("reading: %v %v", g.errs, g.damages)
	}
	n := 0
	for i, s := range k.all {
		end := s.Next
		got, old := between(g.events, s.Base, end), between(k.events, s.Base, end)
		if !same(got, old) && !same(got, k.staying(old)) && (i > 0 || len(got) > 0) {
			return fmt.Errorf("the segment at %d has %v\nof %v", s.Base, got, old)
		}
		n += len(got)
	}
	if n != len(g.events) {
		return fmt.Errorf("%d events, of which %d belong there: %v", len(g.events), n, g.events)
	}
	v, err := verified(m)
	if err != nil || v.Events != int64(n) || v.Next != k.next {
		return fmt.Errorf("verify: %+v, %d events: %v", v, n, err)
	}
	return k.counted(t, m, g.events)
}

// counted checks what is found without reading the events.
func (k *chore) counted(t *testing.T, m *vfstest.Mem, events []told) error {
	t.Helper()
	n := int64(len(events))
	return upkeepIn(m, MaintainOptions{DryRun: true}, func(l *Log, up *Maintenance) error {
		all, err := up.Segments()
		if err != nil {
			return err
		}
		sum := int64(0)
		for i, s := range all {
			if sum += s.Events; s.Events != int64(len(between(events, s.Base, s.Next))) || i > 0 && s.Base < all[i-1].Next {
				return fmt.Errorf("the segments are said to be %+v", all)
			}
		}
		d, err := l.Describe(context.Background())
		if err != nil || sum != n || d[0].Events != n || d[0].Next != k.next || d[0].Segments != len(all) {
			return fmt.Errorf("%d events, %d in segments %+v; described as %+v: %v", n, sum, all, d, err)
		}
		const most = 9
		r, err := l.Read(0, ReadOptions{Tail: most})
		if err != nil {
			return err
		}
		defer r.Close()
		if g := readAll(t, context.Background(), r, 1); !same(g.events, events[max(0, n-most):]) {
			return fmt.Errorf("the last %d are said to be %v", most, g.events)
		}
		return nil
	})
}

// verified verifies the log; damage is an error.
func verified(m *vfstest.Mem) (Verified, error) {
	l, err := Open("log", Options{FS: m})
	if err != nil {
		return Verified{}, err
	}
	var first error
	v, err := l.Verify(context.Background(), 0, VerifyOptions{Damaged: func(d *event.DamagedError) {
		if first == nil {
			first = d
		}
	}})
	if err == nil {
		err = first
	}
	return v, err
}

// done checks a log in which all was done, and appends to it.
func (k *chore) done(t *testing.T, m *vfstest.Mem) error {
	t.Helper()
	if err := k.check(t, m); err != nil {
		return err
	}
	want := between(k.staying(k.events), k.starts[1], noStop)
	if g := reads(t, m); !same(g.events, want) {
		return fmt.Errorf("there is %v\nwant %v", g.events, want)
	}
	for _, n := range m.Names() {
		if strings.Contains(n, workMark) || strings.Contains(n, tmpMark) {
			return fmt.Errorf("%s is left", n)
		}
	}
	if err := upkeepIn(m, MaintainOptions{}, func(_ *Log, up *Maintenance) error {
		all, err := up.Segments()
		if err != nil {
			return err
		}
		var bases []int64
		events := int64(0)
		for i, s := range all {
			bases = append(bases, s.Base)
			events += s.Events
			if i > 0 && s.Base != all[i-1].Next || s.Apart && !s.Active || s.Active != (i == len(all)-1) {
				return fmt.Errorf("segments %+v", all)
			}
		}
		if !slices.Equal(bases, append(slices.Clone(k.starts[1:]), k.next)) || events != int64(len(want)) {
			return fmt.Errorf("segments %v, want %v; %d events of %d", bases, k.starts[1:], events, len(want))
		}
		return nil
	}); err != nil {
		return err
	}
	return k.goesOn(t, m, want)
}

// goesOn appends an event and reads it.
func (k *chore) goesOn(t *testing.T, m *vfstest.Mem, before []told) error {
	t.Helper()
	l, err := Open("log", Options{FS: m, Warn: func(msg string) { t.Error("warning:", msg) }})
	if err != nil {
		return err
	}
	acks, err := appendAll(t, l, AppendOptions{Workers: 1}, batch(`"one more"`))
	if err != nil || len(acks) != 1 || acks[0].Offset != k.next {
		return fmt.Errorf("append: %+v %v", acks, err)
	}
	g := reads(t, m)
	if n := len(before); len(g.damages) > 0 || len(g.errs) > 0 || len(g.events) != n+1 || !same(g.events[:n], before) ||
		g.events[n].offset != k.next || g.events[n].line != `"one more"` {
		return fmt.Errorf("after an append there is %v", g.events)
	}
	return nil
}

// TestMaintainCrash cuts the power after each operation of a maintenance, in all kinds
// of ways, and once more at the operations of the next one: at all of them with
// LOGTOOLS_LONG.
func TestMaintainCrash(t *testing.T) {
	every := 12
	switch {
	case os.Getenv("LOGTOOLS_LONG") != "":
		every = 1
	case testing.Short():
		every = 101
	}
	start, k := newChore(t, 26)
	m := start.Crash(0, vfstest.KeepAll())
	if err := k.run(m); err != nil {
		t.Fatal(err)
	}
	ops := m.Log()
	points := 0
	for n := 0; n <= len(ops); n++ {
		if n > 0 && !ops[n-1].Changes() && n != len(ops) {
			continue
		}
		points++
		for i, how := range losses() {
			if testing.Short() && i > 0 && (n+i)%3 != 0 {
				continue
			}
			where := func() string { return fmt.Sprintf("after operation %d (%v), %v", n, ops[max(n, 1)-1], how) }
			c := m.Crash(n, how)
			if err := k.check(t, c); err != nil {
				t.Fatal(where(), err)
			}
			if i == 0 || i == n%len(losses()) {
				if err := k.goesOn(t, c.Crash(0, vfstest.KeepAll()), reads(t, c).events); err != nil {
					t.Fatal(where(), err)
				}
			}
			if err := k.run(c); err != nil {
				t.Fatal(where(), err)
			}
			again := c.Log()
			if err := k.done(t, c.Crash(len(again), vfstest.LoseAll())); err != nil {
				t.Fatal(where(), err)
			}
			for j := range again {
				if !again[j].Changes() || (n*7+i*3+j)%every != 0 {
					continue
				}
				how2 := vfstest.LoseAll()
				if j%2 == 0 {
					how2 = vfstest.Random(uint64(n + j))
				}
				cc := c.Crash(j+1, how2)
				err := k.check(t, cc)
				if err == nil {
					err = k.run(cc)
				}
				if err == nil {
					err = k.done(t, cc)
				}
				if err != nil {
					t.Fatalf("%v\nin the next one after operation %d (%v), %v; %s", err, j, again[j], how2, where())
				}
			}
		}
	}
	if points < 50 {
		t.Errorf("only %d operations", points)
	}
}

// TestMaintainFail lets each operation of a maintenance fail once.
func TestMaintainFail(t *testing.T) {
	start, k := newChore(t, 26)
	causes := []error{syscall.ENOSPC, syscall.EIO}
	for i, cause := range causes {
		least := 0
		for n := 1; ; n++ {
			m := start.Crash(0, vfstest.KeepAll())
			m.Fail(n, cause, cause == syscall.ENOSPC)
			err := k.run(m)
			if !m.Fired() {
				if err != nil || n < 300 {
					t.Errorf("%d operations: %v", n, err)
				}
				break
			}
			least++
			if testing.Short() && n%4 != 2*i {
				continue
			}
			ops := m.Log()
			failed := ops[slices.IndexFunc(ops, func(o vfstest.Op) bool { return errors.Is(o.Err, cause) })]
			where := fmt.Sprintf("operation %d (%v)", n, failed)
			// What concerns only an .idx, and what reads nothing, is no error.
			ignored := failed.Kind == vfstest.Remove && strings.HasSuffix(failed.Name, indexExt) || failed.Kind == vfstest.Read && failed.Len == 0
			if !ignored && err == nil || err != nil && !errors.Is(err, cause) {
				t.Fatalf("%s: told as: %v", where, err)
			}
			for _, name := range m.Names() {
				if strings.Contains(name, workMark) {
					t.Fatalf("%s: %s is left", where, name)
				}
			}
			for _, how := range []vfstest.Loss{vfstest.KeepAll(), vfstest.LoseAll(), vfstest.Random(uint64(n))} {
				c := m.Crash(len(ops), how)
				err := k.check(t, c)
				if err == nil {
					err = k.run(c)
				}
				if err == nil {
					err = k.done(t, c)
				}
				if err != nil {
					t.Fatalf("%s, then %v: %v", where, how, err)
				}
			}
		}
	}
}

// cutShort returns the log as it is when the process was killed after it has merged the
// segments 3 to 5, before that was durable; and the name of the merged one.
func (k *chore) cutShort(t *testing.T, start *vfstest.Mem) (*vfstest.Mem, string) {
	t.Helper()
	m := start.Crash(0, vfstest.KeepAll())
	name := "log/00000/" + segmentName(k.starts[2])
	if err := upkeepIn(m, MaintainOptions{}, func(l *Log, up *Maintenance) error {
		return k.merge(l, up, k.starts[2], k.starts[3])
	}); err != nil {
		t.Fatal(err)
	}
	ops := m.Log()
	at := slices.IndexFunc(ops, func(o vfstest.Op) bool { return o.Kind == vfstest.Rename && o.To == name })
	left := m.Crash(at+1, vfstest.KeepAll())
	if len(files(left)) != len(k.all) {
		t.Fatal(left.Names())
	}
	return left, name
}

// harmMerged checks a log with leftovers of a merge, of which the merged one was harmed:
// that is named, no old segment is removed, and nothing wrong is read. unsealed: only the
// SEAL is gone, without which all can be read.
func (k *chore) harmMerged(t *testing.T, m *vfstest.Mem, name, what string, unsealed bool) {
	t.Helper()
	before := files(m)
	g := reads(t, m)
	for _, e := range g.events {
		if i := slices.IndexFunc(k.events, func(o told) bool { return o.offset == e.offset }); i < 0 || k.events[i].line != e.line {
			t.Fatalf("%s: read %v", what, e)
		}
	}
	for _, s := range k.all { // the others are as they were
		old := between(k.events, s.Base, s.Next)
		if got := between(g.events, s.Base, s.Next); s.Base != k.starts[2] && !same(got, old) {
			t.Fatalf("%s: the segment at %d has %v, had %v", what, s.Base, got, old)
		}
	}
	var d *event.DamagedError
	_, verify := verified(m)
	if verify != nil && (!errors.As(verify, &d) || d.File != name) {
		t.Fatalf("%s: verify: %v", what, verify)
	}
	err := upkeepIn(m, MaintainOptions{}, func(l *Log, up *Maintenance) error {
		_, err := up.Segments()
		return err
	})
	// Lines that the next segment has, too, nobody reads, but who would remove that one.
	if err != nil && (!errors.As(err, &d) || d.File != name) || err == nil && verify == nil && !unsealed {
		t.Fatalf("%s: %v", what, err)
	}
	after := files(m)
	for n, b := range before {
		if after[n] != b {
			t.Fatalf("%s: %s was changed or removed", what, n)
		}
	}
	// If what was harmed is only what the others have, too, all can be done.
	if err := k.run(m); err == nil {
		err = k.done(t, m)
		if err != nil || !same(between(g.events, k.starts[2], k.all[3].Base), k.staying(between(k.events, k.starts[2], k.all[3].Base))) {
			t.Fatalf("%s: maintained: %v", what, err)
		}
	} else if !errors.As(err, &d) || d.File != name {
		t.Fatalf("%s: maintained: %v", what, err)
	}
}

// Nothing is removed before it is durable that there is what takes its place, whoever has
// put it there.
func TestMaintainMergedIsDurable(t *testing.T) {
	start, k := newChore(t, 26)
	left, _ := k.cutShort(t, start)
	if err := upkeepIn(left, MaintainOptions{}, func(_ *Log, up *Maintenance) error {
		all, err := up.Segments()
		if err == nil && len(all) != len(k.all)-2 {
			err = fmt.Errorf("%+v", all)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	cuts(left, 0, 30, func(c *vfstest.Mem, where string) {
		if err := k.check(t, c); err != nil {
			t.Fatal(where, err)
		}
	})
}

// TestMaintainFlip flips each bit of a merged segment, and cuts it off at each byte,
// with what was merged still there and without.
func TestMaintainFlip(t *testing.T) {
	start, k := newChore(t, 26)
	left, name := k.cutShort(t, start)
	whole := start.Crash(0, vfstest.KeepAll())
	if err := k.run(whole); err != nil {
		t.Fatal(err)
	}
	b, err := left.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	at, _ := unitsOf(t, left, name)
	sealAt := at[len(at)-2]
	n := len(left.Log())
	for i := range b {
		for bit := range uint(8) {
			if testing.Short() && uint(i)%8 != bit {
				continue
			}
			c := left.Crash(n, vfstest.KeepAll())
			c.Corrupt(name, int64(i), bit)
			k.harmMerged(t, c, name, fmt.Sprintf("byte %d, bit %d", i, bit), false)
		}
		unsealed := int64(i) == sealAt
		if testing.Short() && i%5 != 0 && !unsealed {
			continue
		}
		c := left.Crash(n, vfstest.KeepAll())
		c.WriteFile(name, b[:i])
		k.harmMerged(t, c, name, fmt.Sprintf("cut off at %d", i), unsealed)
	}
	// Alone it is named, and nothing of another segment is lost. If it is cut off between
	// two units it may as well be one of those that it was merged from that is missing.
	named := func(d *event.DamagedError) bool {
		return d.File == name || slices.ContainsFunc(k.all[3:6], func(s Segment) bool { return d.File == "log/00000/"+segmentName(s.Base) })
	}
	b, _ = whole.ReadFile(name)
	at, _ = unitsOf(t, whole, name)
	sealAt = at[len(at)-2]
	want := between(k.staying(k.events), k.starts[1], noStop)
	for i := range b {
		for _, cut := range []bool{false, true} {
			c := whole.Crash(len(whole.Log()), vfstest.KeepAll())
			if cut {
				c.WriteFile(name, b[:i])
			} else {
				c.Corrupt(name, int64(i), uint(i%8))
			}
			what := fmt.Sprintf("byte %d, cut off there: %v", i, cut)
			g := reads(t, c)
			lost := slices.DeleteFunc(slices.Clone(want), func(e told) bool {
				return slices.ContainsFunc(g.events, func(o told) bool { return o.offset == e.offset })
			})
			if len(g.events)+len(lost) != len(want) || len(lost) > 0 && (lost[0].offset < k.starts[2] || lost[len(lost)-1].offset >= k.starts[3]) {
				t.Fatalf("%s: read %v, lost %v", what, g.events, lost)
			}
			if len(lost) > 0 && (len(g.damages) == 0 || !named(g.damages[0])) {
				t.Fatalf("%s: %d events are lost, and %v said", what, len(lost), g.damages)
			}
			var d *event.DamagedError
			if _, err := verified(c); (!errors.As(err, &d) || !named(d)) && !(cut && int64(i) == sealAt) {
				t.Fatalf("%s: verify: %v", what, err)
			}
		}
	}
}
