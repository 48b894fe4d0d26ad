package compact

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// whole is a piece of which everything stays.
func whole(bytes int64) piece {
	return piece{bytes: bytes, units: 1, raw: 8 * bytes, events: 100, stay: 100}
}

// partly is a piece of whose 100 events some stay.
func partly(bytes, stay int64) piece {
	p := whole(bytes)
	p.stay = stay
	return p
}

// void is a piece that has no events any more.
func void() piece { return piece{bytes: leastBytes} }

// apart is p, not to be merged with the one before it.
func apart(p piece) piece {
	p.apart = true
	return p
}

// at is p, appended between two moments.
func at(p piece, first, last int64) piece {
	p.first, p.last = first, last
	return p
}

func TestPlan(t *testing.T) {
	tiny := whole(10 * kib)
	tiny.units, tiny.raw = 5, 5*(tinyUnit-1)
	small := tiny
	small.raw = 5 * tinyUnit
	few := tiny
	few.units = 4
	one := []run{{0, 1}}
	both := []run{{0, 2}}
	for _, c := range []struct {
		name string
		ps   []piece
		b    bounds
		want []run
	}{
		{name: "nothing"},
		{name: "one as it should be", ps: []piece{whole(mib)}},
		{name: "something goes", ps: []piece{partly(mib, 99)}, want: one},
		{name: "everything goes", ps: []piece{partly(mib, 0)}, want: one},
		{name: "no events", ps: []piece{void()}},
		{name: "tiny units", ps: []piece{tiny}, want: one},
		{name: "units just large enough", ps: []piece{small}},
		{name: "few units", ps: []piece{few}},

		{name: "a quarter", ps: []piece{whole(4 * mib), whole(mib)}, want: both},
		{name: "less than a quarter", ps: []piece{whole(4 * mib), whole(mib - 1)}},
		{name: "a quarter before", ps: []piece{whole(mib), whole(4 * mib)}, want: both},
		{name: "less than a quarter before", ps: []piece{whole(mib - 1), whole(4 * mib)}},
		{name: "both sides together", ps: []piece{whole(mib / 2), whole(4 * mib), whole(mib / 2)}, want: []run{{0, 3}}},
		{name: "one after the other", ps: []piece{whole(64), whole(16), whole(4), whole(2)}, want: []run{{0, 4}}},
		{name: "only the last ones", ps: []piece{whole(1000), whole(16), whole(4)}, want: []run{{1, 2}}},
		{name: "two runs", ps: []piece{whole(10), whole(10), whole(1000), whole(10), whole(10)}, want: []run{{0, 2}, {3, 2}}},

		{name: "to be rewritten is free", ps: []piece{partly(100*mib, 99), partly(mib, 99)}, want: both},
		{name: "small before what is rewritten", ps: []piece{whole(mib), partly(100*mib, 99)}, want: both},
		{name: "small behind what is rewritten", ps: []piece{partly(100*mib, 99), whole(mib)}, want: both},
		{name: "rewritten behind large", ps: []piece{whole(100 * mib), partly(mib, 99)}, want: []run{{1, 1}}},
		{name: "the size afterwards counts", ps: []piece{whole(100 * mib), partly(100*mib, 20)}, want: []run{{1, 1}}},
		{name: "a quarter afterwards", ps: []piece{whole(100 * mib), partly(100*mib, 25)}, want: both},
		{name: "tiny units are free", ps: []piece{tiny, whole(kib)}, want: both},

		{name: "apart", ps: []piece{whole(mib), apart(whole(mib))}},
		{name: "apart and rewritten", ps: []piece{partly(mib, 9), apart(partly(mib, 9))}, want: []run{{0, 1}, {1, 1}}},
		{name: "the first one apart", ps: []piece{apart(whole(mib)), whole(mib)}, want: both},
		{name: "apart in the middle", ps: []piece{whole(9), whole(9), apart(whole(9)), whole(9)}, want: []run{{0, 2}, {2, 2}}},

		{name: "bytes fit", ps: []piece{whole(mib), whole(mib)}, b: bounds{bytes: 2 * mib}, want: both},
		{name: "bytes do not", ps: []piece{whole(mib), whole(mib + 1)}, b: bounds{bytes: 2 * mib}},
		{name: "bytes fit afterwards", ps: []piece{partly(2*mib, 50), whole(mib)}, b: bounds{bytes: 2 * mib}, want: both},
		{name: "larger than allowed already", ps: []piece{whole(3 * mib), partly(2*mib, 50)}, b: bounds{bytes: mib}, want: []run{{1, 1}}},
		{name: "age fits", ps: []piece{at(whole(9), 0, 10), at(whole(9), 20, 30)}, b: bounds{age: 30}, want: both},
		{name: "age does not", ps: []piece{at(whole(9), 0, 10), at(whole(9), 20, 31)}, b: bounds{age: 30}},
		{name: "times decrease", ps: []piece{at(whole(9), 20, 31), at(whole(9), 0, 10)}, b: bounds{age: 30}},

		{name: "gone goes to the smaller before", ps: []piece{whole(9), partly(9, 0), whole(mib)}, want: both},
		{name: "gone goes to the smaller behind", ps: []piece{whole(mib), partly(9, 0), whole(9)}, want: []run{{1, 2}}},
		{name: "gone goes to what is rewritten before", ps: []piece{partly(100*mib, 99), void(), whole(9 * mib)}, b: bounds{bytes: 100 * mib}, want: both},
		{name: "gone goes to what is rewritten behind", ps: []piece{whole(mib), void(), partly(100*mib, 99)}, b: bounds{bytes: 99 * mib}, want: []run{{1, 2}}},
		{name: "gone between large ones", ps: []piece{whole(128 * mib), void(), void(), apart(whole(128 * mib))}, want: []run{{0, 3}}},
		{name: "gone first", ps: []piece{void(), partly(9, 0), whole(99 * mib)}, want: []run{{0, 3}}},
		{name: "gone beyond the bounds", ps: []piece{void(), at(whole(9), 100, 200)}, b: bounds{bytes: 5, age: 7}, want: both},
		{name: "gone, apart on both sides", ps: []piece{whole(9), apart(void()), apart(whole(9))}},
		{name: "gone, several, apart on both sides", ps: []piece{whole(9), apart(void()), void(), apart(whole(9))}, want: []run{{1, 2}}},
		{name: "gone and only apart from the one before", ps: []piece{whole(9), apart(void()), whole(mib)}, want: []run{{1, 2}}},
		{name: "all gone", ps: []piece{partly(mib, 0), void(), partly(mib, 0)}, want: []run{{0, 3}}},
		{name: "newest gone waits", ps: []piece{whole(mib), void()}},
		{name: "newest gone waits rewritten", ps: []piece{whole(mib), partly(kib, 0)}, want: []run{{1, 1}}},
		{name: "newest gone, several", ps: []piece{whole(mib), void(), void()}, want: []run{{1, 2}}},
		{name: "newest gone before small", ps: []piece{whole(4 * leastBytes), void()}, want: both},
		{name: "newest gone, as large", ps: []piece{whole(mib), partly(mib, 0)}, want: both},
		{name: "newest gone, other rewritten", ps: []piece{partly(99*mib, 99), void()}, want: both},
		{name: "gone makes a merge worth it", ps: []piece{whole(mib), whole(100 * mib), partly(25*mib, 0)}, want: []run{{0, 3}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := plan(c.ps, c.b); !reflect.DeepEqual(got, c.want) {
				t.Errorf("plan = %v, want %v", got, c.want)
			}
		})
	}
}

