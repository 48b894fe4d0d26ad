package logview

import (
	"strings"
	"testing"
)

func TestSeveral(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{".a|length,.b", "(.a|length),.b"},
		{".a | length , .b", "(.a | length),.b"},
		{".a,.b|length", ".a,(.b|length)"},
		{".a|length,.b|length,.c", "(.a|length),(.b|length),.c"},
		{".a,.b,.c|f", ""}, // f is no function
		{`.a|"x,y"`, ""},
		{`.a|"x\",y",.b`, `(.a|"x\",y"),.b`},
		{".a|[.b,.c]", ""},
		{".a|(.b,.c)", ""},
		{"{a:(.a|length,.b)}", ""},
		{".a as $x | .b,$x", ""},
		{".a|length", ""},
		{"", ""},
		{",", ""},
		{".a|length # b,.c", ""},
	} {
		if got := several(c.src); got != c.want {
			t.Errorf("%s: %q, want %q", c.src, got, c.want)
		}
	}
}

// What is suggested is a list of columns.
func FuzzSeveral(f *testing.F) {
	f.Add(".a|length,.b")
	f.Add(`.a,.b|"\(1|.,2)",3`)
	f.Add("if . then 1|2,3 else 4 end,5|6 # ,7")
	f.Add("def f: 1,2; f|.,3")
	f.Fuzz(func(t *testing.T, src string) {
		if len(src) > 200 {
			return
		}
		better := several(src)
		if better == "" {
			return
		}
		if !whole(better) {
			t.Errorf("%q: %q does not compile", src, better)
		}
		// Nothing but brackets and spaces came or went.
		plain := func(s string) string {
			return strings.NewReplacer("(", "", ")", "", " ", "", "\t", "", "\r", "", "\n", "").Replace(s)
		}
		if plain(src) != plain(better) {
			t.Errorf("%q: %q is something else", src, better)
		}
	})
}

// Every flag that is meant together with itself is refused when given twice.
func TestOnce(t *testing.T) {
	for _, d := range New().FlagDocs() {
		switch d.Value {
		case "EXPR", "AGGS", "TIME", "FILE", "COL[:asc|desc]":
			if d.Once == "" {
				t.Errorf("--%s may be given twice", d.Name)
			}
		default:
			if d.Once != "" {
				t.Errorf("--%s may not be given twice", d.Name)
			}
		}
	}
}
