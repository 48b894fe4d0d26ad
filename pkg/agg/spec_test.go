package agg

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ list, want string }{ // name func expr n q
		{"count", "count count  0 0"},
		{" count ,\tsum( .bytes ) ", "count count  0 0|sum_bytes sum .bytes 0 0"},
		{"n=count", "n count  0 0"},
		{"n = avg(.a.b)", "n avg .a.b 0 0"},
		{"count(.status>=500)", "count_.status>=500 count .status>=500 0 0"},
		{"median(.t),p50(.t),p99.9(.t)", "median_t median .t 0 50000000000|p50_t p .t 0 50000000000|p99.9_t p .t 0 99900000000"},
		{"p100(.t)", "p100_t p .t 0 100000000000"},
		{"top(.path;10),collect(.user ; 3)", "top_path top .path 10 0|collect_user collect .user 3 0"},
		{`sum(if .a == ")" then 1 else {"x":[1,2]} | .x[0] end)`, `sum_if .a == ")" then 1 else {"x":[1,2]} | .x[0] end sum if .a == ")" then 1 else {"x":[1,2]} | .x[0] end 0 0`},
		{`distinct("\(.a, ")")x"),count`, `distinct_"\(.a, ")")x" distinct "\(.a, ")")x" 0 0|count count  0 0`},
		{`top(def f: .; f; 2)`, `top_def f: .; f top def f: .; f 2 0`},
		{"sum(.a # one, )\n+1)", "sum_.a # one, )\n+1 sum .a # one, )\n+1 0 0"},
		{`sum($key)`, "sum_key sum $key 0 0"},
		{`max(."a b"[0].c["d e"]?)`, `max_d e max ."a b"[0].c["d e"]? 0 0`},
		{`first(.)`, `first_. first . 0 0`},
		{"größe=sum(.x)", "größe sum .x 0 0"},
	} {
		specs, err := Parse(c.list)
		if err != nil {
			t.Errorf("%s: %v", c.list, err)
			continue
		}
		var got []string
		for _, s := range specs {
			got = append(got, fmt.Sprintf("%s %s %s %d %d", s.Name, s.Func, s.Expr, s.N, s.Q))
		}
		if g := strings.Join(got, "|"); g != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.list, g, c.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct {
		list   string
		offset int
		msg    string
		hint   string
	}{
		{"", 0, "expected an aggregate such as count or sum(.bytes)", ""},
		{"count,", 6, "expected an aggregate such as count or sum(.bytes)", ""},
		{"cuont", 0, `unknown aggregate "cuont"`, "did you mean count?"},
		{"count, average(.x)", 7, `unknown aggregate "average"`, "did you mean avg?"},
		{"frobnicate(.x)", 0, `unknown aggregate "frobnicate"`, "aggregates are count sum avg min max stddev median pN distinct first last top collect"},
		{"p0(.x)", 0, `bad quantile "p0"`, "quantiles go from p0.000000001 to p100, such as p99 or p99.9"},
		{"p100.5(.x)", 0, `bad quantile "p100.5"`, "quantiles go from p0.000000001 to p100, such as p99 or p99.9"},
		{"p99.(.x)", 0, `bad quantile "p99."`, "quantiles go from p0.000000001 to p100, such as p99 or p99.9"},
		{"p(.x)", 0, `bad quantile "p"`, "quantiles go from p0.000000001 to p100, such as p99 or p99.9"},
		{"p1e1(.x)", 0, `bad quantile "p1e1"`, "quantiles go from p0.000000001 to p100, such as p99 or p99.9"},
		{"sum", 3, "sum needs an argument", "write sum(.name)"},
		{"sum,count", 3, "sum needs an argument", "write sum(.name)"},
		{"top", 3, "top needs an argument", "write top(.name;10)"},
		{"sum( )", 4, "sum needs an expression in its brackets", ""},
		{"count()", 6, "count needs an expression in its brackets", "write count to count all events"},
		{"top(.x)", 6, "top needs a number of values", "write top(.x;10)"},
		{"top(.x;0)", 7, `the N of top must be a number from 1 to 1073741824, not "0"`, ""},
		{"collect(.x;-1)", 11, `the N of collect must be a number from 1 to 1073741824, not "-1"`, ""},
		{"top(.x;)", 7, `the N of top must be a number from 1 to 1073741824, not ""`, ""},
		{"sum(.x", 3, "the bracket of sum( is never closed", ""},
		{`sum("x)`, 4, "unterminated string", ""},
		{`sum("\(x)`, 4, "unterminated string", ""},
		{`sum("\(x"`, 8, "unterminated string", ""},
		{"sum(.x]", 6, `unexpected ']' in sum(`, ""},
		{"sum(.x) count", 8, "expected a comma after sum(.x)", ""},
		{"=count", 0, "expected a name before =", ""},
		{"sum(.x),sum(.y.x)", 8, `two aggregates are called "sum_x"`, "name one of them: NAME=sum(.y.x)"},
		{"count,a=count,count", 14, `two aggregates are called "count"`, "name one of them: NAME=count"},
	} {
		_, err := Parse(c.list)
		var e *SyntaxError
		if !errors.As(err, &e) {
			t.Errorf("%s: error %v", c.list, err)
			continue
		}
		if e.Offset != c.offset || e.Msg != c.msg || e.Hint != c.hint {
			t.Errorf("%s: at %d %s (%s), want at %d %s (%s)", c.list, e.Offset, e.Msg, e.Hint, c.offset, c.msg, c.hint)
		}
	}
	_, err := Parse("größe=sum(.x),cnt")
	var e *SyntaxError
	if !errors.As(err, &e) || e.Caret() != "\tgröße=sum(.x),cnt\n\t              ^" || e.Hint != "did you mean count?" {
		t.Errorf("caret:\n%s\n%s", e.Caret(), e.Hint)
	}
	if want := `unknown aggregate "cnt" in aggregates 'größe=sum(.x),cnt'`; e.Error() != want {
		t.Errorf("error %s, want %s", e.Error(), want)
	}
}

