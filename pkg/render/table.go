package render

import (
	"bytes"
	"math"
	"slices"
	"strconv"

	"logtools/pkg/event"
)

// Table writes rows as aligned columns (-o table). It keeps rows, as text, until
// AppendTo writes them: about their size as CSV plus 24 bytes per field and 8
// per row. It is not safe for concurrent use.
//
// A table that is wanted in one piece is written by one AppendTo after the last
// Add. For a stream of rows, AppendTo is called whenever Full says so (or the
// input pauses), and at the end.
//
// If the header was made from a first value, the rows that decide the widths of
// the columns also decide which there are: members that come up in them get
// columns of their own, in the order in which they appear.
type Table struct {
	h       *Header // the table's own
	columns []column
	arena   []byte // the fields of the rows to be written, one after the other
	cells   []cell // row by row; none for what is missing
	ends    []int  // of the rows, in cells
	row     []event.Value
	humane  int // the first column whose numbers are shortened
	begun   bool
	// Decided when it is begun:
	least int    // what is left at least of text that is cut
	shown int    // columns
	rest  []byte // how many others there are, as the line of names says it
}

type column struct {
	name    []byte // printable
	width   int    // of the widest field; once begun, that of the column
	whole   int    // of the widest field that may not be cut
	numbers int    // fields that are numbers
	texts   int    // fields that are neither numbers nor null
	// Decided when the table is begun:
	right bool // aligned at the right
	end   int  // the cells of the line up to the column's end
}

// cell is a field that is there.
type cell struct {
	end    int   // in the arena; it begins where the one before ends
	column int32 // in ascending order; fewer than a line has bytes
	width  int32 // terminal cells; lines are much shorter than 2 GiB
	cuts   bool  // may be cut: neither a number nor a time
}

// Look is how rows are to be shown on a terminal. The zero value is plain.
type Look struct {
	// Width is the width of the terminal in cells, which no line exceeds if it is
	// at least 12. Columns of text are cut, the widest first and none below ten
	// cells, until a table fits; of too many columns the last are left out, and
	// the line of names says how many. Numbers and times are never cut.
	// 0: nothing is cut or left out.
	Width int
	// Color uses the colours of the terminal.
	Color bool
	// ASCII draws with nothing but ASCII. Data stays as it is.
	ASCII bool
}

// After so many rows, or bytes or fields of them, the columns of a stream and
// their widths are decided.
const (
	fullRows  = 1000
	fullBytes = 1 << 20
	fullCells = 1 << 17
)

// NewTable returns an empty table with h's columns; h's dialect does not matter.
func NewTable(h *Header) *Table {
	t := &Table{h: h, humane: math.MaxInt}
	if h.first {
		t.h = h.clone()
	}
	t.addColumns()
	return t
}

// addColumns makes the columns that the header has more than the table.
func (t *Table) addColumns() {
	for _, name := range t.h.names[len(t.columns):] {
		t.columns = append(t.columns, column{name: appendPrintable(nil, event.TextValue([]byte(name)))})
		t.row = append(t.row, event.Value{})
	}
}

// Humane makes the table shorten the numbers of its columns from column first
// on, counted from 0: 12345678 becomes 12.3M. It comes before the first Add.
func (t *Table) Humane(first int) { t.humane = first }

// Add adds v as the next row, copying it. What it refuses with a BadError is
// what Check refuses, and it adds nothing then.
func (t *Table) Add(v event.Value) error {
	if err := t.h.check(v); err != nil {
		return err
	}
	clear(t.row)
	if t.h.scalar {
		t.row[0] = v
	} else if err := t.h.fill(t.row, v); err != nil {
		if !t.open() {
			return err
		}
		t.learn(v)
		clear(t.row)
		if err := t.h.fill(t.row, v); err != nil {
			return err
		}
	}
	for i, f := range t.row {
		if f.Kind != event.Missing {
			t.addCell(i, f)
		}
	}
	t.ends = append(t.ends, len(t.cells))
	return nil
}

// Check says whether Add would refuse v: what is no object though the header is
// of objects, or the reverse; and, once the columns are decided, a member that
// is none of them.
func (t *Table) Check(v event.Value) error {
	if err := t.h.check(v); err != nil || t.h.scalar || t.open() {
		return err
	}
	for it := v.Members(); it.Next(); {
		if t.h.column(&it) < 0 {
			return notInHeader(&it)
		}
	}
	return nil
}

