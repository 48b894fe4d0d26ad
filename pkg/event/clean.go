package event

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
)

// Clean is what is known of a whole block before its lines are parsed. Asking
// once per block is several times cheaper than once per line. The zero value
// knows nothing: lines are then looked at more closely.
type Clean struct {
	// UTF8: the block is valid UTF-8.
	UTF8 bool
	// NoControl: there are no control characters (bytes below 0x20) but the
	// '\n' of the line ends.
	NoControl bool
	// NoBackslash: there is no backslash.
	NoBackslash bool

	// marks has a bit for each byte of block: whether it is a quote or a
	// backslash, so that the end of a string is found without a loop. nil
	// where making it is not worth while.
	marks []byte
	block []byte
}

// Marks finds quotes and backslashes of one line.
type Marks struct {
	bits []byte
	off  int // bit off+i of bits stands for line[i]
	end  int // the line's end: it is not looked beyond
}

// Marks returns the marks of a line of the block that c was made for. The line
// must have been cut out of the block without limiting its capacity; false if
// it was not, or if there are no marks on this machine: do without then.
func (c *Clean) Marks(line []byte) (Marks, bool) {
	off := cap(c.block) - cap(line)
	if c.marks == nil || len(line) == 0 || off < 0 || off+len(line) > len(c.block) || &c.block[off] != &line[0] {
		return Marks{}, false
	}
	return Marks{c.marks, off, off + len(line)}, true
}

// Near returns the marks from i on, which must be in the line: bit k stands for
// line[i+k]. It looks at 57 bytes at least, which is more than most strings
// have, and at 64 at most.
func (m *Marks) Near(i int) uint64 {
	k := uint(m.off + i)
	return binary.LittleEndian.Uint64(m.bits[k/8:]) >> (k % 8)
}

// Next returns the index in the line of the next quote or backslash from i on,
// which must be in the line; a number beyond the line if there is none.
func (m *Marks) Next(i int) int {
	if w := m.Near(i); w != 0 {
		return i + bits.TrailingZeros64(w)
	}
	return m.far(i)
}

// far is Next if Near(i) is 0.
func (m *Marks) far(i int) int {
	for k := uint(m.off+i)/8 + 8; 8*k < uint(m.end) && k+8 <= uint(len(m.bits)); k += 8 {
		if w := binary.LittleEndian.Uint64(m.bits[k:]); w != 0 {
			return 8*int(k) - m.off + bits.TrailingZeros64(w)
		}
	}
	return math.MaxInt
}

// inspectBytes says whether b has bytes above 0x7f, control characters other
// than '\n', and backslashes. It works on eight bytes at a time.
func inspectBytes(b []byte) (high, control, backslash bool) {
	backslash = hasBackslash(b)
	// Adding 0x60 to the low seven bits sets the high bit of bytes from 0x20
	// on. The counts are exact, so the line ends can be subtracted.
	controls := -bytes.Count(b, newline)
	var all uint64
	for len(b) >= 32 {
		w0 := binary.LittleEndian.Uint64(b)
		w1 := binary.LittleEndian.Uint64(b[8:])
		w2 := binary.LittleEndian.Uint64(b[16:])
		w3 := binary.LittleEndian.Uint64(b[24:])
		all |= w0 | w1 | w2 | w3
		m := controlsIn(w0)>>7 | controlsIn(w1)>>6 | controlsIn(w2)>>5 | controlsIn(w3)>>4
		controls += bits.OnesCount64(m)
		b = b[32:]
	}
	for _, x := range b {
		all |= uint64(x)
		if x < 0x20 {
			controls++
		}
	}
	return all&highs != 0, controls != 0, backslash
}

var newline = []byte{'\n'}

func controlsIn(w uint64) uint64 { return ^((w&^highs + ones*0x60) | w) & highs }
