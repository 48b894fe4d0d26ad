package compact

import (
	"testing"

	"logtools/pkg/spill"
)

func benchSurvivors(b *testing.B, events, keys, keep int, memory int64) {
	b.ReportAllocs()
	for b.Loop() {
		d := spill.New(b.TempDir())
		s := mustSurvivors(b, d, keep, memory)
		for n := range events {
			if err := s.add(mixed(n*7919%keys), false, false); err != nil {
				b.Fatal(err)
			}
		}
		a, err := s.finish()
		if err != nil || a.keys != int64(keys) {
			b.Fatal(a, err)
		}
		if err := s.close(); err != nil {
			b.Fatal(err)
		}
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
}

// BenchmarkKeys50k is 2.5 million events of 50,000 keys.
func BenchmarkKeys50k(b *testing.B) { benchSurvivors(b, 2_500_000, 50_000, 1, 256<<20) }

// BenchmarkKeep10 is the same with the newest 10 of each.
func BenchmarkKeep10(b *testing.B) { benchSurvivors(b, 2_500_000, 50_000, 10, 256<<20) }

// BenchmarkDistinct is 20 million events of as many keys, all in memory.
func BenchmarkDistinct(b *testing.B) { benchSurvivors(b, 20_000_000, 20_000_000, 1, 1<<30) }

// BenchmarkDistinctSpilled is the same in 64 MiB.
func BenchmarkDistinctSpilled(b *testing.B) { benchSurvivors(b, 20_000_000, 20_000_000, 1, 64<<20) }
