package parse

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"unsafe"

	"logtools/pkg/event"
	"logtools/pkg/when"
)

// csvParser parses the records of csv and tsv (see separated). The value is an
// object with a member for each name of the first line, in its order:
//
//   - an empty field is null, but "" is the empty string; in tsv \N is null too;
//   - a field that is a JSON number is that number, digit for digit, with quotes
//     around it or without: many programs put them around every field;
//   - all else is a string, spaces at its ends included.
//
// A record whose fields are not as many as the names is bad.
type csvParser struct {
	sep   separated
	head  *csvHead
	clean event.Clean
	want  []wanted // member is the number of the field

	// record is the record that fields belongs to, without a CR; nil if it is none.
	record []byte
	fields []csvField
	plain  bool // nothing in record needs an escape
	buf    []byte
}

// errNoNames is for the records behind a first line that cannot be read.
var errNoNames = &event.BadError{Reason: "the first line, which should name the fields, is bad"}

func newCSV(o Options) Parser { return newSeparated(comma, o) }
func newTSV(o Options) Parser { return newSeparated(tab, o) }

func newSeparated(s separated, o Options) Parser {
	p := &csvParser{sep: s}
	p.head, _ = o.Head.(*csvHead)
	if p.head == nil {
		return p
	}
	p.fields = make([]csvField, len(p.head.names))
	// What lies deeper than the first level (.a.b) stays Missing: no member is an
	// object.
	o.fields().Top(func(name string, slot int, _ bool) {
		if i := slices.Index(p.head.names, name); i >= 0 {
			p.want = append(p.want, wanted{i, slot})
		}
	})
	return p
}

func (p *csvParser) Block(c event.Clean) { p.clean = c }

// Time: csv has no time of its own.
func (p *csvParser) Time() (when.Time, bool) { return when.Time{}, false }

// Parse takes a record; a CR at its end does not matter. Columns count the bytes
// of the record, also where it spans lines.
func (p *csvParser) Parse(record []byte, ev *event.Event) error {
	p.record = nil
	ev.Line, ev.Bare = record, true
	if p.head == nil {
		return errNoNames
	}
	if !p.clean.UTF8 {
		if err := checkUTF8(record); err != nil {
			return err
		}
	}
	record = dropCR(record)
	if err := p.sep.split(record, p.fields); err != nil {
		return err
	}
	p.record = record
	p.plain = p.clean.NoControl && p.unmarked(record)
	if p.head.hasValue {
		ev.SetLazy(p)
	} else {
		ev.SetLazyBare(p)
	}
	for _, w := range p.want {
		p.member(&ev.Slots[w.slot], &p.fields[w.member], ev)
	}
	return nil
}

// unmarked says that there is neither a quote nor a backslash in the record; false
// if that is not known.
func (p *csvParser) unmarked(record []byte) bool {
	const step = 56 // Near sees more
	marks, ok := p.clean.Marks(record)
	if !ok {
		return false
	}
	i := 0
	for ; len(record)-i > step; i += step {
		if marks.Near(i)<<(64-step) != 0 {
			return false
		}
	}
	return marks.Near(i)<<(64-(len(record)-i)) == 0
}

// member sets v, which is Missing, to the value of a field.
func (p *csvParser) member(v *event.Value, f *csvField, ev *event.Event) {
	b := p.record[f.from:f.to]
	switch {
	case p.isNull(f):
		v.Kind = event.Null
		return
	case isNumber(b):
		v.Kind, v.Form, v.B = event.Number, event.JSON, b
		return
	}
	if p.encoded(f) {
		p.buf = p.sep.appendText(p.buf[:0], p.record, *f)
		b = ev.Scratch(len(p.buf))
		copy(b, p.buf)
	}
	v.Kind, v.Form, v.B = event.String, event.Text, b
	if isPlain(b) {
		v.Form = event.Plain
	}
}

func (p *csvParser) isNull(f *csvField) bool {
	if f.quotes != noQuotes {
		return false
	}
	b := p.record[f.from:f.to]
	return len(b) == 0 || p.sep == tab && len(b) == 2 && b[0] == '\\' && b[1] == 'N'
}

// encoded says whether the text of the field is not what stands there.
func (p *csvParser) encoded(f *csvField) bool {
	switch f.quotes {
	case noQuotes:
		return p.sep == tab && bytes.IndexByte(p.record[f.from:f.to], '\\') >= 0
	case doubledQuotes:
		return true
	}
	return false
}

// appendText appends the text of a field.
func (s separated) appendText(dst, record []byte, f csvField) []byte {
	b := record[f.from:f.to]
	switch {
	case f.quotes == doubledQuotes:
		for {
			k := bytes.IndexByte(b, '"')
			if k < 0 {
				break
			}
			dst = append(dst, b[:k+1]...)
			b = b[k+2:] // quotes come in pairs
		}
	case f.quotes == noQuotes && s == tab:
		return unescape(dst, b)
	}
	return append(dst, b...)
}

