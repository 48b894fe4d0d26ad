package compact

import (
	"math/bits"
	"unsafe"

	"logtools/pkg/internal/huge"
)

// keyTable has the newest events of each key: open addressing in which the place of a
// hash grows with the hash, and neighbours are kept in order. So it is sorted all the
// time: it is written, and moved to a larger array, from the first slot to the last.
type keyTable struct {
	slots []keySlot
	home  int // places of hashes; behind them is room for those that were pushed on
	n     int // slots taken
	rings rings
	room  int64 // what all of it may take
	one   [1]mark
}

// keySlot is a key and its events. val is 0 (an empty slot), an odd number (one event,
// see single), or an even one (a ring of several).
type keySlot struct {
	key hash
	val uint64
}

const (
	keySlotLen = 24
	minSlots   = 256
	// maxCluster is how many slots from its place on a hash looks for room; if there is
	// none the table is full. Random hashes always find some. It bounds what an event
	// costs whatever the hashes are, and leaves the last slot empty.
	maxCluster = 4096
)

// single is the val of a key with one event.
func single(m mark) uint64 { return uint64(m)<<1 | 1 }

// tail is how many slots follow so many places: maxCluster, or in a small table more
// than can be taken.
func tail(home int) int { return min(home, maxCluster) }

func makeKeySlots(n int) []keySlot {
	w := huge.Words(n * (keySlotLen / 8))
	return unsafe.Slice((*keySlot)(unsafe.Pointer(unsafe.SliceData(w))), n)
}

func (t *keyTable) bytes() int64 { return int64(len(t.slots))*keySlotLen + t.rings.bytes }

// begin makes the smallest table if there is none.
func (t *keyTable) begin() {
	if t.slots == nil {
		t.slots, t.home = makeKeySlots(minSlots+tail(minSlots)), minSlots
	}
}

// touch reads the slot at which find will begin.
func (t *keyTable) touch(hi uint64) uint64 {
	at, _ := bits.Mul64(hi, uint64(t.home))
	return t.slots[at].val
}

// find returns the slot of a key, or the one where it belongs.
func (t *keyTable) find(key hash) (i int, ok bool) {
	at, _ := bits.Mul64(key.hi, uint64(t.home))
	for i = int(at); ; i++ { // the last slot is empty, see maxCluster
		s := &t.slots[i]
		if s.val == 0 {
			return i, false
		}
		if !s.key.before(key) {
			return i, s.key == key
		}
	}
}

// put adds a key that is not in it; i is what find said. It is false if there is no
// room.
func (t *keyTable) put(i int, key hash, val uint64) bool {
	for {
		if t.n < t.home/8*7 {
			at, _ := bits.Mul64(key.hi, uint64(t.home))
			most := min(int(at)+maxCluster, len(t.slots))
			end := i
			for end < most && t.slots[end].val != 0 {
				end++
			}
			if end < most {
				copy(t.slots[i+1:end+1], t.slots[i:end])
				t.slots[i] = keySlot{key, val}
				t.n++
				return true
			}
		}
		if !t.grow() {
			return false
		}
		i, _ = t.find(key)
	}
}

// grow moves all to a larger array, and says whether it did. The old and the new one
// are both counted.
func (t *keyTable) grow() bool {
	if t.n < t.home/4 {
		return false // hashes that lie together: it would not help
	}
	t.rings.trim()
	room := t.room - t.rings.bytes
	old := int64(len(t.slots)) * keySlotLen
	slots := int64(2 * len(t.slots))
	if 6*old > room {
		// There is no doubling it twice: it takes what it gets.
		slots = (room - old) / keySlotLen
	}
	home := int(slots) - tail(int(slots)/2)
	if home < t.home+t.home/4 {
		return false
	}
	t.rebuild(home)
	return true
}

// rebuild moves all to a larger array. No hash is nearer to the end of the places in
// it, so those that are pushed on have room behind them there, too.
func (t *keyTable) rebuild(home int) {
	slots := makeKeySlots(home + tail(home))
	free := 0
	for i := range t.slots {
		s := &t.slots[i]
		if s.val == 0 {
			continue
		}
		at, _ := bits.Mul64(s.key.hi, uint64(home))
		free = max(free, int(at))
		slots[free] = *s
		free++
	}
	t.slots, t.home = slots, home
}

// marks returns the events of a val, the oldest first, in two pieces. They are valid
// until anything is changed.
func (t *keyTable) marks(val *uint64) (ms, more []mark) {
	if *val&1 != 0 {
		t.one[0] = mark(*val >> 1)
		return t.one[:], nil
	}
	return t.rings.marks(*val)
}

// replace makes m the only event of a val.
func (t *keyTable) replace(val *uint64, m mark) {
	if *val&1 == 0 {
		t.rings.give(*val)
	}
	*val = single(m)
}

// oldest returns the oldest event of a val that has as many as are kept, more than one.
func (t *keyTable) oldest(val *uint64, keep int) (m mark, full bool) {
	if *val&1 != 0 {
		return 0, false
	}
	return t.rings.oldest(*val, keep)
}

// pop takes the oldest event out of a val that has several.
func (t *keyTable) pop(val *uint64) { t.rings.pop(*val) }

// push adds an event to a val. It is false if there is no room.
func (t *keyTable) push(val *uint64, m mark) bool {
	if *val&1 == 0 && t.rings.push(*val, m) {
		return true
	}
	// Nothing was popped while there was less than is kept, so all is in one piece.
	ms, _ := t.marks(val)
	ring, ok := t.rings.take(1+len(ms), t.room-t.bytes())
	if !ok {
		return false
	}
	for _, old := range ms {
		t.rings.push(ring, old)
	}
	t.rings.push(ring, m)
	if *val&1 == 0 {
		t.rings.give(*val)
	}
	*val = ring
	return true
}

// each calls use with all keys in the order of their hashes, and their events, the
// oldest first.
func (t *keyTable) each(use func(key hash, ms, more []mark) error) error {
	for i := range t.slots {
		s := &t.slots[i]
		if s.val == 0 {
			continue
		}
		ms, more := t.marks(&s.val)
		if err := use(s.key, ms, more); err != nil {
			return err
		}
	}
	return nil
}

// reset forgets everything and keeps most of the memory.
func (t *keyTable) reset() {
	clear(t.slots)
	t.n = 0
	t.rings.reset()
}

// release forgets everything and keeps no more memory than it had at first.
func (t *keyTable) release() {
	t.free()
	t.begin()
}

// free forgets everything and gives its memory back.
func (t *keyTable) free() {
	t.slots, t.home, t.n = nil, 0, 0
	t.rings.drop()
}
