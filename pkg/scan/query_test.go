package scan

import (
	"context"
	"testing"
	"time"

	"logtools/pkg/expr"
	"logtools/pkg/parse"
	"logtools/pkg/stream"
)

// times writes each event's time.
type times struct{}

func (times) Event(it *Item, _ *expr.Runner, out *Result) error {
	out.Out = append(it.Time.AppendText(out.Out), '\n')
	return nil
}

func (times) EndBlock(*Result) {}

// However a time is written, $time is in the one form of events.
func TestTimesAsOthersWriteThem(t *testing.T) {
	lines := `{"timestamp":"2026-03-01 12:00:00,123"}
{"ts":"2026-03-01T12:00:00+0200"}
{"@timestamp":"2026-03-01 12:00:00.5+02"}
{"time":"2026-03-01 12:00:00"}
{"time":"2026-03-01T12:00:00,123+0200","value":1}
{"time":"2026-03-01T12:00:00,123Z","value":1}
{"time":"2026-03-01T12:00:00.123Z","value":1}
`
	want := `2026-03-01T11:00:00.123Z
2026-03-01T10:00:00Z
2026-03-01T10:00:00.5Z
2026-03-01T11:00:00Z
2026-03-01T10:00:00.123Z
2026-03-01T12:00:00.123Z
2026-03-01T12:00:00.123Z
`
	format, _ := parse.ByName("json")
	q := &Query{NeedTime: true, Zone: time.FixedZone("", 3600)}
	k := &record{}
	in := &blocks{list: []stream.Block{{Data: []byte(lines), Name: "in", First: true}}}
	if err := Run(context.Background(), Options{Format: format}, q, in, func() Operator { return times{} }, k); err != nil {
		t.Fatal(err)
	}
	if k.out.String() != want || len(k.bad) > 0 {
		t.Errorf("%s%q, want\n%s", k.out.String(), k.bad, want)
	}
}

// A file that is followed over New Year has a later year then.
func TestYearOfAppendedLines(t *testing.T) {
	format, _ := parse.ByName("syslog")
	day := func(year int, month time.Month, day int) time.Time {
		return time.Date(year, month, day, 12, 0, 0, 0, time.UTC)
	}
	in := &blocks{list: []stream.Block{
		{Data: []byte("Dec 30 12:00:00 h a: x\n"), Name: "in", First: true, ModTime: day(2025, 12, 30)},
		{Data: []byte("Jan  3 12:00:00 h a: x\n"), Name: "in", ModTime: day(2026, 1, 3)},
		{Data: []byte("Dec 31 12:00:00 h a: x\nJan  3 12:00:01 h a: x\n"), Name: "in", ModTime: day(2026, 1, 3)},
		{Data: []byte("Dec 31 12:00:00 h a: x\n"), Name: "in", ModTime: day(2026, 12, 31)},
	}}
	want := `2025-12-30T12:00:00Z
2026-01-03T12:00:00Z
2025-12-31T12:00:00Z
2026-01-03T12:00:01Z
2026-12-31T12:00:00Z
`
	k := &record{}
	if err := Run(context.Background(), Options{Format: format, Workers: 2}, &Query{NeedTime: true}, in, func() Operator { return times{} }, k); err != nil {
		t.Fatal(err)
	}
	if k.out.String() != want {
		t.Errorf("%s, want\n%s", k.out.String(), want)
	}
}

// That no event has a time is known afterwards, if anybody asked for it.
func TestNoTime(t *testing.T) {
	format, _ := parse.ByName("json")
	for _, c := range []struct {
		lines string
		need  bool
		want  bool
	}{
		{"1\n{\"at\":1}\nbad\n", true, true},
		{"1\n{\"ts\":1}\nbad\n", true, false},
		{"bad\n", true, false},
		{"", true, false},
		{"1\n{\"at\":1}\n", false, false},
	} {
		q := &Query{NeedTime: c.need}
		in := &blocks{list: []stream.Block{{Data: []byte(c.lines), Name: "in", First: true}}}
		if err := Run(context.Background(), Options{Format: format, Workers: 2}, q, in, func() Operator { return times{} }, &record{}); err != nil {
			t.Fatal(err)
		}
		if q.NoTime() != c.want {
			t.Errorf("%q, needed %v: %v", c.lines, c.need, q.NoTime())
		}
	}
}

// keys writes each event's key.
type keys struct{}

func (keys) Event(it *Item, _ *expr.Runner, out *Result) error {
	out.Out = append(it.Key.AppendJSON(out.Out), '\n')
	return nil
}

func (keys) EndBlock(*Result) {}

// A tombstone has no value to make a key of: what is deleted must stay known.
func TestKeyOfTombstones(t *testing.T) {
	lines := `{"key":"A","value":{"id":"b"}}
{"key":"A","value":null}
{"key":"A","value":{"id":null}}
{"value":null}
`
	for program, want := range map[string]string{
		".id":                       "\"b\"\n\"A\"\nnull\nnull\n",
		".id|ascii_downcase":        "\"b\"\n\"A\"\n", // fails on null, and so are the others bad lines
		"$key//\"\"|ascii_downcase": "\"a\"\n\"a\"\n\"a\"\n\"\"\n",
	} {
		q := &Query{}
		var err error
		if q.Key, err = expr.Compile(program, &q.Fields); err != nil {
			t.Fatal(err)
		}
		format, _ := parse.ByName("json")
		k := &record{}
		in := &blocks{list: []stream.Block{{Data: []byte(lines), Name: "in", First: true}}}
		if err := Run(context.Background(), Options{Format: format}, q, in, func() Operator { return keys{} }, k); err != nil {
			t.Fatal(err)
		}
		if k.out.String() != want {
			t.Errorf("-k %s: %s%q, want\n%s", program, k.out.String(), k.bad, want)
		}
	}
}
