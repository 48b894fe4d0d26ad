package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/expr"
	"logtools/pkg/parse"
	"logtools/pkg/stream"
	"logtools/pkg/when"
)

// blocks hands out what it was given, after random pauses, so that workers
// finish out of order.
type blocks struct {
	mu   sync.Mutex
	list []stream.Block
	seq  int64
	rng  *rand.Rand

	inInput map[int]int64
}

func (s *blocks) Next(ctx context.Context, b *stream.Block) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if len(s.list) == 0 {
		return io.EOF
	}
	buf := b.Buf
	*b = s.list[0]
	s.list = s.list[1:]
	b.Buf = append(buf[:0], b.Data...) // the data is the caller's only until the next call
	b.Data = b.Buf
	b.Seq = s.seq
	s.seq++
	if s.inInput == nil {
		s.inInput = make(map[int]int64)
	}
	b.SeqInInput = s.inInput[b.Input]
	s.inInput[b.Input]++
	return nil
}

// cut divides a text at random line ends.
func (s *blocks) cut(input int, name, text string) {
	first := true
	for first || text != "" {
		n := 0
		for range 1 + s.rng.IntN(20) {
			k := strings.IndexByte(text[n:], '\n')
			if k < 0 {
				n = len(text)
				break
			}
			n += k + 1
		}
		s.list = append(s.list, stream.Block{Data: []byte(text[:n]), Input: input, Name: name, First: first})
		first = false
		text = text[n:]
	}
}

// echo writes each event's line, with the key and time that the query gave it.
type echo struct{ rng *rand.Rand }

func (e echo) Event(it *Item, r *expr.Runner, out *Result) error {
	if e.rng.IntN(50) == 0 {
		time.Sleep(time.Duration(e.rng.IntN(300)) * time.Microsecond)
	}
	out.Out = append(append(out.Out, it.Line...), '\n')
	if bytes.Contains(it.Line, []byte("refuse")) {
		return event.Bad("refused")
	}
	out.Ends = append(out.Ends, len(out.Out))
	return nil
}

func (e echo) EndBlock(*Result) {}

func newEcho() Operator { return echo{rand.New(rand.NewPCG(1, 1))} }

type record struct {
	out    bytes.Buffer
	bad    []string
	failed []string
	stopAt int // bad lines after which to stop; 0: never
	ends   int
	next   int64
	parts  bool // blocks may come in parts
}

func (k *record) Block(r *Result) error {
	if r.Seq < k.next && !(k.parts && r.Seq == k.next-1) {
		return fmt.Errorf("block %d comes after block %d", r.Seq, k.next-1)
	}
	k.next = r.Seq + 1
	k.out.Write(r.Out)
	k.ends += len(r.Ends)
	return nil
}

func (k *record) Bad(name string, line int64, reason error, raw []byte) error {
	k.bad = append(k.bad, fmt.Sprintf("%s:%d: %v: %s", name, line, reason, raw))
	if len(k.bad) == k.stopAt {
		return ErrStop
	}
	return nil
}

func (k *record) LongPart(p []byte) error { return nil }
func (k *record) Failed(name string, err error) error {
	k.failed = append(k.failed, name+": "+err.Error())
	return nil
}

// Whatever the blocks and however many the workers: output, bad lines and line
// numbers are those of reading line by line.
func TestOrderAndLineNumbers(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 7))
		in := &blocks{rng: rng}
		var want strings.Builder
		var wantBad []string
		for input := range 3 {
			name := fmt.Sprintf("f%d", input)
			var text strings.Builder
			for line := range rng.IntN(400) {
				switch rng.IntN(12) {
				case 0:
					fmt.Fprintf(&text, "  \n")
				case 1:
					fmt.Fprintf(&text, "{\"bad\":%d\n", line)
					wantBad = append(wantBad, fmt.Sprintf("%s:%d: ", name, line+1))
				case 2:
					fmt.Fprintf(&text, "{\"refuse\":%d}\n", line)
					wantBad = append(wantBad, fmt.Sprintf("%s:%d: refused", name, line+1))
				default:
					s := fmt.Sprintf("{\"n\":%d,\"f\":%d}\n", line, input)
					text.WriteString(s)
					want.WriteString(s)
				}
			}
			in.cut(input, name, text.String())
		}
		format, _ := parse.ByName("json")
		k := &record{parts: seed%2 == 1}
		o := Options{Format: format, Workers: 1 + rng.IntN(6)}
		if k.parts {
			o.part = 1 + rng.IntN(100)
		}
		err := Run(context.Background(), o, &Query{}, in, newEcho, k)
		if err != nil {
			t.Fatal(err)
		}
		if k.out.String() != want.String() {
			t.Fatalf("seed %d: output differs", seed)
		}
		if k.ends != strings.Count(want.String(), "\n") {
			t.Fatalf("seed %d: %d ends", seed, k.ends)
		}
		if len(k.bad) != len(wantBad) {
			t.Fatalf("seed %d: %d bad lines, want %d", seed, len(k.bad), len(wantBad))
		}
		for i, b := range k.bad {
			if !strings.HasPrefix(b, wantBad[i]) {
				t.Fatalf("seed %d: bad line %q, want %q", seed, b, wantBad[i])
			}
		}
	}
}

func run(t *testing.T, o Options, q *Query, text string, k *record) error {
	t.Helper()
	in := &blocks{rng: rand.New(rand.NewPCG(1, 1))}
	in.cut(0, "in", text)
	return Run(context.Background(), o, q, in, newEcho, k)
}

