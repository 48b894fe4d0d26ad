package render

import (
	"bytes"

	"logtools/pkg/event"
)

// Table writes rows as aligned columns (-o table). It keeps rows, as text, until
// AppendTo writes them: about their size as CSV plus 16 bytes per field. It is
// not safe for concurrent use.
//
// A table that is wanted in one piece is written by one AppendTo after the last
// Add. For a stream of rows, AppendTo is called whenever Full says so (or the
// input pauses), and at the end.
type Table struct {
	h       *Header
	columns []column
	arena   []byte // the fields of the rows to be written, one after the other
	cells   []cell // row by row
	row     []event.Value
	humane  int // the first column whose numbers are shortened
	begun   bool
}

type column struct {
	name    []byte // printable
	width   int    // of the widest field; once begun, that of the column
	number  int    // of the widest number
	numbers int    // fields that are numbers
	texts   int    // fields that are neither numbers nor null
	// Decided when the table is begun:
	right bool // aligned at the right
	end   int  // the cells of the line up to the column's end
}

type cell struct {
	end   int   // in the arena; it begins where the one before ends
	width int32 // terminal cells; lines are much shorter than 2 GiB
	text  bool  // no number: may be cut
}

// Look is how rows are to be shown on a terminal. The zero value is plain.
type Look struct {
	// Width is the width of the terminal in cells. Columns of text are cut, the
	// widest first, until a table fits, if it can. 0: nothing is cut.
	Width int
	// Color uses the colours of the terminal.
	Color bool
	// ASCII draws with nothing but ASCII. Data stays as it is.
	ASCII bool
}

// After so many rows, or bytes of them, the widths of the columns of a stream
// are decided.
const (
	fullRows  = 1000
	fullBytes = 1 << 20
)

// NewTable returns an empty table with h's columns; h's dialect does not matter.
func NewTable(h *Header) *Table {
	t := &Table{h: h, columns: make([]column, len(h.names)), row: make([]event.Value, len(h.names)), humane: len(h.names)}
	for i, name := range h.names {
		t.columns[i].name = appendPrintable(nil, event.TextValue([]byte(name)))
	}
	return t
}

// Humane makes the table shorten the numbers of its columns from column first
// on, counted from 0: 12345678 becomes 12.3M. It comes before the first Add.
func (t *Table) Humane(first int) { t.humane = first }

// Add adds v as the next row, copying it. What it refuses with a BadError is
// what Header.AppendRow refuses, and it adds nothing then.
func (t *Table) Add(v event.Value) error {
	if err := t.h.check(v); err != nil {
		return err
	}
	clear(t.row)
	if t.h.scalar {
		t.row[0] = v
	} else if err := t.h.fill(t.row, v); err != nil {
		return err
	}
	for i, f := range t.row {
		c := &t.columns[i]
		start := len(t.arena)
		text := false
		switch f.Kind {
		case event.Missing: // blank
		case event.Null:
			t.arena = f.AppendJSON(t.arena)
		case event.Number:
			c.numbers++
			if i >= t.humane {
				t.arena = appendHumane(t.arena, f)
			} else {
				t.arena = f.AppendJSON(t.arena)
			}
		default:
			c.texts++
			text = true
			t.arena = appendPrintable(t.arena, f)
		}
		w := textWidth(t.arena[start:])
		if !t.begun {
			c.width = max(c.width, w)
			if !text {
				c.number = max(c.number, w)
			}
		}
		t.cells = append(t.cells, cell{end: len(t.arena), width: int32(w), text: text})
	}
	return nil
}

// Full says that enough rows are there to write them: the first thousand or the
// first MiB decide the widths of the columns, after that each row.
func (t *Table) Full() bool {
	return t.begun && len(t.cells) > 0 || t.rows() >= fullRows || len(t.arena) >= fullBytes
}

const (
	headOn  = "\x1b[1;4m" // bold, underlined
	headOff = "\x1b[0m"
	gap     = "  "
	// minText is what is left of a column of text at least when it is cut.
	minText = 8
)

// AppendTo appends the rows added since the last call, each with its '\n' and
// without blanks at its end, and forgets them. Nothing in it can drive the
// terminal but what look asks for.
//
// The first call writes the line of names before them and decides the widths of
// the columns. Of a later row that does not fit, text is cut if look has a
// width, else the columns after it are shifted; numbers are never cut.
func (t *Table) AppendTo(dst []byte, look Look) []byte {
	if !t.begun {
		t.begin(look)
		dst = append(t.appendNames(dst, look), '\n')
	}
	for row := range t.rows() {
		line := len(dst)
		dst = t.appendRow(dst, row, look, false)
		dst = append(trimBlanks(dst, line), '\n')
	}
	t.arena, t.cells = t.arena[:0], t.cells[:0]
	return dst
}

