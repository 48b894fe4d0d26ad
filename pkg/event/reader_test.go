package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// slowRead is Reader.Read's slow twin: it checks the line with the plain
// recursive parser, then looks each member up from the start.
func slowRead(line []byte, m Mode, paths [][]string, ev *Event) error {
	ev.Line = line
	if err := Valid(line); err != nil {
		return err
	}
	v := RawValue(bytes.TrimSpace(line))
	class := Classify(v)
	if m == ValuesOnly {
		class = IsBare
	}
	switch {
	case m == EventsOnly && class != IsEvent:
		return Bad("not an event")
	case class == IsReserved:
		return Bad("an object with value and a member that begins with $ is reserved")
	case class == IsEvent:
		for it := v.Members(); it.Next(); {
			mem, _ := memberOf(it.Name.AppendText(nil))
			*ev.member(mem) = it.Value
		}
	default:
		ev.Bare = true
		ev.value = v
	}
	var f Fields
	for _, p := range paths {
		f.Add(p...)
	}
	slowSlots(&f.root, ev.value, ev.Slots)
	return nil
}

func slowSlots(f *field, v Value, slots []Value) {
	for _, k := range f.kids {
		slots[k.slot] = v.Lookup(k.name)
		slowSlots(k, slots[k.slot], slots)
	}
}

var paths = [][]string{{"status"}, {"path"}, {"a", "b"}, {"a", "c", "d"}, {"value"}, {"time"}, {"x y"}}

// describe writes everything that programs can see of an event.
func describe(ev *Event, err error) string {
	if err != nil {
		return "bad"
	}
	var s strings.Builder
	show := func(name string, v Value) {
		fmt.Fprintf(&s, "%s=%d:%s ", name, v.Kind, v.AppendJSON(nil))
		if v.Kind == String {
			fmt.Fprintf(&s, "(%q) ", v.AppendText(nil))
			if v.Form == Plain && !bytes.Equal(AppendString(nil, v.B), v.AppendJSON(nil)) {
				s.WriteString("PLAIN IS NOT PLAIN ")
			}
		}
	}
	fmt.Fprint(&s, ev.Bare, " ")
	for i, v := range []Value{ev.Log, ev.Partition, ev.Offset, ev.Time, ev.Key, ev.Headers, ev.Src, ev.Value()} {
		show(Members[i], v)
	}
	for i, v := range ev.Slots {
		show(fmt.Sprint("slot", i), v)
	}
	return s.String()
}

func newTwins(m Mode) (*Reader, *Fields) {
	var f Fields
	for _, p := range paths {
		f.Add(p...)
	}
	return NewReader(&f, m), &f
}

func checkTwins(t *testing.T, r *Reader, f *Fields, m Mode, line []byte) {
	t.Helper()
	var fast, slow Event
	// The line alone, and in a block between others whose quotes and
	// backslashes must not matter.
	before := []byte(`{"x":"` + "\n")
	block := append(append(slices.Clone(before), line...), "\n\"\\\"\n"...)
	var c, inBlock Clean
	c.Inspect(line)
	inBlock.Inspect(block)
	for _, c := range []Clean{{}, c, inBlock} {
		line := line
		if c.block != nil && len(c.block) == len(block) && len(block) != len(line) {
			line = block[len(before) : len(before)+len(line)]
		}
		r.Block(c)
		fast.Reset(f.Len())
		slow.Reset(f.Len())
		err := r.Read(line, &fast)
		slowErr := slowRead(line, m, paths, &slow)
		if got, want := describe(&fast, err), describe(&slow, slowErr); got != want {
			t.Fatalf("line %q (mode %d, %+v)\nfast %s %v\nslow %s %v", line, m, c, got, err, want, slowErr)
		}
		if (slowErr == nil) != (Valid(line) == nil) && m == ValuesOnly {
			t.Fatalf("%q: %v", line, slowErr)
		}
	}
}

