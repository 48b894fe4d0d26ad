package agg

import (
	"slices"

	"logtools/pkg/event"
)

// Order is the order of rows.
type Order struct {
	// Column is the column that decides first: the group columns count from
	// 0, the aggregates follow. ByGroup: all group columns, one after the
	// other. Ties are in ascending order of the group, so the order of rows
	// is always the same.
	Column int
	// Desc reverses the order of Column (with ByGroup, of all).
	Desc bool
}

// ByGroup is the Order.Column of the order by group.
const ByGroup = -1

// Row is a group and its aggregates. It belongs to the Table and is valid only
// during the call of yield.
type Row struct {
	Keys []event.Value // one per group column; null where it was missing
	Aggs []event.Value // one per Spec
}

// Rows calls yield with each row in the order o, or with the first top rows if
// top > 0; an error of yield ends that and is returned. Values order as in jq:
// null below numbers, those below strings. Strings of Keys are decoded text,
// numbers, arrays and objects of Keys are in canonical form.
//
// A table to which nothing was added has no rows, also without group columns.
func (t *Table) Rows(o Order, top int, yield func(Row) error) error {
	t.Flush()
	if t.beyondRows(top) {
		return t.spilledRows(o, top, yield)
	}
	var buf []byte
	if o.Column >= t.columns {
		if j := t.stateOf[o.Column-t.columns]; j >= 0 {
			t.settle(j, nil)
		}
	}
	groups := t.order(o, top)
	var wanted []bool // all
	if len(groups) < t.groups.n {
		wanted = make([]bool, t.groups.n)
		for _, g := range groups {
			wanted[g] = true
		}
	}
	t.settleAll(wanted)
	var row Row
	for _, g := range groups {
		buf = buf[:0]
		row.Keys = decodeKey(row.Keys[:0], t.groups.key(g), t.columns)
		row.Aggs = row.Aggs[:0]
		for i := range t.specs {
			row.Aggs = append(row.Aggs, t.result(g, i, &buf))
		}
		if err := yield(row); err != nil {
			return err
		}
	}
	return nil
}

// result returns the result of spec i for a group.
func (t *Table) result(g uint32, i int, buf *[]byte) event.Value {
	j := t.stateOf[i]
	if j < 0 {
		return event.IntValue(int64(t.groups.entries.at(g).n))
	}
	return t.states[j].result(g, &t.specs[i], buf)
}

// place is a group with what decides its place. The rank decides nearly
// always.
type place struct {
	rank
	group uint32
	// value decides between equal ranks: the value as it is encoded in keys;
	// nil if equal ranks mean equal values, and for the order by group.
	value []byte
}

// order returns the groups in their order, at most top if top > 0.
func (t *Table) order(o Order, top int) []uint32 {
	n := t.groups.n
	if top <= 0 || top > n {
		top = n
	}
	compare := func(a, b *place) int {
		if c := o.compare(a, b); c != 0 {
			return c
		}
		return o.compareGroups(t.groups.key(a.group), t.groups.key(b.group), t.columns)
	}
	// With fewer rows wanted than there are, a heap with the last of the best
	// so far at its top: only these are kept.
	heap := top < n
	places := make([]place, 0, top)
	var values arena
	keep := func(p *place) {
		if p.value != nil && o.Column >= t.columns { // it is in buf
			p.value = values.get(values.put(p.value), len(p.value))
		}
	}
	var buf []byte
	for g := range uint32(n) {
		p := t.place(g, o, &buf)
		switch {
		case len(places) < top:
			keep(&p)
			places = append(places, p)
			if heap && len(places) == top {
				for i := top/2 - 1; i >= 0; i-- {
					sink(places, i, compare)
				}
			}
		case heap && compare(&p, &places[0]) < 0:
			keep(&p)
			places[0] = p
			sink(places, 0, compare)
		}
	}
	slices.SortFunc(places, func(a, b place) int { return compare(&a, &b) })
	groups := make([]uint32, len(places))
	for i := range places {
		groups[i] = places[i].group
	}
	return groups
}

// sink restores the heap, whose largest element is at the top, after element i
// was replaced.
func sink(heap []place, i int, compare func(a, b *place) int) {
	for {
		child := 2*i + 1
		if child >= len(heap) {
			return
		}
		if child+1 < len(heap) && compare(&heap[child], &heap[child+1]) < 0 {
			child++
		}
		if compare(&heap[i], &heap[child]) >= 0 {
			return
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}

// place computes what decides the place of a group; its value is in *buf.
func (t *Table) place(g uint32, o Order, buf *[]byte) place {
	p := place{group: g}
	var v event.Value
	*buf = (*buf)[:0]
	switch {
	case o.Column < t.columns:
		if t.columns == 0 {
			return p
		}
		key := t.groups.key(g)
		column := max(o.Column, 0)
		var col []byte
		for i := range column + 1 {
			col, key = cutColumn(key, i == t.columns-1)
		}
		v = decode(col)
		if o.Column >= 0 {
			p.value = col
		}
	default:
		v = t.result(g, o.Column-t.columns, buf)
	}
	p.rank = rankOf(&v, buf)
	if o.Column >= t.columns {
		// An integer below 2^53 is a float64 itself.
		if v.Kind > event.True && !(v.Form == event.Int && v.N < 1<<53) {
			from := len(*buf)
			*buf = appendEncoded(*buf, &v)
			p.value = (*buf)[from:len(*buf):len(*buf)]
		}
	}
	return p
}

// compare orders groups by their places.
func (o Order) compare(a, b *place) int {
	c := a.rank.compare(b.rank)
	if c == 0 && a.value != nil && b.value != nil {
		c = compareEncoded(a.value, b.value)
	}
	if o.Desc {
		return -c
	}
	return c
}

// compareGroups orders groups whose places are equal by their keys.
func (o Order) compareGroups(a, b []byte, columns int) int {
	c := compareKeys(a, b, columns)
	if o.Desc && o.Column == ByGroup {
		return -c
	}
	return c
}
