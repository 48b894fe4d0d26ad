package eventlog

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"logtools/pkg/event"
	"logtools/pkg/segment"
)

// smallModels makes logs with all kinds of segments whose head is there, with their
// files of segments.
func smallModels(t *testing.T, seeds uint64, f func(seed uint64, m *model, names []string)) {
	for seed := range seeds {
		m := newModel(t, seed, false)
		m.fs.WriteFile(filepath.Join(m.log.dir(0), headName), m.head.encode())
		var names []string
		for _, b := range m.bases {
			names = append(names, filepath.Join(m.log.dir(0), segmentName(b)))
		}
		f(seed, m, names)
		if t.Failed() {
			return
		}
	}
}

// check compares what was read of a damaged log with what was in it: nothing else
// is given out, what is missing is named, and that is most units at most.
func (m *model) check(g got, most int) error {
	if len(g.errs) > 0 {
		return fmt.Errorf("errors %v", g.errs)
	}
	want := map[int64]told{}
	for _, e := range m.events {
		want[e.offset] = e
	}
	void := map[int64]told{}
	for _, e := range m.voids {
		void[e.offset] = e
	}
	last := int64(-1)
	for _, e := range g.events {
		if e.offset <= last {
			return fmt.Errorf("offset %d behind %d", e.offset, last)
		}
		last = e.offset
		w, ok := want[e.offset]
		if v, isVoid := void[e.offset]; !ok && isVoid {
			w, ok = v, true // the one who knows that it is void is damaged
		}
		if !ok || w.line != e.line || w.appended != e.appended {
			return fmt.Errorf("got %v, not %v", e, w)
		}
		delete(want, e.offset)
	}
	lost := map[int64]bool{}
	for offset := range want {
		named := false
		for _, d := range g.damages {
			named = named || d.First <= offset && (d.Next < 0 || offset < d.Next)
		}
		if !named {
			return fmt.Errorf("offset %d is lost and not named: %v", offset, g.damages)
		}
		for i := range m.units {
			if u := &m.units[i]; u.Base <= offset && offset < u.Next {
				lost[u.Base] = true
			}
		}
	}
	if len(lost) > most {
		return fmt.Errorf("%d units are lost, %d at most should be: %v", len(lost), most, g.damages)
	}
	for i, d := range g.damages {
		if d.Next < d.First || d.To >= 0 && d.To <= d.From || i > 0 && d.File == g.damages[i-1].File && d.From <= g.damages[i-1].To {
			return fmt.Errorf("odd damage: %v", g.damages)
		}
	}
	return nil
}

func TestReadFlip(t *testing.T) {
	smallModels(t, 2, func(seed uint64, m *model, names []string) {
		r := rand.New(rand.NewPCG(seed, 4))
		for _, name := range names {
			data, err := m.fs.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for i := range data {
				bit := uint(r.IntN(8))
				m.fs.Corrupt(name, int64(i), bit)
				g := m.read(t, ReadOptions{}, 1)
				if err := m.check(g, 1); err != nil {
					t.Errorf("seed %d: bit %d of byte %d of %s: %v", seed, bit, i, name, err)
					return
				}
				from := m.position(r)
				if part := m.read(t, ReadOptions{From: from}, 1); len(part.errs) > 0 || len(part.events) > len(g.events) {
					t.Errorf("seed %d: bit %d of byte %d of %s, from %s: %v", seed, bit, i, name, from, part)
				}
				if i%4 != 0 { // the rest is a matter of time
					m.fs.Corrupt(name, int64(i), bit)
					continue
				}
				var named int
				v, err := m.log.Verify(context.Background(), 0, VerifyOptions{Damaged: func(*event.DamagedError) { named++ }})
				if err != nil || named == 0 && v.Torn == 0 && !strings.HasSuffix(name, segmentName(m.bases[len(m.bases)-1])) && !m.given[name] {
					t.Errorf("seed %d: bit %d of byte %d of %s: verify: %+v, %v", seed, bit, i, name, v, err)
				}
				m.fs.Corrupt(name, int64(i), bit)
			}
		}
	})
}

