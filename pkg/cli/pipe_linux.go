package cli

import (
	"os"
	"syscall"
)

const (
	setPipeSize = 1031 // F_SETPIPE_SZ
	pipeSize    = 1 << 20
)

// enlargePipe gives a pipe the largest buffer that needs no privilege, so that
// a whole block fits and writer and reader switch less often. It is an
// optimisation: errors do not matter.
func enlargePipe(f *os.File) {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return
	}
	// Not f.Fd(): that would switch the file to blocking mode.
	if c, err := f.SyscallConn(); err == nil {
		c.Control(func(fd uintptr) {
			syscall.Syscall(syscall.SYS_FCNTL, fd, setPipeSize, pipeSize)
		})
	}
}
