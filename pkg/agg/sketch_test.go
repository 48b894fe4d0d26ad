package agg

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"logtools/pkg/event"
)

// split adds values to several tables, divided by by, merges them in that
// order, and returns the only row.
func split(t *testing.T, list string, opts Options, values []event.Value, tables int, by func(i int) int) string {
	t.Helper()
	specs := mustParse(t, list)
	parts := make([]*Table, tables)
	for i := range parts {
		parts[i] = NewTable(specs, 0, opts)
	}
	args := make([]event.Value, len(specs))
	for i, v := range values {
		for j := range args {
			args[j] = v
		}
		if err := parts[by(i)].Add(uint64(i), nil, args); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range parts[1:] {
		if err := parts[0].Merge(p); err != nil {
			t.Fatal(err)
		}
	}
	rows, _ := tableRows(t, parts[0], Order{Column: ByGroup}, 0)
	return strings.Join(rows, "\n")
}

// allWays checks that the result does not depend on how values are divided.
func allWays(t *testing.T, list string, opts Options, values []event.Value) string {
	t.Helper()
	want := split(t, list, opts, values, 1, func(int) int { return 0 })
	r := rand.New(rand.NewPCG(5, uint64(len(values))))
	for name, by := range map[string]func(i int) int{
		"in turn":     func(i int) int { return i % 3 },
		"at random":   func(int) int { return r.IntN(3) },
		"in blocks":   func(i int) int { return 3 * i / len(values) },
		"third first": func(i int) int { return min(3*i/len(values), 1) },
		"most last":   func(i int) int { return min(i/100, 2) },
		"one rare": func(i int) int {
			if i%997 == 0 {
				return 1
			}
			return 2 * (i & 1)
		},
	} {
		if got := split(t, list, opts, values, 3, by); got != want {
			t.Errorf("%s of %d values, divided %s: %s, want %s", list, len(values), name, got, want)
		}
	}
	return strings.TrimPrefix(want, "| ")
}

func floats(n int, f func(i int) float64) []event.Value {
	var vs []event.Value
	for i := range n {
		vs = append(vs, event.RawValue(event.AppendFloat(nil, f(i))))
	}
	return vs
}

// TestQuantileSketch: exact up to 1,000 values, and beyond within 1 % of the
// value, for values of all sizes and signs.
func TestQuantileSketch(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	list := "p0.1(.x),p1(.x),p10(.x),median(.x),p90(.x),p99(.x),p99.9(.x),p99.99(.x),p100(.x)"
	specs := mustParse(t, list)
	for name, f := range map[string]func(int) float64{
		"uniform":   func(int) float64 { return r.Float64() },
		"lognormal": func(int) float64 { return math.Exp(2 * r.NormFloat64()) },
		"normal":    func(int) float64 { return r.NormFloat64() },
		"integers":  func(int) float64 { return float64(r.IntN(100_000) - 1000) },
		"all sizes": func(int) float64 { return math.Pow(10, 600*r.Float64()-300) * float64(1-2*r.IntN(2)) },
		"constant":  func(int) float64 { return 0.1 },
		"zeros":     func(i int) float64 { return float64(i % 2) },
		"negative":  func(int) float64 { return -math.Pow(1-r.Float64(), -1/1.1) },
		"powers":    func(int) float64 { return math.Ldexp(1, r.IntN(40)) },
	} {
		for _, n := range []int{1, 10, 999, 1000, 1001, 20_000} {
			values := floats(n, f)
			got := strings.Fields(allWays(t, list, Options{}, values))
			exact := strings.Fields(allWays(t, list, Options{Exact: true}, values))
			var sorted []float64
			for _, v := range values {
				x, _ := v.Float64()
				sorted = append(sorted, x)
			}
			slices.Sort(sorted)
			for i, s := range specs {
				rank := int(math.Ceil(float64(s.Q)*float64(n)/wholeQ - 1e-9))
				want := sorted[max(rank, 1)-1]
				if e, _ := strconv.ParseFloat(exact[i], 64); e != want {
					t.Errorf("%s: exact %s of %d = %s, want %v", name, s.Name, n, exact[i], want)
				}
				g, err := strconv.ParseFloat(got[i], 64)
				limit := 0.01 * math.Abs(want)
				if n <= 1000 {
					limit = 0
				}
				if err != nil || math.Abs(g-want) > limit {
					t.Errorf("%s: %s of %d = %s, want %v", name, s.Name, n, got[i], want)
				}
			}
		}
	}
}

// TestQuantileHuge: numbers out of the range of float64, and some that only
// decimals tell apart, beyond the exact thousand.
func TestQuantileHuge(t *testing.T) {
	var values []event.Value
	for i := range 3000 {
		lit := fmt.Sprintf("%de%d", i+1, 500-i/3)
		if i%2 == 0 {
			lit = "-" + lit
		}
		values = append(values, event.RawValue([]byte(lit)))
	}
	list := "p1(.x),p25(.x),p75(.x),p100(.x)"
	got := strings.Fields(allWays(t, list, Options{}, values))
	exact := strings.Fields(allWays(t, list, Options{Exact: true}, values))
	for i := range got {
		var gm, em float64
		var ge, ee int
		parse := func(s string) (m float64, e int) {
			mant, exp, _ := strings.Cut(s, "e")
			m, _ = strconv.ParseFloat(mant, 64)
			e, _ = strconv.Atoi(exp)
			return m, e
		}
		gm, ge = parse(got[i])
		em, ee = parse(exact[i])
		gm *= math.Pow(10, float64(ge-ee))
		if math.Abs(gm-em) > 0.01*math.Abs(em) {
			t.Errorf("quantile %d: %s, want %s", i, got[i], exact[i])
		}
	}
	if got[3] != exact[3] {
		t.Errorf("the largest is %s, want %s", got[3], exact[3])
	}
	values = nil
	for range 1500 {
		values = append(values, vals("9007199254740993", "9007199254740992")...)
	}
	if got := allWays(t, "p0.01(.x),p100(.x)", Options{}, values); got != "9007199254740992 9007199254740993" {
		t.Errorf("extremes %s", got)
	}
}

func names(n int) []event.Value {
	var vs []event.Value
	for i := range n {
		vs = append(vs, event.PlainValue(fmt.Appendf(nil, "u%d", i)))
	}
	return vs
}

// TestDistinctSketch: exact up to 10,000 values, beyond that as good as
// promised, and in exact mode always exact.
func TestDistinctSketch(t *testing.T) {
	for _, n := range []int{1, 3, 4, 100, 9_999, 10_000, 10_001, 30_000} {
		// The first half twice, each value twice in a row.
		var values []event.Value
		for i, v := range names(n) {
			if values = append(values, v); i < n/2 {
				values = append(values, v)
			}
		}
		got, _ := strconv.Atoi(allWays(t, "distinct(.x)", Options{}, values))
		limit := 0
		if n > 10_000 {
			limit = n * 25 / 1000 // more than four standard errors
		}
		if got < n-limit || got > n+limit {
			t.Errorf("distinct of %d values = %d", n, got)
		}
		if n > 10_000 && got == n {
			t.Errorf("distinct of %d values is exact", n)
		}
		if got := allWays(t, "distinct(.x)", Options{Exact: true}, values); got != strconv.Itoa(n) {
			t.Errorf("exact distinct of %d values = %s", n, got)
		}
	}
}

// TestSketchError measures the standard error and the bias of sketches.
func TestSketchError(t *testing.T) {
	if testing.Short() {
		t.Skip("fills hundreds of sketches")
	}
	for _, n := range []int{10_001, 60_000, 200_000} {
		const runs = 100
		var sum, sq float64
		var buf [16]byte
		for run := range runs {
			var s sketch
			for i := range n {
				s.add(hashBytes(strconv.AppendInt(buf[:0], int64(run*n+i), 10), fixedSeed))
			}
			e := float64(s.estimate())/float64(n) - 1
			sum += e
			sq += e * e
		}
		bias, stderr := sum/runs, math.Sqrt(sq/runs)
		t.Logf("%d values: standard error %.3f %%, bias %+.3f %%", n, 100*stderr, 100*bias)
		if stderr > 0.008 {
			t.Errorf("%d values: standard error %.3f %%", n, 100*stderr)
		}
		if math.Abs(bias) > 0.0025 { // four times the error of the mean
			t.Errorf("%d values: bias %.3f %%", n, 100*bias)
		}
	}
}

func TestSketchEmpty(t *testing.T) {
	var s sketch
	if n := s.estimate(); n != 0 {
		t.Errorf("nothing counts as %d", n)
	}
	s.add(0)
	s.add(0)
	if n := s.estimate(); n != 1 {
		t.Errorf("one value counts as %d", n)
	}
	for i := range s.registers {
		s.registers[i] = maxRun
	}
	if n := s.estimate(); n < 1<<60 {
		t.Errorf("full registers count as %d", n)
	}
}

func TestNearestRank(t *testing.T) {
	for _, c := range []struct {
		n    uint64
		p    string
		want uint64
	}{
		{1, "50", 1}, {2, "50", 1}, {3, "50", 2}, {1000, "99.9", 999}, {1000, "99.91", 1000}, {10, "100", 10},
		{100, "1", 1}, {100, "1.000000001", 2}, {3, "0.000000001", 1}, {1 << 62, "50", 1 << 61}, {1 << 63, "100", 1 << 63},
	} {
		q, ok := parsePercent(c.p)
		if got := nearestRank(c.n, q); !ok || got != c.want {
			t.Errorf("p%s of %d is the value number %d, want %d", c.p, c.n, got, c.want)
		}
	}
}
