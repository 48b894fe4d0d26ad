package render

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strconv"
)

// series is one aggregate of one value of the further group columns over time.
type series struct {
	label  []byte // of the group; printable
	ink    string
	values []float64 // per column; NaN: there is none
	// The smallest and the largest value, or 0 if that is.
	low, high float64
}

// appendColumns draws the aggregates over time.
func (c *Chart) appendColumns(dst []byte, look Look) []byte {
	all, groupOf := c.groupSeries()
	d := drawing{Look: look, height: 1}
	switch n := len(all); {
	case n == 1:
		d.height = 10
	case n <= 3:
		d.height = 5
	case n <= 6:
		d.height = 3
	}
	for i := range all {
		d.labelWidth = max(d.labelWidth, textWidth(all[i].label))
	}
	d.labelWidth = min(d.labelWidth, look.Width/4)

	// What is summed up may need more room than what there is of it now; nothing
	// needs more than ten cells.
	for d.numberWidth = 5; ; {
		d.timeline = newTimeline(c.slots, max(look.Width-d.left(), 2))
		c.fillSeries(all, groupOf, &d.timeline)
		need := 0
		for i := range all {
			need = max(need, d.scale(&all[i]))
		}
		if need <= d.numberWidth {
			d.numberWidth = need
			break
		}
		d.numberWidth = need
	}
	d.cells = min(max((look.Width-d.left())/d.n, 1), maxColumn)
	d.markTimes()

	dst = c.appendTitle(dst, &d)
	for i := range all {
		dst = d.append(dst, &all[i], i == len(all)-1)
	}
	dst = appendBlanks(dst, min(d.left(), d.Width-textWidth(d.times)))
	return append(append(dst, d.times...), '\n')
}

// maxColumn is how many cells a column is wide at most.
const maxColumn = 8

// groupSeries returns a series, still without values, for each aggregate of each
// group, and for each slot which group it belongs to. Groups are in the order of
// their labels; with several aggregates their names are part of the labels.
func (c *Chart) groupSeries() (all []series, groupOf []int) {
	t := c.table
	aggs := len(t.columns) - c.groups
	groupOf = make([]int, len(c.slots))
	index := make(map[string]int)
	var labels []string
	var text []byte
	for k, s := range c.slots {
		text = text[:0]
		for i := 1; i < c.groups; i++ {
			if i > 1 {
				text = append(text, ' ')
			}
			text = append(text, t.field(s.row, i)...)
		}
		g, ok := index[string(text)]
		if !ok {
			g = len(labels)
			labels = append(labels, string(text))
			index[labels[g]] = g
		}
		groupOf[k] = g
	}
	order := make([]int, len(labels))
	for g := range order {
		order[g] = g
	}
	slices.SortFunc(order, func(a, b int) int { return compareLabels(labels[a], labels[b]) })
	placeOf := make([]int, len(labels))
	for place, g := range order {
		placeOf[g] = place
		for i := range aggs {
			label := []byte(labels[g])
			if aggs > 1 {
				if len(label) > 0 {
					label = append(label, ' ')
				}
				label = append(label, t.columns[c.groups+i].name...)
			}
			all = append(all, series{label: label, ink: inkOf([]byte(labels[g]))})
		}
	}
	for k, g := range groupOf {
		groupOf[k] = placeOf[g]
	}
	return all, groupOf
}

// compareLabels orders numbers by value, before text.
func compareLabels(a, b string) int {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	switch {
	case errX == nil && errY == nil:
		return cmp.Or(cmp.Compare(x, y), cmp.Compare(a, b))
	case errX == nil:
		return -1
	case errY == nil:
		return 1
	}
	return cmp.Compare(a, b)
}

// fillSeries puts the values of the rows where they belong.
func (c *Chart) fillSeries(all []series, groupOf []int, line *timeline) {
	aggs := len(c.table.columns) - c.groups
	for i := range all {
		all[i].values = make([]float64, line.n)
		for k := range all[i].values {
			all[i].values[k] = math.NaN()
		}
	}
	for k, s := range c.slots {
		col := line.column(s)
		for i := range aggs {
			v := c.values[s.row*aggs+i]
			to := &all[groupOf[k]*aggs+i].values[col]
			switch {
			case math.IsNaN(v):
			case math.IsNaN(*to):
				*to = v
			case c.adds(i):
				*to = min(max(*to+v, -math.MaxFloat64), math.MaxFloat64)
			default:
				*to = max(*to, v)
			}
		}
	}
}

