package event

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Caret returns two lines to print under the message about something wrong in
// src, a program, list or pattern, at the byte offset (len(src): at its end): the
// line of src with that place, after a tab, and a caret under it. There is no
// newline at the end.
func Caret(src string, offset int) string {
	at := min(max(offset, 0), len(src))
	start := strings.LastIndexByte(src[:at], '\n') + 1
	line, _, _ := strings.Cut(src[start:], "\n")
	pad := 0
	for _, c := range OneLine(src[start:at]) {
		pad += width(c)
	}
	return "\t" + strings.TrimRight(OneLine(line), " ") + "\n\t" + strings.Repeat(" ", pad) + "^"
}

// Clip returns the beginning of a text that is long, for a message: at most 60 bytes of
// it, and whole characters.
func Clip(s string) string {
	n := 60
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// OneLine replaces what would move the cursor, or control the terminal, by
// spaces.
func OneLine(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, s)
}

// width returns how many columns of a terminal c takes: good enough for the
// place of a caret.
func width(c rune) int {
	switch {
	case c < 0x300:
		return 1
	case unicode.In(c, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case c >= 0x1100 && c <= 0x115f, c >= 0x2e80 && c <= 0xa4cf, c >= 0xac00 && c <= 0xd7a3,
		c >= 0xf900 && c <= 0xfaff, c >= 0xfe30 && c <= 0xfe6f, c >= 0xff00 && c <= 0xff60,
		c >= 0xffe0 && c <= 0xffe6, c >= 0x1f300 && c <= 0x1f64f, c >= 0x1f900 && c <= 0x1f9ff,
		c >= 0x20000 && c <= 0x3fffd:
		return 2
	}
	return 1
}
