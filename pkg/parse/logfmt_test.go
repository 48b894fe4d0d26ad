package parse

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"logtools/pkg/event"
)

// logfmtSlow is the slow twin of the logfmt parser, one character after the
// other. It returns name, value, name, value…, in the order of the last pair of
// each key; false for a bad line.
func logfmtSlow(line string) (out []any, ok bool) {
	if !utf8.ValidString(line) {
		return nil, false
	}
	equals := false
	for line != "" {
		if line[0] <= ' ' {
			line = line[1:]
			continue
		}
		k := strings.IndexFunc(line, func(r rune) bool { return r <= ' ' || r == '=' || r == '"' })
		if k < 0 {
			k = len(line)
		}
		key := line[:k]
		line = line[k:]
		var v any = true
		if key == "" || strings.HasPrefix(line, `"`) {
			return nil, false
		}
		if strings.HasPrefix(line, "=") {
			equals = true
			if line = line[1:]; strings.HasPrefix(line, `"`) {
				end := 1
				for end < len(line) && line[end] != '"' {
					if line[end] == '\\' {
						end++
					}
					end++
				}
				if end >= len(line) || end+1 < len(line) && line[end+1] > ' ' {
					return nil, false
				}
				v = unescapeSlow(line[1:end])
				line = line[end+1:]
			} else {
				end := strings.IndexFunc(line, func(r rune) bool { return r <= ' ' })
				if end < 0 {
					end = len(line)
				}
				word := line[:end]
				if strings.Contains(word, `"`) {
					return nil, false
				}
				v = word
				if word != "" && strings.Contains("-0123456789", word[:1]) && json.Valid([]byte(word)) {
					v = json.Number(word)
				}
				line = line[end:]
			}
		}
		for i := 0; i < len(out); i += 2 {
			if out[i] == key {
				out = append(out[:i], out[i+2:]...)
				break
			}
		}
		out = append(out, key, v)
	}
	return out, equals
}

func unescapeSlow(s string) string {
	var b strings.Builder
	hex := func(n int) (uint64, bool) {
		if len(s) < n+2 || strings.ContainsAny(s[2:n+2], "_+-") {
			return 0, false
		}
		v, err := strconv.ParseUint(s[2:n+2], 16, 64)
		return v, err == nil
	}
	for s != "" {
		if s[0] != '\\' || len(s) == 1 {
			b.WriteByte(s[0])
			s = s[1:]
			continue
		}
		if k := strings.IndexByte(`"\/bfnrtav`, s[1]); k >= 0 {
			b.WriteByte("\"\\/\b\f\n\r\t\a\v"[k])
			s = s[2:]
			continue
		}
		n := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[1]]
		v, ok := hex(n)
		if n == 0 || !ok {
			b.WriteByte('\\')
			s = s[1:]
			continue
		}
		s = s[n+2:]
		switch {
		case n == 4 && utf16.IsSurrogate(rune(v)):
			low, ok := uint64(0), strings.HasPrefix(s, `\u`)
			if ok {
				low, ok = hex(4)
			}
			if r := utf16.DecodeRune(rune(v), rune(low)); ok && r != utf8.RuneError {
				b.WriteRune(r)
				s = s[6:]
			} else {
				b.WriteRune(utf8.RuneError)
			}
		case n == 2 && v >= 0x80 || v > utf8.MaxRune:
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(rune(v))
		}
	}
	return b.String()
}

func newLogfmtFixture() lazyFixture {
	return newLazyFixture(newLogfmt, Options{}, []string{"a", "b", "level", "msg", "a\\b", "value", "longer_than_8", "longer_than_9", "k\u00fc"}, "other=line a=b")
}

func (x lazyFixture) checkLogfmt(t testing.TB, line string, c event.Clean) string {
	t.Helper()
	got, err := x.parse(t, line, c)
	want, ok := logfmtSlow(line)
	if ok != (err == nil) {
		t.Fatalf("%q: %s %v, want good: %v %q", line, got, err, ok, want)
	}
	if err != nil {
		return ""
	}
	if out := members(t, got); !reflect.DeepEqual(out, want) {
		t.Fatalf("%q:\n got %q\nwant %q", line, out, want)
	}
	return got
}