func compile(t *testing.T, q *Query, src string) *expr.Program {
	t.Helper()
	p, err := expr.Compile(src, &q.Fields)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestStopAtBad(t *testing.T) {
	var text strings.Builder
	for i := range 300 {
		fmt.Fprintf(&text, "%d\n", i)
		if i == 150 {
			text.WriteString("nonsense\n")
		}
	}
	format, _ := parse.ByName("json")
	k := &record{stopAt: 1}
	if err := run(t, Options{Format: format, StopAtBad: true, Workers: 3}, &Query{}, text.String(), k); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(k.out.String(), "\n"); n != 151 || len(k.bad) != 1 {
		t.Errorf("%d events before the stop, %d bad lines", n, len(k.bad))
	}
}

func TestErrorsEndTheRun(t *testing.T) {
	boom := errors.New("boom")
	in := &blocks{rng: rand.New(rand.NewPCG(1, 1))}
	in.cut(0, "in", strings.Repeat("1\n", 1000))
	err := Run(context.Background(), Options{Workers: 3}, &Query{}, in, func() Operator { return failing{boom} }, &record{})
	if err != boom {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	in.cut(0, "in", "1\n")
	if err := Run(ctx, Options{}, &Query{}, in, newEcho, &record{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) Event(*Item, *expr.Runner, *Result) error { return f.err }
func (f failing) EndBlock(*Result)                         {}

func TestInputErrorsAndLongLines(t *testing.T) {
	in := &blocks{rng: rand.New(rand.NewPCG(1, 1))}
	in.list = []stream.Block{
		{First: true, Name: "a", Data: []byte("1\n2\n")},
		{Long: true, Name: "a", Data: []byte("xx")},
		{Long: true, LongEnd: true, Name: "a", Data: []byte("yy")},
		{Name: "a", Data: []byte("3\nbad\n")},
		{Input: 1, Name: "b", Err: errors.New("open b: no such file or directory")},
		{Input: 2, Name: "c", First: true, Data: []byte("\n\n")},
		{Input: 2, Name: "c", Data: []byte("4\nbad")},
	}
	k := &record{}
	if err := Run(context.Background(), Options{MaxLine: 3, Workers: 4}, &Query{}, in, newEcho, k); err != nil {
		t.Fatal(err)
	}
	if k.out.String() != "1\n2\n3\n4\n" {
		t.Errorf("output %q", k.out.String())
	}
	got := strings.Join(append(k.bad, k.failed...), "|")
	for _, want := range []string{"a:3: line is longer than 3 bytes", "a:5: unexpected", "c:4: unexpected", "b: open b: no such file"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
}

func TestQuery(t *testing.T) {
	at := func(s string) *when.Time {
		x, ok := when.Parse([]byte(s), nil)
		if !ok {
			t.Fatal(s)
		}
		return &x
	}
	lines := `{"time":"2026-01-01T00:00:00Z","n":1}
{"time":"2026-01-01T02:00:00+01:00","n":2}
{"ts":1767232800,"n":3}
{"@timestamp":"2026-01-01T03:00:00.5Z","n":4}
{"n":5}
{"time":"2026-01-01T04:00:00\u005a","value":{"n":6}}
{"time":"soon","value":{"n":7}}
`
	for _, c := range []struct {
		name  string
		query func(q *Query)
		want  string // the n that pass
		bad   int
	}{
		{"all", func(q *Query) {}, "1 2 3 4 5 6", 1},
		{"escaped", func(q *Query) { q.Where = compile(t, q, `$time == "2026-01-01T04:00:00Z"`) }, "6", 1},
		{"since", func(q *Query) { q.Since = at("2026-01-01T01:00:00Z") }, "2 3 4 6", 2},
		{"until", func(q *Query) { q.Until = at("2026-01-01T03:00:00.500Z") }, "1 2 3", 2},
		{"where", func(q *Query) { q.Where = compile(t, q, ".n>=3") }, "3 4 5 6", 1},
		{"where time", func(q *Query) { q.Where = compile(t, q, `$time >= "2026-01-01T02"`) }, "3 4 6", 1},
		{"time", func(q *Query) { q.Time = compile(t, q, ".n"); q.Since = at("1970-01-01T00:00:04Z") }, "4 5 6", 1},
		{"null time", func(q *Query) { q.Time = compile(t, q, ".nothing") }, "1 2 3 4 5 6", 1},
		{"bad time", func(q *Query) { q.Time = compile(t, q, "[.n]") }, "", 7},
		{"two times", func(q *Query) { q.Time = compile(t, q, ".n,.n") }, "", 7},
		{"key", func(q *Query) { q.Key = compile(t, q, ".n"); q.Where = compile(t, q, "$key==2") }, "2", 1},
		{"two keys", func(q *Query) { q.Key = compile(t, q, ".n,1") }, "", 7},
	} {
		q := &Query{}
		c.query(q)
		k := &record{}
		if err := run(t, Options{Workers: 2}, q, lines, k); err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(k.out.String()) {
			_, n, _ := strings.Cut(line, `"n":`)
			got = append(got, n[:1])
		}
		if s := strings.Join(got, " "); s != c.want || len(k.bad) != c.bad {
			t.Errorf("%s: passed %q, want %q; bad %q", c.name, s, c.want, k.bad)
		}
	}
}

type panicking struct{}

func (panicking) Event(*Item, *expr.Runner, *Result) error { panic("oops") }
func (panicking) EndBlock(*Result)                         {}

// A panic in a worker arrives where Run was called.
func TestPanic(t *testing.T) {
	defer func() {
		if p, ok := recover().(error); !ok || !strings.Contains(p.Error(), "oops") {
			t.Error("no panic", p)
		}
	}()
	in := &blocks{rng: rand.New(rand.NewPCG(1, 1))}
	in.cut(0, "in", strings.Repeat("1\n", 1000))
	Run(context.Background(), Options{Workers: 3}, &Query{}, in, func() Operator { return panicking{} }, &record{})
}
