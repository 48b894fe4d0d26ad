package parse

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"logtools/pkg/event"
)

// csvFixture reads an input as the engine does: head, records, values. What a
// program would ask for is compared with the whole value, and records that lie in
// a block with those that end where their memory does.
type csvFixture struct {
	sep    separated
	n      int // bytes of the head
	head   *csvHead
	fields event.Fields
	p      Parser
	ev     event.Event
}

func newCSVFixture(t testing.TB, s separated, input string) *csvFixture {
	t.Helper()
	x := &csvFixture{sep: s}
	n, head, err := s.head([]byte(input))
	if err != nil {
		t.Fatalf("%q: %v", input, err)
	}
	x.n, x.head = n, head.(*csvHead)
	for _, name := range x.head.names {
		x.fields.Add(name)
	}
	f, err := ByName(map[separated]string{comma: "csv", tab: "tsv"}[s])
	if err != nil {
		t.Fatal(err)
	}
	x.p = f.New(Options{Fields: &x.fields, Head: head})
	return x
}

// parse returns the JSON of a record's event.
func (x *csvFixture) parse(t testing.TB, record string, c event.Clean) (string, error) {
	t.Helper()
	x.p.Block(c)
	var out string
	var first error
	for i, behind := range []string{"", "\n\"a\",,\"\"\tb\\", "\nx,y"} {
		line := append([]byte(record), behind...)
		if i == 2 { // what a whole block says of itself
			c.Inspect(line)
			x.p.Block(c)
		}
		if line = line[:len(record)]; i == 0 {
			line = slices.Clip(line)
		}
		x.ev.Reset(x.fields.Len())
		err := x.p.Parse(line, &x.ev)
		var bad *event.BadError
		if err != nil && !errors.As(err, &bad) {
			t.Fatalf("%q: %v is no BadError", record, err)
		}
		if string(x.ev.Line) != record || !x.ev.Bare {
			t.Fatalf("%q: line %q, bare %v", record, x.ev.Line, x.ev.Bare)
		}
		if i > 0 && fmt.Sprint(err) != fmt.Sprint(first) {
			t.Fatalf("%q: %v, and in a block %v", record, first, err)
		}
		if first = err; err != nil {
			continue
		}
		got := string(x.ev.AppendValue([]byte("x"))[1:])
		if i > 0 && got != out {
			t.Fatalf("%q: %s, and in a block %s", record, out, got)
		}
		out = got
		var members []string
		for k, v := range x.ev.Slots {
			if v.Kind == event.String && v.Form == event.Plain && !isPlain(v.B) {
				t.Fatalf("%q: member %d is not plain: %q", record, k, v.B)
			}
			name := event.AppendString(nil, []byte(x.head.names[k]))
			members = append(members, string(v.AppendJSON(append(name, ':'))))
		}
		if want := "{" + strings.Join(members, ",") + "}"; out != want {
			t.Fatalf("%q: value %s, members %s", record, out, want)
		}
		if err := event.Valid([]byte(out)); err != nil {
			t.Fatalf("%q: %s: %v", record, out, err)
		}
	}
	return out, first
}

