package expr

import (
	"strings"
	"testing"

	"logtools/pkg/event"
)

// Programs that change whole values: what they give, the same in both engines,
// and that the raw engine gives it (unless marked with !).
func TestWholeValues(t *testing.T) {
	const (
		flat = `{"b":1,"a":"x/y/z","n":null,"f":2.50,"t":true,"s":"h\u00e9llo"}`
		deep = `{"a":{"b":{"c":1},"d":[1,2]},"z":"s","e":{}}`
		list = `[3,1.0,"a",null,1,"b",[2]]`
	)
	for _, c := range []struct{ src, in, want string }{
		{`.a = 1`, flat, `{"b":1,"a":1,"n":null,"f":2.50,"t":true,"s":"h\u00e9llo"}`},
		{`.new = .f`, `{"f":2.50}`, `{"f":2.50,"new":2.50}`},
		{`.x.y = (1,2)`, `{"x":null}`, `{"x":{"y":1}} {"x":{"y":2}}`},
		{`.x.y.z = "é\n"`, `{}`, `{"x":{"y":{"z":"é\n"}}}`},
		{`.a.b.c += 1`, deep, `{"a":{"b":{"c":2},"d":[1,2]},"z":"s","e":{}}`},
		{`.z.q = 1`, deep, `!error: setpath(["z","q"]; 1) cannot be applied to {"a":{"b":{"c":1},"d":[1, ...}: expected an object but got: string ("s")`},
		{`.t //= 5 | .n //= 6 | .u //= 7 | .f //= 8`, `{"t":true,"n":null,"f":false}`, `{"t":true,"n":6,"f":8,"u":7}`},
		{`.b |= empty`, flat, `{"a":"x/y/z","n":null,"f":2.50,"t":true,"s":"h\u00e9llo"}`},
		{`.a.b |= (.c, 9)`, deep, `{"a":{"b":1,"d":[1,2]},"z":"s","e":{}}`},
		{`.b -= 1 | .b *= 3 | .b /= 2 | .b %= 2`, `{"b":9}`, `{"b":0}`},
		{`.a = 1`, `{"a":1,"a":2,"b":3,"b":4}`, `!{"a":1,"b":4}`},
		{`.a = 1`, `{"\u0061":1,"b":3}`, `!{"a":1,"b":3}`},
		{`del(.a, .n, .zz)`, flat, `{"b":1,"f":2.50,"t":true,"s":"h\u00e9llo"}`},
		{`del(.a, .a.b)`, deep, `{"z":"s","e":{}}`},
		{`del(.a.b, .a)`, deep, `{"z":"s","e":{}}`},
		{`del(.a.b.c, .a.d, .e.f)`, deep, `{"a":{"b":{}},"z":"s","e":{}}`},
		{`del(.n.x)`, `{"n":null,"b":1}`, `{"n":null,"b":1}`},
		{`del(.z, .z.q)`, deep, `!error: expected an object but got: string ("s")`},
		{`del(.b)`, `{"a":1,"a":2,"b":3}`, `!{"a":2}`},
		{`map_values(select(. != null))`, `{"a":1,"n":null,"b":2}`, `{"a":1,"b":2}`},
		{`map_values(., .)`, list, `[3,1.0,"a",null,1,"b",[2]]`},
		{`map_values(strings)`, list, `["a","b"]`},
		{`keys`, flat, `["a","b","f","n","s","t"]`},
		{`keys`, `{"b":1,"\u0061":2,"b":3}`, `["a","b"]`},
		{`keys`, list, `[0,1,2,3,4,5,6]`},
		{`to_entries`, `{"b":1,"a":null,"b":2}`, `[{"key":"a","value":null},{"key":"b","value":2}]`},
		{`from_entries`, `[{"key":"a","value":1},{"name":"b","Value":2},{"Key":"c","value":null,"Value":3},{"Name":"d"},{"key":false,"name":"e","value":0}]`, `{"a":1,"b":2,"c":null,"d":null,"e":0}`},
		{`from_entries`, `[{"key":"a","value":1},{"key":"a","value":2}]`, `!{"a":2}`},
		{`with_entries(select(.value > 1))`, `{"a":1,"b":2}`, `{"b":2}`},
		{`with_entries(.key |= "x" + .)`, `{"a":1,"b":2}`, `{"xa":1,"xb":2}`},
		{`add`, `[1,null,2.5]`, `3.5`},
		{`add`, `["a",null,"b\n"]`, `"ab\n"`},
		{`add`, `{"b":"x","a":"y"}`, `"yx"`},
		{`add`, `[1,"a"]`, `!error: cannot add: number (1) and string ("a")`},
		{`join("-")`, `["a",1,null,true,"é\""]`, `"a-1--true-é\""`},
		{`join(", ")`, `[]`, `""`},
		{`.a | split("/")`, flat, `["x","y","z"]`},
		{`split("a")`, `"abaca"`, `["","b","c",""]`},
		{`split("é"), split("x"), "" / "x"`, `"h\u00e9llo"`, `["h","llo"] ["héllo"] []`},
		{`split("")`, `"ab"`, `!["a","b"]`},
		{`sub("a"; "b"), gsub("a"; "bb")`, `"banana"`, `"bbnana" "bbbnbbnbb"`},
		{`sub("a"; ""), gsub("[an]+"; "")`, `"aban"`, `"ban" "b"`},
		{`sub("A"; "x"; "gi"), gsub("^a"; "x"), gsub("\\ba"; "x")`, `"aa a"`, `"xx x" "xa a" "xa x"`},
		{`sub("^"; "x"), sub("q*"; "")`, `"ab"`, `"xab" "ab"`},
		{`gsub("b{0,2}"; "-")`, `"abc"`, `!"-a--c-"`},
		{`gsub("(?<x>[0-9])(?<y>z)?"; "<\(.x)\(.y)>\"")`, `"a1b2z"`, `"a<1null>\"b<2z>\""`},
		{`gsub("a"; "é\"")`, `"ab"`, `"é\"b"`},
		{`gsub("é"; "\n")`, `"h\u00e9llo"`, `"h\nllo"`},
		{`capture("(?<x>[a-z])(?<y>[0-9])?")`, `"-a"`, `{"x":"a","y":null}`},
		{`capture("(?<x>[0-9])")`, `"-a"`, ``},
		{`[scan("[a-z]"), scan("([a-z])([0-9])?")]`, `"a1b"`, `["a","b",["a","1"],["b",null]]`},
		{`explode, (explode | implode)`, `"aé𝒳"`, `[97,233,119987] "aé𝒳"`},
		{`implode`, `[97,-1,1114112,55296,4294967393]`, "\"a\ufffd\ufffd\ufffd\ufffd\""},
		{`trim, ltrim, rtrim, trimstr(" a"), utf8bytelength`, `" aé "`, `"aé" "aé " " aé" "é " 5`},
		{`tojson`, `{"b":[1.50,"\u00e9\/"],"a":{"d":1,"c":null},"a":{"z":-0}}`, `"{\"a\":{\"z\":-0},\"b\":[1.50,\"é/\"]}"`},
		{`tojson`, "\"a\x7f\"", `!"\"a\\u007f\""`},
		{`"\(.)", @json`, `{"b":1,"a":2}`, `"{\"a\":2,\"b\":1}" "{\"a\":2,\"b\":1}"`},
		{`sort, unique, min, max`, `[3,1.0,"a",null,1,"b",[2]]`, `[null,1.0,1,3,"a","b",[2]] [null,1.0,3,"a","b",[2]] null [2]`},
		{`[min, max] | tojson`, `[1.0,1,1.00]`, `"[1.0,1.00]"`},
		{`sort`, `[{"a":1},{"a":0}]`, `![{"a":0},{"a":1}]`},
		{`reverse`, `[1,2,[3]]`, `[[3],2,1]`},
		{`floor, ceil, round, sqrt, fabs, abs`, `-2.5`, `!-3 -2 -3 null 2.5 2.5`},
		{`floor, ceil, round, fabs, abs, trunc`, `-2.5`, `-3 -2 -3 2.5 2.5 -2`},
		{`[limit(2; .[])], first(.[]), isempty(.[]), isempty(empty)`, `[7,8,9]`, `[7,8] 7 false true`},
		{`[limit(1; .[] | error)]`, `[7]`, `!error: error: 7`},
		{`[limit(1; .[], -"a")], first(.[], -"a")`, `[7]`, `[7] 7`},
		{`reduce .[] as $x (0; . + $x), reduce .[] as $x (9; if $x > 1 then . + $x else empty end)`, `[1,2]`, `3 11`},
		{`[foreach .[] as $x (0; . + $x; [$x, .])]`, `[1,2]`, `[[1,1],[2,3]]`},
		{`[..], [paths]`, `{"b":[1],"a":{"c":2}}`, `[{"b":[1],"a":{"c":2}},{"c":2},2,[1],1] [["a"],["a","c"],["b"],["b",0]]`},
		// A float that is written like an integer stays one.
		{`[. * 1.0] | .[0] * 1001`, `4503599627370497`, `!4508103226997867500`},
		{`{x: (. * 1e17)} | .x + 1`, `1`, `!100000000000000000`},
		{`{} | .x = . | .x`, `1`, `{}`},
		{`. as $n | {} | .x = $n * 1e17 | .x + 1`, `1`, `!100000000000000000`},
		{`map_values(. * 1e17) | .a + 1`, `{"a":1}`, `!100000000000000000`},
		{`[. - .] | -.[0] | tostring`, `5`, `!"0"`},
		{`-. | tostring`, `0`, `!"-0"`},
		{`{x: (. * 1.5)}, [. * 1.5]`, `2`, `{"x":3} [3]`},
	} {
		h, err := newHarness(c.src)
		if err != nil {
			t.Errorf("%s: %v", c.src, err)
			continue
		}
		if !h.read(c.in) {
			t.Fatalf("%s is no event", c.in)
		}
		want, left := strings.CutPrefix(c.want, "!")
		if got := text(h.fast, h.a, &h.ev); got != want {
			t.Errorf("%s on %s\ngot  %s\nwant %s", c.src, c.in, got, want)
		}
		if diff := h.check(c.in); diff != "" {
			t.Errorf("%s on %s: %s", c.src, c.in, diff)
		}
		if (h.raw > 0) == left {
			t.Errorf("%s on %s: in the raw engine: %v", c.src, c.in, h.raw > 0)
		}
	}
}

