package guard

import (
	"encoding/binary"
	"math/bits"
	"unsafe"

	"logtools/pkg/internal/huge"
)

// recent is the part of a table that is in no run yet: open addressing in which
// the place of a hash grows with the hash, and neighbours are kept in order. So
// all of it is sorted all the time: it is written as a run, and moved to a larger
// array, from the first slot to the last.
type recent struct {
	slots []slot
	home  int // places of hashes; behind them is room for those that were pushed on
	n     int // slots taken

	// Values that do not fit into their slot. Chunks are used again.
	chunks [][]byte
	chunk  int // bytes of a usual chunk
	now    int // the chunk in use
	used   int // bytes of it
	values int // bytes of all

	room int64 // what all of it may take
}

// slot has the first and the second half of a hash, and its value: the low byte
// says how it lies in the others. 0 is an empty slot.
type slot struct{ hi, lo, val uint64 }

const (
	slotLen = 24

	// 1 to 8: a value of so many bytes less one in the 7 bytes above.
	inlineLen = 7
	// A value of 8 bytes whose last is 0, such as an offset.
	tagWord = inlineLen + 2
	// Where it lies among the chunks: 28 bits of chunk, 28 bits of place.
	tagChunk  = tagWord + 1
	placeBits = 28

	// What lies before a value in a chunk: its length and the room for it.
	placeHead = 8

	minHome = 256
)

func newRecent(room int64) recent {
	m := recent{room: room, chunk: int(min(max(room/16, 4<<10), 256<<10))}
	m.slots, m.home = makeSlots(minHome, minHome/8), minHome
	return m
}

func makeSlots(home, tail int) []slot {
	w := huge.Words((home + tail) * (slotLen / 8))
	return unsafe.Slice((*slot)(unsafe.Pointer(unsafe.SliceData(w))), home+tail)
}

// find returns the slot of a hash, or the one where it belongs.
func (m *recent) find(hi, lo uint64) (i int, ok bool) {
	at, _ := bits.Mul64(hi, uint64(m.home))
	i = int(at)
	for ; i < len(m.slots); i++ {
		s := &m.slots[i]
		if s.val == 0 {
			return i, false
		}
		if s.hi > hi || s.hi == hi && s.lo >= lo {
			return i, s.hi == hi && s.lo == lo
		}
	}
	return i, false
}

// touch reads the slot at which find will begin.
func (m *recent) touch(hi uint64) uint64 {
	at, _ := bits.Mul64(hi, uint64(m.home))
	return m.slots[at].val
}

// get appends the value of a hash to dst.
func (m *recent) get(hi, lo uint64, dst []byte) (v []byte, ok bool) {
	i, ok := m.find(hi, lo)
	if !ok {
		return dst, false
	}
	return m.appendValue(dst, m.slots[i].val), true
}

func (m *recent) appendValue(dst []byte, val uint64) []byte {
	switch tag := val & 0xff; {
	case tag <= inlineLen+1:
		for val >>= 8; tag > 1; tag-- {
			dst = append(dst, byte(val))
			val >>= 8
		}
		return dst
	case tag == tagWord:
		return binary.LittleEndian.AppendUint64(dst, val>>8)
	}
	return append(dst, m.value(val)...)
}

// value is a value that lies in a chunk.
func (m *recent) value(val uint64) []byte {
	b := m.place(val)
	return b[placeHead : placeHead+binary.LittleEndian.Uint32(b)]
}

func (m *recent) place(val uint64) []byte {
	return m.chunks[val>>(8+placeBits)][val>>8&(1<<placeBits-1):]
}

// put sets the value of a hash.
func (m *recent) put(hi, lo uint64, v []byte) {
	i, ok := m.find(hi, lo)
	if ok {
		m.slots[i].val = m.keep(v, m.slots[i].val)
		return
	}
	if m.crowded() && m.grow() {
		i, _ = m.find(hi, lo)
	}
	end := i
	for {
		for end < len(m.slots) && m.slots[end].val != 0 {
			end++
		}
		if end < len(m.slots) {
			break
		}
		m.rebuild(m.home, 2*(len(m.slots)-m.home))
		i, _ = m.find(hi, lo)
		end = i
	}
	copy(m.slots[i+1:end+1], m.slots[i:end])
	m.slots[i] = slot{hi, lo, m.keep(v, 0)}
	m.n++
}