func TestCSVValue(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"x,y,z", `{"a":"x","b":"y","c":"z"}`},
		{"x,y,z\r", `{"a":"x","b":"y","c":"z"}`},
		{"1,-2.50,3e+5", `{"a":1,"b":-2.50,"c":3e+5}`},
		{`"1","-0","12345678901234567890123"`, `{"a":1,"b":-0,"c":12345678901234567890123}`},
		{"007,+1,1.", `{"a":"007","b":"+1","c":"1."}`},
		{".5,1e,0x1", `{"a":".5","b":"1e","c":"0x1"}`},
		{"NaN,-,--1", `{"a":"NaN","b":"-","c":"--1"}`},
		{"12 , 12,1 2", `{"a":"12 ","b":" 12","c":"1 2"}`},
		{"true,null,false", `{"a":"true","b":"null","c":"false"}`},
		{",,", `{"a":null,"b":null,"c":null}`},
		{`"","",`, `{"a":"","b":"","c":null}`},
		{`"x","y, z","w"`, `{"a":"x","b":"y, z","c":"w"}`},
		{`"x""y","""","""z"""`, `{"a":"x\"y","b":"\"","c":"\"z\""}`},
		{"\"x\ny\",\"\r\n\",\"z\r\"\r", `{"a":"x\ny","b":"\r\n","c":"z\r"}`},
		{`x"y,x "y" z, "x"`, `{"a":"x\"y","b":"x \"y\" z","c":" \"x\""}`},
		{`C:\temp\new,\N,\`, `{"a":"C:\\temp\\new","b":"\\N","c":"\\"}`},
		{"tab\t,nul\x00,del\x7f", `{"a":"tab\t","b":"nul\u0000","c":"del` + "\x7f" + `"}`},
		{"Grüße aus Köln,日本語のテキスト,🙂", `{"a":"Grüße aus Köln","b":"日本語のテキスト","c":"🙂"}`},
		{"x\ry,a long field of more than eight bytes,another \"long\" one", `{"a":"x\ry","b":"a long field of more than eight bytes","c":"another \"long\" one"}`},
		{`x,y,z"`, `{"a":"x","b":"y","c":"z\""}`},
		{`1,2,3\`, `{"a":1,"b":2,"c":"3\\"}`},
		{strings.Repeat("x", 70) + `,12,3"`, `{"a":"` + strings.Repeat("x", 70) + `","b":12,"c":"3\""}`},
		{"12345678,1234567,123456789", `{"a":12345678,"b":1234567,"c":123456789}`},
	} {
		for _, clean := range []event.Clean{{}, cleanOf(c.in)} {
			got, err := newCSVFixture(t, comma, "a,b,c\n").parse(t, c.in, clean)
			if err != nil || got != c.want {
				t.Errorf("%q:\n got %s %v\nwant %s", c.in, got, err, c.want)
			}
		}
	}
}

func TestTSVValue(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"x\ty,z\t1", `{"a":"x","b":"y,z","c":1}`},
		{"\t\t\r", `{"a":null,"b":null,"c":null}`},
		{`""` + "\t\"x\ty\"\t\"x\"\"y\"", `{"a":"","b":"x\ty","c":"x\"y"}`},
		{`x\ty` + "\t" + `\n\r` + "\t" + `\\t`, `{"a":"x\ty","b":"\n\r","c":"\\t"}`},
		{`\N` + "\t" + `\\N` + "\t" + `"\N"`, `{"a":null,"b":"\\N","c":"\\N"}`},
		{`C:\Users` + "\t" + `x\` + "\t" + `\"x\"\q`, `{"a":"C:\\Users","b":"x\\","c":"\"x\\\"\\q"}`},
		{`"C:\temp"` + "\t" + `"x\"` + "\t" + `\\\t\`, `{"a":"C:\\temp","b":"x\\","c":"\\\t\\"}`},
	} {
		for _, clean := range []event.Clean{{}, cleanOf(c.in)} {
			got, err := newCSVFixture(t, tab, "a\tb\tc\n").parse(t, c.in, clean)
			if err != nil || got != c.want {
				t.Errorf("%q:\n got %s %v\nwant %s", c.in, got, err, c.want)
			}
		}
	}
}

