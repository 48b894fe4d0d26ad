package parse

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"logtools/pkg/event"
)

const accessRegex = `^(?<addr>\S+) (?<ident>\S+) (?<user>\S+) \[(?<time>[^\]]+)\] "(?<request>[^"]*)" (?<status>\d{3}) (?<size>\d+|-)`

func TestRegex(t *testing.T) {
	for _, c := range []struct{ src, in, want string }{
		{`^(?<level>\w+) (?<msg>.*)$`, "INFO started", `{"level":"INFO","msg":"started"}`},
		{`^(?P<level>\w+) (?P<msg>.*)$`, "INFO \"a\\b\"\t\u00fc\r", `{"level":"INFO","msg":"\"a\\b\"\t` + "\u00fc" + `"}`},
		{`^(?<level>\w+) (?<msg>.*)$`, "INFO ", `{"level":"INFO","msg":""}`},
		{`^(?<level>\w+) (?<msg>.*)$`, "INFO", ""},
		{`^(?<level>\w+) (?<msg>.*)$`, "IN\xff x", ""},
		{`(?<ms>\d+)ms`, "took 12ms or 13ms", `{"ms":12}`}, // the first, anywhere
		{`(?<ms>\d+)ms`, "took 012ms", `{"ms":"012"}`},
		{`(?<n>\S+)`, "1.50e+3", `{"n":1.50e+3}`},
		{`(?<n>\S+)`, "-", `{"n":"-"}`},
		{`(?<n>\S+)`, "1.", `{"n":"1."}`},
		{`(?<n>\S+)`, "null", `{"n":"null"}`},
		{`(?<a>\d)(?<b>x)?(?:(?<c>y)|(?<d>z))`, "1z", `{"a":1,"b":null,"c":null,"d":"z"}`},
		{`(?<b>x)(\d)(?<a>y)`, "x1y", `{"b":"x","a":"y"}`}, // in their order, unnamed ones are not there
		{`ip=(?<ip>\S+)(?<x>.)|host=(?<ip>\S+)`, "host=h", `{"ip":"h","x":null}`},
		{`(?<v>a)|(?<v>b)|(?<v>.)`, "ab", `{"v":"a"}`},
		{`(?i)error: (?<msg>.*)`, "x ERROR: y", `{"msg":"y"}`},
		{`(?<value>.)`, "a", `{"value":"a"}`},
		{`(?:(?<last>\w);)*$`, "a;b;", `{"last":"b"}`},
		{`^(?<a>a*)*$`, "aa", `{"a":"aa"}`}, // left to package regexp
	} {
		f, err := ByName("regex:" + c.src)
		if err != nil {
			t.Errorf("%s: %v", c.src, err)
			continue
		}
		if f.Name != "regex" || f.PerInput {
			t.Errorf("%s: format %+v", c.src, f)
		}
		for _, clean := range []event.Clean{{}, cleanOf(c.in)} {
			var ev event.Event
			p := f.New(Options{})
			p.Block(clean)
			ev.Reset(0)
			err := p.Parse([]byte(c.in), &ev)
			got := ""
			if err == nil {
				got = string(ev.AppendValue(nil))
			}
			if got != c.want || err == nil && (!ev.Bare || ev.AsIs || string(ev.Line) != c.in) {
				t.Errorf("%s on %q: %s (%v), want %s", c.src, c.in, got, err, c.want)
			}
			if err == nil && ev.OnlyValue() == strings.Contains(c.want, `"value"`) {
				t.Errorf("%s on %q: OnlyValue %v", c.src, c.in, ev.OnlyValue())
			}
		}
	}
	f, _ := ByName("regex:^(?<a>.)$")
	var ev event.Event
	var bad *event.BadError
	if err := f.New(Options{}).Parse([]byte("ab"), &ev); !errors.As(err, &bad) || bad.Error() != "does not match" {
		t.Errorf("%v", err)
	}
}

