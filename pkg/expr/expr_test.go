package expr

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"logtools/pkg/event"
)

// text runs a program and writes its results one after the other, or the error.
func text(p *Program, r *Runner, ev *event.Event) string {
	vs, err := p.Run(r, ev)
	if err != nil {
		return "error: " + err.Error()
	}
	var b []byte
	for i, v := range vs {
		if i > 0 {
			b = append(b, ' ')
		}
		b = v.AppendJSON(b)
	}
	return string(b)
}

const sample = `{"time":"2024-02-03T04:05:06Z","key":{"id":7},"value":{"a":{"b":[1,2.0,"x"]},"n":0,"f":1.50,"s":"h\u00e9llo","z":2,"y":1,"big":12345678901234567890,"d":1,"d":2,"t":null}}`

func TestPrograms(t *testing.T) {
	for _, c := range []struct{ src, line, want string }{
		{".a.b[1]", sample, "2.0"},
		{".a.b[-1], .a.b[7], .a.nope.x", sample, `"x" null null`},
		{".a.b.c", sample, `error: expected an object but got: array ([1,2.0,"x"])`},
		{".n.x", sample, `error: expected an object but got: number (0)`},
		{".n.x?", sample, ""},
		{".n.x.y?", sample, `error: expected an object but got: number (0)`},
		{".n.x // 1", sample, `error: expected an object but got: number (0)`},
		{".t // .nope // \"none\"", sample, `"none"`},
		{".d", sample, "2"},
		{`.s[1:3], .s[-2:], (.s|length), "<\(.s)>"`, sample, `"él" "lo" 5 "<héllo>"`},
		{`.s == "héllo"`, sample, "true"},
		{"-.n|tostring", sample, `"-0"`},
		{"(-.n|tostring) as $x | $x", sample, `"-0"`},
		{"(null + .f)|tostring", sample, `"1.5"`},
		{"((.f + null)|tostring), (.f|tostring)", sample, `"1.5" "1.50"`},
		{".big, .big + 1, .big == 12345678901234567890, .big > 1", sample, "12345678901234567890 12345678901234567891 true true"},
		{"{z, y, x: {b: .n, a: 1}}", sample, `{"z":2,"y":1,"x":{"b":0,"a":1}}`},
		{"{z, y} | tojson", sample, `"{\"y\":1,\"z\":2}"`},
		{"{z, y, k: (.a | keys)}", sample, `{"z":2,"y":1,"k":["b"]}`},
		{"[.a.b[] | {z: ., a: (try error catch 1)}]", sample, `[{"z":1,"a":1},{"z":2.0,"a":1},{"z":"x","a":1}]`},
		{`{(.s): 1, "x\(.n)": 2, "\("y")", "z": (1 | sin | floor)}`, sample, `{"héllo":1,"x0":2,"y":1,"z":0}`},
		{`{b: 1, a: 2, b: 3}`, sample, `{"b":3,"a":2}`},
		{`{(.n): 1}`, sample, `error: expected a string for object key but got: number (0)`},
		{"{p: (1,2), q: (3,4)} | [.p, .q]", sample, "[1,3] [1,4] [2,3] [2,4]"},
		{"{p: (1,2), q: (3,4), r: (keys|length)} | .p", sample, "1 1 2 2"},
		{"{p: (1,2), q: (3,4), r: ([1]|implode|length)} ", sample, `{"p":1,"q":3,"r":1} {"p":1,"q":4,"r":1} {"p":2,"q":3,"r":1} {"p":2,"q":4,"r":1}`},
		{"{l: (1|exp10), k: 1, j: 1, i: 1, h: 1, g: 1, f: 1, e: 1, d: 1, c: 1, b: 1, a: 1, z: 1, y: 1, x: 1, w: 1, v: (1,2)}", sample,
			`{"l":10,"k":1,"j":1,"i":1,"h":1,"g":1,"f":1,"e":1,"d":1,"c":1,"b":1,"a":1,"z":1,"y":1,"x":1,"w":1,"v":1} {"l":10,"k":1,"j":1,"i":1,"h":1,"g":1,"f":1,"e":1,"d":1,"c":1,"b":1,"a":1,"z":1,"y":1,"x":1,"w":1,"v":2}`},
		{"(1,2) + (10,20)", sample, "11 12 21 22"},
		{". + {n: 9, q: 1} | .n, .q", sample, "9 1"},
		{"$key, $key.id, $time[:4], $offset, $log, $headers", sample, `{"id":7} 7 "2024" null null null`},
		{"$event", `{"value":[1],"time":"2024-02-03T04:05:06Z"}`, `{"time":"2024-02-03T04:05:06Z","value":[1]}`},
		{"$event", `[1]`, `{"value":[1]}`},
		{".[0]", `[1]`, `1`},
		{".a", `[1]`, `error: expected an object but got: array ([1])`},
		{".a", `"x"`, `error: expected an object but got: string ("x")`},
		{".a.b", `null`, `null`},
		{"has(\"t\"), has(\"u\")", sample, "true false"},
		{"[.[] | numbers]", `{"b":1,"a":2,"c":"x"}`, "[2,1]"},
		{"select(.z > 1) | .y", sample, "1"},
		{"any(.a.b[]; . == 2), all(.a.b[]; . != 3)", sample, "true true"},
		{"[.] | length, .[0].n", sample, "1 0"},
		{"[., 1] | map(type)", sample, `["object","number"]`},
		{"reduce .a.b[] as $x (0; . + 1)", sample, "3"},
		{"error(\"boom\")", sample, `error: error: boom`},
		{"1, error(\"boom\")", sample, `error: error: boom`},
		{"try error(\"x\") catch .", sample, `"x"`},
		{".s | test(\"l+o$\"), test(\"^HÉ\"; \"i\"), test(\"^h\")", sample, "true true true"},
		{".s | test(\"(\")", sample, "error: invalid regular expression \"(\": error parsing regexp: missing closing ): `(`"},
		{"if .n == 0 then \"zero\" elif .n then 1 else 2 end", sample, `"zero"`},
		{"nan, infinite", sample, "null 1.7976931348623157e+308"},
		{"@base64d", `"/w=="`, "\"\ufffd\""},
		{".a|.b|.[2]|ascii_upcase", sample, `"X"`},
		{"\"1.50\", \"007\", \"-3\" | tonumber", sample, "1.5 7 -3"},
		{". as {s: $v} | $v", sample, `"h\u00e9llo"`},
		{"1 / 3, 4 / 2, 7 % -3, -7 % 3, 5.9 % 2", sample, "0.3333333333333333 2 1 -1 1"},
		{".n / 0", sample, "error: cannot divide number (0) by: number (0)"},
		{"# comment\n.z", sample, "2"},
	} {
		for _, compile := range []func(string, *event.Fields) (*Program, error){Compile, compileSlowOnly} {
			fields := new(event.Fields)
			p, err := compile(c.src, fields)
			if err != nil {
				t.Errorf("%s: %v", c.src, err)
				continue
			}
			var ev event.Event
			ev.Reset(fields.Len())
			if err := event.NewReader(fields, event.Auto).Read([]byte(c.line), &ev); err != nil {
				t.Fatal(err)
			}
			got, want := text(p, NewRunner(), &ev), c.want
			if p.Fast() || !strings.Contains(want, `\u`) {
				if got != want {
					t.Errorf("%s (fast: %v)\ngot  %s\nwant %s", c.src, p.Fast(), got, want)
				}
			}
		}
	}
}

