package parse

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"logtools/pkg/event"
)

func prefixed(t testing.TB, name string, o Options) Parser {
	t.Helper()
	f, err := ByName(name)
	if err != nil {
		t.Fatal(err)
	}
	f = Prefix(f)
	if f == nil {
		t.Fatalf("no prefix for %s", name)
	}
	return f.New(o)
}

func TestPrefix(t *testing.T) {
	const k8s = "[pod/web-5d/nginx]"
	for _, c := range []struct{ format, in, headers, value string }{ // no value: the error
		{"json", `web-1  | {"level":"info"}`, `{"prefix":"web-1"}`, `{"level":"info"}`},
		{"auto", `web-1  | {"level":"info"}` + " \r", `{"prefix":"web-1"}`, `{"level":"info"}`},
		{"json", k8s + ` {"a":[1]}`, `{"prefix":"[pod/web-5d/nginx]"}`, `{"a":[1]}`},
		{"json", k8s + ` [1,{}]`, `{"prefix":"[pod/web-5d/nginx]"}`, `[1,{}]`},
		{"json", "\tx|y\t|\t{}", `{"prefix":"x|y"}`, `{}`},
		{"json", `a"b\` + "\x01" + ` {}`, `{"prefix":"a\"b\\\u0001"}`, `{}`},
		{"json", "gr\u00fcn{}", "{\"prefix\":\"gr\u00fcn\"}", `{}`},
		{"json", `{x} [y] {"a":"}"}`, `{"prefix":"{x} [y]"}`, `{"a":"}"}`},
		{"json", `{"a":1} {"b":2}`, `{"prefix":"{\"a\":1}"}`, `{"b":2}`},
		{"json", `1 2 {"b":2}`, `{"prefix":"1 2"}`, `{"b":2}`},
		{"json", strings.Repeat("[", 15) + "{}", `{"prefix":"` + strings.Repeat("[", 15) + `"}`, `{}`},
		{"json", strings.Repeat("[", 16) + "{}", "no JSON behind the prefix", ""},
		// Lines that begin with JSON are what they are without a prefix.
		{"json", `{"a":{"b":1}}`, "", `{"a":{"b":1}}`},
		{"json", ` [1]`, "", `[1]`},
		{"json", `"x {}"`, "", `"x {}"`},
		{"json", `12`, "", `12`},
		{"json", `null`, "", `null`},
		{"json", ` | {}`, "", `{}`},
		// Events.
		{"json", `x | {"key":1,"value":{"a":1}}`, `{"prefix":"x"}`, `{"a":1}`},
		{"json", `x | {"value":1,"headers":{"h":"1","\u0069":["a","b"]}}`, `{"h":"1","\u0069":["a","b"],"prefix":"x"}`, `1`},
		{"json", `x | {"value":1,"headers":{}}`, `{"prefix":"x"}`, `1`},
		{"json", `x | {"value":1,"headers":{"prefix":"w","h":"1"}}`, `{"h":"1","prefix":["w","x"]}`, `1`},
		{"json", `x | {"value":1,"headers":{"prefi\u0078":["v","w"],"h":"1"}}`, `{"h":"1","prefix":["v","w","x"]}`, `1`},
		{"json", `x | {"value":1,"headers":{"prefix":[]}}`, `{"prefix":["x"]}`, `1`},
		{"event", `x | {"value":1}`, `{"prefix":"x"}`, `1`},
		{"event", `x | {"a":1}`, "no JSON behind the prefix", ""},
		{"value", `x | {"value":1}`, `{"prefix":"x"}`, `{"value":1}`},
		{"value", `{"value":1}`, "", `{"value":1}`},
		// Text, where others write JSON.
		{"auto", `web-1  | starting`, `{"prefix":"web-1"}`, `"starting"`},
		{"auto", `db_2 |   "at" \x` + "\t \r", `{"prefix":"db_2"}`, `"  \"at\" \\x\t "`},
		{"auto", `[pod/web-5d] starting`, "no JSON behind the prefix", ""},
		{"auto", `[pod/web-5d/nginx/x] starting`, "no JSON behind the prefix", ""},
		{"auto", `[pod/web 5d/nginx] starting`, "no JSON behind the prefix", ""},
		{"auto", `[pod/web-5d/nginx]starting`, "no JSON behind the prefix", ""},
		{"auto", `[pod/web-5d/nginx`, "no JSON behind the prefix", ""},
		{"auto", `[pod/web-5d/nginx] starting`, `{"prefix":"[pod/web-5d/nginx]"}`, `"starting"`},
		{"auto", `[pod/web-5d/nginx] 1 [2]`, `{"prefix":"[pod/web-5d/nginx]"}`, `"1 [2]"`},
		{"auto", `[pod/web-5d/nginx]  [2]`, `{"prefix":"[pod/web-5d/nginx]"}`, `[2]`},
		{"auto", `web-1  |`, `{"prefix":"web-1"}`, `""`},
		{"auto", `web-1  | ` + "\r", `{"prefix":"web-1"}`, `""`},
		{"auto", `web-1  | 12`, `{"prefix":"web-1"}`, `"12"`},
		{"auto", `web-1  | killed [12]`, `{"prefix":"web-1"}`, `"killed [12]"`},
		{"auto", `web-1  | [12]`, `{"prefix":"web-1"}`, `[12]`},
		{"auto", `web-1  | {"a":1`, `{"prefix":"web-1"}`, `"{\"a\":1"`},
		{"auto", `web-1  | 12:00 {"a":1}`, `{"prefix":"web-1  | 12:00"}`, `{"a":1}`},
		{"auto", "web.1  | gr\u00fcn", `{"prefix":"web.1"}`, "\"gr\u00fcn\""},
		{"auto", "web-1  | gr\xfcn", "invalid UTF-8 at column 12", ""},
		{"auto", `web-1  | {"value":1,"$x":2}`, "an object with value and a member that begins with $ is reserved", ""},
		{"auto", `web-1 exited with code 0`, "no JSON behind the prefix", ""},
		{"auto", `web-1| starting`, "no JSON behind the prefix", ""},
		{"auto", `web-1  |starting`, "no JSON behind the prefix", ""},
		{"auto", ` | starting`, "no JSON behind the prefix", ""},
		{"auto", `web-1`, "no JSON behind the prefix", ""},
		{"auto", `web-1  `, "no JSON behind the prefix", ""},
		{"auto", `2026-03-01 12:00 | x`, "no JSON behind the prefix", ""},
		{"auto", `took [12]`, `{"prefix":"took"}`, `[12]`},
		// Colours, as docker compose writes them for a terminal.
		{"auto", "\x1b[36mapi-1  |\x1b[0m {\"a\":1}", `{"prefix":"api-1"}`, `{"a":1}`},
		{"json", "\x1b[36mapi-1  | \x1b[0m{\"a\":1}", `{"prefix":"api-1"}`, `{"a":1}`},
		{"json", "\x1b[36;1mapi-1\x1b[0m\x1b[38;5;12m  |\x1b[m[1]", `{"prefix":"api-1"}`, `[1]`},
		{"auto", "\x1b[36mapi-1  |\x1b[0m [1]", `{"prefix":"api-1"}`, `[1]`},
		{"auto", "\x1b[2Kweb-1  | {\"a\":1}", `{"prefix":"web-1"}`, `{"a":1}`},
		{"auto", "\x1b[36m[pod/a/b]\x1b[0m {\"a\":1}", `{"prefix":"[pod/a/b]"}`, `{"a":1}`},
		{"json", "\x1b[32m12:00 web\x1b[39m {}", `{"prefix":"12:00 web"}`, `{}`},
		{"json", "\x1b[0m {}", "", `{}`},
		{"json", "\x1b[0m | \x1b[K{}", "", `{}`},
		{"json", strings.Repeat("\x1b[1m", 20) + "x {}", `{"prefix":"x"}`, `{}`},
		{"json", "\x1b[1;{}", `{"prefix":"\u001b[1;"}`, `{}`},
		{"json", "\x1b[[1]", `{"prefix":"\u001b["}`, `[1]`},
		{"json", "\x1b[1]", `{"prefix":"\u001b"}`, `[1]`},
		{"json", "\x1b[\x1b[1mm{}", `{"prefix":"\u001b[m"}`, `{}`}, // taken out once
		{"auto", "\x1b[33mdb-1  |\x1b[0m plain", `{"prefix":"db-1"}`, `"plain"`},
		{"auto", "\x1b[33mdb-1  | \x1b[0mplain", `{"prefix":"db-1"}`, `"plain"`},
		{"auto", "\x1b[33mdb-1\x1b[0m \x1b[1m |\x1b[39m\x1b[m  plain\x1b[0m", `{"prefix":"db-1"}`, `" plain\u001b[0m"`},
		{"auto", "\x1b[33mdb-1  |\x1b[0m", `{"prefix":"db-1"}`, `""`},
		{"auto", "\x1b[33mdb-1  | \x1b[0m\r", `{"prefix":"db-1"}`, `""`},
		{"auto", "\x1b[2Kweb-1  | \x1b[31m\x1b[1mWARN\x1b[0m", `{"prefix":"web-1"}`, `"\u001b[31m\u001b[1mWARN\u001b[0m"`},
		{"auto", "\x1b[33mdb-1  | \x1b[0m\x1b[31m[1]", `{"prefix":"db-1"}`, `"\u001b[31m[1]"`},
		{"auto", "\x1b[36m[pod/a/b]\x1b[0m killed [1]", `{"prefix":"[pod/a/b]"}`, `"killed [1]"`},
		{"auto", "\x1b[33mdb-1  |\x1b[31m plain", "no JSON behind the prefix", ""},
		{"auto", "\x1b[33mdb-1\x1b[0m| plain", "no JSON behind the prefix", ""},
		{"auto", "\x1b[33mdb-1 exited with code 0\x1b[0m", "no JSON behind the prefix", ""},
		{"auto", "\x1b]0;db-1\x07 | plain", "no JSON behind the prefix", ""},
		{"auto", "\x1b[33m\x1b[", "no JSON behind the prefix", ""},
		// Bad lines.
		{"json", k8s + ` starting`, "no JSON behind the prefix", ""},
		{"value", `web-1  | starting`, "no JSON behind the prefix", ""},
		{"json", `web-1  | starting`, "no JSON behind the prefix", ""},
		{"json", `web-1  | {"a":1} x`, "no JSON behind the prefix", ""},
		{"json", `web-1  | {"a":1`, "no JSON behind the prefix", ""},
		{"json", `web-1  | 12`, "no JSON behind the prefix", ""},
		{"json", `{"a":}`, `unexpected '}', expected a value at column 6`, ""},
		{"json", `{"a":1`, `unexpected end of line at column 7`, ""},
		{"json", "gr\xfcn {}", "invalid UTF-8 at column 3", ""},
		{"json", "x {\"\xfc\":1}", "invalid UTF-8 at column 5", ""},
	} {
		for _, clean := range []event.Clean{{}, cleanOf(c.in)} {
			for _, warm := range []string{"", k8s + " {}", "x {}", "{}"} {
				p := prefixed(t, c.format, Options{})
				p.Block(clean)
				var ev event.Event
				if warm != "" {
					ev.Reset(0)
					p.Parse([]byte(warm), &ev)
				}
				ev.Reset(0)
				err := p.Parse([]byte(c.in), &ev)
				if c.value == "" {
					if err == nil || err.Error() != c.headers {
						t.Errorf("%s on %q: %v, want %s", c.format, c.in, err, c.headers)
					}
					continue
				}
				if err != nil {
					t.Errorf("%s on %q: %v", c.format, c.in, err)
					continue
				}
				headers := ""
				if ev.Headers.Kind != event.Missing {
					headers = string(ev.Headers.AppendJSON(nil))
				}
				if got := string(ev.AppendValue(nil)); got != c.value || headers != c.headers || string(ev.Line) != c.in {
					t.Errorf("%s on %q: %s, headers %s, line %q; want %s, %s", c.format, c.in, got, headers, ev.Line, c.value, c.headers)
				}
				if c.headers != "" && (ev.AsIs || ev.Bare || ev.OnlyValue()) {
					t.Errorf("%s on %q: as it is %v, bare %v, only a value %v", c.format, c.in, ev.AsIs, ev.Bare, ev.OnlyValue())
				}
				if ev.AsIs && event.Valid([]byte(c.in)) != nil {
					t.Errorf("%s on %q: as it is", c.format, c.in)
				}
				ev.Reset(0)
				if ev.Headers.Kind != event.Missing {
					t.Errorf("%q: headers left over", c.in)
				}
			}
		}
	}
	for _, name := range []string{"text", "combined", "csv"} {
		if f, _ := ByName(name); Prefix(f) != nil {
			t.Errorf("prefix for %s", name)
		}
	}
}

// prefixSlow is the slow twin: the places in order.
func prefixSlow(line string) (prefix, value string, ok bool) {
	if !utf8.ValidString(line) {
		return "", "", false
	}
	places := []int{len(line) - len(strings.TrimLeft(line, " \t\r"))}
	sequences := make(map[int]bool) // by the place of their bracket
	for _, s := range sequencePattern.FindAllStringIndex(line, -1) {
		sequences[s[0]+1] = true
	}
	for i := range len(line) {
		if (line[i] == '{' || line[i] == '[') && !sequences[i] && len(places) < prefixTries+1 {
			places = append(places, i)
		}
	}
	for _, i := range places {
		if i < len(line) && json.Valid([]byte(line[i:])) {
			prefix := strings.Trim(sequencePattern.ReplaceAllString(line[:i], ""), " \t")
			if cut, bar := strings.CutSuffix(prefix, "|"); bar {
				prefix = strings.TrimRight(cut, " \t")
			}
			return prefix, strings.Trim(line[i:], " \t\r"), true
		}
	}
	return "", "", false
}

func FuzzPrefix(f *testing.F) {
	for _, s := range []string{`web | {"a":"[{"}`, `[p] {"a":"\"{"}`, `["[","]"]`, `"{"`, `{"a":"\\"} []`, "x\xff {}", `[1]{"":{}}`, `["\"[\"","]"]`,
		"\x1b[36mweb  |\x1b[0m {}", "\x1b[2K\x1b[1;[]", "\x1b[\x1b[mm[1]", "\x1b[[1]"} {
		f.Add(s, `[p] {}`)
	}
	f.Fuzz(func(t *testing.T, line, before string) {
		if strings.Contains(line, "\n") || strings.Contains(before, "\n") {
			return
		}
		p := prefixed(t, "value", Options{})
		var ev event.Event
		for _, l := range []string{before, line} {
			ev.Reset(0)
			err := p.Parse([]byte(l), &ev)
			prefix, value, ok := prefixSlow(l)
			if (err == nil) != ok {
				t.Fatalf("%q: %v, want %v", l, err, ok)
			}
			if !ok {
				continue
			}
			headers := ""
			if prefix != "" {
				headers = fmt.Sprintf(`{"prefix":%s}`, event.AppendString(nil, []byte(prefix)))
			}
			got := ""
			if ev.Headers.Kind != event.Missing {
				got = string(ev.Headers.AppendJSON(nil))
			}
			if v := string(ev.AppendValue(nil)); v != value || got != headers {
				t.Fatalf("%q: %s, headers %s; want %s, %s", l, v, got, value, headers)
			}
		}
	})
}

var (
	sequencePattern = regexp.MustCompile(`\x1b\[[0-?]*[A-Za-z]`)
	namePattern     = regexp.MustCompile(strings.NewReplacer("SEQ", `(?:\x1b\[[0-?]*[A-Za-z])*`, "END", `(?:\x1b\[(?:|0|39)m)*`).Replace(
		`^SEQ(?:[A-Za-z0-9_.-]+SEQ(?: SEQ)+\||\[pod/[^] /]*/[^] /]*\])END(?: END|$)`))
)

// FuzzBehindName compares behindName with its slow twin, an expression.
func FuzzBehindName(f *testing.F) {
	for _, s := range []string{"web-1  | x", "[pod/a/b] x", "[pod/a/b", "web-1  |", "a| b", "[pod/a/b/c] x", " | ", "[pod//]", "\xff | ",
		"\x1b[1;36mweb-1  |\x1b[0m x", "\x1b[2Kdb | \x1b[m\x1b[39m\x1b[31mx", "a\x1b[m \x1b[1m |\x1b[1m x"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if bytes.IndexByte(line, '\n') >= 0 {
			return
		}
		want := -1
		if m := namePattern.FindIndex(line); m != nil {
			want = m[1]
		}
		if got := behindName(line); got != want {
			t.Fatalf("%q: %d, want %d", line, got, want)
		}
	})
}

func TestPrefixAllocatesNothing(t *testing.T) {
	p := prefixed(t, "json", Options{})
	var ev event.Event
	auto := prefixed(t, "auto", Options{})
	for _, lines := range [][]string{
		{`web-1  | {"level":"info"}`, `db  | {"level":"info"}`},
		{`[pod/a/b] {"level":"info"}`, `[pod/a/c] {"level":"warn"}`},
		{`web-1  | starting`, `web-1  | Listening on [::]:80`},
		{"\x1b[36mweb-1  |\x1b[0m starting", "\x1b[33mdb-1   | \x1b[0m{\"a\":1}"},
	} {
		if n := testing.AllocsPerRun(100, func() {
			for _, line := range lines {
				ev.Reset(0)
				p.Parse([]byte(line), &ev)
				ev.Reset(0)
				auto.Parse([]byte(line), &ev)
			}
		}); n > 4 { // the lines' own bytes
			t.Errorf("%s: %v allocations", lines[0], n)
		}
	}
}

func TestPrefixRealColors(t *testing.T) {
	p := prefixed(t, "auto", Options{})
	for _, line := range linesOf(readData(t, "lnav-formats/logfile_docker_compose.0")) {
		var ev event.Event
		ev.Reset(0)
		if err := p.Parse([]byte(line), &ev); err != nil {
			t.Errorf("%q: %v", line, err)
		} else if got := string(ev.Headers.B); got != `{"prefix":"web-1"}` && got != `{"prefix":"redis-1"}` {
			t.Errorf("%q: headers %s", line, got)
		}
	}
}

func TestPrefixRealData(t *testing.T) {
	p := prefixed(t, "json", Options{})
	for _, line := range linesOf(readData(t, "lnav-formats/logfile_caddy_log.0")) {
		var ev event.Event
		ev.Reset(0)
		if err := p.Parse([]byte(line), &ev); err != nil {
			t.Errorf("%s: %v", line, err)
		} else if got := string(ev.Headers.B); got != `{"prefix":"caddy"}` || !ev.IsObject() {
			t.Errorf("%s: headers %s", line, got)
		}
	}
}
