package agg

import (
	"slices"

	"logtools/pkg/event"
)

// collectState keeps the first values of each group.
type collectState struct {
	limit  int
	groups store[[]item]
	values arena
}

// item is a value with its place in the input.
type item struct {
	seq uint64
	blob
}

func (st *collectState) prepare(r *rows, v *event.Value, c *cell) error {
	prepareAny(r, v, c)
	return nil
}

func (st *collectState) grow(n int) { st.groups.grow(n) }

func (st *collectState) add(r *rows, cells []cell) {
	for i := range cells {
		c := &cells[i]
		if c.kind != event.Missing {
			st.offer(st.groups.at(r.groups[i]), r.seqs[i], r.bytes(c.span()))
		}
	}
}

// offer inserts a value behind those that are not later. When there are too
// many, the last one's room is used for the new one.
func (st *collectState) offer(g *[]item, seq uint64, json []byte) {
	items := *g
	at := len(items)
	for at > 0 && items[at-1].seq > seq {
		at--
	}
	var it item
	if len(items) == st.limit {
		if at == len(items) {
			return
		}
		it.blob = items[len(items)-1].blob
		items = items[:len(items)-1]
	}
	it.seq = seq
	st.values.set(&it.blob, json)
	*g = slices.Insert(items, at, it)
}

// merge merges the two sorted lists of each group; both have different seqs.
func (st *collectState) merge(o state, groups []uint32) {
	other := o.(*collectState)
	for g, to := range groups {
		if to == none {
			continue
		}
		from, dst := *other.groups.at(uint32(g)), st.groups.at(to)
		if len(from) == 0 {
			continue
		}
		have := *dst
		n := min(len(have)+len(from), st.limit)
		merged := make([]item, 0, n)
		for len(merged) < n {
			if len(from) == 0 || len(have) > 0 && have[0].seq <= from[0].seq {
				merged = append(merged, have[0])
				have = have[1:]
				continue
			}
			it := item{seq: from[0].seq}
			st.values.set(&it.blob, other.values.bytes(from[0].blob))
			merged = append(merged, it)
			from = from[1:]
		}
		*dst = merged
	}
}

func (st *collectState) result(group uint32, _ *Spec, buf *[]byte) event.Value {
	items := *st.groups.at(group)
	if len(items) == 0 {
		return event.Value{Kind: event.Null}
	}
	from := len(*buf)
	dst := append(*buf, '[')
	for i, it := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, st.values.bytes(it.blob)...)
	}
	*buf = append(dst, ']')
	return event.Value{Kind: event.Array, B: (*buf)[from:len(*buf):len(*buf)]}
}
