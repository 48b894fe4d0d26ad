package parse

import (
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"logtools/pkg/event"
)

// The naive twins: one byte, one step.

// naiveRecords cuts data into its whole records, each with its line end, and the
// rest.
func naiveRecords(s separated, data string) (records []string, rest string) {
	const (
		begin  = iota // of a field
		text          // in a field without quotes, or behind a closing quote
		quoted        // in quotes
		quote         // behind a quote in quotes
	)
	state, start := begin, 0
	for i := range len(data) {
		c := data[i]
		switch {
		case state == quoted && c == '"':
			state = quote
		case state == quoted:
		case state == quote && c == '"':
			state = quoted
		case c == '\n':
			records = append(records, data[start:i+1])
			start, state = i+1, begin
		case c == byte(s):
			state = begin
		case state == begin && c == '"':
			state = quoted
		default:
			state = text
		}
	}
	return records, data[start:]
}

type naiveField struct {
	text   string
	quoted bool
}

var tsvEscapes = strings.NewReplacer(`\t`, "\t", `\n`, "\n", `\r`, "\r", `\\`, `\`)

// naiveFields returns the fields of a record without its end; false if it is bad.
func naiveFields(s separated, record string) ([]naiveField, bool) {
	var all []naiveField
	for {
		var f naiveField
		if strings.HasPrefix(record, `"`) {
			f.quoted = true
			for record = record[1:]; ; {
				if record == "" {
					return nil, false
				}
				if strings.HasPrefix(record, `""`) {
					f.text, record = f.text+`"`, record[2:]
				} else if record[0] == '"' {
					record = record[1:]
					break
				} else {
					f.text, record = f.text+record[:1], record[1:]
				}
			}
		} else {
			k := strings.IndexByte(record+string(rune(s)), byte(s))
			f.text, record = record[:k], record[k:]
			if s == tab && f.text != `\N` {
				if strings.HasPrefix(f.text, `\"`) {
					f.text = f.text[1:]
				}
				f.text = tsvEscapes.Replace(f.text)
				if f.text == `\N` {
					f.quoted = true // it was \\N, which is no null
				}
			}
		}
		all = append(all, f)
		if record == "" {
			return all, true
		}
		if record[0] != byte(s) {
			return nil, false
		}
		record = record[1:]
	}
}

var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

func naiveJSON(s separated, f naiveField) string {
	switch {
	case !f.quoted && (f.text == "" || s == tab && f.text == `\N`):
		return "null"
	case jsonNumber.MatchString(f.text) && !strings.HasSuffix(f.text, "\n"):
		return f.text
	}
	return string(event.AppendString(nil, []byte(f.text)))
}

var csvSeeds = []string{
	"a,b,c", `"a","b ""c""",d`, "1,2.5e3,-0,007", `,"",`, `"unterminated,x`, `"x"y,z`, `x"y"z,"",""""`,
	"a\tb\\tc\t\"d\te\"\t\\N\t\\\\N", "a\nb\r\n\"c\nd\",e\n\n\"\"\n", "a long field without anything,and \"another\" one, with\x00\x1f\r",
	`"a""",b` + "\n" + `"""a",b` + "\n" + `"",""x` + "\n\"", "gr\u00fc\u00df,\xff", "\"a\" \"\n,\"b\"\"\n\"\"c\",\n",
}

func FuzzCSV(f *testing.F) {
	for i, s := range csvSeeds {
		f.Add(s, uint8(i), false)
		f.Add(s, uint8(3), true)
	}
	f.Fuzz(func(t *testing.T, record string, names uint8, tabs bool) {
		s := comma
		if tabs {
			s = tab
		}
		// A line end outside quotes is in no record.
		record = strings.TrimSuffix(record[:s.next([]byte(record))], "\n")
		fields, ok := naiveFields(s, strings.TrimSuffix(record, "\r"))
		n := len(fields) // mostly as many names as fields
		if names > 200 || n == 0 {
			n = 1 + int(names%8)
		}
		head := strings.Repeat("x"+string(rune(s)), n-1) + "x\n"
		x := newCSVFixture(t, s, head)
		if len(x.head.names) != n || x.n != len(head) {
			t.Fatalf("%q: %d names", head, len(x.head.names))
		}
		ok = ok && len(fields) == n && utf8.ValidString(record)
		got, err := x.parse(t, record, event.Clean{})
		if ok != (err == nil) {
			t.Fatalf("%q: %v, the naive twin says %v", record, err, ok)
		}
		if known, err2 := x.parse(t, record, cleanOf(record)); known != got || fmt.Sprint(err) != fmt.Sprint(err2) {
			t.Fatalf("%q: %s %v, and if it is known to be clean %s %v", record, got, err, known, err2)
		}
		if err != nil {
			if bad := err.(*event.BadError); bad.Column < 0 || bad.Column > len(record)+1 {
				t.Fatalf("%q: column %d", record, bad.Column)
			}
			return
		}
		var values []string
		for i, v := range fields {
			values = append(values, string(event.AppendString(nil, []byte(x.head.names[i])))+":"+naiveJSON(s, v))
		}
		if want := "{" + strings.Join(values, ",") + "}"; got != want {
			t.Fatalf("%q:\n got %s\nwant %s", record, got, want)
		}
	})
}

