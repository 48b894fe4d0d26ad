package render

import "math"

// appendBars draws a line for each row.
func (c *Chart) appendBars(dst []byte, look Look) []byte {
	t := c.table
	// A third is for the bars at least, if text can be cut so far.
	t.begin(look, look.Width-len(gap)-look.Width/3)
	aggs := len(t.columns) - c.groups
	b := newBars(c.values, aggs, look.Width-len(gap)-t.width())

	dst = append(t.appendNames(dst, look), '\n')
	for row := range t.rows() {
		line := len(dst)
		dst = append(t.appendRow(dst, row, look, true), gap...)
		ink := inkCyan
		if c.groups > 0 {
			ink = inkOf(t.field(row, c.groups-1))
		}
		dst = b.append(dst, c.values[row*aggs], ink, look)
		dst = append(trimBlanks(dst, line), '\n')
	}
	return dst
}

// bars is the place where bars are drawn: so many cells to the left and to the
// right of zero, with a line between them if both are there.
type bars struct {
	left, right int
	low, high   float64 // the values that fill them
}

// newBars divides width cells among the first of each n values.
func newBars(values []float64, n, width int) bars {
	var b bars
	for i := 0; i < len(values); i += n {
		if v := values[i]; !math.IsNaN(v) {
			b.low, b.high = min(b.low, v), max(b.high, v)
		}
	}
	if width < 3 {
		return b // no room
	}
	if b.low < 0 {
		width-- // the zero line
	}
	b.left = share(width, -b.low, b.high)
	b.right = width - b.left
	return b
}

// share returns the part of n that falls to a when a and b, which are not
// negative, share it. Both get at least 1 if they are not 0; n is at least 2.
func share(n int, a, b float64) int {
	switch {
	case a == 0:
		return 0
	case b == 0:
		return n
	}
	// a+b may be too large for a float64.
	part := int(math.Round(float64(n) * (a / 2 / (a/2 + b/2))))
	return min(max(part, 1), n-1)
}

// append appends the bar for v, in the colour ink if v is positive; nothing for
// what is no number.
func (b *bars) append(dst []byte, v float64, ink string, look Look) []byte {
	if b.left > 0 {
		cells, half := 0, false
		if v < 0 {
			// Terminals have the right half of a cell and nothing finer.
			halves := (eighths(v, b.low, b.left) + 3) / 4
			cells, half = halves/2, halves%2 > 0
		}
		blanks := b.left - cells
		if half {
			blanks--
		}
		dst = appendBlanks(dst, blanks)
		if blanks < b.left {
			dst = look.on(dst, inkRed)
			if half {
				dst = append(dst, look.pick("▐", "#")...)
			}
			dst = look.off(appendCells(dst, look.pick("█", "#"), cells))
		}
		dst = look.on(dst, inkDim)
		dst = look.off(append(dst, look.pick("│", "|")...))
	}
	if v > 0 && b.right > 0 {
		n := eighths(v, b.high, b.right)
		dst = look.on(dst, ink)
		dst = appendCells(dst, look.pick("█", "#"), n/8)
		dst = look.off(append(dst, look.part(&fromLeft, n%8, n < 8)...))
	}
	return dst
}

// eighths returns how many eighths of a cell v takes if top takes so many cells:
// at least one, so that nothing is taken for zero. Both have the same sign.
func eighths(v, top float64, cells int) int {
	return max(int(math.Round(v/top*float64(8*cells))), 1)
}

// Parts of a cell, in eighths, filled from the left and from below.
var (
	fromLeft  = [8]string{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"}
	fromBelow = [8]string{"", "▁", "▂", "▃", "▄", "▅", "▆", "▇"}
)

// part returns n eighths of a cell, from 0 to 7, as they end a bar. ASCII has a
// whole cell for a half or more; only makes it one for anything.
func (l *Look) part(parts *[8]string, n int, only bool) string {
	switch {
	case !l.ASCII:
		return parts[n]
	case n >= 4 || n > 0 && only:
		return "#"
	}
	return ""
}

// pick returns what to draw with.
func (l *Look) pick(unicode, ascii string) string {
	if l.ASCII {
		return ascii
	}
	return unicode
}

// on begins a colour, off ends it.
func (l *Look) on(dst []byte, ink string) []byte {
	if l.Color {
		dst = append(dst, ink...)
	}
	return dst
}

func (l *Look) off(dst []byte) []byte { return l.on(dst, colorOff) }

func appendCells(dst []byte, cell string, n int) []byte {
	for ; n > 0; n-- {
		dst = append(dst, cell...)
	}
	return dst
}
