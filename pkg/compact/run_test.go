package compact

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"logtools/pkg/eventlog"
	"logtools/pkg/internal/vfs/vfstest"
)

const noteFile = "log/00000/compacted"

// A run with nothing to do writes nothing, and knows the keys all the same.
func TestRunIdle(t *testing.T) {
	f := newFixture(t)
	f.add(put(1, 1), put(2, 1), put(3, 1), "7")
	f.seal()
	f.add(put(1, 2), del(2), put(3, 2), put(3, 3))
	o := compacting()
	o.Keep = 2
	first := f.run(o)
	want := []string{put(1, 1), "7", put(1, 2), del(2), put(3, 2), put(3, 3)}
	equal(t, f.lines(), want...)
	if !first.Changed || first.Keys != 3 || first.EventsBefore != 8 || first.EventsAfter != 6 || first.Tombstones != 0 {
		t.Errorf("%+v", first)
	}
	idle := func(what string, o Options, keys int64) {
		t.Helper()
		before, ops := f.files(), len(f.m.Log())
		r := f.run(o)
		if r.Changed || r.Keys != keys || r.Steps != 0 || r.EventsBefore != r.EventsAfter || r.BytesBefore != r.BytesAfter {
			t.Errorf("%s: %+v", what, r)
		}
		if c := changed(before, f.files()); len(c) > 0 {
			t.Errorf("%s: %v changed", what, c)
		}
		for _, op := range f.m.Log()[ops:] {
			if op.Changes() && op.Kind != vfstest.OpenLock {
				t.Errorf("%s: %v", what, op)
			}
			if op.Kind == vfstest.Read && strings.HasSuffix(op.Name, ".zst") && op.Len > 1<<16 {
				t.Errorf("%s: reads a segment: %v", what, op)
			}
		}
	}
	idle("again", o, 3)
	o.Keep = 3
	idle("more per key", o, 3)
	f.pass(23 * time.Hour)
	idle("later", o, 3)

	// A note that is lost, or no good, only means more work.
	note, err := f.m.ReadFile(noteFile)
	if err != nil {
		t.Fatal(err)
	}
	other := newFixture(t)
	other.pass(-48 * time.Hour) // what it says is covered would have expired
	other.add("1", "2", "3", "4", "5", "6", "7", "8", "9", del(1))
	other.run(compacting())
	foreign, _ := other.m.ReadFile(noteFile)
	o.Keep = 2
	for name, content := range map[string][]byte{
		"cut": note[:len(note)/2], "empty": {}, "flipped": bytes.Replace(note, []byte(`"keep":2`), []byte(`"keep":3`), 1),
		"of another log": foreign,
	} {
		g := f.killed()
		g.m.WriteFile(noteFile, content)
		if r := g.run(o); r.Keys != 3 || r.Changed || r.EventsAfter != 6 {
			t.Errorf("%s: %+v", name, r)
		}
		equal(t, g.lines(), want...)
		if b, _ := g.m.ReadFile(noteFile); !bytes.HasPrefix(b, []byte(`{"log":"`)) || bytes.Equal(b, content) {
			t.Errorf("%s: the note is still %s", name, b)
		}
	}
	g := f.killed()
	g.m.Remove(noteFile)
	g.pass(2 * time.Hour)
	g.run(o) // the tombstone counts as covered now
	g.pass(23 * time.Hour)
	g.run(o)
	equal(t, g.lines(), want...)
	g.pass(2 * time.Hour)
	if r := g.run(o); r.Tombstones != 1 || r.Keys != 2 {
		t.Errorf("%+v", r)
	}

	o.Keep = 1
	f.clock.Store(begun.UnixMicro())
	if r := f.run(o); !r.Changed || r.Keys != 3 {
		t.Errorf("less per key: %+v", r)
	}
	want = []string{"7", put(1, 2), del(2), put(3, 3)}
	equal(t, f.lines(), want...)
	idle("then", o, 3)
	f.pass(24 * time.Hour)
	if r := f.run(o); !r.Changed || r.Tombstones != 1 || r.Keys != 2 {
		t.Errorf("the tombstone's time is over: %+v", r)
	}
	equal(t, f.lines(), "7", put(1, 2), put(3, 3))
	idle("in the end", o, 2)
	f.add(put(4, 1))
	if r := f.run(o); r.Keys != 3 {
		t.Errorf("appended: %+v", r)
	}
}

