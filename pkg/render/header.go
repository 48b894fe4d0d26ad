package render

import (
	"maps"
	"slices"

	"logtools/pkg/event"
)

// Header is the columns of an output in rows. It is made once, from the first
// value or from names, and never changes: all workers may use it at the same
// time.
type Header struct {
	dialect Dialect
	names   []string
	// scalar: the rows are single values, in one column named "value".
	scalar bool
	// first: the names are those of a first value, which others may not have; a
	// Table adds to them.
	first bool
	// index finds a column by name where there are too many to look at each; nil
	// if there are few.
	index map[string]int
}

// Dialect is a way to write a row as a line.
type Dialect uint8

const (
	// CSV is RFC 4180 with LF as line end.
	CSV Dialect = iota
	// TSV separates by tabs and escapes as jq's @tsv.
	TSV
)

// fewColumns is how many columns can be searched one by one, and how many fit
// the memory that a row out of order is sorted in without allocation.
const fewColumns = 32

// NewHeader returns the header that the first value decides on: the members of
// an object, in order, each once; of any other value one column, "value". An
// object without members is refused with a BadError: no column would be left.
func NewHeader(d Dialect, v event.Value) (*Header, error) {
	if v.Kind != event.Object {
		h := NamedHeader(d, "value")
		h.scalar = true
		return h, nil
	}
	var names []string
	seen := make(map[string]bool)
	for it := v.Members(); it.Next(); {
		name := string(it.Name.AppendText(nil))
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, event.Bad("an object without members makes no header")
	}
	h := NamedHeader(d, names...)
	h.first = true
	return h, nil
}

// NamedHeader returns the header of rows that are objects with these members.
// The names must differ.
func NamedHeader(d Dialect, names ...string) *Header {
	h := &Header{dialect: d, names: names}
	h.search()
	return h
}

// search prepares the search for names.
func (h *Header) search() {
	if h.index != nil || len(h.names) <= fewColumns {
		return
	}
	h.index = make(map[string]int, len(h.names))
	for i, name := range h.names {
		h.index[name] = i
	}
}

// clone returns a header of its own to add to.
func (h *Header) clone() *Header {
	c := *h
	c.names, c.index = slices.Clone(h.names), maps.Clone(h.index)
	return &c
}

// add adds a column at the end.
func (h *Header) add(name string) {
	h.names = append(h.names, name)
	if h.index != nil {
		h.index[name] = len(h.names) - 1
	}
	h.search()
}

// AppendHeader appends the line of names.
func (h *Header) AppendHeader(dst []byte) []byte {
	start := len(dst)
	for i, name := range h.names {
		if i > 0 {
			dst = append(dst, h.dialect.separator())
		}
		dst = h.dialect.appendField(dst, event.TextValue([]byte(name)))
	}
	return h.dialect.endRow(dst, start, len(h.names))
}

// AppendRow appends v as one row. A member that v does not have, and null, is an
// empty field; a nested value is its JSON text. On an error, which is a
// BadError, dst comes back as it was: v has a member that is not in the header,
// or is no object although the first value was one, or the reverse.
func (h *Header) AppendRow(dst []byte, v event.Value) ([]byte, error) {
	start := len(dst)
	if err := h.check(v); err != nil {
		return dst, err
	}
	if h.scalar {
		return h.dialect.endRow(h.dialect.appendField(dst, v), start, 1), nil
	}
	// Members mostly come in the header's order, perhaps with some left out, and
	// are then written at once.
	at := 0 // columns written
	for it := v.Members(); it.Next(); {
		col := h.columnFrom(at, &it)
		if col < 0 {
			return h.appendUnordered(dst[:start], v)
		}
		for ; at < col; at++ {
			if at > 0 {
				dst = append(dst, h.dialect.separator())
			}
		}
		if at > 0 {
			dst = append(dst, h.dialect.separator())
		}
		dst = h.dialect.appendField(dst, it.Value)
		at++
	}
	for ; at < len(h.names); at++ {
		if at > 0 {
			dst = append(dst, h.dialect.separator())
		}
	}
	return h.dialect.endRow(dst, start, len(h.names)), nil
}

