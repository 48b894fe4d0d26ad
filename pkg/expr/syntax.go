package expr

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/itchyny/gojq"

	"logtools/pkg/event"
)

// SyntaxError says why a program does not compile, and where.
type SyntaxError struct {
	Src    string // the program
	Offset int    // the byte of Src at which the trouble begins; len(Src) if it is the end
	Msg    string // what is wrong, in one line
}

// Error returns the message and the program in one line.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s in expression '%s'", e.Msg, event.OneLine(e.Src))
}

// Caret returns two lines to print under the message: the program's line with
// the trouble, after a tab, and a caret under the place. There is no newline at
// the end.
func (e *SyntaxError) Caret() string { return event.Caret(e.Src, e.Offset) }

func fromParseError(src string, err error) *SyntaxError {
	e := &SyntaxError{Src: src, Offset: len(src), Msg: event.OneLine(err.Error())}
	var pe *gojq.ParseError
	if errors.As(err, &pe) {
		e.Offset = pe.Offset - len(pe.Token)
		if pe.Token == "" && strings.HasPrefix(e.Msg, "unterminated string") {
			e.Offset = openQuote(src)
		}
		e.Offset = min(max(e.Offset, 0), len(src))
	}
	return e
}

// fromCompileError gives gojq's error its place: gojq's parse tree has none, so
// the name that the message ends in is looked for in the text.
func fromCompileError(src string, err error) *SyntaxError {
	msg := event.OneLine(err.Error())
	if name, ok := strings.CutPrefix(msg, "function not defined: "); ok {
		arity := 0
		if i := strings.LastIndexByte(name, '/'); i >= 0 {
			fmt.Sscan(name[i+1:], &arity)
			name = name[:i]
		}
		return syntaxErrorAt(src, name, arity, "%s", msg)
	}
	for _, prefix := range []string{"variable not defined: ", "label not defined: "} {
		if name, ok := strings.CutPrefix(msg, prefix); ok {
			return syntaxErrorAt(src, name, -1, "%s", msg)
		}
	}
	return &SyntaxError{Src: src, Offset: min(len(src), len(src)-len(strings.TrimLeft(src, " \t\r\n"))), Msg: msg}
}

// syntaxErrorAt returns an error at the first place of the name (a variable's
// with its $); arity is the number of a function's arguments, -1 for any.
func syntaxErrorAt(src, name string, arity int, format string, args ...any) *SyntaxError {
	return &SyntaxError{Src: src, Offset: find(src, name, arity), Msg: fmt.Sprintf(format, args...)}
}

func find(src, name string, arity int) int {
	first := -1
	toks := tokens(src)
	for i, t := range toks {
		if src[t.pos:t.end] != name || t.kind != 'a' && t.kind != '$' && t.kind != '@' {
			continue
		}
		if i+1 < len(toks) && toks[i+1].kind == ':' { // a member's name, or a definition
			continue
		}
		if arity < 0 || arity == arguments(toks[i+1:]) {
			return t.pos
		}
		if first < 0 {
			first = t.pos
		}
	}
	return max(first, 0)
}

// arguments counts the arguments that begin at toks: 0 if there is no (.
func arguments(toks []token) int {
	if len(toks) == 0 || toks[0].kind != '(' {
		return 0
	}
	n, depth := 1, 0
	for _, t := range toks {
		switch t.kind {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			if depth--; depth == 0 {
				return n
			}
		case ';':
			if depth == 1 {
				n++
			}
		}
	}
	return n
}

// token is a piece of a program's text.
type token struct {
	pos, end int
	// kind is 'a' for a word, '$' for a variable, '.' for a member (with its
	// dot), '0' for a number, '@' for a format, '"' for either quote of a
	// string; else the character itself. The text of a string has no tokens,
	// but what is interpolated into it has, and the brackets around that are
	// '(' and ')'.
	kind byte
}

// tokens cuts a program that may be wrong into pieces, as far as it takes to
// find names, commas and brackets in it.
func tokens(src string) []token {
	var toks []token
	var nest []int // open brackets of each interpolation that we are in
	for i := 0; i < len(src); {
		c := src[i]
		start := i
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case c == '#':
			for i < len(src) && src[i] != '\n' {
				i++
			}
			continue
		case isWord(c):
			for i < len(src) && (isWord(src[i]) || isDigit(src[i]) || src[i] == ':' && i+2 < len(src) && src[i+1] == ':' && isWord(src[i+2])) {
				if src[i] == ':' {
					i++
				}
				i++
			}
			toks = append(toks, token{start, i, 'a'})
			continue
		case (c == '$' || c == '.' || c == '@') && i+1 < len(src) && isWord(src[i+1]):
			for i++; i < len(src) && (isWord(src[i]) || isDigit(src[i])); {
				i++
			}
			toks = append(toks, token{start, i, c})
			continue
		case isDigit(c) || c == '.' && i+1 < len(src) && isDigit(src[i+1]):
			for i < len(src) && (isDigit(src[i]) || src[i] == '.' || isWord(src[i])) {
				i++
			}
			toks = append(toks, token{start, i, '0'})
			continue
		}
		i++
		inString := c == '"'
		switch c {
		case '(', '[', '{':
			if n := len(nest); n > 0 {
				nest[n-1]++
			}
		case ')', ']', '}':
			if n := len(nest); n > 0 {
				if nest[n-1]--; nest[n-1] == 0 {
					nest = nest[:n-1]
					inString = true
				}
			}
		}
		toks = append(toks, token{start, i, c})
		for inString && i < len(src) {
			switch {
			case src[i] == '"':
				toks = append(toks, token{i, i + 1, '"'})
				inString = false
				i++
			case src[i] == '\\' && i+1 < len(src) && src[i+1] == '(':
				toks = append(toks, token{i, i + 2, '('})
				nest = append(nest, 1)
				inString = false
				i += 2
			case src[i] == '\\':
				i += 2
			default:
				i++
			}
		}
	}
	return toks
}

// openQuote returns where the string begins that src leaves open.
func openQuote(src string) int {
	at := len(src)
	open := false
	for _, t := range tokens(src) {
		if t.kind == '"' {
			if open = !open; open {
				at = t.pos
			}
		} else if t.kind == '(' && t.end-t.pos == 2 {
			open = false
		}
	}
	return at
}

func isWord(c byte) bool {
	return c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' && c < utf8.RuneSelf
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// NotHere returns an error at the first place of src where a name stands, for a
// program that compiles, but must not use it where it is.
func NotHere(src, name, msg string) *SyntaxError { return syntaxErrorAt(src, name, -1, "%s", msg) }