func TestPieceSize(t *testing.T) {
	for _, c := range []struct {
		p    piece
		want int64
	}{
		{whole(mib), mib},
		{whole(10), 10},
		{partly(mib, 50), mib / 2},
		{partly(1000, 1), leastBytes},
	} {
		if got := c.p.size(); got != c.want {
			t.Errorf("size of %+v = %d, want %d", c.p, got, c.want)
		}
	}
}

// TestPlanLimits has numbers that are as large as they can be.
func TestPlanLimits(t *testing.T) {
	p := piece{bytes: math.MaxInt64 / 4, units: math.MaxInt64, raw: math.MaxInt64,
		events: math.MaxInt64, stay: math.MaxInt64 - 1}
	if got := p.size(); got != p.bytes-1 {
		t.Errorf("size = %d, want %d", got, p.bytes-1)
	}
	if got, want := plan([]piece{p, p, p}, bounds{}), []run{{0, 3}}; !reflect.DeepEqual(got, want) {
		t.Errorf("plan = %v, want %v", got, want)
	}
}

// rewritten is what the pieces become by a plan, if sizes are as estimated, and how many
// bytes are written.
func rewritten(ps []piece, runs []run) (after []piece, bytes int64) {
	for i := 0; i < len(ps); {
		if len(runs) == 0 || runs[0].first > i {
			after = append(after, ps[i])
			i++
			continue
		}
		q := piece{apart: ps[i].apart, first: math.MaxInt64, last: math.MinInt64}
		for _, p := range ps[i : i+runs[0].n] {
			q.next = p.next
			if p.stay == 0 {
				continue
			}
			q.bytes += p.size()
			q.raw += int64(float64(p.raw) * float64(p.stay) / float64(p.events))
			q.events += p.stay
			q.first, q.last = min(q.first, p.first), max(q.last, p.last)
		}
		if q.stay = q.events; q.events == 0 {
			q.bytes, q.first, q.last = leastBytes, ps[i].first, ps[i].last
		}
		q.units = (q.raw + mib - 1) / mib
		after = append(after, q)
		bytes += q.bytes
		i += runs[0].n
		runs = runs[1:]
	}
	return after, bytes
}

