package expr

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"logtools/pkg/event"
)

// ofEvent makes a fold of a program: what the rest of the envelope gave comes from
// $e, and so do some of the members.
func (g *maker) ofEvent(src string) string {
	src = strings.NewReplacer("$event", "$e", "$time", "$e.t", "$offset", "$e.n", "$partition", "$e.m", "$log", "$e.s", "$headers", "$e.o").Replace(src)
	return memberAlone.ReplaceAllStringFunc(src, func(m string) string {
		if g.IntN(3) == 0 {
			return m[:1] + "$e" + m[1:]
		}
		return m
	})
}

var memberAlone = regexp.MustCompile(`[ (|,]\.[a-z]\b`)

// foldHarness runs a fold in both engines.
type foldHarness struct {
	fast, slow *Fold
	fields     *event.Fields
	values     *event.Reader
	a, b       *Runner
	ran, raw   int
}

func newFoldHarness(src string) (*foldHarness, error) {
	h := &foldHarness{fields: new(event.Fields), a: NewRunner(), b: NewRunner()}
	f, err := CompileFold(src, h.fields)
	if err != nil {
		return nil, err
	}
	slow := *f
	slow.raw = nil
	h.fast, h.slow = f, &slow
	h.values = event.NewReader(h.fields, event.ValuesOnly)
	return h, nil
}

// event reads an event's key and value; nil if one is none.
func (h *foldHarness) event(key, line string) *event.Event {
	ev := new(event.Event)
	ev.Reset(h.fields.Len())
	if h.values.Read([]byte(line), ev) != nil {
		return nil
	}
	ev.SetKey(h.value(key))
	return ev
}

// value reads a line as a value; Missing if it is none.
func (h *foldHarness) value(line string) event.Value {
	var ev event.Event
	ev.Reset(h.fields.Len())
	if h.values.Read([]byte(line), &ev) != nil {
		return event.Value{}
	}
	return ev.Value()
}

// check says what differs.
func (h *foldHarness) check(key, state, line string) string {
	s, e, o := h.value(state), h.event(key, line), h.event(key, state)
	if e == nil || o == nil {
		return ""
	}
	h.a.Reset()
	h.b.Reset()
	h.ran++
	if h.fast.raw != nil {
		h.a.ev = e
		if _, st := h.fast.raw.next(h.a, present(s)); st == sOK {
			h.raw++
		}
		h.a.Reset()
	}
	x, err := h.fast.Next(h.a, s, e)
	got := show([]event.Value{x}, err)
	y, err := h.slow.Next(h.b, s, e)
	if want := show([]event.Value{y}, err); got != want {
		return fmt.Sprintf("got  %s\nwant %s", got, want)
	}
	// Another run does not change the result of this one.
	if _, err2 := h.fast.Next(h.a, e.Value(), o); err == nil && err2 == nil && show([]event.Value{x}, nil) != got {
		return "the result changed while the fold ran again"
	}
	return ""
}

func TestFoldEnginesAgree(t *testing.T) {
	rounds := 2_000
	if testing.Short() {
		rounds = 500
	}
	fast, ran, raw, given := 0, 0, 0, 0
	for seed := range rounds {
		g := &maker{rand.New(rand.NewPCG(uint64(seed), 2))}
		src := g.ofEvent(g.program())
		h, err := newFoldHarness(src)
		if err != nil {
			t.Fatalf("seed %d: %s: %v", seed, src, err)
		}
		if h.fast.Fast() {
			fast++
		}
		if h.fast.Uses(varE) {
			given++
		}
		for range 6 {
			key, state, e := pick(g, `"k"`, "1", `{"a":1}`, ""), g.line(), g.line()
			if diff := h.check(key, state, e); diff != "" {
				t.Errorf("seed %d: %s\non   %s\nand  %s\n%s", seed, src, state, e, diff)
			}
		}
		ran += h.ran
		raw += h.raw
	}
	t.Logf("%d of %d folds are fast, %d use $e; of %d runs %d were raw", fast, rounds, given, ran, raw)
	if fast < rounds*7/10 || given < rounds/3 || raw < ran/4 {
		t.Errorf("the raw engine is hardly tested")
	}
}

func FuzzFoldEnginesAgree(f *testing.F) {
	for i := range uint64(50) {
		f.Add(i, i)
	}
	f.Fuzz(func(t *testing.T, x, y uint64) {
		g := &maker{rand.New(rand.NewPCG(x, y))}
		src := g.ofEvent(g.program())
		h, err := newFoldHarness(src)
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		for range 4 {
			state, e := g.line(), g.line()
			if diff := h.check(`"k"`, state, e); diff != "" {
				t.Errorf("%s\non   %s\nand  %s\n%s", src, state, e, diff)
			}
		}
	})
}

