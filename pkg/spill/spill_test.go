package spill

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// tempDir returns a Dir that must leave nothing behind.
func tempDir(tb testing.TB) *Dir {
	tb.Helper()
	path := tb.TempDir()
	d := New(path)
	tb.Cleanup(func() {
		if err := d.Close(); err != nil {
			tb.Error(err)
		}
		if left, err := os.ReadDir(path); err != nil || len(left) > 0 {
			tb.Errorf("left behind: %v, error %v", left, err)
		}
	})
	return d
}

func readAll(r Run) (recs [][]byte, err error) {
	reader := r.Reader()
	for {
		rec, err := reader.Next()
		if err == io.EOF {
			if _, err := reader.Next(); err != io.EOF {
				return nil, fmt.Errorf("after the end: %v", err)
			}
			return recs, nil
		}
		if err != nil {
			return recs, err
		}
		recs = append(recs, bytes.Clone(rec))
	}
}

// TestRuns: records of all lengths around those of a block come back, in runs of
// several files, read side by side.
func TestRuns(t *testing.T) {
	d := tempDir(t)
	r := rand.New(rand.NewPCG(1, 1))
	lengths := []int{0, 1, 127, 128, 1000, blockSize - headSize - 12, blockSize - headSize - 3, blockSize - headSize - 2, blockSize - headSize - 1,
		blockSize - headSize, blockSize, blockSize + 1, 3*blockSize + 77}
	var runs []Run
	var want [][][]byte
	for range 3 {
		f, err := d.Create()
		if err != nil {
			t.Fatal(err)
		}
		for n := range 9 {
			var recs [][]byte
			for range n * n {
				rec := make([]byte, lengths[r.IntN(len(lengths))])
				if r.IntN(3) == 0 {
					rec = make([]byte, r.IntN(300))
				}
				for i := range rec {
					rec[i] = byte(r.Uint32())
				}
				if err := f.Add(rec); err != nil {
					t.Fatal(err)
				}
				recs = append(recs, bytes.Clone(rec))
				clear(rec)
			}
			run, err := f.EndRun()
			if err != nil {
				t.Fatal(err)
			}
			if n%5 == 0 {
				f.Release()
			}
			runs, want = append(runs, run), append(want, recs)
		}
	}
	for range 2 { // again and again
		for i, run := range runs {
			got, err := readAll(run)
			if err != nil || !slices.EqualFunc(got, want[i], bytes.Equal) {
				t.Fatalf("run %d: %d records, want %d; error %v", i, len(got), len(want[i]), err)
			}
		}
	}
	if d.Written() == 0 {
		t.Error("nothing written")
	}
}

func TestTooLong(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a gigabyte of addresses")
	}
	f, err := tempDir(t).Create()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Add(make([]byte, maxRecord+1)); err == nil {
		t.Error("no error")
	}
	if err := f.Add([]byte("a")); err != nil {
		t.Error(err)
	}
}

// byText orders records by their bytes; the rank is one of the first four.
func byText() Order {
	return Order{
		Rank: func(rec []byte) uint64 {
			var b [4]byte
			copy(b[:], key(rec))
			return uint64(binary.BigEndian.Uint32(b[:]))
		},
		Compare: func(a, b []byte) int { return bytes.Compare(key(a), key(b)) },
	}
}

// key is what is compared: not what follows the last '#'.
func key(rec []byte) []byte { return rec[:bytes.LastIndexByte(rec, '#')] }

func makeRecords(r *rand.Rand, n int) (recs [][]byte) {
	for i := range n {
		rec := make([]byte, r.IntN(1+r.IntN(30)))
		if r.IntN(50) == 0 {
			rec = make([]byte, r.IntN(40_000))
		}
		for j := range rec {
			rec[j] = byte('a' + r.IntN(2+r.IntN(3)))
		}
		recs = append(recs, fmt.Appendf(rec, "#%d", i))
	}
	return recs
}