// checkPlan checks what is true of every plan.
func checkPlan(t *testing.T, ps []piece, b bounds) {
	t.Helper()
	before := slices.Clone(ps)
	runs := plan(ps, b)
	if !slices.Equal(ps, before) {
		t.Fatal("plan changed the pieces")
	}
	fail := func(format string, a ...any) {
		t.Helper()
		t.Fatalf("%s\nbounds %+v\nplan %v of\n%s", fmt.Sprintf(format, a...), b, runs, table(ps))
	}
	in := make([]bool, len(ps))
	end := 0
	for _, r := range runs {
		if r.n < 1 || r.first < end || r.first+r.n > len(ps) {
			fail("run %v behind %d", r, end)
		}
		end = r.first + r.n
		var n int
		var size int64
		from, to := int64(math.MaxInt64), int64(math.MinInt64)
		for i := r.first; i < end; i++ {
			in[i] = true
			if ps[i].apart && i > r.first {
				fail("%d is apart and merged with the one before it", i)
			}
			if ps[i].stay > 0 {
				n++
				size += ps[i].size()
				from, to = min(from, ps[i].first), max(to, ps[i].last)
			}
		}
		if n > 1 && (b.bytes > 0 && size > b.bytes || b.age > 0 && to-from > b.age) {
			fail("run %v is beyond the bounds: %d bytes, age %d", r, size, to-from)
		}
		if r.n == 1 && !ps[r.first].stale() {
			fail("%d is rewritten for nothing", r.first)
		}
	}
	for i := range ps {
		if ps[i].stale() && !in[i] {
			fail("%d is not rewritten", i)
		}
	}

	after, _ := rewritten(ps, runs)
	if again := plan(after, b); len(again) > 0 {
		fail("the plan of what results is %v of\n%s", again, table(after))
	}
	for i := range after {
		// Naively: no run is allowed and worth it.
		var size, largest int64
		from, to := int64(math.MaxInt64), int64(math.MinInt64)
		for j := i; j < len(after) && (j == i || !after[j].apart); j++ {
			p := &after[j]
			if p.events == 0 {
				// Only at the end or with nothing to go to.
				if j > i && j < len(after)-1 || j == i && j < len(after)-1 && !after[j+1].apart {
					fail("%d of what results is left over:\n%s", j, table(after))
				}
				continue
			}
			size += p.size()
			largest = max(largest, p.size())
			from, to = min(from, p.first), max(to, p.last)
			if b.bytes > 0 && size > b.bytes || b.age > 0 && to-from > b.age {
				break
			}
			if j > i && size > largest && size-largest >= largest/worth {
				fail("%d to %d of what results should be merged:\n%s", i, j, table(after))
			}
		}
	}
}