// Several events of one Parser are in use at the same time.
func TestRegexSeveralEvents(t *testing.T) {
	fields := new(event.Fields)
	b, nosuch := fields.Add("b"), fields.Add("nosuch")
	deep := fields.Add("a", "x")
	f, err := ByName(`regex:^(?<a>\w+)(?: (?<b>.*))?$`)
	if err != nil {
		t.Fatal(err)
	}
	p := f.New(Options{Fields: fields})
	events := make([]event.Event, 3)
	for i, line := range []string{"x 1", "y", "z text"} {
		events[i].Reset(fields.Len())
		if err := p.Parse([]byte(line), &events[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []struct{ b, value string }{
		{"1", `{"a":"x","b":1}`}, {"null", `{"a":"y","b":null}`}, {`"text"`, `{"a":"z","b":"text"}`},
	} {
		ev := &events[i]
		if got := string(ev.Slots[b].AppendJSON(nil)); got != want.b || ev.Slots[nosuch].Kind != event.Missing || ev.Slots[deep].Kind != event.Missing {
			t.Errorf("event %d: b is %s, want %s", i, got, want.b)
		}
		if got := string(ev.AppendValue(nil)); got != want.value {
			t.Errorf("event %d: %s, want %s", i, got, want.value)
		}
	}
}

func TestRegexAllocatesNothing(t *testing.T) {
	f, _ := ByName("regex:" + accessRegex)
	fields := new(event.Fields)
	fields.Add("status")
	p := f.New(Options{Fields: fields})
	var ev event.Event
	var out []byte
	for line, want := range map[string]float64{sample: 0, "no access log": 0} {
		b := []byte(line)
		if n := testing.AllocsPerRun(100, func() {
			ev.Reset(fields.Len())
			if p.Parse(b, &ev) == nil {
				out = ev.AppendValue(out[:0])
			}
		}); n != want {
			t.Errorf("%s: %v allocations", line, n)
		}
	}
}

func FuzzRegex(f *testing.F) {
	f.Add(accessRegex, sample)
	f.Add(`^(?<a>\d+)? ?(?<b>.*)$`, "12 \"x\\\r")
	f.Add(`(?<a>[^=]*)=(?<b>.)|(?<a>.)`, "a=\xff")
	f.Fuzz(func(t *testing.T, src, line string) {
		if len(src) > 200 || len(line) > 1000 {
			return
		}
		format, err := ByName("regex:" + src)
		if err != nil {
			var e *RegexpError
			if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(src) || e.Msg == "" || strings.Count(e.Caret(), "\n") != 1 {
				t.Fatalf("%q: %#v", src, err)
			}
			return
		}
		fields := new(event.Fields)
		re := regexp.MustCompile(src)
		names := re.SubexpNames()
		for _, n := range names {
			if n != "" {
				fields.Add(n)
			}
		}
		text := strings.TrimSuffix(line, "\r")
		want := map[string]string{}
		groups := re.FindStringSubmatchIndex(text)
		if groups == nil || !utf8.ValidString(line) {
			want = nil
		} else {
			for g, n := range names {
				if _, had := want[n]; n == "" || had && want[n] != "null" {
					continue
				}
				want[n] = "null"
				if from := groups[2*g]; from >= 0 {
					s := text[from:groups[2*g+1]]
					if s != "" && strings.Trim(s, "0123456789+-.eE") == "" && json.Valid([]byte(s)) {
						want[n] = s
					} else {
						want[n] = string(event.AppendString(nil, []byte(s)))
					}
				}
			}
		}
		for _, c := range []event.Clean{{}, cleanOf(line)} {
			p := format.New(Options{Fields: fields})
			p.Block(c)
			var ev event.Event
			ev.Reset(fields.Len())
			if err := p.Parse([]byte(line), &ev); (err == nil) != (want != nil) {
				t.Fatalf("%q on %q: %v, want %v", src, line, err, want)
			} else if err != nil {
				continue
			}
			whole := ev.Value()
			if err := event.Valid(whole.B); err != nil || whole.Len() != len(want) {
				t.Fatalf("%q on %q: %s", src, line, whole.B)
			}
			for n, w := range want {
				if got := string(ev.Slots[fields.Add(n)].AppendJSON(nil)); got != w {
					t.Fatalf("%q on %q: slot %s is %s, want %s", src, line, n, got, w)
				}
				if got := string(whole.Lookup(n).AppendJSON(nil)); got != w {
					t.Fatalf("%q on %q: member %s is %s, want %s", src, line, n, got, w)
				}
			}
		}
	})
}

func TestRegexErrors(t *testing.T) {
	for _, c := range []struct{ src, caret, msg, hint string }{
		{`^\w+$`, "^", "no named group", `name what is to be a member: (?<level>\w+)`},
		{``, "^", "no named group", `name what is to be a member: (?<level>\w+)`},
		{`(?<a>x`, "^", "missing closing )", ""},
		{`((?<a>x)`, "^", "missing closing )", ""},
		{`\((?<a>x)(\()(y[(]`, "             ^", "missing closing )", ""},
		{`(?<a>x))`, "       ^", "unexpected )", ""},
		{`[)](?<a>[]()]))`, "              ^", "unexpected )", ""},
		{`\Q)\E(?<a>x))`, "            ^", "unexpected )", ""},
		{`(?<a>[a-c)`, "     ^", "missing closing ]", ""},
		{`(?<a>a*)(*b)`, "         ^", "missing argument to repetition operator", ""},
		{`(?<a>a*b)**`, "         ^", "invalid nested repetition operator", ""},
		{`a{2}(?<a>a{1001})`, "          ^", "invalid repeat count", ""},
		{`[a-z](?<a>[z-a])`, "           ^", "invalid character class range", ""},
		{`(?<a>\d\y)`, "       ^", "invalid escape sequence", ""},
		{`(?<a>.)\1`, "       ^", "invalid escape sequence", "there are no references back to groups"},
		{`(?<a>.)\`, "       ^", "trailing backslash at end of expression", ""},
		{`(?<a>.)(?<b-c>.)`, "       ^", "invalid named capture", ""},
		{`(?<a>.)(?<b`, "       ^", "invalid named capture", ""},
		{`(?<a>.)(?!b)`, "       ^", "invalid or unsupported Perl syntax", "there is no looking ahead or behind; match what is there, outside of the named groups"},
		{`(?<a>.)(?<=b)`, "       ^", "", "there is no looking ahead or behind; match what is there, outside of the named groups"},
		{"(?<a>.)\xff", "       ^", "invalid UTF-8", ""},
		{"(?<a>\u65e5\t)\\y", "         ^", "invalid escape sequence", ""},
		{`(?<a>(?:(?:x{1000}){1000}){1000})`, "", "", ""},
	} {
		_, err := ByName("regex:" + c.src)
		var e *RegexpError
		if !errors.As(err, &e) {
			t.Errorf("%q: %v", c.src, err)
			continue
		}
		line, caret, _ := strings.Cut(e.Caret(), "\n")
		if c.caret != "" && caret != "\t"+c.caret || !strings.HasPrefix(line, "\t") || e.Src != c.src {
			t.Errorf("%q: %s\n%s\nwant the caret at\n\t%s", c.src, err, e.Caret(), c.caret)
		}
		if c.msg != "" && e.Msg != c.msg || e.Hint() != c.hint {
			t.Errorf("%q: %q, hint %q; want %q, %q", c.src, e.Msg, e.Hint(), c.msg, c.hint)
		}
	}
	_, err := ByName("regex:a\n(?<a>[")
	if want := "missing closing ] in regular expression 'a (?<a>['"; err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func BenchmarkRegex(b *testing.B) {
	for _, c := range []struct {
		name, src string
		value     bool
	}{
		{"match", accessRegex, false},
		{"value", accessRegex, true},
		{"level-msg", `^(?<addr>\S+) (?<msg>.*)$`, true},
		{"search", `"(?<method>[A-Z]+) (?<path>\S+) HTTP/[\d.]+" (?<status>\d+)`, true},
		{"package-regexp", accessRegex[1:] + `(?:|x)*`, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			f, err := ByName("regex:" + c.src)
			if err != nil {
				b.Fatal(err)
			}
			p := f.New(Options{})
			p.Block(event.Clean{UTF8: true, NoControl: true, NoBackslash: true})
			lines := benchLines(1024, combinedLine)
			size := 0
			for _, l := range lines {
				size += len(l) + 1
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			var ev event.Event
			var out []byte
			best := time.Hour
			for b.Loop() {
				start := time.Now()
				for _, line := range lines {
					ev.Reset(0)
					if err := p.Parse(line, &ev); err != nil {
						b.Fatal(err)
					}
					if c.value {
						out = ev.AppendValue(out[:0])
					}
				}
				best = min(best, time.Since(start))
			}
			// As in BenchmarkCombined.
			b.ReportMetric(float64(best.Nanoseconds())/float64(len(lines)), "best-ns/line")
		})
	}
}
