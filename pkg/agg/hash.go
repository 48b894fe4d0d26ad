package agg

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
)

// Hash keys: odd numbers with well mixed bits (the fractions of π and e).
const (
	key1 = 0x243f6a8885a308d3
	key2 = 0x13198a2e03707345
	key3 = 0xb7e151628aed2a6b
	key4 = 0xbf7158809cf4f3c7
)

// fixedSeed is for hashes that results depend on: a sketch must be the same
// in each run.
const fixedSeed = 0x452821e638d01377

// processSeed is for hash tables, whose results do not depend on it: nobody
// who does not know it can make keys that collide. It is never changed.
var processSeed = rand.Uint64()

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// hashBytes hashes b. Multiplying 64 by 64 bits and folding the product mixes
// 16 bytes in about four cycles; two lanes hide the latency of long inputs.
func hashBytes(b []byte, seed uint64) uint64 {
	n := len(b)
	h := seed ^ key1
	var x, y uint64
	switch {
	case n > 16:
		if n > 48 {
			h2 := seed ^ key3
			for len(b) > 48 {
				h = mix(binary.LittleEndian.Uint64(b)^key2, binary.LittleEndian.Uint64(b[8:])^h)
				h2 = mix(binary.LittleEndian.Uint64(b[16:])^key4, binary.LittleEndian.Uint64(b[24:])^h2)
				b = b[32:]
			}
			h ^= h2
		}
		// The last 16 bytes are read from the end: they may overlap what was
		// read before, but every byte is read.
		end := b[len(b)-16:]
		for len(b) > 16 {
			h = mix(binary.LittleEndian.Uint64(b)^key2, binary.LittleEndian.Uint64(b[8:])^h)
			b = b[16:]
		}
		x, y = binary.LittleEndian.Uint64(end), binary.LittleEndian.Uint64(end[8:])
	case n >= 8:
		x, y = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[n-8:])
	case n >= 4:
		x, y = uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[n-4:]))
	case n > 0:
		x = uint64(b[0])<<16 | uint64(b[n/2])<<8 | uint64(b[n-1])
	}
	return mix(key4^uint64(n), mix(x^key2, y^h)^key3)
}

// hashWords hashes a pair of numbers.
func hashWords(x, y, seed uint64) uint64 {
	return mix(key2^y, mix(x^key3, seed^key1)^key4^y)
}
