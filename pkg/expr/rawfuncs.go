package expr

import (
	"bytes"
	"regexp"
	"regexp/syntax"
	"unicode/utf8"

	"github.com/itchyny/gojq"

	"logtools/pkg/event"
)

// definition returns what a builtin without arguments stands for that jq defines
// in terms of others; "" if name is none.
func definition(name string) string {
	switch name {
	case "values":
		return "select(. != null)"
	case "nulls":
		return "select(. == null)"
	case "strings":
		return `select(type == "string")`
	case "numbers":
		return `select(type == "number")`
	case "booleans":
		return `select(type == "boolean")`
	case "arrays":
		return `select(type == "array")`
	case "objects":
		return `select(type == "object")`
	case "iterables":
		return `select(type | . == "array" or . == "object")`
	case "scalars":
		return `select(type | . != "array" and . != "object")`
	case "any":
		return "any(.[]; .)"
	case "all":
		return "all(.[]; .)"
	case "first":
		return ".[0]"
	case "last":
		return ".[-1]"
	case "abs":
		return "if . < 0 then -. else . end"
	}
	return ""
}

// call is a variable or a builtin function; the program has no functions of its
// own.
func (c *compiler) call(f *gojq.Func, root bool) *node {
	final := c.takeFinal()
	if f.Name[0] == '$' {
		return c.variable(f.Name)
	}
	switch len(f.Args) {
	case 0:
		if fn := unaryFunc(f.Name); fn != nil {
			return then(c.term(&gojq.Term{Type: gojq.TermTypeIdentity}, root), fn)
		}
		switch f.Name {
		case "empty":
			return singleNode(func(*Runner, event.Value) (event.Value, status) { return event.Value{}, sNone })
		case "not":
			t := truth(c.term(&gojq.Term{Type: gojq.TermTypeIdentity}, root))
			return condNode(func(r *Runner, in event.Value) status { return not(t(r, in)) })
		case "type":
			return c.typeOf(root)
		case "recurse":
			return recurse(c.term(&gojq.Term{Type: gojq.TermTypeIdentity}, root))
		case "paths":
			return paths(c.term(&gojq.Term{Type: gojq.TermTypeIdentity}, root))
		}
		if def := definition(f.Name); def != "" {
			if q, err := gojq.Parse(def); err == nil {
				return c.query(q, root)
			}
		}
	case 1:
		arg := f.Args[0]
		switch f.Name {
		case "select":
			return c.selectIf(c.scoped(arg, root), root)
		case "map":
			// [.[] | f]
			iter := &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity, SuffixList: []*gojq.Suffix{{Iter: true}}}}
			return c.array(&gojq.Array{Query: &gojq.Query{Left: iter, Op: gojq.OpPipe, Right: arg}}, root, final)
		case "map_values":
			return c.mapValues(arg, root, final)
		case "with_entries":
			return c.withEntries(arg, root)
		case "add":
			return then(c.array(&gojq.Array{Query: arg}, root, false), sum)
		case "del":
			return c.del(arg, root)
		case "first":
			return singleNode(c.firstOf(c.scoped(arg, root)))
		case "capture", "scan":
			return c.capture(f.Args, f.Name == "scan", root)
		case "isempty":
			return c.isEmpty(c.scoped(arg, root))
		case "any", "all":
			return c.quantify(f.Name == "any", iterate(c.term(&gojq.Term{Type: gojq.TermTypeIdentity}, root), false), arg)
		case "test":
			if re, ok := constString(arg); ok {
				return c.test(re, "", root)
			}
		case "has":
			if name, ok := constString(arg); ok && root {
				return c.hasMember(name)
			}
			return c.binary(c.term(&gojq.Term{Type: gojq.TermTypeIdentity}, root), c.scoped(arg, root), has)
		case "startswith", "endswith", "contains":
			if text, ok := constString(arg); ok {
				return c.matchText(f.Name, []byte(text), root)
			}
			fallthrough
		default:
			if op := binaryFunc(f.Name); op != nil {
				return c.binary(c.term(&gojq.Term{Type: gojq.TermTypeIdentity}, root), c.scoped(arg, root), op)
			}
		}
	case 2:
		switch f.Name {
		case "any", "all":
			return c.quantify(f.Name == "any", c.scoped(f.Args[0], root), f.Args[1])
		case "test":
			re, ok := constString(f.Args[0])
			flags, ok2 := constString(f.Args[1])
			if ok && ok2 {
				return c.test(re, flags, root)
			}
		case "sub", "gsub":
			return c.replace(f.Args, f.Name == "gsub", root)
		case "capture", "scan":
			return c.capture(f.Args, f.Name == "scan", root)
		case "limit":
			if n, ok := constInt(f.Args[0]); ok && n >= 0 {
				return c.limit(n, c.scoped(f.Args[1], root))
			}
		}
	case 3:
		if f.Name == "sub" || f.Name == "gsub" {
			return c.replace(f.Args, f.Name == "gsub", root)
		}
	}
	panic(unsupported{})
}