// table shows pieces, one to a line.
func table(ps []piece) string {
	var b []byte
	for i, p := range ps {
		b = fmt.Appendf(b, "%d: %+v\n", i, p)
	}
	return string(b)
}

// somePieces returns up to n pieces of all kinds.
func somePieces(r *rand.Rand, n int) []piece {
	ps := make([]piece, r.IntN(n+1))
	largest := 10 + 18*r.Float64() // as a power of 2
	stale, gone, parts := r.IntN(3) == 0, r.IntN(3), r.IntN(3)
	now := int64(0)
	for i := range ps {
		p := &ps[i]
		p.bytes = leastBytes + int64(math.Exp2(largest*r.Float64()))
		p.raw = p.bytes * int64(1+r.IntN(20))
		p.units = 1 + p.raw/mib
		if stale && r.IntN(3) == 0 {
			p.units = 1 + r.Int64N(1+p.raw/100)
		}
		p.events = 1 + r.Int64N(1000)
		p.stay = p.events
		if parts > 0 && r.IntN(parts*2) == 0 {
			p.stay = r.Int64N(p.events + 1)
		}
		if gone > 0 && r.IntN(gone*2) == 0 {
			p.stay = 0
			if r.IntN(2) == 0 {
				p.bytes, p.events, p.raw, p.units = leastBytes, 0, 0, 0
			}
		}
		p.apart = r.IntN(20) == 0
		now += r.Int64N(1000)
		p.first = now
		now += r.Int64N(1000)
		p.last = now
		if r.IntN(50) == 0 {
			now -= r.Int64N(10_000) // a clock was set back
		}
	}
	return ps
}

func someBounds(r *rand.Rand) bounds {
	var b bounds
	if r.IntN(3) > 0 {
		b.bytes = int64(math.Exp2(28 * r.Float64()))
	}
	if r.IntN(3) == 0 {
		b.age = r.Int64N(20_000)
	}
	return b
}

func TestPlanProperties(t *testing.T) {
	for seed := range uint64(20_000) {
		r := rand.New(rand.NewPCG(seed, 1))
		checkPlan(t, somePieces(r, 40), someBounds(r))
	}
}

func FuzzPlan(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		r := rand.New(rand.NewPCG(a, b))
		checkPlan(t, somePieces(r, 100), someBounds(r))
	})
}

// TestPlanAppends appends small pieces for ever, with a plan after each. With n of them:
// at most 1.5 × log2(n) + 12 pieces, and each byte is rewritten at most
// log1.25(all bytes / those of its piece) times, which is at most 3.11 × log2 of it.
func TestPlanAppends(t *testing.T) {
	for _, c := range []struct {
		name string
		size func(r *rand.Rand, i int) int64
	}{
		{"1 KiB", func(*rand.Rand, int) int64 { return kib }},
		{"1 MiB", func(*rand.Rand, int) int64 { return mib }},
		{"1 KiB or 1 MiB", func(r *rand.Rand, i int) int64 { return kib << (10 * (i % 2)) }},
		{"evenly", func(r *rand.Rand, _ int) int64 { return kib + r.Int64N(mib-kib) }},
		{"of all sizes", func(r *rand.Rand, _ int) int64 { return int64(kib * math.Exp2(10*r.Float64())) }},
		{"growing", func(_ *rand.Rand, i int) int64 { return kib + int64(i)*kib }},
		{"shrinking", func(_ *rand.Rand, i int) int64 { return mib - int64(i)*kib }},
		// As hard as can be: 1 8 1 64 1 8 1 512 …
		{"a ruler", func(_ *rand.Rand, i int) int64 {
			s := int64(kib)
			for i++; i%2 == 0 && s < mib; i /= 2 {
				s *= 10
			}
			return min(s, mib)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			var ps []piece
			var sizes []int64
			var all, written int64
			most := 0
			for i := range 1000 {
				p := whole(c.size(r, i))
				sizes = append(sizes, p.bytes)
				all += p.bytes
				runs := plan(append(ps, p), bounds{})
				var n int64
				ps, n = rewritten(append(ps, p), runs)
				written += n
				most = max(most, len(ps))
				if limit := 1.5*math.Log2(float64(i+1)) + 12; float64(len(ps)) > limit {
					t.Fatalf("after %d there are %d pieces, more than %.1f", i+1, len(ps), limit)
				}
			}
			var limit float64
			for _, n := range sizes {
				limit += float64(n) * math.Log2(float64(all)/float64(n)) / math.Log2(1.25)
			}
			t.Logf("at most %d pieces, %d at the end, each byte rewritten %.1f times (limit %.1f)",
				most, len(ps), float64(written)/float64(all), limit/float64(all))
			if float64(written) > limit {
				t.Errorf("each byte was rewritten %.1f times", float64(written)/float64(all))
			}
		})
	}
}

