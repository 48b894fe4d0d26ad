package parse

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"strings"
	"unicode/utf8"

	"logtools/pkg/event"
)

// RegexpError says why a regular expression makes no format, and where.
type RegexpError struct {
	Src    string // the expression
	Offset int    // the byte of Src at which the trouble begins; len(Src) if it is the end
	Msg    string // what is wrong, in one line
}

// noNamedGroup is the Msg of an expression that is right but for having none.
const noNamedGroup = "no named group"

// Error returns the message and the expression in one line.
func (e *RegexpError) Error() string {
	return fmt.Sprintf("%s in regular expression '%s'", e.Msg, event.OneLine(e.Src))
}

// Caret returns two lines to print under the message: the expression, after a
// tab, and a caret under the place. There is no newline at the end.
func (e *RegexpError) Caret() string { return event.Caret(e.Src, e.Offset) }

// Hint says what to type instead; "" if there is nothing to say.
func (e *RegexpError) Hint() string {
	rest := e.Src[min(max(e.Offset, 0), len(e.Src)):]
	for _, look := range []string{"(?=", "(?!", "(?<=", "(?<!"} {
		if strings.HasPrefix(rest, look) {
			return "there is no looking ahead or behind; match what is there, outside of the named groups"
		}
	}
	switch {
	case e.Msg == noNamedGroup:
		return `name what is to be a member: (?<level>\w+)`
	case len(rest) > 1 && rest[0] == '\\' && rest[1]-'1' <= 8:
		return "there are no references back to groups"
	}
	return ""
}

// regexpError says where in src the parser's error is.
func regexpError(src string, err error) *RegexpError {
	e := &RegexpError{Src: src, Msg: err.Error()}
	var s *syntax.Error
	if !errors.As(err, &s) {
		return e
	}
	e.Msg = s.Code.String()
	switch s.Code {
	case syntax.ErrMissingParen, syntax.ErrUnexpectedParen:
		e.Offset = oddParen(src, s.Code == syntax.ErrMissingParen)
	case syntax.ErrTrailingBackslash:
		e.Offset = len(src) - 1
	case syntax.ErrInvalidUTF8:
		e.Offset = len(validPrefix(src))
	case syntax.ErrLarge, syntax.ErrNestingDepth: // it is all of it
	default:
		e.Offset = fragment(src, s)
	}
	return e
}

// fragment returns where the piece of src is that the error names. The same
// piece may occur before without being wrong there; but the parser goes from
// left to right, so what ends with the wrong one has the same error.
func fragment(src string, want *syntax.Error) int {
	for at := 0; ; at++ {
		k := strings.Index(src[at:], want.Expr)
		if k < 0 {
			return max(strings.Index(src, want.Expr), 0)
		}
		at += k
		_, err := syntax.Parse(src[:at+len(want.Expr)], syntax.Perl)
		var got *syntax.Error
		if errors.As(err, &got) && *got == *want || at+len(want.Expr) == len(src) {
			return at
		}
	}
}

// oddParen returns where the bracket is that has no partner: the innermost
// opening one, or the first closing one.
func oddParen(src string, opening bool) int {
	var open []int
	for i := 0; i < len(src); i++ {
		switch src[i] {
		case '\\':
			if strings.HasPrefix(src[i:], `\Q`) {
				if k := strings.Index(src[i:], `\E`); k >= 0 {
					i += k
				} else {
					i = len(src)
				}
			}
			i++
		case '[':
			i = classEnd(src, i)
		case '(':
			open = append(open, i)
		case ')':
			if len(open) == 0 {
				if opening {
					return 0
				}
				return i
			}
			open = open[:len(open)-1]
		}
	}
	if !opening || len(open) == 0 {
		return len(src)
	}
	return open[len(open)-1]
}

// classEnd returns where the class ends that begins at i with a [.
func classEnd(src string, i int) int {
	i++
	if i < len(src) && src[i] == '^' {
		i++
	}
	for first := true; i < len(src) && (src[i] != ']' || first); first = false {
		if src[i] == '\\' {
			i++
		} else if strings.HasPrefix(src[i:], "[:") {
			if k := strings.Index(src[i:], ":]"); k >= 0 {
				i += k + 1
			}
		}
		i++
	}
	return i
}

// validPrefix returns what comes before the first byte that is not UTF-8.
func validPrefix(s string) string {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			return s[:i]
		}
		i += size
	}
	return s
}
