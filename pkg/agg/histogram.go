package agg

import (
	"encoding/binary"
	"math"
	"math/big"
	"slices"
	"strconv"
)

// histogram counts numbers in buckets that divide each octave [2^o, 2^(o+1))
// into 64 equal parts, positive and negative ones apart. The middle of a bucket
// is within 1/128 of every value in it; rounding it to four digits adds 1/2000
// at most, which together is less than 1 %.
//
// Which bucket a number is in depends on the number only, so histograms of
// parts merge into the histogram of the whole.
type histogram struct {
	n        uint64
	zeros    uint64
	pos, neg octaves
	// min and max are exact, packed.
	min, max   uint64
	minF, maxF float64
}

const (
	bucketBits = 6
	buckets    = 1 << bucketBits
)

// octaves are the buckets of one sign. Those of the octaves from first on, as
// long as they are not too many, are in one piece, so that the counter of a
// number is found at once; the rest, which is rare, is in rest.
type octaves struct {
	near  []uint64
	first int32
	rest  map[int32]*[buckets]uint64
	bytes *int64 // counts those of the buckets, if it is not nil
}

// nearOctaves is how many octaves are in one piece at most: factors of 10^19.
const nearOctaves = 64

// page returns the buckets of octave o.
func (s *octaves) page(o int32) []uint64 {
	if i := uint64(int64(o)-int64(s.first)) * buckets; i < uint64(len(s.near)) {
		return s.near[i : i+buckets]
	}
	return s.newPage(o)
}

func (s *octaves) newPage(o int32) []uint64 {
	if s.near == nil {
		s.first = o
	}
	n := int32(len(s.near) / buckets)
	first, last := min(s.first, o), max(s.first+n, o+1)
	if int64(last)-int64(first) <= nearOctaves {
		wider := make([]uint64, int(last-first)*buckets)
		copy(wider[int(s.first-first)*buckets:], s.near)
		s.count(2 * (len(wider) - len(s.near))) // what is replaced is there for a while
		s.near, s.first = wider, first
		for k, page := range s.rest { // what came earlier may be near now
			if k >= first && k < last {
				copy(s.near[int(k-first)*buckets:], page[:])
				delete(s.rest, k)
			}
		}
		return s.page(o)
	}
	page := s.rest[o]
	if page == nil {
		if s.rest == nil {
			s.rest = make(map[int32]*[buckets]uint64)
		}
		s.count(buckets + 16)
		page = new([buckets]uint64)
		s.rest[o] = page
	}
	return page[:]
}

func (s *octaves) count(words int) {
	if s.bytes != nil {
		*s.bytes += 8 * int64(words)
	}
}

// ascending calls yield with the buckets of each octave, until it returns false.
func (s *octaves) ascending(yield func(o int32, counts []uint64) bool) {
	var all []int32
	for i := range int32(len(s.near) / buckets) {
		all = append(all, s.first+i)
	}
	for o := range s.rest {
		all = append(all, o)
	}
	slices.Sort(all)
	for _, o := range all {
		if !yield(o, s.page(o)) {
			return
		}
	}
}

func (h *histogram) addPacked(packed uint64, p *packer) {
	n := p.number(packed)
	f := n.float()
	h.extendPacked(f, packed, p)
	h.n++
	*h.bucket(n, f)++
}

// extend keeps the smallest and largest value, of which n, in float64 f, is one
// more. It is packed only if it is the smallest or largest.
func (h *histogram) extend(n number, f float64, p *packer) {
	if !(h.minF < f && f < h.maxF) {
		h.extendPacked(f, p.pack(n), p)
	}
}

func (h *histogram) extendPacked(f float64, packed uint64, p *packer) {
	if h.n == 0 || f < h.minF || f == h.minF && packed != h.min && p.compare(packed, h.min) < 0 {
		h.min, h.minF = packed, f
	}
	if h.n == 0 || f > h.maxF || f == h.maxF && packed != h.max && p.compare(packed, h.max) > 0 {
		h.max, h.maxF = packed, f
	}
}

// bucket returns the counter of a number's bucket. It is valid until bucket is
// called for a number in an octave that is new.
func (h *histogram) bucket(n number, f float64) *uint64 {
	side := &h.pos
	if n.digits == nil && n.m < 0 || n.digits != nil && n.digits[0] == '-' {
		side = &h.neg
	}
	if inFloatRange(f) {
		b := math.Float64bits(f)
		return &side.page(int32(b>>52&0x7ff) - 1023)[b>>(52-bucketBits)&(buckets-1)]
	}
	if n.digits == nil && n.m == 0 {
		return &h.zeros
	}
	o, sub := bigBucket(n)
	return &side.page(o)[sub]
}

// bigBucket returns the octave and bucket of a number that is not zero; it is
// for those out of float64's range.
func bigBucket(n number) (o int32, sub int) {
	var buf [64]byte
	f, _, _ := big.ParseFloat(string(n.append(buf[:0], false)), 10, 64, big.ToZero)
	exp := f.MantExp(f) // 0.5 ≤ |f| < 1
	m, _ := f.Abs(f).Float64()
	return int32(exp - 1), min(int((2*m-1)*buckets), buckets-1)
}

