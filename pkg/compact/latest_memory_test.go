package compact

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"testing"

	"logtools/pkg/spill"
)

// memoryProbe measures how much memory is reachable.
type memoryProbe struct {
	base, peak int64
	ops        int // of files; each 71st is a time to look
}

func newMemoryProbe() *memoryProbe {
	var p memoryProbe
	p.base = p.look()
	p.peak = 0
	return &p
}

func (p *memoryProbe) look() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	now := int64(m.HeapAlloc) - p.base
	p.peak = max(p.peak, now)
	return now
}

func (p *memoryProbe) dir(tb testing.TB) *spill.Dir {
	path := tb.TempDir()
	d := spill.NewOn(func() (spill.Medium, error) {
		f, err := os.CreateTemp(path, "x")
		return &probedFile{f, p}, err
	})
	tb.Cleanup(func() {
		if err := d.Close(); err != nil {
			tb.Error(err)
		}
	})
	return d
}

type probedFile struct {
	*os.File
	p *memoryProbe
}

func (f *probedFile) Write(b []byte) (int, error) {
	if f.p.ops++; f.p.ops%71 == 0 {
		f.p.look()
	}
	return f.File.Write(b)
}

func (f *probedFile) ReadAt(b []byte, off int64) (int, error) {
	if f.p.ops++; f.p.ops%71 == 0 {
		f.p.look()
	}
	return f.File.ReadAt(b, off)
}

// TestLatestMemory: two million keys in four megabytes.
func TestLatestMemory(t *testing.T) {
	const memory, n, last = 4 << 20, 2_000_000, 3_000_000
	p := newMemoryProbe()
	d := p.dir(t)
	l := newLatest(t, d, 1, memory)
	var key, line []byte
	for i := range last + 1 {
		k := i * 7919 % n
		key, line = fmt.Appendf(key[:0], "%d", k), fmt.Appendf(line[:0], `{"id":%d,"value":%d}`, k, i)
		if err := l.Add(key, line, false); err != nil {
			t.Fatal(err)
		}
	}
	i, at := 0, last-n+1
	err := l.Each(func(got []byte) error {
		if line = fmt.Appendf(line[:0], `{"id":%d,"value":%d}`, at*7919%n, at); !bytes.Equal(got, line) {
			return fmt.Errorf("%s, want %s", got, line)
		}
		i, at = i+1, at+1
		return nil
	})
	if err != nil || i != n {
		t.Fatalf("%d lines, error %v", i, err)
	}
	t.Logf("%.1f MB of memory, %d MB written", float64(p.peak)/1e6, d.Written()>>20)
	if p.peak > memory {
		t.Errorf("%d bytes of memory", p.peak)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if left := p.look(); left > memory/4 {
		t.Errorf("%d bytes of memory after Close", left)
	}
}

// TestLatestShapes: what one part of the stream needed much of does not stay when the
// next needs other things.
func TestLatestShapes(t *testing.T) {
	const memory, longest = 4 << 20, 600 << 10
	long := make([]byte, longest)
	p := newMemoryProbe()
	l := newLatest(t, p.dir(t), 1, memory)
	for i := range 6 {
		lines, key, line := 100_000, 0, 0
		switch i % 3 {
		case 1:
			lines, line = 200, longest
		case 2:
			lines, key = 400, longest/6
		}
		for n := range lines {
			if err := l.Add(fmt.Appendf(long[:key:key], "%d/%d", i, n), long[:line], false); err != nil {
				t.Fatal(err)
			}
			if n%(lines/50) == 0 {
				p.look()
			}
		}
	}
	n := 0
	err := l.Each(func([]byte) error { n++; return nil })
	if err != nil || n != 2*100_600 {
		t.Errorf("%d lines, error %v", n, err)
	}
	t.Logf("%.1f MB of memory", float64(p.peak)/1e6)
	if p.peak > memory {
		t.Errorf("%d bytes of memory", p.peak)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestLatestLongKeys: of runs with long keys few are read at a time.
func TestLatestLongKeys(t *testing.T) {
	const longest = 1 << 20
	long := make([]byte, longest)
	p := newMemoryProbe()
	l := newLatest(t, p.dir(t), 1, 2*longest)
	for i := range 40 {
		if err := l.Add(fmt.Appendf(long[:longest-10:longest], "%010d", i%30), fmt.Append(nil, i), false); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	err := l.Each(func(line []byte) error {
		if n++; string(line) != fmt.Sprint(n+9) {
			t.Errorf("line %s", line)
		}
		return nil
	})
	if err != nil || n != 30 {
		t.Errorf("%d lines, error %v", n, err)
	}
	t.Logf("%.1f MB of memory", float64(p.peak)/1e6)
	if p.peak > 9*longest {
		t.Errorf("%d bytes of memory", p.peak)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestChunkPool(t *testing.T) {
	p := pool{size: 100}
	a, b, long := p.take(10), p.take(100), p.take(250)
	if cap(a) != 100 || cap(b) != 100 || cap(long) != 250 || p.used != 450 {
		t.Fatalf("%d, %d, %d; %d used", cap(a), cap(b), cap(long), p.used)
	}
	p.give(long[:7])
	p.give(a[:3])
	p.give(b)
	if len(p.free) != 2 || p.used != 0 {
		t.Errorf("%d free, %d used", len(p.free), p.used)
	}
	if c := p.take(1); len(c) != 0 || cap(c) != 100 || len(p.free) != 1 {
		t.Errorf("%d of %d bytes, %d free", len(c), cap(c), len(p.free))
	}
	p.trim(199) // of which 100 are used
	if len(p.free) != 0 || p.free[:1][0] != nil {
		t.Errorf("%d free", len(p.free))
	}
	p.trim(-1)
}
