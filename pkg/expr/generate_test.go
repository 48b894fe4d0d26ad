package expr

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// maker makes programs and inputs.
type maker struct{ *rand.Rand }

func pick[T any](g *maker, xs ...T) T { return xs[g.IntN(len(xs))] }

func (g *maker) program() string {
	if g.IntN(3) > 0 {
		return g.typed(pick(g, "num", "num", "str", "bool", "bool", "arr", "obj", "multi"), 1+g.IntN(3))
	}
	return g.expr(1 + g.IntN(4))
}

// typed makes an expression that mostly gives a result of the kind asked for and
// no error: of the members in lines n and m are mostly numbers, s and t strings,
// l an array of numbers, k one of strings, o an object like the whole.
func (g *maker) typed(kind string, depth int) string {
	d := depth - 1
	sub := func(kind string) string { return "(" + g.typed(kind, d) + ")" }
	if depth <= 0 {
		switch kind {
		case "num":
			return pick(g, ".n", ".m", ".n", ".o.n", ".l[0]", ".l[-1]", ".zz", "$offset", "0", "1", "-1", "2", "3", "10", "1.0", "0.5", "1e3", "1e308", "9223372036854775807", "9007199254740993")
		case "str":
			return pick(g, ".s", ".t", ".s", ".o.s", ".k[0]", `"a"`, `""`, `"é"`, `"ab"`, `"x\ty"`, "$log", "$time[:10]", `.s[1:]`, ".s[:-1]", ".t[-2:]", ".s[0]", ".s[-1]", ".s[1:3]")
		case "bool":
			return pick(g, "true", "false", "null", ".s", ".zz", "has(\"n\")", "has(\"zz\")", ".o.zz?", ".n")
		case "arr":
			return pick(g, ".l", ".k", "[]", "[1,2]", ".l[1:]", ".l[:-1]", ".k[-2:]", "[.n,.s]", "[.[]]", "[.o[]]")
		case "obj":
			return pick(g, ".", ".o", "{}", "{n}", "{n,s}", `{"é":.n, z:.s}`, "$event", "$headers", ".o.o", `{z:1,a:2}`)
		}
		return pick(g, ".l[]", ".k[]", ".[]", ".o[]", ".l[]?", ".n, .s", ".o[]?", ".zz?", "empty", ".n?", ".s[]?", "1, null, .n")
	}
	if g.IntN(12) == 0 {
		return "if " + g.typed("bool", d) + " then " + g.typed(kind, d) + " else " + g.typed(kind, d) + " end"
	}
	if g.IntN(16) == 0 {
		return sub(pick(g, kind, "bool")) + " // " + sub(kind)
	}
	if g.IntN(16) == 0 {
		return sub(pick(g, "num", "str", "multi", "obj")) + " as $x | " + g.typed(kind, d)
	}
	if g.IntN(3) == 0 {
		if s := g.whole(kind, d); s != "" {
			return s
		}
	}
	switch kind {
	case "num":
		switch g.IntN(9) {
		case 0, 1, 2, 3:
			return sub("num") + pick(g, "+", "-", "*", "/", "%") + sub("num")
		case 4:
			return sub(pick(g, "num", "str", "arr", "obj", "num")) + "|length"
		case 5:
			return "-" + sub("num")
		case 6:
			return sub("num") + "|tostring|tonumber"
		case 7:
			return sub("arr") + pick(g, "[0]", "[-1]", "[2]", "|first", "|last", "[.n]?")
		}
		return sub("obj") + pick(g, ".n", ".m", ".o.n?", "|.n")
	case "str":
		switch g.IntN(9) {
		case 0, 1:
			return sub("str") + "+" + sub("str")
		case 2:
			return sub(pick(g, "num", "num", "bool", "str")) + "|tostring"
		case 3, 4:
			return `"x\(` + g.typed(pick(g, "num", "str", "bool", "multi"), d) + `)` + pick(g, "", "é", `\\`) + `\(` + g.typed(pick(g, "num", "str"), d) + `)"`
		case 5:
			return sub("str") + pick(g, "[1:]", "[:1]", "[-1:]", "[:-1]", "[0]", "[-1]", "[1]", "[1:2]", "[-2:-1]", "[3:1]")
		case 6:
			return sub("str") + "|" + pick(g, "ascii_downcase", "ascii_upcase", `ltrimstr("a")`, `rtrimstr("b")`)
		case 7:
			return sub("multi") + "|type"
		}
		return sub("obj") + pick(g, ".s", ".t", ".o.s?")
	case "bool":
		switch g.IntN(9) {
		case 0, 1, 2:
			k := pick(g, "num", "num", "str", "arr", "bool", "multi")
			return sub(k) + pick(g, "==", "!=", "<", "<=", ">", ">=") + sub(pick(g, k, k, k, "num", "str"))
		case 3, 4:
			return sub(pick(g, "bool", "bool", "multi")) + pick(g, " and ", " or ") + sub(pick(g, "bool", "bool", "multi"))
		case 5:
			return sub("bool") + "|not"
		case 6:
			return sub("str") + "|" + pick(g, "startswith", "endswith", "contains") + "(" + g.typed("str", d) + ")"
		case 7:
			return sub("str") + "|test(" + pick(g, `"a"`, `"^a"`, `"b$"`, `"^ab?$"`, `"[a-z]+é"`, `"A";"i"`, `"^a.b$";"m"`, `"(a|b)"`, `"^a$";"gi"`, `"\\d"`) + ")"
		}
		return pick(g, sub("arr")+"|any(.>1)", sub("arr")+"|all(.!=null)", "any("+g.typed("multi", d)+";.==1)", "all("+g.typed("multi", d)+";.!=2)", sub("arr")+"|any", sub("arr")+"|has(1)", sub("obj")+`|has("n")`)
	case "arr":
		switch g.IntN(6) {
		case 0:
			return "[" + g.typed("multi", d) + "]"
		case 1:
			return sub("arr") + "+" + sub("arr")
		case 2:
			return sub("arr") + pick(g, "[1:]", "[:-1]", "[-1:]", "[1:2]")
		case 3:
			return sub("arr") + "|map(" + pick(g, ".", "select(.!=null)", "type", "tostring", "[.]", "{a:.}", ".+1?", "(.+1)?", "numbers", "strings") + ")"
		case 4:
			return "[" + g.typed("multi", d) + "|" + pick(g, ".n?", ".[0]?", "numbers|.+1", "select(type==\"number\")", "(.,1)", "length?", "(.n?,.s?)", "[.]") + "]"
		}
		return "[" + g.typed("num", d) + "," + g.typed("str", d) + "]"
	case "obj":
		switch g.IntN(5) {
		case 0, 1:
			return "{z:" + sub(pick(g, "num", "str", "multi", "arr")) + ",a:" + sub(pick(g, "num", "bool", "multi")) + ",s}"
		case 2:
			return "{(" + g.typed("str", d) + "):" + sub("num") + pick(g, "", ",n:"+sub("multi"), `,"\(.s)":1`, `,(`+g.typed("multi", d)+`|tostring):.t`) + "}"
		case 3:
			return sub("obj") + "+" + sub("obj")
		}
		return sub("obj") + "|select(" + g.typed("bool", d) + ")"
	}
	switch g.IntN(7) {
	case 0:
		return sub("multi") + "," + sub(pick(g, "num", "multi", "str"))
	case 1:
		return sub("arr") + "[]"
	case 2:
		return sub("multi") + "|select(" + pick(g, ".>1", ".!=null", "type==\"string\"", ".==.") + ")"
	case 3:
		return "(" + g.typed("multi", d) + "|" + pick(g, ".n", ".[0]", ".+1", "length", ".[]", "-.", "tonumber", ".[]?|.n") + ")?"
	case 4:
		return sub("multi") + pick(g, "+", "*", "-", "==") + sub("multi")
	case 5:
		return sub("obj") + pick(g, "[]", "[]?", "|.[]|numbers", ".n?")
	}
	return "select(" + g.typed("bool", d) + ")|" + g.typed(pick(g, "num", "str", "multi"), d)
}

