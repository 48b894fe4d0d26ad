package agg

import (
	"encoding/binary"

	"logtools/pkg/event"
)

// exactDistinct is how many different values of a group distinct keeps before
// it turns to a sketch.
const exactDistinct = 10_000

// distinctState counts different values. A group keeps a set of their hashes
// (open addressing in a pool's array); with more than exactDistinct of them it
// keeps a sketch instead. Whether it does depends only on how many there are,
// so the result does not depend on the order of adding and merging.
type distinctState struct {
	exact    bool
	words    int // per hash: 1, or 2 if exact
	seed     uint64
	groups   store[setOf]
	pool     pool
	sketches []*sketch
	spare    []*sketch // whose memory is kept (see reset)
	scratch  []byte
	loaded   uint64 // see touch
	none     uint64 // stands for no place; 0
}

type setOf struct {
	table  array
	n      uint32 // hashes in the table
	sketch uint32 // in sketches, plus one
}

func newDistinctState(exact bool) *distinctState {
	if exact {
		// The result does not depend on the seed.
		return &distinctState{exact: true, words: 2, seed: processSeed}
	}
	return &distinctState{words: 1, seed: fixedSeed}
}

func (st *distinctState) prepare(_ *rows, v *event.Value, c *cell) error {
	// Equal values get equal hashes, whatever their spelling: strings by their
	// text, numbers by m and e, all else by canonical JSON.
	var b []byte
	switch v.Kind {
	case event.String:
		if v.Form != event.JSON {
			b = v.B
		} else {
			st.scratch = v.AppendText(st.scratch[:0])
			b = st.scratch
		}
	case event.Number:
		st.scratch = st.scratch[:0]
		if n, ok := numberOf(v, &st.scratch); ok && n.digits == nil {
			n = n.normal()
			st.hash(c, hashWords(uint64(n.m), uint64(n.e), st.seed), hashWords(uint64(n.m), uint64(n.e), ^st.seed))
			return nil
		}
		st.scratch = v.AppendCanonical(st.scratch[:0])
		b = st.scratch
	default:
		st.scratch = v.AppendCanonical(st.scratch[:0])
		b = st.scratch
	}
	seed := st.seed + uint64(v.Kind)
	h, h2 := hashBytes(b, seed), uint64(0)
	if st.exact {
		h2 = hashBytes(b, ^seed)
	}
	st.hash(c, h, h2)
	if cap(st.scratch) > maxPending {
		st.scratch = nil
	}
	return nil
}

func (st *distinctState) hash(c *cell, h, h2 uint64) {
	if h == 0 { // marks an empty place
		h = key1
	}
	c.a, c.b = h, h2
}

func (st *distinctState) grow(n int) { st.groups.grow(n) }

// add goes in stages: all groups, then the places of the hashes in their sets,
// are loaded before the first of them is looked at (see touch).
func (st *distinctState) add(r *rows, cells []cell) {
	groups := r.groups[:len(cells)]
	loaded := uint64(0)
	for _, id := range groups {
		loaded += uint64(st.groups.at(id).n)
	}
	var places [batchLen]*uint64
	for i, id := range groups {
		places[i] = &st.none
		switch g := st.groups.at(id); {
		case g.n > 0:
			w := st.pool.words(g.table)
			places[i] = &w[int(cells[i].a)*st.words&(len(w)-1)]
		case g.sketch != 0:
			loaded += uint64(st.sketches[g.sketch-1].registers[sketchIndex(cells[i].a)])
		}
	}
	// What is at its place already will be there when its turn comes, though
	// perhaps elsewhere. (No hash is 0, as st.none is. Of two words the second
	// may differ.)
	there := uint64(0)
	for i, p := range places[:len(groups)] {
		if *p == cells[i].a {
			there |= 1 << i
		}
	}
	if st.words == 2 {
		there = 0
	}
	st.loaded = loaded
	for i, id := range groups {
		c := &cells[i]
		if c.kind == event.Missing || there>>i&1 != 0 {
			continue
		}
		g := st.groups.at(id)
		if g.sketch != 0 {
			st.sketches[g.sketch-1].add(c.a)
			continue
		}
		st.insert(g, c.a, c.b)
	}
}

// insert adds a hash to a group without a sketch.
func (st *distinctState) insert(g *setOf, h, h2 uint64) {
	if g.n == 0 {
		g.table = st.pool.alloc(uint8(st.words - 1))
	}
	w := st.pool.words(g.table)
	i, found := st.find(w, h, h2)
	if found {
		return
	}
	if g.n == exactDistinct && !st.exact {
		st.toSketch(g).add(h)
		return
	}
	w[i] = h
	if st.words == 2 {
		w[i+1] = h2
	}
	g.n++
	if int(g.n)*st.words*4 > len(w)*3 {
		st.enlarge(g)
	}
}

