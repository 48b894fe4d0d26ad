package segment

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"logtools/pkg/stream"
)

const testID = 0x1122334455667788

// file is a segment made by a test, and what it must say.
type file struct {
	data  []byte
	units []unit
	seal  Seal
}

type unit struct {
	at    int64
	h     Header
	lines string
	batch Batch
}

// build makes a segment of batches of lines; sealed or not.
func build(t testing.TB, sealed bool, batches ...string) *file {
	t.Helper()
	f := &file{}
	var link Link
	var tally Tally
	e := NewEncoder()
	now := int64(1_770_000_000_000_000)
	add := func(h Header, body []byte, lines string, b Batch) {
		h.SegmentID, h.Epoch, h.PrevCRC, h.SyncedTo = testID, 3, link.HeadCRC, int64(len(f.data))
		at := int64(len(f.data))
		var err error
		if f.data, err = h.AppendTo(f.data); err != nil {
			t.Fatal(err)
		}
		f.data = append(f.data, body...)
		f.units = append(f.units, unit{at, h, lines, b})
		if h.Kind != KindSeal {
			tally.Add(&h, b.Times)
		}
		link = h.Link()
	}
	open := Open{LogID: [16]byte{1, 2, 3}, Partition: 7}
	add(Header{Kind: KindOpen, Base: 1000, Next: 1000, First: now, Last: now, Ext: open.AppendTo(nil)}, nil, "", Batch{Times: NoBounds()})
	for i, lines := range batches {
		now += 1000
		h := Header{First: now, Last: now}
		body, err := e.Encode(nil, []byte(lines), &h)
		if err != nil {
			t.Fatal(err)
		}
		h.Base = link.Next
		h.Next = h.Base + int64(h.Count)
		b := Batch{Times: NoBounds()}
		if h.Count > 0 {
			b.Times = Bounds{stream.Instant{Sec: int64(i * 10)}, stream.Instant{Sec: int64(i*10 + 15), Nsec: 999_999_999}}
		}
		h.Ext = b.AppendTo(nil, &h)
		add(h, body, lines, b)
	}
	if sealed {
		f.seal = tally.Seal()
		add(Header{Kind: KindSeal, Base: link.Next, Next: link.Next, First: now, Last: now, Ext: f.seal.AppendTo(nil)}, nil, "", Batch{})
	}
	return f
}

// small is a file of few bytes with everything in it.
func small(t testing.TB) *file {
	return build(t, true, "{\"a\":1}\n", "\"x\"\n2\n3\n", "", strings.Repeat("{\"path\":\"/cart\"}\n", 9))
}

