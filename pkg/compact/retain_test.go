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
	"logtools/pkg/eventlog"
	"logtools/pkg/stream"
)

// By age nothing goes that is younger, and everything at most an eighth later; of a
// log to which nothing is appended any more everything, also what lies in the active
// segment.
func TestRetainAge(t *testing.T) {
	const age, every = 2 * time.Hour, 5 * time.Minute
	for _, compact := range []bool{false, true} {
		f := newFixture(t)
		o := Options{Compact: compact, Keep: 1, Delete: true, RetainAge: age}
		for round := range 100 {
			if round < 60 { // then it is idle
				for i := range 5 {
					key := round*5 + i
					if compact {
						key = key * 31 % 97 // now and then an old one again
					}
					f.add(put(key, round), fmt.Sprint(key))
					f.pass(every / 5)
				}
			} else {
				f.pass(every)
			}
			f = f.killed()
			before, _ := f.read(eventlog.ReadOptions{})
			r := f.run(o)
			after, err := f.read(eventlog.ReadOptions{})
			if err != nil || int64(len(after)) != r.EventsAfter {
				t.Fatal(err, r)
			}
			now := f.clock.Load()
			for _, e := range after {
				if late := time.Duration(now-e.appended)*time.Microsecond - age; late > age/8+every {
					t.Fatalf("round %d: %+v is there %v too long", round, e, late)
				}
			}
			there := map[int64]bool{}
			for _, e := range after {
				there[e.offset] = true
			}
			newest := map[string]int64{}
			for _, e := range before {
				newest[keyOf(e.line)] = e.offset
			}
			for _, e := range before {
				old := now-e.appended > age.Microseconds()
				replaced := compact && keyOf(e.line) != "" && newest[keyOf(e.line)] != e.offset
				if !there[e.offset] && !old && !replaced {
					t.Fatalf("round %d: %+v is gone after %v", round, e, time.Duration(now-e.appended)*time.Microsecond)
				}
			}
			if n := len(f.segments()); n > 24 {
				t.Fatalf("round %d: %d segments", round, n)
			}
		}
		if left := f.segments(); len(left) != 1 || left[0].Events != 0 {
			t.Errorf("compact %v: in the end there is %+v", compact, left)
		}
		before := f.files()
		if r := f.run(o); r.Changed || len(changed(before, f.files())) > 0 {
			t.Errorf("%+v", r)
		}
	}
}

// keyOf is the key of an event that put has made; "" if it has none.
func keyOf(line string) string {
	key, _, ok := strings.Cut(line, `,"value":`)
	if !ok {
		return ""
	}
	return key
}

// By bytes the newest ones stay, at least as many as was said and not many more.
func TestRetainBytes(t *testing.T) {
	const keep = 200_000
	for _, compact := range []bool{false, true} {
		f := newFixtureOf(t, eventlog.DefaultSegmentBytes)
		o := Options{Compact: compact, Keep: 1, Delete: true, RetainBytes: keep}
		n, most := 0, int64(0)
		for round := range 60 {
			add, done := f.appender()
			for range 10 {
				if _, err := add(put(n, n*n*7919), fmt.Sprintf(`{"key":"k%d","value":"%s"}`, n, noise(n, 1000))); err != nil {
					t.Fatal(err)
				}
				n++
			}
			done()
			f.pass(time.Minute)
			f = f.killed()
			newest := f.segments()
			r := f.run(o)
			left := f.segments()
			if r.EventsBefore > r.EventsAfter {
				// What is left had so many bytes before.
				bytes := int64(0)
				for _, s := range newest {
					if s.Base >= left[0].Base {
						bytes += s.Bytes
					}
				}
				if bytes < keep {
					t.Fatalf("round %d: %d bytes are left: %+v", round, bytes, r)
				}
			}
			if most = max(most, r.BytesAfter); r.BytesAfter > keep+2*keep/8 {
				t.Fatalf("round %d: %+v", round, r)
			}
			all, err := f.read(eventlog.ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for i, e := range all {
				if want := int64(2*n - len(all) + i); e.offset != want {
					t.Fatalf("round %d: event %d has offset %d, not %d", round, i, e.offset, want)
				}
			}
		}
		if most < keep {
			t.Errorf("only %d bytes", most)
		}
	}
}

// noise is text that does not compress well.
func noise(seed, n int) string {
	b := make([]byte, n)
	x := uint64(seed)*2654435761 + 88172645463325252
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[x%64]
	}
	return string(b)
}