// merge adds o, whose min and max are packed by p.
func (h *histogram) merge(o *histogram, p *packer) {
	if o.minF < h.minF || o.minF == h.minF && o.min != h.min && p.compare(o.min, h.min) < 0 {
		h.min, h.minF = o.min, o.minF
	}
	if o.maxF > h.maxF || o.maxF == h.maxF && o.max != h.max && p.compare(o.max, h.max) > 0 {
		h.max, h.maxF = o.max, o.maxF
	}
	h.n += o.n
	h.zeros += o.zeros
	h.pos.merge(&o.pos)
	h.neg.merge(&o.neg)
}

func (s *octaves) merge(t *octaves) {
	for o, counts := range t.ascending {
		page := s.page(o)
		for j, n := range counts {
			page[j] += n
		}
	}
}

// repack moves what is packed to another packer.
func (h *histogram) repack(from, to *packer) {
	h.min, h.max = to.move(h.min, from), to.move(h.max, from)
}

// at returns the k-th smallest value, packed, if it is known exactly.
func (h *histogram) at(k uint64) (packed uint64, exact bool) {
	switch k {
	case 1:
		return h.min, true
	case h.n:
		return h.max, true
	}
	return 0, false
}

// append appends the middle of the bucket that the k-th smallest value is in,
// but nothing outside of the smallest and largest value.
func (h *histogram) append(dst []byte, k uint64) []byte {
	// The largest of the negative ones come first: k from the other end.
	negatives := uint64(0)
	for _, counts := range h.neg.ascending {
		for _, n := range counts {
			negatives += n
		}
	}
	if k <= negatives {
		k = negatives - k + 1
		for o, counts := range h.neg.ascending {
			for sub, n := range counts {
				if k <= n {
					return h.appendMiddle(dst, o, sub, true)
				}
				k -= n
			}
		}
	}
	k -= negatives
	if k <= h.zeros {
		return append(dst, '0')
	}
	k -= h.zeros
	for o, counts := range h.pos.ascending {
		for sub, n := range counts {
			if k <= n {
				return h.appendMiddle(dst, o, sub, false)
			}
			k -= n
		}
	}
	return append(dst, "null"...) // not reached: k ≤ h.n
}

func (h *histogram) appendMiddle(dst []byte, o int32, sub int, neg bool) []byte {
	m := 1 + (float64(sub)+0.5)/buckets
	if neg {
		m = -m
	}
	var text [32]byte
	var lit []byte
	if -1022 <= o && o <= 1023 {
		f := math.Ldexp(m, int(o))
		lit = strconv.AppendFloat(text[:0], f, 'e', 3, 64)
	} else {
		f := new(big.Float).SetMantExp(big.NewFloat(m), int(o))
		lit = f.Append(text[:0], 'e', 3)
	}
	n, _ := parseNumber(lit, new([]byte))
	if f := n.float(); f < h.minF {
		n, _ = parseNumber(strconv.AppendFloat(text[:0], h.minF, 'e', -1, 64), new([]byte))
	} else if f > h.maxF {
		n, _ = parseNumber(strconv.AppendFloat(text[:0], h.maxF, 'e', -1, 64), new([]byte))
	}
	return n.append(dst, true)
}

// save appends the histogram for load.
func (h *histogram) save(dst []byte, p *packer) []byte {
	dst = binary.AppendUvarint(dst, h.n)
	dst = binary.AppendUvarint(dst, h.zeros)
	dst = p.save(p.save(dst, h.min), h.max)
	dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(h.minF))
	dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(h.maxF))
	return h.neg.save(h.pos.save(dst))
}

// load fills an empty histogram.
func (h *histogram) load(d *decoder, p *packer) {
	h.n = d.uvarint()
	h.zeros = d.uvarint()
	h.min, h.max = p.load(d), p.load(d)
	h.minF, h.maxF = math.Float64frombits(d.word()), math.Float64frombits(d.word())
	h.pos.load(d)
	h.neg.load(d)
}

// save appends the octaves with any count, each with its number + 1<<31 in
// front; 0 ends them.
func (s *octaves) save(dst []byte) []byte {
	for o, counts := range s.ascending {
		if !slices.ContainsFunc(counts, func(n uint64) bool { return n != 0 }) {
			continue
		}
		dst = binary.AppendUvarint(dst, uint64(int64(o)+1<<31))
		for _, n := range counts {
			dst = binary.AppendUvarint(dst, n)
		}
	}
	return append(dst, 0)
}

func (s *octaves) load(d *decoder) {
	for {
		o := d.uvarint()
		if o == 0 {
			return
		}
		page := s.page(int32(int64(o) - 1<<31))
		for j := range page {
			page[j] += d.uvarint()
		}
	}
}
