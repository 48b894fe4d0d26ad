package agg

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"logtools/pkg/event"
)

// numbers and others are what random events are made of: spellings of equal
// values, numbers that need big integers, floats of all sizes.
var (
	numbers = []string{"0", "-0", "0.0", "1", "1.0", "1e0", "10e-1", "2", "3", "0.1", "0.2", "0.30", "-1", "-2.5", "1e300", "-1e300", "1e-300",
		"5e-324", "9007199254740993", "9007199254740992", "9223372036854775807", "-9223372036854775808", "123456789012345678901234567890",
		"0.1234567890123456789012", "1e22", "1e21", "99999999999999999999", "1E+2", "100", "1e19", "0.000001", "12.3456", "0.05", "7e-7",
		"4e500", "-4e500", "3e-500"}
	others = []string{"null", "true", "false", `"a"`, `"\u0061"`, `"b"`, `"é"`, `"\u00e9"`, `"12345678a"`, `"12345678b"`, `""`, `"\n"`, `"1"`, `"a\"b"`,
		`[]`, `[1]`, `[1.0]`, `{"a":1,"b":2}`, `{"b":2,"a":1.0}`, `{"a":1}`, `"` + strings.Repeat("long", 40) + `"`}
)

// forms returns v as some other form of the same value, if there is one.
func forms(r *rand.Rand, text string) event.Value {
	if text == "" {
		return event.Value{}
	}
	v := event.RawValue([]byte(text))
	switch {
	case r.IntN(2) == 0:
	case v.Kind == event.String:
		return event.TextValue(v.AppendText(nil))
	case v.Kind == event.Number:
		if n, ok := v.Int(); ok {
			if f := float64(n); int64(f) == n && n < 1<<53 && n > -1<<53 && r.IntN(2) == 0 {
				return event.FloatValue(f)
			}
			return event.IntValue(n)
		}
	}
	return v
}

func pick(r *rand.Rand, lists ...[]string) string {
	list := lists[r.IntN(len(lists))]
	if r.IntN(12) == 0 {
		return ""
	}
	return list[r.IntN(len(list))]
}

const everything = "count,count(.any),sum(.num),avg(.num),stddev(.num),median(.num),p1(.num),p99.9(.num),p100(.num)," +
	"min(.any),max(.any),lo=min(.num),hi=max(.num),distinct(.any),first(.any),last(.any),top(.any;3),collect(.any;4)"

