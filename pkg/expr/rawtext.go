package expr

import (
	"bytes"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/itchyny/gojq"

	"logtools/pkg/event"
)

// compileRegexp compiles a regular expression that is written out, with its
// flags.
func compileRegexp(re, flags string) (*regexp.Regexp, string) {
	if strings.Trim(flags, "gim") != "" {
		panic(unsupported{})
	}
	if strings.Contains(flags, "i") {
		re = "(?i)" + re
	}
	if strings.Contains(flags, "m") {
		re = "(?s)" + re
	}
	compiled, err := regexp.Compile(re)
	if err != nil {
		panic(unsupported{}) // an error, but only of the events that get there
	}
	return compiled, re
}

// pattern is a regular expression that is written out.
type pattern struct {
	re    *regexp.Regexp
	names []string // of its groups
	text  []byte   // not nil: it is nothing but this text
	all   bool     // every match counts, not only the first
}

// pattern compiles the expression and the flags that args are. With all, what
// can match an empty text is left to gojq: where that matches is a matter of
// opinion.
func (c *compiler) pattern(re string, flags []*gojq.Query, all bool) *pattern {
	opts := ""
	for _, q := range flags {
		var ok bool
		if opts, ok = constString(q); !ok {
			panic(unsupported{})
		}
	}
	compiled, source := compileRegexp(re, opts)
	p := &pattern{re: compiled, names: compiled.SubexpNames(), all: all || strings.Contains(opts, "g")}
	parsed, err := syntax.Parse(source, syntax.Perl)
	if err != nil || p.all && matchesEmpty(parsed) {
		panic(unsupported{})
	}
	if parsed.Op == syntax.OpLiteral && parsed.Flags&syntax.FoldCase == 0 {
		p.text = []byte(string(parsed.Rune))
	}
	return p
}

// matches returns where the matches and their groups lie.
func (p *pattern) matches(text []byte) [][]int {
	if p.all {
		return p.re.FindAllSubmatchIndex(text, -1)
	}
	if at := p.re.FindSubmatchIndex(text); at != nil {
		return [][]int{at}
	}
	return nil
}

// group returns the text of v's group i, null if it took no part in the match.
func (p *pattern) group(v event.Value, text []byte, at []int, i int) event.Value {
	if at[2*i] < 0 {
		return event.Value{Kind: event.Null}
	}
	return stringLike(v, text[at[2*i]:at[2*i+1]])
}

// captures returns the object of the named groups.
func (p *pattern) captures(r *Runner, v event.Value, text []byte, at []int) event.Value {
	n := len(r.buf)
	r.buf = append(r.buf, '{')
	for i, name := range p.names {
		if name != "" { // a word: it needs no escapes
			r.appendMember(n, event.PlainValue([]byte(name)), p.group(v, text, at, i))
		}
	}
	r.buf = append(r.buf, '}')
	return event.Value{Kind: event.Object, B: r.since(n)}
}

// replace is sub or (all) gsub.
func (c *compiler) replace(args []*gojq.Query, all, root bool) *node {
	re, ok := constString(args[0])
	if !ok {
		panic(unsupported{})
	}
	p := c.pattern(re, args[2:], all)
	input := c.term(&gojq.Term{Type: gojq.TermTypeIdentity}, root)
	if with, ok := constString(args[1]); ok {
		return then(input, p.replacer(textConst(with)))
	}
	with := c.scoped(args[1], false)
	if with.fn == nil {
		panic(unsupported{})
	}
	return then(input, p.rewriter(with.fn))
}

// replacer replaces matches by a text.
func (p *pattern) replacer(with event.Value) single {
	return func(r *Runner, v event.Value) (event.Value, status) {
		if v.Kind != event.String {
			return event.Value{}, sErr
		}
		text := v.Text(&r.buf)
		n, from := len(r.buf), 0
		switch {
		case p.text != nil:
			for i := bytes.Index(text, p.text); i >= 0; i = bytes.Index(text[from:], p.text) {
				r.buf = append(r.buf, text[from:from+i]...)
				r.buf = append(r.buf, with.B...)
				if from += i + len(p.text); !p.all {
					break
				}
			}
		case p.all:
			// The text before a match counts for \b and ^: the search cannot
			// begin anew behind each.
			for _, at := range p.re.FindAllIndex(text, -1) {
				r.buf = append(r.buf, text[from:at[0]]...)
				r.buf = append(r.buf, with.B...)
				from = at[1]
			}
		default:
			if at := p.re.FindIndex(text); at != nil {
				r.buf = append(r.buf, text[:at[0]]...)
				r.buf = append(r.buf, with.B...)
				from = at[1]
			}
		}
		if len(r.buf) == n && from == 0 {
			return v, sOK // no match
		}
		r.buf = append(r.buf, text[from:]...)
		if v.Form == event.Plain && with.Form == event.Plain {
			return event.PlainValue(r.since(n)), sOK
		}
		return event.TextValue(r.since(n)), sOK
	}
}

