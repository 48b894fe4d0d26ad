//go:build linux || darwin

package cli

import (
	"os"
	"syscall"
	"unsafe"
)

// windowSize asks the terminal behind f for its size; ok says that there is
// one (its size may still be 0 × 0, as on a serial line).
func windowSize(f *os.File) (cols, rows int, ok bool) {
	c, err := f.SyscallConn()
	if err != nil {
		return 0, 0, false
	}
	var size struct{ rows, cols, x, y uint16 }
	c.Control(func(fd uintptr) {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
		ok = errno == 0
	})
	return int(size.cols), int(size.rows), ok
}

func isTerminal(f *os.File) bool {
	_, _, ok := windowSize(f)
	return ok
}

func terminalSize(f *os.File) (cols, rows int) {
	cols, rows, _ = windowSize(f)
	return cols, rows
}
