package event

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// MaxDepth is how deeply arrays and objects of one line may be nested. Deeper
// lines are bad lines (encoding/json and gojq draw the line at the same depth).
const MaxDepth = 10000

// validUTF8 returns the index of the first byte that is not UTF-8, or -1. Long
// runs of ASCII between other text go fast, unlike in utf8.Valid.
func validUTF8(b []byte) int {
	i := 0
	for {
		for i+8 <= len(b) && binary.LittleEndian.Uint64(b[i:])&highs == 0 {
			i += 8
		}
		for i < len(b) && b[i] < utf8.RuneSelf {
			i++
		}
		if i >= len(b) {
			return -1
		}
		for i < len(b) && b[i] >= utf8.RuneSelf {
			// The common two- and three-byte sequences by hand.
			if c := b[i]; c >= 0xC2 && c < 0xE0 && i+1 < len(b) && b[i+1]&0xC0 == 0x80 {
				i += 2
				continue
			} else if c > 0xE0 && c < 0xED && i+2 < len(b) && b[i+1]&0xC0 == 0x80 && b[i+2]&0xC0 == 0x80 {
				i += 3
				continue
			}
			r, size := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && size == 1 {
				return i
			}
			i += size
		}
	}
}

// fault remembers the first thing that is wrong with a line.
type fault struct {
	reason string
	pos    int // index of the offending byte
}

func (f *fault) set(reason string, pos int) int {
	f.reason, f.pos = reason, pos
	return -1
}

func (f *fault) err() error { return &BadError{Reason: f.reason, Column: f.pos + 1} }

// unexpected faults the byte at i.
func (f *fault) unexpected(b []byte, i int, want string) int {
	if i >= len(b) {
		return f.set("unexpected end of line", len(b))
	}
	c := b[i]
	switch {
	case c < 0x20 || c == 0x7f:
		return f.set(fmt.Sprintf("unexpected control character 0x%02x, expected %s", c, want), i)
	case c >= utf8.RuneSelf:
		r, _ := utf8.DecodeRune(b[i:])
		return f.set(fmt.Sprintf("unexpected character %q, expected %s", r, want), i)
	}
	return f.set(fmt.Sprintf("unexpected %q, expected %s", rune(c), want), i)
}

// Valid checks that b is one JSON value, with nothing but space around it, and
// valid UTF-8. The error is a *BadError.
func Valid(b []byte) error {
	if k := validUTF8(b); k >= 0 {
		return &BadError{Reason: "invalid UTF-8", Column: k + 1}
	}
	var f fault
	if i := f.value(b, skipSpace(b, 0), 0); i < 0 || f.end(b, i) < 0 {
		return f.err()
	}
	return nil
}

// end checks that only space follows.
func (f *fault) end(b []byte, i int) int {
	if i = skipSpace(b, i); i < len(b) {
		return f.unexpected(b, i, "end of line")
	}
	return i
}

// value checks the JSON value that begins at i and returns the index after it,
// or -1. depth is the number of arrays and objects around it.
func (f *fault) value(b []byte, i, depth int) int {
	if i >= len(b) {
		return f.unexpected(b, i, "a value")
	}
	switch c := b[i]; {
	case c == '"':
		return f.str(b, i+1)
	case c == '{':
		return f.object(b, i+1, depth+1)
	case c == '[':
		return f.array(b, i+1, depth+1)
	case c == '-' || c-'0' <= 9:
		return f.number(b, i)
	}
	return f.word(b, i)
}

func (f *fault) word(b []byte, i int) int {
	switch b[i] {
	case 't':
		if i+4 <= len(b) && string(b[i:i+4]) == "true" {
			return i + 4
		}
	case 'f':
		if i+5 <= len(b) && string(b[i:i+5]) == "false" {
			return i + 5
		}
	case 'n':
		if i+4 <= len(b) && string(b[i:i+4]) == "null" {
			return i + 4
		}
	}
	return f.unexpected(b, i, "a value")
}

