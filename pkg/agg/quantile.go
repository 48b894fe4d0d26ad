package agg

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
	"strconv"

	"logtools/pkg/event"
)

// exactValues is how many values of a group quantiles keep before they turn
// to a histogram.
const exactValues = 1000

// quantileState is for median and pN: all quantiles of one EXPR. A group keeps
// its values, packed into a word each; with more than exactValues of them it
// keeps a histogram instead. Whether it does depends only on how many there
// are, so the result does not depend on the order of adding and merging.
type quantileState struct {
	spec   *Spec
	exact  bool
	groups store[valuesOf]
	pool   pool
	packer packer
	hists  []*histogram
	bytes  int64 // of the histograms' buckets

	sorted []ranked // the values of a group, for several quantiles of it
	which  uint32   // that group + 1; 0: none

	loaded uint64 // see touch
}

type valuesOf struct {
	values array
	n      uint32 // values in the array
	hist   uint32 // in hists, plus one
}

// ranked is a packed value with its nearest float64.
type ranked struct {
	f      float64
	packed uint64
}

func (st *quantileState) prepare(r *rows, v *event.Value, c *cell) error {
	return prepareNumber(st.spec, r, v, c)
}

func (st *quantileState) grow(n int) { st.groups.grow(n) }

// add goes in stages: all groups, then the places where the values go, are
// loaded before the first of them is looked at (see touch).
func (st *quantileState) add(r *rows, cells []cell) {
	st.which = 0
	groups := r.groups[:len(cells)]
	loaded := uint64(0)
	for _, id := range groups {
		loaded += uint64(st.groups.at(id).n)
	}
	var places [batchLen]*uint64
	var floats [batchLen]float64
	for i, id := range groups {
		places[i] = &st.loaded
		g := st.groups.at(id)
		switch {
		case g.n > 0:
			places[i] = &st.pool.words(g.values)[g.n-1]
		case g.hist != 0 && cells[i].kind != event.Missing:
			h := st.hists[g.hist-1]
			n := r.number(&cells[i])
			floats[i] = n.float()
			h.extend(n, floats[i], &st.packer)
			places[i] = h.bucket(n, floats[i])
		}
	}
	st.loaded = loaded + touch(places[:len(groups)])
	for i, id := range groups {
		if cells[i].kind == event.Missing {
			continue
		}
		g := st.groups.at(id)
		if g.hist != 0 {
			h := st.hists[g.hist-1]
			n := r.number(&cells[i])
			if floats[i] == 0 { // perhaps it has become one in this batch
				floats[i] = n.float()
				h.extend(n, floats[i], &st.packer)
			}
			h.n++
			*h.bucket(n, floats[i])++
			continue
		}
		packed, ok := packSmall(int64(cells[i].a), cells[i].e)
		if !ok || cells[i].big {
			packed = st.packer.pack(r.number(&cells[i]))
		}
		st.push(g, packed)
	}
}

// push adds a packed value to a group without a histogram.
func (st *quantileState) push(g *valuesOf, packed uint64) {
	if g.n == exactValues && !st.exact {
		st.toHistogram(g).addPacked(packed, &st.packer)
		return
	}
	switch size := uint32(minWords) << g.values.class; {
	case g.n == 0:
		g.values = st.pool.alloc(0)
	case g.n == size:
		bigger := st.pool.alloc(g.values.class + 1)
		copy(st.pool.words(bigger), st.pool.words(g.values))
		st.pool.release(g.values)
		g.values = bigger
	}
	st.pool.words(g.values)[g.n] = packed
	g.n++
}

// toHistogram makes a histogram of the values of g.
func (st *quantileState) toHistogram(g *valuesOf) *histogram {
	h := st.newHistogram()
	if g.n > 0 {
		for _, p := range st.pool.words(g.values)[:g.n] {
			h.addPacked(p, &st.packer)
		}
		st.pool.release(g.values)
	}
	st.hists = append(st.hists, h)
	*g = valuesOf{hist: uint32(len(st.hists))}
	return h
}

