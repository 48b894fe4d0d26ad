package expr

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"logtools/pkg/event"
)

func TestSyntaxErrors(t *testing.T) {
	for _, c := range []struct {
		src    string
		offset int
		msg    string
	}{
		{"", 0, `missing query (try ".")`},
		{"   ", 3, `missing query (try ".")`},
		{".a ==", 5, "unexpected EOF"},
		{".a === 1", 5, `unexpected token "="`},
		{".a | foo", 5, "function not defined: foo/0"},
		{".foo | foo(1)", 7, "function not defined: foo/1"},
		{`{length: "length", x: length(.; 2)}`, 22, "function not defined: length/2"},
		{`"é日\(nope)"`, 8, "function not defined: nope/0"},
		{".a == $x", 6, "variable not defined: $x"},
		{"break $x", 6, "label not defined: $x"},
		{`.a == "x`, 6, "unterminated string literal"},
		{"[.a, input]", 5, "input is not available here"},
		{"# input\ninput", 8, "input is not available here"},
		{"halt", 0, "halt is not available here"},
		{"$ENV.HOME", 0, "$ENV is not available here"},
		{".a | env", 5, "env is not available here"},
		{"$__loc__", 0, "$__loc__ is not available here"},
		{"{$ENV}", 1, "$ENV is not available here"},
		{"input_line_number", 0, "input_line_number is not available here"},
		{`import "a" as a; .`, 0, "modules are not available here"},
		{`include "a"; .`, 0, "modules are not available here"},
		{".a::b", 2, ""},
		{strings.Repeat(" ", 70000) + ".", 65536, "program is longer than 65536 bytes"},
	} {
		_, err := Compile(c.src, new(event.Fields))
		var se *SyntaxError
		if !errors.As(err, &se) {
			t.Errorf("%.40q: got %v", c.src, err)
			continue
		}
		if c.msg != "" && se.Msg != c.msg || se.Offset != c.offset || se.Src != c.src || strings.Contains(se.Error(), "\n") {
			t.Errorf("%.40q: got %q at %d, want %q at %d", c.src, se.Msg, se.Offset, c.msg, c.offset)
		}
	}
}

func TestCaret(t *testing.T) {
	for _, c := range []struct {
		src    string
		offset int
		want   string
	}{
		{".a | foo", 5, "\t.a | foo\n\t     ^"},
		{"é | foo", 5, "\té | foo\n\t    ^"},
		{"\"日本\" | foo", 11, "\t\"日本\" | foo\n\t         ^"},
		{".a |\n  foo | .b", 7, "\t  foo | .b\n\t  ^"},
		{"\t.a", 1, "\t .a\n\t ^"},
		{".a", 99, "\t.a\n\t  ^"},
		{"", 0, "\t\n\t^"},
	} {
		if got := (&SyntaxError{Src: c.src, Offset: c.offset}).Caret(); got != c.want {
			t.Errorf("%q: got\n%s\nwant\n%s", c.src, got, c.want)
		}
	}
}

func TestColumns(t *testing.T) {
	for src, want := range map[string]string{
		".path,.status":                   "path=.path status=.status",
		".path , .status ":                "path=.path status=.status",
		"{p:.path,s:.status}":             "p=.path s=.status",
		"{path,\"a b\":.x,$key}":          "path=.path a b=.x key=$key",
		"{\"a b\"}":                       "a b=.\"a b\"",
		"$time[:13],.appname":             "$time[:13]=$time[:13] appname=.appname",
		"$key,$headers.x":                 "key=$key x=$headers.x",
		".a.b[0],.tags[],.c?":             "b=.a.b[0] tags=.tags[] c=.c?",
		`.["a b"], ."c"`:                  `a b=.["a b"] c=."c"`,
		"(.a,.b)":                         "(.a,.b)=(.a,.b)",
		"if .a then .b,.c else 1 end, .d": "if .a then .b,.c else 1 end=if .a then .b,.c else 1 end d=.d",
		`"x,\(.a,.b),y", .c`:              `"x,\(.a,.b),y"="x,\(.a,.b),y" c=.c`,
		".a|.b,.c":                        ".a|.b,.c=.a|.b,.c",
		".a+1":                            ".a+1=.a+1",
		"{a:1}.a":                         "{a:1}.a={a:1}.a",
		".":                               ".=.",
		".a, .a":                          "error at 5: two columns are called a; name them: {a: …, b: …}",
		".a, .b.a":                        "error at 7: two columns are called a; name them: {a: …, b: …}",
		"{(.a):1}":                        "error at 0: a column's name must be written out",
		"":                                "error at 0: no column is named",
		".a,":                             "error at 3: unexpected EOF",
	} {
		cols, err := Columns(src)
		var parts []string
		for _, c := range cols {
			parts = append(parts, c.Name+"="+c.Expr)
			if _, err := Compile(c.Expr, new(event.Fields)); err != nil {
				t.Errorf("%s: %v", src, err)
			}
		}
		got := strings.Join(parts, " ")
		if err != nil {
			var se *SyntaxError
			if !errors.As(err, &se) {
				t.Fatalf("%s: %T", src, err)
			}
			got = fmt.Sprintf("error at %d: %s", se.Offset, se.Msg)
		}
		if got != want {
			t.Errorf("%s\ngot  %s\nwant %s", src, got, want)
		}
	}
}
