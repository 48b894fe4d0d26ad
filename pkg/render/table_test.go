package render

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func table(t *testing.T, look Look, rows ...string) string {
	t.Helper()
	tab := NewTable(header(t, CSV, rows[0]))
	for _, r := range rows {
		if err := tab.Add(raw(r)); err != nil {
			t.Fatal(err)
		}
	}
	return string(tab.AppendTo(nil, look))
}

func TestTable(t *testing.T) {
	for _, c := range []struct {
		name string
		look Look
		rows []string
		want string
	}{
		{"text left, numbers right", Look{}, []string{`{"path":"/a","count":12}`, `{"path":"/longer","count":3}`}, `
path     count
/a          12
/longer      3
`},
		{"null among numbers", Look{}, []string{`{"avg":null,"p":"x"}`, `{"avg":1.5,"p":"y"}`}, `
 avg  p
null  x
 1.5  y
`},
		{"numbers among text are text", Look{}, []string{`{"v":1,"p":"x"}`, `{"v":"ten","p":"y"}`}, `
v    p
1    x
ten  y
`},
		{"missing and nested", Look{}, []string{`{"a":[1,"b"],"b":true,"c":1}`, `{"c":2}`}, `
a        b     c
[1,"b"]  true  1
               2
`},
		{"no blanks at the end", Look{}, []string{`{"a":"x","b":"long"}`, `{"a":"x","b":"y"}`, `{"a":"x"}`}, `
a  b
x  long
x  y
x
`},
		{"single values", Look{}, []string{`"a"`, `7`}, `
value
a
7
`},
		{"wide characters", Look{}, []string{`{"a":"日本","n":1}`, `{"a":"e\u0301t\u0301e","n":2}`, `{"a":"😀","n":3}`}, `
a     n
日本  1
` + "e\u0301t\u0301e" + `   2
😀    3
`},
		{"controls", Look{}, []string{`{"a\u001b":"\u001b[2J\t\r\n\u0085\u007f\u202e\\n"}`}, `
a\u001b
\u001b[2J\t\r\n\u0085\u007f\u202e\n
`},
		{"cut to the terminal", Look{Width: 20}, []string{`{"a":"abcdefghijklmnop","n":12345}`}, `
a                  n
abcdefghijkl…  12345
`},
		{"the widest is cut", Look{Width: 30}, []string{`{"a":"abcdefghijklmnopqrstuvwxyz","b":"abcdefghij","n":1}`}, `
a                b           n
abcdefghijklmn…  abcdefghij  1
`},
		{"both are cut", Look{Width: 25}, []string{`{"a":"abcdefghijklmnopqrstuvwxyz","b":"abcdefghijklmnop","n":1}`}, `
a           b           n
abcdefghi…  abcdefghi…  1
`},
		{"not below eight", Look{Width: 5}, []string{`{"a":"abcdefghijklmnop","n":12345}`}, `
a             n
abcdefg…  12345
`},
		{"cut before a wide character", Look{Width: 10}, []string{`{"a":"日本語日本語日本語"}`}, `
a
日本語日…
`},
		{"long names of numbers stay", Look{Width: 20}, []string{`{"a":"abcdefghijklmnop","count_of_requests":1}`}, `
a         count_of_requests
abcdefg…                  1
`},
		{"colour", Look{Color: true}, []string{`{"a":"xyz","n":10}`}, "\n" +
			"\x1b[1;4ma  \x1b[0m  \x1b[1;4m n\x1b[0m\nxyz  10\n"},
	} {
		if got := "\n" + table(t, c.look, c.rows...); got != c.want {
			t.Errorf("%s:\n%s\nwant:\n%s", c.name, got, c.want)
		}
	}
}

