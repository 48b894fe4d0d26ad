//go:build !amd64 || purego

package event

// Inspect looks at a block of whole lines, reusing c's memory. c refers to the
// block until the next call.
func (c *Clean) Inspect(block []byte) {
	high, control, backslash := inspectBytes(block)
	c.block, c.marks = block, nil
	c.NoControl, c.NoBackslash = !control, !backslash
	c.UTF8 = !high || validUTF8(block) < 0
}
