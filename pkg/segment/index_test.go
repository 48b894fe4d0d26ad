package segment

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"logtools/pkg/stream"
)

// tallied makes the units of a file without their bytes: what a Tally is told.
type tallied struct {
	h     Header
	times Bounds
}

func someUnits(n int, seed uint64) []tallied {
	r := rand.New(rand.NewPCG(seed, 7))
	units := []tallied{{Header{Kind: KindOpen, Base: 500, Next: 500, Len: HeaderLen, First: 5, Last: 5}, NoBounds()}}
	next, now := int64(500), int64(10)
	for range n {
		now += r.Int64N(1000)
		u := tallied{Header{Kind: KindBatch, Base: next, First: now, Last: now + r.Int64N(10), Len: HeaderLen, BodyLen: uint32(r.IntN(700_000))}, NoBounds()}
		now = u.h.Last
		if u.h.Count = uint32(r.IntN(50)); r.IntN(4) == 0 {
			u.h.Count = 0
		}
		if u.h.Count > 0 {
			u.h.RawLen = u.h.Count * 9
			from := r.Int64N(100_000) - 50_000
			u.times = Bounds{stream.Instant{Sec: from, Nsec: r.Int32N(1e9)}, stream.Instant{Sec: from + 1 + r.Int64N(1000), Nsec: r.Int32N(1e9)}}
		}
		next += int64(u.h.Count) + r.Int64N(2)
		u.h.Next = next
		units = append(units, u)
	}
	return units
}

// span is the plain twin of what a Span says of units.
func span(units []tallied) Span {
	s := noSpan()
	has := false
	for _, u := range units {
		has = has || u.h.Count > 0
	}
	first := true
	for _, u := range units {
		if has && u.h.Count == 0 {
			continue
		}
		if first {
			s.First, first = u.h.First, false
		}
		s.Last = u.h.Last
		if has {
			s.Times.Add(u.times)
		}
	}
	return s
}

// checkIndex compares an index with the units it is of.
func checkIndex(t *testing.T, x Index, units []tallied, every int64) {
	t.Helper()
	var e Entry
	i, from := 0, 0
	for n, u := range units {
		e.At += u.h.Size()
		e.Base = u.h.Next
		e.Units++
		e.Events += int64(u.h.Count)
		e.Raw += int64(u.h.RawLen)
		if e.At-e.From < every && n < len(units)-1 {
			continue
		}
		e.Span = span(units[from : n+1])
		if i >= len(x) || x[i] != e {
			t.Fatalf("entry %d: %+v, want %+v", i, x[min(i, len(x)-1)], e)
		}
		e.From, from, i = e.At, n+1, i+1
	}
	if i != len(x) {
		t.Fatalf("%d entries, want %d", len(x), i)
	}
}

func TestTally(t *testing.T) {
	for seed := range uint64(30) {
		units := someUnits(int(seed*3), seed)
		var whole Tally
		var idx []byte
		for _, u := range units {
			if e, due := whole.Add(&u.h, u.times); due {
				idx = e.AppendTo(idx, 77)
			}
		}
		size := whole.At()
		seal := whole.Seal()
		checkIndex(t, seal.Index, units, indexEvery)
		if s := span(units); seal.Span != s || seal.Units != int64(len(units)) {
			t.Errorf("seal %+v, want %+v", seal.Span, s)
		}

		// From a part of the .idx it goes on as if it had never stopped.
		for cut := 0; cut <= len(idx); cut += 40 {
			x := ParseIndex(idx[:cut], 77, size)
			if len(x) != cut/EntryLen {
				t.Fatalf("%d entries in %d bytes", len(x), cut)
			}
			again := ResumeTally(x)
			for _, u := range units[int(x.at(len(x)).Units):] {
				again.Add(&u.h, u.times)
			}
			if got := again.Seal(); !reflect.DeepEqual(got, seal) {
				t.Fatalf("resumed after %d entries it differs", len(x))
			}
		}
	}
}