// learn adds the columns of v's members that have none.
func (t *Table) learn(v event.Value) {
	for it := v.Members(); it.Next(); {
		if t.h.column(&it) < 0 {
			t.h.add(string(it.Name.AppendText(nil)))
		}
	}
	t.addColumns()
}

// open says that columns may still be added. (Not only until they are written:
// many rows may be added before, and each could have a member of its own.)
func (t *Table) open() bool { return t.h.first && !t.begun && !t.Full() }

// addCell adds the field f of column i.
func (t *Table) addCell(i int, f event.Value) {
	c := &t.columns[i]
	start := len(t.arena)
	cuts := false
	switch f.Kind {
	case event.Null:
		t.arena = f.AppendJSON(t.arena)
	case event.Number:
		c.numbers++
		if i >= t.humane {
			t.arena = appendHumane(t.arena, f)
		} else {
			t.arena = f.AppendJSON(t.arena)
		}
	case event.String:
		c.texts++
		t.arena = appendPrintable(t.arena, f)
		cuts = !isTime(t.arena[start:])
	default:
		c.texts++
		cuts = true
		t.arena = appendCompact(t.arena, f, nil)
	}
	w := textWidth(t.arena[start:])
	if !t.begun {
		c.width = max(c.width, w)
		if !cuts {
			c.whole = max(c.whole, w)
		}
	}
	t.cells = append(t.cells, cell{end: len(t.arena), column: int32(i), width: int32(w), cuts: cuts})
}

// Full says that enough rows are there to write them: the first thousand, the
// first MiB or 131072 fields decide the columns, after that each row.
func (t *Table) Full() bool {
	return t.begun && t.rows() > 0 || t.rows() >= fullRows || len(t.arena) >= fullBytes || len(t.cells) >= fullCells
}

const (
	headOn  = "\x1b[1;4m" // bold, underlined
	headOff = "\x1b[0m"
	gap     = "  "
	// leastText is what is left at least of text that is cut: of less, neither
	// names nor values can be told apart.
	leastText = 10
	// leastTable is how narrow a table can be: it has room for a few cells of the
	// first column and for the number of the others.
	leastTable = 12
)

// AppendTo appends the rows added since the last call, each with its '\n' and
// without blanks at its end, and forgets them. Nothing in it can drive the
// terminal but what look asks for.
//
// The first call writes the line of names before them and decides the columns.
// Where a later row does not fit the columns after it are shifted; if look has a
// width text is cut, and a field for which then no room is left is left out with
// what follows it, which an ellipsis shows. Numbers and times are never cut: a cut
// number is another number.
func (t *Table) AppendTo(dst []byte, look Look) []byte {
	if look.Width > 0 {
		look.Width = max(look.Width, leastTable)
	}
	if !t.begun {
		t.begin(look, look.Width)
		dst = append(t.appendNames(dst, look), '\n')
	}
	for row := range t.rows() {
		line := len(dst)
		dst = t.appendRow(dst, row, look, false)
		dst = append(trimBlanks(dst, line), '\n')
	}
	t.arena, t.cells, t.ends = t.arena[:0], t.cells[:0], t.ends[:0]
	return dst
}

// begin decides which columns are shown, in look.Width, and their alignment and
// width, if possible so that they take no more than width cells.
func (t *Table) begin(look Look, width int) {
	t.begun = true
	widths := make([]int, len(t.columns))
	for i := range t.columns {
		c := &t.columns[i]
		c.right = c.numbers > 0 && c.texts == 0
		c.width = max(c.width, textWidth(c.name))
		widths[i] = c.width
	}
	t.shown = len(t.columns)
	t.least = leastText
	if total := look.Width; total > 0 && !t.fit(width, true) && !t.fit(total, true) && !t.fit(total, false) {
		t.leaveOut(look, widths)
	}
	end := -len(gap)
	for i := range t.columns[:t.shown] {
		end += len(gap) + t.columns[i].width
		t.columns[i].end = end
	}
}

// leaveOut leaves out the last columns, but not the first, until the others fit;
// widths are what they would like.
func (t *Table) leaveOut(look Look, widths []int) {
	width := t.width()
	for width > look.Width && t.shown > 1 {
		t.shown--
		if len(t.rest) > 0 {
			width -= len(gap) + textWidth(t.rest)
		}
		t.rest = append(append(t.rest[:0], look.ellipsis()...), '+')
		t.rest = strconv.AppendInt(t.rest, int64(len(t.columns)-t.shown), 10)
		width += textWidth(t.rest) - t.columns[t.shown].width
	}
	if c := &t.columns[0]; width > look.Width {
		c.width -= width - look.Width
		t.least = min(t.least, c.width)
		return
	}
	// The last one left out may have been wide: the others share its room.
	for i := range t.columns[:t.shown] {
		t.columns[i].width = widths[i]
	}
	if total := look.Width - len(gap) - textWidth(t.rest); !t.fit(total, true) {
		t.fit(total, false)
	}
}

