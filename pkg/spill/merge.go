package spill

import (
	"io"
)

// Order is an order of records.
type Order struct {
	// Rank is a number that decides nearly always: of records with different
	// ranks the one with the smaller rank is first.
	Rank func(rec []byte) uint64
	// Compare decides between records of equal rank, as functions for
	// slices.SortFunc do. nil: they are equal.
	Compare func(a, b []byte) int
}

func (o *Order) compare(a, b []byte) int {
	if o.Compare == nil {
		return 0
	}
	return o.Compare(a, b)
}

// Merger reads sorted runs as one sorted run. Equal records come in the order
// of the runs, and within one as they were written.
type Merger struct {
	order Order
	heads []head // a heap, the first record at its top
	begun bool
	err   error
}

// head is the next record of a run.
type head struct {
	rank uint64
	rec  []byte
	run  int
	r    *Reader
}

// Merge returns a Merger of runs, which must be sorted in the order o. It takes
// BlockMemory bytes for each.
func Merge(o Order, runs []Run) (*Merger, error) {
	m := &Merger{order: o}
	for i, run := range runs {
		h := head{run: i, r: run.Reader()}
		if more, err := m.advance(&h); err != nil {
			return nil, err
		} else if more {
			m.heads = append(m.heads, h)
		}
	}
	for i := len(m.heads)/2 - 1; i >= 0; i-- {
		m.sink(i)
	}
	return m, nil
}

// BlockMemory is what a run that is read, or a File that is written, takes of
// memory, besides records that are longer.
const BlockMemory = blockSize + 1<<10

// Next returns the next record, which is valid until the next call; after the
// last one, io.EOF.
func (m *Merger) Next() ([]byte, error) {
	if m.err != nil {
		return nil, m.err
	}
	if m.begun && len(m.heads) > 0 {
		more, err := m.advance(&m.heads[0])
		if err != nil {
			m.err = err
			return nil, err
		}
		if !more {
			last := len(m.heads) - 1
			m.heads[0] = m.heads[last]
			m.heads[last] = head{}
			m.heads = m.heads[:last]
		}
		m.sink(0)
	}
	m.begun = true
	if len(m.heads) == 0 {
		return nil, io.EOF
	}
	return m.heads[0].rec, nil
}

// advance reads the next record of h; more is false if there is none.
func (m *Merger) advance(h *head) (more bool, err error) {
	h.rec, err = h.r.Next()
	if err == io.EOF {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	h.rank = m.order.Rank(h.rec)
	return true, nil
}

func (m *Merger) before(a, b *head) bool {
	if a.rank != b.rank {
		return a.rank < b.rank
	}
	if c := m.order.compare(a.rec, b.rec); c != 0 {
		return c < 0
	}
	return a.run < b.run
}

// sink restores the heap after heads[i] has become later.
func (m *Merger) sink(i int) {
	for {
		child := 2*i + 1
		if child >= len(m.heads) {
			return
		}
		if child+1 < len(m.heads) && m.before(&m.heads[child+1], &m.heads[child]) {
			child++
		}
		if !m.before(&m.heads[child], &m.heads[i]) {
			return
		}
		m.heads[i], m.heads[child] = m.heads[child], m.heads[i]
		i = child
	}
}

const (
	minFanIn = 16
	maxFanIn = 256
)

// FanIn returns how many runs can be merged at a time in so much memory, at
// least 16.
func FanIn(memory int64) int {
	return int(min(max(memory/BlockMemory, minFanIn), maxFanIn))
}

// Reduce merges neighbouring runs, in as many passes as it takes, until at most
// fanIn are left, which it returns. merge must add to the file the records that
// stand for those of some runs, in order. The runs given are used up, and their
// files are closed: they must hold nothing else. If there are few already,
// nothing happens.
func Reduce(d *Dir, runs []Run, fanIn int, merge func(to *File, part []Run) error) ([]Run, error) {
	fanIn = max(fanIn, 2)
	for len(runs) > fanIn {
		to, err := d.Create()
		if err != nil {
			return nil, err
		}
		var merged []Run
		for rest := runs; len(rest) > 0; {
			part := rest[:min(fanIn, len(rest))]
			rest = rest[len(part):]
			if err := merge(to, part); err != nil {
				return nil, err
			}
			run, err := to.EndRun()
			if err != nil {
				return nil, err
			}
			merged = append(merged, run)
		}
		to.Release()
		for _, r := range runs {
			if err := r.file.Close(); err != nil {
				return nil, err
			}
		}
		runs = merged
	}
	return runs, nil
}