// unescape appends the text of a field of tsv without quotes. Its escapes are
// those that our own output has, and that of databases and jq's @tsv: \t, \n, \r
// and \\. So that a text may begin with a quote, \" does too. Any other backslash is
// text.
func unescape(dst, b []byte) []byte {
	if len(b) > 1 && b[0] == '\\' && b[1] == '"' {
		b = b[1:]
	}
	for {
		k := bytes.IndexByte(b, '\\')
		if k < 0 || k+1 == len(b) {
			return append(dst, b...)
		}
		dst = append(dst, b[:k]...)
		switch c := b[k+1]; c {
		case 't':
			dst = append(dst, '\t')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case '\\':
			dst = append(dst, '\\')
		default:
			dst = append(dst, '\\')
			b = b[k+1:]
			continue
		}
		b = b[k+2:]
	}
}

// AppendValue writes the whole value. It works for every event of this Parser,
// not only for the last one: others are split again.
func (p *csvParser) AppendValue(dst []byte, ev *event.Event) []byte {
	record := dropCR(ev.Line)
	if p.record == nil || len(record) != len(p.record) || unsafe.SliceData(record) != unsafe.SliceData(p.record) {
		p.record = nil
		if p.head == nil || p.sep.split(record, p.fields) != nil { // it was good when it was parsed
			return append(dst, "null"...)
		}
		p.record, p.plain = record, false
	}
	// Room for the names, the fields, and for quotes or null, and behind them for a
	// whole word. Escapes are longer, but then room is made again.
	room := p.head.size + len(record) + 4*len(p.fields) + 16
	dst = slices.Grow(dst, room)
	b := record[:cap(record)]
	out, n := dst[:cap(dst)], len(dst)
	for i := range p.fields {
		f := &p.fields[i]
		prefix := p.head.prefix[i]
		copyWords(out[n:], prefix)
		n += len(prefix)
		from, size := f.from, f.to-f.from
		if size == 0 && f.quotes == noQuotes || p.sep == tab && p.isNull(f) {
			n += copy(out[n:], "null")
			continue
		}
		first := wordAt(b, from)
		number := false
		if c := byte(first); c-'0' <= 9 || c == '-' {
			number = size <= 8 && isShortNumber(first, size) || isNumber(record[from:f.to])
		}
		if !number {
			out[n] = '"'
			n++
		}
		marks := uint64(0)
		switch {
		case size <= 8 && (number || p.plain):
			binary.LittleEndian.PutUint64(out[n:], first)
		case p.plain:
			copy(out[n:], record[from:f.to])
		default:
			k := 0
			for ; size-k >= 8; k += 8 {
				w := binary.LittleEndian.Uint64(b[from+k:])
				binary.LittleEndian.PutUint64(out[n+k:], w)
				marks |= special(w)
			}
			if k < size {
				w := wordAt(b, from+k)
				binary.LittleEndian.PutUint64(out[n+k:], w)
				marks |= special(w) & (1<<(8*(size-k)) - 1) // what lies behind the field does not count
			}
		}
		switch {
		case number:
			n += size
		case marks == 0:
			n += size
			out[n] = '"'
			n++
		default:
			dst = slices.Grow(p.appendEscaped(out[:n-1], f), room)
			out, n = dst[:cap(dst)], len(dst)
		}
	}
	out[n] = '}'
	return out[:n+1]
}

// copyWords copies src to the start of dst by whole words. Both must have eight
// bytes more than src is long.
func copyWords(dst, src []byte) {
	for k := 0; k < len(src); k += 8 {
		binary.LittleEndian.PutUint64(dst[k:], binary.LittleEndian.Uint64(src[k:k+8]))
	}
}

// appendEscaped appends a field as a JSON string.
func (p *csvParser) appendEscaped(dst []byte, f *csvField) []byte {
	if p.encoded(f) {
		p.buf = p.sep.appendText(p.buf[:0], p.record, *f)
		return event.AppendString(dst, p.buf)
	}
	return event.AppendString(dst, p.record[f.from:f.to])
}

// isNumber says whether b is a JSON number.
func isNumber(b []byte) bool {
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

// isShortNumber says whether the first size bytes of w, from 1 to 8, are a number
// without sign and exponent. Its slow twin is isNumber.
func isShortNumber(w uint64, size int) bool {
	unused := uint(64 - 8*size)
	x := w ^ ones*'0'
	m := ((x&^highs + ones*(0x80-10)) | x) & highs << unused >> unused // all but digits
	whole := size                                                      // digits before the point
	if m != 0 {
		whole = bits.TrailingZeros64(m) >> 3
		if m&(m-1) != 0 || byte(w>>(8*whole)) != '.' || whole == size-1 {
			return false
		}
	}
	return whole == 1 || whole > 1 && byte(w) != '0'
}

// skipDigits returns the index of the first byte from i on that is no digit.
func skipDigits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}
