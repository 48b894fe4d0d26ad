package compact

// rings are queues of events, in a few large blocks. A ring has a power of two of
// words: the first says where it begins and how much is in it, the others are events.
// What refers to a ring is an even number that is not 0:
//
//	bit 0      0
//	bit 1-7    its class: it has 1<<class words
//	bit 8-31   the first of its words
//	bit 32-63  its block
type rings struct {
	blocks [][]mark
	spare  [][]mark // blocks of the usual size that are not in use
	usual  int      // words of a usual block
	used   int      // words of the last usual block that are in use
	last   int      // which block that is; less than 0: none
	bytes  int64    // of all blocks
	given  [maxClass + 1]uint64
}

const (
	minClass = 2 // 3 events
	// maxClass is that of the largest ring: 128 MiB. Keys that have more go to files.
	maxClass = 24
)

// init prepares rings that share so much memory with others.
func (r *rings) init(memory int64) {
	r.usual = int(min(max(memory/512, 512), 32<<10))
	r.last = -1
}

// words returns the words of a ring.
func (r *rings) words(ring uint64) []mark {
	from := ring >> 8 & (1<<24 - 1)
	return r.blocks[ring>>32][from : from+1<<classOf(ring)]
}

func classOf(ring uint64) int { return int(ring >> 1 & 0x7f) }

// span reads the first word of a ring.
func span(w []mark) (from, n int) { return int(w[0] >> 32), int(w[0] & (1<<32 - 1)) }

func setSpan(w []mark, from, n int) { w[0] = mark(from)<<32 | mark(n) }

// take returns an empty ring for n events or more. It takes up to left bytes more for
// it; it is false if that is too little.
func (r *rings) take(n int, left int64) (ring uint64, ok bool) {
	class := minClass
	for class <= maxClass && 1<<class-1 < n {
		class++
	}
	if class > maxClass {
		return 0, false
	}
	if ring = r.given[class]; ring != 0 {
		w := r.words(ring)
		r.given[class] = uint64(w[0])
		w[0] = 0
		return ring, true
	}
	size := 1 << class
	if size > r.usual/8 {
		// A block of its own, so that little is lost at the end of the usual ones.
		if int64(size)*8 > left {
			return 0, false
		}
		r.blocks = append(r.blocks, make([]mark, size))
		r.bytes += int64(size) * 8
		return uint64(len(r.blocks)-1)<<32 | uint64(class)<<1, true
	}
	if r.last < 0 || r.used+size > r.usual {
		if !r.another(left) {
			return 0, false
		}
	}
	ring = uint64(r.last)<<32 | uint64(r.used)<<8 | uint64(class)<<1
	r.used += size
	r.words(ring)[0] = 0
	return ring, true
}

// another begins another usual block.
func (r *rings) another(left int64) bool {
	var b []mark
	if n := len(r.spare); n > 0 {
		b, r.spare = r.spare[n-1], r.spare[:n-1]
	} else if size := int64(r.usual) * 8; size <= left {
		b = make([]mark, r.usual)
		r.bytes += size
	} else {
		return false
	}
	r.blocks = append(r.blocks, b)
	r.last, r.used = len(r.blocks)-1, 0
	return true
}

// give gives a ring back.
func (r *rings) give(ring uint64) {
	class := classOf(ring)
	r.words(ring)[0] = mark(r.given[class])
	r.given[class] = ring
}

// push adds an event. It is false if the ring is full.
func (r *rings) push(ring uint64, m mark) bool {
	w := r.words(ring)
	from, n := span(w)
	if n == len(w)-1 {
		return false
	}
	at := from + n
	if at >= len(w)-1 {
		at -= len(w) - 1
	}
	w[1+at] = m
	setSpan(w, from, n+1)
	return true
}

// oldest returns the oldest event of a ring that has keep events.
func (r *rings) oldest(ring uint64, keep int) (m mark, full bool) {
	w := r.words(ring)
	from, n := span(w)
	return w[1+from], n == keep
}

// pop takes out the oldest event.
func (r *rings) pop(ring uint64) {
	w := r.words(ring)
	from, n := span(w)
	if from++; from == len(w)-1 {
		from = 0
	}
	setSpan(w, from, n-1)
}

// marks returns the events of a ring, the oldest first, in two pieces.
func (r *rings) marks(ring uint64) (ms, more []mark) {
	w := r.words(ring)
	from, n := span(w)
	w = w[1:]
	first := min(n, len(w)-from)
	return w[from : from+first], w[:n-first]
}

// reset forgets all rings and keeps the usual blocks.
func (r *rings) reset() {
	for _, b := range r.blocks {
		if len(b) == r.usual {
			r.spare = append(r.spare, b)
		}
	}
	clear(r.blocks)
	r.blocks, r.last, r.used = r.blocks[:0], -1, 0
	clear(r.given[:])
	r.bytes = int64(len(r.spare)) * int64(r.usual) * 8
}

// trim gives the memory of blocks back that are not in use.
func (r *rings) trim() {
	r.bytes -= int64(len(r.spare)) * int64(r.usual) * 8
	r.spare = nil
}

// drop forgets all rings and blocks.
func (r *rings) drop() { *r = rings{usual: r.usual, last: -1} }
