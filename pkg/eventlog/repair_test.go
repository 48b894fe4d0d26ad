package eventlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"logtools/pkg/event"
	"logtools/pkg/internal/vfs/vfstest"
	"logtools/pkg/segment"
)

// repairs repairs the first partition of the log in m.
func repairs(m *vfstest.Mem) ([]Repaired, error) {
	l, err := Open("log", Options{FS: m})
	if err != nil {
		return nil, err
	}
	var done []Repaired
	return done, l.Repair(context.Background(), 0, RepairOptions{Repaired: func(r Repaired) { done = append(done, r) }})
}

// reads reads all that there is.
func reads(t *testing.T, m *vfstest.Mem) got {
	t.Helper()
	l, err := Open("log", Options{FS: m})
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Read(0, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return readAll(t, context.Background(), r, 1)
}

// stopOf returns the offset at which a segment ends, as the one behind it says.
func stopOf(l *Log, name string) int64 {
	stop := int64(noStop)
	l.walk(0, basesOf(l), false, func(s *readable) (bool, error) {
		if s.name == name {
			stop = s.stop
		}
		return true, nil
	})
	return stop
}

func basesOf(l *Log) []int64 {
	bases, _ := l.segments(l.dir(0))
	return bases
}

// files returns what is in the segments.
func files(m *vfstest.Mem) map[string]string {
	out := map[string]string{}
	for _, n := range m.Names() {
		if strings.HasSuffix(n, segmentExt) {
			b, _ := m.ReadFile(n)
			out[n] = string(b)
		}
	}
	return out
}

// wholeAgain checks a log that was repaired: all that could be read before is there
// and nothing else, nothing is damaged, another repair finds nothing to do, and
// appending goes on.
func wholeAgain(t *testing.T, m *vfstest.Mem, before []told) error {
	t.Helper()
	g := reads(t, m)
	if len(g.damages) > 0 || len(g.errs) > 0 {
		return fmt.Errorf("reading: %v %v", g.damages, g.errs)
	}
	if !same(g.events, before) {
		return fmt.Errorf("%d events, %d could be read before:\n%v\n%v", len(g.events), len(before), g.events, before)
	}
	l, err := Open("log", Options{FS: m, Warn: func(msg string) { t.Error("warning: ", msg) }})
	if err != nil {
		return err
	}
	var damaged []error
	v, err := l.Verify(context.Background(), 0, VerifyOptions{Damaged: func(d *event.DamagedError) { damaged = append(damaged, d) }})
	if err != nil || len(damaged) > 0 || v.Damaged > 0 || v.Events != int64(len(before)) {
		return fmt.Errorf("verify: %v %v, %d events of %d", err, damaged, v.Events, len(before))
	}
	if err := l.walk(0, basesOf(l), false, func(s *readable) (bool, error) {
		if o := s.open; s.openErr != nil || o.HasPrevious && o.PreviousEnd < s.base && o.Lost == 0 {
			return false, fmt.Errorf("%s: %+v %v", s.name, o, s.openErr)
		}
		return true, nil
	}); err != nil {
		return err
	}
	old := files(m)
	if again, err := repairs(m); err != nil || len(again) > 0 {
		return fmt.Errorf("the second repair: %v %v", again, err)
	}
	for n, b := range files(m) {
		if old[n] != b {
			return fmt.Errorf("the second repair has changed %s", n)
		}
	}
	for _, n := range m.Names() {
		if strings.Contains(n, workMark) {
			return fmt.Errorf("%s is left", n)
		}
	}
	acks, err := appendAll(t, l, AppendOptions{Workers: 1}, batch(`"more"`))
	if err != nil || len(acks) != 1 || len(before) > 0 && acks[0].Offset <= before[len(before)-1].offset || acks[0].Offset < v.Next {
		return fmt.Errorf("append: %v %v, next is %d", acks, err, v.Next)
	}
	g = reads(t, m)
	if n := len(before); len(g.damages) > 0 || len(g.errs) > 0 || len(g.events) != n+1 || !same(g.events[:n], before) || g.events[n].offset != acks[0].Offset {
		return fmt.Errorf("reading after an append: %v %v", g.damages, g.errs)
	}
	return nil
}

// allKept checks that each file that is not what it was is under lost/.
func allKept(m *vfstest.Mem, old map[string]string) error {
	now := files(m)
	lost := map[string]bool{}
	for _, n := range m.Names() {
		if strings.Contains(n, "/lost/") {
			b, _ := m.ReadFile(n)
			lost[string(b)] = true
		}
	}
	for n, b := range old {
		// What is torn is cut off by recovery, and kept for itself.
		if cut, ok := strings.CutPrefix(b, now[n]); ok && now[n] != "" && (cut == "" || lost[cut]) {
			continue
		}
		if !lost[b] {
			return fmt.Errorf("%s was changed, and is not kept", n)
		}
	}
	return nil
}

// harm damages the file of that name somehow, and says how.
func harm(m *vfstest.Mem, rng *rand.Rand, name string) string {
	b, err := m.ReadFile(name)
	if err != nil || len(b) == 0 {
		return name + " is as it was"
	}
	at := rng.IntN(len(b))
	switch rng.IntN(5) {
	case 0, 1:
		bit := uint(rng.IntN(8))
		m.Corrupt(name, int64(at), bit)
		return fmt.Sprintf("%s: bit %d of byte %d flipped", name, bit, at)
	case 2:
		n := min(1+rng.IntN(300), len(b)-at)
		clear(b[at : at+n])
		m.WriteFile(name, b)
		return fmt.Sprintf("%s: %d zeros at %d", name, n, at)
	case 3:
		m.WriteFile(name, b[:at])
		return fmt.Sprintf("%s: cut off at %d of %d", name, at, len(b))
	}
	m.Remove(name)
	return name + ": removed"
}

// holds checks that now has all events of before, and nothing that was not appended.
func (m *model) holds(before, now []told) error {
	made := map[int64]told{}
	for _, e := range slices.Concat(m.voids, m.events) {
		made[e.offset] = e
	}
	there := map[int64]bool{}
	for _, e := range now {
		if w := made[e.offset]; w.line != e.line || w.appended != e.appended {
			return fmt.Errorf("there is %v, appended was %v", e, w)
		}
		there[e.offset] = true
	}
	for _, e := range before {
		if !there[e.offset] {
			return fmt.Errorf("%v is gone", e)
		}
	}
	return nil
}

// sealedEmpty reports whether the last segment is sealed and has no offsets: nobody
// writes such a one there, but removing the one behind it makes it the last.
func sealedEmpty(t *testing.T, m *vfstest.Mem) bool {
	names := slices.Sorted(maps.Keys(files(m)))
	_, h := unitsOf(t, m, names[len(names)-1])
	return len(h) == 2 && h[1].Kind == segment.KindSeal && h[1].Base == h[0].Base
}

// TestRepairAny damages logs of all kinds at random.
func TestRepairAny(t *testing.T) {
	n := uint64(480)
	if testing.Short() {
		n = 120
	}
	changed := 0
	for seed := range n {
		m := newModel(t, seed%60, false)
		rng := rand.New(rand.NewPCG(seed, 9))
		names := m.fs.Names()
		names = slices.DeleteFunc(names, func(n string) bool {
			return !strings.HasSuffix(n, segmentExt) && !strings.HasSuffix(n, indexExt) && !strings.HasSuffix(n, "/head")
		})
		what := fmt.Sprintf("seed %d", seed)
		for range 1 + rng.IntN(3) {
			what += "\n" + harm(m.fs, rng, names[rng.IntN(len(names))])
		}
		old := files(m.fs)
		if len(old) == 0 || sealedEmpty(t, m.fs) {
			continue
		}
		before := reads(t, m.fs)
		done, err := repairs(m.fs)
		var cannot *event.DamagedError
		if errors.As(err, &cannot) && strings.Contains(err.Error(), "nothing was touched") {
			for n, b := range files(m.fs) {
				if old[n] != b {
					t.Fatalf("%s\n%v: but %s was", what, err, n)
				}
			}
			continue
		}
		if err == nil {
			err = allKept(m.fs, old)
		}
		if err == nil {
			// A damaged end may have been taken for a torn one before.
			g := reads(t, m.fs)
			if err = m.holds(before.events, g.events); err == nil {
				err = wholeAgain(t, m.fs, g.events)
			}
		}
		if len(done) > 0 {
			changed++
		}
		if err != nil {
			t.Fatalf("%s\nrepaired %+v\nread before with %v\n%v", what, done, before.damages, err)
		}
	}
	if changed < int(n)/3 {
		t.Errorf("only %d of %d logs were repaired", changed, n)
	}
}

// TestRepairNothing repairs logs with nothing wrong: they stay as they are.
func TestRepairNothing(t *testing.T) {
	voids := 0
	smallModels(t, 60, func(seed uint64, m *model, _ []string) {
		for name := range m.given { // what was given up may be anything
			stop := stopOf(m.log, name)
			at, units := unitsOf(t, m.fs, name)
			for i, h := range units {
				if h.Base >= stop && h.BodyLen > 0 {
					m.fs.Corrupt(name, at[i]+h.Size()-1, 0)
					voids++
				}
			}
		}
		old := files(m.fs)
		done, err := repairs(m.fs)
		if err != nil || len(done) > 0 {
			t.Fatalf("seed %d: %+v %v", seed, done, err)
		}
		for n, b := range files(m.fs) {
			if b != old[n] {
				t.Fatalf("seed %d: %s was changed", seed, n)
			}
		}
	})
	if voids == 0 {
		t.Error("nothing was given up")
	}
}

// brokenLog makes a log of several segments by appending.
func brokenLog(t *testing.T) (m *vfstest.Mem, names []string) {
	return madeOf(t, 15)
}

// madeOf makes a log of batches.
func madeOf(t *testing.T, batches int) (m *vfstest.Mem, names []string) {
	m = vfstest.New()
	k := &ledger{acks: map[int]ackAt{}}
	if err := k.store(tinySegments(mustCreate(t, m, "log", Change{})), m, batches); err != nil {
		t.Fatal(err)
	}
	for n := range files(m) {
		names = append(names, n)
	}
	slices.Sort(names)
	return m, names
}

// unitsOf returns where the units of a segment begin, and where the file ends.
func unitsOf(t *testing.T, m *vfstest.Mem, name string) (at []int64, h []segment.Header) {
	b, err := m.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	sc := segment.NewScanner(bytes.NewReader(b), int64(len(b)), 0, segment.Link{})
	var u segment.Header
	for {
		a, err := sc.Next(&u)
		at = append(at, a)
		if err != nil {
			return at, h
		}
		h = append(h, u)
	}
}

func TestRepairCases(t *testing.T) {
	const (
		first  = 0
		middle = 1
		last   = -1
	)
	for _, c := range []struct {
		name    string
		segment int // of the log
		harm    func(m *vfstest.Mem, name string, at []int64)
		repairs int   // segments that are put right
		lost    int64 // offsets, -1: all of the segment
		reason  string
	}{
		{"nothing", middle, func(*vfstest.Mem, string, []int64) {}, 0, 0, ""},
		{"OPEN", middle, func(m *vfstest.Mem, n string, at []int64) { m.Corrupt(n, 30, 1) }, 1, 0, "checksum of the header is wrong"},
		{"OPEN of the first", first, func(m *vfstest.Mem, n string, at []int64) { m.Corrupt(n, 30, 1) }, 1, 0, "checksum of the header is wrong"},
		{"header", middle, func(m *vfstest.Mem, n string, at []int64) { m.Corrupt(n, at[1]+40, 0) }, 1, 1, "checksum of the header is wrong"},
		{"body", middle, func(m *vfstest.Mem, n string, at []int64) { m.Corrupt(n, at[2]-1, 3) }, 1, 1, "checksum of the body is wrong"},
		{"SEAL", middle, func(m *vfstest.Mem, n string, at []int64) { m.Corrupt(n, at[len(at)-2]+100, 3) }, 1, 0, "checksum of the header is wrong"},
		{"SEAL cut off", middle, func(m *vfstest.Mem, n string, at []int64) {
			b, _ := m.ReadFile(n)
			m.WriteFile(n, b[:at[len(at)-2]])
		}, 1, 0, "it has no SEAL"},
		{"behind the SEAL", middle, func(m *vfstest.Mem, n string, at []int64) {
			b, _ := m.ReadFile(n)
			m.WriteFile(n, append(b, "garbage"...))
		}, 1, 0, "no unit begins here"},
		{"truncated", middle, func(m *vfstest.Mem, n string, at []int64) {
			b, _ := m.ReadFile(n)
			m.WriteFile(n, b[:at[1]])
		}, 1, -1, "the file ends too early"},
		{"empty", middle, func(m *vfstest.Mem, n string, at []int64) { m.WriteFile(n, nil) }, 1, -1, "the file is empty"},
		{"zeros", middle, func(m *vfstest.Mem, n string, at []int64) {
			b, _ := m.ReadFile(n)
			clear(b[at[1]+5 : at[2]+5])
			m.WriteFile(n, b)
		}, 1, 2, "no unit begins here"},
		{"removed", middle, func(m *vfstest.Mem, n string, at []int64) { m.Remove(n) }, 1, -1, "the segment is missing"},
		{"removed, and the OPEN behind it", middle, func(m *vfstest.Mem, n string, at []int64) {
			names := slices.Sorted(maps.Keys(files(m)))
			m.Corrupt(names[slices.Index(names, n)+1], 30, 1)
			m.Remove(n)
		}, 1, -1, "checksum of the header is wrong"},
		{"first removed", first, func(m *vfstest.Mem, n string, at []int64) { m.Remove(n) }, 0, 0, ""},
		{"active removed", last, func(m *vfstest.Mem, n string, at []int64) { m.Remove(n) }, 1, -1, "the segment is missing"},
		{"active, OPEN", last, func(m *vfstest.Mem, n string, at []int64) { m.Corrupt(n, 30, 1) }, 1, 0, "checksum of the header is wrong"},
		{"active, body", last, func(m *vfstest.Mem, n string, at []int64) { m.Corrupt(n, at[2]-1, 3) }, 1, 1, "checksum of the body is wrong"},
		{"active, cut off", last, func(m *vfstest.Mem, n string, at []int64) {
			b, _ := m.ReadFile(n)
			m.WriteFile(n, b[:at[1]])
		}, 1, -1, "the file ends too early"},
		{"active, head removed", last, func(m *vfstest.Mem, n string, at []int64) { m.Remove("log/00000/head") }, 0, 0, ""},
		{"active, head damaged", last, func(m *vfstest.Mem, n string, at []int64) { m.Corrupt("log/00000/head", 33, 2) }, 0, 0, ""},
		{"another log's", middle, func(m *vfstest.Mem, n string, at []int64) {
			other, _ := madeOf(t, 15)
			b, err := other.ReadFile(n)
			if err != nil {
				t.Fatal(err)
			}
			m.WriteFile(n, b)
		}, 1, -1, "it belongs to another log"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, names := brokenLog(t)
			name := names[(c.segment+len(names))%len(names)]
			all := reads(t, m).events
			at, units := unitsOf(t, m, name)
			lost := map[int64]bool{}
			switch {
			case c.lost < 0:
				for o := units[0].Base; o < units[len(units)-1].Next; o++ {
					lost[o] = true
				}
			case c.lost > 0:
				for o := units[1].Base; o < units[c.lost].Next; o++ {
					lost[o] = true
				}
			}
			if c.name == "first removed" {
				all = slices.DeleteFunc(all, func(e told) bool { return e.offset < units[len(units)-1].Next })
			}
			c.harm(m, name, at)
			before := reads(t, m)
			done, err := repairs(m)
			if err != nil || len(done) != c.repairs {
				t.Fatalf("%+v %v", done, err)
			}
			for _, r := range done {
				if r.Reason != c.reason {
					t.Errorf("reason %q", r.Reason)
				}
				for _, o := range r.Lost {
					for i := o.First; i < o.Next; i++ {
						if !lost[i] {
							t.Errorf("offset %d is said to be lost", i)
						}
						delete(lost, i)
						all = slices.DeleteFunc(all, func(e told) bool { return e.offset == i })
					}
				}
				if _, err := m.ReadFile(r.Kept); (err == nil) == (c.reason == "the segment is missing") {
					t.Errorf("kept %q: %v", r.Kept, err)
				}
			}
			if len(lost) > 0 {
				t.Errorf("nothing says that %v are lost", lost)
			}
			if !same(before.events, all) {
				t.Errorf("read before:\n%v\nwant\n%v", before.events, all)
			}
			if err := wholeAgain(t, m, all); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRepairAllMissing: only the head knows at which offset to go on.
func TestRepairAllMissing(t *testing.T) {
	for _, head := range []bool{true, false} {
		m, names := brokenLog(t)
		next := reads(t, m).events
		want := next[len(next)-1].offset + 1
		for _, n := range names {
			m.Remove(n)
		}
		if !head {
			m.Remove("log/00000/head")
			if _, err := repairs(m); err == nil || !strings.Contains(err.Error(), "no segment and no head") {
				t.Errorf("without a head: %v", err)
			}
			continue
		}
		done, err := repairs(m)
		if err != nil || len(done) != 1 || !slices.Equal(done[0].Lost, []Offsets{{0, want}}) {
			t.Fatalf("%+v %v", done, err)
		}
		if err := wholeAgain(t, m, nil); err != nil {
			t.Error(err)
		}
	}
}

// TestRepairForeign: where most segments are another log's, nothing is touched.
func TestRepairForeign(t *testing.T) {
	m, _ := brokenLog(t)
	other := vfstest.New()
	mustCreate(t, other, "log", Change{})
	b, _ := other.ReadFile("log/log.json")
	m.WriteFile("log/log.json", b)
	old := m.Names()
	_, err := repairs(m)
	var damaged *event.DamagedError
	if !errors.As(err, &damaged) || !slices.Equal(old, m.Names()) {
		t.Errorf("%v\n%v", err, m.Names())
	}
}

// TestRepairNewer: what a later version has written is not touched.
func TestRepairNewer(t *testing.T) {
	m, names := brokenLog(t)
	at, _ := unitsOf(t, m, names[1])
	b, _ := m.ReadFile(names[1])
	unit := b[at[1]:at[2]]
	unit[13] |= 1 // a flag that must be understood
	n := int(uint32(unit[4])|uint32(unit[5])<<8) + 8
	sum := segment.Checksum(slices.Concat(unit[:92], unit[96:n]))
	copy(unit[92:], []byte{byte(sum), byte(sum >> 8), byte(sum >> 16), byte(sum >> 24)})
	m.WriteFile(names[1], b)
	var newer *segment.NewerError
	if _, err := repairs(m); !errors.As(err, &newer) {
		t.Error(err)
	}
	if now, _ := m.ReadFile(names[1]); !bytes.Equal(now, b) {
		t.Error("it was touched")
	}
}

// TestRepairEmpty: a segment without events that was put right is never taken for
// the place of the next one.
func TestRepairEmpty(t *testing.T) {
	m := vfstest.New()
	l := mustCreate(t, m, "log", Change{})
	first := "log/00000/" + segmentName(0)
	m.Corrupt(first, 30, 1)
	if done, err := repairs(m); err != nil || len(done) != 1 {
		t.Fatalf("%+v %v", done, err)
	}
	was, _ := m.ReadFile(first)
	m.Remove("log/00000/" + segmentName(1))
	m.Remove("log/00000/head")
	if _, err := appendAll(t, l, AppendOptions{}, batch("1")); err != nil {
		t.Fatal(err)
	}
	if now, _ := m.ReadFile(first); !bytes.Equal(now, was) {
		t.Error("it was overwritten")
	}
	if g := reads(t, m); len(g.events) != 1 || g.events[0].offset != 1 {
		t.Errorf("%+v", g)
	}
}

// TestRepairIndex: a damaged .idx goes, a sound one stays.
func TestRepairIndex(t *testing.T) {
	m, names := brokenLog(t)
	name := strings.TrimSuffix(names[len(names)-1], segmentExt) + indexExt
	_, units := unitsOf(t, m, names[len(names)-1])
	var tally segment.Tally
	tally.Add(&units[0], segment.NoBounds())
	sound := segment.Entry(tally.Seal().Index[0])
	b := sound.AppendTo(nil, units[0].SegmentID)
	for _, bad := range []bool{false, true} {
		if bad {
			b[70] ^= 1
		}
		m.WriteFile(name, b)
		if done, err := repairs(m); err != nil || len(done) > 0 {
			t.Fatal(done, err)
		}
		if _, err := m.ReadFile(name); (err != nil) != bad {
			t.Errorf("damaged: %v; after the repair: %v", bad, err)
		}
	}
}
