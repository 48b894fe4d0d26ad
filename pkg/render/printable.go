package render

import (
	"bytes"
	"slices"
	"unicode"
	"unicode/utf8"

	"logtools/pkg/event"
)

// appendPrintable appends the text of v with everything escaped that could drive
// the terminal or change how the rest of the line is shown: control characters,
// line ends, and the controls of the writing direction. A backslash is left as
// it is: this is for reading, not for reading back.
func appendPrintable(dst []byte, v event.Value) []byte {
	start := len(dst)
	return escapeText(v.AppendText(dst), start, false)
}

// appendQuoted appends the text of v as a JSON string in which everything is
// escaped that appendPrintable escapes.
func appendQuoted(dst []byte, v event.Value) []byte {
	dst = append(dst, '"')
	start := len(dst)
	dst = escapeText(v.AppendText(dst), start, true)
	return append(dst, '"')
}

// appendWord appends the text of v as it is if it is one word that can stand
// between blanks, else quoted. Bytes of apart do not belong to a word.
func appendWord(dst []byte, v event.Value, apart string) []byte {
	start := len(dst)
	dst = v.AppendText(dst)
	if isWord(dst[start:]) && !bytes.ContainsAny(dst[start:], apart) {
		return dst
	}
	return appendQuoted(dst[:start], v)
}

// isWord: not empty, all of it visible, without blanks and quotes.
func isWord(text []byte) bool {
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			if c <= ' ' || c == '"' || c == 0x7f {
				return false
			}
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 || drivesTerminal(r) || unicode.IsSpace(r) {
			return false
		}
		i += size
	}
	return len(text) > 0
}

// escapeText escapes dst[start:] in place: what drives the terminal and, if it
// is to stand between quotes, quotes and backslashes. Bytes that are not UTF-8
// become U+FFFD.
func escapeText(dst []byte, start int, quoted bool) []byte {
	for start < len(dst) && 0x20 <= dst[start] && dst[start] < 0x7f && !(quoted && (dst[start] == '"' || dst[start] == '\\')) {
		start++
	}
	extra := 0
	for n := len(dst); n > start; {
		r, size := utf8.DecodeLastRune(dst[start:n])
		extra += escapedLen(r, size, quoted) - size
		n -= size
	}
	if extra == 0 {
		return dst
	}
	n := len(dst)
	dst = slices.Grow(dst, extra)[:n+extra]
	// Back to front, so that nothing is overwritten before it was moved: nothing
	// becomes shorter.
	for to := len(dst); n < to; {
		r, size := utf8.DecodeLastRune(dst[start:n])
		n -= size
		length := escapedLen(r, size, quoted)
		to -= length
		switch {
		case length == size:
			copy(dst[to:], dst[n:n+size])
		case length == 2:
			dst[to], dst[to+1] = '\\', escapeLetter(r, quoted)
		case r == utf8.RuneError:
			copy(dst[to:], "\ufffd")
		default:
			const hex = "0123456789abcdef"
			copy(dst[to:], []byte{'\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15]})
		}
	}
	return dst
}

// escapedLen returns the bytes that r, of size bytes, takes when it is escaped
// if it must be.
func escapedLen(r rune, size int, quoted bool) int {
	switch {
	case r == utf8.RuneError && size == 1:
		return len("\ufffd")
	case escapeLetter(r, quoted) != 0:
		return 2
	case drivesTerminal(r):
		return 6
	}
	return size
}

// escapeLetter returns what follows the backslash of a short escape, 0 if r has
// none.
func escapeLetter(r rune, quoted bool) byte {
	switch r {
	case '\n':
		return 'n'
	case '\r':
		return 'r'
	case '\t':
		return 't'
	case '"', '\\':
		if quoted {
			return byte(r)
		}
	}
	return 0
}

// drivesTerminal: C0, DEL, C1; line and paragraph separator; marks, embeddings,
// overrides and isolates of the writing direction. All are below U+10000.
func drivesTerminal(r rune) bool {
	return r < 0x20 || 0x7f <= r && r < 0xa0 ||
		r == 0x61c || r == 0x200e || r == 0x200f ||
		0x2028 <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069
}
