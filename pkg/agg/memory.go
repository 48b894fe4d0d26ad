package agg

import (
	"math/bits"
	"unsafe"

	"logtools/pkg/internal/huge"
)

// The states of millions of groups are kept without a Go pointer per group:
// the garbage collector then has nothing to scan, and growing copies nothing.

// touch loads a word from each of the places and returns something made of
// them, which the caller must keep somewhere, or the compiler would drop the
// loads.
//
// It is what makes grouping fast when the groups do not fit the cache: the
// loads do not depend on each other and nothing stands between them, so the
// processor waits for ten or more cache misses at a time. Work that looks at
// what it loads, one group after the other, waits for one or two.
func touch(places []*uint64) uint64 {
	sum := uint64(0)
	for _, p := range places {
		sum += *p
	}
	return sum
}

// store is a growing array in chunks, addressed by group number.
type store[T any] struct {
	chunks []*[chunkLen]T
}

const (
	chunkBits = 10
	chunkLen  = 1 << chunkBits
)

func (s *store[T]) at(i uint32) *T { return &s.chunks[i>>chunkBits][i&(chunkLen-1)] }

// grow makes room for n elements; new ones are zero.
func (s *store[T]) grow(n int) {
	for len(s.chunks)<<chunkBits < n {
		s.chunks = append(s.chunks, new([chunkLen]T))
	}
}

// reset makes the first n elements zero. Their memory is kept.
func (s *store[T]) reset(n int) {
	for _, c := range s.chunks {
		if n <= 0 {
			return
		}
		clear(c[:min(n, chunkLen)])
		n -= chunkLen
	}
}

// size returns the bytes of n elements.
func (s *store[T]) size(n int) int64 {
	var zero T
	return int64(n) * int64(unsafe.Sizeof(zero))
}

// arena holds byte strings.
type arena struct {
	chunks [][]byte
	cur    int   // the chunk that short strings go to
	kept   int   // the chunks behind cur and below kept are empty (see reset)
	size   int64 // bytes of the chunks in use
}

const (
	minArena = 4 << 10
	maxArena = 1 << 20
)

// alloc returns n bytes and where they are.
func (a *arena) alloc(n int) (ref uint64, b []byte) {
	at := a.cur
	switch {
	case n >= maxArena/4: // a chunk of its own; the current one goes on
		if a.chunks == nil {
			a.chunks = append(a.chunks, nil)
		}
		at = len(a.chunks)
		a.chunks = append(a.chunks, make([]byte, 0, n))
		a.size += int64(n)
	case a.chunks == nil:
		a.chunks = append(a.chunks, make([]byte, 0, max(minArena, n)))
		a.size += int64(cap(a.chunks[at]))
	case cap(a.chunks[at])-len(a.chunks[at]) < n:
		size := min(max(2*cap(a.chunks[at]), minArena), maxArena)
		for at++; at < a.kept && cap(a.chunks[at]) < n; at++ {
		}
		if at >= a.kept {
			at = len(a.chunks)
			a.chunks = append(a.chunks, make([]byte, 0, max(size, n)))
		}
		a.cur = at
		a.size += int64(cap(a.chunks[at]))
	}
	c := a.chunks[at]
	off := len(c)
	a.chunks[at] = c[:off+n]
	return uint64(at)<<32 | uint64(off), a.chunks[at][off : off+n : off+n]
}

// reset forgets all strings. Their memory is kept, but for chunks that only hold
// a long one.
func (a *arena) reset() {
	keep := a.chunks[:0]
	for _, c := range a.chunks {
		if minArena <= cap(c) && cap(c) <= maxArena {
			keep = append(keep, c[:0])
		}
	}
	clear(a.chunks[len(keep):])
	*a = arena{chunks: keep, kept: len(keep)}
	if len(keep) == 0 {
		a.chunks = nil
	} else {
		a.size = int64(cap(keep[0]))
	}
}

// put stores a copy of b.
func (a *arena) put(b []byte) (ref uint64) {
	ref, dst := a.alloc(len(b))
	copy(dst, b)
	return ref
}

// get returns the n bytes at ref.
func (a *arena) get(ref uint64, n int) []byte {
	off := int(uint32(ref))
	return a.chunks[ref>>32][off : off+n : off+n]
}

