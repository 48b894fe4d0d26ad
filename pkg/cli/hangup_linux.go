package cli

import (
	"os"
	"syscall"
)

// awaitHangup calls gone, from another goroutine, when the last reader of a pipe
// has gone away; for any other file it does nothing. stop ends the waiting.
//
// That is what epoll says of the writing end without being asked for anything
// (no events). The epoll file is in turn waited for by Go's own poller, so that
// no thread is held and closing it wakes who waits; the pipe itself cannot be,
// as non-blocking mode would be shared with other processes.
func awaitHangup(f *os.File, gone func()) (stop func()) {
	none := func() {}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return none
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return none
	}
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return none
	}
	var added error
	err = conn.Control(func(fd uintptr) {
		added = syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, int(fd), new(syscall.EpollEvent))
	})
	if err != nil || added != nil || syscall.SetNonblock(epoll, true) != nil {
		syscall.Close(epoll)
		return none
	}
	poller := os.NewFile(uintptr(epoll), "epoll")
	wait, err := poller.SyscallConn()
	if err != nil {
		poller.Close()
		return none
	}
	go func() {
		hungUp := false
		err := wait.Read(func(fd uintptr) bool {
			var events [1]syscall.EpollEvent
			n, _ := syscall.EpollWait(int(fd), events[:], 0)
			hungUp = n > 0
			return hungUp
		})
		if err == nil && hungUp {
			gone()
		}
	}()
	return func() { poller.Close() }
}