// scoped compiles an argument, whose variables end with it.
func (c *compiler) scoped(q *gojq.Query, root bool) *node {
	defer c.unbind(len(c.scope))
	return c.query(q, root)
}

func (c *compiler) variable(name string) *node {
	for i := len(c.scope) - 1; i >= 0; i-- {
		if b := c.scope[i]; b.name == name {
			return singleNode(func(r *Runner, _ event.Value) (event.Value, status) { return r.regs[b.reg], sOK })
		}
	}
	if name == varE {
		return rootNode(nil)
	}
	return singleNode(func(r *Runner, _ event.Value) (event.Value, status) { return r.envelope(r.ev, name), sOK })
}

func not(st status) status {
	switch st {
	case sTrue:
		return sFalse
	case sFalse:
		return sTrue
	}
	return st
}

func (c *compiler) selectIf(test *node, root bool) *node {
	if test.fn == nil {
		input := c.reg()
		return &node{multi: func(k cont) generator {
			g := each(test, func(r *Runner, v event.Value) status {
				if !v.Truthy() {
					return sOK
				}
				return k(r, r.regs[input])
			})
			return func(r *Runner, in event.Value) status {
				if root {
					in = r.ev.Value()
				}
				r.regs[input] = in
				return g(r, in)
			}
		}}
	}
	t := truth(test)
	gate := func(r *Runner, in event.Value) status {
		switch st := t(r, in); st {
		case sTrue:
			return sOK
		case sFalse:
			return sNone
		default:
			return st
		}
	}
	if root {
		return rootNode(gate)
	}
	return singleNode(func(r *Runner, in event.Value) (event.Value, status) { return in, gate(r, in) })
}

// quantify is any(source; arg) if exists, else all(source; arg): it stops at the first result that
// decides.
func (c *compiler) quantify(exists bool, source *node, arg *gojq.Query) *node {
	found := c.reg()
	test := c.scoped(arg, source.root)
	decides := func(r *Runner, v event.Value) status {
		if v.Truthy() == exists {
			r.regs[found].Kind = event.True
			return sStop
		}
		return sOK
	}
	var g generator
	if source.root {
		g = each(c.pipe(source, test), decides)
	} else {
		inner := each(test, decides)
		g = each(source, func(r *Runner, v event.Value) status { return inner(r, v) })
	}
	return condNode(func(r *Runner, in event.Value) status {
		r.regs[found].Kind = event.False
		switch st := g(r, in); {
		case st == sOK, st == sStop && r.regs[found].Kind == event.True:
			return truthy((st == sStop) == exists)
		default:
			return st
		}
	})
}

// test is a match with a regular expression that is written out.
func (c *compiler) test(re, flags string, root bool) *node {
	compiled, re := compileRegexp(re, flags)
	return c.match(matcher(compiled, re), sErr, root)
}

// matchText is startswith, endswith or contains with a text that is written out.
func (c *compiler) matchText(name string, text []byte, root bool) *node {
	switch name {
	case "startswith":
		return c.match(func(s []byte) bool { return bytes.HasPrefix(s, text) }, sErr, root)
	case "endswith":
		return c.match(func(s []byte) bool { return bytes.HasSuffix(s, text) }, sErr, root)
	}
	// Anything contains itself, or what is in it: that is gojq's.
	return c.match(func(s []byte) bool { return bytes.Contains(s, text) }, sBail, root)
}

// match is a condition on a string; other is what becomes of anything else.
func (c *compiler) match(match func([]byte) bool, other status, root bool) *node {
	in := c.term(&gojq.Term{Type: gojq.TermTypeIdentity}, root).fn
	return condNode(func(r *Runner, v event.Value) status {
		v, st := in(r, v)
		if st != sOK {
			return st
		}
		if v.Kind != event.String {
			return other
		}
		if v.Form != event.JSON {
			return truthy(match(v.B))
		}
		n := len(r.buf)
		found := match(v.Text(&r.buf))
		r.buf = r.buf[:n]
		return truthy(found)
	})
}

