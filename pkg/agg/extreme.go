package agg

import (
	"bytes"
	"cmp"
	"encoding/binary"

	"logtools/pkg/event"
)

// prepareAny fills a cell with the JSON of any value, as it is written.
func prepareAny(r *rows, v *event.Value, c *cell) {
	from := len(r.buf)
	r.buf = v.AppendJSON(r.buf)
	c.setSpan(span{uint32(from), uint32(len(r.buf) - from)})
}

// extremeState is for min and max. The rank decides nearly always, so that the
// value itself is rarely looked at.
type extremeState struct {
	max    bool
	groups store[extremeOf]
	values arena
}

type extremeOf struct {
	ord  uint64
	kind event.Kind // Missing: no value yet
	blob
}

func (st *extremeState) prepare(r *rows, v *event.Value, c *cell) error {
	k := rankOf(v, &r.buf)
	c.a = k.ord
	prepareAny(r, v, c)
	return nil
}

func (st *extremeState) grow(n int) { st.groups.grow(n) }

func (st *extremeState) add(r *rows, cells []cell) {
	for i := range cells {
		c := &cells[i]
		if c.kind != event.Missing {
			st.offer(st.groups.at(r.groups[i]), rank{c.kind, c.a}, r.bytes(c.span()))
		}
	}
}

// offer replaces the group's value by one that is more extreme, or equal and
// spelled shorter: which of equal ones is kept must not depend on the order.
func (st *extremeState) offer(g *extremeOf, k rank, json []byte) {
	if g.kind != event.Missing {
		c := k.compare(rank{g.kind, g.ord})
		if c == 0 {
			have := st.values.bytes(g.blob)
			if bytes.Equal(have, json) {
				return
			}
			c = event.Compare(event.RawValue(json), event.RawValue(have))
			if c == 0 {
				if cmp.Or(cmp.Compare(len(json), len(have)), bytes.Compare(json, have)) < 0 {
					st.values.set(&g.blob, json)
				}
				return
			}
		}
		if (c > 0) != st.max {
			return
		}
	}
	g.kind, g.ord = k.kind, k.ord
	st.values.set(&g.blob, json)
}

func (st *extremeState) merge(o state, groups []uint32) {
	other := o.(*extremeState)
	for g, to := range groups {
		if to == none {
			continue
		}
		from := other.groups.at(uint32(g))
		if from.kind != event.Missing {
			st.offer(st.groups.at(to), rank{from.kind, from.ord}, other.values.bytes(from.blob))
		}
	}
}

func (st *extremeState) size(groups int) int64 { return st.groups.size(groups) + st.values.size }

func (st *extremeState) reset(groups int) {
	st.groups.reset(groups)
	st.values.reset()
}

func (st *extremeState) save(dst []byte, group uint32, _ int) ([]byte, int) {
	g := st.groups.at(group)
	dst = append(dst, byte(g.kind))
	if g.kind != event.Missing {
		dst = binary.LittleEndian.AppendUint64(dst, g.ord)
		dst = appendBytes(dst, st.values.bytes(g.blob))
	}
	return dst, done
}

func (st *extremeState) load(group uint32, d *decoder) {
	if kind := event.Kind(d.byte()); kind != event.Missing {
		k := rank{kind, d.word()}
		st.offer(st.groups.at(group), k, d.bytes())
	}
}

func (st *extremeState) result(group uint32, _ *Spec, _ *[]byte) event.Value {
	g := st.groups.at(group)
	if g.kind == event.Missing {
		return event.Value{Kind: event.Null}
	}
	return event.RawValue(st.values.bytes(g.blob))
}

// edgeState is for first and last.
type edgeState struct {
	last   bool
	groups store[edgeOf]
	values arena
}

type edgeOf struct {
	seq uint64
	blob
}

func (st *edgeState) prepare(r *rows, v *event.Value, c *cell) error {
	prepareAny(r, v, c)
	return nil
}

func (st *edgeState) grow(n int) { st.groups.grow(n) }

func (st *edgeState) add(r *rows, cells []cell) {
	for i := range cells {
		c := &cells[i]
		if c.kind != event.Missing {
			st.offer(st.groups.at(r.groups[i]), r.seqs[i], r.bytes(c.span()))
		}
	}
}

func (st *edgeState) offer(g *edgeOf, seq uint64, json []byte) {
	// No JSON is empty, so a blob without bytes is no value yet. Of several
	// values of one event the first or the last counts, in the order added.
	if g.len == 0 || st.last && seq >= g.seq || !st.last && seq < g.seq {
		g.seq = seq
		st.values.set(&g.blob, json)
	}
}

func (st *edgeState) merge(o state, groups []uint32) {
	other := o.(*edgeState)
	for g, to := range groups {
		if to == none {
			continue
		}
		from := other.groups.at(uint32(g))
		if from.len > 0 {
			st.offer(st.groups.at(to), from.seq, other.values.bytes(from.blob))
		}
	}
}

func (st *edgeState) size(groups int) int64 { return st.groups.size(groups) + st.values.size }

func (st *edgeState) reset(groups int) {
	st.groups.reset(groups)
	st.values.reset()
}

func (st *edgeState) save(dst []byte, group uint32, _ int) ([]byte, int) {
	g := st.groups.at(group)
	if g.len == 0 {
		return append(dst, 0), done // no JSON is empty
	}
	dst = appendBytes(dst, st.values.bytes(g.blob))
	return binary.AppendUvarint(dst, g.seq), done
}

func (st *edgeState) load(group uint32, d *decoder) {
	if json := d.bytes(); len(json) > 0 {
		st.offer(st.groups.at(group), d.uvarint(), json)
	}
}

func (st *edgeState) result(group uint32, _ *Spec, _ *[]byte) event.Value {
	g := st.groups.at(group)
	if g.len == 0 {
		return event.Value{Kind: event.Null}
	}
	return event.RawValue(st.values.bytes(g.blob))
}
