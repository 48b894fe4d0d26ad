package parse

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"logtools/pkg/event"
)

func TestFormats(t *testing.T) {
	var names []string
	for _, f := range Formats {
		names = append(names, f.Name)
		if f.Summary == "" || f.Summary != strings.TrimSuffix(f.Summary, ".") {
			t.Errorf("%s: summary %q", f.Name, f.Summary)
		}
		if f.Name == "regex:RE" {
			continue // stands for many
		}
		if (f.New == nil) != (f.Name == "auto") {
			t.Errorf("%s: New is nil: %v", f.Name, f.New == nil)
		}
		if got, err := ByName(f.Name); err != nil || got.Name != f.Name {
			t.Errorf("ByName(%s) = %v %v", f.Name, got, err)
		}
	}
	if got, want := strings.Join(names, " "), "auto json event value combined common syslog logfmt csv tsv regex:RE text"; got != want {
		t.Errorf("formats %s, want %s", got, want)
	}
}

func TestByNameErrors(t *testing.T) {
	for in, nearest := range map[string]string{
		"jsno": "json", "JSON": "json", "combind": "combined", "txt": "text", "comon": "common",
		"": "", "x": "", "nginx": "", "sylog": "syslog", "logfm": "logfmt", "cvs": "csv",
		"regex": "regex:RE", "Regexp:.*": "regex:RE", "rege": "", strings.Repeat("json", 1e5): "",
	} {
		f, err := ByName(in)
		if err == nil {
			t.Errorf("ByName(%.20q) = %s", in, f.Name)
			continue
		}
		if !strings.Contains(err.Error(), "(give auto, json, event, value, combined, common, syslog, logfmt, csv, tsv, regex:RE, text)") {
			t.Errorf("ByName(%.20q): %.300v", in, err)
		}
		_, hint, _ := strings.Cut(err.Error(), "; did you mean ")
		if hint != strings.TrimPrefix(nearest+"?", "?") {
			t.Errorf("ByName(%.20q) suggests %q, want %q", in, hint, nearest)
		}
	}
}

func parseOne(t *testing.T, format, line string, c event.Clean) (*event.Event, error) {
	t.Helper()
	f, err := ByName(format)
	if err != nil {
		t.Fatal(err)
	}
	p := f.New(Options{})
	p.Block(c)
	ev := new(event.Event)
	ev.Reset(0)
	err = p.Parse([]byte(line), ev)
	if _, ok := p.Time(); ok {
		t.Errorf("%s has a time of its own", format)
	}
	return ev, err
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"":             `""`,
		"hello":        `"hello"`,
		"hello\r":      `"hello"`,
		"hello\r\r":    `"hello\r"`,
		"a \"b\" \\ c": `"a \"b\" \\ c"`,
		"tab\t\x00":    `"tab\t\u0000"`,
		"gr\u00fc\u00df, long enough for more than one word": "\"gr\u00fc\u00df, long enough for more than one word\"",
		`{"a":1}`: `"{\"a\":1}"`,
	} {
		for _, c := range []event.Clean{{}, cleanOf(in)} {
			ev, err := parseOne(t, "text", in, c)
			if err != nil {
				t.Errorf("%q: %v", in, err)
				continue
			}
			if got := string(ev.AppendValue(nil)); got != want || !ev.Bare || string(ev.Line) != in {
				t.Errorf("%q: %s, bare %v, line %q", in, got, ev.Bare, ev.Line)
			}
		}
	}
	for in, want := range map[string]string{
		"\xff":           "invalid UTF-8 at column 1",
		"gr\u00fc\xdf":   "invalid UTF-8 at column 5",
		"\ufffd\xed\xa0": "invalid UTF-8 at column 4",
	} {
		if _, err := parseOne(t, "text", in, event.Clean{}); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("hello \"\\ world\r")
	f.Add("\xc3\x28 \xe2\x82")
	f.Fuzz(func(t *testing.T, line string) {
		ev, err := parseOne(t, "text", line, event.Clean{})
		if (err == nil) != utf8.ValidString(line) {
			t.Fatalf("%q: %v", line, err)
		}
		if err != nil {
			b := err.(*event.BadError)
			if !utf8.ValidString(line[:b.Column-1]) || utf8.ValidString(line[:b.Column]) && b.Column == len(line) {
				t.Fatalf("%q: column %d", line, b.Column)
			}
			return
		}
		if got := string(ev.Value().AppendText(nil)); got != strings.TrimSuffix(line, "\r") {
			t.Fatalf("%q: %q", line, got)
		}
		if clean, err := parseOne(t, "text", line, cleanOf(line)); err != nil || string(clean.AppendValue(nil)) != string(ev.AppendValue(nil)) {
			t.Fatalf("%q differs if it is known to be clean", line)
		}
	})
}

func TestLossy(t *testing.T) {
	p := newText(Options{Lossy: true})
	for in, want := range map[string]string{
		"":                   "",
		"gr\u00fcn\r":        "gr\u00fcn",
		"gr\xfcn\xdf\xdf":    "gr\ufffdn\ufffd\ufffd",
		"\xff\r":             "\ufffd",
		"\xe2\x82 \u20ac":    "\ufffd\ufffd \u20ac", // cut off in the middle
		"\xed\xa0\x80\"\\\t": "\ufffd\ufffd\ufffd\"\\\t",
		"\ufffd\x80":         "\ufffd\ufffd",
	} {
		var events [2]event.Event // both in use at the same time
		for i := range events {
			ev := &events[i]
			ev.Reset(0)
			if err := p.Parse([]byte(in), ev); err != nil {
				t.Fatalf("%q: %v", in, err)
			}
		}
		for i := range events {
			ev := &events[i]
			if got := string(ev.Value().AppendText(nil)); got != want || string(ev.Line) != in || !json.Valid(ev.AppendValue(nil)) {
				t.Errorf("%q: %q, want %q", in, got, want)
			}
		}
	}
}

