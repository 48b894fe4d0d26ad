package logcat

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"

	"logtools/pkg/event"
	"logtools/pkg/expr"
	"logtools/pkg/scan"
	"logtools/pkg/stream"
)

// oneBlock is an input of one block of a log.
type oneBlock struct {
	lines  string
	sparse bool // offsets, and times in runs

	mu    sync.Mutex
	given bool
}

func (o *oneBlock) Next(_ context.Context, b *stream.Block) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.given {
		return io.EOF
	}
	o.given = true
	*b = stream.Block{Name: "app/3", Data: []byte(o.lines), Pos: stream.Positions{
		InLog: true, Log: "a\"pp", Partition: 3, Base: 1 << 40, Appended: 1_500_000,
	}}
	if o.sparse {
		b.Pos.Times = []stream.TimeRun{{Lines: 2, Appended: 1_000_000}, {Lines: 1 << 30, Appended: 2_000_001}}
		b.Pos.Offsets = []int64{1 << 40, 1<<40 + 7, 1<<40 + 9, 1<<40 + 10}
	}
	return nil
}

// byMembers writes events as writer does where the line does not help.
type byMembers struct{ *writer }

func (m byMembers) PassLog() (values, named, ok bool) { return false, false, false }

// byLine writes events as writer does, none of them left to the engine.
type byLine struct{ *writer }

func (byLine) PassLog() (values, named, ok bool) { return false, false, false }

func (m byMembers) Event(it *scan.Item, _ *expr.Runner, out *scan.Result) error {
	return m.value(it, it.Value(), out)
}

type text struct{ strings.Builder }

func (k *text) Block(r *scan.Result) error { k.Write(r.Out); return nil }
func (k *text) Bad(_ string, _ int64, reason error, raw []byte) error {
	k.WriteString(reason.Error() + string(raw) + "\n")
	return nil
}
func (k *text) LongPart([]byte) error            { return nil }
func (k *text) Failed(_ string, err error) error { return err }

func written(t *testing.T, lines string, sparse bool, newOperator func() scan.Operator) string {
	k := new(text)
	if err := scan.Run(context.Background(), scan.Options{}, &scan.Query{}, &oneBlock{lines: lines, sparse: sparse}, newOperator, k); err != nil {
		t.Fatal(err)
	}
	return k.String()
}

// Putting positions into lines gives what writing the events by their members does.
func FuzzPlaced(f *testing.F) {
	for _, line := range []string{
		`{"a":1}`, `7`, `"x\"y"`, `null`, `{"value":{}}`, `{"value":null}`, `{"key":"k","value":{"a":"}"}}`, `{"key":7,"value":"x"}`,
		`{"time":"2026-01-02T03:04:05Z","value":1}`, `{"time":"2026-01-02T03:04:05.5Z","key":"k","value":{"a":1}}`,
		`{"time":"2026-01-02T03:04:05Z","level":"x"}`, `{"time":"2026-01-02T03:04:05+01:00","value":1}`, `{"value":1,"key":"k"}`,
		`{"key":"k","headers":{"a":"b"},"src":{"o":1},"value":[]}`, `{"key":"k","value":1,"x":2}`, `{ "value":1}`, `{"value":1.50}`,
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		var ev event.Event
		ev.Reset(0)
		if strings.Contains(line, "\n") || event.NewReader(new(event.Fields), event.Auto).Read([]byte(line), &ev) != nil {
			return
		}
		for _, lines := range []string{strings.Repeat(line+"\n", 3), "{\"b\":1}\n" + line + "\n{\"key\":\"k\",\"value\":{}}\n", line} {
			for i := range 8 {
				sparse, named, o := i&1 > 0, i&2 > 0, &output{format: "event"}
				if o.logNames = named; i&4 > 0 {
					o.format = "value"
				}
				got := written(t, lines, sparse, o.operator)
				want := written(t, lines, sparse, func() scan.Operator { return byMembers{&writer{output: o}} })
				if got != want {
					t.Errorf("%s, sparse %v: got\n%swant\n%s", o.format, sparse, got, want)
				}
				if got := written(t, lines, sparse, func() scan.Operator { return byLine{&writer{output: o}} }); got != want {
					t.Errorf("%s, sparse %v, line by line: got\n%swant\n%s", o.format, sparse, got, want)
				}
			}
		}
	})
}