func (st *quantileState) newHistogram() *histogram {
	h := &histogram{}
	h.pos.bytes, h.neg.bytes = &st.bytes, &st.bytes
	return h
}

func (st *quantileState) merge(o state, groups []uint32) {
	st.which = 0
	other := o.(*quantileState)
	for i, to := range groups {
		if to == none {
			continue
		}
		from, dst := other.groups.at(uint32(i)), st.groups.at(to)
		if from.hist != 0 {
			h := other.hists[from.hist-1]
			h.repack(&other.packer, &st.packer)
			st.mergeHistogram(dst, h)
			continue
		}
		if from.n == 0 {
			continue
		}
		for _, p := range other.pool.words(from.values)[:from.n] {
			st.mergeValue(dst, st.packer.move(p, &other.packer))
		}
	}
}

// mergeValue adds a packed value to a group.
func (st *quantileState) mergeValue(g *valuesOf, packed uint64) {
	if g.hist != 0 {
		st.hists[g.hist-1].addPacked(packed, &st.packer)
	} else {
		st.push(g, packed)
	}
}

// mergeHistogram adds a histogram, which it may keep, to a group.
func (st *quantileState) mergeHistogram(g *valuesOf, h *histogram) {
	if g.hist != 0 {
		st.hists[g.hist-1].merge(h, &st.packer)
		return
	}
	if g.n > 0 {
		for _, p := range st.pool.words(g.values)[:g.n] {
			h.addPacked(p, &st.packer)
		}
		st.pool.release(g.values)
	}
	st.hists = append(st.hists, h)
	*g = valuesOf{hist: uint32(len(st.hists))}
}

func (st *quantileState) size(groups int) int64 {
	const histogramBytes = 256
	return st.groups.size(groups) + st.pool.size + st.packer.literals.size +
		int64(len(st.hists))*histogramBytes + st.bytes
}

func (st *quantileState) reset(groups int) {
	st.groups.reset(groups)
	st.pool.reset()
	st.packer.literals.reset()
	clear(st.hists)
	st.hists, st.bytes, st.which = st.hists[:0], 0, 0
}

func (st *quantileState) save(dst []byte, group uint32, from int) ([]byte, int) {
	g := st.groups.at(group)
	switch {
	case g.hist != 0:
		return st.hists[g.hist-1].save(append(dst, savedSketch), &st.packer), done
	case g.n == 0:
		return append(dst, savedNone), done
	}
	limit := len(dst) + partBytes
	dst = append(dst, savedValues)
	for i, p := range st.pool.words(g.values)[from:g.n] {
		if len(dst) > limit {
			return endList(dst), from + i
		}
		dst = st.packer.save(append(dst, more), p)
	}
	return endList(dst), done
}

func (st *quantileState) load(group uint32, d *decoder) {
	st.which = 0
	g := st.groups.at(group)
	switch d.byte() {
	case savedValues:
		for d.list() {
			st.mergeValue(g, st.packer.load(d))
		}
	case savedSketch:
		h := st.newHistogram()
		h.load(d, &st.packer)
		st.mergeHistogram(g, h)
	}
}

func (st *quantileState) result(group uint32, s *Spec, buf *[]byte) event.Value {
	g := st.groups.at(group)
	var packed uint64
	switch {
	case g.hist != 0:
		h := st.hists[g.hist-1]
		k := nearestRank(h.n, s.Q)
		if v, exact := h.at(k); exact {
			packed = v
			break
		}
		from := len(*buf)
		*buf = h.append(*buf, k)
		return numberIn(*buf, from)
	case g.n == 0:
		return event.Value{Kind: event.Null}
	default:
		st.sort(group, g)
		packed = st.sorted[nearestRank(uint64(g.n), s.Q)-1].packed
	}
	from := len(*buf)
	*buf = st.packer.append(*buf, packed)
	return numberIn(*buf, from)
}

