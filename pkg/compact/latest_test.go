package compact

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"logtools/pkg/spill"
)

// keyedLine is what is given to Latest.Add.
type keyedLine struct {
	key, line string
	tombstone bool
}

// latestNaive returns the lines that stay, by going back from the end.
func latestNaive(history []keyedLine, keep int) (stay []string) {
	count, deleted := make(map[string]int), make(map[string]bool)
	for _, h := range slices.Backward(history) {
		if h.key != "" {
			if deleted[h.key] || count[h.key] == keep {
				continue
			}
			count[h.key]++
			deleted[h.key] = h.tombstone
		}
		stay = append(stay, h.line)
	}
	slices.Reverse(stay)
	return stay
}

// latestDir returns a Dir that must leave nothing behind even before it is closed.
func latestDir(tb testing.TB) *spill.Dir {
	tb.Helper()
	path := tb.TempDir()
	d := spill.NewOn(func() (spill.Medium, error) { return os.CreateTemp(path, "x") })
	tb.Cleanup(func() {
		if err := d.Close(); err != nil {
			tb.Error(err)
		}
	})
	return d
}

// noFiles is a Dir for those who must not need one.
func noFiles() *spill.Dir {
	return spill.NewOn(func() (spill.Medium, error) { return nil, errors.New("a file is made") })
}

// runLatest gives a history to l, which it closes, and returns what stays.
func runLatest(l *Latest, history []keyedLine) (stay []string, err error) {
	defer func() { err = errors.Join(err, l.Close()) }()
	var key, line []byte
	for _, h := range history {
		key, line = append(key[:0], h.key...), append(line[:0], h.line...)
		if err := l.Add(key, line, h.tombstone); err != nil {
			return nil, err
		}
		for _, b := range [][]byte{key, line} {
			for i := range b {
				b[i] = '#' // it is not kept
			}
		}
	}
	err = l.Each(func(line []byte) error { stay = append(stay, string(line)); return nil })
	return stay, err
}