// Fragments from which random lines are put together: enough to hit every
// state of the shape, with layouts that differ a little from each other.
func randomObject(rng *rand.Rand, depth int) string {
	names := []string{`"status"`, `"path"`, `"a"`, `"b"`, `"c"`, `"d"`, `"value"`, `"time"`, `"key"`, `"offset"`, `"partition"`, `"headers"`, `"src"`, `"log"`, `"$x"`, `"x y"`, `"\u0061"`, `"val\u0075e"`, `"other"`, fmt.Sprintf(`"n%d"`, rng.IntN(5000))}
	space := func() string { return [...]string{"", "", "", "", "", " ", "\t "}[rng.IntN(7)] }
	var s strings.Builder
	s.WriteString("{" + space())
	n := rng.IntN(6)
	for i := range n {
		if i > 0 {
			s.WriteString("," + space())
		}
		s.WriteString(names[rng.IntN(len(names))] + space() + ":" + space() + randomJSON(rng, depth+1) + space())
	}
	s.WriteString("}")
	return s.String()
}

func randomJSON(rng *rand.Rand, depth int) string {
	if depth < 6 && rng.IntN(3) == 0 {
		return randomObject(rng, depth)
	}
	vals := []string{`1`, `0`, `-0`, `12.50`, `-1e400`, `123456789012345678901234567890`, `null`, `true`, `false`, `""`, `"x"`, `"2026-01-01T00:00:00Z"`, `"long string that spans several words"`, `"\"q\" \\ \u00e9 \ud83d\ude00 \ud800"`, `"käse"`, `[]`, `[1,"a",{"b":2}]`, `{"h":"v","g":["1","2"]}`, `{"orders@1f3a9c02/0":812}`, `[[[]]]`}
	if rng.IntN(40) == 0 {
		vals = []string{`01`, `tru`, `"a`, "\"\x01\"", `{`, `]`, `1.`, `"\x"`, `"\u12"`, ``, "\"\xff\""}
	}
	return vals[rng.IntN(len(vals))]
}

func TestReaderAgreesWithSlowTwin(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		for _, m := range []Mode{Auto, EventsOnly, ValuesOnly} {
			r, f := newTwins(m)
			for range 400 {
				line := []byte(randomJSON(rng, 0))
				if rng.IntN(3) > 0 {
					line = []byte(randomObject(rng, 0))
				}
				if rng.IntN(50) == 0 && len(line) > 0 {
					line = line[:rng.IntN(len(line))]
				}
				if rng.IntN(50) == 0 && len(line) > 0 {
					line[rng.IntN(len(line))] = byte(rng.IntN(256))
				}
				if len(bytes.TrimSpace(line)) == 0 {
					continue
				}
				checkTwins(t, r, f, m, line)
			}
		}
	}
}

// Every line up to six bytes over an alphabet of JSON's punctuation: read by
// one Reader, so that each line meets the layouts of all lines before.
func TestReaderExhaustive(t *testing.T) {
	alphabet := []string{"{", "}", `"a"`, ":", ",", "1", `"`, " ", "[", "]"}
	depth := 6
	if testing.Short() {
		depth = 5
	}
	r, f := newTwins(Auto)
	var walk func(prefix string, left int)
	walk = func(prefix string, left int) {
		if strings.TrimSpace(prefix) != "" {
			checkTwins(t, r, f, Auto, []byte(prefix))
		}
		if left == 0 {
			return
		}
		for _, a := range alphabet {
			walk(prefix+a, left-1)
		}
	}
	walk("", depth-1)
	walk(`{"a":1,`, depth-1)
	walk(`{"a":"x"`, depth-1)
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(`{"a":{"b":1},"status":200}`+"\n"+`{"a": 1,"status" :"x"}`), uint8(0))
	f.Add([]byte(`{"time":"2026-01-01T00:00:00Z","key":"k","value":{"a":{"b":1}}}`+"\n"+`{"value":1,"value":{"path":2}}`), uint8(1))
	f.Add([]byte(`{"value":1,"$x":2}`+"\n"+`{"a":{"b":1},"a":{}}`+"\n"+`{"a":{"b":1},"a":3}`), uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, mode uint8) {
		m := Mode(mode % 3)
		r, fs := newTwins(m)
		for line := range bytes.SplitSeq(data, []byte("\n")) {
			if len(bytes.TrimSpace(line)) == 0 {
				continue
			}
			checkTwins(t, r, fs, m, line)
			if utf8.Valid(line) && Valid(line) == nil != (json.Valid(line)) {
				t.Fatalf("%q: we say %v, encoding/json says %v", line, Valid(line), json.Valid(line))
			}
		}
	})
}