// Which programs run on the raw bytes is a promise about speed.
func TestFast(t *testing.T) {
	for src, want := range map[string]bool{
		".status >= 500": true, ".a.b": true, `.["a b"]`: true, ".[0]": true, ".[]": true, ".a[]?": true, ".a[1:2]": true,
		".a == 1 and .b != \"x\" or (.c | not)": true, ".a // 0": true, ".a + 1 - 2 * 3 / 4 % 5": true,
		"select(.a)": true, "if .a then 1 elif .b then 2 else 3 end": true, "{a, b: .c, \"d\": 1}": true, "[.a, .b]": true,
		".a | startswith(\"x\")": true, ".a | endswith(\"x\")": true, ".a | contains(\"x\")": true, `.a | test("x+"; "i")`: true,
		".a | length": true, ".a | ascii_downcase": true, ".a | tostring": true, ".a | tonumber": true, ".a | type": true, `has("a")`: true,
		`.a[:3]`: true, `"x\(.a)y"`: true, "$key": true, "$time[:13]": true, "$headers.a": true, "map(.a)": true, `any(.tags[]; . == "x")`: true,
		"keys": true, "to_entries": true, "with_entries(select(.value))": true, "map_values(. + 1)": true, "del(.a, .b.c)": true, "reduce .[] as $x (0; . + $x)": true,
		".a = 1": true, ".a.b |= . + 1": true, ".a += 1": true, `.["a b"] //= 0`: true, `.a | split("/") | .[2]`: true, `[.a, .b] | join(" ")`: true, `.a | gsub("/"; "-")`: true,
		`.a | sub("^/[a-z]+"; ""; "i")`: true, ".a | floor": true, "[.[] | numbers] | add": true, "tojson": true, "[.[]] | sort | first": true, "first(.[])": true, "limit(3; .[])": true,
		`.a | sub("(?<x>.)"; .x)`: true, "[..]": true, "paths": true, `.a | capture("(?<x>.)")`: true, `.a | scan("[0-9]+")`: true, "foreach .[] as $x (0; . + $x; [.])": true,
		`.a | gsub("x*"; "-")`: false, ".a[0] = 1": false, "del(.[0])": false, "def f: .a; f": false, "group_by(.a)": false, "1e400": false,
	} {
		p, err := Compile(src, new(event.Fields))
		if err != nil {
			t.Errorf("%s: %v", src, err)
		} else if p.Fast() != want {
			t.Errorf("%s: fast is %v, want %v", src, p.Fast(), want)
		}
	}
}

