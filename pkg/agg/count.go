package agg

import "logtools/pkg/event"

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

func (st *countState) result(group uint32, _ *Spec, _ *[]byte) event.Value {
	return event.IntValue(int64(*st.counts.at(group)))
}