func (st *quantileState) sort(group uint32, g *valuesOf) {
	if st.which == group+1 {
		return
	}
	st.which = group + 1
	st.sorted = slices.Grow(st.sorted[:0], int(g.n))
	for _, p := range st.pool.words(g.values)[:g.n] {
		st.sorted = append(st.sorted, ranked{st.packer.float(p), p})
	}
	slices.SortFunc(st.sorted, func(a, b ranked) int {
		if c := cmp.Compare(a.f, b.f); c != 0 || a.packed == b.packed {
			return c
		}
		return st.packer.compare(a.packed, b.packed)
	})
}

// nearestRank returns the rank, from 1, of the quantile q of n values:
// the smallest k with k/n ≥ q.
func nearestRank(n, q uint64) uint64 {
	hi, lo := bits.Mul64(n, q)
	lo, carry := bits.Add64(lo, wholeQ-1, 0)
	k, _ := bits.Div64(hi+carry, lo, wholeQ)
	return min(max(k, 1), n)
}

// packer packs numbers into a word each: m × 10^e as m<<8 | e, and what does
// not fit, which is rare, as the place of its digits<<8 | 0x80.
type packer struct {
	literals arena
	scratch  []byte
}

const literalMark = 0x80 // as e: -128

func packSmall(m int64, e int32) (packed uint64, ok bool) {
	return uint64(m)<<8 | uint64(uint8(e)), -127 <= e && e <= 127 && -1<<55 <= m && m < 1<<55
}

func (p *packer) pack(n number) uint64 {
	if packed, ok := packSmall(n.m, n.e); ok && n.digits == nil {
		return packed
	}
	p.scratch = n.append(p.scratch[:0], true)
	return p.packLiteral(p.scratch)
}

// packLiteral keeps a number's text, with its length in front. The place of it
// must fit 56 bits, 28 for the chunk and 28 for the byte in it.
func (p *packer) packLiteral(lit []byte) uint64 {
	var head [binary.MaxVarintLen64]byte
	k := binary.PutUvarint(head[:], uint64(len(lit)))
	ref, b := p.literals.alloc(k + len(lit))
	copy(b, head[:k])
	copy(b[k:], lit)
	return (ref>>32<<28|ref&(1<<28-1))<<8 | literalMark
}

func (p *packer) literal(packed uint64) []byte {
	ref := packed >> 8
	b := p.literals.chunks[ref>>28][ref&(1<<28-1):]
	n, k := binary.Uvarint(b)
	return b[k : k+int(n) : k+int(n)]
}

// number unpacks; the digits are valid until the next call.
func (p *packer) number(packed uint64) number {
	if uint8(packed) != literalMark {
		return number{m: int64(packed) >> 8, e: int32(int8(packed))}
	}
	p.scratch = p.scratch[:0]
	n, _ := parseNumber(p.literal(packed), &p.scratch)
	return n
}

func (p *packer) append(dst []byte, packed uint64) []byte {
	if uint8(packed) == literalMark {
		return append(dst, p.literal(packed)...)
	}
	return p.number(packed).append(dst, true)
}

func (p *packer) float(packed uint64) float64 {
	if uint8(packed) == literalMark {
		f, _ := strconv.ParseFloat(string(p.literal(packed)), 64)
		return f
	}
	return p.number(packed).float()
}

func (p *packer) compare(a, b uint64) int {
	var x, y [160]byte
	s, t := p.append(x[:0], a), p.append(y[:0], b)
	if bytes.Equal(s, t) {
		return 0
	}
	return event.Compare(event.RawValue(s), event.RawValue(t))
}

// save appends a packed number for load.
func (p *packer) save(dst []byte, packed uint64) []byte {
	dst = append(dst, uint8(packed))
	if uint8(packed) == literalMark {
		return appendBytes(dst, p.literal(packed))
	}
	return binary.AppendVarint(dst, int64(packed)>>8)
}

func (p *packer) load(d *decoder) uint64 {
	e := d.byte()
	if e == literalMark {
		return p.packLiteral(d.bytes())
	}
	return uint64(d.varint())<<8 | uint64(e)
}

// move packs what o has packed.
func (p *packer) move(packed uint64, o *packer) uint64 {
	if uint8(packed) != literalMark {
		return packed
	}
	return p.packLiteral(o.literal(packed))
}