// lookup returns a field of a row that is still there; false if it is missing.
func (t *Table) lookup(row, column int) (text []byte, c cell, ok bool) {
	start := t.rowStart(row)
	i, ok := slices.BinarySearchFunc(t.cells[start:t.ends[row]], column, func(c cell, column int) int { return int(c.column) - column })
	if !ok {
		return nil, cell{cuts: true}, false
	}
	return t.text(start + i), t.cells[start+i], true
}

// field is the text of a field of a row that is still there.
func (t *Table) field(row, column int) []byte {
	text, _, _ := t.lookup(row, column)
	return text
}

// text returns the text of a cell.
func (t *Table) text(i int) []byte {
	start := 0
	if i > 0 {
		start = t.cells[i-1].end
	}
	return t.arena[start:t.cells[i].end]
}

// rowStart returns the place in cells where a row begins.
func (t *Table) rowStart(row int) int {
	if row == 0 {
		return 0
	}
	return t.ends[row-1]
}

// width returns the cells that the shown columns take together, with what is between
// them.
func (t *Table) width() int {
	n := max(0, len(gap)*(t.shown-1))
	for i := range t.columns[:t.shown] {
		n += t.columns[i].width
	}
	return n
}

func (t *Table) rows() int { return len(t.ends) }

func (t *Table) appendNames(dst []byte, look Look) []byte {
	used := 0
	for i := range t.columns[:t.shown] {
		name := t.columns[i].name
		c := cell{width: int32(textWidth(name)), cuts: true}
		dst, used = appendGap(dst, i, used)
		dst = look.on(dst, headOn)
		dst, used = t.appendCell(dst, i, used, name, c, look, false)
		dst = look.on(dst, headOff)
	}
	if len(t.rest) > 0 {
		dst = append(append(dst, gap...), t.rest...)
	}
	return dst
}

// appendRow appends a row without its line end; all says that the last column is
// filled up with blanks too.
func (t *Table) appendRow(dst []byte, row int, look Look, all bool) []byte {
	used := 0
	start := len(dst)
	fits := start // up to here there is room for an ellipsis
	next, end := t.rowStart(row), t.ends[row]
	for i := range t.columns[:t.shown] {
		if next == end && !all {
			break
		}
		dst, used = appendGap(dst, i, used)
		if next < end && int(t.cells[next].column) == i {
			dst, used = t.appendCell(dst, i, used, t.text(next), t.cells[next], look, all)
			next++
		} else {
			dst, used = t.appendCell(dst, i, used, nil, cell{cuts: true}, look, all)
		}
		if look.Width > 0 && used > look.Width {
			if dst = dst[:fits]; fits > start {
				dst = append(dst, gap...) // or it would seem to be a number that is cut
			}
			return append(dst, look.ellipsis()...)
		}
		if used+len(gap)+1 <= look.Width {
			fits = len(dst)
		}
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
	if c.cuts && look.Width > 0 {
		most := max(room, min(t.least, cells))
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

// fit makes the widest columns of text narrower, none below what is to be left or
// a number or time in it, until the line is at most total cells wide, and says whether
// it is. The names of numbers count as text unless they are to be kept whole.
func (t *Table) fit(total int, names bool) bool {
	// under is the width of a column if text may take limit cells.
	under := func(c *column, limit int) int {
		if names && c.right {
			return c.width
		}
		return min(c.width, max(limit, t.least, c.whole))
	}
	excess := t.width() - total
	fits := func(limit int) bool {
		saved := 0
		for i := range t.columns[:t.shown] {
			saved += t.columns[i].width - under(&t.columns[i], limit)
		}
		return saved >= excess
	}
	// The largest limit under which the line fits.
	low, high := t.least, t.least
	for i := range t.columns[:t.shown] {
		high = max(high, t.columns[i].width)
	}
	for low < high {
		if mid := (low + high + 1) / 2; fits(mid) {
			low = mid
		} else {
			high = mid - 1
		}
	}
	done := fits(low)
	for i := range t.columns[:t.shown] {
		t.columns[i].width = under(&t.columns[i], low)
	}
	return done
}