func TestFold(t *testing.T) {
	for _, tt := range []struct{ src, state, e, want string }{
		{". + $e.amount", "5", `{"amount":-7}`, "-2"},
		{". + $e.amount", "5", `{"amount":0.5}`, "5.5"},
		{". + $e.amount", "5", `{}`, "5"},
		{". + $e.amount", "null", `{"amount":9223372036854775807}`, "9223372036854775807"},
		{". + $e.amount", "1", `{"amount":9223372036854775807}`, "9223372036854775808"},
		{". + $e.amount", "5", `{"amount":"x"}`, `error: cannot add: number (5) and string ("x")`},
		{". + $e.amount", "5", `[1]`, `error: expected an object but got: array ([1])`},
		{"$e", "5", `{"a":[1,{"b":null}]}`, `{"a":[1,{"b":null}]}`},
		{".", `{"b":1,"a":2}`, "null", `{"a":2,"b":1}`},
		{"$key", "1", "2", `"k"`},
		{".n += 1 | .last = $e.t", `{"n":1}`, `{"t":"x"}`, `{"last":"x","n":2}`},
		{"if $e.op == \"set\" then $e.v else . end", "1", `{"op":"set","v":null}`, "null"},
		{"reduce $e.all[] as $x (.; . + $x)", "1", `{"all":[2,3]}`, "6"},
		{"1 as $e | . + $e", "1", `7`, "2"},
		{"$e | group_by(.a) | length", "1", `[{"a":1},{"a":2},{"a":1}]`, "2"},
		{"def f: . + $e; f", "1", "2", "3"},
		{"empty", "1", "2", "error: expected exactly one result, got 0"},
		{"., $e", "1", "2", "error: expected exactly one result, got 2"},
		{"error", `"no"`, "2", `error: error: no`},
		{"error($e)", "1", `"no"`, `error: error: no`},
	} {
		h, err := newFoldHarness(tt.src)
		if err != nil {
			t.Errorf("%s: %v", tt.src, err)
			continue
		}
		for _, f := range []*Fold{h.fast, h.slow} {
			v, err := f.Next(h.a, h.value(tt.state), h.event(`"k"`, tt.e))
			if got := strings.TrimSpace(show([]event.Value{v}, err)); got != tt.want {
				t.Errorf("%s on %s, %s: %s, want %s", tt.src, tt.state, tt.e, got, tt.want)
			}
		}
	}
}

func TestFoldSyntax(t *testing.T) {
	for _, tt := range []struct {
		src, msg string
		at       int
	}{
		{". + $time", "$time is not available in a fold", 4},
		{"$offset", "$offset is not available in a fold", 0},
		{"[$partition]", "$partition is not available in a fold", 1},
		{".a = $log", "$log is not available in a fold", 5},
		{"$headers", "$headers is not available in a fold", 0},
		{"$event", "$event is not available in a fold", 0},
		{"$f", "variable not defined: $f", 0},
		{"input", "input is not available here", 0},
		{". +", "unexpected EOF", 3},
	} {
		_, err := CompileFold(tt.src, new(event.Fields))
		var se *SyntaxError
		if !errors.As(err, &se) || !strings.Contains(se.Msg, tt.msg) || se.Offset != tt.at {
			t.Errorf("%s: %v (%+v), want %s at %d", tt.src, err, se, tt.msg, tt.at)
		}
	}
	if _, err := CompileFold("1 as $time | $time", new(event.Fields)); err != nil {
		t.Errorf("a variable of its own: %v", err)
	}
	if _, err := Compile("$e", new(event.Fields)); err == nil || !strings.Contains(err.Error(), "variable not defined: $e") {
		t.Errorf("$e in a program: %v", err)
	}
	f, err := CompileFold("now + $e.a", new(event.Fields))
	if err != nil || !f.Uses("now") || !f.Uses("$e") || f.Uses("$key") || f.Uses("a") {
		t.Errorf("uses: %v, %+v", err, f)
	}
	p, err := Compile("{$key, a: localtime}", new(event.Fields))
	if err != nil || !p.Uses("$key") || !p.Uses("localtime") || p.Uses("key") {
		t.Errorf("uses: %v, %+v", err, p)
	}
}

func TestNormal(t *testing.T) {
	for _, tt := range []struct{ src, want string }{
		{".a", ".a"}, {" .a ", ".a"}, {". a", ""}, {".a+1 # one", ".a + 1"}, {".+$e . a", ""}, {". + $e.amount", ". + $e.amount"},
		{".+$e.amount", ". + $e.amount"}, {"", "."}, {"  ", "."}, {"# x", "."}, {"(.a)", "(.a)"}, {`."a"`, `."a"`}, {".[", ""},
	} {
		got, err := Normal(tt.src)
		if got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%q: %q, %v, want %q", tt.src, got, err, tt.want)
		}
	}
	for seed := range uint64(300) {
		src := (&maker{rand.New(rand.NewPCG(seed, 3))}).program()
		one, err := Normal(src)
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		if two, err := Normal(one); err != nil || two != one {
			t.Errorf("%s is %s, and that is %s, %v", src, one, two, err)
		}
		h, err := newHarness(src)
		if err != nil {
			t.Fatal(err)
		}
		again, err := newHarness(one)
		if err != nil {
			t.Errorf("%s: %s does not compile: %v", src, one, err)
			continue
		}
		g := &maker{rand.New(rand.NewPCG(seed, 4))}
		for range 3 {
			if line := g.line(); h.read(line) && again.read(line) {
				h.a.Reset()
				again.a.Reset()
				if x, y := show(h.slow.Run(h.a, &h.ev)), show(again.slow.Run(again.a, &again.ev)); x != y {
					t.Errorf("%s gives %s on %s, but %s gives %s", src, x, line, one, y)
				}
			}
		}
	}
}

func BenchmarkFold(b *testing.B) {
	for _, src := range []string{". + $e.amount", ".sum += $e.amount | .n += 1", "{sum: (.sum + $e.amount), last: $e.id}"} {
		b.Run(src, func(b *testing.B) {
			h, err := newFoldHarness(src)
			if err != nil {
				b.Fatal(err)
			}
			if !h.fast.Fast() {
				b.Fatal("not fast")
			}
			state := h.value("1200")
			if src[1] != ' ' {
				state = h.value(`{"sum":1200,"n":3,"last":"x"}`)
			}
			e := h.event("", `{"id":"a1b2c3d4","account":"acc-17","amount":-12,"note":"`+strings.Repeat("lorem ", 40)+`"}`)
			b.ReportAllocs()
			for b.Loop() {
				h.a.Reset()
				if _, err := h.fast.Next(h.a, state, e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