// appendUnordered appends a row whose members come in another order than the
// header's, or repeatedly (the last one counts), or are not all in the header.
func (h *Header) appendUnordered(dst []byte, v event.Value) ([]byte, error) {
	start := len(dst)
	var few [fewColumns]event.Value
	row := few[:]
	if len(h.names) > len(few) {
		row = make([]event.Value, len(h.names))
	}
	row = row[:len(h.names)]
	if err := h.fill(row, v); err != nil {
		return dst, err
	}
	for i, f := range row {
		if i > 0 {
			dst = append(dst, h.dialect.separator())
		}
		dst = h.dialect.appendField(dst, f)
	}
	return h.dialect.endRow(dst, start, len(row)), nil
}

// check refuses a value of another sort than the one the header was made from.
func (h *Header) check(v event.Value) error {
	switch {
	case h.scalar && v.Kind == event.Object:
		return event.Bad("an object among single values: the header has one column, value")
	case !h.scalar && v.Kind != event.Object:
		return event.Bad("%s is no object with the members of the header", indefinite(v.Kind))
	}
	return nil
}

func indefinite(k event.Kind) string {
	switch k {
	case event.Missing, event.Null:
		return "null"
	case event.Array:
		return "an array"
	}
	return "a " + k.String()
}

// fill puts v's members into row, a Value per column, which must be all Missing.
func (h *Header) fill(row []event.Value, v event.Value) error {
	next := 0
	for it := v.Members(); it.Next(); {
		col := h.columnFrom(next, &it)
		if col < 0 {
			col = h.column(&it)
		}
		if col < 0 {
			return notInHeader(&it)
		}
		row[col] = it.Value
		next = col + 1
	}
	return nil
}

func notInHeader(it *event.Iter) error {
	return event.Bad("member %s is not in the header", it.Name.AppendJSON(nil))
}

// columnFrom returns the column of the member that it stands at if that is not
// before column from; -1 if it is, or if there is no such column.
func (h *Header) columnFrom(from int, it *event.Iter) int {
	if from < len(h.names) && it.NameIs(h.names[from]) {
		return from
	}
	if h.index != nil {
		if col := h.column(it); col >= from {
			return col
		}
		return -1
	}
	for col := from + 1; col < len(h.names); col++ {
		if it.NameIs(h.names[col]) {
			return col
		}
	}
	return -1
}

// column returns the column of the member that it stands at, -1 if it has none.
func (h *Header) column(it *event.Iter) int {
	if h.index != nil {
		var buf [64]byte
		scratch := buf[:0]
		if col, ok := h.index[string(it.Name.Text(&scratch))]; ok {
			return col
		}
		return -1
	}
	for col, name := range h.names {
		if it.NameIs(name) {
			return col
		}
	}
	return -1
}

func (d Dialect) separator() byte {
	if d == TSV {
		return '\t'
	}
	return ','
}

// appendField appends one value as a field.
func (d Dialect) appendField(dst []byte, v event.Value) []byte {
	switch v.Kind {
	case event.Missing, event.Null:
		return dst
	case event.False, event.True, event.Number:
		return v.AppendJSON(dst)
	}
	start := len(dst)
	dst = v.AppendText(dst)
	if d == TSV {
		return escapeTSV(dst, start)
	}
	return quoteCSV(dst, start)
}

// endRow ends the row that begins at start and has n fields.
func (d Dialect) endRow(dst []byte, start, n int) []byte {
	if d == CSV && n == 1 && len(dst) == start {
		// Readers skip a blank line, and with it the row: rather make null an
		// empty string.
		return append(dst, `""`...)
	}
	return dst
}
