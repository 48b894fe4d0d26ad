package expr

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"logtools/pkg/event"
)

// The two engines must agree on every program and every input. Programs are
// generated from the grammar that the raw engine covers (and a bit more),
// inputs so that they fit the programs, with everything that is odd about JSON.

// harness runs a program in both engines over inputs.
type harness struct {
	fields *event.Fields
	fast   *Program // as compiled
	slow   *Program // the same without the raw engine
	reader *event.Reader
	ev     event.Event
	a, b   *Runner
	ran    int
	raw    int // of these in the raw engine to the end
	idle   int // left to gojq although there was no error
}

func newHarness(src string) (*harness, error) {
	h := &harness{fields: new(event.Fields), a: NewRunner(), b: NewRunner()}
	var err error
	if h.fast, err = Compile(src, h.fields); err != nil {
		return nil, err
	}
	if h.slow, err = compileSlowOnly(src, h.fields); err != nil {
		return nil, err
	}
	h.reader = event.NewReader(h.fields, event.Auto)
	return h, nil
}

// compileSlowOnly compiles src for gojq, as if it had been no program for the
// raw engine.
func compileSlowOnly(src string, fields *event.Fields) (*Program, error) {
	q, err := parse(src)
	if err != nil {
		return nil, err
	}
	use := survey(q)
	p := &Program{src: src, use: use}
	if p.slow, err = compileSlow(src, q, use, envelope[:]); err != nil {
		return nil, err
	}
	p.slow.ask(q, use, fields)
	return p, nil
}

// read parses line; false if it is no event.
func (h *harness) read(line string) bool {
	h.ev.Reset(h.fields.Len())
	return h.reader.Read([]byte(line), &h.ev) == nil
}

// check runs both engines on one line and returns what differs, "" if nothing.
func (h *harness) check(line string) string {
	if !h.read(line) {
		return ""
	}
	h.a.Reset()
	h.b.Reset()
	h.ran++
	if h.fast.raw != nil {
		h.a.ev = &h.ev
		if h.fast.raw.run(h.a) == sOK {
			h.raw++
		} else if _, err := h.slow.Run(h.b, &h.ev); err == nil {
			h.idle++
		}
		h.a.Reset()
	}
	got, gotErr := h.fast.Run(h.a, &h.ev)
	text := show(got, gotErr) // Test below must not disturb it
	gotTest, gotTestErr := h.fast.Test(h.a, &h.ev)
	if show(got, gotErr) != text {
		return "results changed while another program ran"
	}
	want, wantErr := h.slow.Run(h.b, &h.ev)
	if w := show(want, wantErr); text != w {
		return fmt.Sprintf("got  %s\nwant %s", text, w)
	}
	wantTest, wantTestErr := h.slow.Test(h.b, &h.ev)
	if gotTest != wantTest || fmt.Sprint(gotTestErr) != fmt.Sprint(wantTestErr) {
		return fmt.Sprintf("test: got %v, %v; want %v, %v", gotTest, gotTestErr, wantTest, wantTestErr)
	}
	one, oneErr := h.fast.One(h.a, &h.ev)
	if (oneErr == nil) != (wantErr == nil && len(want) == 1) {
		return fmt.Sprintf("one: got %v for %d results, %v", oneErr, len(want), wantErr)
	}
	if oneErr == nil && show([]event.Value{one}, nil) != text {
		return "one: got " + show([]event.Value{one}, nil) + ", want " + text
	}
	return ""
}

func show(vs []event.Value, err error) string {
	if err != nil {
		var bad *event.BadError
		if !errors.As(err, &bad) {
			return "wrong kind of error: " + err.Error()
		}
		return "error: " + err.Error()
	}
	var b []byte
	for _, v := range vs {
		if v.Kind == event.Missing {
			return "a result is missing"
		}
		b = append(v.AppendCanonical(b), ' ')
	}
	return string(b)
}

