package agg

import (
	"bytes"
	"encoding/binary"
)

// index numbers different keys from 0 in the order in which they come. It is a
// hash table with open addressing: a slot has 32 bits of the hash and the
// number, so that a look-up touches one line of slots and one entry, which
// holds the key unless it is long.
type index struct {
	slots   []slot // a power of two of them
	entries store[entry]
	n       int // keys
	keys    arena

	none   entry  // stands for no entry in findAll
	loaded uint64 // see touch
}

type slot struct {
	tag uint32 // high half of the hash
	id  uint32 // number + 1; 0 is an empty slot
}

// entry is one line of the cache, so that most keys are found with one miss.
type entry struct {
	hash uint64
	n    uint64 // how often the key was counted
	len  uint32 // of the key
	// data is the key, or, of a longer one, its place in keys (8 bytes).
	data [inlineKey]byte
}

const inlineKey = 44

const minSlots = 64

// maxKeys is the number of keys that ids can number.
const maxKeys = 1<<32 - 2

func (x *index) key(id uint32) []byte { return x.keyOf(x.entries.at(id)) }

func (x *index) keyOf(e *entry) []byte {
	if e.len <= inlineKey {
		return e.data[:e.len:e.len]
	}
	return x.keys.get(binary.LittleEndian.Uint64(e.data[:]), int(e.len))
}

// find returns the number of key, a new one if it is not there yet.
func (x *index) find(hash uint64, key []byte) uint32 {
	if x.n >= len(x.slots)/2 {
		x.rehash()
	}
	mask := uint64(len(x.slots) - 1)
	tag := uint32(hash >> 32)
	for i := hash & mask; ; i = (i + 1) & mask {
		s := x.slots[i]
		if s.id == 0 {
			return x.insert(i, hash, key)
		}
		if s.tag == tag {
			e := x.entries.at(s.id - 1)
			if e.hash == hash && int(e.len) == len(key) && bytes.Equal(x.keyOf(e), key) {
				return s.id - 1
			}
		}
	}
}

func (x *index) insert(i, hash uint64, key []byte) uint32 {
	id := uint32(x.n)
	x.n++
	x.entries.grow(x.n)
	e := x.entries.at(id)
	e.hash, e.len = hash, uint32(len(key))
	if len(key) <= inlineKey {
		copy(e.data[:], key)
	} else {
		binary.LittleEndian.PutUint64(e.data[:], x.keys.put(key))
	}
	x.slots[i] = slot{uint32(hash >> 32), id + 1}
	return id
}

func (x *index) rehash() {
	slots := make([]slot, max(2*len(x.slots), minSlots))
	mask := uint64(len(slots) - 1)
	for id := range uint32(x.n) {
		h := x.entries.at(id).hash
		i := h & mask
		for slots[i].id != 0 {
			i = (i + 1) & mask
		}
		slots[i] = slot{uint32(h >> 32), id + 1}
	}
	x.slots = slots
}

// findAll is find for a batch, which also counts each key once. It goes in
// stages: all slots, then all entries are loaded before the first of them is
// looked at (see touch). New keys, and the few that share the tag of another, are
// left to find.
func (x *index) findAll(ids []uint32, hashes []uint64, keys []span, buf []byte) {
	n := len(hashes)
	if len(x.slots) == 0 {
		x.rehash()
	}
	ids, keys = ids[:n], keys[:n]
	mask := uint64(len(x.slots) - 1)
	loaded := uint64(0)
	for _, h := range hashes {
		loaded += uint64(x.slots[h&mask].id)
	}
	var entries [batchLen]*entry
	for i, h := range hashes {
		at := h & mask
		for x.slots[at].tag != uint32(h>>32) && x.slots[at].id != 0 {
			at = (at + 1) & mask
		}
		ids[i] = x.slots[at].id
		entries[i&(batchLen-1)] = &x.none
		if ids[i] != 0 {
			entries[i&(batchLen-1)] = x.entries.at(ids[i] - 1)
		}
	}
	for _, e := range entries[:n] {
		loaded += e.hash
	}
	x.loaded = loaded
	for i, e := range entries[:n] {
		key := buf[keys[i].off : keys[i].off+keys[i].len]
		if ids[i] != 0 && e.hash == hashes[i] && int(e.len) == len(key) && bytes.Equal(x.keyOf(e), key) {
			ids[i]--
			e.n++
		} else {
			ids[i] = x.find(hashes[i], key)
			x.entries.at(ids[i]).n++
		}
	}
}