func (f *fault) object(b []byte, i, depth int) int {
	if depth > MaxDepth {
		return f.set(fmt.Sprintf("nested more than %d deep", MaxDepth), i-1)
	}
	if i = skipSpace(b, i); i < len(b) && b[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(b) || b[i] != '"' {
			return f.unexpected(b, i, "a member name")
		}
		if i = f.str(b, i+1); i < 0 {
			return -1
		}
		if i = skipSpace(b, i); i >= len(b) || b[i] != ':' {
			return f.unexpected(b, i, "':'")
		}
		if i = f.value(b, skipSpace(b, i+1), depth); i < 0 {
			return -1
		}
		i = skipSpace(b, i)
		if i >= len(b) || b[i] != ',' && b[i] != '}' {
			return f.unexpected(b, i, "',' or '}'")
		}
		if b[i] == '}' {
			return i + 1
		}
		i = skipSpace(b, i+1)
	}
}

func (f *fault) array(b []byte, i, depth int) int {
	if depth > MaxDepth {
		return f.set(fmt.Sprintf("nested more than %d deep", MaxDepth), i-1)
	}
	if i = skipSpace(b, i); i < len(b) && b[i] == ']' {
		return i + 1
	}
	for {
		if i = f.value(b, i, depth); i < 0 {
			return -1
		}
		i = skipSpace(b, i)
		if i >= len(b) || b[i] != ',' && b[i] != ']' {
			return f.unexpected(b, i, "',' or ']'")
		}
		if b[i] == ']' {
			return i + 1
		}
		i = skipSpace(b, i+1)
	}
}

// str checks a string from behind its opening quote and returns the index
// after the closing one.
func (f *fault) str(b []byte, i int) int {
	for {
		for i+8 <= len(b) {
			if m := specialIn(binary.LittleEndian.Uint64(b[i:])); m != 0 {
				i += firstByte(m)
				goto special
			}
			i += 8
		}
		for i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= 0x20 {
			i++
		}
		if i >= len(b) {
			return f.set("unterminated string", len(b))
		}
	special:
		switch c := b[i]; c {
		case '"':
			return i + 1
		case '\\':
			if i+1 >= len(b) {
				return f.set("unterminated string", len(b))
			}
			switch b[i+1] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
				i += 2
			case 'u':
				if i+6 > len(b) || !isHex(b[i+2]) || !isHex(b[i+3]) || !isHex(b[i+4]) || !isHex(b[i+5]) {
					return f.set(`\u without four hexadecimal digits`, i)
				}
				i += 6
			default:
				return f.set("invalid escape in string", i)
			}
		default:
			return f.set(fmt.Sprintf("unescaped control character 0x%02x in string", c), i)
		}
	}
}

func isHex(c byte) bool { return c-'0' <= 9 || c|0x20 >= 'a' && c|0x20 <= 'f' }

// number checks a number and returns the index after it.
func (f *fault) number(b []byte, i int) int {
	start := i
	if b[i] == '-' {
		i++
	}
	d := i
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	if i == d {
		return f.unexpected(b, i, "a digit")
	}
	if b[d] == '0' && i-d > 1 {
		return f.set("number with a leading zero", start)
	}
	if i < len(b) && b[i] == '.' {
		i++
		d = i
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		if i == d {
			return f.unexpected(b, i, "a digit")
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		d = i
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		if i == d {
			return f.unexpected(b, i, "a digit")
		}
	}
	return i
}

// IsNumber says whether b is a number as JSON writes it.
func IsNumber(b []byte) bool {
	if len(b) == 0 || b[0] > '9' || b[0] < '0' && b[0] != '-' { // most text
		return false
	}
	i := 0
	if b[0] == '-' {
		i = 1
	}
	start := i
	if i = skipDigits(b, i); i == start || b[start] == '0' && i > start+1 {
		return false
	}
	if i < len(b) && b[i] == '.' {
		start = i + 1
		if i = skipDigits(b, start); i == start {
			return false
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		start = i
		if i = skipDigits(b, i); i == start {
			return false
		}
	}
	return i == len(b)
}