func newLatest(tb testing.TB, d *spill.Dir, keep int, memory int64) *Latest {
	tb.Helper()
	l, err := NewLatest(d, keep, memory)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// makeHistory returns n lines of different lengths. Some keys have many lines, most
// have few, and what is common changes as it goes.
func makeHistory(r *rand.Rand, n int) (history []keyedLine) {
	keys, tombstones, noKeys := 1+r.IntN(1+r.IntN(n)/(1+r.IntN(2)*15)), r.IntN(3)*r.IntN(20), r.IntN(2)*r.IntN(60)
	padding := strings.Repeat("x", 40<<10)
	for i := range n {
		h := keyedLine{line: fmt.Sprintf("%d:%s", i, padding[:r.IntN(1+r.IntN(80))])}
		switch r.IntN(400) {
		case 0:
			h.line += padding[:r.IntN(len(padding))]
		case 1:
			h.line = ""
		}
		if r.IntN(100) >= noKeys {
			k := r.IntN(1 + r.IntN(keys))
			h.key = fmt.Sprintf("%d%s", k+i/(n/2+1)*keys/2, padding[:k%5])
			if k == 7 {
				h.key += padding[:5000]
			}
			h.tombstone = r.IntN(100) < tombstones
		}
		history = append(history, h)
	}
	return history
}

func TestLatest(t *testing.T) {
	d := latestDir(t)
	spilled, tidied, cleaned := 0, 0, 0
	for round := range 60 {
		r := rand.New(rand.NewPCG(uint64(round), 6))
		history := makeHistory(r, 1+r.IntN(1+r.IntN(30_000)))
		keep := []int{1, 2, 3, 1000, math.MaxInt}[r.IntN(5)]
		memory := int64(1) << (10 + r.IntN(10))
		if round%10 == 0 {
			memory = 1 << 30
		}
		l := newLatest(t, d, keep, memory)
		l.soft = min(l.soft, 1<<r.IntN(24)) // to find garbage early, too
		if round%6 == 1 {
			history = history[:min(len(history), 5000)]
			l.hash = func(key []byte) uint64 { return uint64(len(key)) * 0x1_0000_0001 % 3 }
		}
		got, err := runLatest(l, history)
		if err != nil {
			t.Fatal(err)
		}
		if want := latestNaive(history, keep); !slices.Equal(got, want) {
			t.Fatalf("round %d: keep %d, memory %d: %d of %d lines, want %d", round, keep, memory, len(got), len(history), len(want))
		}
		if memory == 1<<30 && l.next > 0 {
			t.Errorf("round %d: a file is used", round)
		}
		if l.next > 0 {
			spilled++
		}
		if l.settled.lines > 0 {
			tidied++
			if l.settled.lines+l.fresh.lines < int64(l.next) {
				cleaned++
			}
		}
	}
	if spilled < 20 || tidied < 10 || cleaned < 5 {
		t.Errorf("%d were written to files, %d of them tidied, %d of them with lines that went", spilled, tidied, cleaned)
	}
}

func FuzzLatest(f *testing.F) {
	f.Add([]byte("abcabcAbbaa\n\na"), uint8(1), uint8(0), uint16(0))
	f.Add(bytes.Repeat([]byte("abcdefghijklmnopqrstuvwxyzzzzzzzAA\n"), 20), uint8(2), uint8(90), uint16(20_000))
	f.Fuzz(func(t *testing.T, text []byte, keep, length uint8, limit uint16) {
		var history []keyedLine
		for i, c := range text[:min(len(text), 150)] {
			h := keyedLine{key: string(c | 0x20), line: fmt.Sprint(i) + strings.Repeat(string(c), int(length%32)*(i%17)), tombstone: c&0x20 == 0}
			if c == '\n' {
				h.key = ""
			}
			history = append(history, h)
		}
		var d disk
		l := newLatest(t, d.dir(), max(int(keep), 1), 0)
		l.limit = min(l.limit, 1000+int64(limit))
		l.soft = l.limit
		got, err := runLatest(l, history)
		if err != nil || d.open > 0 {
			t.Fatalf("%d files are left, error %v", d.open, err)
		}
		if want := latestNaive(history, max(int(keep), 1)); !slices.Equal(got, want) {
			t.Fatalf("%d lines, want %d", len(got), len(want))
		}
	})
}

func TestLatestCases(t *testing.T) {
	line := func(key, text string) keyedLine { return keyedLine{key: key, line: text} }
	gone := func(key, text string) keyedLine { return keyedLine{key, text, true} }
	for _, c := range []struct {
		name    string
		keep    int
		history []keyedLine
		want    string
	}{
		{"empty", 1, nil, ""},
		{"newest", 1, []keyedLine{line("a", "a1"), line("b", "b1"), line("a", "a2")}, "b1 a2"},
		{"order of the newest", 1, []keyedLine{line("a", "a1"), line("b", "b1"), line("b", "b2"), line("a", "a2")}, "b2 a2"},
		{"two", 2, []keyedLine{line("a", "a1"), line("a", "a2"), line("b", "b1"), line("a", "a3")}, "a2 b1 a3"},
		{"no key", 1, []keyedLine{line("", "1"), line("a", "a1"), line("", "2"), line("a", "a2"), line("", "1")}, "1 2 a2 1"},
		{"tombstone", 1, []keyedLine{line("a", "a1"), line("b", "b1"), gone("a", "a2")}, "b1 a2"},
		{"nothing before it", 3, []keyedLine{line("a", "a1"), gone("a", "a2"), line("a", "a3")}, "a2 a3"},
		{"it counts", 2, []keyedLine{gone("a", "a1"), line("a", "a2"), line("a", "a3")}, "a2 a3"},
		{"two of them", 3, []keyedLine{gone("a", "a1"), line("a", "a2"), gone("a", "a3")}, "a3"},
		{"huge", math.MaxInt, []keyedLine{line("a", "a1"), line("a", "a2"), line("a", "a3")}, "a1 a2 a3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := runLatest(newLatest(t, noFiles(), c.keep, 1<<20), c.history)
			if err != nil || strings.Join(got, " ") != c.want {
				t.Errorf("%q, error %v", got, err)
			}
			if got := latestNaive(c.history, c.keep); strings.Join(got, " ") != c.want {
				t.Errorf("naive: %q", got)
			}
			// The same with each line in a run of its own.
			l := newLatest(t, latestDir(t), c.keep, 1)
			l.soft, l.limit = 0, 0
			got, err = runLatest(l, c.history)
			if err != nil || strings.Join(got, " ") != c.want || int(l.next) != len(c.history) {
				t.Errorf("with files: %q, error %v", got, err)
			}
		})
	}
}

// TestLatestInPlace: what was replaced makes room, so that no file is needed.
func TestLatestInPlace(t *testing.T) {
	for _, keep := range []int{1, 3} {
		l := newLatest(t, noFiles(), keep, 1<<20)
		var history []keyedLine
		for i := range 100_000 {
			k := i * 7 % 400
			if i%3 == 0 {
				k = i % 10
			}
			history = append(history, keyedLine{key: fmt.Sprint(k), line: fmt.Sprintf("%0200d", i)})
		}
		got, err := runLatest(l, history)
		if err != nil || !slices.Equal(got, latestNaive(history, keep)) {
			t.Errorf("keep %d: %d lines, error %v", keep, len(got), err)
		}
	}
}

