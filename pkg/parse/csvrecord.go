package parse

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"logtools/pkg/event"
)

// separated is a format of records of fields, csv or tsv: the byte between the
// fields.
//
//	input  = { record ( LF | CR LF ) }          the last line end may be missing
//	record = field { separator field }
//	field  = text                               that does not begin with a quote
//	       | '"' { any byte but '"' | '""' } '"'
//
// That is RFC 4180, also for tsv:
//
//   - A quote counts only where a field begins, inside a field that began with
//     one, and there "" stands for one quote. In any other field it is text, and
//     so is a space before it.
//   - Between quotes separators and line ends are text, CR and LF as they are.
//   - After the closing quote comes a separator or the end of the record. Where
//     something else does, the record is bad; it is cut as if the rest of the
//     field were text, so the records behind it are not lost.
//
// tsv has escapes too (see unescape).
type separated byte

const (
	comma separated = ','
	tab   separated = '\t'
)

// whole is Format.Whole. Without quotes it is a search for the last line end.
func (s separated) whole(data []byte) int {
	end := 0           // of the whole records so far
	for text := 0; ; { // data[text:] begins outside quotes
		// The next field often begins with a quote too.
		q := text + 1
		if text >= len(data) || data[text] != byte(s) || q == len(data) || data[q] != '"' {
			if q = s.opening(data, text); q < 0 {
				q = len(data)
			}
			if k := bytes.LastIndexByte(data[text:q], '\n'); k >= 0 {
				end = text + k + 1
			}
			if q == len(data) {
				return end
			}
		}
		if text, _ = closing(data, q+1); text < 0 {
			return end
		}
		text++
	}
}

// next is Format.Next. A record that has no line end is all there is.
func (s separated) next(data []byte) int {
	end := -1          // of the line
	for text := 0; ; { // data[text:] begins outside quotes
		if text > end {
			if end = bytes.IndexByte(data[text:], '\n'); end < 0 {
				end = len(data)
			} else {
				end += text
			}
		}
		q := text + 1
		if q >= end || data[text] != byte(s) || data[q] != '"' {
			if q = s.opening(data[:end], text); q < 0 {
				return min(end+1, len(data))
			}
		}
		if text, _ = closing(data, q+1); text < 0 {
			return len(data)
		}
		text++
	}
}

// opening returns the index of the first quote from i on that begins a field, -1
// if there is none. data[i] is outside quotes; data[i-1] may be a closing quote.
func (s separated) opening(data []byte, i int) int {
	for {
		k := bytes.IndexByte(data[i:], '"')
		if k < 0 {
			return -1
		}
		i += k
		if i == 0 || data[i-1] == byte(s) || data[i-1] == '\n' {
			return i
		}
		i++
	}
}

// closing returns the index of the quote that closes the field whose text begins
// at i, -1 if there is none; doubled says whether there is "" in it.
func closing(data []byte, i int) (end int, doubled bool) {
	for {
		k := quoteFrom(data, i)
		if k+1 >= len(data) || data[k+1] != '"' {
			if k == len(data) {
				k = -1
			}
			return k, doubled
		}
		doubled = true
		i = k + 2
	}
}

// quoteFrom returns the index of the first quote from i on, len(data) if there is
// none. Most fields are so short that a call would take longer.
func quoteFrom(data []byte, i int) int {
	for range 4 {
		if i+8 > len(data) {
			break
		}
		if m := zeroBytes(binary.LittleEndian.Uint64(data[i:]) ^ ones*'"'); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		i += 8
	}
	if k := bytes.IndexByte(data[i:], '"'); k >= 0 {
		return i + k
	}
	return len(data)
}

// csvField is where the text of a field is in its record, the quotes around it
// left out.
type csvField struct {
	from, to int
	quotes   quotes
}

type quotes uint8

const (
	noQuotes quotes = iota
	inQuotes
	doubledQuotes // in quotes, with "" in the text
)

