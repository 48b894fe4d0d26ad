package guard

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"logtools/pkg/eventlog"
	"logtools/pkg/internal/vfs"
)

// mixed is a hash that is quickly made: SHA-256 would be most of what is measured.
func mixed(n uint64) (h hash) {
	a := n*0x9e3779b97f4a7c15 + 1
	for i := range 2 {
		a ^= a >> 30
		a *= 0xbf58476d1ce4e5b9
		a ^= a >> 27
		a *= 0x94d049bb133111eb
		a ^= a >> 31
		binary.LittleEndian.PutUint64(h[8*i:], a)
		a += n
	}
	return h
}

func benchOptions(dir string) tableOptions {
	return tableOptions{fs: vfs.OS{}, dir: filepath.Join(dir, "guard", "00000"), memory: 256 << 20,
		holds: func(eventlog.Mark) (bool, error) { return true, nil }}
}

// fill puts in keys that are all different, each looked up before, as a rule does.
func fill(b *testing.B, dir string, keys int) *table {
	tab, err := openTable(benchOptions(dir))
	if err != nil {
		b.Fatal(err)
	}
	var v [8]byte
	var buf []byte
	for i := range keys {
		h := mixed(uint64(i))
		_, ok, err := tab.get(h, buf[:0])
		if err != nil || ok {
			b.Fatal(i, ok, err)
		}
		binary.LittleEndian.PutUint64(v[:], uint64(i))
		tab.put(h, v[:])
		if tab.full() {
			if err := tab.store(eventlog.Mark{Next: int64(i + 1)}); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := tab.store(eventlog.Mark{Next: int64(keys)}); err != nil {
		b.Fatal(err)
	}
	return tab
}

const benchKeys = 10_000_000

// BenchmarkTableFill is a rule on 10 million new keys, with all stores and merges.
func BenchmarkTableFill(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		dir := b.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "x"), 0o777); err != nil {
			b.Fatal(err)
		}
		tab := fill(b, dir, benchKeys)
		b.ReportMetric(float64(len(tab.runs)), "runs")
		if err := tab.close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*benchKeys)/b.Elapsed().Seconds()/1e6, "Mkeys/s")
}

func BenchmarkTableGet(b *testing.B) {
	dir := b.TempDir()
	if err := fill(b, dir, benchKeys).close(); err != nil {
		b.Fatal(err)
	}
	for name, first := range map[string]uint64{"present": 0, "absent": benchKeys} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			tab, err := openTable(benchOptions(dir))
			if err != nil {
				b.Fatal(err)
			}
			defer tab.close()
			var buf [16]byte
			get := func(i int) {
				k := mixed(uint64(i)) // any of them
				n := binary.LittleEndian.Uint64(k[:]) % benchKeys
				_, ok, err := tab.get(mixed(first+n), buf[:0])
				if err != nil || ok != (first == 0) {
					b.Fatal(n, ok, err)
				}
			}
			for i := range 10_000 { // filters are loaded then
				get(i)
			}
			i := 0
			for b.Loop() {
				get(i)
				i++
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mkeys/s")
		})
	}
	// A process that appends one event.
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		start := time.Now()
		for b.Loop() {
			tab, err := openTable(benchOptions(dir))
			if err != nil {
				b.Fatal(err)
			}
			if _, ok, err := tab.get(mixed(uint64(b.N)), nil); err != nil || !ok {
				b.Fatal(ok, err)
			}
			tab.close()
		}
		b.ReportMetric(time.Since(start).Seconds()*1e3/float64(b.N), "ms/op")
	})
}