// TestAgainstNaive adds random events, divided at random among tables that are
// merged in random order, and compares with the slow twin. Once in a while a
// value of .num is no number: such an event is bad.
func TestAgainstNaive(t *testing.T) {
	rounds := 150
	if testing.Short() {
		rounds = 30
	}
	specs := mustParse(t, everything)
	for round := range rounds {
		r := rand.New(rand.NewPCG(uint64(round), 1))
		compareRandom(t, r, specs, round%3, r.IntN(400), Options{Exact: round%4 == 0})
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
}

func compareRandom(t *testing.T, r *rand.Rand, specs []Spec, columns, events int, opts Options) {
	t.Helper()
	slow := newNaive(specs)
	tables := make([]*Table, 1+r.IntN(4))
	for i := range tables {
		tables[i] = NewTable(specs, columns, opts)
	}
	nums := numbers
	if r.IntN(2) == 0 { // without the values whose sums have thousands of digits
		nums = numbers[:14]
	}
	seqs := r.Perm(events)
	few := 1 + r.IntN(len(others))
	for _, seq := range seqs {
		var keys []event.Value
		for range columns {
			keys = append(keys, forms(r, pick(r, numbers[:few], others[:few])))
		}
		several := r.IntN(5) == 0
		num, any := []event.Value{forms(r, pick(r, nums))}, []event.Value{forms(r, pick(r, numbers, others))}
		if r.IntN(40) == 0 {
			num[0] = forms(r, pick(r, others))
		}
		if several {
			for range r.IntN(4) {
				num = append(num, forms(r, pick(r, nums)))
				any = append(any, forms(r, pick(r, numbers, others)))
			}
			if r.IntN(4) == 0 {
				num, any = nil, nil
			}
		}
		multi := make([][]event.Value, len(specs))
		args := make([]event.Value, len(specs))
		for i, s := range specs {
			switch s.Expr {
			case ".num":
				multi[i] = num
			case ".any":
				multi[i] = any
			}
			if !several && multi[i] != nil {
				args[i] = multi[i][0]
			}
		}
		table := tables[r.IntN(len(tables))]
		var err error
		if several {
			err = table.AddMulti(uint64(seq), keys, multi)
		} else {
			err = table.Add(uint64(seq), keys, args)
		}
		if ok := slow.add(uint64(seq), keys, multi); ok != (err == nil) {
			t.Fatalf("error %v, naive takes it: %v", err, ok)
		}
		var bad *event.BadError
		if err != nil && !errors.As(err, &bad) {
			t.Fatalf("error is no BadError: %v", err)
		}
		scribble(keys, args, multi)
		if r.IntN(100) == 0 {
			table.Flush()
		}
	}
	for len(tables) > 1 {
		i := r.IntN(len(tables) - 1)
		if err := tables[i].Merge(tables[len(tables)-1]); err != nil {
			t.Fatal(err)
		}
		tables = tables[:len(tables)-1]
	}
	table := tables[0]
	if opts.Memory == nil && table.Len() != len(slow.events) {
		t.Fatalf("%d groups, want %d", table.Len(), len(slow.events))
	}
	o := Order{Column: r.IntN(columns+1+len(specs)) - 1, Desc: r.IntN(2) == 0}
	top := 0
	if r.IntN(2) == 0 {
		top = 1 + r.IntN(10)
	}
	got, _ := tableRows(t, table, o, top)
	want := slow.rows(o, top)
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for i := range got {
		if !sameRows(got[i], want[i]) {
			t.Errorf("order %+v top %d row %d:\n got %s\nwant %s", o, top, i, got[i], want[i])
			return
		}
	}
}

// scribble overwrites the memory of values: Add must not have kept any.
func scribble(keys, args []event.Value, multi [][]event.Value) {
	spoil := func(vs []event.Value) {
		for i := range vs {
			copy(vs[i].B, strings.Repeat("7", len(vs[i].B)))
		}
	}
	spoil(keys)
	spoil(args)
	for _, vs := range multi {
		spoil(vs)
	}
}

func vals(texts ...string) []event.Value {
	var vs []event.Value
	for _, s := range texts {
		vs = append(vs, event.RawValue([]byte(s)))
	}
	return vs
}

// one aggregates values without groups.
func one(t *testing.T, list string, opts Options, values ...string) []string {
	t.Helper()
	specs := mustParse(t, list)
	table := NewTable(specs, 0, opts)
	for i, v := range vals(values...) {
		args := make([]event.Value, len(specs))
		for j := range args {
			args[j] = v
		}
		if err := table.Add(uint64(i), nil, args); err != nil {
			t.Fatal(err)
		}
	}
	_, rows := tableRows(t, table, Order{Column: ByGroup}, 0)
	if len(rows) != 1 {
		t.Fatalf("%d rows", len(rows))
	}
	return rows[0]
}

func TestResults(t *testing.T) {
	for _, c := range []struct {
		list   string
		values []string
		want   string
	}{
		{"sum(.x)", []string{"0.1", "0.2"}, "0.3"},
		{"sum(.x)", []string{"1e300", "1", "-1e300"}, "1"},
		{"sum(.x)", []string{"1e300", "1e300"}, "2e+300"},
		{"sum(.x)", []string{"9223372036854775807", "1"}, "9223372036854775808"},
		{"sum(.x)", []string{"99999999999999999999999", "2"}, "100000000000000000000001"},
		{"sum(.x)", []string{"1e22"}, "1e+22"},
		{"sum(.x)", []string{"12e20"}, "1200000000000000000000"},
		{"sum(.x)", []string{"1e-40", "1"}, "1"},
		{"sum(.x)", []string{"1e-39", "1"}, "1.000000000000000000000000000000000000001"},
		{"sum(.x)", []string{"2.5e-40", "1e-39", "1"}, "1.000000000000000000000000000000000000001"},
		{"sum(.x)", []string{"5e-40", "1e-39", "1"}, "1.000000000000000000000000000000000000002"},
		{"sum(.x)", []string{"5e-40", "2e-39", "1"}, "1.000000000000000000000000000000000000002"},
		{"sum(.x)", []string{"null"}, "null"},
		{"sum(.x)", []string{"-0", "0"}, "0"},
		{"avg(.x)", []string{"1", "2"}, "1.5"},
		{"avg(.x)", []string{"1", "0", "0"}, "0.3333333333333333"},
		{"avg(.x)", []string{"1700000000123456789", "1700000000123456789"}, "1700000000123456789"},
		{"avg(.x)", []string{"-1", "-1", "0", "null"}, "-0.6666666666666666"},
		{"avg(.x)", []string{"4e500", "4e500", "2e500"}, "3.3333333333333333e+500"},
		{"avg(.x)", []string{"1e300", "-1e300", "1"}, "0.3333333333333333"},
		{"stddev(.x)", []string{"1"}, "null"},
		{"stddev(.x)", []string{"1", "2", "3", "4"}, "1.2909944487358056"},
		{"stddev(.x)", []string{"1e15", "1000000000000001", "1000000000000002"}, "1"},
		{"stddev(.x)", []string{"5", "5"}, "0"},
		{"stddev(.x)", []string{"4e500", "-4e500"}, "5.6568542494923802e+500"},
		{"median(.x)", []string{"9007199254740993"}, "9007199254740993"},
		{"median(.x)", []string{"9007199254740993", "9007199254740992", "9007199254740994"}, "9007199254740993"},
		{"median(.x)", []string{"4", "1", "3", "2"}, "2"},
		{"p100(.x),p50.1(.x)", []string{"4", "1", "3", "2"}, "4 3"},
		{"median(.x)", []string{"0.1234567890123456789012"}, "0.1234567890123456789012"},
		{"min(.x),max(.x)", []string{"1.00", "1", "0.5", `"a"`, "0.50"}, `0.5 "a"`},
		{"distinct(.x)", []string{"1", "1.0", "1e0", `"1"`, `"\u0031"`, "null", "true"}, "3"},
		{"distinct(.x)", []string{"[1]", `"[1]"`, "true", `"true"`, "123456789012345678901", `"123456789012345678901"`}, "6"},
		{"distinct(.x),count(.x),first(.x),top(.x;1),collect(.x;1)", []string{"null"}, "0 0 null null null"},
		{"top(.x;2)", []string{"2", "1", "1.0", "2", "3"}, `[{"value":1,"count":2},{"value":2,"count":2}]`},
		{"collect(.x;2)", []string{"1.0", "null", "[1, 2]", "3"}, `[1.0,[1, 2]]`},
		{"first(.x),last(.x)", []string{"null", "1.0", `"b"`, "null"}, `1.0 "b"`},
	} {
		if got := strings.Join(one(t, c.list, Options{}, c.values...), " "); got != c.want {
			t.Errorf("%s of %s = %s, want %s", c.list, c.values, got, c.want)
		}
	}
}

func TestBadEvents(t *testing.T) {
	long := strings.Repeat("é", 100)
	for _, c := range []struct{ list, value, want string }{
		{"sum(.x)", `"abc"`, `sum(.x) of a value that is no number: string "abc"`},
		{"max(.x),p99( .x )", `true`, `p99( .x ) of a value that is no number: boolean true`},
		{"avg(.x)", `[1]`, `avg(.x) of a value that is no number: array [1]`},
		{"sum(.x)", `"` + long + `"`, `sum(.x) of a value that is no number: string "` + long[:36] + `...`},
		{"sum(.x)", "1e10001", `sum(.x) of a number with more than 10000 digits`},
		{"stddev(.x)", "1e-99999999999999999999", `stddev(.x) of a number with more than 10000 digits`},
		{"median(.x)", strings.Repeat("1", 10001), `median(.x) of a number with more than 10000 digits`},
	} {
		specs := mustParse(t, "count,last(.y),"+c.list)
		table := NewTable(specs, 0, Options{})
		args := make([]event.Value, len(specs))
		args[1] = event.RawValue([]byte("1"))
		for i := 2; i < len(args); i++ {
			args[i] = event.RawValue([]byte(c.value))
		}
		err := table.Add(1, nil, args)
		var bad *event.BadError
		if !errors.As(err, &bad) || bad.Reason != c.want {
			t.Errorf("%s of %.30s: error %v, want %s", c.list, c.value, err, c.want)
		}
		if table.Len() != 0 {
			t.Errorf("%s of %.30s: the bad event made a group", c.list, c.value)
		}
	}
	// At the limits.
	big := strings.Repeat("9", maxDigits)
	if got := one(t, "sum(.x)", Options{}, big, "1")[0]; got != "1e+10000" {
		t.Errorf("sum = %.40s", got)
	}
	if got := one(t, "stddev(.x)", Options{}, "1e10000", "-1e10000")[0]; !strings.HasSuffix(got, "e+10000") {
		t.Errorf("stddev = %s", got)
	}
	if got := one(t, "sum(.x)", Options{}, "0e99999999999", "1")[0]; got != "1" {
		t.Errorf("sum = %s", got)
	}
}

// TestBadKeepsOthers: an event refused by one aggregate is in no other, also
// after good ones in the same batch.
func TestBadKeepsOthers(t *testing.T) {
	specs := mustParse(t, "count,last(.y),sum(.x)")
	table := NewTable(specs, 1, Options{})
	add := func(key, y, x string) error {
		return table.Add(1, vals(key), []event.Value{{}, vals(y)[0], vals(x)[0]})
	}
	if err := add(`"a"`, "1", "2"); err != nil {
		t.Fatal(err)
	}
	if err := add(`"a"`, "7", `"x"`); err == nil {
		t.Fatal("no error")
	}
	if err := add(`"b"`, "3", "4"); err != nil {
		t.Fatal(err)
	}
	for range 10_000 {
		if err := add(`"a"`, `"`+strings.Repeat("x", 1000)+`"`, `"x"`); err == nil {
			t.Fatal("no error")
		}
	}
	if n := len(table.batch.buf); n > 100 {
		t.Errorf("bad events left %d bytes", n)
	}
	got, _ := tableRows(t, table, Order{Column: ByGroup}, 0)
	if want := []string{`"a" | 1 1 2`, `"b" | 1 3 4`}; !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
}

// TestSharing: states are shared for the same EXPR only.
func TestSharing(t *testing.T) {
	specs := mustParse(t, "sum(.x),avg(.y),avg(.x),median(.x),p50(.y),top(.x;1),t=top(.x;2)")
	table := NewTable(specs, 0, Options{})
	if len(table.states) != 6 {
		t.Errorf("%d states", len(table.states))
	}
	for i := range 2 {
		args := make([]event.Value, len(specs))
		for j, s := range specs {
			args[j] = event.IntValue(int64(i))
			if s.Expr == ".y" {
				args[j] = event.IntValue(7)
			}
		}
		if err := table.Add(uint64(i), nil, args); err != nil {
			t.Fatal(err)
		}
	}
	got, _ := tableRows(t, table, Order{Column: ByGroup}, 0)
	want := `| 1 7 0.5 0 7 [{"value":0,"count":1}] [{"value":0,"count":1},{"value":1,"count":1}]`
	if len(got) != 1 || got[0] != want {
		t.Errorf("rows %q, want %q", got, want)
	}
}

// TestOrder: each order, with all rows and with the first ones only.
func TestOrder(t *testing.T) {
	table := NewTable(mustParse(t, "sum(.x)"), 2, Options{})
	for i, row := range []string{`1 "b" 5`, `1 "a" 5`, `2 "a" null`, `"x" "a" 0.1`, `null "c" 0.10000000000000000001`, `[1] "b" -3`} {
		f := strings.Fields(row)
		if err := table.Add(uint64(i), vals(f[:2]...), vals(f[2])); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		o    Order
		want string
	}{
		{Order{Column: ByGroup}, `null "c"; 1 "a"; 1 "b"; 2 "a"; "x" "a"; [1] "b"`},
		{Order{Column: ByGroup, Desc: true}, `[1] "b"; "x" "a"; 2 "a"; 1 "b"; 1 "a"; null "c"`},
		{Order{Column: 0}, `null "c"; 1 "a"; 1 "b"; 2 "a"; "x" "a"; [1] "b"`},
		{Order{Column: 0, Desc: true}, `[1] "b"; "x" "a"; 2 "a"; 1 "a"; 1 "b"; null "c"`},
		{Order{Column: 1}, `1 "a"; 2 "a"; "x" "a"; 1 "b"; [1] "b"; null "c"`},
		{Order{Column: 1, Desc: true}, `null "c"; 1 "b"; [1] "b"; 1 "a"; 2 "a"; "x" "a"`},
		{Order{Column: 2}, `2 "a"; [1] "b"; "x" "a"; null "c"; 1 "a"; 1 "b"`},
		{Order{Column: 2, Desc: true}, `1 "a"; 1 "b"; null "c"; "x" "a"; [1] "b"; 2 "a"`},
	} {
		want := strings.Split(c.want, "; ")
		for top := range len(want) + 2 {
			rows, _ := tableRows(t, table, c.o, top)
			var got []string
			for _, r := range rows {
				keys, _, _ := strings.Cut(r, " |")
				got = append(got, keys)
			}
			some := want
			if top > 0 {
				some = want[:min(top, len(want))]
			}
			if !slices.Equal(got, some) {
				t.Errorf("%+v, first %d: %q, want %q", c.o, top, got, some)
			}
		}
	}
}

// TestHashCollision: keys are compared, not only their hashes.
func TestHashCollision(t *testing.T) {
	var x index
	var keys []shortKey
	for _, key := range []string{"aa", "bb", "cc", "aa", "ab", "a"} {
		var k shortKey
		k.set([]byte(key), 0)
		keys = append(keys, k)
	}
	ids := make([]uint32, len(keys))
	for range 2 {
		x.findAll(ids, []uint64{5, 5, 5, 5, 5, 5}, keys, nil)
		if want := []uint32{0, 1, 2, 0, 3, 4}; !slices.Equal(ids, want) {
			t.Fatalf("ids %v, want %v", ids, want)
		}
	}
	if id := x.find(5, []byte("bb")); id != 1 || x.n != 5 {
		t.Errorf("bb is %d of %d", id, x.n)
	}
	if n := x.entries.at(0).n; n != 4 {
		t.Errorf("aa was counted %d times", n)
	}
}

// TestManyGroups compares counting by many keys with a Go map, with growth,
// merging, and keys of all lengths.
func TestManyGroups(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	specs := mustParse(t, "count,sum(.x)")
	tables := [2]*Table{NewTable(specs, 1, Options{}), NewTable(specs, 1, Options{})}
	want := make(map[string]int)
	for i := range 200_000 {
		k := r.IntN(1 + r.IntN(60_000))
		key := fmt.Sprint(k, strings.Repeat("x", k%300))
		want[key]++
		args := []event.Value{{}, event.IntValue(2)}
		if err := tables[i&1].Add(uint64(i), []event.Value{event.PlainValue([]byte(key))}, args); err != nil {
			t.Fatal(err)
		}
	}
	if err := tables[0].Merge(tables[1]); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int)
	last := ""
	err := tables[0].Rows(Order{Column: ByGroup}, 0, func(row Row) error {
		key := string(row.Keys[0].AppendText(nil))
		if len(got) > 0 && key <= last {
			t.Fatalf("%q after %q", key, last)
		}
		last = key
		n, _ := row.Aggs[0].Int()
		sum, _ := row.Aggs[1].Int()
		if sum != 2*n {
			t.Fatalf("sum %d of %d events", sum, n)
		}
		got[key] = int(n)
		return nil
	})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%d groups, want %d; error %v", len(got), len(want), err)
	}
}