// TestLatestLong: lines that are longer than the memory.
func TestLatestLong(t *testing.T) {
	var history []keyedLine
	for i := range 8 {
		history = append(history, keyedLine{key: fmt.Sprint(i % 3), line: strings.Repeat(fmt.Sprint(i), 5<<20)},
			keyedLine{key: strings.Repeat("k", 2<<20) + fmt.Sprint(i%2), line: "short"}, keyedLine{line: "no key"})
	}
	got, err := runLatest(newLatest(t, latestDir(t), 1, 1<<20), history)
	if err != nil || !slices.Equal(got, latestNaive(history, 1)) {
		t.Errorf("%d lines, error %v", len(got), err)
	}
}

func TestLatestArguments(t *testing.T) {
	for _, keep := range []int{0, -1} {
		if _, err := NewLatest(noFiles(), keep, 1); err == nil {
			t.Errorf("keep %d: no error", keep)
		}
	}
	if l := newLatest(t, noFiles(), 1, math.MaxInt64); l.memory != maxLatestMemory {
		t.Errorf("memory %d", l.memory)
	}
	l := newLatest(t, noFiles(), 1, -1)
	if err := l.Add([]byte("a"), []byte("a1"), false); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := l.Add(nil, nil, false); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Add after Close: %v", err)
	}
	if err := l.Each(nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Each after Close: %v", err)
	}
}

func TestLatestTooLong(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a gigabyte of addresses")
	}
	l := newLatest(t, noFiles(), 1, 1<<20)
	long := make([]byte, maxLatestLine+1)
	if l.Add(long, nil, false) == nil || l.Add([]byte("a"), long, true) == nil {
		t.Error("no error")
	}
	if err := l.Add([]byte("a"), []byte("a1"), false); err != nil {
		t.Error(err)
	}
	n := 0
	if err := l.Each(func(line []byte) error { n++; return nil }); err != nil || n != 1 {
		t.Errorf("%d lines, error %v", n, err)
	}
}

