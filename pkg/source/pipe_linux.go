package source

import (
	"io"
	"io/fs"
	"os"
	"syscall"
)

// enlargePipe makes a pipe hold 1 MiB instead of 64 KiB, so that the writer
// and we take turns less often. What fails is left as it is.
func enlargePipe(r io.Reader) {
	const (
		setSize = 1031 // F_SETPIPE_SZ
		getSize = 1032 // F_GETPIPE_SZ
		want    = 1 << 20
	)
	f, ok := r.(*os.File)
	if !ok {
		return
	}
	if st, err := f.Stat(); err != nil || st.Mode()&fs.ModeNamedPipe == 0 {
		return
	}
	c, err := f.SyscallConn()
	if err != nil {
		return
	}
	c.Control(func(fd uintptr) {
		if n, _, e := syscall.Syscall(syscall.SYS_FCNTL, fd, getSize, 0); e == 0 && n < want {
			syscall.Syscall(syscall.SYS_FCNTL, fd, setSize, want)
		}
	})
}
