//go:build unix

package cli

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// catchPipe makes a write to a closed pipe an error (EPIPE) instead of a
// SIGPIPE that kills the process. Not signal.Ignore: child processes would
// inherit that.
func catchPipe() (restore func()) {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGPIPE)
	return func() { signal.Stop(ch) }
}

// IsClosedPipe says whether an error is that of writing to a pipe that nobody reads.
func IsClosedPipe(err error) bool { return errors.Is(err, syscall.EPIPE) }

// watchStatus prints a status line on SIGUSR1, until stop is called.
func watchStatus(s *Streams) (stop func()) {
	ch := make(chan os.Signal, 1)
	done := make(chan struct{})
	signal.Notify(ch, syscall.SIGUSR1)
	go func() {
		for {
			select {
			case <-ch:
				s.printStatus()
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(ch)
		close(done)
	}
}
