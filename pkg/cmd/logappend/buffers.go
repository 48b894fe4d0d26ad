package logappend

import "math/bits"

// buffers lends the memory of batches. Its sizes are powers of two, so that what
// one partition gives back serves any other that has grown as large.
type buffers struct {
	free [64][][]byte // by the bits of their size
	kept int          // bytes in free
}

const (
	smallestBuffer = 4 << 10
	maxKept        = 16 << 20
)

// append appends text to b, which is nil or from here.
func (f *buffers) append(b, text []byte) []byte {
	if need := len(b) + len(text); need > cap(b) {
		larger := append(f.get(need), b...)
		f.put(b)
		b = larger
	}
	return append(b, text...)
}

// get returns an empty buffer for n bytes or more.
func (f *buffers) get(n int) []byte {
	class := bits.Len(uint(max(n, smallestBuffer) - 1))
	if list := f.free[class]; len(list) > 0 {
		b := list[len(list)-1]
		f.free[class] = list[:len(list)-1]
		f.kept -= cap(b)
		return b[:0]
	}
	return make([]byte, 0, 1<<class)
}

// put takes a buffer back.
func (f *buffers) put(b []byte) {
	if n := cap(b); n > 0 && f.kept+n <= maxKept {
		class := bits.Len(uint(n - 1))
		f.free[class] = append(f.free[class], b)
		f.kept += n
	}
}
