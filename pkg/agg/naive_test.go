package agg

import (
	"bytes"
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"sort"
	"strings"
	"testing"

	"logtools/pkg/event"
)

// naive is the slow twin of Table: it keeps all events and computes each
// aggregate from its definition, with maps, sorting and math/big.Rat. It knows
// no sketches.
type naive struct {
	specs  []Spec
	events map[string][]naiveEvent // by canonical key
	keys   map[string][]event.Value
}

type naiveEvent struct {
	seq  uint64
	args [][]event.Value // per spec, not null
}

func newNaive(specs []Spec) *naive {
	return &naive{specs, make(map[string][]naiveEvent), make(map[string][]event.Value)}
}

func (t *naive) add(seq uint64, keys []event.Value, args [][]event.Value) bool {
	e := naiveEvent{seq: seq}
	for i, s := range t.specs {
		var kept []event.Value
		for _, v := range args[i] {
			if v.IsNull() {
				continue
			}
			switch s.Func {
			case "sum", "avg", "stddev", "median", "p":
				if v.Kind != event.Number {
					return false
				}
			}
			kept = append(kept, event.RawValue(v.AppendJSON(nil)))
		}
		e.args = append(e.args, kept)
	}
	var key []byte
	var cols []event.Value
	for _, v := range keys {
		cols = append(cols, event.RawValue(v.AppendCanonical(nil)))
		key = append(v.AppendCanonical(key), '\n')
	}
	t.events[string(key)] = append(t.events[string(key)], e)
	t.keys[string(key)] = cols
	return true
}

// ratOf returns the exact value of a number.
func ratOf(v event.Value) *big.Rat {
	r, ok := new(big.Rat).SetString(string(v.AppendJSON(nil)))
	if !ok {
		panic("no number: " + string(v.AppendJSON(nil)))
	}
	return r
}

// result computes an aggregate; numbers are exact where the result must be, and
// otherwise the nearest float64.
func (t *naive) result(events []naiveEvent, i int) string {
	s := t.specs[i]
	slices.SortStableFunc(events, func(a, b naiveEvent) int { return cmp.Compare(a.seq, b.seq) })
	var vals []event.Value
	truths := 0
	for _, e := range events {
		vals = append(vals, e.args[i]...)
		if slices.ContainsFunc(e.args[i], event.Value.Truthy) {
			truths++
		}
	}
	counts := make(map[string]int)
	for _, v := range vals {
		counts[string(v.AppendCanonical(nil))]++
	}
	switch s.Func {
	case "count":
		if s.Expr == "" {
			return fmt.Sprint(len(events))
		}
		return fmt.Sprint(truths)
	case "distinct":
		return fmt.Sprint(len(counts))
	}
	if len(vals) == 0 {
		return "null"
	}
	total, squares := new(big.Rat), new(big.Rat)
	n := new(big.Rat).SetInt64(int64(len(vals)))
	sorted := slices.Clone(vals)
	switch s.Func {
	case "sum", "avg", "stddev":
		for _, v := range vals {
			r := ratOf(v)
			total.Add(total, r)
			squares.Add(squares, r.Mul(r, r))
		}
	default:
		slices.SortFunc(sorted, func(a, b event.Value) int {
			x, y := a.AppendJSON(nil), b.AppendJSON(nil)
			return cmp.Or(event.Compare(a, b), cmp.Compare(len(x), len(y)), bytes.Compare(x, y))
		})
	}
	switch s.Func {
	case "sum":
		if digits, _ := significantDigits(total); digits > sumDigits && !total.IsInt() {
			return naiveRound(total, sumDigits)
		}
		return naiveDecimal(total)
	case "avg":
		avg := new(big.Rat).Quo(total, n)
		if digits, finite := significantDigits(avg); finite && digits <= 20 {
			return naiveDecimal(avg)
		}
		return naiveFloat(new(big.Float).SetPrec(8000).SetRat(avg))
	case "stddev":
		if len(vals) < 2 {
			return "null"
		}
		v := new(big.Rat).Mul(squares, n)
		v.Sub(v, new(big.Rat).Mul(total, total))
		v.Quo(v, new(big.Rat).Mul(n, new(big.Rat).SetInt64(int64(len(vals)-1))))
		return naiveFloat(new(big.Float).Sqrt(new(big.Float).SetPrec(8000).SetRat(v)))
	case "median", "p":
		// The smallest k with k/n ≥ q, by trying.
		q := big.NewRat(int64(s.Q), wholeQ)
		for k := 1; ; k++ {
			if new(big.Rat).SetFrac64(int64(k), int64(len(vals))).Cmp(q) >= 0 {
				return naiveDecimal(ratOf(sorted[k-1]))
			}
		}
	case "min":
		return string(sorted[0].AppendJSON(nil))
	case "max":
		best := sorted[0]
		for _, v := range sorted {
			if event.Compare(v, best) > 0 {
				best = v
			}
		}
		return string(best.AppendJSON(nil))
	case "first":
		return string(vals[0].AppendJSON(nil))
	case "last":
		return string(vals[len(vals)-1].AppendJSON(nil))
	case "collect":
		var texts []string
		for _, v := range vals[:min(len(vals), s.N)] {
			texts = append(texts, string(v.AppendJSON(nil)))
		}
		return "[" + strings.Join(texts, ",") + "]"
	case "top":
		var names []string
		for name := range counts {
			names = append(names, name)
		}
		slices.SortFunc(names, func(a, b string) int {
			return cmp.Or(cmp.Compare(counts[b], counts[a]),
				event.Compare(event.RawValue([]byte(a)), event.RawValue([]byte(b))))
		})
		var texts []string
		for _, name := range names[:min(len(names), s.N)] {
			texts = append(texts, fmt.Sprintf(`{"value":%s,"count":%d}`, name, counts[name]))
		}
		return "[" + strings.Join(texts, ",") + "]"
	}
	panic(s.Func)
}

