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
	plain  bool   // nothing in record needs an escape
	buf    []byte // a decoded field
	last   []byte // a copy of the last record of a block
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
	case event.IsNumber(b):
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
	// Pieces of fixed size are moved (see put), so there must be some bytes behind
	// what is read and what is written.
	b := record[:cap(record)]
	if len(b)-len(record) < chunk {
		p.last = append(append(p.last[:0], record...), make([]byte, chunk)...)
		b = p.last
	}
	h := p.head
	// For each field there are quotes or null besides. Escapes are longer, but then
	// room is made again.
	room := h.size + len(record) + 4*len(p.fields) + chunk
	dst = slices.Grow(dst, room)
	d, n := dst[:cap(dst)], len(dst)
	for i := range p.fields {
		f := &p.fields[i]
		n = put(d, n, h.text, h.prefix[i])
		size := f.to - f.from
		if size == 0 && f.quotes == noQuotes || p.sep == tab && p.isNull(f) {
			n = putName(d, n, "null")
			continue
		}
		text := span{f.from, f.to}
		if c := b[f.from]; c-'0' <= 9 || c == '-' {
			if size <= 8 && isShortNumber(binary.LittleEndian.Uint64(b[f.from:]), size) || event.IsNumber(b[f.from:f.to]) {
				n = put(d, n, b, text)
				continue
			}
		}
		if !p.plain && !isPlain(b[f.from:f.to]) {
			dst = slices.Grow(p.appendEscaped(d[:n], f), room)
			d, n = dst[:cap(dst)], len(dst)
			continue
		}
		d[n] = '"'
		n = put(d, n+1, b, text)
		d[n] = '"'
		n++
	}
	d[n] = '}'
	return d[:n+1]
}

// appendEscaped appends a field as a JSON string.
func (p *csvParser) appendEscaped(dst []byte, f *csvField) []byte {
	if p.encoded(f) {
		p.buf = p.sep.appendText(p.buf[:0], p.record, *f)
		return event.AppendString(dst, p.buf)
	}
	return event.AppendString(dst, p.record[f.from:f.to])
}

// isShortNumber says whether the first size bytes of w, from 1 to 8, are a number
// without sign and exponent. Its slow twin is event.IsNumber.
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
