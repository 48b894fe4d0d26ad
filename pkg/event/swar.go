package event

import (
	"bytes"
	"math/bits"
)

// Eight bytes at a time ("SIMD within a register"): each function returns a
// word whose lowest set high bit marks the first byte looked for. Bits above
// the first may be false alarms, so only the first one counts.

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

func zeroBytes(x uint64) uint64 { return (x - ones) &^ x & highs }

func quoteIn(w uint64) uint64 { return zeroBytes(w ^ ones*'"') }

func quoteOrBackslash(w uint64) uint64 {
	return zeroBytes(w^ones*'"') | zeroBytes(w^ones*'\\')
}

// specialIn marks quotes, backslashes and control characters.
func specialIn(w uint64) uint64 {
	return zeroBytes(w^ones*'"') | zeroBytes(w^ones*'\\') | (w-ones*0x20)&^w&highs
}

func firstByte(mask uint64) int { return bits.TrailingZeros64(mask) >> 3 }

func indexBackslash(s []byte) int { return bytes.IndexByte(s, '\\') }

func hasBackslash(s []byte) bool { return bytes.IndexByte(s, '\\') >= 0 }