// naiveDecimal writes a finite decimal in full.
func naiveDecimal(r *big.Rat) string {
	n, finite := r.FloatPrec()
	if !finite {
		panic("not finite")
	}
	return r.FloatString(n)
}

// naiveRound rounds to so many significant digits, half to even.
func naiveRound(r *big.Rat, digits int) string {
	if r.Sign() < 0 {
		return "-" + naiveRound(new(big.Rat).Neg(r), digits)
	}
	ten := big.NewRat(10, 1)
	limit := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil))
	low := new(big.Rat).Quo(limit, ten)
	r = new(big.Rat).Set(r)
	e := 0
	for ; r.Cmp(limit) >= 0; e++ {
		r.Quo(r, ten)
	}
	for ; r.Cmp(low) < 0; e-- {
		r.Mul(r, ten)
	}
	whole := new(big.Int).Quo(r.Num(), r.Denom())
	rest := new(big.Rat).Sub(r, new(big.Rat).SetInt(whole))
	if c := rest.Cmp(big.NewRat(1, 2)); c > 0 || c == 0 && whole.Bit(0) == 1 {
		whole.Add(whole, big.NewInt(1))
	}
	return fmt.Sprintf("%de%d", whole, e)
}

// naiveFloat rounds to the nearest float64, or to 17 digits if there is none
// near.
func naiveFloat(f *big.Float) string {
	if r, _ := f.Float64(); f.Sign() == 0 || inFloatRange(r) {
		return string(event.AppendFloat(nil, r))
	}
	return f.Text('e', 16)
}

func significantDigits(r *big.Rat) (n int, finite bool) {
	places, finite := r.FloatPrec()
	digits := strings.TrimLeft(strings.Replace(r.FloatString(places), ".", "", 1), "-0")
	return len(strings.TrimRight(digits, "0")), finite
}

// rows returns the rows as text: canonical keys, then results, in order.
func (t *naive) rows(o Order, top int) []string {
	type line struct {
		keys []event.Value
		aggs []string
	}
	var lines []line
	for k, events := range t.events {
		l := line{keys: t.keys[k]}
		for i := range t.specs {
			l.aggs = append(l.aggs, t.result(events, i))
		}
		lines = append(lines, l)
	}
	byGroup := func(a, b line) int { return slices.CompareFunc(a.keys, b.keys, event.Compare) }
	sort.Slice(lines, func(i, j int) bool {
		a, b := lines[i], lines[j]
		c := 0
		switch {
		case o.Column == ByGroup:
			c = byGroup(a, b)
		case o.Column < len(a.keys):
			c = event.Compare(a.keys[o.Column], b.keys[o.Column])
		default:
			k := o.Column - len(a.keys)
			c = event.Compare(event.RawValue([]byte(a.aggs[k])), event.RawValue([]byte(b.aggs[k])))
		}
		if o.Desc {
			c = -c
		}
		return cmp.Or(c, byGroup(a, b)) < 0
	})
	var out []string
	for _, l := range lines {
		if top > 0 && len(out) == top {
			break
		}
		out = append(out, rowText(l.keys, l.aggs))
	}
	return out
}

func rowText(keys []event.Value, aggs []string) string {
	var b []byte
	for _, k := range keys {
		b = append(k.AppendCanonical(b), ' ')
	}
	b = append(b, '|')
	for _, a := range aggs {
		b = append(append(b, ' '), a...)
	}
	return string(b)
}

// tableRows is rows of a Table. Numbers that naive writes differently are
// given in its way, if they are equal.
func tableRows(tb testing.TB, t *Table, o Order, top int) (texts []string, rows [][]string) {
	tb.Helper()
	err := t.Rows(o, top, func(r Row) error {
		var aggs []string
		for _, v := range r.Aggs {
			aggs = append(aggs, string(v.AppendJSON(nil)))
		}
		var keys []event.Value
		for _, k := range r.Keys {
			keys = append(keys, event.RawValue(k.AppendJSON(nil)))
		}
		texts = append(texts, rowText(keys, aggs))
		rows = append(rows, aggs)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return texts, rows
}

// sameRows compares rows: numbers by value, all else by their bytes.
func sameRows(got, want string) bool {
	if got == want {
		return true
	}
	g, w := strings.Split(got, " "), strings.Split(want, " ")
	if len(g) != len(w) {
		return false
	}
	for i := range g {
		if g[i] == w[i] {
			continue
		}
		x, ok1 := new(big.Rat).SetString(g[i])
		y, ok2 := new(big.Rat).SetString(w[i])
		if !ok1 || !ok2 || x.Cmp(y) != 0 {
			return false
		}
	}
	return true
}
