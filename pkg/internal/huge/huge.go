// Package huge allocates large arrays for which it asks the system to use huge
// pages. What is read and written all over such an array then spends much less
// time on finding out where the small pages are (a fifth of the run, on virtual
// machines). It is only advice: whether it is taken matters for speed alone, and
// arrays that are never touched cost nothing.
package huge

import "unsafe"

// Words returns n zero words.
func Words(n int) []uint64 {
	w := make([]uint64, n)
	advise(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(w))), 8*n))
	return w
}
