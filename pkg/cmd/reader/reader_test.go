package reader

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"logtools/pkg/event"
	"logtools/pkg/expr"
)

func TestOddName(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{".é", "é"},
		{".a.é", "é"},
		{".é.b", "é"},
		{".a | .é | .b", "é"},
		{".@version", "@version"},
		{".5xx", "5xx"},
		{".a.5xx|.b", "5xx"},
		{".a-b", "a-b"},
		{".user-agent-x", "user-agent-x"},
		{"(.a-b)+1", "a-b"},
		{"[.x.a-b]", "a-b"},
		{"a-b", ""},
		{".a - b", ""},
		{".a -b", ""},
		{".-b", ""},
		{".a-", ""},
		{".a.", ""},
		{"é", ""},
		{".[é]", ""},
		{".a.\"x", ""},
		{".\\", ""},
		{"", ""},
	} {
		_, err := expr.Compile(c.src, new(event.Fields))
		syntax, ok := err.(*expr.SyntaxError)
		if !ok {
			if c.src != "" {
				t.Errorf("%s: %v", c.src, err)
			}
			continue
		}
		if got := oddName(c.src, min(syntax.Offset, len(c.src))); got != c.want {
			t.Errorf("%s: %q, want %q", c.src, got, c.want)
		}
	}
}

// What the hint says can be typed.
func FuzzOddName(f *testing.F) {
	for _, src := range []string{".é", ".user-agent|.x", ".5xx.y", ".a.@t", "..", ".-", ".a\\-b", ".\xff-a", ".a-\xff"} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		_, err := expr.Compile(src, new(event.Fields))
		syntax, ok := err.(*expr.SyntaxError)
		if !ok {
			return
		}
		word := oddName(src, min(syntax.Offset, len(src)))
		if word == "" || !utf8.ValidString(src) {
			return
		}
		if strings.ContainsFunc(word, func(r rune) bool { return r < ' ' }) {
			return // shown as an escape
		}
		if _, err := expr.Compile(`.["`+word+`"]`, new(event.Fields)); err != nil {
			t.Errorf("%q: %q: %v", src, word, err)
		}
	})
}

// No format's name has a hint to use something else.
func TestInstead(t *testing.T) {
	for _, f := range []struct {
		names   []string
		instead map[string]string
	}{
		{Inputs().Names, Inputs().Instead},
		{Outputs("logcat").Names, Outputs("logcat").Instead},
		{Outputs("logview").Names, Outputs("logview").Instead},
	} {
		for _, name := range f.names {
			if hint, ok := f.instead[name]; ok {
				t.Errorf("%s: %s", name, hint)
			}
		}
		for name, hint := range f.instead {
			if name != strings.ToLower(name) || hint == "" {
				t.Errorf("%q: %q", name, hint)
			}
			if format, ok := strings.CutPrefix(hint, "try -i "); ok {
				format, _, _ = strings.Cut(format, ":")
				if !slices.Contains(f.names, format) {
					t.Errorf("%s: there is no %s", name, format)
				}
			}
			if format, ok := strings.CutPrefix(hint, "try -o "); ok && !slices.Contains(f.names, format) {
				t.Errorf("%s: there is no %s", name, format)
			}
		}
	}
}
