package reader

import (
	"strings"
	"testing"
)

func TestForeign(t *testing.T) {
	const access = `192.0.2.1 - - [14/Mar/2026:08:58:09 +0000] "GET / HTTP/1.1" 200 2973 "-" "curl"`
	const noJSON, combined = "the first lines are no JSON: ", "the first lines look like combined: -i combined"
	for _, c := range []struct {
		lines string // those with ! are good
		want  string
	}{
		{access, combined},
		{strings.Repeat(access+"\n", 9), combined},
		{strings.Repeat(access+"\n", 5) + "!{}", combined},
		{"x", noJSON},
		{"x\ny\n!1", ""},
		{"!1\nx", ""},
		{"{\"a\":\nx", ""},
		{"x\n{\"a\":", ""},
		{"x\n\ny", noJSON},
	} {
		f := foreign{asked: true}
		for i, line := range strings.Split(c.lines, "\n") {
			if strings.HasPrefix(line, "!") {
				f.good = true
			} else if line != "" {
				f.bad("-", int64(i+1), []byte(line))
			}
		}
		if got := f.hint(); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%q: %q, want %q", c.lines, got, c.want)
		}
		if f.count > enough {
			t.Errorf("%q: %d lines are kept", c.lines, f.count)
		}
	}
	var f foreign // any other format
	f.bad("-", 1, []byte(access))
	if f.hint() != "" {
		t.Error("a hint without being asked")
	}
}