// begin decides alignment and width of the columns.
func (t *Table) begin(look Look) {
	t.begun = true
	for i := range t.columns {
		c := &t.columns[i]
		c.right = c.numbers > 0 && c.texts == 0
		c.width = max(c.width, textWidth(c.name))
		if c.right {
			c.number = c.width // also the name of numbers is not cut
		}
	}
	if look.Width > 0 {
		t.fit(look.Width)
	}
	end := -len(gap)
	for i := range t.columns {
		end += len(gap) + t.columns[i].width
		t.columns[i].end = end
	}
}

// field returns the text of a field of a row that is still there.
func (t *Table) field(row, column int) []byte {
	i := row*len(t.columns) + column
	start := 0
	if i > 0 {
		start = t.cells[i-1].end
	}
	return t.arena[start:t.cells[i].end]
}

// width returns the cells that the columns take together, with what is between
// them.
func (t *Table) width() int {
	n := max(0, len(gap)*(len(t.columns)-1))
	for i := range t.columns {
		n += t.columns[i].width
	}
	return n
}

func (t *Table) rows() int {
	if len(t.columns) == 0 {
		return 0
	}
	return len(t.cells) / len(t.columns)
}

func (t *Table) appendNames(dst []byte, look Look) []byte {
	used := 0
	for i := range t.columns {
		name := t.columns[i].name
		c := cell{width: int32(textWidth(name)), text: true}
		dst, used = appendGap(dst, i, used)
		dst = look.on(dst, headOn)
		dst, used = t.appendCell(dst, i, used, name, c, look, false)
		dst = look.on(dst, headOff)
	}
	return dst
}

// appendRow appends a row without its line end; all says that the last column is
// filled up with blanks too.
func (t *Table) appendRow(dst []byte, row int, look Look, all bool) []byte {
	used := 0
	for i := range t.columns {
		dst, used = appendGap(dst, i, used)
		dst, used = t.appendCell(dst, i, used, t.field(row, i), t.cells[row*len(t.columns)+i], look, all)
	}
	return dst
}

func appendGap(dst []byte, i, used int) ([]byte, int) {
	if i == 0 {
		return dst, used
	}
	return append(dst, gap...), used + len(gap)
}

// trimBlanks takes the blanks off the end of the line that begins at start.
func trimBlanks(dst []byte, start int) []byte {
	return dst[:start+len(bytes.TrimRight(dst[start:], " "))]
}

// appendCell appends one field of column i to a line that has used cells, and
// returns how many it has then. What does not fit moves what follows, as far as
// there are no blanks to make up for it.
func (t *Table) appendCell(dst []byte, i, used int, text []byte, c cell, look Look, all bool) ([]byte, int) {
	column := &t.columns[i]
	cells, room := int(c.width), column.end-used
	end := ""
	free := i == len(t.columns)-1 && !column.right && !all // nothing comes after it
	if c.text && look.Width > 0 {
		most := max(room, min(minText, cells))
		if free {
			most = max(most, look.Width-used)
		}
		if cells > most {
			text, cells = cut(text, most-1)
			cells++
			end = look.ellipsis()
		}
	}
	if column.right {
		dst = appendBlanks(dst, room-cells)
	}
	dst = append(append(dst, text...), end...)
	if !column.right && !free {
		dst = appendBlanks(dst, room-cells)
	}
	if !free {
		cells = max(cells, room)
	}
	return dst, used + cells
}

// ellipsis is what stands, one cell wide, where text was cut.
func (l *Look) ellipsis() string {
	if l.ASCII {
		return "~"
	}
	return "…"
}

func appendBlanks(dst []byte, n int) []byte {
	for ; n > 0; n-- {
		dst = append(dst, ' ')
	}
	return dst
}

// fit makes the widest columns of text narrower, none below minText or a number
// in it, until the line is at most total cells wide. Numbers are never cut: a
// cut number is another number.
func (t *Table) fit(total int) {
	// under is the width of a column if text may take limit cells.
	under := func(c *column, limit int) int { return min(c.width, max(limit, minText, c.number)) }
	excess := t.width() - total
	fits := func(limit int) bool {
		saved := 0
		for i := range t.columns {
			saved += t.columns[i].width - under(&t.columns[i], limit)
		}
		return saved >= excess
	}
	// The largest limit under which the line fits.
	low, high := minText, minText
	for i := range t.columns {
		high = max(high, t.columns[i].width)
	}
	for low < high {
		if mid := (low + high + 1) / 2; fits(mid) {
			low = mid
		} else {
			high = mid - 1
		}
	}
	for i := range t.columns {
		t.columns[i].width = under(&t.columns[i], low)
	}
}
