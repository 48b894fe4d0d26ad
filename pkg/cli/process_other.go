//go:build !unix

package cli

import (
	"errors"
	"syscall"
)

// catchPipe: there is no SIGPIPE here.
func catchPipe() (restore func()) { return func() {} }

// IsClosedPipe says whether an error is that of writing to a pipe that nobody reads.
func IsClosedPipe(err error) bool {
	// What Windows says of a pipe without a reader: ERROR_BROKEN_PIPE,
	// ERROR_NO_DATA.
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.Errno(109)) || errors.Is(err, syscall.Errno(232))
}

// watchStatus: there is no SIGUSR1 here.
func watchStatus(*Streams) (stop func()) { return func() {} }