func TestUsesTime(t *testing.T) {
	for src, want := range map[string]bool{".a": false, "$key": false, "$time": true, "{a: $time[:4]}": true, "{$time}": true, "$event.value": true, ".time": false} {
		p, err := Compile(src, new(event.Fields))
		if err != nil {
			t.Fatal(err)
		}
		if p.UsesTime() != want || p.Source() != src {
			t.Errorf("%s: UsesTime is %v", src, !want)
		}
	}
}

// Only what is read is asked for.
func TestMembers(t *testing.T) {
	for src, want := range map[string]string{
		".a|keys": "a", ".a.b|@json": "a", "[.a,.b]|add": "a b", "{a, b: (.c|keys)}": "a c", "keys": "*", ".": "*", "[.]|add": "*", "select(.a|tojson)": "*",
		"select(.a|tojson)|.b": "a b", "[limit(2; .a[])]": "a", ".a as $x | .b | index($x)": "a b", ". as $x | .a|keys": "*", "$event|keys": "*", "now - .a": "a",
		"if .a|keys then .b else .c end": "a b c", "try (.a|keys) catch .": "a", "def f: .a; f": "*", "reduce .a[] as $x (0; .+$x)": "*", `"\(.a)\(.)"|@json`: "*",
		`has("a") and (.b|keys)`: "a b", ".[\"x\"]|keys": "x", ".[.a]|keys": "*", "(.a|keys) == .": "*", "{(.a|tojson): .b}": "a b", "$key|keys": "", "any(.a[]; tojson)": "a", "label $f | .a | keys": "a",
	} {
		q, err := parse(src)
		if err != nil {
			t.Fatal(err)
		}
		names, all := members(q, survey(q))
		got := strings.Join(names, " ")
		if all {
			got = "*"
		}
		if got != want {
			t.Errorf("%s: reads %q, want %q", src, got, want)
		}
	}
}