// TestPlanBounded is the same with bounds: what is full is not touched again, and few
// small pieces stay between the full ones.
func TestPlanBounded(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	b := bounds{bytes: 16 * mib, age: 100}
	var ps []piece
	var all, written int64
	for i := range int64(2000) {
		p := at(whole(kib+r.Int64N(mib)), i, i)
		all += p.bytes
		ps = append(ps, p)
		var n int64
		ps, n = rewritten(ps, plan(ps, b))
		written += n
	}
	full := float64(all)/float64(b.bytes) + 2000/float64(b.age)
	t.Logf("%d pieces, %.0f full ones, each byte rewritten %.1f times", len(ps), full, float64(written)/float64(all))
	if float64(len(ps)) > 3*full {
		t.Errorf("%d pieces, %.0f full ones", len(ps), full)
	}
	if written > 16*all {
		t.Errorf("each byte was rewritten %d times", written/all)
	}
}

// TestPlanShortLived appends behind a large piece what is deleted again by the next
// plan: that must not cost the large piece.
func TestPlanShortLived(t *testing.T) {
	ps := []piece{whole(100 * mib)}
	var written int64
	for i := range 1000 {
		if i%2 == 0 {
			ps = append(ps, whole(10*kib))
		} else {
			ps[len(ps)-1].stay = 0
		}
		var n int64
		ps, n = rewritten(ps, plan(ps, bounds{bytes: 128 * mib}))
		written += n
		if len(ps) > 3 {
			t.Fatalf("after %d there are %d pieces", i+1, len(ps))
		}
	}
	if written > 1000*20*kib {
		t.Errorf("%d bytes were written", written)
	}
}

// largePlans are tables of 10,000 pieces.
func largePlans() map[string][]piece {
	const n = 10_000
	tables := make(map[string][]piece)
	fill := func(name string, of func(i int) piece) {
		ps := make([]piece, n)
		for i := range ps {
			ps[i] = of(i)
		}
		tables[name] = ps
	}
	r := rand.New(rand.NewPCG(3, 4))
	fill("tiny", func(int) piece { return whole(kib) })
	fill("gone", func(int) piece { return partly(mib, 0) })
	fill("partly", func(int) piece { return partly(mib, 50) })
	fill("gone or large", func(i int) piece { return partly(64*mib, int64(i%2*100)) })
	fill("small or large", func(i int) piece { return whole(kib + int64(i%2)*100*mib) })
	fill("apart", func(int) piece { return apart(partly(kib, 50)) })
	fill("all sizes", func(int) piece { return whole(int64(math.Exp2(10 + 17*r.Float64()))) })
	// As many as can be next to each other and not be worth merging.
	fill("ruler", func(i int) piece {
		s := 1e2
		for i++; i%2 == 0; i /= 2 {
			s *= 10
		}
		return whole(int64(s))
	})
	return tables
}