// regexps with what may replace their matches.
func (g *maker) replacement() string {
	return pick(g, `"a"`, `"/"`, `"^a"`, `"b$"`, `"[ab]"`, `"(?<x>a)b?"`, `"."`, `"a+"`, `"é"`, `"A|b"`, `"x*"`, `"\\b"`, `"\\bA"`, `"^."`, `"\\d{2}"`, `""`) + ";" +
		pick(g, `""`, `"-"`, `"aa"`, `"é"`, `"\"\\n"`, `.`, `"<\(.x)>"`) + pick(g, "", "", `;""`, `;"g"`, `;"i"`, `;"gim"`, `;"x"`, ";null")
}

// target is the left side of an assignment, or what del deletes.
func (g *maker) target() string {
	return pick(g, ".n", ".s", ".l", ".o", ".zz", ".zz.y", ".o.n", ".o.zz", ".o.o.s", `.["n"]`, `."é"`, ".n", ".s", "(.n)", ".n.x", ".", ".l[0]", ".[]", ".o.zz.y")
}

// whole makes an expression over whole arrays and objects, or one with the less
// common functions of strings and numbers.
func (g *maker) whole(kind string, d int) string {
	sub := func(kind string) string { return "(" + g.typed(kind, d) + ")" }
	switch kind {
	case "num":
		return pick(g,
			sub("arr")+"|add",
			sub("arr")+"|map(numbers)|"+pick(g, "add", "min", "max", "sort|.[0]?", "unique|length"),
			"add("+g.typed("multi", d)+")",
			sub("num")+"|"+pick(g, "floor", "ceil", "round", "trunc", "fabs", "abs", "sqrt", "log", "exp"),
			"reduce "+sub("multi")+" as $x ("+g.typed("num", d)+"; "+pick(g, ". + 1", ".+$x", "if $x then .+1 else empty end", "$x", "[.,$x]|length", ".*2")+")",
			sub("str")+"|utf8bytelength",
			sub("obj")+"|keys|length",
			"first("+g.typed("multi", d)+")",
			"["+g.typed("num", d)+"]|"+pick(g, "-.[0]", ".[0]+.[0]", ".[0]*.[0]*.[0]", ".[0]%7", ".[0]/2", "map(-.)[0]"),
			"{n:"+sub("num")+"}|"+pick(g, "-.n", ".n*1001", ".n+=.n|.n", ".n|=.*.|.n+1", "map_values(.+1).n*3", ".z=.n|-.z"),
		)
	case "str":
		return pick(g,
			sub("str")+"|"+pick(g, "sub", "gsub")+"("+g.replacement()+")",
			sub("str")+"|"+pick(g, "sub", "gsub")+"("+g.replacement()+")",
			sub("arr")+"|join("+pick(g, `","`, `""`, `"é"`, `"\""`, g.typed("str", d), "null")+")",
			sub(pick(g, "num", "str", "arr", "obj", "bool"))+"|"+pick(g, "tojson", "tostring", "@json", `"\(.)"`),
			sub("str")+"|"+pick(g, "ltrim", "rtrim", "trim", "explode|implode", `trimstr("a")`, `ltrimstr("ab")`),
			sub("arr")+"|add",
			sub("arr")+"|implode?",
			"-"+sub("num")+"|tostring",
		)
	case "arr":
		return pick(g,
			sub("str")+pick(g, `|split("a")`, `|split("/")`, `/"a"`, `|split("")`, `|split("é")`, "|split("+g.typed("str", d)+")"),
			sub("obj")+"|keys",
			sub("arr")+"|"+pick(g, "keys", "sort", "unique", "reverse", "map_values(.+1?)", "map_values(empty)", "map_values(.,1)", "map_values(select(.))"),
			sub("obj")+"|to_entries",
			sub("str")+"|explode",
			"[limit("+pick(g, "0", "1", "2", "5", "-1")+";"+g.typed("multi", d)+")]",
			"[limit("+pick(g, "1", "2")+";"+g.typed("multi", d)+"|(.,.))]",
			sub("obj")+"|[.[]]|sort",
			"["+sub(pick(g, "arr", "obj"))+"|"+pick(g, "..", "paths", "recurse", "..|numbers", "..|.n?", ".. as $x|[$x]", "paths|length")+"]",
			"["+sub("str")+"|"+pick(g, "scan", "capture")+"("+pick(g, `"a"`, `"[a-z]"`, `"(?<x>a)(b)?"`, `"(.)(x)?"`, `"(?<y>.)(?<x>b?)"`, `"x*"`, `"^."`, `"(?<x>A)";"gi"`, `"(?<x>.)";"g"`)+")]",
			"[foreach "+sub("multi")+" as $x ("+g.typed("num", d)+"; "+pick(g, ".+1", "$x", "if $x then .+1 else empty end", ".+$x?", ".,.")+pick(g, "", "; .*2", "; [.,$x]", ";.,$x", ";empty")+")]",
		)
	case "bool":
		return pick(g, "isempty("+g.typed("multi", d)+")", "first("+g.typed("multi", d)+")", sub("obj")+"|keys|contains(["+`"n"`+"])")
	case "obj":
		return pick(g,
			sub("obj")+"|del("+g.target()+pick(g, "", ","+g.target(), ","+g.target()+","+g.target())+")",
			sub("obj")+"|del("+g.target()+")",
			sub("obj")+"|"+g.target()+pick(g, "=", "|=", "+=", "-=", "*=", "/=", "%=", "//=")+sub(pick(g, "num", "str", "multi", "bool")),
			g.target()+pick(g, "=", "|=", "+=", "-=", "*=", "/=", "%=", "//=")+sub(pick(g, "num", "str", "num", "multi")),
			g.target()+"|="+pick(g, "empty", ".+1", "(.,1)", "length", "tostring", "select(.)", "1.0", ".*1.5", "-."),
			sub("obj")+"|with_entries("+pick(g, "select(.value)", `.key|=.+"x"`, ".value|=tostring", `select(.key!="n")`, ".", "empty", `.key="a"`, ".value=.key", ".,.", ".value*=1.5", "{name:.key,Value:.value}", `{key:null}`)+")",
			sub("obj")+"|map_values("+pick(g, ".", "tostring", "empty", ".+1?", "numbers", "(.,.)", "1.0", "length?", "-.?")+")",
			sub("obj")+"|to_entries|from_entries",
			sub("arr")+"|map({key:tostring,value:.})|from_entries",
		)
	}
	return pick(g, "..", "paths", sub("str")+`|scan(".")`, "limit("+pick(g, "1", "2", "3")+";"+g.typed("multi", d)+")", sub("arr")+"|.[]|tostring", sub("obj")+"|to_entries[]", sub("obj")+"|keys[]", "")
}

