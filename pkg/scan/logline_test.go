package scan

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"logtools/pkg/event"
	"logtools/pkg/expr"
	"logtools/pkg/stream"
)

// asText shows all that an event has.
func asText(ev *event.Event) string {
	text := fmt.Sprintf("%s|%v|", ev.Line, ev.Bare)
	for _, v := range []event.Value{ev.Log, ev.Partition, ev.Offset, ev.Time, ev.Key, ev.Headers, ev.Src, ev.Value()} {
		if v.Kind == event.Missing {
			text += "-|"
		} else {
			text += string(v.AppendJSON(nil)) + "|"
		}
	}
	return text
}

var storedLines = []string{
	`{"a":1}`, `7`, `-1.5e3`, `"x"`, `"a\"b"`, `[1,{"value":2}]`, `null`, `true`, `{}`, `{"a":{"value":1}}`,
	`{"value":1}`, `{"value":{}}`, `{"value":{"a":1}}`, `{"value":"x"}`, `{"value":""}`, `{"value":"a\"b"}`, `{"value":"}"}`,
	`{"value":"\\"}`, `{"value":null}`, `{"value":[1,2]}`, `{"value":{"a":{"b":1}}}`, `{"value":{"a":"}"}}`,
	`{"key":"k","value":{"a":1}}`, `{"key":7,"value":{"a":1}}`, `{"key":"a\"","value":1}`, `{"key":[1],"value":true}`, `{"key":-7,"value":1}`,
	`{"time":"2026-01-02T03:04:05Z","value":1}`, `{"time":"2026-01-02T03:04:05.5Z","key":"k","value":{"a":1}}`,
	`{"time":"2026-01-02T03:04:05Z","level":"x"}`, `{"time":"2026-01-02T03:04:05Z","level":"value"}`,
	`{"time":"2026-01-02T03:04:05Z"}`, `{"time":7,"value":1}`, `{"time":"2026-01-02T03:04:05+01:00","value":1}`,
	`{"key":"a","value":1,"x":2}`, `{"key":"a","value":{},"x":{}}`, `{"key":"a","value":"b","x":"c"}`, `{"key":"a","value":{"b":1},"headers":{}}`,
	`{"value":1,"value":2}`, `{"value":1,"key":"k"}`, `{"key":"a","key":"b","value":1}`, `{"\u006bey":"a","value":1}`, `{"partitio\u006e":1,"value":1}`,
	`{"key":"k","headers":{"a":"b"},"value":1}`, `{"src":{"a":1},"value":1}`, `{"key":"a","v\u0061lue":1}`, `{"key":"a","va\u006cue":{"a":1}}`,
	` {"value":1}`, `{ "value":1}`, `{"value": 1}`, `{"value":1 }`, `{"value":{} }`, `{"value" :1}`, `{"value":1} `, `{"key":"a", "value":1}`, `{"valued":1}`, `{"keys":1}`, "\t7",
	`{"key":"k","value":"x" }`, `{"key":1e1,"value":2}`, `{"key":"k","value":1.5}`, `{"key":"k","value":-0}`, `{"":1}`, `{"k":"value\""}`, `{"time":"value\"","x":1}`,
}

// quick and its slow twin agree on every valid line.
func FuzzQuick(f *testing.F) {
	for _, line := range storedLines {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\n") {
			return
		}
		var fast, slow event.Event
		slow.Reset(0)
		if event.NewReader(new(event.Fields), event.Auto).Read([]byte(line), &slow) != nil {
			return // no log has such lines
		}
		fast.Reset(0)
		if !newLogLines(new(event.Fields)).quick([]byte(line), &fast) {
			return
		}
		if got, want := asText(&fast), asText(&slow); got != want {
			t.Errorf("%s\n got %s\nwant %s", line, got, want)
		}
	})
}

// The usual lines are taken apart quickly.
func TestQuickTakes(t *testing.T) {
	for _, line := range []string{
		`{"a":1}`, `7`, `"x"`, `{"a":{"b":1}}`, `{"key":"k","value":{"a":1}}`, `{"key":7,"value":{"a":"\""}}`, `{"key":"k","value":null}`,
		`{"time":"2026-01-02T03:04:05.5Z","key":"k","value":"v"}`, `{"time":"2026-01-02T03:04:05Z","level":"x"}`, `{"value":{"value":1}}`,
	} {
		var ev event.Event
		ev.Reset(0)
		if !newLogLines(new(event.Fields)).quick([]byte(line), &ev) {
			t.Errorf("%s: is not", line)
		}
	}
}

// positions writes what is known of each event, and refuses values that say so.
type positions struct{}

func (positions) Event(it *Item, r *expr.Runner, out *Result) error {
	if bytes.Contains(it.Line, []byte("refuse")) {
		return event.Bad("refused")
	}
	out.Out = fmt.Appendf(out.Out, "%s/%s:%s %s %v %v %d %s\n", it.Log.AppendJSON(nil), it.Partition.AppendJSON(nil), it.Offset.AppendJSON(nil),
		it.Time.AppendJSON(nil), it.OwnTime, it.InLog, it.LineInBlock(), it.Value().AppendJSON(nil))
	return nil
}

func (positions) EndBlock(*Result) {}