func TestTableRefuses(t *testing.T) {
	tab := NewTable(NamedHeader(CSV, "a"))
	for _, v := range []string{`{"a":"no","b":2}`, `1`} {
		if err := tab.Add(raw(v)); err == nil {
			t.Errorf("%s: added", v)
		}
	}
	if err := tab.Add(raw(`{"a":1}`)); err != nil {
		t.Error(err)
	}
	if got, want := string(tab.AppendTo(nil, Look{})), "a\n1\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := string(NewTable(NamedHeader(CSV, "a", "b")).AppendTo(nil, Look{Width: 3})), "a  b\n"; got != want {
		t.Errorf("no rows: got %q, want %q", got, want)
	}
}

func TestWidth(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "abc": 3, "é": 1, "e\u0301": 1, "日本": 4, "ｱ": 1, "Ａ": 2, "한": 2, "\u1112\u1161\u11ab": 2,
		"😀": 2, "⌚": 2, "☎": 1, "→": 1, "…": 1, "─": 1, "a\u200bb": 2, "\u00ad": 1, "🇩🇪": 2, "עב": 2, "ก็": 1, "〿": 1,
	} {
		if got := textWidth([]byte(text)); got != want {
			t.Errorf("%q: width %d, want %d", text, got, want)
		}
	}
}

func TestWideIsSorted(t *testing.T) {
	// unicode.Is searches by halves.
	last := rune(-1)
	check := func(lo, hi rune) {
		if lo <= last || hi < lo {
			t.Errorf("range %x-%x is out of order", lo, hi)
		}
		last = hi
	}
	for _, r := range wide.R16 {
		check(rune(r.Lo), rune(r.Hi))
	}
	for _, r := range wide.R32 {
		check(rune(r.Lo), rune(r.Hi))
	}
}

// Whatever the rows hold, a table is one line each, none wider than it may be,
// and drives no terminal.
func FuzzTable(f *testing.F) {
	f.Add("a", "b", 10)
	f.Add("日本語日本語", "\x1b[2J\u202e\n", 12)
	f.Add("e\u0301\u0301", strings.Repeat("x", 100), 30)
	f.Fuzz(func(t *testing.T, a, b string, width int) {
		a, b = valid(a), valid(b)
		value := raw(object("left", a, "right", b))
		tab := NewTable(NamedHeader(CSV, "left", "right"))
		for range 2 {
			if err := tab.Add(value); err != nil {
				t.Fatal(err)
			}
		}
		out := tab.AppendTo(nil, Look{Width: width})
		if !utf8.Valid(out) {
			t.Errorf("%q is not UTF-8", out)
		}
		lines := strings.Split(string(out), "\n")
		if len(lines) != 4 {
			t.Fatalf("%d lines: %q", len(lines), out)
		}
		for _, line := range lines {
			for _, r := range line {
				if drivesTerminal(r) {
					t.Errorf("%q drives the terminal", line)
				}
			}
			if w := textWidth([]byte(line)); width > 0 && w > max(width, 2*minText+len(gap)) {
				t.Errorf("%q is %d wide, over %d", line, w, width)
			}
		}
	})
}

func BenchmarkTable(b *testing.B) {
	v := raw(`{"path":"/index.html","status":200,"count":51200,"p99_bytes":123456.5}`)
	h := header(b, CSV, `{"path":1,"status":2,"count":3,"p99_bytes":4}`)
	b.ReportAllocs()
	for b.Loop() {
		t := NewTable(h)
		for range 1000 {
			if err := t.Add(v); err != nil {
				b.Fatal(err)
			}
		}
		t.AppendTo(nil, Look{Width: 80})
	}
}

