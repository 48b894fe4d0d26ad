package eventlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/internal/vfs/vfstest"
)

// all says that every event stays.
func all(int64) bool { return true }

// seal begins a new active segment, as another process would.
func seal(t *testing.T, m *vfstest.Mem) {
	t.Helper()
	if err := upkeepIn(m.Process(), MaintainOptions{}, func(_ *Log, up *Maintenance) error { return up.Seal() }); err != nil {
		t.Fatal(err)
	}
}

// One writer's events are in a segment that another process seals, merges into the one
// before and removes, before they are durable; and that process is killed anywhere.
func TestMaintainInFlight(t *testing.T) {
	for n := 1; ; n++ {
		m := newMemLog(t)
		a := newHand(t, m.Process())
		a.put(0, `"a"`, `"a2"`)
		a.ack()
		seal(t, m)
		b, c := newHand(t, m.Process()), newHand(t, m.Process())
		b.put(2, `"b"`, `"b2"`)
		c.put(4, `"c"`)
		from := len(m.Log())
		p := m.Process()
		killed := p.KillAt(n)
		err := upkeepIn(p, MaintainOptions{}, func(l *Log, up *Maintenance) error {
			if err := up.Seal(); err != nil {
				return err
			}
			old, err := up.Segments()
			if err != nil || len(old) != 3 {
				return fmt.Errorf("%+v %v", old, err)
			}
			made, err := up.Replace(old[:2], 0, some(l, old[:2], all))
			if err == nil && (made.Base != 0 || made.Next != 5 || made.Events != 5 || made.Active || made.Apart) {
				err = fmt.Errorf("made %+v", made)
			}
			return err
		})
		over := false
		select {
		case <-killed:
		default:
			over = true
			if err != nil {
				t.Fatal(err)
			}
			if left := files(m); len(left) != 2 {
				t.Fatal("segments that are left: ", len(left))
			}
		}
		for _, h := range []*hand{b, c} {
			h.p.mu.Lock()
			err := h.p.stillThere(h.act) // all that is asked without a sync
			h.p.mu.Unlock()
			if err != nil {
				t.Fatalf("killed at %d: %v", n, err)
			}
			if err := h.commit(); err != nil {
				t.Fatalf("killed at %d (%v): %v", n, m.Log()[len(m.Log())-1], err)
			}
		}
		b.put(5, `"b3"`)
		b.ack()
		want := []string{`"a"`, `"a2"`, `"b"`, `"b2"`, `"c"`, `"b3"`}
		for _, how := range []vfstest.Loss{vfstest.KeepAll(), vfstest.LoseAll(), vfstest.Random(uint64(n))} {
			g := reads(t, m.Crash(len(m.Log()), how))
			if len(g.events) != len(want) || len(g.errs)+len(g.damages) > 0 {
				t.Fatalf("killed at %d, %v: %+v", n, how, g)
			}
			for i, e := range g.events {
				if e.offset != int64(i) || e.line != want[i] {
					t.Fatalf("killed at %d, %v: %+v", n, how, g.events)
				}
			}
		}
		if over {
			if done := len(m.Log()) - from; n < 40 {
				t.Errorf("only %d operations, %d in all", n, done)
			}
			break
		}
	}
}

