package spill

import (
	"cmp"
	"encoding/binary"
	"io"
	"slices"
)

// Sorter sorts records in bounded memory, or finds the first of them.
type Sorter struct {
	dir    *Dir
	order  Order
	limit  int // 0: all
	memory int64

	// The records in memory: bytes in chunks, each with its length (uvarint)
	// in front.
	items  []item
	chunks [][]byte
	cur    int   // the chunk in hand
	bytes  int64 // of the chunks in use

	// bound is a record that limit others come before, or one of those: what is
	// not before it is not wanted. nil: all are.
	bound     []byte
	boundRank uint64

	file *File
	runs []Run
}

// item is a record in memory.
type item struct {
	rank uint64
	ref  uint64 // chunk<<32 | byte in it: in the order of Add
}

const (
	itemBytes = 32 // with what growing the array costs
	minChunk  = 4 << 10
	maxChunk  = 1 << 20
)

// NewSorter returns a Sorter that gives records in the order o, if limit is
// positive only the first limit ones. Equal records come in the order of Add.
// Beyond about memory bytes (at least those of some blocks and of the longest
// record) it writes to files of d.
func NewSorter(d *Dir, o Order, limit int, memory int64) *Sorter {
	return &Sorter{dir: d, order: o, limit: max(limit, 0), memory: memory}
}

// Wants says whether rec can be among the first. With a limit most records are
// not; of those Add does nothing. Only what the order looks at needs to be in
// rec.
func (s *Sorter) Wants(rec []byte) bool {
	if s.bound == nil {
		return true
	}
	rank := s.order.Rank(rec)
	if rank != s.boundRank {
		return rank < s.boundRank
	}
	return s.order.compare(rec, s.bound) < 0
}

// Add adds a record. rec is not kept.
func (s *Sorter) Add(rec []byte) error {
	if !s.Wants(rec) {
		return nil
	}
	s.keep(s.order.Rank(rec), rec)
	used := s.bytes + int64(len(s.items))*itemBytes
	// With a small limit the sooner there is a bound the better.
	if used > s.memory/4*3 || s.limit > 0 && len(s.items) > 2*s.limit+1000 && used < s.memory/4 {
		return s.shrink()
	}
	return nil
}

func (s *Sorter) keep(rank uint64, rec []byte) {
	need := binary.MaxVarintLen64 + len(rec)
	for len(s.chunks) == 0 || cap(s.chunks[s.cur])-len(s.chunks[s.cur]) < need {
		if s.cur+1 < len(s.chunks) {
			s.cur++
		} else {
			size := minChunk
			if len(s.chunks) > 0 {
				size = min(2*cap(s.chunks[s.cur]), maxChunk)
			}
			s.chunks = append(s.chunks, make([]byte, 0, max(size, need)))
			s.cur = len(s.chunks) - 1
		}
		s.bytes += int64(cap(s.chunks[s.cur]))
	}
	c := s.chunks[s.cur]
	s.items = append(s.items, item{rank, uint64(s.cur)<<32 | uint64(len(c))})
	c = binary.AppendUvarint(c, uint64(len(rec)))
	s.chunks[s.cur] = append(c, rec...)
}

// record returns the bytes of an item.
func (s *Sorter) record(it item) []byte {
	b := s.chunks[it.ref>>32][uint32(it.ref):]
	n, k := binary.Uvarint(b)
	return b[k : k+int(n) : k+int(n)]
}

// sort sorts what is in memory and drops what is not among the first.
func (s *Sorter) sort() {
	slices.SortFunc(s.items, func(a, b item) int {
		if a.rank != b.rank {
			return cmp.Compare(a.rank, b.rank)
		}
		return cmp.Or(s.order.compare(s.record(a), s.record(b)), cmp.Compare(a.ref, b.ref))
	})
	if s.limit > 0 && len(s.items) >= s.limit {
		s.items = s.items[:s.limit]
		last := s.items[s.limit-1]
		s.bound = append(make([]byte, 0, 64), s.record(last)...)
		s.boundRank = last.rank
	}
}

// shrink makes room: if only a few records are among the first it keeps
// these, else it writes a run.
func (s *Sorter) shrink() error {
	s.sort()
	kept := int64(len(s.items)) * (itemBytes + binary.MaxVarintLen64)
	for _, it := range s.items {
		kept += int64(len(s.record(it)))
	}
	if kept > s.memory/4 {
		return s.writeRun()
	}
	old := &Sorter{chunks: s.chunks}
	items := s.items
	s.items, s.chunks, s.cur, s.bytes = nil, nil, 0, 0
	for _, it := range items {
		s.keep(it.rank, old.record(it))
	}
	return nil
}

// writeRun writes the sorted records in memory and forgets them. Their memory
// serves the next ones.
func (s *Sorter) writeRun() (err error) {
	if s.file == nil {
		if s.file, err = s.dir.Create(); err != nil {
			return err
		}
	}
	for _, it := range s.items {
		if err := s.file.Add(s.record(it)); err != nil {
			return err
		}
	}
	run, err := s.file.EndRun()
	if err != nil {
		return err
	}
	s.runs = append(s.runs, run)
	s.items, s.cur, s.bytes = s.items[:0], 0, 0
	// Chunks for long records are given back, and there is one at least.
	s.chunks = slices.DeleteFunc(s.chunks, func(c []byte) bool { return cap(c) > maxChunk })
	for i := range s.chunks {
		s.chunks[i] = s.chunks[i][:0]
	}
	if len(s.chunks) > 0 {
		s.bytes = int64(cap(s.chunks[0]))
	}
	return nil
}

// Each calls yield with the records in order; an error of yield ends that and is
// returned. A record is valid only during the call. Each may be called again,
// Add may not follow it.
func (s *Sorter) Each(yield func(rec []byte) error) error {
	if s.runs == nil {
		s.sort()
		for _, it := range s.items {
			if err := yield(s.record(it)); err != nil {
				return err
			}
		}
		return nil
	}
	if len(s.items) > 0 {
		s.sort()
		if err := s.writeRun(); err != nil {
			return err
		}
	}
	s.items, s.chunks = nil, nil
	s.file.Release()
	runs, err := Reduce(s.dir, s.runs, FanIn(s.memory), func(to *File, part []Run) error {
		return s.merge(part, to.Add)
	})
	if err != nil {
		return err
	}
	s.runs = runs
	return s.merge(runs, yield)
}

// merge calls yield with the records of some runs in order.
func (s *Sorter) merge(runs []Run, yield func(rec []byte) error) error {
	m, err := Merge(s.order, runs)
	if err != nil {
		return err
	}
	for n := 0; s.limit == 0 || n < s.limit; n++ {
		rec, err := m.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := yield(rec); err != nil {
			return err
		}
	}
	return nil
}

// Close frees memory and files.
func (s *Sorter) Close() error {
	s.items, s.chunks = nil, nil
	var err error
	for _, r := range s.runs {
		err = cmp.Or(err, r.file.Close()) // closing again does nothing
	}
	if s.file != nil {
		err = cmp.Or(err, s.file.Close())
	}
	s.runs, s.file = nil, nil
	return err
}