func TestSeek(t *testing.T) {
	units := someUnits(60, 3)
	var tally Tally
	for _, u := range units {
		tally.Add(&u.h, u.times)
	}
	x := tally.Seal().Index
	starts := append(Index{Index{}.at(0)}, x...)
	for offset := x[0].Base - 30; offset < x[len(x)-1].Base+3; offset++ {
		want := starts[0]
		for _, e := range starts[1:] {
			if e.Base <= offset {
				want = e
			}
		}
		if got := x.Before(offset); got != want {
			t.Errorf("offset %d: %+v, want %+v", offset, got, want)
		}
	}
	for n := int64(-1); n < x[len(x)-1].Events+2; n++ {
		want := starts[0]
		for _, e := range starts[1:] {
			if e.Events <= n {
				want = e
			}
		}
		if got := x.BeforeEvents(n); got != want {
			t.Errorf("%d events: %+v, want %+v", n, got, want)
		}
	}
	var points []stream.Instant
	for _, u := range units {
		points = append(points, u.times.Min, u.times.Max)
	}
	for _, p := range append(points, stream.Instant{Sec: math.MaxInt64}, stream.Instant{Sec: math.MinInt64}) {
		got := x.BeforeTime(p)
		// All before it are earlier, and the stretch behind it has one that is not.
		for _, u := range units[:got.Units] {
			if u.h.Count > 0 && !u.times.Max.Before(p) {
				t.Fatalf("%v: %+v skips a unit", p, got)
			}
		}
		if i := len(x) - 1; got.At < x[i].At {
			for i = 0; x[i].From != got.At; i++ {
			}
			if x[i].Times.Max.Before(p) {
				t.Fatalf("%v: %+v is too early", p, got)
			}
		}
	}
}

func TestIdxFlips(t *testing.T) {
	units := someUnits(12, 4)
	var tally Tally
	var idx []byte
	for _, u := range units {
		if e, due := tally.Add(&u.h, u.times); due {
			idx = e.AppendTo(idx, 77)
		}
	}
	want := ParseIndex(idx, 77, tally.At())
	if len(want) < 3 {
		t.Fatal(len(want))
	}
	for bit := range len(idx) * 8 {
		data := bytes.Clone(idx)
		data[bit/8] ^= 1 << (bit % 8)
		if got := ParseIndex(data, 77, tally.At()); len(got) != bit/8/EntryLen || !reflect.DeepEqual(append(Index{}, got...), append(Index{}, want[:len(got)]...)) {
			t.Fatalf("bit %d: %d entries", bit, len(got))
		}
	}
	if got := ParseIndex(idx, 78, tally.At()); len(got) != 0 {
		t.Error("that of another file is taken")
	}
	if got := ParseIndex(idx, 77, want[1].At); len(got) != 2 {
		t.Error("entries beyond the file are taken")
	}
	if got := ParseIndex(idx[EntryLen:], 77, tally.At()); len(got) != 0 {
		t.Error("a stretch may be missing")
	}
}

func TestReadSeal(t *testing.T) {
	f := small(t)
	var h Header
	var s Seal
	last := f.units[len(f.units)-1]
	at, err := ReadSeal(bytes.NewReader(f.data), int64(len(f.data)), &h, &s)
	if err != nil || at != last.at || !reflect.DeepEqual(s, f.seal) || !reflect.DeepEqual(h, last.h) {
		t.Fatalf("%d, %v, %+v, want %+v", at, err, s, f.seal)
	}
	if s.Events != 13 || s.Units != int64(len(f.units)-1) || s.Index[len(s.Index)-1].At != at {
		t.Errorf("%+v", s)
	}
	for bit := int(last.at) * 8; bit < len(f.data)*8; bit++ {
		data := bytes.Clone(f.data)
		data[bit/8] ^= 1 << (bit % 8)
		if at, err := ReadSeal(bytes.NewReader(data), int64(len(data)), &h, &s); at != -1 || err != nil {
			t.Fatalf("bit %d: %d, %v", bit, at, err)
		}
	}
	newer := bytes.Clone(f.data)
	newer[last.at+posFlags] = 1
	sign(newer[last.at:])
	var e *NewerError
	if at, err := ReadSeal(bytes.NewReader(newer), int64(len(newer)), &h, &s); at != -1 || !errors.As(err, &e) {
		t.Errorf("%d, %v", at, err)
	}
}