var someNumbers = []string{"0", "1", "2", "-1", "3", "7", "-7", "200", "404", "500", "1.0", "0.5", "-2.5", "1e0", "1E2", "-0", "-0.0", "0.1", "0.2", "1e400", "-1e400", "1e-400", "1.50", "9007199254740993", "9007199254740992", "9007199254740993.0",
	"9223372036854775807", "9223372036854775806", "4611686018427387904", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "123456789012345678901234567890", "12345678.901234567890123", "1e21", "1e-7", "2147483648", "1.7976931348623157e308", "5e-324"}

var someStrings = []string{`""`, `"a"`, `"b"`, `"ab"`, `"AbC"`, `"é"`, `"\u00e9"`, `"\u0061"`, `"\u0061b"`, `"a\nb"`, `"\ud834\udd1e"`, `"\ud834"`, `"\udd1e\ud834"`, `"𝒳y"`, `"1"`, `"-1.50"`, `"007"`, `"1e5"`, `"nan"`, `" 1"`, `"\u0000"`, `"\\"`, `"a/b\/c"`, `"日本語テキスト"`, "\"\x7f\"", `"\u2028"`, `"12345678901234567890"`, `"-0"`, `"0x1"`, `".5"`, `"1."`}

// typedObject makes an object for typed programs.
func (g *maker) typedObject(b *strings.Builder, depth int) {
	b.WriteByte('{')
	first := true
	put := func(name string, kind int) {
		if g.IntN(8) == 0 {
			return
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		if g.IntN(10) == 0 {
			fmt.Fprintf(b, `"\u%04x":`, name[0])
		} else {
			b.WriteString(`"` + name + `":`)
		}
		g.space(b)
		if g.IntN(12) == 0 {
			g.value(b, 1)
			return
		}
		list := func(from []string) {
			b.WriteByte('[')
			for i := range g.IntN(4) {
				if i > 0 {
					b.WriteByte(',')
				}
				g.space(b)
				if g.IntN(8) == 0 {
					b.WriteString(pick(g, "null", "[1]", `{"n":1}`, "false"))
				} else {
					b.WriteString(pick(g, from...))
				}
			}
			b.WriteByte(']')
		}
		switch kind {
		case 0:
			b.WriteString(pick(g, someNumbers...))
		case 1:
			b.WriteString(pick(g, someStrings...))
		case 2:
			list(someNumbers)
		case 3:
			list(someStrings)
		default:
			g.typedObject(b, depth-1)
		}
	}
	for range 1 + g.IntN(2)*g.IntN(2) {
		put("n", 0)
		put("s", 1)
		put("l", 2)
		put("m", 0)
		put("t", 1)
		put("k", 3)
		if depth > 0 {
			put("o", 4)
		}
	}
	b.WriteByte('}')
}

var memberNames = []string{"a", "b", "c", "a b", "é", "x\ty", "key", "value"}

func (g *maker) name() string { return memberNames[g.IntN(len(memberNames))] }

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\t", `\t`).Replace(s) + `"`
}

func (g *maker) path() string {
	var b strings.Builder
	b.WriteString(pick(g, ".a", ".b", ".c", `."a b"`, `.["é"]`, `.["x\ty"]`, ".a.b", ".a.b.c", ".b.a", "."))
	for range g.IntN(3) {
		b.WriteString(g.suffix(b.Len() == 1))
	}
	return b.String()
}

func (g *maker) suffix(first bool) string {
	s := pick(g, ".a", ".b", `["a"]`, "[0]", "[1]", "[-1]", "[-2]", "[]", "?", "[:2]", "[1:]", "[-2:]", "[1:3]", "[:-1]", "[-3:-1]", "[2:1]", "[0:0]", "[]?", "[0]?")
	if first && s == "?" {
		return ""
	}
	if first && strings.HasPrefix(s, ".") {
		return s[1:]
	}
	return s
}

func (g *maker) literal() string {
	return pick(g, "null", "true", "false", "0", "1", "2", "-1", "10", "200", "1.0", "0.5", "-0", "-0.0", "1e3", "1e-7", "0.1", "0.2", "9007199254740993", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "1e400",
		`""`, `"a"`, `"b"`, `"ab"`, `"é"`, `"A"`, `"1"`, `"a\nb"`, `"\u0000"`, `"𝒳y"`, "[]", "{}", "[1]", `["a"]`, `[1,[2]]`, `{"a":1}`)
}

func (g *maker) small(depth int) string {
	if depth <= 0 {
		return pick(g, g.path(), g.path(), g.literal())
	}
	return g.expr(depth - 1)
}

func (g *maker) operand(depth int) string {
	s := g.small(depth)
	if strings.ContainsAny(s, " ,|") {
		return "(" + s + ")"
	}
	return s
}

func (g *maker) expr(depth int) string {
	if depth <= 0 {
		return g.small(0)
	}
	d := depth - 1
	if g.IntN(4) == 0 {
		return g.wild(d)
	}
	switch g.IntN(36) {
	case 0, 1, 2:
		return g.path()
	case 3, 4, 5, 6:
		return g.operand(d) + pick(g, " == ", " != ", " < ", " <= ", " > ", " >= ") + g.operand(d)
	case 7, 8:
		return g.operand(d) + pick(g, " and ", " or ") + g.operand(d)
	case 9, 10, 11:
		return g.operand(d) + pick(g, " + ", " - ", " * ", " / ", " % ") + g.operand(d)
	case 12:
		return g.operand(d) + " // " + g.operand(d)
	case 13, 14, 15:
		return g.small(d) + " | " + g.small(d)
	case 16:
		return g.small(d) + ", " + g.small(d)
	case 17, 18:
		return "select(" + g.small(d) + ")"
	case 19:
		if g.IntN(3) == 0 {
			return "if " + g.small(d) + " then " + g.small(d) + " end"
		}
		if g.IntN(3) == 0 {
			return "if " + g.small(d) + " then " + g.small(d) + " elif " + g.small(d) + " then " + g.small(d) + " else " + g.small(d) + " end"
		}
		return "if " + g.small(d) + " then " + g.small(d) + " else " + g.small(d) + " end"
	case 20, 21, 22:
		return g.object(d)
	case 23:
		return "[" + g.small(d) + "]"
	case 24, 25, 26:
		return g.operand(d) + " | " + pick(g, "length", "type", "tostring", "tonumber", "ascii_downcase", "ascii_upcase", "not", "values", "strings", "numbers", "first", "any", "all", "arrays", "scalars")
	case 27, 28:
		arg := g.small(d)
		if g.IntN(2) == 0 {
			arg = quote(pick(g, "", "a", "b", "é", "1", "A"))
		}
		return g.operand(d) + " | " + pick(g, "startswith", "endswith", "contains", "has", "ltrimstr", "rtrimstr") + "(" + arg + ")"
	case 29:
		return g.operand(d) + " | test(" + pick(g, `"a"`, `"^a"`, `"b$"`, `"^$"`, `"[ab]+"`, `"A"; "i"`, `"a.b"; "m"`, `"."`, `"("`, `"é|1"`, `"a"; "x"`) + ")"
	case 30:
		return `"` + pick(g, "", "x", "é", `\n`) + `\(` + g.small(d) + ")" + pick(g, "", "-", `\"`) + pick(g, "", `\(`+g.small(d)+")") + `"`
	case 31:
		return pick(g, ".a", ".b[]", ".c?", "("+g.small(d)+")") + pick(g, "?", "[]", "[]?", ".a", ".a?", "[0]", "[1:]", "[.a]", "[.b]")
	case 32:
		return pick(g, "map(", "any(", "all(") + g.small(d) + ")"
	case 33:
		return g.operand(d) + " as $x | " + pick(g, "$x", "$x, .a", "[$x, .b]", "$x == .a", "select(.a == $x)", "{a: $x}", "."+"")
	case 34:
		return pick(g, "-(", "+(", "try (", "(") + g.small(d) + ")"
	default:
		return pick(g, "$key", "$time", "$offset", "$partition", "$log", "$headers", "$headers.a", "$event", "$event.value.a", "empty", "$key.a", "error", "keys", "tojson", "[.[]]", ". + {a: 1}", ".a as [$x] | $x", "[limit(2; .[])]", "any(.[]; . == 1)", "all(.b[]; . != null)", "first(.a)", "to_entries", "def f: .a; f", ".a = 1", "del(.a)", "path(.a)", "reduce .[] as $x (0; . + 1)")
	}
}

// wild applies what whole makes to anything.
func (g *maker) wild(d int) string {
	at := pick(g, ".a", ".b", ".c", ".a.b", `."a b"`, `.["x\ty"]`, ".b.a.c", `."é"`, ".", ".a[0]", ".a?", "(.a,.b)")
	switch g.IntN(6) {
	case 0:
		return "del(" + at + pick(g, "", ", .b", ", .a.b", ", .c.a, .a") + ")"
	case 1, 2:
		return at + pick(g, " = ", " |= ", " += ", " -= ", " *= ", " /= ", " %= ", " //= ") + g.operand(d)
	case 3:
		return g.operand(d) + " | " + pick(g, "keys", "to_entries", "from_entries", "add", "tojson", "sort", "unique", "min", "max", "reverse", "floor", "abs", "explode", "implode", "trim", "utf8bytelength", "@json", "with_entries(.)", "map_values(.)", `join(",")`, `split("a")`, `split("")`, "isempty(.[])", "first(.[])", "[limit(2; .[])]", `sub("a"; "b")`, `gsub("[ab]"; "")`, "with_entries(.value |= tojson)", "map_values(empty)", "add(.[])", "ltrim", "rtrim", `trimstr("a")`)
	case 4:
		return "reduce " + pick(g, ".[]", ".a[]", "(.a, .b)", "("+g.small(d)+")") + " as $x (" + pick(g, "0", "null", ".", "[]", `""`) + "; " + pick(g, ". + $x", "$x", ". + 1", "empty", ".a = $x", ". + [$x]", "[., $x]", ".") + ")"
	}
	if g.IntN(3) == 0 {
		return g.operand(d) + " | " + pick(g, "..", "paths", "[..]", "[paths]", "..|.a?", "..|numbers", "[..|scalars]", "recurse", `scan("a")`, `capture("(?<a>.)")`, `gsub("(?<a>.)";"\(.a)\(.a)")`, `gsub("(?<a>.)(?<b>z)?";.a+.b)`, `[foreach .[] as $x (0;.+1)]`, `foreach .[] as $x (null;$x;[.])`)
	}
	return pick(g, "with_entries(", "map_values(", "first(", "isempty(", "add(", "limit(2; ") + g.small(d) + ")"
}

func (g *maker) object(d int) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range 1 + g.IntN(3) {
		if i > 0 {
			b.WriteString(", ")
		}
		val := g.operand(d)
		switch g.IntN(9) {
		case 0:
			b.WriteString(pick(g, "a", "b", "c"))
		case 1:
			b.WriteString("$key")
		case 2:
			fmt.Fprintf(&b, "(%s): %s", g.small(d), val)
		case 3:
			fmt.Fprintf(&b, `"x\(%s)": %s`, g.small(d), val)
		case 4:
			fmt.Fprintf(&b, `"\(%s)"`, g.small(d))
		case 5:
			fmt.Fprintf(&b, "%s: %s", quote(g.name()), val)
		default:
			fmt.Fprintf(&b, "%s: %s", pick(g, "a", "b", "c", "d", "if", "z"), val)
		}
	}
	b.WriteByte('}')
	return b.String()
}

// line makes an event or a bare value.
func (g *maker) line() string {
	var b strings.Builder
	if g.IntN(4) == 0 {
		b.WriteString(`{"value":`)
		if g.IntN(4) > 0 {
			g.typedObject(&b, 2)
		} else {
			g.value(&b, 3)
		}
		for _, m := range []string{`"key":"k"`, `"key":{"a":1}`, `"time":"2024-02-03T04:05:06Z"`, `"offset":12`, `"partition":0`, `"log":"x"`, `"headers":{"a":"b","c":["d","e"]}`} {
			if g.IntN(3) == 0 {
				b.WriteString("," + m)
			}
		}
		b.WriteByte('}')
		return b.String()
	}
	if g.IntN(4) > 0 {
		g.typedObject(&b, 2)
		return b.String()
	}
	if g.IntN(6) == 0 {
		g.value(&b, 2)
	} else {
		g.objectText(&b, 3)
	}
	return b.String()
}

func (g *maker) space(b *strings.Builder) {
	if g.IntN(8) == 0 {
		b.WriteString(pick(g, " ", "  ", "\t"))
	}
}

func (g *maker) objectText(b *strings.Builder, depth int) {
	b.WriteByte('{')
	for i := range g.IntN(6) {
		if i > 0 {
			b.WriteByte(',')
		}
		g.space(b)
		b.WriteString(pick(g, `"a"`, `"a"`, `"b"`, `"b"`, `"c"`, `"a b"`, `"é"`, `"\u00e9"`, `"\u0061"`, `"x\ty"`, `"x\u0009y"`, `""`, `"z"`, `"value"`))
		g.space(b)
		b.WriteByte(':')
		g.space(b)
		g.value(b, depth-1)
		g.space(b)
	}
	b.WriteByte('}')
}

func (g *maker) value(b *strings.Builder, depth int) {
	n := 20
	if depth <= 0 {
		n = 14
	}
	switch k := g.IntN(n); {
	case k < 6:
		b.WriteString(pick(g, someNumbers...))
	case k < 11:
		b.WriteString(pick(g, someStrings...))
	case k == 11:
		b.WriteString("null")
	case k < 14:
		b.WriteString(pick(g, "true", "false"))
	case k < 17:
		b.WriteByte('[')
		for i := range g.IntN(4) {
			if i > 0 {
				b.WriteByte(',')
			}
			g.space(b)
			g.value(b, depth-1)
			g.space(b)
		}
		b.WriteByte(']')
	default:
		g.objectText(b, depth)
	}
}