// many returns lines that compress about as logs do.
func many(n int, seed uint64) string {
	r := rand.New(rand.NewPCG(seed, 1))
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"n":%d,"path":"/p%d","user":"u%d"}`+"\n", i, r.IntN(20), r.IntN(100000))
	}
	return b.String()
}

// found is a unit that was read: what its header says, and its lines if they are
// sound.
type found struct {
	at         int64
	kind       Kind
	base, next int64
	lines      string
	err        string
}

func (f *file) want() []found {
	var out []found
	for _, u := range f.units {
		out = append(out, found{u.at, u.h.Kind, u.h.Base, u.h.Next, u.lines, ""})
	}
	return out
}

// scan reads all that is sound, going on behind what is not, as a reader does.
func scan(t testing.TB, r io.ReaderAt, size int64) []found {
	t.Helper()
	d := NewDecoder()
	defer d.Close()
	s := NewScanner(r, size, 0, Link{})
	var out []found
	var lines []byte
	var b Batch
	for {
		var h Header
		at, err := s.Next(&h)
		if err == io.EOF {
			return out
		}
		var newer *NewerError
		if errors.As(err, &newer) {
			return append(out, found{err: err.Error()})
		}
		if err != nil {
			checkKind(t, err)
			if err = s.Resync(); err != nil {
				if err != io.EOF {
					checkKind(t, err)
				}
				return out
			}
			continue
		}
		got := found{at: at, kind: h.Kind, base: h.Base, next: h.Next}
		body, err := s.Body(&h)
		if err == nil {
			lines, err = d.Decode(lines[:0], at, &h, body)
		}
		if err == nil && h.Kind == KindBatch {
			err = b.Parse(at, &h)
		}
		if err != nil {
			checkKind(t, err)
			got.err = err.Error()
		} else {
			got.lines = string(lines)
		}
		out = append(out, got)
	}
}

func checkKind(t testing.TB, err error) {
	t.Helper()
	var invalid *InvalidError
	var newer *NewerError
	if !errors.As(err, &invalid) && !errors.As(err, &newer) {
		t.Fatalf("%v: of no kind that is known", err)
	}
}

// naive reads a sound file in the plainest way.
func naive(t testing.TB, data []byte) []found {
	t.Helper()
	d := NewDecoder()
	defer d.Close()
	var out []found
	for at := 0; at < len(data); {
		var h Header
		var buf []byte
		if err := ReadHeader(bytes.NewReader(data), int64(at), int64(len(data)), &h, &buf); err != nil {
			t.Fatal(err)
		}
		lines, err := d.ReadBody(bytes.NewReader(data), int64(at), &h, nil)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, found{int64(at), h.Kind, h.Base, h.Next, string(lines), ""})
		at += int(h.Size())
	}
	return out
}

func TestScan(t *testing.T) {
	tiny := make([]string, 3000)
	for i := range tiny {
		tiny[i] = fmt.Sprintf("%d\n", i)
	}
	for name, f := range map[string]*file{
		"small":  small(t),
		"open":   build(t, false),
		"tiny":   build(t, true, tiny...),
		"large":  build(t, true, many(20000, 1), "1\n", many(3000, 2), many(200000, 3), "2\n"),
		"random": build(t, false, many(1, 1), many(50000, 2), many(10, 3), many(1000, 4), many(1, 5)),
	} {
		want := f.want()
		for how, got := range map[string][]found{
			"scan":  scan(t, bytes.NewReader(f.data), int64(len(f.data))),
			"naive": naive(t, f.data),
		} {
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: %s differs", name, how)
			}
		}
	}
}

// Whatever bit is flipped, at most one unit is lost, and nothing else is changed.
func TestBitFlips(t *testing.T) {
	f := small(t)
	want := f.want()
	for bit := range len(f.data) * 8 {
		data := bytes.Clone(f.data)
		data[bit/8] ^= 1 << (bit % 8)
		got := scan(t, bytes.NewReader(data), int64(len(data)))
		i, lost := 0, 0
		for _, w := range want {
			switch {
			case i < len(got) && got[i] == w:
				i++
			case i < len(got) && got[i].at == w.at && got[i].err != "":
				i++
				lost++
			default:
				lost++
			}
		}
		if i != len(got) || lost > 1 || lost == 0 {
			t.Fatalf("bit %d: %d units lost, %v", bit, lost, got)
		}
	}
}

// Wherever a file is cut, the whole units before are there, and nothing else.
func TestTruncations(t *testing.T) {
	f := small(t)
	want := f.want()
	for size := range len(f.data) {
		n := 0
		for n < len(f.units) && f.units[n].at+f.units[n].h.Size() <= int64(size) {
			n++
		}
		data := f.data[:size]
		if got := scan(t, bytes.NewReader(data), int64(size)); fmt.Sprint(got) != fmt.Sprint(want[:n]) {
			t.Fatalf("%d bytes: %v", size, got)
		}
		// The end is not called damage if it is but cut off, zeros are.
		s := NewScanner(bytes.NewReader(data), int64(size), f.units[n].at, linkBefore(f, n))
		var h Header
		var invalid *InvalidError
		_, err := s.Next(&h)
		if int64(size) == f.units[n].at {
			if err != io.EOF {
				t.Fatalf("%d bytes: %v", size, err)
			}
		} else if !errors.As(err, &invalid) || !invalid.Incomplete || invalid.At != f.units[n].at {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if at, err := ReadSeal(bytes.NewReader(data), int64(size), &h, new(Seal)); at != -1 || err != nil {
			t.Fatalf("%d bytes: seal at %d, %v", size, at, err)
		}
		// Sync says less than the file has: the reader fails, and does not end.
		s = NewScanner(bytes.NewReader(data), int64(len(f.data)), 0, Link{})
		for err = nil; err == nil; {
			if _, err = s.Next(&h); err == nil {
				_, err = s.Body(&h)
			}
		}
		if err != io.ErrUnexpectedEOF {
			t.Fatalf("%d bytes: %v", size, err)
		}
	}
}

func linkBefore(f *file, n int) Link {
	if n == 0 {
		return Link{}
	}
	return f.units[n-1].h.Link()
}

// A follower sees each unit once, however the file grows, also if what lay behind
// the end was something else before.
func TestExtend(t *testing.T) {
	f := small(t)
	for _, garbage := range []bool{false, true} {
		data := make([]byte, len(f.data))
		if garbage {
			copy(data, bytes.Repeat([]byte{0xAA}, len(data)))
		}
		s := NewScanner(bytes.NewReader(data), 0, 0, Link{})
		n := 0
		for size := range len(data) + 1 {
			copy(data[:size], f.data)
			end := size
			if garbage {
				end = len(data)
			}
			s.Extend(int64(end))
			for {
				var h Header
				at, err := s.Next(&h)
				if err != nil {
					break
				}
				body, err := s.Body(&h)
				if err != nil { // not yet there, and Next has passed it: only with garbage
					s = NewScanner(bytes.NewReader(data), int64(end), at, linkBefore(f, n))
					break
				}
				if at != f.units[n].at || !bytes.Equal(body, f.data[at+h.BodyAt():at+h.Size()]) {
					t.Fatalf("unit %d at %d", n, at)
				}
				n++
			}
		}
		if n != len(f.units) {
			t.Errorf("%d of %d units", n, len(f.units))
		}
	}
}

// What does not follow the unit before it is not taken, though it is sound.
func TestMisfits(t *testing.T) {
	f := small(t)
	for name, c := range map[string]struct {
		change func(*Header)
		reason string
	}{
		"same":    {func(*Header) {}, ""},
		"id":      {func(h *Header) { h.SegmentID++ }, "a unit of another file"},
		"crc":     {func(h *Header) { h.PrevCRC++ }, "a unit that follows another one"},
		"base":    {func(h *Header) { h.Base++; h.Next++ }, "offset 1002 follows 1000"},
		"epoch":   {func(h *Header) { h.Epoch-- }, "a unit of an older epoch"},
		"newer":   {func(h *Header) { h.Epoch++ }, ""},
		"open":    {func(h *Header) { *h = f.units[0].h }, "OPEN in the middle of a file"},
		"synced":  {func(h *Header) { h.SyncedTo = f.units[2].at }, ""},
		"synced+": {func(h *Header) { h.SyncedTo = f.units[2].at + 1 }, "an impossible durable end"},
	} {
		u := f.units[2]
		h := u.h
		c.change(&h)
		data, err := h.AppendTo(bytes.Clone(f.data[:u.at]))
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, f.data[u.at+u.h.BodyAt():]...)
		s := NewScanner(bytes.NewReader(data), int64(len(data)), u.at, linkBefore(f, 2))
		_, err = s.Next(new(Header))
		got := ""
		var invalid *InvalidError
		if errors.As(err, &invalid) {
			got = invalid.Reason
		} else if err != nil {
			t.Fatal(err)
		}
		if got != c.reason {
			t.Errorf("%s: %q, want %q", name, got, c.reason)
		}
	}
	if _, err := NewScanner(bytes.NewReader(f.data), int64(len(f.data)), f.units[1].at, Link{}).Next(new(Header)); err == nil {
		t.Error("a file may begin with a BATCH")
	}
	last := f.units[len(f.units)-1].h.Link()
	if _, err := NewScanner(bytes.NewReader(f.data), int64(len(f.data)), f.units[1].at, last).Next(new(Header)); err == nil {
		t.Error("something may follow a SEAL")
	}
}

// Resync against a twin that tries every byte.
func TestResync(t *testing.T) {
	f := build(t, true, many(100, 1), magic+"\n", strings.Repeat(magic, 5000)+"\n", many(30000, 2), "1\n")
	other := build(t, false, "8\n")
	other.units[0].h.SegmentID++
	alien, err := other.units[0].h.AppendTo(nil)
	if err != nil {
		t.Fatal(err)
	}
	data := append(alien, f.data...)
	data = append(data, alien...)
	headers := map[int64]Header{}
	var scratch []byte
	for at := range int64(len(data)) {
		var h Header
		if ReadHeader(bytes.NewReader(data), at, int64(len(data)), &h, &scratch) == nil {
			headers[at] = h
		}
	}
	twin := func(from int64, minBase int64) (int64, error) {
		for at := from; at < int64(len(data)); at++ {
			if h, ok := headers[at]; ok && h.SegmentID == testID && h.Base >= minBase {
				return at, nil
			}
		}
		return int64(len(data)), io.EOF
	}
	r := rand.New(rand.NewPCG(1, 2))
	places := []int64{0, 1, int64(len(data)), int64(len(data)) - HeaderLen, int64(len(data)) - HeaderLen + 1}
	for _, u := range f.units {
		at := u.at + int64(len(alien))
		places = append(places, at-1, at, at+1)
	}
	for range 5 {
		places = append(places, r.Int64N(int64(len(data))))
	}
	var buf []byte
	for _, from := range places {
		for _, base := range []int64{0, 1101, 1 << 40} {
			var h Header
			at, err := Resync(bytes.NewReader(data), from, int64(len(data)), testID, base, &h, &buf)
			if wantAt, wantErr := twin(from, base); at != wantAt || err != wantErr {
				t.Errorf("from %d, base %d: %d %v, want %d %v", from, base, at, err, wantAt, wantErr)
			}
		}
	}
	var h Header
	if at, err := Resync(bytes.NewReader(data), 0, int64(len(data)), 0, 0, &h, &buf); at != 0 || err != nil {
		t.Errorf("any id: %d, %v", at, err)
	}
	// A sound header of a unit that is cut off at the end of the file is told.
	u := f.units[4]
	cut := f.data[:u.at+u.h.Size()-1]
	var invalid *InvalidError
	at, err := Resync(bytes.NewReader(cut), u.at-5, int64(len(cut)), testID, 0, &h, &buf)
	if at != u.at || !errors.As(err, &invalid) || !invalid.Incomplete || h.SyncedTo != u.h.SyncedTo {
		t.Errorf("cut off: %d, %v", at, err)
	}
}

// A header on the border of what is read at once is found, too.
func TestResyncBorder(t *testing.T) {
	f := small(t)
	for k := -HeaderLen - 8; k < 8; k++ {
		data := append(bytes.Repeat([]byte{magic[0]}, largePiece+k), f.data...)
		var h Header
		var buf []byte
		at, err := Resync(bytes.NewReader(data), 0, int64(len(data)), testID, 1001, &h, &buf)
		if want := int64(largePiece+k) + f.units[2].at; at != want || err != nil {
			t.Fatalf("%d: %d, %v", k, at, err)
		}
		at, err = Resync(bytes.NewReader(data), 0, int64(len(data)), testID, 0, &h, &buf)
		if want := int64(largePiece + k); at != want || err != nil {
			t.Fatalf("%d: %d, %v", k, at, err)
		}
	}
}

// What lay behind the end of a unit is read again once the file is said to have
// grown.
func TestExtendReadsAgain(t *testing.T) {
	f := small(t)
	data := make([]byte, len(f.data))
	first := f.units[1].at
	copy(data, f.data[:first])
	s := NewScanner(bytes.NewReader(data), int64(len(data)), 0, Link{})
	var h Header
	if _, err := s.Next(&h); err != nil {
		t.Fatal(err)
	}
	copy(data, f.data)
	s.Extend(int64(len(data)))
	if at, err := s.Next(&h); at != first || err != nil {
		t.Errorf("%d, %v", at, err)
	}
}
