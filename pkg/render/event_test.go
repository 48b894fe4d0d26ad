package render

import (
	"testing"

	"logtools/pkg/event"
)

func raw(s string) event.Value { return event.RawValue([]byte(s)) }

func TestAppendEvent(t *testing.T) {
	for _, c := range []struct {
		name string
		out  Out
		want string
	}{
		{"bare object", Out{Value: raw(`{"a":1}`)}, `{"a":1}`},
		{"bare keeps its bytes", Out{Value: raw(`{ "a" :1.0,"\u0062":"\/"}`)}, `{ "a" :1.0,"\u0062":"\/"}`},
		{"bare number", Out{Value: raw(`1e3`)}, `1e3`},
		{"bare string", Out{Value: raw(`"value"`)}, `"value"`},
		{"bare text", Out{Value: event.TextValue([]byte("a\"\n"))}, `"a\"\n"`},
		{"bare array", Out{Value: raw(`[{"value":1}]`)}, `[{"value":1}]`},
		{"null", Out{Value: raw(`null`)}, `null`},
		{"missing value", Out{}, `null`},

		{"a value that is an event", Out{Value: raw(`{"value":1}`)}, `{"value":{"value":1}}`},
		{"with more of an event", Out{Value: raw(`{"key":"k","value":null}`)}, `{"value":{"key":"k","value":null}}`},
		{"name spelled with escapes", Out{Value: raw(`{"val\u0075e":1}`)}, `{"value":{"val\u0075e":1}}`},
		{"reserved", Out{Value: raw(`{"$x":1,"value":1,"more":2}`)}, `{"value":{"$x":1,"value":1,"more":2}}`},
		{"reserved, $ escaped", Out{Value: raw(`{"\u0024x":1,"value":1}`)}, `{"value":{"\u0024x":1,"value":1}}`},
		{"$ without value", Out{Value: raw(`{"$x":1}`)}, `{"$x":1}`},
		{"value beside a foreign name", Out{Value: raw(`{"name":"x","value":1}`)}, `{"name":"x","value":1}`},
		{"value beside a wrong type", Out{Value: raw(`{"offset":-1,"value":1}`)}, `{"offset":-1,"value":1}`},
		{"value further down", Out{Value: raw(`{"a":{"value":1}}`)}, `{"a":{"value":1}}`},
		{"the last of a repeated member counts", Out{Value: raw(`{"time":5,"value":1,"time":"2026-01-01T00:00:00Z"}`)},
			`{"value":{"time":5,"value":1,"time":"2026-01-01T00:00:00Z"}}`},

		{"key", Out{Key: raw(`"k"`), Value: raw(`null`)}, `{"key":"k","value":null}`},
		{"key null is no key", Out{Key: raw(`null`), Value: raw(`1`)}, `1`},
		{"false is a key", Out{Key: raw(`false`), Value: raw(`1`)}, `{"key":false,"value":1}`},
		{"all, in order", Out{
			Log: raw(`"l"`), Partition: event.IntValue(0), Offset: event.IntValue(12), Time: raw(`"2026-01-01T00:00:00Z"`),
			Key: raw(`[1]`), Headers: raw(`{"h":["a","b"]}`), Src: raw(`{"o@1f3a9c02/0":8}`), Value: raw(`{"value":2}`),
		}, `{"log":"l","partition":0,"offset":12,"time":"2026-01-01T00:00:00Z","key":[1],"headers":{"h":["a","b"]},"src":{"o@1f3a9c02/0":8},"value":{"value":2}}`},
	} {
		got := string(AppendEvent([]byte("before"), &c.out))
		if got != "before"+c.want {
			t.Errorf("%s:\n got %s\nwant before%s", c.name, got, c.want)
		}
	}
}

// What is written as an event must be read back as the same event.
func FuzzAppendEvent(f *testing.F) {
	for _, s := range []string{`1`, `{"value":1}`, `{"a":1}`, `{"$a":1,"value":[]}`, `{"val\u0075e":{"value":2},"key":3}`, `{"value":1,"x":2}`, `{"time":1,"value":1,"time":"t"}`} {
		f.Add(s, ``)
		f.Add(s, `{"k":1}`)
	}
	f.Fuzz(func(t *testing.T, value, key string) {
		if event.Valid([]byte(value)) != nil || key != "" && event.Valid([]byte(key)) != nil {
			t.Skip()
		}
		out := Out{Value: trimmed(value), Key: trimmed(key)}
		line := AppendEvent(nil, &out)
		var ev event.Event
		ev.Reset(0)
		if err := event.NewReader(&event.Fields{}, event.Auto).Read(line, &ev); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if got := string(ev.AppendValue(nil)); got != string(out.Value.AppendJSON(nil)) {
			t.Errorf("%s reads back as the value %s", line, got)
		}
		if got, want := string(ev.Key.AppendJSON(nil)), string(out.Key.AppendJSON(nil)); got != want {
			t.Errorf("%s reads back with the key %s, not %s", line, got, want)
		}
	})
}

// trimmed returns the value of valid JSON with space around it.
func trimmed(s string) event.Value {
	b := []byte(s)
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t' || b[0] == '\n' || b[0] == '\r') {
		b = b[1:]
	}
	for n := len(b); n > 0 && (b[n-1] == ' ' || b[n-1] == '\t' || b[n-1] == '\n' || b[n-1] == '\r'); n-- {
		b = b[:n-1]
	}
	return event.RawValue(b)
}

func TestAppendRaw(t *testing.T) {
	for _, c := range []struct {
		v    event.Value
		want string
	}{
		{raw(`"a\n\"b\u00e9\ud83d\ude00"`), "a\n\"bé😀"},
		{raw(`""`), ""},
		{event.TextValue([]byte(`a"b`)), `a"b`},
		{raw(`1.50`), `1.50`},
		{raw(`null`), `null`},
		{event.Value{}, `null`},
		{raw(`["a"]`), `["a"]`},
		{raw(`{"a":"b"}`), `{"a":"b"}`},
	} {
		if got := string(AppendRaw(nil, c.v)); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestOutputs(t *testing.T) {
	names := func(command string) (s string) {
		for _, o := range OutputsOf(command) {
			s += o.Name + " "
		}
		return s
	}
	if got, want := names("logcat"), "event value raw csv tsv table pretty none "; got != want {
		t.Errorf("logcat has %s, want %s", got, want)
	}
	if got, want := names("logview"), "event value csv tsv table chart "; got != want {
		t.Errorf("logview has %s, want %s", got, want)
	}
}

func BenchmarkAppendEvent(b *testing.B) {
	for _, c := range []struct{ name, value string }{
		{"object", `{"path":"/index.html","status":200,"bytes":5120,"user":"u17","referer":"-"}`},
		{"member value", `{"name":"cpu","value":0.25,"host":"a","unit":"s"}`},
	} {
		out := Out{Value: raw(c.value)}
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var dst []byte
			for b.Loop() {
				dst = AppendEvent(dst[:0], &out)
			}
		})
	}
}