// An index of any length fits, and is still one.
func TestLargeSeal(t *testing.T) {
	for _, n := range []int{1, 1000, 100_000} {
		units := someUnits(n, 9)
		var tally Tally
		for i := range units {
			if i > 0 {
				units[i].h.BodyLen += indexEvery
			}
			tally.Add(&units[i].h, units[i].times)
		}
		seal := tally.Seal()
		at := tally.At()
		h := Header{Kind: KindSeal, SegmentID: 1, Base: seal.Index[len(seal.Index)-1].Base}
		h.Next = h.Base
		h.Ext = seal.AppendTo([]byte("x"))[1:]
		unit, err := h.AppendTo(nil)
		if err != nil {
			t.Fatal(err)
		}
		var got Header
		var s Seal
		r := offsetReader{unit, at}
		if where, err := ReadSeal(r, at+int64(len(unit)), &got, &s); where != at || err != nil {
			t.Fatalf("%d units: at %d, want %d, %v", n, where, at, err)
		}
		if s.Span != seal.Span || s.Units != seal.Units || s.Events != seal.Events || s.Raw != seal.Raw {
			t.Errorf("%d units: %+v", n, s)
		}
		if n < 10_000 && !reflect.DeepEqual(s.Index, seal.Index) {
			t.Errorf("%d units: the index differs", n)
		}
		// Thinned out it is an index of the same units.
		for i, from := 0, 0; i < len(s.Index); i++ {
			e := s.Index[i]
			if e.Span != span(units[from:e.Units]) || e.Base != units[e.Units-1].h.Next {
				t.Fatalf("%d units: entry %d is %+v", n, i, e)
			}
			from = int(e.Units)
		}
	}
}

// offsetReader is a file with holes up to byte at, and data there.
type offsetReader struct {
	data []byte
	at   int64
}

func (r offsetReader) ReadAt(p []byte, at int64) (int, error) {
	for i := range p {
		p[i] = 0
		if k := at + int64(i) - r.at; k >= 0 {
			p[i] = r.data[k]
		}
	}
	return len(p), nil
}

func FuzzIndex(f *testing.F) {
	var tally Tally
	var idx []byte
	for _, u := range someUnits(9, 1) {
		if e, due := tally.Add(&u.h, u.times); due {
			idx = e.AppendTo(idx, 77)
		}
	}
	f.Add(idx)
	f.Fuzz(func(t *testing.T, data []byte) {
		data = bytes.Clone(data)
		for at := 0; at+EntryLen <= len(data); at += EntryLen {
			sum := Checksum(data[at : at+108])
			for i := range 4 {
				data[at+108+i] = byte(sum >> (8 * i))
			}
		}
		x := ParseIndex(data, 77, 1<<40)
		var again []byte
		last := Entry{}
		for _, e := range x {
			if e.From != last.At || e.At <= last.At || e.At > 1<<40 || e.Base < last.Base || e.Events < last.Events {
				t.Fatalf("%+v behind %+v", e, last)
			}
			again = e.AppendTo(again, 77)
			last = e
		}
		if back := ParseIndex(again, 77, 1<<40); !reflect.DeepEqual(back, x) {
			t.Fatal("written again it differs")
		}
		_, _ = x.Before(last.Base/2), x.BeforeTime(last.Times.Max)
	})
}

func FuzzSeal(f *testing.F) {
	file := small(f)
	u := file.units[len(file.units)-1]
	f.Add(u.h.Ext, u.at, u.h.Base)
	var tally Tally
	for _, u := range someUnits(9, 1) {
		tally.Add(&u.h, u.times)
	}
	seal := tally.Seal()
	f.Add(seal.AppendTo(nil), tally.At(), seal.Index[len(seal.Index)-1].Base)
	f.Fuzz(func(t *testing.T, ext []byte, at, base int64) {
		h := Header{Kind: KindSeal, SegmentID: 1, Base: base, Next: base, Ext: ext}
		var s Seal
		if err := s.Parse(at, &h); err != nil {
			var invalid *InvalidError
			if !errors.As(err, &invalid) {
				t.Fatal(err)
			}
			return
		}
		if len(s.Index) > len(ext)/11+1 {
			t.Fatalf("%d entries in %d bytes", len(s.Index), len(ext))
		}
		var back Seal
		if h.Ext = s.AppendTo(nil); back.Parse(at, &h) != nil {
			t.Fatal("written again it is invalid")
		}
		s.Index, back.Index = append(Index{}, s.Index...), append(Index{}, back.Index...)
		if !reflect.DeepEqual(s, back) {
			t.Fatalf("%+v, written again %+v", s, back)
		}
	})
}