func (c *Chart) adds(agg int) bool { return agg < len(c.additive) && c.additive[agg] }

// appendTitle says what is drawn: count per 1h by level.
func (c *Chart) appendTitle(dst []byte, d *drawing) []byte {
	var title []byte
	separator := ""
	for i := c.groups; i < len(c.table.columns); i++ {
		title = append(append(title, separator...), c.table.columns[i].name...)
		if d.merged && !c.adds(i-c.groups) {
			title = append(title, " (largest)"...)
		}
		separator = ", "
	}
	title = d.appendStep(append(title, " per "...))
	separator = " by "
	for i := 1; i < c.groups; i++ {
		title = append(append(title, separator...), c.table.columns[i].name...)
		separator = ", "
	}
	switch c.timeless {
	case 0:
	case 1:
		title = append(title, " (without 1 row that has no time)"...)
	default:
		title = strconv.AppendInt(append(title, " (without "...), int64(c.timeless), 10)
		title = append(title, " rows that have no time)"...)
	}
	dst = d.appendCut(d.on(dst, inkBold), title, d.Width)
	return append(d.off(dst), '\n')
}

// drawing is how all series are drawn.
type drawing struct {
	Look
	timeline
	height                  int // lines of a series
	labelWidth, numberWidth int // left of the axis; 0: no label
	cells                   int // the width of a column
	marked                  []bool
	times                   []byte // the line of times, from the first column on
	scratch                 []byte
}

// left returns the cells left of the columns: label, number, axis.
func (d *drawing) left() int {
	n := d.numberWidth + len(" |")
	if d.labelWidth > 0 {
		n += d.labelWidth + len(gap)
	}
	return n
}

// scale sets the scale of s and returns the width of its numbers.
func (d *drawing) scale(s *series) int {
	s.low, s.high = 0, 0
	for _, v := range s.values {
		if !math.IsNaN(v) {
			s.low, s.high = min(s.low, v), max(s.high, v)
		}
	}
	var buf [32]byte
	width := 0
	for _, v := range [...]float64{s.low, s.high, s.high / 2} {
		width = max(width, len(appendHumaneFloat(buf[:0], v)))
	}
	return width
}

// bar returns the cells of a column that are filled: wide ones stand apart.
func (d *drawing) bar() int {
	if d.cells >= 3 {
		return d.cells - 1
	}
	return d.cells
}

// append draws one series, with an axis at zero. Of series of one line only the
// last has one, and it is without a number.
func (d *drawing) append(dst []byte, s *series, last bool) []byte {
	height := d.height
	if s.low < 0 && s.high > 0 {
		height = max(height, 2)
	}
	above := height - share(height, -s.low, s.high)
	label := s.label
	for row := range above {
		// At the top, and in the middle of what is high.
		numbered := row == 0 || row == above/2 && above >= 8 && above%2 == 0
		dst = d.appendLeft(dst, label, s.high/float64(above)*float64(above-row), numbered)
		label = nil
		dst = d.appendPart(dst, s, s.ink, func(v float64) string {
			if v <= 0 || math.IsNaN(v) {
				return ""
			}
			switch n := eighths(v, s.high, above) - 8*(above-1-row); {
			case n >= 8:
				return d.pick("█", "#")
			case n > 0:
				return d.part(&fromBelow, n, row == above-1)
			}
			return ""
		})
	}
	if d.height > 1 || s.low < 0 || last {
		dst = d.appendAxis(dst, s)
	}
	for row := range height - above {
		dst = d.appendLeft(dst, label, s.low, row == height-above-1)
		label = nil
		dst = d.appendPart(dst, s, inkRed, func(v float64) string {
			if v >= 0 || math.IsNaN(v) {
				return ""
			}
			// Terminals have the upper half of a cell and nothing finer.
			switch n := (eighths(v, s.low, height-above)+3)/4 - 2*row; {
			case n >= 2:
				return d.pick("█", "#")
			case n == 1:
				return d.pick("▀", "#")
			}
			return ""
		})
	}
	return dst
}

