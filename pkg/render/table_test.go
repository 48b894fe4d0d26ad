package render

import (
	"encoding/json"
	"fmt"
	"strconv"
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
		{"ten cells are left", Look{Width: 17}, []string{`{"a":"abcdefghijklmnop","n":12345}`}, `
a               n
abcdefghi…  12345
`},
		{"rather than less the others are left out", Look{Width: 16}, []string{`{"a":"abcdefghijklmnop","n":12345}`}, `
a            …+1
abcdefghij…
`},
		{"less where it must be", Look{Width: 12}, []string{`{"a_long_name":"abcdefghijklmnop","n":12345}`}, `
a_long…  …+1
abcdef…
`},
		{"a narrower terminal is no terminal", Look{Width: 5}, []string{`{"a":"abcdefghijklmnop","n":12345}`}, `
a        …+1
abcdef…
`},
		{"cut before a wide character", Look{Width: 12}, []string{`{"a":"日本語日本語日本語"}`}, `
a
日本語日本…
`},
		{"long names of numbers stay", Look{Width: 29}, []string{`{"a":"abcdefghijklmnop","count_of_requests":1}`}, `
a           count_of_requests
abcdefghi…                  1
`},
		{"names of numbers rather than text below ten", Look{Width: 23}, []string{`{"a":"abcdefghijklmnop","count_of_requests":1}`}, `
a           count_of_r…
abcdefghi…            1
`},
		{"nor are names cut below ten", Look{Width: 24}, []string{`{"count_of_requests":1,"count_of_replies":2,"n":3}`}, `
count_of_requests  …+2
                1
`},
		{"too many columns", Look{Width: 29}, []string{`{"a":"abcdefghijkl","b":"ABCDEFGHIJKL","c":1234567890,"d":"x"}`}, `
a            b            …+2
abcdefghij…  ABCDEFGHIJ…
`},
		{"names of numbers stay where others are left out", Look{Width: 36}, []string{`{"a":"abcdefghijklmnop","count_of_requests":1,"n":12345678901234567890}`}, `
a             count_of_requests  …+1
abcdefghijk…                  1
`},
		{"short ones are not cut", Look{Width: 20}, []string{`{"a":"abcdefgh","b":"ABCDEFGH","c":1234567890,"d":"x"}`}, `
a         …+3
abcdefgh
`},
		{"times are not cut", Look{Width: 40}, []string{`{"t":"2026-03-14T09:00:19.563Z","path":"/a/path/that/is/long","n":1}`}, `
t                         path         n
2026-03-14T09:00:19.563Z  /a/path/th…  1
`},
		{"times of access logs are not cut", Look{Width: 40}, []string{`{"t":"14/Mar/2026:09:00:19 +0100","path":"/a/path/that/is/long"}`}, `
t                           path
14/Mar/2026:09:00:19 +0100  /a/path/tha…
`},
		{"too many columns, in ASCII", Look{Width: 18, ASCII: true}, []string{`{"a":1,"b":22222,"c":333,"d":4444,"e":5}`}, `
a      b    c  ~+2
1  22222  333
`},
		{"no room for the first number", Look{Width: 12, ASCII: true}, []string{`{"a":1234567890123,"b":1}`, `{"a":12345,"b":1}`}, `
      a  ~+1
~
  12345
`},
		{"no room for any number", Look{Width: 12}, []string{`{"a":1234567890123}`}, `
           a
…
`},
		{"members that come up later", Look{}, []string{`{"a":1,"b":"x"}`, `{"c":true,"a":2}`, `{}`, `{"c":[1],"d":"","b":"y"}`, `{"e":null}`}, `
a  b  c     d  e
1  x
2     true

   y  [1]
               null
`},
		{"nested", Look{}, []string{`{"a": [ 1, "\u65e5\u202e\u001b[1;31m" , {"b" : null}] }`}, `
a
[1,"日\u202e",{"b":null}]
`},
		{"colours of the data", Look{Color: true}, []string{`{"a":"\u001b[31mx\u001b[0m \u001b[2J","b\u001b[m":"y"}`}, "\n" +
			headOn + "a          " + headOff + "  " + headOn + "b" + headOff + "\nx \\u001b[2J  y\n"},
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
	refuses(t, tab, `{"a":"no","b":2}`, `1`)
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

func refuses(t *testing.T, tab *Table, values ...string) {
	t.Helper()
	for _, v := range values {
		if tab.Check(raw(v)) == nil {
			t.Errorf("%s: let pass", v)
		}
		if tab.Add(raw(v)) == nil {
			t.Errorf("%s: added", v)
		}
	}
}

// Only the rows before the columns are decided add columns, and only to the
// table.
func TestTableColumnsAreDecided(t *testing.T) {
	h := header(t, CSV, `{"a":1}`)
	other := NewTable(h)
	tab := NewTable(h)
	add := func(v string) {
		t.Helper()
		if err := tab.Check(raw(v)); err != nil {
			t.Fatal(err)
		}
		if err := tab.Add(raw(v)); err != nil {
			t.Fatal(err)
		}
	}
	refuses(t, tab, `1`)
	add(`{"b":2}`)
	got := tab.AppendTo(nil, Look{})
	refuses(t, tab, `{"a":3,"c":4}`)
	add(`{"b":5}`)
	if got, want := string(tab.AppendTo(got, Look{})), "a  b\n   2\n   5\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := string(other.AppendTo(h.AppendHeader(nil), Look{})); got != "aa\n" {
		t.Errorf("the header has changed: %q", got)
	}

	// Whatever comes before they are written, there is an end to columns.
	tab = NewTable(h)
	for i := range fullRows {
		add(fmt.Sprintf(`{"m%d":1}`, i))
	}
	refuses(t, tab, `{"n":1}`)
	add(`{"a":1,"m999":2}`)
	tab = NewTable(h)
	var wide strings.Builder
	for i := range fullCells {
		fmt.Fprintf(&wide, `,"m%d":1`, i)
	}
	add("{" + wide.String()[1:] + "}")
	refuses(t, tab, `{"n":1}`)
	for range 100 { // in memory for what is there
		add(`{"m131071":1}`)
	}
	lines := strings.SplitN(string(tab.AppendTo(nil, Look{Width: 40})), "\n", 3)
	if want := "a  m0  m1  m2  m3  m4  m5  m6  …+131065"; lines[0] != want {
		t.Errorf("got %q, want %q", lines[0], want)
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
	f.Add("a", "b", "1", 10)
	f.Add("日本語日本語", "\x1b[2J\u202e\n", "123456789", 12)
	f.Add("e\u0301\u0301", strings.Repeat("x", 100), "1e400", 30)
	f.Add("2026-03-14T09:00:19.563Z", "14/Mar/2026:09:00:19 +0100", "1", 40)
	f.Add("\x1b[31mx", "", "-12345678901234567890", 16)
	f.Fuzz(func(t *testing.T, a, b, number string, width int) {
		a, b = valid(a), valid(b)
		width %= 200
		if _, err := strconv.ParseFloat(number, 64); err != nil || !json.Valid([]byte(number)) {
			number = "1"
		}
		value := raw(object("left", a, "right", b))
		tab := NewTable(header(t, CSV, `{"left":1,"right":2}`))
		if err := tab.Add(value); err != nil {
			t.Fatal(err)
		}
		if err := tab.Add(raw(`{"number":` + number + `,"left":"x","more":[` + number + `]}`)); err != nil {
			t.Fatal(err)
		}
		out := tab.AppendTo(nil, Look{Width: width})
		// One that had no say in the widths.
		if err := tab.Add(raw(`{"right":"y","left":` + number + `9876,"more":"` + strings.Repeat("z", len(a)%50) + `"}`)); err != nil {
			return // 1e4009876 is too much
		}
		out = tab.AppendTo(out, Look{Width: width})
		if !utf8.Valid(out) {
			t.Errorf("%q is not UTF-8", out)
		}
		lines := strings.Split(string(out), "\n")
		if len(lines) != 5 {
			t.Fatalf("%d lines: %q", len(lines), out)
		}
		for _, line := range lines {
			for _, r := range line {
				if drivesTerminal(r) {
					t.Errorf("%q drives the terminal", line)
				}
			}
			if w := textWidth([]byte(line)); width > 0 && w > max(width, leastTable) {
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
a path th…  7  so is what follo…
null  123456789012345  …
1234567890  text  true

`
	if got != want {
		t.Errorf("got:%s\nwant:%s", got, want)
	}
	if out := tab.AppendTo(nil, look); len(out) > 0 {
		t.Errorf("rows are written again: %q", out)
	}
}

// A field of a later row for which there is no room is left out, with what
// follows, and not silently.
func TestTableHasNoRoom(t *testing.T) {
	for _, c := range []struct{ row, want string }{
		{`{"a":123456,"b":1,"c":2}`, "123456   1     2"},
		{`{"a":12345678,"b":1,"c":22222}`, "12345678  1  …"},
		{`{"a":1234567890,"b":1,"c":22222}`, "1234567890  1  …"},
		{`{"a":12345678901,"b":12,"c":"x"}`, "12345678901  …"},
		{`{"a":12345678901,"b":1,"c":"x"}`, "12345678901  …"},
		{`{"a":1234567890123456,"b":null}`, "…"},
		{`{"a":1234567890123456}`, "1234567890123456"},
		{`{"a":12345678901234567}`, "…"},
		{`{"a":1,"b":1234567890,"c":2}`, "    1  …"},
	} {
		tab := NewTable(NamedHeader(CSV, "a", "b", "c"))
		if err := tab.Add(raw(`{"a":12345,"b":123,"c":1234}`)); err != nil {
			t.Fatal(err)
		}
		out := tab.AppendTo(nil, Look{Width: 16})
		if err := tab.Add(raw(c.row)); err != nil {
			t.Fatal(err)
		}
		if got := string(tab.AppendTo(out[:0], Look{Width: 16})); got != c.want+"\n" {
			t.Errorf("%s: got %q, want %q", c.row, got, c.want)
		}
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

func TestIsTime(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "x": false, "2026": false, "2026-1-": false, "12/3456": false, "1234567": false, "日本語日本語": false,
		"2026-03": true, "2026-13": false, "2026-03-14": true, "2026-03-14T09": true, "2026-03-14 09:30": true,
		"2026-03-14T09:00:19": true, "2026-03-14T09:00:19.563+01:00": true, "2026-03-14 09:00:19,563": true,
		"2026-03-14T09:00:19Z x": false, "2026-03-14-a-file-of-that-day.log": false,
		"14/Mar/2026:09:00:19 +0100": true, "14/Mrz/2026:09:00:19 +0100": false, "14/Mar/2026:09:00:19": false,
		"2026-03-14T09:00:19." + strings.Repeat("1", 60) + "Z": false, // longer than any
	} {
		if got := isTime([]byte(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	time, text := []byte("2026-03-14T09:00:19.563+01:00"), []byte("2026-03-14T09 and more text")
	if n := testing.AllocsPerRun(100, func() { isTime(time); isTime(text) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTableCutsNoNumbers(t *testing.T) {
	want := `
a              n
abcdefghijkl~  x
1234567890123  1
`
	rows := []string{`{"a":"abcdefghijklmnopqrstuvw","n":"x"}`, `{"a":1234567890123,"n":1}`}
	if got := "\n" + table(t, Look{Width: 16, ASCII: true}, rows...); got != want {
		t.Errorf("got:%s\nwant:%s", got, want)
	}
}