func TestOne(t *testing.T) {
	for src, want := range map[string]string{
		".a": "1", ".a, .b": "expected exactly one result, got 2", "empty": "expected exactly one result, got 0",
		"select(.a)|.b": "2", "keys": `["a","b"]`, "keys[]": "expected exactly one result, got 2", ".a.b": "expected an object but got: number (1)",
	} {
		fields := new(event.Fields)
		p, err := Compile(src, fields)
		if err != nil {
			t.Fatal(err)
		}
		var ev event.Event
		ev.Reset(fields.Len())
		if err := event.NewReader(fields, event.Auto).Read([]byte(`{"a":1,"b":2}`), &ev); err != nil {
			t.Fatal(err)
		}
		v, err := p.One(NewRunner(), &ev)
		got := string(v.AppendJSON(nil))
		if err != nil {
			got = err.Error()
			var bad *event.BadError
			if !errors.As(err, &bad) {
				t.Errorf("%s: %T", src, err)
			}
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", src, got, want)
		}
	}
}

// Programs that do not end are ended, and deep values do no harm.
func TestLimits(t *testing.T) {
	deep := strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000)
	tooDeep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	wide := "[" + strings.Repeat("1,", 4999) + "1]"
	for _, c := range []struct{ src, in, want string }{
		{"repeat(.)", "1", "error: program gives more than 1000000 results"},
		{"[range(1e18)]", "1", "error: program takes too many steps"},
		{"def f: f; f", "1", "error: program takes too many steps"},
		{".[] as $x | .[]", wide, "error: program gives more than 1000000 results"},
		{"[.[] as $x | .[] | select(false)] | length", "[1,2]", "0"},
		{"[path(..) | length] | length > 1", deep, "true"},
		{"flatten(1) | length", tooDeep, "error: value is nested deeper than 10000"},
		{". == [1]", tooDeep, "false"},
		{"length", tooDeep, "1"},
	} {
		fields := new(event.Fields)
		p, err := Compile(c.src, fields)
		if err != nil {
			t.Fatal(err)
		}
		var ev event.Event
		ev.Reset(fields.Len())
		ev.SetValue(event.RawValue([]byte(c.in)))
		if got := text(p, NewRunner(), &ev); got != c.want {
			t.Errorf("%s: got %.100s, want %s", c.src, got, c.want)
		}
	}
}

// A lazily built value is only built for programs that need all of it.
type lazy struct{ built int }

func (l *lazy) AppendValue(dst []byte, _ *event.Event) []byte {
	l.built++
	return append(dst, `{"a":1,"b":{"c":2}}`...)
}

func TestLazy(t *testing.T) {
	for src, built := range map[string]int{
		".a": 0, ".zz": 0, ".a == 1": 0, "{a}": 0, "select(.a == 1) | .b.c": 0, "type": 0, `has("zz")`: 0, ".a | sin": 0, "[.a] | add": 0,
		".": 1, "length": 1, "keys": 1,
	} {
		fields := new(event.Fields)
		p, err := Compile(src, fields)
		if err != nil {
			t.Fatal(err)
		}
		var ev event.Event
		ev.Reset(fields.Len())
		fields.Top(func(name string, slot int, _ bool) {
			switch name {
			case "a":
				ev.Slots[slot] = event.RawValue([]byte("1"))
			case "b":
				ev.Slots[slot] = event.RawValue([]byte(`{"c":2}`))
			}
		})
		l := &lazy{}
		ev.SetLazy(l)
		if _, err := p.Run(NewRunner(), &ev); err != nil {
			t.Errorf("%s: %v", src, err)
		}
		if l.built != built {
			t.Errorf("%s: the value was built %d times, want %d", src, l.built, built)
		}
	}
}