func TestClass(t *testing.T) {
	for _, c := range []struct {
		line string
		want string // event, bare, bad
	}{
		{`{"value":1}`, "event"},
		{`{"value":null,"key":1}`, "event"},
		{`{"value":1,"key":null}`, "bare"},
		{`{"value":1,"offset":-1}`, "bare"},
		{`{"value":1,"offset":1.5}`, "bare"},
		{`{"value":1,"offset":7,"partition":0,"log":"l"}`, "event"},
		{`{"value":1,"time":3}`, "bare"},
		{`{"value":1,"x":3}`, "bare"},
		{`{"key":1}`, "bare"},
		{`{"value":1,"headers":{"a":"b","c":["d","e"]}}`, "event"},
		{`{"value":1,"headers":{"a":1}}`, "bare"},
		{`{"value":1,"headers":{"a":[1]}}`, "bare"},
		{`{"value":1,"src":{"o@1f3a9c02/0":8}}`, "event"},
		{`{"value":1,"src":{}}`, "bare"},
		{`{"value":1,"src":{"a":1,"b":2}}`, "bare"},
		{`{"value":1,"$why":3}`, "bad"},
		{`{"$why":3}`, "bare"},
		{`{"value":1,"key":null,"key":2}`, "event"},
		{`{"val\u0075e":1}`, "event"},
		{`[1]`, "bare"},
		{`"value"`, "bare"},
		{`{"value":1} x`, "bad"},
	} {
		r, f := newTwins(Auto)
		for range 2 { // before and after the layout was learned
			var ev Event
			ev.Reset(f.Len())
			got := "event"
			if err := r.Read([]byte(c.line), &ev); err != nil {
				got = "bad"
			} else if ev.Bare {
				got = "bare"
			}
			if got != c.want {
				t.Errorf("%s: %s, want %s", c.line, got, c.want)
			}
		}
	}
}

// The JSON test suite: n_ files are refused, y_ files accepted (a document of
// several lines is put on one first).
func TestJSONTestSuite(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "data", "json-conformance", "JSONTestSuite", "test_parsing")
	files, _ := filepath.Glob(filepath.Join(dir, "[yn]_*.json"))
	if len(files) == 0 {
		t.Skip("the JSON test suite is not here:", dir)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		base := filepath.Base(name)
		if strings.HasPrefix(base, "y_") {
			data = bytes.ReplaceAll(bytes.TrimSpace(data), []byte("\n"), []byte(" "))
		}
		good, lines := true, 0
		for _, m := range []Mode{Auto, ValuesOnly} {
			r := NewReader(&Fields{}, m)
			for line := range bytes.SplitSeq(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), []byte("\n")) {
				if len(bytes.TrimSpace(line)) == 0 {
					continue
				}
				lines++
				var ev Event
				ev.Reset(0)
				if err := r.Read(line, &ev); err != nil {
					good = false
				}
			}
		}
		switch base {
		case "n_structure_no_data.json", "n_single_space.json", "n_structure_UTF8_BOM_no_data.json":
			if lines > 0 {
				t.Errorf("%s: has lines", base)
			}
		default:
			if good != (base[0] == 'y') {
				t.Errorf("%s: accepted is %v", base, good)
			}
		}
	}
}

// Real lines, as they are and with one byte changed.
func TestReaderOnRealData(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "data")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no real data here:", dir)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "json") {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		r, f := newTwins(Auto)
		n := 0
		for line := range bytes.SplitSeq(data, []byte("\n")) {
			if len(bytes.TrimSpace(line)) == 0 || len(line) > 1<<15 {
				continue
			}
			if n++; n > 60 {
				break
			}
			checkTwins(t, r, f, Auto, line)
			broken := bytes.Clone(line)
			for range 3 {
				broken[rng.IntN(len(broken))] = `{}[]",:\0x `[rng.IntN(11)]
				if len(bytes.TrimSpace(broken)) > 0 {
					checkTwins(t, r, f, Auto, broken)
				}
			}
		}
		return nil
	})
}