// Units that are void since another process gave their segment up are never
// acknowledged, whatever becomes of the segment.
func TestMaintainVoid(t *testing.T) {
	for _, what := range []string{"kept", "replaced", "merged", "left over", "removed"} {
		t.Run(what, func(t *testing.T) {
			m := newMemLog(t)
			a := newHand(t, m.Process())
			a.put(0, `"a"`)
			a.ack()
			seal(t, m)
			a.put(1, `"a2"`)
			a.ack()
			b, c := newHand(t, m.Process()), newHand(t, m.Process())
			b.put(2, `"void"`)
			c.put(3, `"void, too"`)
			failNext(m, vfstest.Sync)
			if c.commit() == nil {
				t.Fatal("a failed sync")
			}
			a.put(4, `"a3"`)
			a.ack()
			seal(t, m)
			a.put(5, `"a4"`)
			a.ack()
			seal(t, m)
			err := upkeepIn(m.Process(), MaintainOptions{}, func(l *Log, up *Maintenance) error {
				old, err := up.Segments()
				if err != nil || len(old) != 5 || old[1].Next != 2 || old[1].Events != 1 || old[1].Apart || !old[2].Apart || old[2].Base != 4 {
					return fmt.Errorf("%+v %v", old, err)
				}
				if _, err := up.Replace(old[1:3], 0, some(l, old[1:3], all)); err == nil {
					return errors.New("a segment apart was merged with the one before it")
				}
				switch what {
				case "replaced":
					_, err = up.Replace(old[1:2], 0, some(l, old[1:2], all))
				case "merged":
					_, err = up.Replace(old[:2], 0, some(l, old[:2], all))
				case "left over":
					m.FailIf(1, func(o vfstest.Op) bool { return o.Kind == vfstest.Remove && strings.HasSuffix(o.Name, segmentExt) }, syscall.EIO, false)
					if _, err := up.Replace(old[:2], 0, some(l, old[:2], all)); !errors.Is(err, syscall.EIO) {
						return err
					}
					if v, err := verified(m); err != nil || v.Events != 4 {
						return fmt.Errorf("left over: %+v %v", v, err)
					}
					if old, err = up.Segments(); err == nil && (len(old) != 4 || old[0].Next != 2 || old[1].Base != 4) {
						err = fmt.Errorf("not removed: %+v", old)
					}
					return err
				case "removed":
					if err = up.Remove(old[0]); err == nil {
						err = up.Remove(old[1])
					}
				}
				if err != nil || what == "removed" {
					return err
				}
				// The one apart may be replaced together with those behind it.
				if old, err = up.Segments(); err != nil {
					return err
				}
				n := len(old)
				made, err := up.Replace(old[n-3:n-1], 0, some(l, old[n-3:n-1], all))
				if err == nil && !made.Apart {
					err = fmt.Errorf("no longer apart: %+v", made)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			b.act.file.Sync() // tells of the failed one
			if err := b.commit(); err == nil {
				t.Error("what is void is acknowledged")
			}
			first := 0
			if what == "removed" {
				first = 2
			}
			want := []readEvent{{0, `"a"`}, {1, `"a2"`}, {4, `"a3"`}, {5, `"a4"`}}[first:]
			if got, err := readPartition(m, "log", 0); err != nil || !slices.Equal(got, want) {
				t.Errorf("%v %v", got, err)
			}
			if _, err := verified(m); err != nil {
				t.Error(err)
			}
		})
	}
}

// A segment that was given up without any loss is not merged with what follows, either.
func TestMaintainApart(t *testing.T) {
	m := newMemLog(t)
	a := newHand(t, m.Process())
	a.put(0, `"a"`)
	a.ack()
	if err := upkeepIn(m, MaintainOptions{}, func(l *Log, up *Maintenance) error {
		failNext(m, vfstest.Sync)
		if err := up.Seal(); !errors.Is(err, syscall.EIO) {
			return fmt.Errorf("sealed: %v", err)
		}
		a.put(1, `"b"`)
		a.ack()
		if err := up.Seal(); err != nil {
			return err
		}
		old, err := up.Segments()
		if err != nil || len(old) != 3 || old[0].Next != 1 || old[1].Base != 1 || !old[1].Apart {
			return fmt.Errorf("%+v %v", old, err)
		}
		if _, err := up.Replace(old[:2], 0, some(l, old[:2], all)); err == nil {
			return errors.New("merged")
		}
		for i := range 2 {
			if _, err := up.Replace(old[i:i+1], 0, some(l, old[i:i+1], all)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	wantContent(t, m, map[int64]string{0: `"a"`, 1: `"b"`})
}

// What retention deletes before it is durable is an error.
func TestMaintainDeletedInFlight(t *testing.T) {
	m := newMemLog(t)
	a := newHand(t, m.Process())
	a.put(0, `"a"`)
	seal(t, m)
	b := newHand(t, m.Process())
	b.put(1, `"b"`)
	if err := upkeepIn(m.Process(), MaintainOptions{}, func(_ *Log, up *Maintenance) error {
		all, err := up.Segments()
		if err != nil {
			return err
		}
		if err := up.Remove(all[1]); err == nil {
			return errors.New("the last segment was removed")
		}
		if err := up.Remove(all[0]); err != nil {
			return err
		}
		if err := up.Remove(all[1]); err == nil {
			return errors.New("the only segment was removed")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := a.commit(); err == nil || !strings.Contains(err.Error(), "retention") {
		t.Error(err)
	}
	b.ack()
	if got, err := readPartition(m, "log", 0); err != nil || !slices.Equal(got, []readEvent{{1, `"b"`}}) {
		t.Errorf("%v %v", got, err)
	}
}

// onDisk is all names, and what is in the files.
func onDisk(m *vfstest.Mem) string {
	var b strings.Builder
	for _, n := range m.Names() {
		content, _ := m.ReadFile(n)
		fmt.Fprintf(&b, "%s %q\n", n, content)
	}
	return b.String()
}

// A dry run changes nothing, and says what the real one then does.
func TestMaintainDryRun(t *testing.T) {
	start, k := newChore(t, 26)
	empty := start.Crash(0, vfstest.KeepAll())
	if err := upkeepIn(empty, MaintainOptions{}, func(_ *Log, up *Maintenance) error { return up.Seal() }); err != nil {
		t.Fatal(err)
	}
	killed := start.Crash(0, vfstest.KeepAll())
	if err := upkeepIn(killed, MaintainOptions{}, func(_ *Log, up *Maintenance) error { return up.Seal() }); err != nil {
		t.Fatal(err)
	}
	sealed := slices.IndexFunc(killed.Log(), func(o vfstest.Op) bool { return o.Kind == vfstest.Sync })
	for name, from := range map[string]*vfstest.Mem{
		"full": start, "nothing to seal": empty, "killed behind the SEAL": killed.Crash(sealed+1, vfstest.KeepAll()),
	} {
		run := func(o MaintainOptions) (m *vfstest.Mem, all, sealed []Segment) {
			m = from.Crash(len(from.Log()), vfstest.KeepAll())
			was := onDisk(m)
			l, err := Open("log", Options{FS: m, Now: func() time.Time { return time.Unix(2_000_000_000, 0) }})
			if err != nil {
				t.Fatal(err)
			}
			up, err := tinySegments(l).Maintain(context.Background(), 0, o)
			if err != nil {
				t.Fatal(err)
			}
			defer up.Close()
			if err = up.Seal(); err == nil {
				sealed, err = up.Segments()
			}
			if err == nil {
				err = k.mergeAll(l, up)
			}
			if err == nil {
				if all, err = up.Segments(); err == nil {
					err = up.Remove(all[0])
				}
			}
			if err == nil {
				err = up.WriteNote(struct{ A int }{1})
			}
			if err == nil {
				all, err = up.Segments()
			}
			if err != nil {
				t.Fatalf("%s, %+v: %v", name, o, err)
			}
			if o.DryRun && onDisk(m) != was {
				t.Errorf("%s: a dry run has changed something", name)
			}
			for _, s := range [][]Segment{all, sealed} {
				for i := range s {
					s[i].ID = 0
					if s[i].Active { // the time of a segment without events is that of its OPEN
						s[i].First, s[i].Last = 0, 0
					}
				}
			}
			return m, all, sealed
		}
		_, dry, drySealed := run(MaintainOptions{DryRun: true})
		m, wet, wetSealed := run(MaintainOptions{})
		if !slices.Equal(drySealed, wetSealed) {
			t.Errorf("%s: after Seal a dry run says\n%+v\nand the real one\n%+v", name, drySealed, wetSealed)
		}
		if !slices.Equal(dry, wet) {
			t.Errorf("%s: a dry run says\n%+v\nand the real one\n%+v", name, dry, wet)
		}
		for _, s := range wet {
			if b, err := m.ReadFile("log/00000/" + segmentName(s.Base)); err != nil || int64(len(b)) != s.Bytes {
				t.Errorf("%s: %+v has %d bytes: %v", name, s, len(b), err)
			}
		}
	}
}

// From when a log has rules nothing of it is replaced or removed.
func TestMaintainRules(t *testing.T) {
	start, k := newChore(t, 26)
	for step, name := range []string{"replace", "remove", "seal", "remove the rest"} {
		m := start.Crash(0, vfstest.KeepAll())
		give := func() {
			t.Helper()
			if _, err := OpenOrCreate(context.Background(), "log", Change{Rules: &Rules{Unique: ".x", Key: ".x"}}, Options{FS: m.Process()}); err != nil {
				t.Fatal(err)
			}
		}
		var before string
		if err := upkeepIn(m, MaintainOptions{}, func(l *Log, up *Maintenance) (err error) {
			if err := k.merge(l, up, k.starts[0], k.starts[1]); err != nil {
				return err
			}
			all, err := up.Segments()
			if err != nil {
				return err
			}
			refused := func(err error) error {
				var rules *rulesError
				if !errors.As(err, &rules) {
					return fmt.Errorf("%s: %v", name, err)
				}
				return nil
			}
			if step == 3 { // they come when the merged one has its name already
				err = func() error {
					_, err := up.Replace(all[1:3], 0, func(w *SegmentWriter) error {
						m.FailIf(1, func(o vfstest.Op) bool { return o.Kind == vfstest.Remove && strings.HasSuffix(o.Name, segmentExt) }, syscall.EIO, false)
						return some(l, all[1:3], k.stays)(w)
					})
					return err
				}()
				if !errors.Is(err, syscall.EIO) {
					return err
				}
			}
			give()
			before = onDisk(m)
			switch step {
			case 0:
				_, err = up.Replace(all[1:3], 0, some(l, all[1:3], k.stays))
			case 1:
				err = up.Remove(all[0])
			case 2:
				err = up.Seal()
			case 3:
				_, err = up.Segments()
			}
			return refused(err)
		}); err != nil {
			t.Fatal(err)
		}
		if onDisk(m) != before {
			t.Errorf("%s: something was changed", name)
		}
	}
}

// What cannot be replaced is refused before anything is written.
func TestMaintainRefused(t *testing.T) {
	start, k := newChore(t, 26)
	m := start.Crash(0, vfstest.KeepAll())
	was := onDisk(m)
	if err := upkeepIn(m, MaintainOptions{}, func(l *Log, up *Maintenance) error {
		nothing := func(*SegmentWriter) error { return nil }
		n := len(k.all)
		other := k.all[1]
		other.ID++
		for name, old := range map[string][]Segment{
			"the active one":          k.all[n-1:],
			"the active one, too":     k.all[n-2:],
			"one is left out":         {k.all[0], k.all[2]},
			"in another order":        {k.all[1], k.all[0]},
			"not what it was":         {other},
			"the other was replaced":  {other, k.all[2]},
			"one that is not there":   {{Base: 1, Next: 2}},
			"with one behind the end": {k.all[0], {Base: k.all[0].Next, Next: k.all[0].Next, Active: true}},
		} {
			if _, err := up.Replace(old, 0, nothing); err == nil {
				return fmt.Errorf("%s: replaced", name)
			}
		}
		broken := errors.New("broken")
		if _, err := up.Replace(k.all[:1], 0, func(*SegmentWriter) error { return broken }); !errors.Is(err, broken) {
			return err
		}
		if err := up.Remove(k.all[1]); err == nil {
			return errors.New("one that is not the oldest was removed")
		}
		// What does not read back is not used.
		for i := range int64(40) {
			if _, err := up.Replace(k.all[:2], 0, func(w *SegmentWriter) error {
				err := some(l, k.all[:2], k.stays)(w)
				names := m.Names()
				m.Corrupt(names[slices.IndexFunc(names, func(n string) bool { return strings.Contains(n, workMark) })], i*10, 2)
				return err
			}); err == nil {
				return errors.New("what was written was harmed, and used")
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if onDisk(m) != was {
		t.Errorf("something was changed: %v", m.Names())
	}
	// And what is missing is named before anything is covered up.
	name := "log/00000/" + segmentName(k.all[2].Base)
	m.Remove(name)
	var d *event.DamagedError
	for _, dry := range []bool{false, true} {
		err := upkeepIn(m, MaintainOptions{DryRun: dry}, func(_ *Log, up *Maintenance) error {
			_, err := up.Segments()
			return err
		})
		if !errors.As(err, &d) || d.File != name || d.First != k.all[2].Base || d.Next != k.all[2].Next {
			t.Errorf("a segment is missing: %v", err)
		}
	}
}

// TestMaintainAlone: one at a time.
func TestMaintainAlone(t *testing.T) {
	m, _ := newChore(t, 26)
	if err := upkeepIn(m, MaintainOptions{}, func(l *Log, up *Maintenance) error {
		for _, dry := range []bool{false, true} {
			_, err := l.Maintain(context.Background(), 0, MaintainOptions{LockTimeout: time.Millisecond, DryRun: dry})
			var locked *LockError
			if !errors.As(err, &locked) {
				return fmt.Errorf("dry %v: %v", dry, err)
			}
			if _, err := l.Maintain(context.Background(), 1, MaintainOptions{DryRun: dry}); err == nil {
				return errors.New("a partition that is not there")
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l, _ := Open("log", Options{FS: m})
	up, err := l.Maintain(ctx, 0, MaintainOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	all, err := up.Segments()
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := up.Remove(all[0]); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// Who may only read can still try it out.
	m.FailIf(1, func(o vfstest.Op) bool { return o.Kind == vfstest.OpenLock && strings.HasSuffix(o.Name, maintName) }, syscall.EROFS, false)
	if err := upkeepIn(m, MaintainOptions{DryRun: true}, func(_ *Log, up *Maintenance) error {
		_, err := up.Segments()
		return err
	}); err != nil || !m.Fired() {
		t.Error(err, m.Fired())
	}
}

// TestMaintainNote: what was noted is read again, unless it is not whole.
func TestMaintainNote(t *testing.T) {
	m, _ := newChore(t, 26)
	type note struct{ To, Then int64 }
	if err := upkeepIn(m, MaintainOptions{}, func(_ *Log, up *Maintenance) error {
		var n note
		if ok, err := up.ReadNote(&n); ok || err != nil {
			return fmt.Errorf("nothing was noted: %v %v", ok, err)
		}
		for i := range int64(2) {
			if err := up.WriteNote(note{i + 1, 7}); err != nil {
				return err
			}
			if ok, err := up.ReadNote(&n); !ok || err != nil || n != (note{i + 1, 7}) {
				return fmt.Errorf("%+v %v %v", n, ok, err)
			}
		}
		name := "log/00000/" + noteName
		b, err := m.ReadFile(name)
		if err != nil {
			return err
		}
		for i := range b {
			m.WriteFile(name, b[:i])
			if ok, err := up.ReadNote(&n); ok || err != nil {
				return fmt.Errorf("cut off at %d: %v %v", i, ok, err)
			}
			harmed := slices.Clone(b)
			harmed[i] ^= 1 << (i % 8)
			m.WriteFile(name, harmed)
			if ok, err := up.ReadNote(&n); ok || err != nil {
				return fmt.Errorf("byte %d: %v %v", i, ok, err)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