func TestCSVBad(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "1 field, but the first line names 3"},
		{"x,y", "2 fields, but the first line names 3"},
		{"x,y,z,", "4 fields, but the first line names 3 at column 7"},
		{`x,y,z,"w",v`, "5 fields, but the first line names 3 at column 7"},
		{`x,y,"z","w"`, "4 fields, but the first line names 3 at column 9"},
		{`x,"y,z`, "unterminated quote at column 3"},
		{"x,y,\"z\n1,2,3\n", "unterminated quote at column 5"},
		{`x,"y""`, "unterminated quote at column 3"},
		{`x,y,"`, "unterminated quote at column 5"},
		{`x,"`, "unterminated quote at column 3"},
		{`"x" ,y,z`, "unexpected text after a closing quote at column 4"},
		{`x,"y"z,"`, "unexpected text after a closing quote at column 6"},
		{`x,y,z,w,"v"u`, "unexpected text after a closing quote at column 12"},
		{"x,y,z\xff", "invalid UTF-8 at column 6"},
		{"x,y\xc3,", "invalid UTF-8 at column 4"},
	} {
		for _, clean := range []event.Clean{{}, cleanOf(c.in)} {
			if got, err := newCSVFixture(t, comma, "a,b,c\n").parse(t, c.in, clean); fmt.Sprint(err) != c.want {
				t.Errorf("%q: %s %v, want %s", c.in, got, err, c.want)
			}
		}
	}
}

func TestCSVHead(t *testing.T) {
	for _, c := range []struct {
		in    string
		names string // by |, or the error
		rest  string
	}{
		{"a,b\n1,2\n", "a|b", "1,2\n"},
		{"a,b\r\n1,2\n", "a|b", "1,2\n"},
		{"a,b", "a|b", ""},
		{"a", "a", ""},
		{"\"a\nb\",\"c\"\"d\"\nx\n", "a\nb|c\"d", "x\n"},
		{",b,\n", "column1|b|column3", ""},
		{",column1,\n", "column1_2|column1|column3", ""},
		{"a,a,a\n", "a|a_2|a_3", ""},
		{"a,a,a_2,a\n", "a|a_3|a_2|a_4", ""},
		{"a,a,a_2,a_2\n", "a|a_3|a_2|a_2_2", ""},
		{"column2,,column2\n", "column2|column2_2|column2_3", ""},
		{"1,2,1\n", "1|2|1_2", ""},
		{" a, b \n", " a| b ", ""},
		{"\"a\"b,c\nx\n", "unexpected text after a closing quote at column 4", "x\n"},
		{"a,\"b\nx\n", "unterminated quote at column 3", ""},
		{"a,\xff\nx\n", "invalid UTF-8 at column 3", "x\n"},
		{strings.Repeat(",", maxNames) + "\nx\n", "the first line names 100001 fields, more than 100000", "x\n"},
	} {
		n, head, err := comma.head([]byte(c.in))
		got := fmt.Sprint(err)
		if err == nil {
			got = strings.Join(head.(*csvHead).names, "|")
		} else if head != nil {
			t.Errorf("%.30q: a head and an error", c.in)
		}
		if got != c.names || c.in[n:] != c.rest {
			t.Errorf("%.30q: %q, rest %q; want %q, %q", c.in, got, c.in[n:], c.names, c.rest)
		}
	}
	n, head, err := comma.head([]byte(strings.Repeat(",", maxNames-1) + "\n"))
	if err != nil || n != maxNames || head.(*csvHead).names[maxNames-1] != "column100000" {
		t.Errorf("%d names: %v", maxNames, err)
	}
	if _, head, _ := tab.head([]byte("a\\tb\tc,d\t\"e\\n\"\n")); strings.Join(head.(*csvHead).names, "|") != "a\tb|c,d|e\\n" {
		t.Errorf("names of tsv: %q", head.(*csvHead).names)
	}
}

// Names are JSON in the value, whatever they hold.
func TestCSVNames(t *testing.T) {
	x := newCSVFixture(t, comma, "\"a\n\",\"\"\"\",\\,value\n")
	got, err := x.parse(t, "1,2,3,4", event.Clean{})
	if want := `{"a\n":1,"\"":2,"\\":3,"value":4}`; err != nil || got != want {
		t.Errorf("%s %v, want %s", got, err, want)
	}
	// An object with a value might be taken for an event.
	if x.ev.OnlyValue() {
		t.Error("known to be bare with a member value")
	}
	x = newCSVFixture(t, comma, "values\n")
	if _, err := x.parse(t, "1", event.Clean{}); err != nil || !x.ev.OnlyValue() {
		t.Errorf("%v, not known to be bare without a member value", err)
	}
}

