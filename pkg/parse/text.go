package parse

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"

	"logtools/pkg/event"
	"logtools/pkg/when"
)

// textParser takes every line as a string. A line with invalid UTF-8 is bad; or,
// if lossy, each byte of it that is part of no character is U+FFFD, so that of
// text in a one-byte encoding every character is still one.
type textParser struct {
	clean event.Clean
	lossy bool
}

func newText(o Options) Parser { return &textParser{lossy: o.Lossy} }

func (p *textParser) Block(c event.Clean) { p.clean = c }

func (p *textParser) Parse(line []byte, ev *event.Event) error {
	ev.Line, ev.Bare = line, true
	switch {
	case p.clean.UTF8:
	case !p.lossy:
		if err := checkUTF8(line); err != nil {
			return err
		}
	case !utf8.Valid(line):
		line = repairUTF8(line, ev)
	}
	ev.SetValue(stringValue(dropCR(line), p.clean.NoControl && p.clean.NoBackslash))
	return nil
}

func (p *textParser) Time() (when.Time, bool) { return when.Time{}, false }

// dropCR drops the carriage return of a line that ended in CR LF.
func dropCR(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1]
	}
	return line
}

func checkUTF8(line []byte) error {
	if utf8.Valid(line) {
		return nil
	}
	i := 0
	for {
		r, size := utf8.DecodeRune(line[i:])
		if r == utf8.RuneError && size == 1 {
			return &event.BadError{Reason: "invalid UTF-8", Column: i + 1}
		}
		i += size
	}
}

// repairUTF8 returns the line with U+FFFD for each invalid byte, in the event's
// memory.
func repairUTF8(line []byte, ev *event.Event) []byte {
	invalid := 0
	for b := line; len(b) > 0; {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			invalid++
		}
		b = b[size:]
	}
	out := ev.Scratch(len(line) + invalid*(len(replacement)-1))[:0]
	for len(line) > 0 {
		r, size := utf8.DecodeRune(line)
		if r == utf8.RuneError && size == 1 {
			out = append(out, replacement...)
		} else {
			out = append(out, line[:size]...)
		}
		line = line[size:]
	}
	return out
}

const replacement = "\ufffd"

// stringValue returns the string with the text b; simple says that b is known
// to hold neither backslashes nor control characters.
func stringValue(b []byte, simple bool) event.Value {
	if simple && bytes.IndexByte(b, '"') < 0 || !simple && isPlain(b) {
		return event.PlainValue(b)
	}
	return event.TextValue(b)
}

// Eight bytes at a time: each byte of a word is looked at by arithmetic on the
// whole word. A set high bit in the result marks a byte found; bits above the
// lowest may be false alarms.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

func zeroBytes(x uint64) uint64 { return (x - ones) &^ x & highs }

// special marks what JSON strings must escape.
func special(w uint64) uint64 {
	return zeroBytes(w^ones*'"') | zeroBytes(w^ones*'\\') | (w-ones*0x20)&^w&highs
}

// isPlain says whether JSON can hold the text b between quotes as it is.
func isPlain(b []byte) bool {
	if len(b) < 8 {
		for _, c := range b {
			if c < 0x20 || c == '"' || c == '\\' {
				return false
			}
		}
		return true
	}
	i := 0
	for ; i+8 <= len(b); i += 8 {
		if special(binary.LittleEndian.Uint64(b[i:])) != 0 {
			return false
		}
	}
	return special(binary.LittleEndian.Uint64(b[len(b)-8:])) == 0
}