// TestHugeEvents: keys and values larger than a batch's buffer.
func TestHugeEvents(t *testing.T) {
	specs := mustParse(t, "last(.x),min(.x),top(.x;2)")
	table := NewTable(specs, 2, Options{})
	for i := range 20 {
		big := event.PlainValue([]byte(strings.Repeat(string(rune('a'+i%3)), 600_000+i%3)))
		if err := table.Add(uint64(i), []event.Value{big, event.IntValue(1)}, []event.Value{big, big, big}); err != nil {
			t.Fatal(err)
		}
	}
	if cap(table.batch.buf) > 8*maxPending {
		t.Errorf("keeps a buffer of %d bytes", cap(table.batch.buf))
	}
	n := 0
	err := table.Rows(Order{Column: 0, Desc: true}, 0, func(r Row) error {
		want := 600_000 + 2 - n
		if len(r.Keys[0].B) != want || len(r.Aggs[0].B) != want || r.Keys[0].B[7] != "cba"[n] {
			t.Errorf("row %d has a key of %d bytes", n, len(r.Keys[0].B))
		}
		n++
		return nil
	})
	if err != nil || n != 3 {
		t.Errorf("%d rows, error %v", n, err)
	}
}

func TestRowsStop(t *testing.T) {
	table := NewTable(mustParse(t, "count"), 1, Options{})
	if err := table.Rows(Order{Column: ByGroup}, 0, func(Row) error { t.Error("a row of nothing"); return nil }); err != nil {
		t.Error(err)
	}
	for i := range 5 {
		if err := table.Add(uint64(i), []event.Value{event.IntValue(int64(i))}, []event.Value{{}}); err != nil {
			t.Fatal(err)
		}
	}
	stop, n := errors.New("stop"), 0
	err := table.Rows(Order{Column: ByGroup}, 0, func(Row) error {
		if n++; n == 2 {
			return stop
		}
		return nil
	})
	if err != stop || n != 2 {
		t.Errorf("error %v after %d rows", err, n)
	}
}

// TestNoGarbage: no allocation per event once the groups are there.
func TestNoGarbage(t *testing.T) {
	specs := mustParse(t, everything)
	table := NewTable(specs, 2, Options{})
	keys := []event.Value{event.PlainValue([]byte("/index.html")), event.RawValue([]byte("12.50"))}
	args := make([]event.Value, len(specs))
	for i := range args {
		args[i] = event.RawValue([]byte("0.25"))
	}
	seq := uint64(0)
	add := func() {
		seq++
		if err := table.Add(seq, keys, args); err != nil {
			t.Fatal(err)
		}
	}
	for range 5000 {
		add()
	}
	if n := testing.AllocsPerRun(5000, add); n != 0 {
		t.Errorf("%v allocations per event", n)
	}
}

func FuzzTable(f *testing.F) {
	for i := range 8 {
		f.Add(uint64(i), uint16(50*i))
	}
	specs, err := Parse(everything)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, seed uint64, n uint16) {
		r := rand.New(rand.NewPCG(seed, 2))
		compareRandom(t, r, specs, int(seed%4), int(n%500), Options{Exact: seed%3 == 0})
	})
}