// split finds the fields of a record, which must be as many as fields has room
// for. The error is a *event.BadError. Its slow twin is records.
//
// It compares whole words, also some that reach beyond the record.
func (s separated) split(record []byte, fields []csvField) error {
	b := record[:cap(record)]
	pattern := ones * uint64(s)
	n, i := 0, 0
	for { // a field begins at i
		if i < len(record) && record[i] == '"' {
			end, doubled := closing(record, i+1)
			if end < 0 {
				return &event.BadError{Reason: "unterminated quote", Column: i + 1}
			}
			if end+1 < len(record) && record[end+1] != byte(s) {
				return &event.BadError{Reason: "unexpected text after a closing quote", Column: end + 2}
			}
			if n == len(fields) {
				return s.miscounted(record, len(fields))
			}
			f := &fields[n]
			f.from, f.to, f.quotes = i+1, end, inQuotes
			if doubled {
				f.quotes = doubledQuotes
			}
			n++
			if i = end + 2; i <= len(record) {
				continue
			}
			break
		}
		start := i
		if i, n = s.splitText(record, b, fields, start, n, pattern); n > len(fields) {
			return s.miscounted(record, len(fields))
		}
		if i > len(record) {
			break
		}
	}
	if n != len(fields) {
		return s.miscounted(record, len(fields))
	}
	return nil
}

// splitText finds the fields from start on up to one that begins with a quote,
// of which it returns the index, or to the end, for which it returns an index
// beyond it. n is the number of fields found so far, and then those found in
// all, more than there is room for if there are too many.
func (s separated) splitText(record, b []byte, fields []csvField, start, n int, pattern uint64) (int, int) {
	for i := start; i < len(record); i += 8 {
		// This finds every separator, and nothing else: each of the marks counts,
		// not only the first one.
		x := wordAt(b, i) ^ pattern
		m := ^((x&^highs + ^uint64(highs)) | x) & highs
		for ; m != 0; m &= m - 1 {
			k := i + bits.TrailingZeros64(m)>>3
			if k >= len(record) {
				break
			}
			if n >= len(fields) {
				return k, n + 1
			}
			f := &fields[n]
			f.from, f.to, f.quotes = start, k, noQuotes
			n++
			start = k + 1
			if start < len(record) && record[start] == '"' {
				return start, n
			}
		}
	}
	if n < len(fields) {
		f := &fields[n]
		f.from, f.to, f.quotes = start, len(record), noQuotes
	}
	return len(record) + 1, n + 1
}

// wordAt returns the eight bytes at i, with zeros behind the end of b.
func wordAt(b []byte, i int) uint64 {
	if uint(i)+8 <= uint(len(b)) {
		return binary.LittleEndian.Uint64(b[i:])
	}
	return lastWord(b, i)
}

// lastWord is wordAt near the end of b.
func lastWord(b []byte, i int) uint64 {
	var w uint64
	for k := len(b) - 1; k >= i; k-- {
		w = w<<8 | uint64(b[k])
	}
	return w
}

// miscounted says what is wrong with a record that has not as many fields as
// there are names. What is wrong with its quotes comes first.
func (s separated) miscounted(record []byte, names int) error {
	n, extra := 0, 0
	err := s.fields(record, func(f csvField) {
		if n++; n == names+1 {
			extra = f.from + 1
			if f.quotes != noQuotes {
				extra--
			}
		}
	})
	if err != nil {
		return err
	}
	plural := "s"
	if n == 1 {
		plural = ""
	}
	e := event.Bad("%d field%s, but the first line names %d", n, plural, names).(*event.BadError)
	e.Column = extra
	return e
}

// fields calls yield with each field of a record. It is what split does, however
// many fields there are, and its slow twin.
func (s separated) fields(record []byte, yield func(csvField)) error {
	for i := 0; i <= len(record); {
		f := csvField{from: i}
		if i < len(record) && record[i] == '"' {
			end, doubled := closing(record, i+1)
			if end < 0 {
				return &event.BadError{Reason: "unterminated quote", Column: i + 1}
			}
			f.from, f.to, f.quotes = i+1, end, inQuotes
			if doubled {
				f.quotes = doubledQuotes
			}
			if i = end + 1; i < len(record) && record[i] != byte(s) {
				return &event.BadError{Reason: "unexpected text after a closing quote", Column: i + 1}
			}
		} else {
			for i < len(record) && record[i] != byte(s) {
				i++
			}
			f.to = i
		}
		yield(f)
		i++
	}
	return nil
}
