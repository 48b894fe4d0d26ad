package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// signalError is the cause of a context that a signal ended.
type signalError struct {
	sig  os.Signal
	exit Exit
}

func (e *signalError) Error() string { return e.sig.String() }

func signalExit(cause error) Exit {
	var s *signalError
	if errors.As(cause, &s) {
		return s.exit
	}
	return Interrupted
}

// catchSignals returns a context that SIGINT or SIGTERM ends; the one that
// comes after it has its usual effect and kills the process. A signal that the
// parent process had set to be ignored (nohup, a background job of a script)
// stays ignored. stop ends the watching.
func catchSignals(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	ch := make(chan os.Signal, 1)
	exits := map[os.Signal]Exit{os.Interrupt: Interrupted, syscall.SIGTERM: Terminated}
	for sig := range exits {
		if !signal.Ignored(sig) {
			signal.Notify(ch, sig)
		}
	}
	restorePipe := catchPipe()
	done := make(chan struct{})
	go func() {
		select {
		case sig := <-ch:
			signal.Stop(ch)
			cancel(&signalError{sig, exits[sig]})
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(ch)
		restorePipe()
		close(done)
		cancel(nil)
	}
}
