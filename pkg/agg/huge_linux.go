package agg

import (
	"syscall"
	"unsafe"
)

// advise asks for huge pages behind a large array that nobody has touched yet.
// The arrays are read and written at random, and with small pages much of the
// time goes into finding out where those are. It is only advice: whether it is
// taken matters for speed alone.
func advise(words []uint64) {
	const page = 2 << 20
	b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), 8*len(words))
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(words))) & (page - 1))
	if n := (len(b) - skip) &^ (page - 1); n > 0 {
		syscall.Madvise(b[skip:skip+n], 14) // MADV_HUGEPAGE
	}
}
