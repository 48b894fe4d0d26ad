package render

import (
	"math"

	"logtools/pkg/event"
)

// Chart draws rows of groups and their aggregates (-o chart).
//
// If the first group column holds times in ascending order, at least two
// different ones, and perhaps nulls, which are left out, each aggregate is drawn as columns over time: one drawing for
// each value of the other group columns, one above the other, each with its own
// scale. Else each row is a line: the fields as in a Table, then a bar for the
// first aggregate.
//
// It keeps all rows until they are written: what a Table takes, and 8 bytes per
// aggregate and row. It is not safe for concurrent use.
type Chart struct {
	table    *Table
	groups   int
	additive []bool
	values   []float64 // the aggregates, row by row; NaN is no number
	slots    []slot    // the first group column, while it holds times in order
	timeless int       // rows where it is null
	ordered  bool      // it holds nothing else
}

// NewChart returns an empty chart of rows with h's columns, of which the first
// groups are those of the group, the others the aggregates, at least one.
// additive says for each aggregate whether its values may be added up to that
// of a longer time, as counts and sums may; where there are more times than
// there is room, the largest of the others is drawn.
func NewChart(h *Header, groups int, additive []bool) *Chart {
	return &Chart{table: NewTable(h), groups: groups, additive: additive, ordered: groups > 0}
}

// Humane makes the chart shorten the numbers of aggregates, as Table.Humane. It
// comes before the first Add.
func (c *Chart) Humane() { c.table.Humane(c.groups) }

// Add adds a row, copying it. It refuses what Table.Add refuses.
func (c *Chart) Add(v event.Value) error {
	if err := c.table.Add(v); err != nil {
		return err
	}
	row := c.table.row // as Add has left it
	for _, v := range row[c.groups:] {
		f, ok := v.Float64()
		if !ok {
			f = math.NaN()
		}
		c.values = append(c.values, min(max(f, -math.MaxFloat64), math.MaxFloat64))
	}
	if c.ordered {
		c.addSlot(row[0])
	}
	return nil
}

func (c *Chart) addSlot(v event.Value) {
	if v.IsNull() {
		c.timeless++
		return
	}
	s, ok := readSlot(v)
	s.row = c.table.rows() - 1
	if n := len(c.slots); ok && (n == 0 || s.at >= c.slots[n-1].at && s.month == c.slots[0].month) {
		c.slots = append(c.slots, s)
		return
	}
	c.ordered, c.slots = false, nil
}

const (
	// defaultWidth is the width of a chart that is told none.
	defaultWidth = 80
	// leastWidth is how narrow a chart can be.
	leastWidth = 24
)

// AppendTo appends the chart, whole lines; the chart is then used up. If look
// has no width it is 80 cells wide. Numbers and a few cells of each text are
// always shown, whatever the width.
func (c *Chart) AppendTo(dst []byte, look Look) []byte {
	if look.Width <= 0 {
		look.Width = defaultWidth
	}
	look.Width = max(look.Width, leastWidth)
	if n := len(c.slots); n > 0 && c.slots[0].at < c.slots[n-1].at {
		return c.appendColumns(dst, look)
	}
	return c.appendBars(dst, look)
}
