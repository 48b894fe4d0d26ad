package agg

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
)

// index numbers different keys from 0 in the order in which they come. It is a
// hash table with open addressing: a slot has the number and some bits of the
// hash, so that a look-up touches one line of slots and one entry, which holds
// the key unless it is long.
type index struct {
	// slots are a power of two, 2^idBits, and at most three quarters of them
	// are taken. The low idBits of a slot are a key's number + 1, those above
	// are the highest of its hash; 0 is an empty slot.
	slots   []uint32
	idBits  uint8
	entries store[entry]
	n       int // keys
	keys    arena

	none   entry  // stands for no entry in findAll
	loaded uint64 // see touch
}

// entry is one line of the cache, so that most keys are found with one miss.
type entry struct {
	hash uint64
	n    uint64 // how often the key was counted
	key  shortKey
}

// shortKey is a key ready to be looked up and compared in a fixed number of
// steps, whatever its length: the length in 4 bytes and the key, with zeros
// behind it. Of a key that is longer it has the place instead: in a batch the
// offset in its buffer (4 bytes), in an entry that in the arena (8 bytes).
type shortKey [4 + inlineKey]byte

const inlineKey = 44

func (k *shortKey) len() int { return int(binary.LittleEndian.Uint32(k[:])) }

func (k *shortKey) word(i int) uint64 { return binary.LittleEndian.Uint64(k[8*i:]) }

// set makes k of the key that is buf[off:].
func (k *shortKey) set(buf []byte, off int) {
	key := buf[off:]
	*k = shortKey{}
	binary.LittleEndian.PutUint32(k[:], uint32(len(key)))
	if len(key) <= inlineKey {
		copy(k[4:], key)
	} else {
		binary.LittleEndian.PutUint32(k[4:], uint32(off))
	}
}

// bytes returns a key of a batch whose buffer is buf.
func (k *shortKey) bytes(buf []byte) []byte {
	n := k.len()
	if n <= inlineKey {
		return k[4 : 4+n : 4+n]
	}
	off := int(binary.LittleEndian.Uint32(k[4:]))
	return buf[off : off+n : off+n]
}

// hash returns the same as hashKey(k.bytes(buf)).
func (k *shortKey) hash(buf []byte) uint64 {
	if k.len() > inlineKey {
		return hashBytes(k.bytes(buf), processSeed)
	}
	return mix(mix(k.word(0)^secret[0], k.word(1)^secret[1])^
		mix(k.word(2)^secret[2], k.word(3)^secret[3])^
		mix(k.word(4)^secret[4], k.word(5)^secret[5]), secret[6])
}

// same says whether two keys without places are the same.
func (k *shortKey) same(o *shortKey) bool {
	return (k.word(0)^o.word(0))|(k.word(1)^o.word(1))|(k.word(2)^o.word(2))|
		(k.word(3)^o.word(3))|(k.word(4)^o.word(4))|(k.word(5)^o.word(5)) == 0
}

// hashKey is what an index is asked with for a key.
func hashKey(key []byte) uint64 {
	var k shortKey
	k.set(key, 0)
	return k.hash(key)
}

// secret is like processSeed.
var secret = func() (s [7]uint64) {
	for i := range s {
		s[i] = rand.Uint64() | 1
	}
	return s
}()

const minSlots = 64

// maxKeys is the number of keys that ids can number.
const maxKeys = 1<<32 - 2

func (x *index) key(id uint32) []byte { return x.keyOf(x.entries.at(id)) }

func (x *index) keyOf(e *entry) []byte {
	n := e.key.len()
	if n <= inlineKey {
		return e.key[4 : 4+n : 4+n]
	}
	return x.keys.get(binary.LittleEndian.Uint64(e.key[4:]), n)
}

// tagMask has the bits of a slot that are of the hash.
func (x *index) tagMask() uint32 { return ^uint32(0) << x.idBits }

// tagOf returns these bits.
func tagOf(hash uint64, mask uint32) uint32 { return uint32(hash>>32) & mask }

// find returns the number of key, a new one if it is not there yet.
func (x *index) find(hash uint64, key []byte) uint32 {
	if x.n >= len(x.slots)/4*3 {
		x.rehash()
	}
	mask, tags := uint64(len(x.slots)-1), x.tagMask()
	tag := tagOf(hash, tags)
	for i := hash & mask; ; i = (i + 1) & mask {
		s := x.slots[i]
		if s == 0 {
			return x.insert(i, hash, key)
		}
		if s&tags == tag {
			id := s&^tags - 1
			e := x.entries.at(id)
			if e.hash == hash && bytes.Equal(x.keyOf(e), key) {
				return id
			}
		}
	}
}

func (x *index) insert(i, hash uint64, key []byte) uint32 {
	id := uint32(x.n)
	x.n++
	x.entries.grow(x.n)
	e := x.entries.at(id)
	e.hash = hash
	e.key.set(key, 0)
	if len(key) > inlineKey {
		binary.LittleEndian.PutUint64(e.key[4:], x.keys.put(key))
	}
	x.slots[i] = tagOf(hash, x.tagMask()) | (id + 1)
	return id
}

func (x *index) rehash() {
	slots := make([]uint32, max(2*len(x.slots), minSlots))
	x.idBits = uint8(bits.Len(uint(len(slots) - 1)))
	mask, tags := uint64(len(slots)-1), x.tagMask()
	for id := range uint32(x.n) {
		h := x.entries.at(id).hash
		i := h & mask
		for slots[i] != 0 {
			i = (i + 1) & mask
		}
		slots[i] = tagOf(h, tags) | (id + 1)
	}
	x.slots = slots
}

// reset forgets all keys. Their memory is kept.
func (x *index) reset() {
	clear(x.slots)
	x.entries.reset(x.n)
	x.keys.reset()
	x.n = 0
}

// size returns about how many bytes the index takes. Slots count with those that
// they have replaced.
func (x *index) size() int64 {
	return 6*int64(len(x.slots)) + x.entries.size(x.n) + x.keys.size
}

// findAll is find for a batch, which also counts each key once. It goes in
// stages: all slots, then all entries are loaded before the first of them is
// looked at (see touch). New keys, and the few that share the tag of another, are
// left to find.
func (x *index) findAll(ids []uint32, hashes []uint64, keys []shortKey, buf []byte) {
	n := len(hashes)
	if len(x.slots) == 0 {
		x.rehash()
	}
	ids, keys = ids[:n], keys[:n]
	mask, tags := uint64(len(x.slots)-1), x.tagMask()
	loaded := uint64(0)
	for _, h := range hashes {
		loaded += uint64(x.slots[h&mask])
	}
	var entries [batchLen]*entry
	for i, h := range hashes {
		at := h & mask
		s, tag := x.slots[at], tagOf(h, tags)
		for s != 0 && s&tags != tag {
			at = (at + 1) & mask
			s = x.slots[at]
		}
		ids[i] = s &^ tags
		entries[i&(batchLen-1)] = &x.none
		if s != 0 {
			entries[i&(batchLen-1)] = x.entries.at(ids[i] - 1)
		}
	}
	for _, e := range entries[:n] {
		loaded += e.hash
	}
	x.loaded = loaded
	for i, e := range entries[:n] {
		k := &keys[i]
		if ids[i] != 0 && e.hash == hashes[i] &&
			(k.same(&e.key) && k.len() <= inlineKey || k.len() > inlineKey && bytes.Equal(x.keyOf(e), k.bytes(buf))) {
			ids[i]--
			e.n++
		} else {
			ids[i] = x.find(hashes[i], k.bytes(buf))
			x.entries.at(ids[i]).n++
		}
	}
}