// Young events are left alone, and do not count, until they come of age.
func TestRunMinLag(t *testing.T) {
	f := newFixture(t)
	o := compacting()
	o.MinLag = time.Hour
	f.add(put(1, 1), put(2, 1))
	f.pass(10 * time.Minute)
	f.add(put(1, 2))
	f.pass(30 * time.Minute)
	f.add(put(1, 3), put(3, 1), put(3, 2))
	if r := f.run(o); r.Changed || r.Keys != 0 {
		t.Errorf("%+v", r)
	}
	f.pass(20 * time.Minute) // exactly as old as that is old enough
	if r := f.run(o); r.EventsAfter != 6 || r.Keys != 2 {
		t.Errorf("%+v", r)
	}
	f.pass(10 * time.Minute)
	if r := f.run(o); r.EventsAfter != 5 || r.Keys != 2 {
		t.Errorf("%+v", r)
	}
	equal(t, f.lines(), put(2, 1), put(1, 2), put(1, 3), put(3, 1), put(3, 2))
	before := f.files()
	f.pass(30*time.Minute - time.Microsecond)
	if r := f.run(o); r.Changed || r.Keys != 2 {
		t.Errorf("%+v", r)
	}
	if c := changed(before, f.files()); len(c) > 0 {
		t.Errorf("%v changed", c)
	}
	f.pass(time.Microsecond)
	if r := f.run(o); !r.Changed || r.Keys != 3 {
		t.Errorf("%+v", r)
	}
	equal(t, f.lines(), put(2, 1), put(1, 3), put(3, 2))

	// With less lag what was left alone is looked at.
	f.add(put(1, 4))
	if r := f.run(o); r.Changed || r.EventsAfter != 4 {
		t.Errorf("%+v", r)
	}
	o.MinLag = 0
	if r := f.run(o); r.EventsAfter != 3 {
		t.Errorf("%+v", r)
	}
}

// Events that are too young are waited for also if segments without events, of which
// only the time of their making is known, come before them.
func TestRunMinLagBehindNothing(t *testing.T) {
	f := newFixture(t)
	o := compacting()
	o.Tombstones = 0
	f.add(put(1, 1), del(1))
	f.run(o)
	f.run(o)
	if s := f.segments(); len(s) != 2 || s[0].Events != 0 {
		t.Fatalf("%+v", s)
	}
	f.add(put(2, 1), put(2, 2))
	f.seal()
	o.MinLag = time.Hour
	f.run(o)
	f.pass(time.Hour)
	if r := f.run(o); r.EventsAfter != 1 {
		t.Errorf("%+v", r)
	}
}

// A larger --min-lag does not make forget which tombstones were covered.
func TestRunMinLagGrows(t *testing.T) {
	f := newFixture(t)
	o := compacting()
	f.add(put(1, 1), put(2, 1))
	f.pass(time.Hour)
	f.add(del(1))
	f.run(o)
	f.pass(time.Minute)
	f.add(put(2, 2))
	f.seal()
	o.MinLag = 30 * time.Minute
	f.run(o)
	f.pass(24 * time.Hour)
	if r := f.run(o); r.Tombstones != 1 {
		t.Errorf("%+v", r)
	}
	equal(t, f.lines(), put(2, 2))
}

