package render

import (
	"encoding/csv"
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"logtools/pkg/event"
)

func header(t testing.TB, d Dialect, first string) *Header {
	t.Helper()
	h, err := NewHeader(d, raw(first))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestRows(t *testing.T) {
	for _, c := range []struct {
		name, first, value string
		csv, tsv           string
	}{
		{"plain", `{"a":1,"b":"x","c":true}`, `{"a":1.50,"b":"y","c":false}`, `1.50,y,false`, "1.50\ty\tfalse"},
		{"missing first", `{"a":1,"b":2,"c":3}`, `{"b":5}`, `,5,`, "\t5\t"},
		{"missing middle", `{"a":1,"b":2,"c":3}`, `{"a":1,"c":3}`, `1,,3`, "1\t\t3"},
		{"empty object", `{"a":1,"b":2,"c":3}`, `{}`, `,,`, "\t\t"},
		{"null and empty string", `{"a":1,"b":2}`, `{"a":null,"b":""}`, `,""`, "\t"},
		{"other order", `{"a":1,"b":2,"c":3}`, `{"c":3,"a":1}`, `1,,3`, "1\t\t3"},
		{"repeated: the last counts", `{"a":1,"b":2}`, `{"a":1,"b":2,"a":3}`, `3,2`, "3\t2"},
		{"repeated at once", `{"a":1,"b":2}`, `{"a":1,"a":3,"b":2}`, `3,2`, "3\t2"},
		{"nested", `{"a":1,"b":2}`, `{"a":[1, 2],"b":{"x":"y\t"}}`, `"[1, 2]","{""x"":""y\t""}"`, "[1, 2]\t{\"x\":\"y\\\\t\"}"},
		{"separators and quotes", `{"a":1,"b":2}`, `{"a":"x,y","b":"a \"q\" b"}`, `"x,y","a ""q"" b"`, "x,y\ta \"q\" b"},
		{"controls", `{"a":1}`, `{"a":"l1\nl2\r\tz\\"}`, "\"l1\nl2\r\tz\\\"", `l1\nl2\r\tz\\`},
		{"blanks at the ends", `{"a":1,"b":2}`, `{"a":" x","b":"x "}`, `" x","x "`, " x\tx "},
		{"unicode", `{"a":1}`, `{"a":"日\u672c"}`, `日本`, `日本`},
		{"only a quote", `{"a":1}`, `{"a":"\""}`, `""""`, `\"`},
		{"lone null keeps its line", `{"a":1}`, `{"a":null}`, `""`, ``},
		{"names with escapes", `{"\u0061":1,"b\"":2}`, `{"a":1,"b\u0022":2}`, `1,2`, "1\t2"},
		{"number", `1`, `2`, `2`, `2`},
		{"null among single values", `null`, `"x"`, `x`, `x`},
		{"array", `[1]`, `["a"]`, `"[""a""]"`, `["a"]`},
	} {
		for d, want := range map[Dialect]string{CSV: c.csv, TSV: c.tsv} {
			got, err := header(t, d, c.first).AppendRow([]byte("x"), raw(c.value))
			if err != nil || string(got) != "x"+want {
				t.Errorf("%s, dialect %d: got %q (%v), want %q", c.name, d, got, err, "x"+want)
			}
		}
	}
}

func TestHeaderLine(t *testing.T) {
	for _, c := range []struct{ first, csv, tsv string }{
		{`{"b":1,"a":2}`, `b,a`, "b\ta"},
		{`{"b":1,"a":2,"\u0062":3}`, `b,a`, "b\ta"},
		{`{"a,b":1,"c\td":2,"":3}`, "\"a,b\",c\td,\"\"", "a,b\tc\\td\t"},
		{`{"":1}`, `""`, ``},
		{`7`, `value`, `value`},
	} {
		if got := string(header(t, CSV, c.first).AppendHeader(nil)); got != c.csv {
			t.Errorf("%s: got %q, want %q", c.first, got, c.csv)
		}
		if got := string(header(t, TSV, c.first).AppendHeader(nil)); got != c.tsv {
			t.Errorf("%s: got %q, want %q", c.first, got, c.tsv)
		}
	}
}

func TestRefusedRows(t *testing.T) {
	for _, c := range []struct{ first, value, want string }{
		{`{"a":1}`, `{"a":1,"b":2}`, `member "b" is not in the header`},
		{`{"a":1}`, `{"x\ny":2}`, `member "x\ny" is not in the header`},
		{`{"a":1}`, `5`, `a number is no object with the members of the header`},
		{`{"a":1}`, `null`, `null is no object with the members of the header`},
		{`{"a":1}`, `[]`, `an array is no object with the members of the header`},
		{`5`, `{"value":1}`, `an object among single values: the header has one column, value`},
	} {
		got, err := header(t, CSV, c.first).AppendRow([]byte("kept"), raw(c.value))
		var bad *event.BadError
		if !errors.As(err, &bad) || err.Error() != c.want {
			t.Errorf("%s then %s: error %v, want %s", c.first, c.value, err, c.want)
		}
		if string(got) != "kept" {
			t.Errorf("%s then %s: left %q", c.first, c.value, got)
		}
	}
	var bad *event.BadError
	if _, err := NewHeader(CSV, raw(`{}`)); !errors.As(err, &bad) {
		t.Errorf("an empty object as header: %v", err)
	}
}

// AppendRow against a twin that knows nothing of order: both must agree on every
// subset, order and repetition of members, with few and with many columns.
func TestRowsAgree(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for _, columns := range []int{1, 2, 5, fewColumns, fewColumns + 1, 100} {
		names := make([]string, columns)
		for i := range names {
			names[i] = fmt.Sprintf("m%d", i)
		}
		h := NamedHeader(CSV, names...)
		for range 300 {
			want := make([]string, columns)
			var members []string
			add := func(i int) {
				want[i] = fmt.Sprint(rng.Intn(1000))
				members = append(members, fmt.Sprintf(`"m%d":%s`, i, want[i]))
			}
			for i := range names {
				if rng.Intn(4) > 0 {
					add(i)
				}
			}
			for range rng.Intn(3) {
				add(rng.Intn(columns))
			}
			value := "{" + strings.Join(members, ",") + "}"
			line := strings.Join(want, ",")
			if line == "" {
				line = `""`
			}
			got, err := h.AppendRow(nil, raw(value))
			if err != nil || string(got) != line {
				t.Fatalf("%s:\n got %s (%v)\nwant %s", value, got, err, line)
			}
			foreign := strings.Replace(value, "{", `{"other":1`+strings.Repeat(",", min(1, len(members))), 1)
			if _, err := h.AppendRow(nil, raw(foreign)); err == nil {
				t.Fatalf("%s: accepted", foreign)
			}
		}
	}
}

func FuzzCSV(f *testing.F) {
	f.Add("a", "b", "x", "y\"")
	f.Add("", " ", "\r\n", ",")
	f.Add("a", "a\u00e9", "", "\\.")
	f.Fuzz(func(t *testing.T, name1, name2, a, b string) {
		name1, name2, a, b = valid(name1), valid(name2), valid(a), valid(b)
		if name1 == name2 {
			t.Skip()
		}
		value := object(name1, a, name2, b)
		h := header(t, CSV, value)
		line, err := h.AppendRow(append(h.AppendHeader(nil), '\n'), raw(value))
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(strings.NewReader(string(line) + "\n")).ReadAll()
		if err != nil || len(rows) != 2 {
			t.Fatalf("%q: %v, %v", line, rows, err)
		}
		// encoding/csv reads \r\n within quotes as \n.
		lf := func(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }
		for i, want := range []string{lf(name1), lf(name2)} {
			if rows[0][i] != want {
				t.Errorf("name %q came back as %q", want, rows[0][i])
			}
		}
		for i, want := range []string{lf(a), lf(b)} {
			if rows[1][i] != want {
				t.Errorf("field %q came back as %q", want, rows[1][i])
			}
		}
	})
}

func FuzzTSV(f *testing.F) {
	f.Add("x", "y\t")
	f.Add("\\n\\", "\n\r\\t")
	f.Add("\"\\\"", "\\\"")
	f.Fuzz(func(t *testing.T, a, b string) {
		a, b = valid(a), valid(b)
		value := object("a", a, "b", b)
		line, err := header(t, TSV, value).AppendRow(nil, raw(value))
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(string(line), "\n\r") {
			t.Fatalf("%q has line ends", line)
		}
		fields := strings.Split(string(line), "\t")
		if len(fields) != 2 {
			t.Fatalf("%q has %d fields", line, len(fields))
		}
		unescape := strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r", `\t`, "\t")
		for i, want := range []string{a, b} {
			field := fields[i]
			if rest, quote := strings.CutPrefix(field, `\"`); quote {
				field = `"` + rest
			} else if strings.HasPrefix(field, `"`) {
				t.Errorf("%q begins with a quote", field)
			}
			if got := unescape.Replace(field); got != want {
				t.Errorf("field %q came back as %q", want, got)
			}
		}
	})
}

func valid(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

func object(name1, a, name2, b string) string {
	str := func(s string) []byte { return event.AppendString(nil, []byte(s)) }
	return fmt.Sprintf("{%s:%s,%s:%s}", str(name1), str(a), str(name2), str(b))
}

func TestRowsDoNotAllocate(t *testing.T) {
	h := header(t, CSV, `{"time":1,"path":2,"status":3,"agent":4}`)
	for _, value := range []string{
		`{"time":"2026-01-01T00:00:00Z","path":"/a","status":200,"agent":"x, \"y\""}`,
		`{"time":"2026-01-01T00:00:00Z","status":200,"agent":"\u00e9"}`,
		`{"status":200,"path":"/b","time":null}`,
	} {
		v := raw(value)
		dst := make([]byte, 0, 1024)
		if n := testing.AllocsPerRun(100, func() { dst, _ = h.AppendRow(dst[:0], v) }); n != 0 {
			t.Errorf("%s: %v allocations", value, n)
		}
	}
}

func BenchmarkAppendRow(b *testing.B) {
	first := `{"time":"2026-01-01T00:00:00.000Z","remote_addr":"10.0.0.1","method":"GET","path":"/index.html","status":200,"bytes":5120,"user":"u17"}`
	for _, c := range []struct{ name, value string }{
		{"in order", first},
		{"some missing", `{"time":"2026-01-01T00:00:00.000Z","method":"GET","path":"/index.html","bytes":5120}`},
		{"other order", `{"user":"u17","time":"2026-01-01T00:00:00.000Z","remote_addr":"10.0.0.1","method":"GET","path":"/index.html","status":200,"bytes":5120}`},
		{"quoted", `{"time":"2026-01-01T00:00:00.000Z","remote_addr":"a, \"b\", c","method":"GET","path":"/index.html","status":200,"bytes":5120,"user":"u17"}`},
	} {
		for d, name := range []string{"csv", "tsv"} {
			h := header(b, Dialect(d), first)
			v := raw(c.value)
			b.Run(name+"/"+c.name, func(b *testing.B) {
				b.SetBytes(int64(len(c.value)))
				b.ReportAllocs()
				var dst []byte
				for b.Loop() {
					dst, _ = h.AppendRow(dst[:0], v)
				}
			})
		}
	}
}