func TestAppendString(t *testing.T) {
	for n := range 20 {
		for at := range n {
			for c := range 256 {
				b := []byte(strings.Repeat("x", n))
				b[at] = byte(c)
				if got, want := string(appendString([]byte("p"), string(b))), string(event.AppendString([]byte("p"), b)); got != want {
					t.Fatalf("%q: got %s, want %s", b, got, want)
				}
			}
		}
	}
}

// A machine serves event after event: nothing of one may show in the next, also
// after an error, an end forced from outside, and changing kinds of values.
func TestMachineReuse(t *testing.T) {
	for _, src := range []string{
		`. as {a: $x} | $x`, `def f: .a; [f, .b?]`, `.a | ascii_downcase | @html`, `if .a then error(.b) else [.b] | implode end`, `[$offset, $key, (.a | @uri)]`,
		`label $out | .[] | if . == 3 then break $out else tojson | @sh end`, `try error(.a) catch .`, `[.[] | objects | with_entries(.value |= @uri)]`,
		`.. |= (numbers |= . + 1)`, `limit(.a; repeat(1))`, `$event | getpath(["value", "a"])`, `to_entries | group_by(.value) | map(length)`,
	} {
		fields := new(event.Fields)
		p, err := compileSlowOnly(src, fields)
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		reader, same := event.NewReader(fields, event.Auto), NewRunner()
		for range 3 {
			for _, line := range []string{
				`{"a":1,"b":2}`, `{"a":null,"b":[1,{"c":3}]}`, `{"b":2}`, `{"value":{"a":3,"b":"x"},"key":"k","offset":7}`, `[1,2,3,4]`, `7`, `{"a":{"a":1},"b":{"b":{}}}`, `{"a":2,"b":[65,66],"c":3,"d":{"e":4}}`, `null`,
			} {
				var ev event.Event
				ev.Reset(fields.Len())
				if err := reader.Read([]byte(line), &ev); err != nil {
					t.Fatal(err)
				}
				same.Reset()
				if got, want := text(p, same, &ev), text(p, NewRunner(), &ev); got != want {
					t.Errorf("%s on %s: got %s, want %s", src, line, got, want)
				}
				if got, _ := p.Test(same, &ev); got {
					if ok, err := p.Test(NewRunner(), &ev); !ok || err != nil {
						t.Errorf("%s on %s: true by a machine that was used, else %v, %v", src, line, ok, err)
					}
				}
			}
		}
	}
}
