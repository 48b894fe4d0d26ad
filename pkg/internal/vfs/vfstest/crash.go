package vfstest

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
)

// sector is the unit in which a disk writes: all of it or nothing.
const sector = 512

// Loss says what is left of what was not synced. Equal ones take away the same
// from the same history.
type Loss struct {
	kind lossKind
	seed uint64
}

type lossKind int

const (
	keepAll lossKind = iota
	keepTorn
	loseAll
	ordered
	random
)

// KeepAll is no power cut: all processes are killed. Everything is still there,
// and what was not synced is still not synced.
func KeepAll() Loss { return Loss{kind: keepAll} }

// KeepTorn is KeepAll in the midst of the last operation: of a write only half
// has been done.
func KeepTorn() Loss { return Loss{kind: keepTorn} }

// LoseAll is a power cut that takes everything that was not synced: content,
// sizes and names.
func LoseAll() Loss { return Loss{kind: loseAll} }

// Ordered is a power cut on a file system with a journal: the names as they were
// after some of the operations on names, in each file some of its changes, the
// last of them perhaps in part; none without those before it.
func Ordered(seed uint64) Loss { return Loss{ordered, seed} }

// Random is a power cut on a file system that promises no more than it must: any
// of the operations on names that were not synced (a rename wholly or not at
// all), of each sector of a file any state since the last Sync, and of its size,
// too. Sectors that were never written read as zeros.
func Random(seed uint64) Loss { return Loss{random, seed} }

func (l Loss) String() string {
	switch l.kind {
	case keepAll:
		return "kill"
	case keepTorn:
		return "kill in a write"
	case loseAll:
		return "lose all"
	case ordered:
		return fmt.Sprintf("ordered %d", l.seed)
	}
	return fmt.Sprintf("random %d", l.seed)
}

// after is what a power cut leaves of d, all of it durable. It leaves d as it is,
// and is to be cloned before it is changed.
// salt makes different points of one history lose different things.
func (d *disk) after(l Loss, salt uint64) *disk {
	d = d.clone()
	rng := rand.New(rand.NewPCG(l.seed, salt))
	moves := d.moves
	d.moves = nil
	switch l.kind {
	case loseAll:
		moves = nil
	case ordered:
		moves = moves[:rng.IntN(len(moves)+1)]
	case random:
		keep := likely(rng)
		moves = slices.DeleteFunc(moves, func(move) bool { return rng.Float64() >= keep })
	}
	for _, m := range moves {
		d.settle(m)
	}
	// In the order of the nodes, so that a seed says all.
	for _, i := range slices.Sorted(maps.Keys(d.nodes)) {
		n := d.nodes[i]
		switch {
		case n.dir:
			n.names = maps.Clone(n.safeNames)
		case l.kind == ordered:
			n.loseTail(rng)
		case l.kind == random:
			n.loseSectors(rng)
		}
		n.in = n.safeIn
		n.data, n.pending = n.safe, nil
	}
	return d
}

// likely is how likely it is that something is kept: fair coins alone would never
// lose one of a hundred, or keep one.
func likely(rng *rand.Rand) float64 {
	return []float64{0, 0.1, 0.5, 0.9, 1}[rng.IntN(5)]
}

// loseTail makes the first changes durable, and perhaps a part of the next.
func (n *node) loseTail(rng *rand.Rand) {
	k := rng.IntN(len(n.pending) + 1)
	for _, c := range n.pending[:k] {
		c.apply(&n.safe)
	}
	if k == len(n.pending) {
		return
	}
	c := n.pending[k]
	if c.cut || len(c.data) == 0 {
		return
	}
	end := (c.off + rng.Int64N(int64(len(c.data)))) / sector * sector
	if end > c.off {
		n.safe.writeAt(c.off, c.data[:end-c.off])
	}
}

// loseSectors makes of each sector some state since the last Sync durable.
func (n *node) loseSectors(rng *rand.Rand) {
	if len(n.pending) == 0 {
		return
	}
	changes := map[int64]int{} // of a sector
	sizes := []int64{int64(len(n.safe.b))}
	for _, c := range n.pending {
		for s := range c.sectors() {
			changes[s]++
		}
		if c.size >= 0 {
			sizes = append(sizes, c.size)
		}
	}
	keep := likely(rng)
	for _, s := range slices.Sorted(maps.Keys(changes)) {
		if rng.Float64() >= keep {
			changes[s] = rng.IntN(changes[s])
		}
	}
	size := sizes[len(sizes)-1]
	if rng.IntN(2) == 0 {
		size = sizes[rng.IntN(len(sizes))]
	}
	n.safe.resize(max(int64(len(n.safe.b)), slices.Max(sizes)))
	for _, c := range n.pending {
		for s := range c.sectors() {
			if changes[s] > 0 {
				changes[s]--
				if part, ok := c.within(s); ok {
					n.safe.writeAt(part.off, part.data)
				}
			}
		}
	}
	n.safe.resize(size)
}

// sectors yields the numbers of the sectors that a change touches.
func (c *change) sectors() iter.Seq[int64] {
	return func(yield func(int64) bool) {
		if len(c.data) == 0 {
			return
		}
		for s := c.off / sector; s <= (c.off+int64(len(c.data))-1)/sector; s++ {
			if !yield(s) {
				return
			}
		}
	}
}

// within is the part of a change that lies in a sector.
func (c *change) within(s int64) (change, bool) {
	lo := max(c.off, s*sector)
	hi := min(c.off+int64(len(c.data)), (s+1)*sector)
	if lo >= hi {
		return change{}, false
	}
	part := *c
	part.off, part.data = lo, c.data[lo-c.off:hi-c.off]
	return part, true
}
