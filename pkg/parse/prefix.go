package parse

import (
	"bytes"

	"logtools/pkg/event"
	"logtools/pkg/when"
)

// prefixTries is at how many brackets of a line JSON is looked for.
const prefixTries = 16

// Prefix makes a format for lines of f, which must be json, event, value or
// auto (which is json then), with text before the JSON, as docker compose logs
// and kubectl logs --prefix write it; nil for any other format.
//
// The JSON begins where a whole value begins that the line ends with: at the
// first '{' or '[' of which that is true; the first 16 are tried. The text
// before it, without the spaces around it, without a '|' at its end and without
// what colours it on a terminal (see sequenceLen), becomes the header prefix of
// the event; a header of that name that it has already
// becomes an array with the new one behind. A line that is JSON as a whole, or
// has only spaces and a '|' before it, is what it is in f. One without JSON is
// bad.
//
// With auto, programs that write text are among those that write JSON: a line
// without JSON that begins with a container's name (see behindName) is the text
// behind that, as a string. An array in such a line is JSON only directly behind
// the name: text often ends in brackets.
func Prefix(f *Format) *Format {
	text := false
	switch f.Name {
	case "json", "event", "value":
	case "auto":
		f, text = mustFind("json"), true
	default:
		return nil
	}
	with := *f
	with.New = func(o Options) Parser {
		return &prefixParser{json: f.New(o), slots: o.fields().Len(), text: text}
	}
	with.Fits = nil
	return &with
}

type prefixParser struct {
	json  Parser
	slots int
	text  bool // lines without JSON may be text
	clean event.Clean
	// try is which bracket the JSON of the last line began at, from 1; 0 is the
	// start of the line. Most lines have as many in their prefix.
	try int
	// plain has room for a prefix without its colours.
	plain []byte
}

func (p *prefixParser) Block(c event.Clean) {
	p.clean = c
	p.json.Block(c)
}

// Parse tries the place of the last line first. That finds the same place as
// trying them in order, because no two can both be right: if JSON begins at one
// and ends with the line, then what begins at a bracket inside of it either ends
// before the line does, or, inside a string of it, takes for strings what are
// none and the other way round up to the line's end.
func (p *prefixParser) Parse(line []byte, ev *event.Event) error {
	end := len(line)
	for end > 0 && isSpace(line[end-1]) {
		end--
	}
	if p.at(p.try, line, end, ev) {
		return nil
	}
	for try, i := 0, 0; try <= prefixTries && i >= 0; try++ {
		if try != p.try && p.at(try, line, end, ev) {
			p.try = try
			return nil
		}
		i = nthBracket(line[:end], try+1)
	}
	if !p.clean.UTF8 {
		if err := checkUTF8(line); err != nil {
			return err
		}
	}
	ev.Line = line
	if i := skipSpace(line); i < end && line[i] == '{' {
		return p.json.Parse(line, ev) // no prefix: what is wrong with the JSON says more
	}
	if p.text {
		if i := behindName(dropCR(line)); i >= 0 {
			return p.parseText(line, i, ev)
		}
	}
	return errNoJSON
}

// parseText makes an event of a line with text behind a name, which begins at i.
func (p *prefixParser) parseText(line []byte, i int, ev *event.Event) error {
	text := dropCR(line)[i:]
	if k := skipSpace(text); k < len(text) && text[k] == '{' && event.Valid(text) == nil {
		return p.json.Parse(text, ev) // JSON, but nothing that an event may be
	}
	ev.SetValue(stringValue(text, p.clean.NoControl && p.clean.NoBackslash))
	ev.SetHeaders(withPrefix(ev, p.prefix(line[:i])))
	return nil
}

// prefix returns what the header says of the text before the JSON or text; it is
// valid until the next call.
func (p *prefixParser) prefix(text []byte) []byte {
	if bytes.IndexByte(text, escape) >= 0 {
		p.plain = appendPlain(p.plain[:0], text)
		text = p.plain
	}
	return trimPrefix(text)
}

// behindName returns where the text begins behind the name of a container, as
// docker compose logs (NAME | text) and kubectl logs --prefix
// ([pod/NAME/CONTAINER] text) write it; -1 if the line begins with none. One space
// is left out: messages may be indented. Name and bar may be coloured; behind them
// only the end of their colour is left out: others are the text's own.
func behindName(line []byte) int {
	i := skipSequences(line, 0)
	if bytes.HasPrefix(line[i:], []byte("[pod/")) {
		slashes := 0
		for ; i < len(line) && line[i] != ']' && line[i] != ' '; i++ {
			if line[i] == '/' {
				slashes++
			}
		}
		if i == len(line) || line[i] != ']' || slashes != 2 {
			return -1
		}
	} else {
		name := i
		for i < len(line) && isNameByte(line[i]) {
			i++
		}
		if i == name {
			return -1
		}
		spaces := 0
		for i = skipSequences(line, i); i < len(line) && line[i] == ' '; i = skipSequences(line, i+1) {
			spaces++
		}
		if spaces == 0 || i == len(line) || line[i] != '|' {
			return -1
		}
	}
	switch i = skipColorEnds(line, i+1); {
	case i == len(line):
		return i
	case line[i] == ' ':
		return skipColorEnds(line, i+1)
	}
	return -1
}

// isNameByte says whether names of containers may have the byte.
func isNameByte(c byte) bool {
	return c-'0' <= 9 || c|0x20-'a' <= 'z'-'a' || c == '-' || c == '_' || c == '.'
}

// errNoJSON is one value for all lines: there may be many.
var errNoJSON error = &event.BadError{Reason: "no JSON behind the prefix"}