func TestLossyAllocatesNothing(t *testing.T) {
	p := newText(Options{Lossy: true})
	line := []byte(strings.Repeat("\xfc", 100))
	var ev event.Event
	if n := testing.AllocsPerRun(100, func() {
		ev.Reset(0)
		p.Parse(line, &ev)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzLossy(f *testing.F) {
	f.Add("gr\xfcn \xe2\x82")
	p := newText(Options{Lossy: true})
	var ev event.Event
	f.Fuzz(func(t *testing.T, line string) {
		ev.Reset(0)
		if err := p.Parse([]byte(line), &ev); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if got, want := string(ev.Value().AppendText(nil)), string([]rune(strings.TrimSuffix(line, "\r"))); got != want {
			t.Fatalf("%q: %q, want %q", line, got, want)
		}
	})
}

func TestJSONModes(t *testing.T) {
	const env, bare = `{"value":{"a":1},"key":"k"}`, `{"a":1}`
	for _, c := range []struct {
		format, in, value string // "" = bad
	}{
		{"json", env, bare}, {"json", bare, bare}, {"json", `[1]`, `[1]`}, {"json", bare + "\r", bare}, {"json", `{"a":`, ""}, {"json", "", ""},
		{"event", env, bare}, {"event", bare, ""}, {"event", `1`, ""},
		{"value", env, env}, {"value", `1`, `1`}, {"value", `1 2`, ""},
	} {
		ev, err := parseOne(t, c.format, c.in, event.Clean{})
		if (err != nil) != (c.value == "") {
			t.Errorf("%s: %s: %v", c.format, c.in, err)
		} else if err == nil && string(ev.AppendValue(nil)) != c.value {
			t.Errorf("%s: %s: value %s, want %s", c.format, c.in, ev.AppendValue(nil), c.value)
		}
	}
}

func TestDetect(t *testing.T) {
	many := func(n int, s string) string { return strings.Repeat(s+"\n", n) }
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", "text"},
		{"blank", "\n \r\n\t\n", "text"},
		{"object", `{"a":1}`, "json"},
		{"blank lines first", "\n\r\n  {\"a\":1}\r\n", "json"},
		{"array", "[1,2]\n", "json"},
		{"number", "12\n", "json"},
		{"string", "\"a\"\n", "json"},
		{"null", "null\nnot json\n", "json"},
		{"starts like JSON", "[Sun Dec 04 04:47:44 2005] [notice] ok\n", "text"},
		{"starts like a number", "1 file changed\n", "text"},
		{"invalid UTF-8", "\"\xff\"\n", "text"},
		{"first line bad, most JSON", "starting\n" + many(3, `{"a":1}`), "json"},
		{"first line a cut object", "{\"a\":\n" + many(3, `{"a":1}`), "json"},
		{"half JSON", "starting\n{\"a\":1}\n", "text"},
		{"text with numbers", "total\n" + many(9, "12"), "text"},
		{"combined", sample + "\n", "combined"},
		{"combined without line end", sample, "combined"},
		{"combined with CR LF", sample + "\r\n" + sample + "\r\n", "combined"},
		{"common", commonSample + "\n", "combined"},
		{"combined, last line cut", sample + "\n" + sample[:50], "combined"},
		{"combined, last of one blank and one cut", "\n" + sample + "\n" + sample[:50], "combined"},
		{"combined, a third bad", sample + "\nbad\n" + sample + "\n", "combined"},
		{"combined, half bad", sample + "\nbad\n", "text"},
		{"combined, first lines bad", many(3, "bad") + many(4, sample), "combined"},
		{"bad after the first lines", many(64, sample) + many(200, "bad"), "combined"},
		{"good after the first lines", many(64, "bad") + many(200, sample), "text"},
		{"no calendar date", strings.Replace(sample, "10/Oct", "40/Oct", 1) + "\n", "text"},
		{"text", "hello\nworld\n", "text"},
		{"syslog", "Jan  2 03:04:05 host app[1]: one\n<34>1 2003-10-11T22:14:15.003Z host app - ID47 - two\n", "syslog"},
		{"logfmt", many(2, "level=info msg=\"a b\" n=1"), "logfmt"},
		{"one pair is not enough", many(9, "a=1"), "text"},
		{"csv", "name,size\na,1\nb,2\n", "csv"},
		{"csv, names alone", "name,size\n", "text"},
		{"csv, last record cut", "name,size\na,1\nb", "csv"},
		{"csv, a record over two lines", "name,text\na,\"x\ny\"\nb,z\n", "csv"},
		{"tsv", "name\tsize\na\t1\nb\t2\n", "tsv"},
		{"csv of access log lines", "line,source\n\"" + strings.ReplaceAll(sample, "\"", "\"\"") + "\",web\n", "csv"},
		{"two kinds: most lines decide", many(30, sample) + many(34, "level=info msg=x"), "logfmt"},
		{"two kinds: most lines decide", many(34, sample) + many(30, "level=info msg=x"), "combined"},
		{"csv of messages", "message,level\n" + many(5, "Jan  2 03:04:05 host app[1]: one,info"), "csv"},
		{"csv of messages without tags", "message,level\nJan  2 03:04:05 host app[1]: one,info\n" + many(5, "Jan  2 03:04:05 host one,info"), "csv"},
		{"syslog over several lines", "Jan  2 03:04:05 host app[1]: one\n\ttwo\n\tthree\n", "syslog"},
		{"docker compose", many(3, `web-1  | {"a":1}`), "text"},
	} {
		if got := Detect([]byte(c.in)).Name; got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