// Wherever the data is cut, the whole records are the same ones.
func FuzzCSVRecords(f *testing.F) {
	for _, s := range csvSeeds {
		f.Add(s, false)
		f.Add(strings.ReplaceAll(s, " ", "\n")+"\n", true)
	}
	f.Fuzz(func(t *testing.T, data string, tabs bool) {
		s := comma
		if tabs {
			s = tab
		}
		checkRecords(t, s, data)
	})
}

func checkRecords(t *testing.T, s separated, data string) {
	t.Helper()
	for cut := max(0, len(data)-300); cut <= len(data); cut++ {
		records, rest := naiveRecords(s, data[:cut])
		b := []byte(data[:cut])
		whole := s.whole(b)
		if whole != cut-len(rest) {
			t.Fatalf("%q: %d bytes are whole records, want %d", b, whole, cut-len(rest))
		}
		for i := range records {
			// Next must not depend on what follows.
			n := s.next(b[:whole])
			if n != len(records[i]) || n != s.next(b) {
				t.Fatalf("%q: record %d has %d bytes, %d with the rest; want %d", data[:cut], i, n, s.next(b), len(records[i]))
			}
			b, whole = b[n:], whole-n
		}
		if whole != 0 || s.next(b) != len(rest) {
			t.Fatalf("%q: next of the rest is %d, want %d", data[:cut], s.next(b), len(rest))
		}
	}
}

// Every input of up to seven bytes of a small alphabet.
func TestCSVRecordsExhaustive(t *testing.T) {
	const alphabet = "\",\na"
	var grow func(data string)
	grow = func(data string) {
		records, rest := naiveRecords(comma, data)
		if got := comma.whole([]byte(data)); got != len(data)-len(rest) {
			t.Fatalf("%q: %d bytes are whole records, want %d", data, got, len(data)-len(rest))
		}
		if got := comma.next([]byte(data)); len(records) > 0 && got != len(records[0]) || len(records) == 0 && got != len(data) {
			t.Fatalf("%q: next is %d", data, got)
		}
		for _, c := range alphabet {
			if len(data) < 7 {
				grow(data + string(c))
			}
		}
	}
	grow("")
}

// Where encoding/csv takes an input, we read the same from it.
func FuzzCSVStandard(f *testing.F) {
	for _, s := range csvSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) {
		// It makes CR LF in quotes LF, and takes a CR at the end of the input away.
		data = strings.ReplaceAll(data, "\r", "")
		r := csv.NewReader(strings.NewReader(data))
		r.FieldsPerRecord = -1
		var want [][]string
		for {
			record, err := r.Read()
			if err == io.EOF {
				break
			}
			if err != nil {
				return
			}
			want = append(want, record)
		}
		var got [][]string
		for b := []byte(data); len(b) > 0; {
			n := comma.next(b)
			record := strings.TrimSuffix(string(b[:n]), "\n")
			b = b[n:]
			if record == "" {
				continue
			}
			var texts []string
			if err := comma.fields([]byte(record), func(f csvField) {
				texts = append(texts, string(comma.appendText(nil, []byte(record), f)))
			}); err != nil {
				t.Fatalf("%q: %v", record, err)
			}
			got = append(got, texts)
		}
		if !slices.EqualFunc(got, want, slices.Equal) {
			t.Fatalf("%q: %q, encoding/csv says %q", data, got, want)
		}
	})
}

// split agrees with its slow twin, whatever stands behind the record.
func FuzzCSVSplit(f *testing.F) {
	for _, s := range csvSeeds {
		f.Add(s, ",\",x", uint8(2))
	}
	f.Fuzz(func(t *testing.T, record, behind string, size uint8) {
		var want []csvField
		err := comma.fields([]byte(record), func(f csvField) { want = append(want, f) })
		b := []byte(record + behind)
		fields := make([]csvField, len(want))
		got := comma.split(b[:len(record)], fields)
		if fmt.Sprint(got) != fmt.Sprint(err) {
			t.Fatalf("%q: %v, slow twin %v", record, got, err)
		}
		if err == nil && !slices.Equal(fields, want) {
			t.Fatalf("%q: %v, slow twin %v", record, fields, want)
		}
		n := int(size)
		if err := comma.split(b[:len(record)], make([]csvField, n)); (err == nil) != (got == nil && n == len(want)) {
			t.Fatalf("%q: %v with %d names", record, err, n)
		}
	})
}

func FuzzIsNumber(f *testing.F) {
	for _, s := range []string{"0", "-0", "01", "1.5", "1.", ".5", "1e5", "1E+05", "1e", "-", "+1", "12345678901", "1_0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want := json.Valid([]byte(s)) && s == strings.TrimSpace(s) && (s[0] == '-' || s[0]-'0' <= 9)
		if got := event.IsNumber([]byte(s)); got != want {
			t.Fatalf("%q: %v, want %v", s, got, want)
		}
		if n := len(s); n > 0 && n <= 8 {
			simple := want && !strings.ContainsAny(s, "-eE")
			for _, behind := range []string{"\x00", "0", ".", "\xff"} {
				w := binary.LittleEndian.Uint64([]byte(s + strings.Repeat(behind, 8)))
				if got := isShortNumber(w, n); got != simple {
					t.Fatalf("%q, then %q: %v, want %v", s, behind, got, simple)
				}
			}
		}
	})
}