// rewriter replaces matches by what with makes of their captures. Anything but
// one string is left to gojq.
func (p *pattern) rewriter(with single) single {
	return func(r *Runner, v event.Value) (event.Value, status) {
		if v.Kind != event.String {
			return event.Value{}, sErr
		}
		text := v.Text(&r.buf)
		found := p.matches(text)
		if len(found) == 0 {
			return v, sOK
		}
		// All replacements first: they use the memory that the result is
		// written to.
		tmp := len(r.tmp)
		defer func() { r.tmp = r.tmp[:tmp] }()
		for _, at := range found {
			w, st := with(r, p.captures(r, v, text, at))
			if st == sNone || st == sOK && w.Kind != event.String || !r.step() {
				st = sBail
			}
			if st != sOK {
				return event.Value{}, st
			}
			r.tmp = append(r.tmp, w)
		}
		n, from, plain := len(r.buf), 0, v.Form == event.Plain
		for i, w := range r.tmp[tmp:] {
			r.buf = append(r.buf, text[from:found[i][0]]...)
			r.buf = w.AppendText(r.buf)
			plain = plain && w.Form == event.Plain
			from = found[i][1]
		}
		r.buf = append(r.buf, text[from:]...)
		if plain {
			return event.PlainValue(r.since(n)), sOK
		}
		return event.TextValue(r.since(n)), sOK
	}
}

// capture is capture or scan: the captures of each match, or its text, or
// (if there are groups) an array of theirs.
func (c *compiler) capture(args []*gojq.Query, scan, root bool) *node {
	re, ok := constString(args[0])
	if !ok {
		panic(unsupported{})
	}
	p := c.pattern(re, args[1:], scan)
	result := func(r *Runner, v event.Value, text []byte, at []int) event.Value {
		switch {
		case !scan:
			return p.captures(r, v, text, at)
		case len(p.names) == 1:
			return p.group(v, text, at, 0)
		}
		n := len(r.buf)
		r.buf = append(r.buf, '[')
		for i := 1; i < len(p.names); i++ {
			if i > 1 {
				r.buf = append(r.buf, ',')
			}
			r.buf = p.group(v, text, at, i).AppendJSON(r.buf)
		}
		r.buf = append(r.buf, ']')
		return event.Value{Kind: event.Array, B: r.since(n)}
	}
	input := c.term(&gojq.Term{Type: gojq.TermTypeIdentity}, root)
	if !p.all {
		return then(input, func(r *Runner, v event.Value) (event.Value, status) {
			if v.Kind != event.String {
				return event.Value{}, sErr
			}
			text := v.Text(&r.buf)
			at := p.re.FindSubmatchIndex(text)
			if at == nil {
				return event.Value{}, sNone
			}
			return result(r, v, text, at), sOK
		})
	}
	return &node{multi: func(k cont) generator {
		return each(input, func(r *Runner, v event.Value) status {
			if v.Kind != event.String {
				return sErr
			}
			text := v.Text(&r.buf)
			for _, at := range p.matches(text) {
				if !r.step() {
					return sBail
				}
				if st := k(r, result(r, v, text, at)); st != sOK {
					return st
				}
			}
			return sOK
		})
	}}
}

// matchesEmpty says whether re may match an empty text somewhere.
func matchesEmpty(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune) == 0
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL, syntax.OpNoMatch:
		return false
	case syntax.OpCapture, syntax.OpPlus:
		return matchesEmpty(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min == 0 || matchesEmpty(re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if !matchesEmpty(sub) {
				return false
			}
		}
		return true
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			if matchesEmpty(sub) {
				return true
			}
		}
		return false
	}
	return true
}

// textFunc returns a function of a string; nil if there is none of that name.
func textFunc(name string) single {
	cut := func(f func([]byte) []byte) single {
		return func(r *Runner, v event.Value) (event.Value, status) {
			if v.Kind != event.String {
				return event.Value{}, sErr
			}
			return stringLike(v, f(v.Text(&r.buf))), sOK
		}
	}
	switch name {
	case "ltrim":
		return cut(func(b []byte) []byte { return bytes.TrimLeftFunc(b, unicode.IsSpace) })
	case "rtrim":
		return cut(func(b []byte) []byte { return bytes.TrimRightFunc(b, unicode.IsSpace) })
	case "trim":
		return cut(bytes.TrimSpace)
	case "utf8bytelength":
		return func(r *Runner, v event.Value) (event.Value, status) {
			if v.Kind != event.String {
				return event.Value{}, sErr
			}
			n := len(r.buf)
			size := len(v.Text(&r.buf))
			r.buf = r.buf[:n]
			return event.IntValue(int64(size)), sOK
		}
	case "explode":
		return explode
	case "implode":
		return implode
	}
	return nil
}

func explode(r *Runner, v event.Value) (event.Value, status) {
	if v.Kind != event.String {
		return event.Value{}, sErr
	}
	text := v.Text(&r.buf)
	n := len(r.buf)
	r.buf = append(r.buf, '[')
	for i := 0; i < len(text); {
		if i > 0 {
			r.buf = append(r.buf, ',')
		}
		c, size := rune(text[i]), 1
		if c >= utf8.RuneSelf {
			c, size = utf8.DecodeRune(text[i:])
		}
		r.buf = event.IntValue(int64(c)).AppendJSON(r.buf)
		i += size
	}
	r.buf = append(r.buf, ']')
	return event.Value{Kind: event.Array, B: r.since(n)}, sOK
}

func implode(r *Runner, v event.Value) (event.Value, status) {
	if v.Kind != event.Array {
		return event.Value{}, sErr
	}
	n := len(r.buf)
	for it := v.Elements(); it.Next(); {
		c, ok := it.Value.Int()
		if !ok {
			r.buf = r.buf[:n]
			return event.Value{}, sBail
		}
		if c < 0 || c > utf8.MaxRune {
			c = utf8.RuneError
		}
		r.buf = utf8.AppendRune(r.buf, rune(c))
	}
	return event.TextValue(r.since(n)), sOK
}