// matcher returns the fastest way to match: expressions that are nothing but
// text, perhaps anchored, need no regexp.
func matcher(compiled *regexp.Regexp, re string) func([]byte) bool {
	p, err := syntax.Parse(re, syntax.Perl)
	if err != nil {
		return compiled.Match
	}
	p = p.Simplify()
	subs := []*syntax.Regexp{p}
	if p.Op == syntax.OpConcat {
		subs = p.Sub
	}
	begin, end := false, false
	if len(subs) > 0 && subs[0].Op == syntax.OpBeginText {
		begin, subs = true, subs[1:]
	}
	if n := len(subs); n > 0 && subs[n-1].Op == syntax.OpEndText {
		end, subs = true, subs[:n-1]
	}
	if len(subs) != 1 || subs[0].Op != syntax.OpLiteral || subs[0].Flags&syntax.FoldCase != 0 {
		return compiled.Match
	}
	text := []byte(string(subs[0].Rune))
	switch {
	case begin && end:
		return func(s []byte) bool { return bytes.Equal(s, text) }
	case begin:
		return func(s []byte) bool { return bytes.HasPrefix(s, text) }
	case end:
		return func(s []byte) bool { return bytes.HasSuffix(s, text) }
	}
	return func(s []byte) bool { return bytes.Contains(s, text) }
}

func (c *compiler) typeOf(root bool) *node {
	var names [event.Object + 1]event.Value
	for k := range names {
		names[k] = event.PlainValue([]byte(event.Kind(k).String()))
	}
	if root {
		return singleNode(func(r *Runner, _ event.Value) (event.Value, status) {
			if r.ev.IsObject() {
				return names[event.Object], sOK
			}
			return names[r.ev.Value().Kind], sOK
		})
	}
	return singleNode(func(_ *Runner, in event.Value) (event.Value, status) { return names[in.Kind], sOK })
}

// unaryFunc returns a function of its input alone; nil if there is none of that
// name.
func unaryFunc(name string) single {
	switch name {
	case "length":
		return length
	case "tostring":
		return tostring
	case "tonumber":
		return tonumber
	case "ascii_downcase":
		return func(r *Runner, v event.Value) (event.Value, status) { return asciiCase(r, v, 'A') }
	case "ascii_upcase":
		return func(r *Runner, v event.Value) (event.Value, status) { return asciiCase(r, v, 'a') }
	}
	for _, table := range [...]func(string) single{wholeFunc, textFunc, mathFunc} {
		if fn := table(name); fn != nil {
			return fn
		}
	}
	return nil
}

func length(r *Runner, v event.Value) (event.Value, status) {
	switch v.Kind {
	case event.Missing, event.Null:
		return event.IntValue(0), sOK
	case event.String:
		n := len(r.buf)
		l := utf8.RuneCount(v.Text(&r.buf))
		r.buf = r.buf[:n]
		return event.IntValue(int64(l)), sOK
	case event.Array:
		return event.IntValue(int64(count(v))), sOK
	case event.Object:
		base, st := r.pushMembers(v)
		l := len(r.iter) - base
		r.iter = r.iter[:base]
		return event.IntValue(int64(l)), st
	case event.Number:
		switch v.Form {
		case event.JSON:
			if v.B[0] == '-' {
				v.B = v.B[1:]
			}
			return v, sOK
		case event.Int:
			if int64(v.N) < 0 {
				return negate(r, v)
			}
		case event.Float:
			v.N &^= 1 << 63
		}
		return v, sOK
	}
	return event.Value{}, sErr
}

func tostring(r *Runner, v event.Value) (event.Value, status) {
	switch v.Kind {
	case event.String:
		return v, sOK
	case event.Number:
		if v.Form == event.JSON {
			return event.PlainValue(v.B), sOK
		}
		n := len(r.buf)
		r.buf = v.AppendJSON(r.buf)
		return event.PlainValue(r.since(n)), sOK
	case event.Array, event.Object:
		return tojson(r, v)
	}
	n := len(r.buf)
	r.buf = v.AppendJSON(r.buf)
	return event.PlainValue(r.since(n)), sOK
}