func TestLogfmtValue(t *testing.T) {
	x := newLogfmtFixture()
	for in, want := range map[string]string{
		`level=info msg="hello world" n=17`: `{"level":"info","msg":"hello world","n":17}`,
		`level=info` + "\r":                 `{"level":"info"}`,
		"  a=1\t b=2  ":                     `{"a":1,"b":2}`,
		`a= b`:                              `{"a":"","b":true}`,
		`a=`:                                `{"a":""}`,
		`a="" b=true c=null d=false`:        `{"a":"","b":"true","c":"null","d":"false"}`,
		`flag a=1 other`:                    `{"flag":true,"a":1,"other":true}`,
		`url=/x?a=b&c=d== next=1`:           `{"url":"/x?a=b&c=d==","next":1}`,
		`a=1 b=2 a=3`:                       `{"b":2,"a":3}`,
		`a a=1`:                             `{"a":1}`,
		`a=-0 b=1e5 c=1.50 d=007 e=+1 f=1. g=.5 h=0x10`:   `{"a":-0,"b":1e5,"c":1.50,"d":"007","e":"+1","f":"1.","g":".5","h":"0x10"}`,
		`a=123456789012345678901234567890 b=- c=1e d="5"`: `{"a":123456789012345678901234567890,"b":"-","c":"1e","d":"5"}`,
		`took=1.368313ms ip=10.0.0.1 t=2024-01-02`:        `{"took":"1.368313ms","ip":"10.0.0.1","t":"2024-01-02"}`,
		`path=C:\dir\new a=1`:                             `{"path":"C:\\dir\\new","a":1}`,
		`path="C:\dir\new" a=1`:                           `{"path":"C:\\dir\new","a":1}`,
		`msg="say \"hi\" \\ \/ \u00e9 \ud83d\ude00\n"`:    `{"msg":"say \"hi\" \\ \/ \u00e9 \ud83d\ude00\n"}`,
		`msg="\x1b[0m\a\v\U0001F600\xff\ud83d"`:           `{"msg":"\u001b[0m\u0007\u000b` + "\U0001f600\ufffd\ufffd" + `"}`,
		`msg="\q \u12 \x1 \U0001"`:                        `{"msg":"\\q \\u12 \\x1 \\U0001"}`,
		"msg=\"tab\there\" a=1":                           `{"msg":"tab\there","a":1}`,
		"msg=\"tab\there\\n\" a=1":                        `{"msg":"tab\there\n","a":1}`,
		"msg=gr\u00fc\u00df k\u00fc=1":                    "{\"msg\":\"gr\u00fc\u00df\",\"k\u00fc\":1}",
		`a\b=1 a,b=2 {c}=3 @timestamp=4`:                  `{"a\\b":1,"a,b":2,"{c}":3,"@timestamp":4}`,
		`value=1 a=2`:                                     `{"value":1,"a":2}`,
		`longer_than_8=1 longer_than_9=2 longer_than_8=3`: `{"longer_than_9":2,"longer_than_8":3}`,
		"type=A\x1dUID=\"root\"":                          `{"type":"A","UID":"root"}`,
	} {
		for _, c := range []event.Clean{{}, cleanOf(in)} {
			if got := x.checkLogfmt(t, in, c); got != want {
				t.Errorf("%s:\n got %s\nwant %s", in, got, want)
			}
		}
	}
	// So many pairs that a table is needed.
	var in, want strings.Builder
	for i := range 300 {
		fmt.Fprintf(&in, "k%d=%d ", i%200, i)
	}
	for i := 100; i < 300; i++ {
		fmt.Fprintf(&want, `,"k%d":%d`, i%200, i)
	}
	if got := x.checkLogfmt(t, in.String(), event.Clean{}); got != "{"+want.String()[1:]+"}" {
		t.Errorf("300 pairs: %s", got)
	}
}