// checkSorter compares a Sorter with a stable sort of all.
func checkSorter(t *testing.T, d *Dir, recs [][]byte, limit int, memory int64) {
	t.Helper()
	s := NewSorter(d, byText(), limit, memory)
	for _, rec := range recs {
		rec = bytes.Clone(rec)
		if err := s.Add(rec); err != nil {
			t.Fatal(err)
		}
		clear(rec)
	}
	want := slices.Clone(recs)
	slices.SortStableFunc(want, func(a, b []byte) int { return bytes.Compare(key(a), key(b)) })
	if limit > 0 && len(want) > limit {
		want = want[:limit]
	}
	for range 2 {
		var got [][]byte
		err := s.Each(func(rec []byte) error { got = append(got, bytes.Clone(rec)); return nil })
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(got, want, bytes.Equal) {
			for i := range min(len(got), len(want)) {
				if !bytes.Equal(got[i], want[i]) {
					t.Errorf("record %d: %.50s, want %.50s", i, got[i], want[i])
					break
				}
			}
			t.Fatalf("limit %d, memory %d: %d records, want %d", limit, memory, len(got), len(want))
		}
	}
	stop := errors.New("stop")
	if err := s.Each(func([]byte) error { return stop }); len(want) > 0 && err != stop {
		t.Errorf("error %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestSorter(t *testing.T) {
	d := tempDir(t)
	for round := range 40 {
		r := rand.New(rand.NewPCG(uint64(round), 5))
		recs := makeRecords(r, r.IntN(1+r.IntN(3000)))
		limit := 0
		if round%2 == 0 {
			limit = 1 + r.IntN(1+r.IntN(2000))
		}
		checkSorter(t, d, recs, limit, int64(1)<<r.IntN(22))
	}
	if len(d.open) > 0 {
		t.Errorf("%d files are open", len(d.open))
	}
}

func FuzzSorter(f *testing.F) {
	f.Add([]byte("b\na\n\nc\na"), uint8(0), uint16(0))
	f.Add([]byte("b\na\n\nc\na"), uint8(2), uint16(0))
	f.Add(bytes.Repeat([]byte("word\nother\nbb\n"), 3000), uint8(200), uint16(4000))
	d := New(f.TempDir())
	f.Fuzz(func(t *testing.T, text []byte, limit uint8, memory uint16) {
		var recs [][]byte
		for i, line := range bytes.Split(text, []byte("\n")) {
			recs = append(recs, fmt.Appendf(bytes.Clone(line), "#%d", i))
		}
		checkSorter(t, d, recs, int(limit), int64(memory))
	})
}

// TestWants: with a limit nearly all records are refused, and none that counts.
func TestWants(t *testing.T) {
	s := NewSorter(tempDir(t), byText(), 10, 1<<16)
	r := rand.New(rand.NewPCG(9, 9))
	wanted, smallest := 0, []byte("~")
	for i := range 200_000 {
		rec := fmt.Appendf(nil, "%08x#%d", r.Uint32(), i)
		if bytes.Compare(rec, smallest) < 0 {
			smallest = rec
		}
		if s.Wants(rec) {
			wanted++
			if err := s.Add(rec); err != nil {
				t.Fatal(err)
			}
		}
	}
	if wanted > 20_000 || s.runs != nil {
		t.Errorf("%d wanted, %d runs", wanted, len(s.runs))
	}
	n := 0
	err := s.Each(func(rec []byte) error {
		if n++; n == 1 && !bytes.Equal(rec, smallest) {
			t.Errorf("first %s, want %s", rec, smallest)
		}
		return nil
	})
	if err != nil || n != 10 {
		t.Errorf("%d records, error %v", n, err)
	}
}

// TestReduce: neighbours are merged, in passes, and the old files are closed.
func TestReduce(t *testing.T) {
	d := tempDir(t)
	var runs []Run
	f, err := d.Create()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 70 {
		if i == 40 {
			if f, err = d.Create(); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Add(fmt.Appendf(nil, "x#%d", i)); err != nil {
			t.Fatal(err)
		}
		run, err := f.EndRun()
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, run)
	}
	merges := 0
	s := &Sorter{order: byText()}
	runs, err = Reduce(d, runs, 4, func(to *File, part []Run) error {
		merges++
		return s.merge(part, to.Add)
	})
	if err != nil || len(runs) != 2 || merges != 18+5+2 {
		t.Fatalf("%d runs after %d merges, error %v", len(runs), merges, err)
	}
	if len(d.open) != 1 {
		t.Errorf("%d files are open", len(d.open))
	}
	i := 0
	err = s.merge(runs, func(rec []byte) error {
		if want := fmt.Sprintf("x#%d", i); string(rec) != want {
			t.Errorf("%s, want %s", rec, want)
		}
		i++
		return nil
	})
	if err != nil || i != 70 {
		t.Errorf("%d records, error %v", i, err)
	}
}

// TestNamed: where a file keeps its name while it is open, Close removes it.
func TestNamed(t *testing.T) {
	path := t.TempDir()
	d := NewOn(func() (Medium, error) {
		f, err := os.CreateTemp(path, "named-")
		return &tempFile{f, true}, err
	})
	for range 3 {
		if _, err := d.Create(); err != nil {
			t.Fatal(err)
		}
	}
	f, err := d.Create()
	if err != nil {
		t.Fatal(err)
	}
	count := func() int {
		left, err := os.ReadDir(path)
		if err != nil {
			t.Fatal(err)
		}
		return len(left)
	}
	if n := count(); n != 4 {
		t.Errorf("%d files", n)
	}
	for range 2 {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if n := count(); n != 3 {
			t.Errorf("%d files after Close", n)
		}
	}
	if err := d.Close(); err != nil || count() != 0 {
		t.Errorf("%d files, error %v", count(), err)
	}
	if _, err := d.Create(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestNoDirectory(t *testing.T) {
	path := t.TempDir() + "/nosuch"
	if _, err := New(path).Create(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
}

// broken is a file in memory whose n-th operation of a kind fails.
type broken struct {
	data []byte
	op   string
	left *int
}

func (f *broken) now(op string) bool {
	if f.op == op {
		*f.left--
	}
	return f.op == op && *f.left == 0
}

func (f *broken) Name() string { return "/tmp/broken" }

func (f *broken) Close() error {
	if f.now("close") {
		return &fs.PathError{Op: "close", Path: f.Name(), Err: syscall.EIO}
	}
	return nil
}

func (f *broken) Write(b []byte) (int, error) {
	n := len(b)
	var err error
	switch {
	case f.now("full"):
		n, err = n/3, syscall.ENOSPC
	case f.now("none"):
		n, err = 0, syscall.EIO
	case f.now("short"):
		n /= 2
	}
	f.data = append(f.data, b[:n]...)
	return n, err
}

func (f *broken) ReadAt(b []byte, off int64) (int, error) {
	switch {
	case f.now("read"):
		return 0, syscall.EIO
	case f.now("cut"):
		return copy(b[:len(b)-1], f.data[off:]), io.EOF
	}
	n := copy(b, f.data[off:])
	switch {
	case f.now("head"):
		b[1] ^= 0x80
	case f.now("sum"):
		b[5]++
	case f.now("body"):
		b[n-1] ^= 1
	case f.now("zero"):
		clear(b)
	}
	return n, nil
}

// TestFaults: whichever operation fails, there is an error that says which and
// where, and never a wrong record without one.
func TestFaults(t *testing.T) {
	recs := makeRecords(rand.New(rand.NewPCG(2, 2)), 1500)
	run := func(op string, n int) (got [][]byte, err error) {
		d := NewOn(func() (Medium, error) {
			f := &broken{op: op, left: &n}
			if f.now("create") {
				return nil, &fs.PathError{Op: "open", Path: "/tmp/broken", Err: syscall.EMFILE}
			}
			return f, nil
		})
		s := NewSorter(d, byText(), 0, 20_000)
		for _, rec := range recs {
			if err := s.Add(rec); err != nil {
				return nil, err
			}
		}
		if err := s.Each(func(rec []byte) error { got = append(got, bytes.Clone(rec)); return nil }); err != nil {
			return got, err
		}
		if err := s.Close(); err != nil {
			return got, err
		}
		return got, d.Close()
	}
	want, err := run("", 0)
	if err != nil || len(want) != len(recs) {
		t.Fatalf("%d records, error %v", len(want), err)
	}
	for _, c := range []struct{ op, want string }{
		{"create", "open /tmp/broken: too many open files"},
		{"full", "write /tmp/broken: no space left on device"},
		{"none", "write /tmp/broken: input/output error"},
		{"short", "write /tmp/broken: short write"},
		{"read", "read /tmp/broken: input/output error"},
		{"cut", "read /tmp/broken: unexpected EOF"},
		{"head", "/tmp/broken: the temporary file was damaged at byte "},
		{"sum", "/tmp/broken: the temporary file was damaged at byte "},
		{"body", "/tmp/broken: the temporary file was damaged at byte "},
		{"zero", "/tmp/broken: the temporary file was damaged at byte "},
		{"close", "close /tmp/broken: input/output error"},
	} {
		n := 1
		for ; ; n += 1 + n/8 {
			got, err := run(c.op, n)
			if len(got) > len(want) || !slices.EqualFunc(got, want[:len(got)], bytes.Equal) {
				t.Errorf("%s %d: wrong records", c.op, n)
			}
			if err == nil {
				if len(got) < len(want) {
					t.Errorf("%s %d: %d records without an error", c.op, n, len(got))
				}
				break
			}
			if !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%s %d: error %q, want %q", c.op, n, err, c.want)
			}
		}
		if n < 2 {
			t.Errorf("%s: no operation of the kind", c.op)
		}
	}
}

// TestErrorStays: after a failed write a File takes nothing more, and what was
// written before can be read.
func TestErrorStays(t *testing.T) {
	n := 2
	d := NewOn(func() (Medium, error) { return &broken{op: "full", left: &n}, nil })
	f, err := d.Create()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Add([]byte("good")); err != nil {
		t.Fatal(err)
	}
	run, err := f.EndRun()
	if err != nil {
		t.Fatal(err)
	}
	if err = f.Add([]byte("lost")); err != nil {
		t.Fatal(err)
	}
	if _, err = f.EndRun(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("error %v", err)
	}
	if again := f.Add(nil); again != err {
		t.Errorf("Add: %v", again)
	}
	if _, again := f.EndRun(); again != err {
		t.Errorf("EndRun: %v", again)
	}
	if recs, err := readAll(run); err != nil || len(recs) != 1 || string(recs[0]) != "good" {
		t.Errorf("%q, error %v", recs, err)
	}
}

func BenchmarkSorter(b *testing.B) {
	d := tempDir(b)
	r := rand.New(rand.NewPCG(3, 3))
	var recs [][]byte
	for i := range 200_000 {
		recs = append(recs, fmt.Appendf(nil, "%016x/%d#%d", r.Uint64(), i, i))
	}
	b.ReportAllocs()
	for b.Loop() {
		s := NewSorter(d, byText(), 0, 1<<20)
		for _, rec := range recs {
			if err := s.Add(rec); err != nil {
				b.Fatal(err)
			}
		}
		if err := s.Each(func([]byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(recs)), "ns/record")
}
