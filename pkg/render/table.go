package render

import (
	"bytes"
	"unicode/utf8"

	"logtools/pkg/event"
)

// Table collects rows and writes them as aligned columns (-o table). It keeps
// all rows, as text, until they are written: about their size as CSV plus 16
// bytes per field. It is not safe for concurrent use.
type Table struct {
	h       *Header
	columns []column
	arena   []byte // the fields of all rows, one after the other
	cells   []cell // row by row
	row     []event.Value
}

type column struct {
	width   int
	numbers int // fields that are numbers
	texts   int // fields that are neither numbers nor null
}

// rightAligned: a column of numbers, perhaps with nulls among them.
func (c *column) rightAligned() bool { return c.numbers > 0 && c.texts == 0 }

type cell struct {
	end   int // in the arena; it begins where the one before ends
	width int // terminal cells
}

// Look is how a table is to be written. The zero value is plain and as wide as
// its contents.
type Look struct {
	// Width is the width of the terminal in cells: columns of text are cut, the
	// widest first, until the table fits, if it can. 0: nothing is cut.
	Width int
	// Color sets off the line of names.
	Color bool
}

// NewTable returns an empty table with h's columns; h's dialect does not matter.
func NewTable(h *Header) *Table {
	return &Table{h: h, columns: make([]column, len(h.names)), row: make([]event.Value, len(h.names))}
}

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
		switch f.Kind {
		case event.Missing: // blank
		case event.Null:
			t.arena = f.AppendJSON(t.arena)
		case event.Number:
			c.numbers++
			t.arena = f.AppendJSON(t.arena)
		default:
			c.texts++
			t.arena = appendPrintable(t.arena, f)
		}
		w := textWidth(t.arena[start:])
		c.width = max(c.width, w)
		t.cells = append(t.cells, cell{end: len(t.arena), width: w})
	}
	return nil
}

const (
	headOn  = "\x1b[1;4m" // bold, underlined
	headOff = "\x1b[0m"
	gap     = "  "
	// minText is what is left of a column of text at least when it is cut.
	minText = 8
)

// AppendTo appends the table: the line of names, then the rows, each with its
// '\n' and without blanks at its end. Nothing in it can drive the terminal but
// what look asks for.
func (t *Table) AppendTo(dst []byte, look Look) []byte {
	names := make([][]byte, len(t.columns))
	widths := make([]int, len(t.columns))
	for i := range t.columns {
		names[i] = appendPrintable(nil, event.TextValue([]byte(t.h.names[i])))
		widths[i] = max(t.columns[i].width, textWidth(names[i]))
	}
	if look.Width > 0 {
		t.fit(widths, look.Width)
	}

	for i, name := range names {
		if i > 0 {
			dst = append(dst, gap...)
		}
		if look.Color {
			dst = append(dst, headOn...)
		}
		dst = t.appendCell(dst, i, name, textWidth(name), widths[i])
		if look.Color {
			dst = append(dst, headOff...)
		}
	}
	dst = append(dst, '\n')

	start := 0
	for at := 0; at < len(t.cells); at += len(widths) {
		line := len(dst)
		for i, c := range t.cells[at : at+len(widths)] {
			if i > 0 {
				dst = append(dst, gap...)
			}
			dst = t.appendCell(dst, i, t.arena[start:c.end], c.width, widths[i])
			start = c.end
		}
		dst = append(dst[:line], bytes.TrimRight(dst[line:], " ")...)
		dst = append(dst, '\n')
	}
	return dst
}

// appendCell appends one field of column i, cells wide, on width cells.
func (t *Table) appendCell(dst []byte, i int, text []byte, cells, width int) []byte {
	ellipsis := cells > width
	if ellipsis {
		text, cells = cut(text, width-1)
		cells++
	}
	right := t.columns[i].rightAligned()
	if right {
		dst = appendBlanks(dst, width-cells)
	}
	dst = append(dst, text...)
	if ellipsis {
		dst = append(dst, "…"...)
	}
	if !right && i < len(t.columns)-1 {
		dst = appendBlanks(dst, width-cells)
	}
	return dst
}

func appendBlanks(dst []byte, n int) []byte {
	for ; n > 0; n-- {
		dst = append(dst, ' ')
	}
	return dst
}

// fit makes the widest columns of text narrower, none below minText, until the
// line is at most total cells wide. Numbers are never cut: a cut number is
// another number.
func (t *Table) fit(widths []int, total int) {
	sum := len(gap) * (len(widths) - 1)
	widest := 0
	for i, w := range widths {
		sum += w
		if !t.columns[i].rightAligned() {
			widest = max(widest, w)
		}
	}
	// The largest limit for all columns of text under which the line fits.
	over := func(limit int) int {
		n := sum - total
		for i, w := range widths {
			if w > limit && !t.columns[i].rightAligned() {
				n -= w - limit
			}
		}
		return n
	}
	low, high := min(minText, widest), widest
	for low < high {
		mid := (low + high + 1) / 2
		if over(mid) <= 0 {
			low = mid
		} else {
			high = mid - 1
		}
	}
	for i := range widths {
		if !t.columns[i].rightAligned() {
			widths[i] = min(widths[i], low)
		}
	}
}

// appendPrintable appends the text of v with everything escaped that could drive
// the terminal or change how the rest of the line is shown: control characters,
// line ends, and the controls of the writing direction. A backslash is left as
// it is: this is for reading, not for reading back.
func appendPrintable(dst []byte, v event.Value) []byte {
	start := len(dst)
	dst = v.AppendText(dst)
	for _, c := range dst[start:] {
		// Everything to be escaped is a control character or begins with a byte
		// from 0x80 on.
		if c < 0x20 || c >= 0x7f {
			text := bytes.Clone(dst[start:])
			return escapeControls(dst[:start], text)
		}
	}
	return dst
}

func escapeControls(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			dst = utf8.AppendRune(dst, r)
		case !drivesTerminal(r):
			dst = append(dst, text[i:i+size]...)
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		default:
			const hex = "0123456789abcdef"
			dst = append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		}
		i += size
	}
	return dst
}

// drivesTerminal: C0, DEL, C1; line and paragraph separator; marks, embeddings,
// overrides and isolates of the writing direction. All are below U+10000.
func drivesTerminal(r rune) bool {
	return r < 0x20 || 0x7f <= r && r < 0xa0 ||
		r == 0x61c || r == 0x200e || r == 0x200f ||
		0x2028 <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069
}
