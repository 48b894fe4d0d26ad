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
//
// For the same reason colours that the program which wrote the log put into its
// text (see dropColors) are left out: they say nothing, and escaped they make
// the text around them hard to read. Neither they nor any other sequence reaches
// the terminal as it is, whether colours are on or not.
func appendPrintable(dst []byte, v event.Value) []byte {
	start := len(dst)
	return escapeText(dropColors(v.AppendText(dst), start), start, false)
}

// appendQuoted appends the text of v as a JSON string in which everything is
// escaped that appendPrintable escapes, and left out what it leaves out.
func appendQuoted(dst []byte, v event.Value) []byte {
	dst = append(dst, '"')
	start := len(dst)
	dst = escapeText(dropColors(v.AppendText(dst), start), start, true)
	return append(dst, '"')
}

// appendWord appends the text of v as it is if it is one word that can stand
// between blanks, else quoted. Bytes of apart do not belong to a word.
func appendWord(dst []byte, v event.Value, apart string) []byte {
	start := len(dst)
	dst = dropColors(v.AppendText(dst), start)
	if isWord(dst[start:]) && !bytes.ContainsAny(dst[start:], apart) {
		return dst
	}
	return appendQuoted(dst[:start], v)
}

// dropColors takes the sequences that set colours and the like (SGR: ESC, [,
// digits with ; or : between them, m) out of dst[start:], once: what is one only
// after others were taken out stays, and is escaped as any other control
// character.
func dropColors(dst []byte, start int) []byte {
	n := bytes.IndexByte(dst[start:], escape)
	if n < 0 {
		return dst
	}
	to := start + n
	for i := to; i < len(dst); {
		if dst[i] == escape {
			if size := colorLen(dst[i:]); size > 0 {
				i += size
				continue
			}
		}
		dst[to] = dst[i]
		to++
		i++
	}
	return dst[:to]
}

const escape = 0x1b

// colorLen returns the length of the sequence that text begins with, 0 if that
// is none that sets colours.
func colorLen(text []byte) int {
	if len(text) < len("\x1b[m") || text[1] != '[' {
		return 0
	}
	for i, c := range text[2:] {
		switch {
		case c == 'm':
			return i + len("\x1b[m")
		case !('0' <= c && c <= '9' || c == ';' || c == ':'):
			return 0
		}
	}
	return 0
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