// blob is a byte string in an arena that may be replaced in place.
type blob struct {
	ref      uint64
	len, cap uint32
}

func (a *arena) bytes(b blob) []byte { return a.get(b.ref, int(b.len)) }

// set replaces what b holds. Room that has become too small doubles, so a
// string that grows step by step wastes at most as much as it needs.
func (a *arena) set(b *blob, v []byte) {
	if len(v) > int(b.cap) {
		n := len(v)
		if b.cap > 0 {
			n = max(n, min(2*int(b.cap), maxArena))
		}
		b.ref, _ = a.alloc(n)
		b.cap = uint32(n)
	}
	b.len = uint32(len(v))
	copy(a.get(b.ref, len(v)), v)
}

// pool gives out arrays of words whose lengths are powers of two, and takes
// them back: small ones are cut from large chunks.
type pool struct {
	chunks [][]uint64
	used   int   // words of the chunk cur that are given out
	cur    int   // the chunk that small arrays are cut from
	kept   int   // the chunks behind cur and below kept are free (see reset)
	size   int64 // bytes of the chunks in use
	// free[class] is the last array taken back, plus one; its first word is
	// the one before.
	free [poolClasses]uint64
}

const (
	minWords    = 4
	poolClasses = 13 // up to 16 Ki words are cut from chunks
	firstChunk  = 1 << 10
	fullChunk   = 1 << 19
)

// array is one of the pool's arrays: its place, and its length minWords<<class.
type array struct {
	ref   uint64
	class uint8
}

func (p *pool) words(a array) []uint64 {
	off, n := int(uint32(a.ref)), minWords<<a.class
	return p.chunks[a.ref>>32][off : off+n : off+n]
}

// alloc returns an array of zeros.
func (p *pool) alloc(class uint8) array {
	n := minWords << class
	if class >= poolClasses {
		p.chunks = append(p.chunks, make([]uint64, n))
		p.size += 8 * int64(n)
		return array{uint64(len(p.chunks)-1) << 32, class}
	}
	if ref := p.free[class]; ref != 0 {
		a := array{ref - 1, class}
		w := p.words(a)
		p.free[class] = w[0]
		clear(w)
		return a
	}
	if p.chunks == nil || p.used+n > len(p.chunks[p.cur]) {
		// What is left of the old chunk goes to the free lists.
		size := firstChunk
		if p.chunks != nil {
			for rest := len(p.chunks[p.cur]) - p.used; rest >= minWords; rest = len(p.chunks[p.cur]) - p.used {
				c := uint8(min(bits.Len(uint(rest/minWords))-1, poolClasses-1))
				p.release(array{uint64(p.cur)<<32 | uint64(p.used), c})
				p.used += minWords << c
			}
			size = min(2*len(p.chunks[p.cur]), fullChunk)
		}
		at := p.cur + 1
		for at < p.kept && len(p.chunks[at]) < n {
			at++
		}
		if at >= p.kept {
			at = len(p.chunks)
			p.chunks = append(p.chunks, huge.Words(max(size, n)))
		}
		p.cur, p.used = at, 0
		p.size += 8 * int64(len(p.chunks[at]))
	}
	a := array{uint64(p.cur)<<32 | uint64(p.used), class}
	p.used += n
	// They are zeros already. But if the first access to fresh memory is a
	// load, the system maps a page of zeros there, and has to undo that on all
	// processors when the first store comes.
	clear(p.words(a))
	return a
}

// release takes an array back.
func (p *pool) release(a array) {
	if a.class >= poolClasses {
		p.chunks[a.ref>>32] = nil
		p.size -= 8 * int64(minWords<<a.class)
		return
	}
	p.words(a)[0] = p.free[a.class]
	p.free[a.class] = a.ref + 1
}

// reset takes all arrays back. Their memory is kept, but that of long ones.
func (p *pool) reset() {
	keep := p.chunks[:0]
	for _, c := range p.chunks {
		if c != nil && len(c) <= fullChunk {
			keep = append(keep, c)
		}
	}
	clear(p.chunks[len(keep):])
	*p = pool{chunks: keep, kept: len(keep)}
	if len(keep) == 0 {
		p.chunks = nil
	} else {
		p.size = 8 * int64(len(keep[0]))
	}
}
