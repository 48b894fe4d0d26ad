//go:build !purego

package event

import (
	"encoding/binary"

	"golang.org/x/sys/cpu"
)

// inspect64 is in inspect_amd64.s.
//
//go:noescape
func inspect64(p *byte, chunks int, marks *byte) (high, control, backslash int)

// inspect64AVX2 is inspect64, its slow twin, for processors that have AVX2.
//
//go:noescape
func inspect64AVX2(p *byte, chunks int, marks *byte) (high, control, backslash int)

var hasAVX2 = cpu.X86.HasAVX2

// Inspect looks at a block of whole lines, reusing c's memory. c refers to the
// block until the next call. Its slow twin is inspectBytes.
func (c *Clean) Inspect(block []byte) {
	n := len(block) / 64
	// One word for the bytes beyond the last 64, one so that a word can be read
	// at each byte.
	if size := 8 * (n + 2); cap(c.marks) < size {
		c.marks = make([]byte, size+size/4)
	}
	c.block, c.marks = block, c.marks[:8*(n+2)]
	var high, control, backslash int
	if n > 0 && hasAVX2 {
		high, control, backslash = inspect64AVX2(&block[0], n, &c.marks[0])
	} else if n > 0 {
		high, control, backslash = inspect64(&block[0], n, &c.marks[0])
	}
	tail := block[64*n:]
	h, ctl, bs := inspectBytes(tail)
	c.NoControl = control == 0 && !ctl
	c.NoBackslash = backslash == 0 && !bs
	c.UTF8 = high == 0 && !h || validUTF8(block) < 0
	var last uint64
	for k, x := range tail {
		if x == '"' || x == '\\' {
			last |= 1 << k
		}
	}
	binary.LittleEndian.PutUint64(c.marks[8*n:], last)
	binary.LittleEndian.PutUint64(c.marks[8*n+8:], 0)
}
