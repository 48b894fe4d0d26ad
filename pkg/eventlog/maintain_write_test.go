package eventlog

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/internal/vfs/vfstest"
	"logtools/pkg/segment"
)

// written makes a log with one segment from base to end, which write fills, and an
// active one behind it.
func written(t testing.TB, base, end int64, write func(w *SegmentWriter) error) (m *vfstest.Mem, s segment.Seal, err error) {
	t.Helper()
	m = vfstest.New()
	l := mustCreate(t, m, "log", Change{})
	for _, name := range []string{segmentName(0), headName} {
		if err := m.Remove(filepath.Join(l.dir(0), name)); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(l.dir(0), segmentName(base))
	to, err := m.Open(name, vfs.Create)
	if err != nil {
		t.Fatal(err)
	}
	w := &SegmentWriter{w: rewriter{to: to, id: 77}, end: end}
	open := segment.Open{LogID: l.id}
	if err := finish(to, w.fill(&segment.Header{Base: base, First: -5, Last: -5, Epoch: 3}, &open, write)); err != nil {
		return m, s, err
	}
	p := &passer{ctx: context.Background(), dec: segment.NewDecoder()}
	defer p.dec.Close()
	if err := p.check(l, 0, base, end, w.seal.Events, name); err != nil {
		t.Fatal(err)
	}
	_, unit, err := l.openUnit(0, end, 78, segment.Open{HasPrevious: true, PreviousBase: base, PreviousEnd: end}, 3, w.seal.Last)
	if err != nil {
		t.Fatal(err)
	}
	m.WriteFile(filepath.Join(l.dir(0), segmentName(end)), unit)
	return m, w.seal, nil
}

// inUnits writes events, size of them to a unit, or as many as there is room for.
func inUnits(events []told, size int) func(w *SegmentWriter) error {
	return func(w *SegmentWriter) error {
		enc, u := NewUnitEncoder(), &Unit{}
		for i, e := range events {
			u.Add([]byte(e.line+"\n"), e.offset, e.appended)
			if len(u.Offsets) < size && !u.Full() && i < len(events)-1 {
				continue
			}
			if err := enc.Encode(u); err != nil {
				return err
			}
			if err := w.Write(u); err != nil {
				return err
			}
			u.Reset()
		}
		return nil
	}
}

// spread returns n events from the offset first on, with so many offsets, and so many
// microseconds, from one to the next.
func spread(n int, first, offsets, times int64) (events []told) {
	for i := range int64(n) {
		events = append(events, told{offset: first + i*offsets, appended: i * times, line: "1"})
	}
	return events
}

func TestUnits(t *testing.T) {
	const most = math.MaxInt64 - 1 // the greatest Next that a unit may have
	long := spread(3, 5, 1, 1)
	long[1].line = `"` + strings.Repeat("x", 3*unitRaw) + `"`
	timed := spread(4, 0, 1, 1)
	for i := range timed {
		timed[i].line = fmt.Sprintf(`{"time":"%d-01-01T00:00:00Z","value":1}`, 1000+(i*7919)%8999)
	}
	back := spread(5, 10, 1, 0) // as from a clock that was set back, and stands still
	for i := range back {
		back[i].appended = -1 << 40
	}
	for _, tt := range []struct {
		name      string
		base, end int64
		events    []told
		size      int
		units     int64 // BATCHes; 0: as many as there are
	}{
		{"nothing", 3, 3, nil, 1, 0},
		{"only a gap", 3, 9, nil, 1, 1},
		{"one line", 0, 1, spread(1, 0, 1, 0), 9, 1},
		{"dense", 7, 12, spread(5, 7, 1, 0), 9, 1},
		{"dense, several units", 7, 12, spread(5, 7, 1, 3), 2, 3},
		{"a gap before", 7, 15, spread(5, 10, 1, 0), 9, 2},
		{"a gap behind", 7, 100, spread(5, 7, 1, 0), 9, 2},
		{"a gap in the midst", 0, 10, append(spread(3, 0, 1, 0), spread(3, 7, 1, 1)...), 9, 1},
		{"a gap between two units", 0, 10, append(spread(3, 0, 1, 0), spread(3, 7, 1, 1)...), 3, 3},
		{"sparse, and at both ends", 0, 100, spread(9, 5, 9, 0), 4, 5},
		{"runs of times", 0, 8, append(spread(4, 0, 1, 0), spread(4, 4, 1, 1<<40)...), 99, 1},
		{"times before 1970", 10, 15, back, 3, 2},
		{"times of their own", 0, 4, timed, 3, 2},
		{"one long line", 5, 8, long, 99, 2},
		{"the last offsets", most - 10, most, spread(10, most-10, 1, 1), 4, 3},
		{"the last offset, sparse", 0, most, []told{{offset: 0, line: "1"}, {offset: most - 1, line: "2"}}, 4, 1},
		{"the last offset alone", 0, most, []told{{offset: most - 1, line: "2"}}, 4, 2},
		{"as many short lines as go in", 0, 300_000, spread(300_000, 0, 1, 0), 1 << 30, 0},
		{"many short lines, sparse", 0, 600_000, spread(300_000, 1, 2, 0), 1 << 30, 0},
		{"many short lines with times", 0, 300_000, spread(300_000, 0, 1, 1<<42), 1 << 30, 0},
		{"many short lines, sparse, with times", 0, most, spread(300_000, 1<<44, 1<<44, 1<<42), 1 << 30, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, s, err := written(t, tt.base, tt.end, inUnits(tt.events, tt.size))
			if err != nil {
				t.Fatal(err)
			}
			raw := int64(0)
			for _, e := range tt.events {
				raw += int64(len(e.line)) + 1
			}
			if s.Events != int64(len(tt.events)) || s.Raw != raw || tt.units > 0 && s.Units != 1+tt.units {
				t.Errorf("%d units, %d events, %d bytes", s.Units, s.Events, s.Raw)
			}
			if n := len(tt.events); n > 0 && (s.First != tt.events[0].appended || s.Last != tt.events[n-1].appended) {
				t.Errorf("appended from %d to %d", s.First, s.Last)
			}
			if g := reads(t, m); len(g.damages)+len(g.errs) > 0 || !same(g.events, tt.events) {
				t.Errorf("read %d events, %v %v", len(g.events), g.damages, g.errs)
			}
			if v, err := verified(m); err != nil || v.Events != s.Events || v.Next != tt.end {
				t.Errorf("%+v %v", v, err)
			}
			if n := len(tt.events); n > 3 {
				l, _ := Open("log", Options{FS: m})
				r, err := l.Read(0, ReadOptions{From: AtOffset(tt.events[n-3].offset)})
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				if g := readAll(t, context.Background(), r, 1); !same(g.events, tt.events[n-3:]) {
					t.Errorf("the last three: %d events", len(g.events))
				}
			}
		})
	}
}

