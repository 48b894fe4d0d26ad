package compact

import (
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
)

func TestCover(t *testing.T) {
	for _, tt := range []struct {
		name       string
		old        []covering
		tombstones []int64
		next, now  int64
		keep       int64
		want       []covering
	}{
		{"nothing", nil, []int64{0}, 10, 1000, 64, nil},
		{"the first", nil, []int64{2}, 10, 1000, 64, []covering{{10, 1000}}},
		{"the next", []covering{{10, 1000}}, []int64{1, 2}, 20, 1000, 6400, []covering{{10, 1000}, {20, 1000}}},
		{"nothing new", []covering{{10, 1000}}, []int64{1, 0}, 20, 2000, 64, []covering{{10, 1000}}},
		{"no longer there", []covering{{10, 1000}, {20, 2000}}, []int64{0, 1, 1}, 30, 3000, 64, []covering{{20, 2000}, {30, 3000}}},
		{"all gone", []covering{{10, 1000}, {20, 2000}}, []int64{0, 0, 0}, 30, 3000, 64, nil},
		{"moves on", []covering{{10, 1000}, {20, 1050}}, []int64{1, 1, 1}, 30, 1099, 6400, []covering{{10, 1000}, {30, 1099}}},
		{"long enough", []covering{{10, 1000}, {20, 1050}}, []int64{1, 1, 1}, 30, 1100, 6400, []covering{{10, 1000}, {20, 1050}, {30, 1100}}},
		{"no time", []covering{{10, 1000}, {20, 1000}}, []int64{1, 1, 1}, 30, 1000, 0, []covering{{10, 1000}, {20, 1000}, {30, 1000}}},
		{"less than before", []covering{{10, 1000}, {20, 1050}}, []int64{0, 0, 0}, 10, 2000, 64, []covering{{20, 1050}}},
		{"in the future", []covering{{10, 9000}, {20, 9500}}, []int64{1, 1, 0}, 30, 2000, 64, []covering{{10, 2000}, {20, 2000}}},
	} {
		old := slices.Clone(tt.old)
		if got := cover(tt.old, tt.tombstones, tt.next, tt.now, tt.keep); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, not %v", tt.name, got, tt.want)
		}
		if !slices.Equal(old, tt.old) {
			t.Errorf("%s: it changed its argument", tt.name)
		}
	}
}

// Whatever is run for however long, the note stays short, and a tombstone is known
// since when it was first covered, at most a sixty-fourth later.
func TestCoverBounded(t *testing.T) {
	r := rand.New(rand.NewPCG(64, 1))
	for _, keep := range []int64{64_000, 6400, 100} {
		type tombstone struct{ offset, first int64 }
		var there []tombstone
		var note []covering
		now, next, longest, latest := int64(0), int64(0), 0, int64(0)
		for range 10_000 {
			now += r.Int64N(30)
			below := int64(0)
			for _, c := range note {
				if c.At <= now-keep {
					below = max(below, c.Next)
				}
			}
			from := next
			next += r.Int64N(5)
			counts := make([]int64, len(note)+1)
			var stay []tombstone
			since := func(offset int64) int {
				return sort.Search(len(note), func(i int) bool { return offset < note[i].Next })
			}
			for _, s := range there {
				gone := s.offset < below
				if i := since(s.offset); i == len(note) || note[i].At < s.first {
					t.Fatalf("a tombstone at %d, covered at %d, is not known: %v", s.offset, s.first, note)
				} else {
					latest = max(latest, note[i].At-s.first)
				}
				if gone && now-s.first < keep {
					t.Fatalf("a tombstone goes after %d, not %d", now-s.first, keep)
				}
				if gone || r.IntN(500) == 0 { // or there is a newer event of its key
					continue
				}
				stay = append(stay, s)
				counts[since(s.offset)]++
			}
			for o := from; o < next; o++ {
				if r.IntN(3) == 0 {
					stay = append(stay, tombstone{o, now})
					counts[since(o)]++
				}
			}
			there = stay
			note = cover(note, counts, next, now, keep)
			longest = max(longest, len(note))
			if !slices.IsSortedFunc(note, func(a, b covering) int { return int(a.Next - b.Next) }) {
				t.Fatal(note)
			}
		}
		if longest > 2*64+4 || latest > keep/64 {
			t.Errorf("keep %d: up to %d coverings, %d late", keep, longest, latest)
		}
	}
}
