package render

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"logtools/pkg/event"
)

// escapeNaive is escapeText, front to back.
func escapeNaive(s string, quoted bool) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case quoted && (r == '"' || r == '\\'):
			b.WriteString(`\` + string(r))
		case drivesTerminal(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func FuzzEscapeText(f *testing.F) {
	for _, s := range []string{"", "plain", "a\nb\tc\r", "\x1b[31m\u0085\u202e", `q"b\s`, "日本\u2028語", "\xff\xfe\xe2\x80", "é\x7f", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, quoted := range []bool{false, true} {
			got := string(escapeText(append([]byte("\n"), s...), 1, quoted))
			// Bytes that are not UTF-8 may be counted differently from behind.
			if want := "\n" + escapeNaive(s, quoted); got != want && utf8.ValidString(s) {
				t.Errorf("%q: got %q, want %q", s, got, want)
			}
			if !utf8.ValidString(got) {
				t.Errorf("%q: %q is not UTF-8", s, got)
			}
			for _, r := range got[1:] {
				if drivesTerminal(r) {
					t.Errorf("%q: %q drives the terminal", s, got)
				}
			}
		}
		if !utf8.ValidString(s) {
			return
		}
		var back string
		if q := appendQuoted(nil, event.TextValue([]byte(s))); json.Unmarshal(q, &back) != nil || back != colorSequence.ReplaceAllString(s, "") {
			t.Errorf("%q quoted is %s, which reads %q", s, q, back)
		}
	})
}

// colorSequence is what dropColors leaves out.
var colorSequence = regexp.MustCompile("\x1b\\[[0-9;:]*m")

func TestDropColors(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "",
		"\x1b[31mred\x1b[0m":            "red",
		"a\x1b[m\x1b[38;5;1m\x1b[4:3mb": "ab",
		"\x1b[2J":                       `\u001b[2J`,
		"\x1b[31":                       `\u001b[31`,
		"\x1b[":                         `\u001b[`,
		"\x1b":                          `\u001b`,
		"\x1b]31m":                      `\u001b]31m`,
		"\x1b[?1m":                      `\u001b[?1m`,
		"\x1b[ 1m":                      `\u001b[ 1m`,
		// What the first leaves is not taken for another.
		"\x1b\x1b[0m[31m": `\u001b[31m`,
		"\x1b[3\x1b[0m1m": `\u001b[31m`,
	} {
		if got := string(appendPrintable([]byte("\x1b[0m"), event.TextValue([]byte(text)))); got != "\x1b[0m"+want {
			t.Errorf("%q: got %q, want %q after what was there", text, got, want)
		}
		if got := string(appendQuoted(nil, event.TextValue([]byte(text)))); got != `"`+want+`"` {
			t.Errorf("%q: quoted %s, want %q", text, got, want)
		}
		if got, want := string(dropColors([]byte(text), 0)), colorSequence.ReplaceAllString(text, ""); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestAppendWord(t *testing.T) {
	for _, c := range []struct{ text, apart, want string }{
		{"", "", `""`},
		{"word", "", "word"},
		{"/a?b=c&d", "", "/a?b=c&d"},
		{"a=b", "=", `"a=b"`},
		{`C:\new`, "", `C:\new`},
		{"two words", "", `"two words"`},
		{`say "x"`, "", `"say \"x\""`},
		{`"`, "", `"\""`},
		{"a\nb\\", "", `"a\nb\\"`},
		{"日本", "", "日本"},
		{"日\u3000本", "", "\"日\u3000本\""}, // an ideographic blank
		{"a\u00a0b", "", "\"a\u00a0b\""},
		{"a\u202eb", "", `"a\u202eb"`},
		{"\x7f", "", `"\u007f"`},
		{"e\u0301", "", "e\u0301"},
		{"\x1b[31mred\x1b[0m", "", "red"},
		{"\x1b[0m", "", `""`},
	} {
		if got := string(appendWord([]byte("x"), event.TextValue([]byte(c.text)), c.apart)); got != "x"+c.want {
			t.Errorf("%q: got %s, want x%s", c.text, got, c.want)
		}
	}
}

func TestDrivesTerminal(t *testing.T) {
	ranges := [][2]rune{{0, 0x1f}, {0x7f, 0x9f}, {0x61c, 0x61c}, {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x2069}}
	for r := rune(0); r <= utf8.MaxRune; r++ {
		want := false
		for _, x := range ranges {
			want = want || x[0] <= r && r <= x[1]
		}
		if got := drivesTerminal(r); got != want {
			t.Errorf("%U: got %v, want %v", r, got, want)
		}
	}
}