// keep stores a value and returns what its slot is to have. old is what the slot
// had.
func (m *recent) keep(v []byte, old uint64) uint64 {
	if len(v) <= inlineLen {
		val := uint64(len(v) + 1)
		for i, c := range v {
			val |= uint64(c) << (8 * (i + 1))
		}
		return val
	}
	if len(v) == 8 && v[7] == 0 {
		return binary.LittleEndian.Uint64(v)<<8 | tagWord
	}
	if old&0xff == tagChunk {
		if b := m.place(old); len(v) <= int(binary.LittleEndian.Uint32(b[4:])) {
			binary.LittleEndian.PutUint32(b, uint32(len(v)))
			copy(b[placeHead:], v)
			return old
		}
	}
	// Some room to grow: states do.
	room := (len(v) + min(len(v)/8, 64) + 7) &^ 7
	val, b := m.alloc(placeHead + room)
	binary.LittleEndian.PutUint32(b, uint32(len(v)))
	binary.LittleEndian.PutUint32(b[4:], uint32(room))
	copy(b[placeHead:], v)
	return val
}

// alloc returns n bytes of a chunk, and the slot's value that leads to them.
func (m *recent) alloc(n int) (val uint64, b []byte) {
	for m.now < len(m.chunks) && m.used+n > len(m.chunks[m.now]) {
		m.values += len(m.chunks[m.now]) - m.used
		m.now, m.used = m.now+1, 0
	}
	if m.now == len(m.chunks) {
		m.chunks = append(m.chunks, make([]byte, max(m.chunk, n)))
	}
	at := m.used
	m.used += n
	m.values += n
	return uint64(m.now)<<(8+placeBits) | uint64(at)<<8 | tagChunk, m.chunks[m.now][at : at+n]
}

// crowded says whether so many slots are taken that looking becomes slow.
func (m *recent) crowded() bool { return m.n >= m.home/4*3 }

// next is how many places there may be next.
func (m *recent) next() int {
	most := m.room / (slotLen + int64(m.values)/int64(m.home))
	return int(min(int64(2*m.home), most))
}

// full says whether it has taken what it may take.
func (m *recent) full() bool {
	return int64(m.home)*slotLen+int64(m.values) > m.room || m.crowded() && m.next() < m.home+m.home/8
}

// grow makes it larger, and says whether it did. What is put in although it is
// full makes it larger than it should be.
func (m *recent) grow() bool {
	to := m.next()
	if to < m.home+m.home/8 {
		if m.n < m.home/8*7 {
			return false
		}
		to = m.home + m.home/2
	}
	m.rebuild(to, min(max(to/8, minHome/8), 1024))
	return true
}

// rebuild moves all to a new array.
func (m *recent) rebuild(home, tail int) {
	old := m.slots
	m.slots, m.home = makeSlots(home, tail), home
	free := 0
	for i := range old {
		s := &old[i]
		if s.val == 0 {
			continue
		}
		at, _ := bits.Mul64(s.hi, uint64(home))
		free = max(free, int(at))
		if free == len(m.slots) {
			m.slots = old
			m.rebuild(home, 2*tail)
			return
		}
		m.slots[free] = *s
		free++
	}
}

// each calls use with all entries in the order of their hashes. A value is good
// until use returns.
func (m *recent) each(use func(hi, lo uint64, v []byte) error) error {
	var word [8]byte
	buf := word[:]
	for i := range m.slots {
		s := &m.slots[i]
		if s.val == 0 {
			continue
		}
		buf = m.appendValue(buf[:0], s.val)
		if err := use(s.hi, s.lo, buf); err != nil {
			return err
		}
	}
	return nil
}

// bytes is about what its entries take in a run.
func (m *recent) bytes() int64 {
	return int64(m.n)*(hashLen+inlineLen) + int64(m.values)
}

// reset forgets everything and keeps the memory, but for what is too large.
func (m *recent) reset() {
	if over := int64(m.home)*slotLen > m.room; over && m.home > minHome {
		m.slots, m.home = makeSlots(minHome, minHome/8), minHome
	} else if m.n > 0 {
		clear(m.slots)
	}
	m.n, m.now, m.used, m.values = 0, 0, 0, 0
	usual := m.chunks[:0]
	var kept int64
	for _, c := range m.chunks {
		if kept += int64(len(c)); len(c) == m.chunk && kept <= m.room {
			usual = append(usual, c)
		}
	}
	clear(m.chunks[len(usual):])
	m.chunks = usual
}
