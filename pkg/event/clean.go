package event

import (
	"bytes"
	"encoding/binary"
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
	marks []uint64
	block []byte
}

// offset returns where in the block a line lies, if it was cut out of it
// without limiting its capacity.
func (c *Clean) offset(line []byte) (int, bool) {
	off := cap(c.block) - cap(line)
	if len(line) == 0 || off < 0 || off+len(line) > len(c.block) || &c.block[off] != &line[0] {
		return 0, false
	}
	return off, true
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
