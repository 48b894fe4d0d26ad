//go:build linux || darwin

package vfs

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
)

// flock is a Lock by flock(2), which the kernel releases when the process dies,
// however it does.
type flock struct {
	f *os.File

	mu      sync.Mutex
	held    bool
	waiting *waiter // in flock(2), or nil
}

// waiter is a goroutine that waits in flock(2). It cannot be called back, so the
// callers that give up leave it there, and the next one finds it.
type waiter struct {
	callers int
	done    chan struct{} // closed when err is there
	err     error
}

// Lock is Lock.Lock.
func (l *flock) Lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	if l.waiting == nil {
		if got, err := l.try(); got || err != nil {
			l.mu.Unlock()
			return err
		}
		l.waiting = &waiter{done: make(chan struct{})}
		go l.wait(l.waiting)
	}
	w := l.waiting
	w.callers++
	l.mu.Unlock()

	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	w.callers--
	select {
	case <-w.done: // just now: it is ours, and so must be released
		if w.err == nil && w.callers == 0 {
			l.unlock()
		}
	default:
	}
	return ctx.Err()
}

// wait waits for the lock, and releases it if nobody wants it any more.
func (l *flock) wait(w *waiter) {
	err := l.call(syscall.LOCK_EX)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = nil
	w.err = err
	switch {
	case err != nil:
	case w.callers > 0:
		l.held = true
	case !l.held: // a TryLock may have got it meanwhile
		l.unlock()
	}
	close(w.done)
}

// TryLock is Lock.TryLock.
func (l *flock) TryLock() (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.try()
}

func (l *flock) try() (bool, error) {
	err := l.call(syscall.LOCK_EX | syscall.LOCK_NB)
	switch {
	case err == nil:
		l.held = true
		return true, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		return false, nil
	}
	return false, err
}

// Taken is Lock.Taken.
func (l *flock) Taken() (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.waiting != nil: // to look would take away what it may be given just now
		return true, nil
	case l.held: // likewise
		return false, nil
	}
	// A shared lock keeps out who wants the whole, but no other who looks.
	err := l.call(syscall.LOCK_SH | syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, l.unlock()
}

// Unlock is Lock.Unlock.
func (l *flock) Unlock() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unlock()
}

func (l *flock) unlock() error {
	l.held = false
	return l.call(syscall.LOCK_UN)
}

// Close is Lock.Close.
func (l *flock) Close() error {
	// A goroutine that still waits keeps the file open until it has the lock,
	// which then goes with the file.
	return l.f.Close()
}

// call calls flock(2).
func (l *flock) call(how int) error {
	return control(l.f, "flock", func(fd int) error { return syscall.Flock(fd, how) })
}