// Who is behind the new start is told so, with the numbers.
func TestRetainGone(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	for i := range 4 {
		f.add(put(i, 1), put(i, 2))
		f.seal()
		f.pass(time.Hour)
	}
	l := f.open()
	commit := func(name string, next int64) {
		t.Helper()
		g, err := l.OpenGroup(ctx, name, eventlog.GroupOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		if _, err := g.Balance([]int{0}); err != nil {
			t.Fatal(err)
		}
		if err := g.Commit(0, next); err != nil {
			t.Fatal(err)
		}
	}
	commit("slow", 3)
	commit("quick", 6)
	from := eventlog.AtOffset(1)
	r, err := l.Read(0, eventlog.ReadOptions{From: from})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if report := f.run(Options{Delete: true, RetainAge: 150 * time.Minute}); report.EventsAfter != 4 || report.Keys >= 0 {
		t.Fatalf("%+v", report)
	}
	gone := func(err error, numbers ...string) {
		t.Helper()
		var g *event.GoneError
		if !errors.As(err, &g) || g.Hint() == "" {
			t.Fatal(err)
		}
		for _, n := range numbers {
			if !strings.Contains(g.Error(), n) {
				t.Errorf("%v: does not say %s", g, n)
			}
		}
	}
	// One that has begun goes on behind what is gone.
	var read []int64
	for {
		var b stream.Block
		if err := r.Next(ctx, &b); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if b.Err != nil {
			gone(b.Err, "1", "4")
			read = append(read, -1)
		}
		for i := range strings.Count(string(b.Data), "\n") {
			read = append(read, b.Pos.Offset(int64(i)))
		}
	}
	if fmt.Sprint(read) != "[-1 4 5 6 7]" {
		t.Errorf("read %v", read)
	}
	_, err = f.read(eventlog.ReadOptions{From: from})
	gone(err, "1", "4")
	if all, err := f.read(eventlog.ReadOptions{From: eventlog.AtOffset(4)}); err != nil || len(all) != 4 {
		t.Error(all, err)
	}
	for name, next := range map[string]int64{"slow": -1, "quick": 6} {
		g, err := l.OpenGroup(ctx, name, eventlog.GroupOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = g.Balance([]int{0})
		if next < 0 {
			gone(err, "3", "4")
		} else if err != nil {
			t.Error(err)
		}
		if got := g.Committed(0); got != next {
			t.Errorf("%s: committed %d", name, got)
		}
		g.Close()
	}
}

// What is too old goes although something behind it is damaged; of the rest nothing
// does.
func TestRetainDamaged(t *testing.T) {
	f, o, _, _ := several(t)
	o.Delete, o.RetainAge = true, 9*time.Minute
	dry := o
	dry.DryRun = true
	segments := f.segments()
	old := 0
	for ; segments[old].Last < f.clock.Load()-o.RetainAge.Microseconds(); old++ {
	}
	if old == 0 || old > len(segments)-3 {
		t.Fatalf("%d of %d segments are too old", old, len(segments))
	}
	for i, s := range segments[:len(segments)-1] {
		g := f.killed()
		name := fmt.Sprintf("log/00000/%020d.zst", s.Base)
		// In the lines of its first batch, which only who reads them sees.
		g.m.Corrupt(name, 145+150, 3)
		want := g.files()
		for _, o := range []Options{dry, o} {
			r, err := g.try(context.Background(), o)
			var damaged *event.DamagedError
			if i < old {
				if err != nil || r.Done != r.Steps {
					t.Errorf("segment %d, dry %v: %+v, %v", i, o.DryRun, r, err)
				}
				continue
			}
			if !errors.As(err, &damaged) || damaged.File != name || r.Done != old {
				t.Errorf("segment %d, dry %v: %+v, %v", i, o.DryRun, r, err)
			}
			for n, s := range segments {
				name := fmt.Sprintf("log/00000/%020d.zst", s.Base)
				b, err := g.m.ReadFile(name)
				there := err == nil
				if there != (n >= old || o.DryRun) || there && !strings.HasPrefix(string(b), want[name]) {
					t.Errorf("segment %d, dry %v: segment %d: %v", i, o.DryRun, n, err)
				}
			}
		}
	}
}

// What is left alone by --min-lag is left alone by retention, too.
func TestRetainMinLag(t *testing.T) {
	f := newFixture(t)
	for range 10 {
		f.add(put(1, 1))
		f.seal()
	}
	f.pass(time.Hour)
	for range 10 {
		f.add(put(1, 1))
		f.seal()
	}
	o := Options{Delete: true, RetainBytes: 1, MinLag: time.Minute, Memory: 1 << 20}
	if r := f.run(o); r.EventsAfter != 10 {
		t.Errorf("%+v", r)
	}
	f.add(put(1, 1)) // which is the byte that stays
	f.pass(time.Hour)
	if r := f.run(o); r.EventsAfter != 1 {
		t.Errorf("%+v", r)
	}
}

// Segments of tiny units become far smaller than they seem: what they have become is
// merged in the same run.
func TestRunMergesWhatBecameSmall(t *testing.T) {
	f := newFixture(t)
	for range 8 {
		for i := range 100 {
			f.add(put(i, i))
		}
		f.seal()
	}
	total := int64(0)
	for _, s := range f.segments() {
		total += s.Bytes
	}
	if size := int64(eventlog.MinSegmentBytes); total < 2*size {
		t.Fatalf("only %d bytes, a segment may have %d", total, size)
	}
	f.run(Options{Delete: true, RetainAge: 1 << 60, Memory: 1 << 20})
	if s := f.segments(); len(s) != 2 {
		t.Errorf("%d segments", len(s))
	}
}