func TestLogfmtBad(t *testing.T) {
	x := newLogfmtFixture()
	for _, c := range []struct{ in, want string }{
		{``, `no key=value`},
		{`hello world`, `no key=value`},
		{`=x`, `key expected at column 1`},
		{`a=1 =x`, `key expected at column 5`},
		{`a=1 "b"=2`, `key expected at column 5`},
		{`a"b=1`, `quote in a key at column 2`},
		{`a=b"c" d=1`, `quote in a value without quotes around it at column 4`},
		{`a={"b":1}`, `quote in a value without quotes around it at column 4`},
		{`a=1 b="c d`, `unterminated quote at column 7`},
		{`a=1 b="c d\"`, `unterminated quote at column 7`},
		{`a=1 b="`, `unterminated quote at column 7`},
		{`a=1 b="\`, `unterminated quote at column 7`},
		{`a="b"c=1`, `space expected after the quote at column 6`},
		{`a="b""c"`, `space expected after the quote at column 6`},
		{"a=b\xff", `invalid UTF-8 at column 4`},
	} {
		if got := x.checkLogfmt(t, c.in, event.Clean{}); got != "" {
			t.Errorf("%q: %s", c.in, got)
		}
		if _, err := x.parse(t, c.in, event.Clean{}); err == nil || err.Error() != c.want {
			t.Errorf("%q: %v, want %s", c.in, err, c.want)
		}
	}
}

// An object that has a member value is not known to be read back as it is.
func TestLogfmtOnlyValue(t *testing.T) {
	p := newLogfmt(Options{})
	for in, want := range map[string]bool{`a=1 b=2`: true, `a=1 value=2`: false, `values=1`: true, `value`: false} {
		var ev event.Event
		ev.Reset(0)
		if p.Parse([]byte(in+" x=1"), &ev); ev.OnlyValue() != want {
			t.Errorf("%s: %v", in, ev.OnlyValue())
		}
	}
}

func TestLogfmtFits(t *testing.T) {
	for in, want := range map[string]bool{
		`a=1 b=2`: true, `a=1`: false, `a=1 b`: false, `a=1 2=b`: false, `a=1 {b}=2`: false, `@t=1 a.b-c/d:e_f="x y"`: true,
		`a=1 b="`: false, `hello a=1 b=2`: false, "a=1 b=2\r": true, "a=1 b=\xff": false, `a=1 b=`: true,
	} {
		if got := fitsLogfmt([]byte(in)); got != want {
			t.Errorf("%q: %v", in, got)
		}
	}
}

var logfmtParts = []string{
	"a", "b", "level", "msg", "value", "longer_than_8", "longer_than_9", "k\u00fc", "=", "=", "=", "=", `"`, `"`, `="`, `" `, " ", " ", "\t", "\\", `\"`, `\\`, `\n`,
	`\u00e9`, `\ud83d\ude00`, `\ud83d`, `\x1b`, `\xff`, `\U0001F600`, `\q`, "1", "-1.5e3", "007", "\u00fc", "\xff", "\x01", "\r", "{", "\ufffd", "word", "longer text",
}

func TestLogfmtAgree(t *testing.T) {
	x := newLogfmtFixture()
	r := rand.New(rand.NewPCG(5, 6))
	const n = 30000
	good := 0
	for range n {
		var b strings.Builder
		for k := r.IntN(12); k >= 0; k-- {
			b.WriteString(logfmtParts[r.IntN(len(logfmtParts))])
		}
		line := b.String()
		switch r.IntN(3) {
		case 0:
			line = `a="` + line + `"`
		case 1:
			line = "level=info " + line
		}
		if x.checkLogfmt(t, line, cleanOf(line)) != "" {
			good++
		}
	}
	if good < n/8 {
		t.Errorf("only %d of %d lines are good", good, n)
	}
}

func FuzzLogfmt(f *testing.F) {
	for _, s := range []string{
		`level=info msg="hello \"world\"" n=17 flag`, `a=1 b= a="\x1b\u00e9" c=1.5e3`, `url=/x?a=b value="` + "\t" + `"`,
	} {
		f.Add(s)
	}
	x := newLogfmtFixture()
	f.Fuzz(func(t *testing.T, line string) {
		if a, b := x.checkLogfmt(t, line, event.Clean{}), x.checkLogfmt(t, line, cleanOf(line)); a != b {
			t.Fatalf("%q: %s, clean %s", line, a, b)
		}
		fitsLogfmt([]byte(line))
	})
}