func TestTableOfAStream(t *testing.T) {
	tab := NewTable(NamedHeader(CSV, "a", "n", "b"))
	look := Look{Width: 32}
	var out []byte
	rows := 0
	add := func(row string) {
		t.Helper()
		if err := tab.Add(raw(row)); err != nil {
			t.Fatal(err)
		}
		if rows++; rows < fullRows && tab.Full() {
			t.Fatalf("full after %d rows", rows)
		}
		if tab.Full() {
			out = tab.AppendTo(out, look)
		}
	}
	for range fullRows - 1 {
		add(`{"a":"GET","n":5,"b":"x"}`)
	}
	if len(out) > 0 {
		t.Fatalf("written before %d rows: %q", fullRows, out)
	}
	add(`{"a":"PUT","n":12,"b":"y"}`)
	out = out[:len(out)-len("GET   5  x\nPUT  12  y\n")]
	// From here on the widths stay; what does not fit shifts the next fields, as
	// far as no blanks make up for it.
	add(`{"a":"PUT","n":5,"b":"z"}`)
	add(`{"a":"DELETE","n":5,"b":"z"}`)
	add(`{"a":"DELETE","n":12345,"b":"z"}`)
	add(`{"a":"a path that is long","n":7,"b":"so is what follows here"}`)
	add(`{"a":null,"n":123456789012345,"b":"so is what follows here"}`)
	add(`{"a":1234567890,"n":"text","b":true}`)
	add(`{}`)
	lines := strings.Split(string(out), "\n")
	got := strings.Join(append([]string{"", lines[0]}, lines[fullRows-1:]...), "\n")
	want := `
a     n  b
PUT   5  z
DELETE  5  z
DELETE  12345  z
a path …  7  so is what follows…
null  123456789012345  so is wh…
1234567890  text  true

`
	if got != want {
		t.Errorf("got:%s\nwant:%s", got, want)
	}
	if out := tab.AppendTo(nil, look); len(out) > 0 {
		t.Errorf("rows are written again: %q", out)
	}
}

// A table written in pieces is that written in one piece if its first rows are
// its widest.
func TestTableInPieces(t *testing.T) {
	rows := []string{`{"a":"the widest","n":12345}`, `{"a":"b","n":1}`, `{"a":"日本","n":null}`, `{"n":3}`}
	for _, look := range []Look{{}, {Width: 13}, {Width: 80, Color: true}} {
		tab := NewTable(header(t, CSV, rows[0]))
		var got []byte
		for _, r := range rows {
			if err := tab.Add(raw(r)); err != nil {
				t.Fatal(err)
			}
			got = tab.AppendTo(got, look)
		}
		if want := table(t, look, rows...); string(got) != want {
			t.Errorf("%+v:\n%s\nwant:\n%s", look, got, want)
		}
	}
}

func TestTableIsFullByBytes(t *testing.T) {
	tab := NewTable(NamedHeader(CSV, "a"))
	long := raw(`{"a":"` + strings.Repeat("x", fullBytes/4) + `"}`)
	for i := range 4 {
		if tab.Full() {
			t.Fatalf("full after %d rows", i)
		}
		if err := tab.Add(long); err != nil {
			t.Fatal(err)
		}
	}
	if !tab.Full() {
		t.Error("not full after 1 MiB")
	}
}

func TestTableHumane(t *testing.T) {
	tab := NewTable(NamedHeader(CSV, "id", "sum", "avg"))
	tab.Humane(1)
	for _, r := range []string{`{"id":12345678,"sum":12345678,"avg":0.123456}`, `{"id":2,"sum":9999,"avg":"12345678"}`} {
		if err := tab.Add(raw(r)); err != nil {
			t.Fatal(err)
		}
	}
	want := `
      id    sum  avg
12345678  12.3M  0.123
       2   9999  12345678
`
	if got := "\n" + string(tab.AppendTo(nil, Look{})); got != want {
		t.Errorf("got:%s\nwant:%s", got, want)
	}
}

func TestTableCutsNoNumbers(t *testing.T) {
	want := `
a              n
abcdefghijkl~  x
1234567890123  1
`
	rows := []string{`{"a":"abcdefghijklmnopqrstuvw","n":"x"}`, `{"a":1234567890123,"n":1}`}
	if got := "\n" + table(t, Look{Width: 5, ASCII: true}, rows...); got != want {
		t.Errorf("got:%s\nwant:%s", got, want)
	}
}
