package scan

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"logtools/pkg/event"
	"logtools/pkg/expr"
	"logtools/pkg/stream"
)

// spanOp passes events, but for those with a drop, of which bad are bad lines, and
// writes some twice.
type spanOp struct{ fast bool }

func (o spanOp) PassLog() (values, named, ok bool) { return true, false, o.fast }
func (o spanOp) EndBlock(*Result)                  {}
func (o spanOp) Event(it *Item, _ *expr.Runner, out *Result) error {
	line := string(it.AppendValue(nil))
	switch {
	case strings.Contains(line, "bad"):
		return event.Bad("no")
	case strings.Contains(line, "drop"):
		return nil
	}
	n := 1
	if strings.Contains(line, "twice") {
		n = 2
	}
	for range n {
		out.Out = append(append(out.Out, line...), '\n')
		if !o.fast {
			out.Ends = append(out.Ends, len(out.Out))
		}
	}
	return nil
}

// spanSink checks the spans of results against the lines that they are of.
type spanSink struct {
	t     *testing.T
	lines []string // by offset
	next  int64    // the first offset that nothing was said of
	text  strings.Builder
	bad   []int64
	parts int
}

func (k *spanSink) Block(r *Result) error {
	k.parts++
	start := 0
	err := r.TellBad(func(name string, line int64, _ error, raw []byte) error {
		if string(raw) != k.lines[line] || name != "app/0" {
			k.t.Errorf("%s: bad line %d is %s", name, line, raw)
		}
		k.bad = append(k.bad, line)
		return nil
	})
	for _, s := range r.Spans {
		out := string(r.Out[start:s.End])
		start = s.End
		var want strings.Builder
		events := 0
		for i := range s.Lines {
			line := k.lines[r.Pos.Offset(s.Line+int64(i))]
			n := 1 + strings.Count(line, "twice")
			want.WriteString(strings.Repeat(line+"\n", n))
			events += n
		}
		if out != want.String() || events != s.Events {
			k.t.Errorf("span %+v: %q, want %q", s, out, want.String())
		}
		k.next = r.Pos.Offset(s.Line+int64(s.Lines)-1) + 1
	}
	if start != len(r.Out) {
		k.t.Errorf("%d bytes of %d are in spans", start, len(r.Out))
	}
	k.text.Write(r.Out)
	if n := r.Lines(); n > 0 {
		k.next = r.Pos.Offset(n-1) + 1
	}
	return err
}

func (k *spanSink) Bad(string, int64, error, []byte) error {
	k.t.Error("a bad line is told twice")
	return nil
}
func (k *spanSink) LongPart([]byte) error            { return nil }
func (k *spanSink) Failed(_ string, err error) error { return err }

// The spans of a log's results say which lines the output is made of, however it is
// cut into parts.
func TestSpans(t *testing.T) {
	for _, fast := range []bool{false, true} {
		for _, part := range []int{0, 1, 50, 1000} {
			var lines []string
			for i := range 3000 {
				line := fmt.Sprintf(`{"n":%d}`, i)
				switch {
				case i%7 == 3:
					line = fmt.Sprint(i) // not for the fast path
				case !fast && i%5 == 1:
					line = `{"n":"bad"}`
				case !fast && i%11 == 1:
					line = `{"n":"drop"}`
				case !fast && i%13 == 1:
					line = `{"n":"twice"}`
				}
				lines = append(lines, line)
			}
			in := &spanBlocks{lines: lines}
			k := &spanSink{t: t, lines: lines}
			o := Options{Workers: 3, Spans: true, part: part}
			if err := Run(context.Background(), o, &Query{}, in, func() Operator { return spanOp{fast} }, k); err != nil {
				t.Fatal(err)
			}
			if k.next != int64(len(lines)) || fast && k.text.String() != strings.Join(lines, "\n")+"\n" {
				t.Errorf("fast %v, part %d: ends at %d", fast, part, k.next)
			}
			if !fast && len(k.bad) == 0 || part == 50 && k.parts < 100 {
				t.Errorf("fast %v, part %d: %d bad lines, %d parts", fast, part, len(k.bad), k.parts)
			}
		}
	}
}

// spanBlocks are the blocks of a log, of ten lines each, every other one with offsets.
type spanBlocks struct {
	lines []string
	next  atomic.Int64
}

func (s *spanBlocks) Next(_ context.Context, b *stream.Block) error {
	n := s.next.Add(1) - 1
	at := int(n) * 10
	if at >= len(s.lines) {
		return io.EOF
	}
	var data bytes.Buffer
	p := stream.Positions{InLog: true, Log: "app", Base: int64(at)}
	for i := at; i < min(at+10, len(s.lines)); i++ {
		fmt.Fprintln(&data, s.lines[i])
		if n%2 == 1 {
			p.Offsets = append(p.Offsets, int64(i))
		}
	}
	*b = stream.Block{Name: "app/0", Data: data.Bytes(), Pos: p, Seq: n, SeqInInput: n, First: n == 0}
	return nil
}
