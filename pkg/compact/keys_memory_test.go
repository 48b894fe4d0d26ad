package compact

import (
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"logtools/pkg/spill"
)

// TestRoom: what is not needed any more is used again, before anything is written.
func TestRoom(t *testing.T) {
	for _, c := range []struct {
		name         string
		events, runs int
		of           func(n int) told
	}{
		{"tombstones", 500_000, 0, func(n int) told { return told{key: n / 40 % 300, tombstone: n%20 == 0} }},
		{"rings that grow, key after key", 60 * 1200, 0, func(n int) told { return told{key: n / 60} }},
		{"rings, then keys of one event", 300_000, 21, func(n int) told {
			if n < 120_000 {
				return told{key: n % 600}
			}
			return told{key: n}
		}},
	} {
		s := mustSurvivors(t, tempFiles(t), 2000, 0)
		for n := range c.events {
			e := c.of(n)
			if err := s.add(mixed(e.key), e.tombstone, false); err != nil {
				t.Fatal(err)
			}
		}
		if len(s.runs) > c.runs || c.runs > 0 && len(s.runs) == 0 {
			t.Errorf("%s: %d runs, want %d", c.name, len(s.runs), c.runs)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	}
	// Hashes that lie together would do so in any table.
	s := mustSurvivors(t, tempFiles(t), 1, 64<<20)
	for n := range 20_000 {
		if err := s.add(hash{1, uint64(n)}, false, false); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.table.bytes(); n > 1<<20 || len(s.runs) != 4 {
		t.Errorf("a table of %d bytes, %d runs", n, len(s.runs))
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
}

// TestNoAllocations: events of keys that are known already allocate nothing.
func TestNoAllocations(t *testing.T) {
	for _, keep := range []int{1, 100} {
		s := mustSurvivors(t, tempFiles(t), keep, 64<<20)
		n := 0
		add := func() {
			if err := s.add(mixed(n%500), n%5000 == 0, false); err != nil {
				t.Fatal(err)
			}
			n++
		}
		for range 150_000 {
			add()
		}
		if a := testing.AllocsPerRun(100_000, add); a != 0 {
			t.Errorf("keep %d: %v allocations per event", keep, a)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMemory has far more keys than fit, and looks at what is in use all the time.
func TestMemory(t *testing.T) {
	keys, memory := 2_000_000, int64(64<<20/10)
	if os.Getenv("LOGTOOLS_LONG") != "" {
		keys, memory = 20_000_000, 64<<20
	}
	if testing.Short() {
		t.Skip("has many keys")
	}
	// Each key comes twice, the second time in another order; or half as many keys come
	// four times in a row, so that all have rings.
	twice := func(n int) int {
		if n < keys {
			return n * 7 % keys
		}
		return n * 11 % keys
	}
	fourTimes := func(n int) int { return n / 4 }
	for _, c := range []struct {
		keep, keys, stay int
		key              func(n int) int
	}{{1, keys, keys, twice}, {3, keys / 2, 3 * (keys / 2), fourTimes}} {
		var most, base uint64
		look := func() {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc-min(base, m.HeapAlloc))
		}
		look()
		base, most = most, 0
		path, reads := t.TempDir(), 0
		d := spill.NewOn(func() (spill.Medium, error) {
			f, err := os.CreateTemp(path, "x")
			return &watched{f, func() {
				if reads++; reads%1000 == 20 {
					look()
				}
			}}, err
		})
		s := mustSurvivors(t, d, c.keep, memory)
		began := time.Now()
		for n := range 2 * keys {
			if err := s.add(mixed(c.key(n)), false, false); err != nil {
				t.Fatal(err)
			}
			if n%(keys/20) == 0 {
				look()
			}
		}
		added := time.Since(began)
		began = time.Now()
		a, err := s.finish()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("keep %d: %d keys, %d runs: add %v per event, finish %v; %.1f MiB of %.1f", c.keep, c.keys, len(s.runs),
			added/time.Duration(2*keys), time.Since(began), float64(most)/(1<<20), float64(memory)/(1<<20))
		if int64(most) > memory+128<<10 {
			t.Errorf("keep %d: %d bytes in use, of %d", c.keep, most, memory)
		}
		if a.keys != int64(c.keys) || a.count(0, a.events) != int64(c.stay) || c.keep == 1 && a.count(0, int64(keys)) != 0 {
			t.Errorf("keep %d: %d keys, %d stay", c.keep, a.keys, a.count(0, a.events))
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// watched is a file that calls read before each reading.
type watched struct {
	*os.File
	read func()
}

func (w *watched) ReadAt(b []byte, off int64) (int, error) {
	w.read()
	return w.File.ReadAt(b, off)
}

func (w *watched) Close() error { return errors.Join(w.File.Close(), os.Remove(w.Name())) }