func TestCSVWithoutHead(t *testing.T) {
	for _, f := range Formats {
		if f.Name == "csv" || f.Name == "tsv" {
			p := f.New(Options{Fields: new(event.Fields)})
			var ev event.Event
			if err := p.Parse([]byte("a,b"), &ev); err == nil || err.Error() != errNoNames.Reason {
				t.Errorf("%s: %v", f.Name, err)
			}
		}
	}
}

// Several events of one Parser may be in use at the same time.
func TestCSVOlderEvents(t *testing.T) {
	x := newCSVFixture(t, comma, "a,b\n")
	block := []byte("1,\"x \"\"y\"\"\"\n2,z\n3,\"w\"\n4,plain\n")
	var clean event.Clean
	clean.Inspect(block)
	x.p.Block(clean)
	evs := make([]event.Event, 4)
	for i := range evs {
		n := comma.next(block)
		evs[i].Reset(x.fields.Len())
		if err := x.p.Parse(block[:n-1], &evs[i]); err != nil {
			t.Fatal(err)
		}
		block = block[n:]
	}
	if got := string(evs[0].AppendValue(nil)); got != `{"a":1,"b":"x \"y\""}` {
		t.Errorf("first event after the last: %s", got)
	}
	// What was last read, also in vain, does not matter, nor what is known of it.
	var bad event.Event
	if err := x.p.Parse([]byte(`long,"x`), &bad); err == nil {
		t.Fatal("no error")
	}
	x.p.Block(event.Clean{UTF8: true, NoControl: true, NoBackslash: true})
	want := []string{`{"a":1,"b":"x \"y\""}`, `{"a":2,"b":"z"}`, `{"a":3,"b":"w"}`, `{"a":4,"b":"plain"}`}
	for _, i := range []int{3, 2, 1, 0, 3, 3} {
		if got := string(evs[i].AppendValue(nil)); got != want[i] || evs[i].Slots[1].Kind != event.String {
			t.Errorf("event %d: %s, want %s", i, got, want[i])
		}
	}
	if got := string(evs[0].Slots[1].AppendText(nil)); got != `x "y"` {
		t.Errorf("member of the first: %s", got)
	}
}

// Escapes take more room than was made, wherever they leave the next field.
func TestCSVEscapesGrow(t *testing.T) {
	x := newCSVFixture(t, comma, "a,b,c\n")
	for n := range 400 {
		in := strings.Repeat("\x01", n+1) + ",plain text of some length," + strings.Repeat("z", n)
		want := `{"a":"` + strings.Repeat(`\u0001`, n+1) + `","b":"plain text of some length","c":`
		if n == 0 {
			want += "null}"
		} else {
			want += `"` + strings.Repeat("z", n) + `"}`
		}
		if got, err := x.parse(t, in, event.Clean{}); err != nil || got != want {
			t.Fatalf("%d: %s %v", n, got, err)
		}
	}
}

// What is known of a later block says nothing of an older event.
func TestTSVOlderEvent(t *testing.T) {
	x := newCSVFixture(t, tab, "a\tb\n")
	x.ev.Reset(x.fields.Len())
	if err := x.p.Parse([]byte(`x\ty`+"\t1"), &x.ev); err != nil {
		t.Fatal(err)
	}
	x.p.Block(event.Clean{UTF8: true, NoControl: true, NoBackslash: true})
	if got, want := string(x.ev.AppendValue(nil)), `{"a":"x\ty","b":1}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestCSVNoAllocation(t *testing.T) {
	x := newCSVFixture(t, comma, "a,b,c\n")
	line := []byte(`12,"x ""y"" z",plain text`)
	var buf []byte
	run := func() {
		x.ev.Reset(x.fields.Len())
		if err := x.p.Parse(line, &x.ev); err != nil {
			t.Fatal(err)
		}
		buf = x.ev.AppendValue(buf[:0])
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations per event", n)
	}
}
