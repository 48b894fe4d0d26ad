package agg

import (
	"encoding/binary"
	"slices"

	"logtools/pkg/event"
)

// collectState keeps the first values of each group.
type collectState struct {
	limit  int
	groups store[[]item]
	values arena
	items  int64 // that there is room for
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
	before := cap(*g)
	*g = slices.Insert(items, at, it)
	st.items += int64(cap(*g) - before)
}

// merge merges the two sorted lists of each group; both have different seqs.
func (st *collectState) merge(o state, groups []uint32) {
	other := o.(*collectState)
	for g, to := range groups {
		if to == none {
			continue
		}
		st.mergeItems(st.groups.at(to), *other.groups.at(uint32(g)), func(it item) []byte { return other.values.bytes(it.blob) })
	}
}

// mergeItems merges the sorted items of another list, whose values it gives, into
// that of a group.
func (st *collectState) mergeItems(g *[]item, from []item, value func(item) []byte) {
	if len(from) == 0 {
		return
	}
	have := *g
	n := min(len(have)+len(from), st.limit)
	merged := make([]item, 0, n)
	for len(merged) < n {
		if len(from) == 0 || len(have) > 0 && have[0].seq <= from[0].seq {
			merged = append(merged, have[0])
			have = have[1:]
			continue
		}
		it := item{seq: from[0].seq}
		st.values.set(&it.blob, value(from[0]))
		merged = append(merged, it)
		from = from[1:]
	}
	st.items += int64(cap(merged) - cap(*g))
	*g = merged
}

func (st *collectState) size(groups int) int64 {
	const itemBytes = 24
	return st.groups.size(groups) + st.values.size + 2*itemBytes*st.items // twice: lists are replaced by longer ones
}

func (st *collectState) reset(groups int) {
	st.groups.reset(groups)
	st.values.reset()
	st.items = 0
}

func (st *collectState) save(dst []byte, group uint32, from int) ([]byte, int) {
	limit := len(dst) + partBytes
	for i, it := range (*st.groups.at(group))[from:] {
		if len(dst) > limit {
			return endList(dst), from + i
		}
		dst = binary.AppendUvarint(append(dst, more), it.seq)
		dst = appendBytes(dst, st.values.bytes(it.blob))
	}
	return endList(dst), done
}

func (st *collectState) load(group uint32, d *decoder) {
	g := st.groups.at(group)
	var from []item
	var values [][]byte
	for d.list() {
		seq, json := d.uvarint(), d.bytes()
		if n := len(*g); len(from) == 0 && (n == 0 || (*g)[n-1].seq <= seq) {
			st.offer(g, seq, json) // behind the others
			continue
		}
		from = append(from, item{seq, blob{ref: uint64(len(values))}})
		values = append(values, json)
	}
	st.mergeItems(g, from, func(it item) []byte { return values[it.ref] })
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
