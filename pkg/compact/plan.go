package compact

import (
	"math"
	"math/bits"
)

// piece is a sealed segment as the plan sees it.
type piece struct {
	bytes      int64 // on the disk
	units, raw int64 // of all lines, before
	events     int64
	stay       int64 // events that stay
	next       int64 // the offset behind it
	first      int64 // when its first and its last event were appended, in microseconds
	last       int64 // since 1970
	apart      bool  // it must not be merged with the one before it
}

const (
	// leastBytes is about what a segment takes that has next to nothing in it.
	leastBytes = 512

	// Units are tiny if there are more than fewUnits and they have on average less than
	// tinyUnit bytes of lines. Rewritten units have about 1 MiB, so these never are.
	fewUnits = 4
	tinyUnit = 64 << 10

	// worth is how many bytes that could stay as they are may be rewritten for one that
	// is merged with them.
	worth = 4

	// reach is how many groups are looked at for merging with one. More than reach that
	// are not worth merging among themselves do not fit within 128 MiB, and only just
	// within some GiB if their sizes are made for that: it is there so that no sizes
	// make a plan slow.
	reach = 64
)

// size is about how many bytes on the disk it has afterwards, if something of it stays.
// It is exact if everything stays.
func (p *piece) size() int64 {
	if p.stay >= p.events {
		return p.bytes
	}
	hi, lo := bits.Mul64(uint64(p.bytes), uint64(p.stay))
	n, _ := bits.Div64(hi, lo, uint64(p.events)) // hi < stay < events
	return max(int64(n), leastBytes)
}

// stale says that it must be rewritten, whatever becomes of its neighbours.
func (p *piece) stale() bool {
	return p.stay < p.events || tiny(p.units, p.raw)
}

// tiny says of units with so many bytes of lines that they are to be made into few.
func tiny(units, raw int64) bool { return units > fewUnits && raw/units < tinyUnit }

// bounds is how large segments may become by merging; 0 is no bound.
type bounds struct {
	bytes int64 // on the disk
	age   int64 // between the first and the last append, in microseconds
}

// expired returns how many of the pieces, from the oldest on, go by retention: all of
// their events were appended before the time since, or at least keep bytes are left
// without them (the bytes of all that follows, others is what is not in ps). 0 or less
// is no limit. A piece without events goes along with the next one that goes, or when
// it is old itself.
func expired(ps []piece, others, since, keep int64) int {
	left := others
	for i := range ps {
		left += ps[i].bytes
	}
	n := 0
	for i := range ps {
		p := &ps[i]
		left -= p.bytes
		switch {
		case since > 0 && p.last < since, keep > 0 && left >= keep:
			n = i + 1
		case p.events > 0:
			return n
		}
	}
	return n
}

// run is pieces that are replaced by one: from first on, n of them.
type run struct{ first, n int }

// plan returns which pieces are rewritten, and which of them as one, ascending.
//
// Rewritten is what loses events or has tiny units. Neighbours are merged if that is
// allowed (the second is not apart, and they stay within the bounds) and worth it: the
// largest of those that could stay as they are is at most four times the size of all
// the others together. There is no exception for small ones: rewriting a few MiB again
// for each KiB that is appended would be most of the work of a small log.
//
//   - A byte that is not rewritten for other reasons is so at most log1.25(after/before)
//     times, where before is the size of its piece in the beginning and after in the
//     end: its piece was either the largest, and the others made it grow by a quarter,
//     or it was not, and it is in one now that is at least twice as large.
//   - What was merged is less than a quarter of the piece before it, or it would have
//     been merged with that, too (within the bounds). So of small pieces that are
//     appended for ever there is a logarithmic number.
//   - In what results nothing more is worth it, if sizes are as estimated: a piece that
//     need not be rewritten any more is never easier to merge than it was when it had
//     to be. Where estimates are wrong the next plan may merge again, which ends, since
//     each time there are fewer pieces.
//
// Pieces of which nothing stays have no size and no times that bounds could mean. They
// always go into a neighbour: into one that is rewritten anyway, or the smaller one.
// Only the newest ones wait, as one piece, for what is appended next if what is before
// them could stay as it is and is far larger than they were: or whatever is appended and
// deleted soon would each time cost a rewrite of the large segment before it.
func plan(ps []piece, b bounds) []run {
	m := merger{bounds: b}
	if b.bytes <= 0 {
		m.bounds.bytes = math.MaxInt64
	}
	if b.age <= 0 {
		m.bounds.age = math.MaxInt64
	}
	for i := range ps {
		p := &ps[i]
		apart := p.apart || i == 0
		if apart {
			m.placeGone(false)
		}
		if p.stay <= 0 {
			m.addGone(i, p, apart)
			continue
		}
		m.add(group{
			first: i, n: 1, size: p.size(), from: p.first, to: p.last,
			rewrite: p.stale(), apart: apart,
		})
	}
	m.placeGone(true)
	var runs []run
	for _, g := range m.done {
		if g.rewrite {
			runs = append(runs, run{g.first, g.n})
		}
	}
	return runs
}

