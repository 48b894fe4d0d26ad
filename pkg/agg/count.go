package agg

import (
	"encoding/binary"

	"logtools/pkg/event"
)

// countState counts the events for which an expression is true.
type countState struct {
	counts store[uint64]
}

func (st *countState) prepare(_ *rows, v *event.Value, c *cell) error {
	if v.Truthy() {
		c.a = 1
	}
	return nil
}

func (st *countState) grow(n int) { st.counts.grow(n) }

func (st *countState) add(r *rows, cells []cell) {
	for i := range cells {
		if cells[i].kind != event.Missing {
			*st.counts.at(r.groups[i]) += cells[i].a
		}
	}
}

func (st *countState) merge(o state, groups []uint32) {
	other := o.(*countState)
	for g, to := range groups {
		if to == none {
			continue
		}
		*st.counts.at(to) += *other.counts.at(uint32(g))
	}
}

func (st *countState) size(groups int) int64 { return st.counts.size(groups) }

func (st *countState) reset(groups int) { st.counts.reset(groups) }

func (st *countState) save(dst []byte, group uint32, _ int) ([]byte, int) {
	return binary.AppendUvarint(dst, *st.counts.at(group)), done
}

func (st *countState) load(group uint32, d *decoder) { *st.counts.at(group) += d.uvarint() }

func (st *countState) result(group uint32, _ *Spec, _ *[]byte) event.Value {
	return event.IntValue(int64(*st.counts.at(group)))
}