// appendLeft appends what is left of the columns.
func (d *drawing) appendLeft(dst, label []byte, v float64, numbered bool) []byte {
	dst = d.appendLabel(dst, label)
	axis := d.pick("│", "|")
	dst = d.on(dst, inkDim)
	if numbered {
		axis = d.pick("┤", "|")
		dst = d.appendNumber(dst, v)
	} else {
		dst = appendBlanks(dst, d.numberWidth)
	}
	return d.off(append(append(dst, ' '), axis...))
}

func (d *drawing) appendLabel(dst, label []byte) []byte {
	if d.labelWidth == 0 {
		return dst
	}
	start := len(dst)
	dst = d.appendCut(dst, label, d.labelWidth)
	return appendBlanks(dst, d.labelWidth+len(gap)-textWidth(dst[start:]))
}

func (d *drawing) appendNumber(dst []byte, v float64) []byte {
	var buf [32]byte
	text := appendHumaneFloat(buf[:0], v)
	return append(appendBlanks(dst, d.numberWidth-len(text)), text...)
}

// appendCut appends text on at most width cells.
func (l *Look) appendCut(dst, text []byte, width int) []byte {
	if textWidth(text) <= width {
		return append(dst, text...)
	}
	text, _ = cut(text, width-1)
	return append(append(dst, text...), l.ellipsis()...)
}

// appendPart appends one line of the columns, and the line end. cell returns
// what a cell of the column for a value is, "" for a blank.
func (d *drawing) appendPart(dst []byte, s *series, ink string, cell func(v float64) string) []byte {
	line := d.scratch[:0]
	for _, v := range s.values {
		text := cell(v)
		if text == "" {
			line = appendBlanks(line, d.cells)
			continue
		}
		line = appendCells(line, text, d.bar())
		line = appendBlanks(line, d.cells-d.bar())
	}
	d.scratch = line
	if line = trimBlanks(line, 0); len(line) > 0 {
		dst = d.off(append(d.on(dst, ink), line...))
	}
	return append(dst, '\n')
}

// appendAxis appends the line at zero. It has a gap where s has no value, and a
// mark where a time is written below.
func (d *drawing) appendAxis(dst []byte, s *series) []byte {
	dst = d.appendLabel(dst, nil)
	dst = d.on(dst, inkDim)
	if d.height > 1 || s.low < 0 {
		dst = append(d.appendNumber(dst, 0), ' ')
		dst = append(dst, d.pick("┼", "+")...)
	} else {
		dst = appendBlanks(dst, d.numberWidth+1)
		dst = append(dst, d.pick("└", "+")...)
	}
	start := len(dst)
	for i, v := range s.values {
		dash := d.pick("─", "-")
		if math.IsNaN(v) && d.height > 1 {
			dash = " "
		}
		n := d.cells
		if d.marked[i] {
			dst = append(dst, d.pick("┬", "+")...)
			n--
		}
		if i == len(s.values)-1 {
			n -= d.cells - d.bar()
		}
		dst = appendCells(dst, dash, n)
	}
	return append(d.off(trimBlanks(dst, start)), '\n')
}

// markTimes decides which times are written below the axis: the first in full,
// the last, and others between them where there is room.
func (d *drawing) markTimes() {
	d.marked = make([]bool, d.n)
	d.marked[0], d.marked[d.n-1] = true, true
	first := d.appendTime(nil, 0, false)
	last := d.appendTime(nil, d.n-1, d.sameStart())
	width := d.n*d.cells - (d.cells - d.bar())
	if len(first)+len(gap)+len(last) > width {
		d.times = d.appendCut(nil, append(append(first, " to "...), last...), d.Width)
		return
	}
	// The last begins below its mark if there is room.
	end := max(width, min((d.n-1)*d.cells+len(last), d.Width-d.left()))
	d.times = bytes.Repeat([]byte{' '}, end)
	copy(d.times, first)
	copy(d.times[end-len(last):], last)
	// Where days begin they are named, which may be shorter.
	short := max(len(d.appendTime(nil, 0, true)), len(d.appendTime(nil, 1, true))) + len(gap)
	from, every := d.ticks((short + d.cells - 1) / d.cells)
	for i := from; i < d.n; i += every {
		at := i * d.cells
		if at >= len(first)+len(gap) && at+short <= end-len(last) {
			copy(d.times[at:], d.appendTime(nil, i, true))
			d.marked[i] = true
		}
	}
}