// TestLatestStop: an error of yield is returned, whichever it is, wherever it comes.
func TestLatestStop(t *testing.T) {
	history := makeHistory(rand.New(rand.NewPCG(3, 3)), 3000)
	history[len(history)-1].key = "" // behind the last line with a key
	want := latestNaive(history, 1)
	for _, memory := range []int64{0, 1 << 30} {
		for _, stop := range []error{io.EOF, io.ErrUnexpectedEOF} {
			for _, at := range []int{0, 1, len(want) / 2, len(want) - 1} {
				l := newLatest(t, latestDir(t), 1, memory)
				for _, h := range history {
					if err := l.Add([]byte(h.key), []byte(h.line), h.tombstone); err != nil {
						t.Fatal(err)
					}
				}
				n := 0
				err := l.Each(func(line []byte) error {
					if n++; n == at+1 {
						return stop
					}
					return nil
				})
				if err != stop || n != at+1 {
					t.Errorf("memory %d: error %v after %d lines, want %v after %d", memory, err, n, stop, at+1)
				}
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// disk has temporary files in memory, and an operation that fails: the n-th of a kind.
type disk struct {
	op         string
	n          int
	open       int
	used, most int // bytes of the open files
}

type diskFile struct {
	*disk
	data []byte
}

func (d *disk) now(op string) bool {
	if d.op == op {
		d.n--
	}
	return d.op == op && d.n == 0
}

func (d *disk) dir() *spill.Dir {
	return spill.NewOn(func() (spill.Medium, error) {
		if d.now("create") {
			return nil, &fs.PathError{Op: "open", Path: "/tmp/x", Err: syscall.EMFILE}
		}
		d.open++
		return &diskFile{disk: d}, nil
	})
}

func (f *diskFile) Name() string { return "/tmp/x" }

func (f *diskFile) Close() error {
	f.open--
	f.used -= len(f.data)
	f.data = nil
	if f.now("close") {
		return &fs.PathError{Op: "close", Path: f.Name(), Err: syscall.EIO}
	}
	return nil
}

func (f *diskFile) Write(b []byte) (int, error) {
	n := len(b)
	var err error
	switch {
	case f.now("full"):
		n, err = n/3, syscall.ENOSPC
	case f.now("short"):
		n /= 2
	}
	f.data = append(f.data, b[:n]...)
	f.used += n
	f.most = max(f.most, f.used)
	return n, err
}

func (f *diskFile) ReadAt(b []byte, off int64) (int, error) {
	if f.now("read") {
		return 0, syscall.EIO
	}
	n := copy(b, f.data[off:])
	if f.now("flip") {
		b[n/2] ^= 1
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// TestLatestFaults: whichever operation fails, there is an error that says which, no
// wrong line, and Close leaves no file.
func TestLatestFaults(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 8))
	var history []keyedLine
	for i := range 9_000 {
		history = append(history, keyedLine{key: fmt.Sprint(r.IntN(1200)), line: fmt.Sprintf("%0*d", 60+i/7%100, i), tombstone: i%50 == 0})
	}
	want := latestNaive(history, 2)
	for _, c := range []struct{ op, want string }{
		{"", ""},
		{"create", "open /tmp/x: too many open files"},
		{"full", "write /tmp/x: no space left on device"},
		{"short", "write /tmp/x: short write"},
		{"read", "read /tmp/x: input/output error"},
		{"flip", "/tmp/x: the temporary file was damaged at byte "},
		{"close", "close /tmp/x: input/output error"},
	} {
		n := 1
		for ; ; n += 1 + n/16 {
			d := &disk{op: c.op, n: n}
			l := newLatest(t, d.dir(), 2, 0)
			var got []string
			var err error
			for _, h := range history {
				if err = l.Add([]byte(h.key), []byte(h.line), h.tombstone); err != nil {
					if again := l.Add(nil, nil, false); again != err {
						t.Errorf("%s %d: Add after %v: %v", c.op, n, err, again)
					}
					if again := l.Each(nil); again != err {
						t.Errorf("%s %d: Each after %v: %v", c.op, n, err, again)
					}
					break
				}
			}
			if err == nil {
				err = l.Each(func(line []byte) error { got = append(got, string(line)); return nil })
			}
			if e := l.Close(); err == nil {
				err = e
			}
			if d.open != 0 {
				t.Errorf("%s %d: %d files are left, error %v", c.op, n, d.open, err)
			}
			if len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
				t.Errorf("%s %d: wrong lines", c.op, n)
			}
			if err == nil {
				if len(got) < len(want) {
					t.Errorf("%s %d: %d lines without an error", c.op, n, len(got))
				}
				if l.settled.lines == 0 || l.settled.lines == int64(l.next) {
					t.Error("the files were never tidied")
				}
				break
			}
			if !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%s %d: error %q, want %q", c.op, n, err, c.want)
			}
		}
		if c.op != "" && n < 4 {
			t.Errorf("%s: %d operations of the kind", c.op, n-1)
		}
	}
}

// TestLatestDisk: the files do not grow with the stream.
func TestLatestDisk(t *testing.T) {
	for _, keep := range []int{1, 2} {
		d := &disk{}
		l := newLatest(t, d.dir(), keep, 256<<10)
		r := rand.New(rand.NewPCG(4, 4))
		const keys, length = 5000, 200
		line := make([]byte, length)
		for range 300_000 {
			if err := l.Add(fmt.Appendf(nil, "%d", r.IntN(keys)), line, false); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		if err := l.Each(func([]byte) error { n++; return nil }); err != nil || n != keep*keys {
			t.Errorf("%d lines, error %v", n, err)
		}
		if bound := 7 * keep * keys * length; d.most > bound {
			t.Errorf("keep %d: %d bytes of files, want at most %d", keep, d.most, bound)
		}
		if err := l.Close(); err != nil || d.open > 0 {
			t.Errorf("%d files are left, error %v", d.open, err)
		}
	}
}

func BenchmarkLatest(b *testing.B) {
	const lines, length = 250_000, 360
	for _, c := range []struct {
		name         string
		keys         int
		keep, memory int
	}{
		{"50000 keys", 50_000, 1, 256 << 20},
		{"keep 3", 50_000, 3, 256 << 20},
		{"spill", 200_000, 1, 16 << 20},
	} {
		b.Run(c.name, func(b *testing.B) {
			d := latestDir(b)
			r := rand.New(rand.NewPCG(5, 5))
			keys := make([][]byte, 10*lines)
			for i := range keys {
				keys[i] = fmt.Appendf(nil, `"user-%d"`, r.IntN(c.keys))
			}
			line := bytes.Repeat([]byte("x"), length)
			b.ReportAllocs()
			for b.Loop() {
				l := newLatest(b, d, c.keep, int64(c.memory))
				for _, key := range keys {
					if err := l.Add(key, line, false); err != nil {
						b.Fatal(err)
					}
				}
				if err := l.Each(func([]byte) error { return nil }); err != nil {
					b.Fatal(err)
				}
				if err := l.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(keys)), "ns/line")
		})
	}
}