// tonumber leaves everything but numbers as JSON writes them to gojq.
func tonumber(r *Runner, v event.Value) (event.Value, status) {
	if v.Kind == event.Number {
		return v, sOK
	}
	if v.Kind != event.String {
		return event.Value{}, sErr
	}
	if v.Form != event.Plain || !event.IsNumber(v.B) {
		return event.Value{}, sBail
	}
	return plain(event.Value{Kind: event.Number, B: v.B})
}

// asciiCase turns the letters from first ('A' or 'a') into the other case.
func asciiCase(r *Runner, v event.Value, first byte) (event.Value, status) {
	if v.Kind != event.String {
		return event.Value{}, sErr
	}
	text := v.Text(&r.buf)
	i := 0
	for i < len(text) && text[i]-first >= 26 {
		i++
	}
	if i == len(text) {
		return v, sOK
	}
	n := len(r.buf)
	r.buf = append(r.buf, text...)
	for b := r.buf[n+i:]; len(b) > 0; b = b[1:] {
		if b[0]-first < 26 {
			b[0] ^= 0x20
		}
	}
	return stringLike(v, r.since(n)), sOK
}

// binaryFunc returns a function of its input and one argument; nil if there is
// none of that name.
func binaryFunc(name string) func(r *Runner, v, arg event.Value) (event.Value, status) {
	switch name {
	case "startswith":
		return func(r *Runner, v, arg event.Value) (event.Value, status) {
			return onTexts(r, v, arg, bytes.HasPrefix)
		}
	case "endswith":
		return func(r *Runner, v, arg event.Value) (event.Value, status) {
			return onTexts(r, v, arg, bytes.HasSuffix)
		}
	case "contains":
		return func(r *Runner, v, arg event.Value) (event.Value, status) {
			if v.Kind != event.String || arg.Kind != event.String {
				return event.Value{}, sBail
			}
			return onTexts(r, v, arg, bytes.Contains)
		}
	case "split":
		return split
	case "join":
		return joinFunc
	case "trimstr":
		return func(r *Runner, v, arg event.Value) (event.Value, status) {
			v, st := trim(r, v, arg, bytes.CutPrefix)
			if st != sOK {
				return v, st
			}
			return trim(r, v, arg, bytes.CutSuffix)
		}
	case "ltrimstr":
		return func(r *Runner, v, arg event.Value) (event.Value, status) {
			return trim(r, v, arg, bytes.CutPrefix)
		}
	case "rtrimstr":
		return func(r *Runner, v, arg event.Value) (event.Value, status) {
			return trim(r, v, arg, bytes.CutSuffix)
		}
	}
	return nil
}

func onTexts(r *Runner, v, arg event.Value, f func(s, t []byte) bool) (event.Value, status) {
	if v.Kind != event.String || arg.Kind != event.String {
		return event.Value{}, sErr
	}
	n := len(r.buf)
	ok := f(v.Text(&r.buf), arg.Text(&r.buf))
	r.buf = r.buf[:n]
	return event.BoolValue(ok), sOK
}

func trim(r *Runner, v, arg event.Value, cut func(s, t []byte) ([]byte, bool)) (event.Value, status) {
	if v.Kind != event.String || arg.Kind != event.String {
		return event.Value{}, sErr
	}
	text, _ := cut(v.Text(&r.buf), arg.Text(&r.buf))
	return stringLike(v, text), sOK
}

func has(r *Runner, v, arg event.Value) (event.Value, status) {
	switch {
	case v.IsNull():
		return event.BoolValue(false), sOK
	case v.Kind == event.Object && arg.Kind == event.String:
		m, st := lookup(r, v, arg)
		return event.BoolValue(m.Kind != event.Missing), st
	case v.Kind == event.Array && arg.Kind == event.Number:
		i, ok := arg.Int()
		if !ok {
			return event.Value{}, sBail
		}
		return event.BoolValue(0 <= i && i < int64(count(v))), sOK
	}
	return event.Value{}, sErr
}

// hasMember is has(name) of the root.
func (c *compiler) hasMember(name string) *node {
	p := c.rootPath([]string{name})
	return condNode(func(r *Runner, _ event.Value) status {
		if r.ev.Slots[p.last].Kind != event.Missing {
			return sTrue
		}
		if st, _ := p.why(r); st != sOK {
			return st
		}
		return sFalse
	})
}