func TestDeepNesting(t *testing.T) {
	for _, c := range []struct {
		depth int
		good  bool
	}{{MaxDepth, true}, {MaxDepth + 1, false}, {3 << 20, false}} {
		for _, pair := range []string{"[]", "{}"} {
			var line []byte
			if pair == "[]" {
				line = append(bytes.Repeat([]byte("["), c.depth), bytes.Repeat([]byte("]"), c.depth)...)
			} else {
				line = append(bytes.Repeat([]byte(`{"a":`), c.depth-1), "{}"...)
				line = append(line, bytes.Repeat([]byte("}"), c.depth-1)...)
			}
			var ev Event
			ev.Reset(0)
			err := NewReader(&Fields{}, Auto).Read(line, &ev)
			if (err == nil) != c.good {
				t.Errorf("%s nested %d deep: %v", pair, c.depth, err)
			}
		}
	}
}

// However many names there are, memory stays bounded and the answers right.
func TestManyNames(t *testing.T) {
	r, f := newTwins(Auto)
	for i := range 20000 {
		line := []byte(fmt.Sprintf(`{"k%d":1,"m%d":"x","status":%d,"a":{"k%d":2,"b":"y"}}`, i, i*7, i, i))
		var ev Event
		ev.Reset(f.Len())
		if err := r.Read(line, &ev); err != nil {
			t.Fatal(err)
		}
		if n, _ := ev.Slots[f.Add("status")].Int(); n != int64(i) {
			t.Fatalf("%s: status %d", line, n)
		}
		if s := ev.Slots[f.Add("a", "b")]; string(s.B) != "y" {
			t.Fatalf("%s: .a.b %q", line, s.B)
		}
	}
	if r.nodes > maxNodes {
		t.Errorf("%d nodes", r.nodes)
	}
	// A Reader that can learn no more still tells events from values.
	for _, line := range []string{`{"key":"k1","value":{"a":{"b":1}}}`, `{"value":1,"$x":2}`, `{"$y":2}`, `{"new":1,"value":2}`, `{"time":"2026-01-01T00:00:00Z","key":"k","value":null}`, `{"val\u0075e":3}`} {
		checkTwins(t, r, f, Auto, []byte(line))
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for range 5000 {
		checkTwins(t, r, f, Auto, []byte(randomObject(rng, 0)))
	}
}

func testInspect(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		b := bytes.Repeat([]byte("abc\"efg\n"), rng.IntN(30))
		b = append(b, "xyz\n"[rng.IntN(4):]...)
		for range rng.IntN(3) {
			if len(b) > 0 {
				b[rng.IntN(len(b))] = [...]byte{0, 0x1f, 0x20, 0x7f, 0x80, 0xc3, 0xa9, 0xff, '\\', '\r', '\n', 0xed, 0xa0, 0xe2, 0x82, 0xac}[rng.IntN(16)]
			}
		}
		want := Clean{UTF8: utf8.Valid(b), NoControl: true, NoBackslash: !bytes.Contains(b, []byte(`\`))}
		for _, c := range b {
			if c < 0x20 && c != '\n' {
				want.NoControl = false
			}
		}
		var got Clean
		got.Inspect(b)
		if got.UTF8 != want.UTF8 || got.NoControl != want.NoControl || got.NoBackslash != want.NoBackslash {
			t.Fatalf("%q: %+v, want %+v", b, got, want)
		}
		high, control, backslash := inspectBytes(b)
		if high && want.UTF8 && utf8.RuneCount(b) == len(b) || control == want.NoControl || backslash == want.NoBackslash {
			t.Fatalf("%q: inspectBytes says %v %v %v", b, high, control, backslash)
		}
		for k, x := range b {
			if got.marks != nil && (got.marks[k/8]>>(k%8)&1 == 1) != (x == '"' || x == '\\') {
				t.Fatalf("%q: wrong mark at %d", b, k)
			}
		}
	}
}

func FuzzValidUTF8(f *testing.F) {
	f.Add([]byte("abc\xe2\x82\xac\xed\xa0\x80"))
	f.Fuzz(func(t *testing.T, b []byte) {
		k := validUTF8(b)
		if (k < 0) != utf8.Valid(b) || k >= 0 && !utf8.Valid(b[:k]) {
			t.Fatalf("%q: %d", b, k)
		}
	})
}