// A clock that was wrong does not keep tombstones for ever.
func TestRunClockWasWrong(t *testing.T) {
	f := newFixture(t)
	o := compacting()
	f.add(put(1, 1), del(1))
	f.pass(100 * 365 * 24 * time.Hour)
	f.run(o)
	f.pass(-100 * 365 * 24 * time.Hour)
	f.add(put(2, 1))
	f.run(o)
	f.pass(25 * time.Hour)
	if r := f.run(o); r.Tombstones != 1 {
		t.Errorf("%+v", r)
	}
}

// What a dry run reports is what the run does; it leaves the disk as it was.
func TestRunDry(t *testing.T) {
	for _, o := range []Options{
		compacting(), {Compact: true, Keep: 2}, {Compact: true, Keep: 1, MinLag: 30 * time.Second},
		{Delete: true, RetainAge: time.Minute}, {Delete: true, RetainBytes: 6000},
		{Compact: true, Keep: 1, Delete: true, RetainAge: 2 * time.Minute},
	} {
		f := newFixture(t)
		for i := range 40 {
			f.add(put(i%7, i), put(i%11, i), del(i%13), fmt.Sprintf(`"%x"`, i*i*i*7919*7919))
			f.pass(10 * time.Second)
			if i%5 == 4 {
				f.seal()
			}
			f = f.killed()
		}
		before := f.files()
		o.DryRun = true
		dry := f.run(o)
		if c := changed(before, f.files()); len(c) > 0 {
			t.Errorf("%+v: %v changed", o, c)
		}
		o.DryRun = false
		if r := f.run(o); r != dry || !r.Changed {
			t.Errorf("%+v\nsaid %+v\ndid  %+v", o, dry, r)
		}
		o.DryRun = true
		if dry := f.run(o); o.Tombstones > 0 && dry.Changed {
			t.Errorf("%+v: again: %+v", o, dry)
		}
	}
}

func TestRunRefused(t *testing.T) {
	f := newFixture(t)
	f.add(put(1, 1))
	lock, err := f.m.Process().Lock("log/00000/maint.lock")
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Lock(context.Background()); err != nil {
		t.Fatal(err)
	}
	o := compacting()
	o.LockTimeout = time.Millisecond
	before := f.files()
	for _, o.DryRun = range []bool{false, true} {
		var locked *eventlog.LockError
		if _, err := f.try(context.Background(), o); !errors.As(err, &locked) {
			t.Error(err)
		}
	}
	o.LockTimeout = 0
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(time.Millisecond, cancel)
	if _, err := f.try(ctx, o); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if c := changed(before, f.files()); len(c) > 0 {
		t.Error(c)
	}
	lock.Close()
	if _, err := f.try(context.Background(), o); err != nil {
		t.Error(err)
	}
	if _, err := Run(context.Background(), f.open(), 1, o); err == nil {
		t.Error("there is a partition 1")
	}

	_, err = eventlog.OpenOrCreate(context.Background(), "log", eventlog.Change{Rules: &eventlog.Rules{Unique: ".id", Key: ".id"}}, f.options(f.m))
	if err != nil {
		t.Fatal(err)
	}
	var rules *RulesError
	for _, o.DryRun = range []bool{false, true} {
		if _, err := f.try(context.Background(), o); !errors.As(err, &rules) || rules.Path != "log" || rules.Hint() == "" {
			t.Error(err)
		}
	}
}

// stamps differ for different segments.
func TestStamp(t *testing.T) {
	seen := map[string]int{}
	for i, segments := range [][]eventlog.Segment{
		nil, {{}}, {{Base: 1}}, {{ID: 1}}, {{Base: 1, ID: 1}}, {{}, {}}, {{}, {Base: 1}}, {{Base: 1}, {}}, {{ID: 1 << 40}}, {{Base: 1 << 40}},
	} {
		s := stamp(segments)
		if j, ok := seen[s]; ok {
			t.Errorf("%d and %d are both %s", i, j, s)
		}
		seen[s] = i
	}
	n := maps.Clone(seen)
	if len(n) != 10 || (&note{}).holds(nil) {
		t.Error(n)
	}
}
