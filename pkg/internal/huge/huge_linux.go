package huge

import (
	"syscall"
	"unsafe"
)

// advise asks for huge pages wherever a whole one fits into b.
func advise(b []byte) {
	const page = 2 << 20
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & (page - 1))
	if n := (len(b) - skip) &^ (page - 1); n > 0 {
		syscall.Madvise(b[skip:skip+n], 14) // MADV_HUGEPAGE
	}
}
