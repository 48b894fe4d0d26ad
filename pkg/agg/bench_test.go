package agg

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sort"
	"strconv"
	"testing"

	"logtools/pkg/event"
)

// zipf draws numbers below n, the i-th with a weight of 1/(i+1)^s.
func zipf(r *rand.Rand, n int, s float64) func() int {
	sums := make([]float64, n)
	t := 0.0
	for i := range sums {
		t += 1 / math.Pow(float64(i+1), s)
		sums[i] = t
	}
	return func() int { return sort.SearchFloat64s(sums, r.Float64()*t) }
}

// benchEvents are events like those of an access log: path, bytes,
// request_time and user, one after the other as in a block that is read, so
// that benchmarks measure the table's cache misses and not those of the input.
type benchEvents struct {
	data []byte
	lens [][4]uint8
}

const benchLen = 1 << 20

func makeEvents(n int) *benchEvents {
	r := rand.New(rand.NewPCG(7, 7))
	paths := make([][]byte, 20_000)
	for i := range paths {
		paths[i] = fmt.Appendf(nil, "/%x/%x/%d.html", r.Uint32(), r.Uint32N(1<<20), i)
		paths[i] = append(paths[i], "0123456789abcdef0123"[:r.IntN(20)]...)
	}
	path, user := zipf(r, len(paths), 1.05), zipf(r, 50_000, 0.8)
	perm := r.Perm(len(paths))
	e := &benchEvents{}
	for range n {
		size := int(math.Pow(1-r.Float64(), -1/1.1)*300) % 5_000_000
		d := math.Round(math.Exp(r.NormFloat64()-3)*1e4) / 1e4
		var l [4]uint8
		at := len(e.data)
		done := func(i int) { l[i] = uint8(len(e.data) - at); at = len(e.data) }
		e.data = append(e.data, paths[perm[path()]]...)
		done(0)
		e.data = strconv.AppendInt(e.data, int64(size), 10)
		done(1)
		e.data = strconv.AppendFloat(e.data, d, 'f', -1, 64)
		done(2)
		e.data = fmt.Appendf(e.data, "u%d", user())
		done(3)
		e.lens = append(e.lens, l)
	}
	return e
}

// each calls yield with the columns of n events, beginning again at the end.
func (e *benchEvents) each(n int, yield func(i int, v *[4]event.Value)) {
	var v [4]event.Value
	at := 0
	for i := range n {
		k := i % len(e.lens)
		if k == 0 {
			at = 0
		}
		for j, l := range e.lens[k] {
			b := e.data[at : at+int(l) : at+int(l)]
			at += int(l)
			v[j] = event.Value{Kind: event.Number, B: b}
			if j == 0 || j == 3 {
				v[j] = event.PlainValue(b)
			}
		}
		yield(i, &v)
	}
}

var theEvents *benchEvents

func someEvents() *benchEvents {
	if theEvents == nil {
		theEvents = makeEvents(benchLen)
	}
	return theEvents
}

func mustParse(tb testing.TB, list string) []Spec {
	tb.Helper()
	specs, err := Parse(list)
	if err != nil {
		tb.Fatal(err)
	}
	return specs
}

func benchAdd(b *testing.B, list string, args ...int) {
	e := someEvents()
	specs := mustParse(b, list)
	mine := make([]event.Value, len(specs))
	keys := make([]event.Value, 1)
	b.ReportAllocs()
	b.ResetTimer()
	var t *Table
	e.each(b.N, func(i int, v *[4]event.Value) {
		if i%benchLen == 0 {
			t = NewTable(specs, 1, Options{})
		}
		for j, a := range args {
			mine[j] = v[a]
		}
		keys[0] = v[0]
		if err := t.Add(uint64(i), keys, mine); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkNothing is the part of the others that makes the events.
func BenchmarkNothing(b *testing.B) {
	n := 0
	someEvents().each(b.N, func(_ int, v *[4]event.Value) { n += len(v[0].B) })
	_ = n
}

func BenchmarkCount(b *testing.B)     { benchAdd(b, "count", 0) }
func BenchmarkAvg(b *testing.B)       { benchAdd(b, "avg(.bytes)", 1) }
func BenchmarkStddev(b *testing.B)    { benchAdd(b, "stddev(.request_time)", 2) }
func BenchmarkQuantile(b *testing.B)  { benchAdd(b, "p99(.request_time)", 2) }
func BenchmarkQuantiles(b *testing.B) { benchAdd(b, "median(.t),p90(.t),p99(.t)", 2, 2, 2) }
func BenchmarkDistinct(b *testing.B)  { benchAdd(b, "distinct(.user)", 3) }
func BenchmarkMinMax(b *testing.B)    { benchAdd(b, "min(.t),max(.t)", 2, 2) }
func BenchmarkLast(b *testing.B)      { benchAdd(b, "last(.t)", 2) }
func BenchmarkTop(b *testing.B)       { benchAdd(b, "top(.user;3)", 3) }
func BenchmarkGroup(b *testing.B) {
	benchAdd(b, "count,avg(.bytes),p99(.request_time),distinct(.user)", 0, 1, 2, 3)
}

// BenchmarkMerge is the end of a query: two workers' tables become rows.
func BenchmarkMergeRows(b *testing.B) {
	someEvents()
	specs := mustParse(b, "count,avg(.bytes),p99(.request_time),distinct(.user)")
	for b.Loop() {
		b.StopTimer()
		var tables [2]*Table
		for w := range tables {
			tables[w] = NewTable(specs, 1, Options{})
		}
		fill(b, tables[:])
		b.StartTimer()
		if err := tables[0].Merge(tables[1]); err != nil {
			b.Fatal(err)
		}
		n := 0
		if err := tables[0].Rows(Order{Column: ByGroup}, 0, func(Row) error { n++; return nil }); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(n), "rows")
	}
}

// fill divides the events among tables.
func fill(tb testing.TB, tables []*Table) {
	someEvents().each(benchLen, func(i int, v *[4]event.Value) {
		if err := tables[i%len(tables)].Add(uint64(i), v[:1], v[:]); err != nil {
			tb.Fatal(err)
		}
	})
}

func BenchmarkHash(b *testing.B) {
	for _, n := range []int{5, 12, 30, 60, 120} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			buf := make([]byte, n)
			var h uint64
			for b.Loop() {
				h += hashBytes(buf, h)
			}
		})
	}
}

// TestMemory checks the memory that two workers need for a grouping like the
// main benchmark's.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a million events")
	}
	someEvents()
	specs := mustParse(t, "count,avg(.bytes),p99(.request_time),distinct(.user)")
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	tables := [2]*Table{NewTable(specs, 1, Options{}), NewTable(specs, 1, Options{})}
	fill(t, tables[:])
	used := heap() - before
	t.Logf("%d MiB for %d events, %d and %d groups", used>>20, benchLen, tables[0].Len(), tables[1].Len())
	if used > 75<<20 {
		t.Errorf("%d MiB for two tables", used>>20)
	}
	runtime.KeepAlive(tables)
}

// BenchmarkGoMap is the yardstick of BenchmarkCount: a Go map that counts.
func BenchmarkGoMap(b *testing.B) {
	e := someEvents()
	b.ResetTimer()
	var m map[string]*uint64
	e.each(b.N, func(i int, v *[4]event.Value) {
		if i%benchLen == 0 {
			m = make(map[string]*uint64)
		}
		p := m[string(v[0].B)]
		if p == nil {
			p = new(uint64)
			m[string(v[0].B)] = p
		}
		*p++
	})
}
