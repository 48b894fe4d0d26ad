package event

import (
	"encoding/binary"
	"strconv"
)

// PartitionOf returns the partition, from 0 to n-1, of the events with this key
// in a log of n partitions, where Kafka's Java client puts them too: the bytes of
// the key are a string's own, of any other key its canonical JSON. So equal keys
// are always in the same partition. n must be 1 or more.
func PartitionOf(key Value, n int) int {
	if n == 1 {
		return 0
	}
	return int(hashKey(key)&0x7fffffff) % n
}

// hashKey allocates nothing for the usual keys: strings and integers.
func hashKey(key Value) uint32 {
	var buf [128]byte
	if key.Kind == String {
		if key.Form == JSON {
			return murmur2(appendUnescaped(buf[:0], key.B))
		}
		return murmur2(key.B)
	}
	if i, ok := key.Int(); ok {
		return murmur2(strconv.AppendInt(buf[:0], i, 10))
	}
	return murmur2(key.AppendCanonical(nil))
}

// murmur2 is the hash MurmurHash2 (32 bits, little-endian, by Austin Appleby) with
// the seed that Kafka's clients use.
func murmur2(b []byte) uint32 {
	const (
		seed = 0x9747b28c
		m    = 0x5bd1e995
	)
	h := seed ^ uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		k := binary.LittleEndian.Uint32(b) * m
		k ^= k >> 24
		h = h*m ^ k*m
	}
	switch len(b) {
	case 3:
		h ^= uint32(b[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(b[0])) * m
	}
	h = (h ^ h>>13) * m
	return h ^ h>>15
}