// group is neighbours that are to be one piece.
type group struct {
	first, n int
	size     int64 // on the disk, afterwards
	from, to int64 // the first and the last append of pieces of which something stays
	rewrite  bool  // it cannot stay as it is: it is stale, or more than one piece
	apart    bool  // it must not be merged with the one before it
}

// merger is a plan for the pieces up to some point: no neighbours in done are worth
// merging.
type merger struct {
	bounds bounds // math.MaxInt64 is none
	done   []group
	// gone is the pieces behind done of which nothing stays. Its size is what they have
	// now.
	gone group
}

// addGone adds a piece of which nothing stays.
func (m *merger) addGone(i int, p *piece, apart bool) {
	if m.gone.n == 0 {
		m.gone = group{first: i, apart: apart}
	}
	m.gone.n++
	m.gone.size += p.bytes
	m.gone.rewrite = m.gone.n > 1 || p.stale()
}

// add adds a piece of which something stays, and what is gone before it to either it or
// the one before that.
func (m *merger) add(g group) {
	if m.gone.n > 0 {
		left := !m.gone.apart
		if left {
			before := &m.done[len(m.done)-1]
			left = before.rewrite || !g.rewrite && before.size < g.size
		}
		if left {
			m.placeGone(false)
		} else {
			g.first, g.n = m.gone.first, m.gone.n+g.n
			g.rewrite, g.apart = true, m.gone.apart
			m.gone = group{}
		}
	}
	m.done = append(m.done, g)
	m.settle()
}

// placeGone puts what is gone into the group before it. It stays a group of its own if
// it must not be merged with that, or if more may come (newest) and it is not worth it.
func (m *merger) placeGone(newest bool) {
	gone := m.gone
	if gone.n == 0 {
		return
	}
	m.gone = group{}
	if !gone.apart {
		before := &m.done[len(m.done)-1]
		if !newest || before.rewrite || before.size/worth <= gone.size {
			before.n += gone.n
			before.rewrite = true
			m.settle()
			return
		}
	}
	m.done = append(m.done, gone)
}

// settle merges the last group with those before it for as long as that is worth it.
func (m *merger) settle() {
	for {
		k := m.worthwhile()
		if k < 0 {
			return
		}
		g := &m.done[k]
		for _, o := range m.done[k+1:] {
			g.n += o.n
			g.size += o.size
			g.from, g.to = min(g.from, o.from), max(g.to, o.to)
		}
		g.rewrite = true
		m.done = m.done[:k+1]
	}
}

// worthwhile returns the last group from which on to merge all is allowed and worth it,
// or less than 0.
func (m *merger) worthwhile() int {
	k := len(m.done) - 1
	all := m.done[k]
	var largest int64 // of those that could stay as they are
	if !all.rewrite {
		largest = all.size
	}
	for range reach {
		if m.done[k].apart {
			break
		}
		k--
		g := &m.done[k]
		if g.size > m.bounds.bytes-all.size {
			break
		}
		all.size += g.size
		all.from, all.to = min(all.from, g.from), max(all.to, g.to)
		if all.to-all.from > m.bounds.age {
			break
		}
		if !g.rewrite {
			largest = max(largest, g.size)
		}
		if all.size-largest >= largest/worth {
			return k
		}
	}
	return -1
}