// Every program of jq's own test suite gives the same in both engines.
func TestJQSuite(t *testing.T) {
	f, err := os.Open(filepath.Join("..", "..", "..", "shared", "data", "json-conformance", "jq", "jq.test"))
	if err != nil {
		t.Skip("jq's test suite is not there: ", err)
	}
	defer f.Close()
	var block []string
	n, fast := 0, 0
	flush := func() {
		if len(block) >= 2 && !strings.HasPrefix(block[0], "%%") && !strings.Contains(block[0], "localtime") && !strings.Contains(block[0], "now") {
			if h, err := newHarness(block[0]); err == nil && event.Valid([]byte(block[1])) == nil {
				n++
				fast += b2i(h.fast.Fast())
				if diff := h.check(block[1]); diff != "" {
					t.Errorf("%s\non   %s\n%s", block[0], block[1], diff)
				}
			}
		}
		block = block[:0]
	}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := sc.Text()
		if strings.TrimSpace(line) == "" {
			flush()
		} else if !strings.HasPrefix(line, "#") {
			block = append(block, line)
		}
	}
	flush()
	t.Logf("%d programs, %d of them fast", n, fast)
	if n < 300 || fast < 50 {
		t.Errorf("only %d programs, %d of them fast", n, fast)
	}
}

// The raw engine allocates nothing per event.
func TestNoAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes sync.Pool allocate")
	}
	for _, src := range []string{
		".n == 0", ".f > 1 and .z == 2", ".s", "{n, s}", "[.n, .f]", `"\(.s) \(.n)"`, ".s | test(\"l+\")", ".a.b[]", "any(.a.b[]; . == 2)", ".z + 1.5", "{(.t|tostring): .n}",
		".s == \"x\"", ".s[1:3]", ". + {q: 1} | .q", "map(type)", "$key.id", ".n < .z", "select(.z > 1) | .y", ".s | ascii_upcase | startswith(\"H\")", "length",
	} {
		fields := new(event.Fields)
		p, err := Compile(src, fields)
		if err != nil {
			t.Fatal(err)
		}
		var ev event.Event
		ev.Reset(fields.Len())
		line := strings.Replace(sample, `"d":1,`, "", 1)
		if err := event.NewReader(fields, event.Auto).Read([]byte(line), &ev); err != nil {
			t.Fatal(err)
		}
		r := NewRunner()
		n := testing.AllocsPerRun(100, func() {
			r.Reset()
			p.Test(r, &ev)
			p.Run(r, &ev)
			p.One(r, &ev)
		})
		many := len(strings.Fields(text(p, r, &ev))) > 1 && strings.Contains(src, "[]") // One fails then
		if n != 0 && !many {
			t.Errorf("%s: %v allocations", src, n)
		}
	}
}

// A Program may be shared.
func TestConcurrent(t *testing.T) {
	for _, src := range []string{".a.b[] | select(. == 2)", ".a | keys", "{k: (.a | keys), n}", `.s | test("l" + "l")`} {
		fields := new(event.Fields)
		p, err := Compile(src, fields)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		results := make([]string, 4)
		for i := range results {
			wg.Go(func() {
				r := NewRunner()
				reader := event.NewReader(fields, event.Auto)
				var ev event.Event
				for range 200 {
					r.Reset()
					ev.Reset(fields.Len())
					if err := reader.Read([]byte(sample), &ev); err != nil {
						t.Error(err)
					}
					results[i] = text(p, r, &ev)
				}
			})
		}
		wg.Wait()
		for _, s := range results[1:] {
			if s != results[0] || strings.HasPrefix(s, "error") {
				t.Errorf("%s: %s and %s", src, s, results[0])
			}
		}
	}
}
