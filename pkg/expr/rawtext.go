package expr

import (
	"bytes"
	"math"
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

// replace is sub (once) or gsub, with everything written out. The captures then
// do not matter. What can match an empty text is left to gojq: where that
// matches is a matter of opinion.
func (c *compiler) replace(args []*gojq.Query, once, root bool) *node {
	var texts [3]string
	for i, arg := range args {
		var ok bool
		if texts[i], ok = constString(arg); !ok {
			panic(unsupported{})
		}
	}
	re, source := compileRegexp(texts[0], texts[2])
	parsed, err := syntax.Parse(source, syntax.Perl)
	if err != nil || matchesEmpty(parsed) {
		panic(unsupported{})
	}
	if strings.Contains(texts[2], "g") {
		once = false
	}
	with := textConst(texts[1])
	find := func(text []byte) (start, end int) {
		if at := re.FindIndex(text); at != nil {
			return at[0], at[1]
		}
		return -1, 0
	}
	literal := parsed.Op == syntax.OpLiteral && parsed.Flags&syntax.FoldCase == 0
	if literal {
		needle := []byte(string(parsed.Rune))
		find = func(text []byte) (start, end int) {
			start = bytes.Index(text, needle)
			return start, start + len(needle)
		}
	}
	return then(c.term(&gojq.Term{Type: gojq.TermTypeIdentity}, root), func(r *Runner, v event.Value) (event.Value, status) {
		if v.Kind != event.String {
			return event.Value{}, sErr
		}
		text := v.Text(&r.buf)
		start, end := find(text)
		if start < 0 {
			return v, sOK
		}
		n := len(r.buf)
		switch {
		case once:
			r.buf = append(r.buf, text[:start]...)
			r.buf = append(r.buf, with.B...)
			r.buf = append(r.buf, text[end:]...)
		case literal:
			for start >= 0 {
				r.buf = append(r.buf, text[:start]...)
				r.buf = append(r.buf, with.B...)
				text = text[end:]
				start, end = find(text)
			}
			r.buf = append(r.buf, text...)
		default:
			// The text before a match counts for \b and ^, so that it must
			// not be cut off.
			from := 0
			for _, at := range re.FindAllIndex(text, -1) {
				r.buf = append(r.buf, text[from:at[0]]...)
				r.buf = append(r.buf, with.B...)
				from = at[1]
			}
			r.buf = append(r.buf, text[from:]...)
		}
		if v.Form == event.Plain && with.Form == event.Plain {
			return event.PlainValue(r.since(n)), sOK
		}
		return event.TextValue(r.since(n)), sOK
	})
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

// mathFunc returns a function of a number; nil if there is none of that name.
func mathFunc(name string) single {
	var f func(float64) float64
	switch name {
	case "floor":
		f = math.Floor
	case "ceil":
		f = math.Ceil
	case "round":
		f = math.Round
	case "trunc":
		f = math.Trunc
	case "fabs":
		f = math.Abs
	case "sqrt":
		f = math.Sqrt
	case "log":
		f = math.Log
	case "log2":
		f = math.Log2
	case "log10":
		f = math.Log10
	case "exp":
		f = math.Exp
	default:
		return nil
	}
	return func(_ *Runner, v event.Value) (event.Value, status) {
		if v.Kind != event.Number {
			return event.Value{}, sErr
		}
		n, ok := numberOf(&v)
		if !ok {
			return event.Value{}, sBail
		}
		return float(f(n.float()))
	}
}