// find returns where a hash is or would be.
func (st *distinctState) find(w []uint64, h, h2 uint64) (i int, found bool) {
	mask := len(w) - 1
	if st.words == 1 {
		for i = int(h) & mask; w[i] != 0; i = (i + 1) & mask {
			if w[i] == h {
				return i, true
			}
		}
		return i, false
	}
	for i = int(h) * 2 & mask; w[i] != 0; i = (i + 2) & mask {
		if w[i] == h && w[i+1] == h2 {
			return i, true
		}
	}
	return i, false
}

func (st *distinctState) enlarge(g *setOf) {
	// Small sets grow by four: filling them again costs more than the memory
	// is worth.
	class := g.table.class + 1
	if class < 6 {
		class++
	}
	bigger := st.pool.alloc(class)
	w := st.pool.words(bigger)
	st.each(g, func(h, h2 uint64) {
		i, _ := st.find(w, h, h2)
		w[i] = h
		if st.words == 2 {
			w[i+1] = h2
		}
	})
	st.pool.release(g.table)
	g.table = bigger
}

// each calls yield with all hashes of a group.
func (st *distinctState) each(g *setOf, yield func(h, h2 uint64)) {
	if g.n == 0 {
		return
	}
	w := st.pool.words(g.table)
	for i := 0; i < len(w); i += st.words {
		if w[i] != 0 {
			yield(w[i], w[i+st.words-1])
		}
	}
}

func (st *distinctState) toSketch(g *setOf) *sketch {
	s := st.newSketch()
	st.each(g, func(h, _ uint64) { s.add(h) })
	st.drop(g)
	st.sketches = append(st.sketches, s)
	g.sketch = uint32(len(st.sketches))
	return s
}

func (st *distinctState) newSketch() *sketch {
	if n := len(st.spare); n > 0 {
		s := st.spare[n-1]
		st.spare = st.spare[:n-1]
		*s = sketch{}
		return s
	}
	return &sketch{}
}

// drop empties a group.
func (st *distinctState) drop(g *setOf) {
	if g.n > 0 {
		st.pool.release(g.table)
	}
	*g = setOf{}
}

func (st *distinctState) merge(o state, groups []uint32) {
	other := o.(*distinctState)
	for i, to := range groups {
		if to == none {
			continue
		}
		from, dst := other.groups.at(uint32(i)), st.groups.at(to)
		if from.sketch != 0 {
			st.mergeSketch(dst, other.sketches[from.sketch-1])
			continue
		}
		other.each(from, func(h, h2 uint64) { st.mergeHash(dst, h, h2) })
	}
}

func (st *distinctState) mergeHash(g *setOf, h, h2 uint64) {
	if g.sketch != 0 {
		st.sketches[g.sketch-1].add(h)
	} else {
		st.insert(g, h, h2)
	}
}

// mergeSketch adds a sketch, which it may keep, to a group.
func (st *distinctState) mergeSketch(g *setOf, s *sketch) {
	if g.sketch != 0 {
		st.sketches[g.sketch-1].merge(s)
		return
	}
	st.each(g, func(h, _ uint64) { s.add(h) })
	st.drop(g)
	st.sketches = append(st.sketches, s)
	g.sketch = uint32(len(st.sketches))
}

func (st *distinctState) size(groups int) int64 {
	return st.groups.size(groups) + st.pool.size + int64(len(st.sketches))*sketchSize
}

func (st *distinctState) reset(groups int) {
	st.groups.reset(groups)
	st.pool.reset()
	st.spare = append(st.spare, st.sketches...)
	clear(st.sketches)
	st.sketches = st.sketches[:0]
}

func (st *distinctState) save(dst []byte, group uint32, from int) ([]byte, int) {
	g := st.groups.at(group)
	switch {
	case g.sketch != 0:
		return append(append(dst, savedSketch), st.sketches[g.sketch-1].registers[:]...), done
	case g.n == 0:
		return append(dst, savedNone), done
	}
	limit := len(dst) + partBytes
	dst = append(dst, savedValues)
	w := st.pool.words(g.table)
	for i := from; i < len(w); i += st.words {
		if w[i] == 0 {
			continue
		}
		if len(dst) > limit {
			return endList(dst), i
		}
		dst = append(dst, more)
		for _, h := range w[i : i+st.words] {
			dst = binary.LittleEndian.AppendUint64(dst, h)
		}
	}
	return endList(dst), done
}

func (st *distinctState) load(group uint32, d *decoder) {
	g := st.groups.at(group)
	switch d.byte() {
	case savedValues:
		for d.list() {
			h, h2 := d.word(), uint64(0)
			if st.words == 2 {
				h2 = d.word()
			}
			st.mergeHash(g, h, h2)
		}
	case savedSketch:
		s := st.newSketch()
		copy(s.registers[:], d.take(sketchSize))
		if g.sketch != 0 {
			st.sketches[g.sketch-1].merge(s)
			st.spare = append(st.spare, s)
			return
		}
		st.mergeSketch(g, s)
	}
}

func (st *distinctState) result(group uint32, _ *Spec, _ *[]byte) event.Value {
	g := st.groups.at(group)
	if g.sketch != 0 {
		return event.IntValue(st.sketches[g.sketch-1].estimate())
	}
	return event.IntValue(int64(g.n))
}