// TestPlanLarge compares with pieces that are merged at once, which take less than 1 ms:
// that holds on slow machines and with -race, too.
func TestPlanLarge(t *testing.T) {
	best := func(ps []piece, b bounds) time.Duration {
		best := time.Hour
		for range 5 {
			start := time.Now()
			plan(ps, b)
			best = min(best, time.Since(start))
		}
		return best
	}
	tables := largePlans()
	limit := 100 * best(tables["tiny"], bounds{})
	for name, ps := range tables {
		for _, b := range []bounds{{}, {bytes: 128 * mib}, {bytes: 128 * mib, age: 1000}} {
			took := best(ps, b)
			t.Logf("%s %+v: %d runs in %v", name, b, len(plan(ps, b)), took)
			if took > limit {
				t.Errorf("%s %+v: %v, more than %v", name, b, took, limit)
			}
		}
	}
}

func BenchmarkPlan(b *testing.B) {
	for name, ps := range largePlans() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				plan(ps, bounds{bytes: 128 * mib})
			}
		})
	}
}

func TestExpired(t *testing.T) {
	old, young := at(whole(10), 1, 9), at(whole(10), 1, 10) // around 10
	oldVoid, youngVoid := at(void(), 1, 9), at(void(), 1, 10)
	for _, c := range []struct {
		name                string
		ps                  []piece
		others, since, keep int64
		want                int
	}{
		{name: "nothing", since: 10, keep: 10},
		{name: "no limit", ps: []piece{old, old}},
		{name: "less than no limit", ps: []piece{at(whole(10), -9, -8)}, others: 99, since: -1, keep: -1},
		{name: "by age", ps: []piece{old, old, young, young}, since: 10, want: 2},
		{name: "only from the old end", ps: []piece{old, young, old}, since: 10, want: 1},
		{name: "all old", ps: []piece{old, old}, since: 10, want: 2},
		{name: "by bytes", ps: []piece{young, young, young}, keep: 20, want: 1},
		{name: "one byte less", ps: []piece{young, young, young}, keep: 21, want: 0},
		{name: "others count", ps: []piece{young, young, young}, others: 20, keep: 20, want: 3},
		{name: "either, age first", ps: []piece{old, young, young}, keep: 10, since: 10, want: 2},
		{name: "either, bytes first", ps: []piece{young, old, young}, keep: 20, since: 10, want: 2},
		{name: "void with the next", ps: []piece{youngVoid, youngVoid, old, young}, since: 10, want: 3},
		{name: "void without", ps: []piece{old, youngVoid, young}, since: 10, want: 1},
		{name: "void that is old", ps: []piece{old, oldVoid, youngVoid, young}, since: 10, want: 2},
		{name: "void at the end", ps: []piece{old, youngVoid}, since: 10, want: 1},
		{name: "only void", ps: []piece{oldVoid, youngVoid, oldVoid, youngVoid}, since: 10, want: 3},
		{name: "void by bytes", ps: []piece{youngVoid, young}, keep: 10, want: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := expired(c.ps, c.others, c.since, c.keep); got != c.want {
				t.Errorf("expired = %d, want %d", got, c.want)
			}
		})
	}
}

// TestExpiredNaive tries all answers, the largest first.
func TestExpiredNaive(t *testing.T) {
	for seed := range uint64(20_000) {
		r := rand.New(rand.NewPCG(seed, 5))
		ps := somePieces(r, 12)
		var all, since, keep int64
		for _, p := range ps {
			all += p.bytes
		}
		others := r.Int64N(1000)
		if r.IntN(3) > 0 {
			since = r.Int64N(12_000)
		}
		if r.IntN(3) > 0 {
			keep = r.Int64N(all + 2000)
		}
		goes := func(i int) bool {
			left := others
			for _, p := range ps[i+1:] {
				left += p.bytes
			}
			return since > 0 && ps[i].last < since || keep > 0 && left >= keep
		}
		want := len(ps)
		for ; want > 0; want-- {
			ok := goes(want - 1)
			for i := range want {
				ok = ok && (goes(i) || ps[i].events == 0)
			}
			if ok {
				break
			}
		}
		if got := expired(ps, others, since, keep); got != want {
			t.Fatalf("expired(others %d, since %d, keep %d) = %d, want %d\n%s", others, since, keep, got, want, table(ps))
		}
	}
}