func TestReadTruncated(t *testing.T) {
	smallModels(t, 3, func(seed uint64, m *model, names []string) {
		for k, name := range names {
			data, err := m.fs.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for n := range data {
				m.fs.WriteFile(name, data[:n])
				g := m.read(t, ReadOptions{}, 1)
				if err := m.check(g, len(m.units)); err != nil {
					t.Errorf("seed %d: %s with %d of %d bytes: %v", seed, name, n, len(data), err)
					return
				}
				if k == len(names)-1 && m.next > m.bases[k] && len(g.damages) == 0 {
					t.Errorf("seed %d: %s with %d of %d bytes: no damage", seed, name, n, len(data))
				}
			}
			m.fs.WriteFile(name, data)
		}
	})
}

// TestReadUnknown flips bits of the last segment when there is no head: what sound
// units call durable is damaged, and the rest is torn.
func TestReadUnknown(t *testing.T) {
	torn, damaged := 0, 0
	smallModels(t, 8, func(seed uint64, m *model, names []string) {
		m.fs.Remove(filepath.Join(m.log.dir(0), headName))
		last := len(names) - 1
		for k := range m.units {
			u, at := &m.units[k], m.ats[k]
			if u.Base < m.bases[last] || u.Count == 0 {
				continue
			}
			durable := int64(0)
			for i := range m.units {
				if m.units[i].Base >= m.bases[last] { // the header of k is sound, too
					durable = max(durable, m.units[i].SyncedTo)
				}
			}
			m.fs.Corrupt(names[last], at+u.BodyAt()+3, 3)
			g := m.read(t, ReadOptions{}, 1)
			if at >= durable {
				torn++
				if len(g.damages) > 0 || len(g.events) > 0 && g.events[len(g.events)-1].offset >= u.Base {
					t.Errorf("seed %d: unit %s at %d, durable %d: %v, %v", seed, u, at, durable, g.damages, g.events)
				}
			} else {
				damaged++
				if err := m.check(g, 1); err != nil || len(g.damages) == 0 {
					t.Errorf("seed %d: unit %s at %d, durable %d: %v, %v", seed, u, at, durable, err, g.damages)
				}
			}
			m.fs.Corrupt(names[last], at+u.BodyAt()+3, 3)
		}
	})
	if torn == 0 || damaged == 0 {
		t.Error(torn, damaged)
	}
}

// TestReadMissing takes each segment away.
func TestReadMissing(t *testing.T) {
	smallModels(t, 20, func(seed uint64, m *model, names []string) {
		for i, name := range names[1:] {
			data, err := m.fs.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			m.fs.Remove(name)
			g := m.read(t, ReadOptions{}, 1)
			if err := m.check(g, len(m.units)); err != nil {
				t.Errorf("seed %d: without %s: %v", seed, name, err)
			}
			var lost int
			for _, e := range m.events {
				if e.offset >= m.bases[i+1] && (i+2 == len(m.bases) || e.offset < m.bases[i+2]) {
					lost++
				}
			}
			if lost > 0 && len(g.damages) == 0 {
				t.Errorf("seed %d: without %s: no damage", seed, name)
			}
			m.fs.WriteFile(name, data)
		}
	})
}

// TestReadBad reads a body that has the right checksum and is no frame: only its
// unit is left out.
func TestReadBad(t *testing.T) {
	m := newModel(t, 3, false)
	b := &builder{t: t, m: m, r: rand.New(rand.NewPCG(1, 1)), enc: segment.NewEncoder(), clock: 1}
	base := m.next
	b.open(base, segment.Open{})
	b.batch(3, false)
	body := []byte("this is no frame")
	h := segment.Header{Kind: segment.KindBatch, Base: b.link.Next, Next: b.link.Next + 2, Count: 2, RawLen: 20, BodyLen: uint32(len(body)), BodyCRC: segment.Checksum(body), First: b.clock, Last: b.clock}
	x := segment.Batch{Times: segment.Bounds{Min: instant(1), Max: instant(2)}}
	h.Ext = x.AppendTo(nil, &h)
	b.unit(&h, body, x.Times)
	b.batch(3, false)
	b.write()
	m.next = b.link.Next
	g := m.read(t, ReadOptions{From: AtOffset(base)}, 1)
	if len(g.damages) != 1 || g.damages[0].First != h.Base || g.damages[0].Next != h.Next {
		t.Errorf("damages: %v", g.damages)
	}
	if want := m.want(ReadOptions{From: AtOffset(base)}); !same(g.events, want) {
		t.Errorf("got %v, not %v", g.events, want)
	}
}