// at parses the line, of which end is where the last character that is no space
// ends, as a prefix and the JSON that begins at its bracket with the number try.
// If that is none, ev is as it was.
func (p *prefixParser) at(try int, line []byte, end int, ev *event.Event) bool {
	i := nthBracket(line[:end], try)
	if i < 0 || i >= end || !mayEnclose(line[i], line[end-1]) {
		return false // most places are told apart here, where it costs nothing
	}
	if p.text && line[i] == '[' && try > 0 {
		if k := behindName(line[:end]); k >= 0 && i != k+skipSpace(line[k:end]) {
			return false
		}
	}
	if !p.clean.UTF8 && checkUTF8(line[:i]) != nil {
		return false
	}
	if p.json.Parse(line[i:], ev) != nil {
		ev.Reset(p.slots)
		return false
	}
	ev.Line = line
	if try > 0 {
		ev.AsIs = false // not the line is JSON, but a part of it
	}
	if prefix := p.prefix(line[:i]); len(prefix) > 0 {
		ev.Bare = false
		ev.SetHeaders(withPrefix(ev, prefix))
	}
	return true
}

// nthBracket returns where the n-th '{' or '[' is, -1 if there are fewer. The
// 0th place is the first character that is no space. The bracket of a sequence
// for the terminal is none.
func nthBracket(b []byte, n int) int {
	if n == 0 {
		return skipSpace(b)
	}
	for i, c := range b {
		if c == '{' || c == '[' && (i == 0 || b[i-1] != escape || sequenceLen(b[i-1:]) == 0) {
			if n--; n == 0 {
				return i
			}
		}
	}
	return -1
}

// mayEnclose says whether JSON can begin with the byte first and end with last.
func mayEnclose(first, last byte) bool {
	switch first {
	case '{':
		return last == '}'
	case '[':
		return last == ']'
	case '"':
		return last == '"'
	}
	// A number or a word.
	return (first == '-' || first-'0' <= 9 || first == 'n' || first == 't' || first == 'f') &&
		(last-'0' <= 9 || last == 'e' || last == 'l')
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

// skipSpace returns where the first character is that is no space.
func skipSpace(b []byte) int {
	i := 0
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	return i
}

// trimPrefix cuts off the spaces around a prefix and the bar at its end.
func trimPrefix(b []byte) []byte {
	b = bytes.Trim(b, " \t")
	if n := len(b) - 1; n >= 0 && b[n] == '|' {
		b = bytes.TrimRight(b[:n], " \t")
	}
	return b
}

const prefixHeader = "prefix"

// withPrefix returns the headers of ev with the header prefix.
func withPrefix(ev *event.Event, prefix []byte) event.Value {
	// What is added is no longer than this, a byte being six at most when it is
	// escaped.
	dst := ev.Scratch(len(ev.Headers.B) + 6*len(prefix) + len(`{"prefix":["",""],}`))[:0]
	sep := byte('{')
	var had event.Value
	if ev.Headers.Kind == event.Object {
		for it := ev.Headers.Members(); it.Next(); {
			if it.NameIs(prefixHeader) {
				had = it.Value
				continue
			}
			dst = it.Name.AppendJSON(append(dst, sep))
			dst = it.Value.AppendJSON(append(dst, ':'))
			sep = ','
		}
	}
	dst = append(append(dst, sep), `"prefix":`...)
	switch had.Kind {
	case event.Missing:
		dst = event.AppendString(dst, prefix)
	case event.String:
		dst = had.AppendJSON(append(dst, '['))
		dst = append(event.AppendString(append(dst, ','), prefix), ']')
	default: // an array of strings
		dst = append(dst, '[')
		for it := had.Elements(); it.Next(); {
			dst = append(it.Value.AppendJSON(dst), ',')
		}
		dst = append(event.AppendString(dst, prefix), ']')
	}
	return event.RawValue(append(dst, '}'))
}

// Time is false, as for JSON without a prefix.
func (p *prefixParser) Time() (when.Time, bool) { return p.json.Time() }

const escape = 0x1b

// sequenceLen returns the length of the sequence for a terminal that b begins
// with, 0 if it begins with none: ESC, [, digits and what separates them (0x30 to
// 0x3F), a letter. Docker compose colours the names with them (ESC [36m), and
// clears the line before (ESC [2K).
func sequenceLen(b []byte) int {
	if len(b) < len("\x1b[m") || b[0] != escape || b[1] != '[' {
		return 0
	}
	i := 2
	for i < len(b) && '0' <= b[i] && b[i] <= '?' {
		i++
	}
	if i == len(b) || b[i]|0x20 < 'a' || b[i]|0x20 > 'z' {
		return 0
	}
	return i + 1
}

// skipSequences returns where the sequences end that are at b[i].
func skipSequences(b []byte, i int) int {
	for {
		n := sequenceLen(b[i:])
		if n == 0 {
			return i
		}
		i += n
	}
}

// skipColorEnds returns where the sequences end that are at b[i] and go back to the
// usual colour.
func skipColorEnds(b []byte, i int) int {
	for {
		n := sequenceLen(b[i:])
		switch string(b[i : i+n]) {
		case "\x1b[m", "\x1b[0m", "\x1b[39m":
			i += n
		default:
			return i
		}
	}
}

// appendPlain appends text without its sequences for a terminal. What is one only
// after others were taken out stays.
func appendPlain(dst, text []byte) []byte {
	for len(text) > 0 {
		if n := sequenceLen(text); n > 0 {
			text = text[n:]
			continue
		}
		dst = append(dst, text[0])
		text = text[1:]
	}
	return dst
}
