//go:build !purego

package event

// inspect64 is in inspect_amd64.s.
//
//go:noescape
func inspect64(p *byte, chunks int, marks *uint64) (high, control, backslash int)

// Inspect looks at a block of whole lines, reusing c's memory. c refers to the
// block until the next call. Its slow twin is inspectBytes.
func (c *Clean) Inspect(block []byte) {
	n := len(block) / 64
	if cap(c.marks) < n+1 {
		c.marks = make([]uint64, n+1+n/4)
	}
	c.block, c.marks = block, c.marks[:n+1]
	var high, control, backslash int
	if n > 0 {
		high, control, backslash = inspect64(&block[0], n, &c.marks[0])
	}
	tail := block[64*n:]
	h, ctl, bs := inspectBytes(tail)
	c.NoControl = control == 0 && !ctl
	c.NoBackslash = backslash == 0 && !bs
	c.UTF8 = high == 0 && !h || validUTF8(block) < 0
	c.marks[n] = 0
	for k, x := range tail {
		if x == '"' || x == '\\' {
			c.marks[n] |= 1 << k
		}
	}
}