func TestEnginesAgree(t *testing.T) {
	rounds := 3_000
	if testing.Short() {
		rounds = 600
	}
	docs := conformance(t)
	fast, ran, raw, idle := 0, 0, 0, 0
	for seed := range rounds {
		g := &maker{rand.New(rand.NewPCG(uint64(seed), 1))}
		src := g.program()
		h, err := newHarness(src)
		if err != nil {
			t.Fatalf("seed %d: %s: %v", seed, src, err)
		}
		if h.fast.Fast() {
			fast++
		}
		for range 6 {
			line := g.line()
			if len(docs) > 0 && g.IntN(4) == 0 {
				line = docs[g.IntN(len(docs))]
			}
			if diff := h.check(line); diff != "" {
				t.Errorf("seed %d: %s\non   %s\n%s", seed, src, line, diff)
			}
		}
		ran += h.ran
		raw += h.raw
		idle += h.idle
	}
	t.Logf("%d of %d programs are fast; of %d runs %d were raw, %d left to gojq without an error", fast, rounds, ran, raw, idle)
	if fast < rounds*8/10 || raw < ran/2 {
		t.Errorf("the raw engine is hardly tested")
	}
}

// conformance returns the documents of the JSON test suites that may be there.
func conformance(t testing.TB) []string {
	root := filepath.Join("..", "..", "..", "shared", "data", "json-conformance")
	names, _ := filepath.Glob(filepath.Join(root, "JSONTestSuite", "test_parsing", "y_*.json"))
	if len(names) == 0 {
		t.Log("no JSON test suite in ../shared/data: only generated inputs are used")
	}
	var docs []string
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		doc := strings.Join(strings.Fields(string(b)), " ")
		docs = append(docs, doc, `{"a":`+doc+`,"b":{"a":`+doc+`}}`)
	}
	return docs
}

func FuzzEnginesAgree(f *testing.F) {
	for i := range uint64(50) {
		f.Add(i, i)
	}
	f.Fuzz(func(t *testing.T, x, y uint64) {
		g := &maker{rand.New(rand.NewPCG(x, y))}
		src := g.program()
		h, err := newHarness(src)
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		for range 4 {
			line := g.line()
			if diff := h.check(line); diff != "" {
				t.Errorf("%s\non   %s\n%s", src, line, diff)
			}
		}
	})
}

// FuzzProgram runs any text as a program over any text as an event: nothing may
// panic, and the engines agree.
func FuzzProgram(f *testing.F) {
	for i := range uint64(100) {
		g := &maker{rand.New(rand.NewPCG(i, 7))}
		f.Add(g.program(), g.line())
	}
	for _, src := range []string{"reduce .[] as $x (0; . + $x)", "def f: .a; f", "try error(.) catch .", "..", "paths", "tojson", "@csv", "label $f | 1, break $f", "limit(3; repeat(1))", "{(.a, .b): 1}", ". as [$a, {b: $c}] | $a", ".a |= . + 1", "to_entries", "input", "\"\\(.a", "# x", "ltrimstr(\"x\")"} {
		f.Add(src, `{"a":1,"b":[2,{"c":null}]}`)
	}
	f.Fuzz(func(t *testing.T, src, line string) {
		if strings.Contains(src, "now") || strings.Contains(src, "local") || strings.Contains(src, "mktime") {
			return
		}
		if _, err := Columns(src); err != nil {
			var se *SyntaxError
			if !errors.As(err, &se) || se.Offset < 0 || se.Offset > len(src) {
				t.Fatalf("%q: %v", src, err)
			}
			_ = se.Caret()
		}
		h, err := newHarness(src)
		if err != nil {
			var se *SyntaxError
			if !errors.As(err, &se) || se.Offset < 0 || se.Offset > len(src) {
				t.Fatalf("%q: %v", src, err)
			}
			_ = se.Caret()
			return
		}
		if diff := h.check(line); diff != "" {
			t.Errorf("%s\non   %s\n%s", src, line, diff)
		}
	})
}