// TestUnitsRandom writes events at random places.
func TestUnitsRandom(t *testing.T) {
	rounds := 2000
	if testing.Short() {
		rounds = 200
	}
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 6))
		base := r.Int64N(1 << r.IntN(62))
		next, at := base, int64(-1)<<r.IntN(50)
		var events []told
		for range r.IntN(30) {
			next += r.Int64N(1<<r.IntN(50)) / (1 << 46)
			if r.IntN(3) == 0 {
				next += r.Int64N(1 << r.IntN(40))
			}
			if r.IntN(3) == 0 {
				at += r.Int64N(1 << r.IntN(45))
			}
			events = append(events, told{offset: next, appended: at, line: fmt.Sprint(r.Uint64())})
			next++
		}
		m, _, err := written(t, base, next+r.Int64N(3), inUnits(events, 1+r.IntN(9)))
		if err != nil {
			t.Fatal(seed, err)
		}
		if g := reads(t, m); len(g.damages)+len(g.errs) > 0 || !same(g.events, events) {
			t.Fatalf("seed %d: read %v\nwant %v\n%v %v", seed, g.events, events, g.damages, g.errs)
		}
		if _, err := verified(m); err != nil {
			t.Fatal(seed, err)
		}
	}
}

// What does not fit is an error, and never written.
func TestUnitsMisused(t *testing.T) {
	at := func(offsets ...int64) (events []told) {
		for _, o := range offsets {
			events = append(events, told{offset: o, line: "1"})
		}
		return events
	}
	for name, write := range map[string]func(w *SegmentWriter) error{
		"before the segment":  inUnits(at(9, 10), 2),
		"behind the segment":  inUnits(at(19, 20), 2),
		"far behind it":       inUnits(at(math.MaxInt64-1), 2),
		"before the last one": inUnits(at(12, 11), 1),
		"the same again":      inUnits(at(12, 12), 1),
		"no event":            inUnits([]told{{offset: 10, line: "{"}}, 1),
		"not encoded": func(w *SegmentWriter) error {
			var u Unit
			u.Add([]byte("1\n"), 10, 0)
			return w.Write(&u)
		},
		"more than was encoded": func(w *SegmentWriter) error {
			var u Unit
			u.Add([]byte("1\n"), 10, 0)
			if err := NewUnitEncoder().Encode(&u); err != nil {
				t.Error(err)
			}
			u.Add([]byte("2\n"), 11, 0)
			return w.Write(&u)
		},
		"empty": func(w *SegmentWriter) error { return w.Write(new(Unit)) },
	} {
		if _, s, err := written(t, 10, 20, write); err == nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
	// A Unit is used again.
	m, _, err := written(t, 0, 9, func(w *SegmentWriter) error {
		var u Unit
		enc := NewUnitEncoder()
		for i := range int64(3) {
			for k := range i + 1 {
				u.Add(fmt.Appendf(nil, "%d\n", i*10+k), i*3+k, i)
			}
			if err := enc.Encode(&u); err != nil {
				return err
			}
			if err := w.Write(&u); err != nil {
				return err
			}
			if u.Reset(); u.Full() {
				t.Error("full")
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := readPartition(m, "log", 0)
	if want := []readEvent{{0, "0"}, {3, "10"}, {4, "11"}, {6, "20"}, {7, "21"}, {8, "22"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v %v", got, err)
	}
}
