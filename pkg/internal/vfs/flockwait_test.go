//go:build linux || darwin

package vfs

import (
	"context"
	"path/filepath"
	"testing"
	"time"
)

// Callers that give up leave one goroutine, not one each, and a lock that comes
// after they have gone is released.
func TestLockNotWanted(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "lock")
	open := func() *flock {
		l, err := OS{}.Lock(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l.(*flock)
	}
	waiting := func(l *flock) *waiter {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.waiting
	}
	giveUp := func(l *flock) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		if err := l.Lock(ctx); err != context.DeadlineExceeded {
			t.Fatal(err)
		}
	}
	a, b, c := open(), open(), open()
	if err := a.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	giveUp(b)
	w := waiting(b)
	giveUp(b)
	if waiting(b) != w {
		t.Error("a second goroutine waits")
	}
	a.Unlock()
	<-w.done
	if got, err := c.TryLock(); !got || err != nil {
		t.Errorf("TryLock = %v, %v after the other gave up", got, err)
	}

	// But not if it was got in another way meanwhile.
	giveUp(b)
	w = waiting(b)
	b.mu.Lock() // the goroutine cannot say that it has it
	c.Unlock()
	got, err := b.try()
	for !got && err == nil { // c's release may not have come to it yet
		got, err = b.try()
	}
	b.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	<-w.done
	if got, err := c.TryLock(); got || err != nil {
		t.Errorf("TryLock = %v, %v while the other has it", got, err)
	}
}