func logBlocks(base int64, offsets []int64, times []stream.TimeRun, lines ...string) *blocks {
	return &blocks{list: []stream.Block{
		{First: true, Name: "app/3"},
		{Name: "app/3", Data: []byte(strings.Join(lines, "\n") + "\n"), Pos: stream.Positions{
			InLog: true, Log: "app", Partition: 3, Base: base, Offsets: offsets, Appended: 1_500_000, Times: times,
		}},
	}}
}

func TestLogBlock(t *testing.T) {
	own := `{"time":"2026-01-02T03:04:05Z","value":1}`
	for _, c := range []struct {
		in        *blocks
		query     Query
		out, fail string
	}{
		{in: logBlocks(17, nil, nil, `{"a":1}`, own, `"refuse"`, `2`),
			out: `"app"/3:17 "1970-01-01T00:00:01.5Z" true true 0 {"a":1}
"app"/3:18 "2026-01-02T03:04:05Z" true true 1 1
"app"/3:20 "1970-01-01T00:00:01.5Z" true true 3 2
`, fail: `app/3:19: refused: "refuse"`},
		{in: logBlocks(17, []int64{17, 20, 1 << 40, 1<<40 + 1}, []stream.TimeRun{{Lines: 1, Appended: 1_000_000}, {Lines: 3, Appended: 2_000_001}}, `1`, `2`, `"refuse"`, `4`),
			out: `"app"/3:17 "1970-01-01T00:00:01Z" true true 0 1
"app"/3:20 "1970-01-01T00:00:02.000001Z" true true 3 2
"app"/3:1099511627777 "1970-01-01T00:00:02.000001Z" true true 1099511627760 4
`, fail: `app/3:1099511627776: refused: "refuse"`},
		{in: logBlocks(0, nil, nil, `{"key":"k","value":1}`, `{"key":"\u006b","value":2}`, `{"key":"l","value":3}`, `4`), query: Query{OnlyKey: []byte(`"k"`)},
			out: `"app"/3:0 "1970-01-01T00:00:01.5Z" true true 0 1
"app"/3:1 "1970-01-01T00:00:01.5Z" true true 1 2
`},
	} {
		k := &record{}
		q := c.query
		if err := Run(context.Background(), Options{}, &q, c.in, func() Operator { return positions{} }, k); err != nil {
			t.Fatal(err)
		}
		if got := k.out.String(); got != c.out {
			t.Errorf("got\n%swant\n%s", got, c.out)
		}
		if got := strings.Join(k.bad, "\n"); got != c.fail {
			t.Errorf("bad: %s, want %s", got, c.fail)
		}
	}
}

// With programs, the slow twin, and merged, events are the same as without.
func TestLogBlockWays(t *testing.T) {
	lines := append([]string{}, storedLines...)
	run := func(q *Query, merge bool) string {
		k := &record{}
		var err error
		in := logBlocks(5, nil, []stream.TimeRun{{Lines: 7, Appended: 1_000_000}, {Lines: 1000, Appended: 2_000_000}}, lines...)
		if merge {
			err = Merge(context.Background(), MergeOptions{}, q, []stream.Blocks{in}, func() Operator { return positions{} }, sorted{k})
		} else {
			err = Run(context.Background(), Options{}, q, in, func() Operator { return positions{} }, k)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range k.bad {
			if !strings.Contains(b, "time") {
				t.Error(b)
			}
		}
		return k.out.String()
	}
	var slots Query
	p, err := expr.Compile(`$offset >= 0 and ((.nosuch? // null)|not)`, &slots.Fields)
	if err != nil {
		t.Fatal(err)
	}
	slots.Where = p
	want := run(&slots, false)
	if n := strings.Count(want, "\n"); n < 40 {
		t.Fatalf("only %d events", n)
	}
	if got := run(&Query{}, false); got != want {
		t.Errorf("quick:\n%s\nwith slots:\n%s", got, want)
	}
	if got := run(&Query{}, true); got != want {
		t.Errorf("merged:\n%s\nwant:\n%s", got, want)
	}
}

// logRepeat hands out a block of a log many times.
type logRepeat struct{ repeat }

func (s *logRepeat) Next(ctx context.Context, b *stream.Block) error {
	err := s.repeat.Next(ctx, b)
	b.Pos = stream.Positions{InLog: true, Log: "app", Base: b.Seq << 20, Appended: 1_500_000}
	return err
}

type spliced struct{}

func (spliced) Event(it *Item, r *expr.Runner, out *Result) error {
	out.Out = append(it.AppendValue(out.Out), '\n')
	return nil
}

func (spliced) EndBlock(*Result) {}

func BenchmarkLogBlock(b *testing.B) {
	data := lines("plain")
	keyed := bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("\n"), []byte("}\n")), []byte(`{"time"`), []byte(`{"key":"u7","value":{"time"`))
	for _, c := range []struct {
		name string
		data []byte
	}{{"bare", data}, {"keyed", keyed}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.data)))
			b.ReportAllocs()
			in := &logRepeat{repeat{data: c.data, n: int64(b.N)}}
			if err := Run(context.Background(), Options{Workers: 1}, &Query{}, in, func() Operator { return spliced{} }, &swallow{}); err != nil {
				b.Fatal(err)
			}
		})
	}
}

type sorted struct{ *record }

func (sorted) Unsorted(string, int64) {}

// swallow is a sink that keeps nothing.
type swallow struct{ record }

func (*swallow) Block(*Result) error { return nil }