// TestFuncs: each function of the table can be parsed as its Args say, and has
// a state.
func TestFuncs(t *testing.T) {
	for _, f := range Funcs {
		name := f.Name
		if name == "p" {
			name = "p99"
		}
		lists := map[string][]string{
			"":       {name},
			"[EXPR]": {name, name + "(.x)"},
			"EXPR":   {name + "(.x)"},
			"EXPR;N": {name + "(.x;3)"},
		}[f.Args]
		if lists == nil || f.Doc == "" || strings.HasSuffix(f.Doc, ".") {
			t.Errorf("%s: args %q, doc %q", f.Name, f.Args, f.Doc)
		}
		for _, list := range lists {
			specs := mustParse(t, list)
			if specs[0].Func != f.Name {
				t.Errorf("%s is %s", list, specs[0].Func)
			}
			NewTable(specs, 0, Options{})
		}
	}
}

// FuzzParse: no panic, errors are in the list, and what was accepted can be
// used.
func FuzzParse(f *testing.F) {
	for _, s := range []string{everything, "count", "a=top(.x;3)", `sum("\(.a, ")")x")`, "p99.9(.x)", "sum(.x # \n)", "p0(.x)", "größe=sum(.x)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, list string) {
		specs, err := Parse(list)
		var e *SyntaxError
		switch {
		case err == nil:
			NewTable(specs, 1, Options{})
			seen := make(map[string]bool)
			for _, s := range specs {
				if s.Name == "" || seen[s.Name] {
					t.Errorf("name %q", s.Name)
				}
				seen[s.Name] = true
			}
		case !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(list) || e.Msg == "":
			t.Errorf("error %#v", err)
		default:
			e.Caret()
		}
	})
}
