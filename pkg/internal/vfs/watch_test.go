//go:build linux || darwin

package vfs

import (
	"testing"
	"time"
)

// Where the system tells nothing the clock does.
func TestPoll(t *testing.T) {
	t.Parallel()
	w := &dirWatch{c: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	go w.poll()
	for range 2 {
		select {
		case <-w.C():
		case <-time.After(10 * time.Second):
			t.Fatal("not told")
		}
	}
	for range 2 { // as often as one likes
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// What is not taken is one element, and holds nothing up.
func TestTellOnce(t *testing.T) {
	w := &dirWatch{c: make(chan struct{}, 1)}
	w.tell()
	w.tell()
	<-w.C()
	select {
	case <-w.C():
		t.Error("told twice")
	default:
	}
}
