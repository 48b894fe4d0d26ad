//go:build linux || darwin

package vfs

import (
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// pollEvery is how often a Watch says "perhaps" where the system tells nothing.
const pollEvery = 50 * time.Millisecond

// dirWatch is a Watch by inotify or kqueue, or by the clock alone.
type dirWatch struct {
	c    chan struct{}
	quit chan struct{}
	once sync.Once
	done chan struct{} // its goroutine is gone
}

func watchDir(dir string) (*dirWatch, error) {
	st, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !st.IsDir() { // which could be watched, but it is not what was meant
		return nil, &fs.PathError{Op: "watch", Path: dir, Err: syscall.ENOTDIR}
	}
	w := &dirWatch{c: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	if system, err := fsnotify.NewWatcher(); err == nil {
		if system.Add(dir) == nil {
			go w.listen(system)
			return w, nil
		}
		system.Close()
	}
	// Out of watches, of descriptors, or a system without them. Who reads looks
	// for himself then, which costs no more than to look for him.
	go w.poll()
	return w, nil
}

func (w *dirWatch) tell() {
	select {
	case w.c <- struct{}{}:
	default: // it has not been taken since the last change
	}
}

func (w *dirWatch) listen(system *fsnotify.Watcher) {
	defer close(w.done)
	defer system.Close()
	for {
		select {
		case <-w.quit:
			return
		case ev, ok := <-system.Events:
			if !ok {
				return
			}
			if !ev.Has(fsnotify.Chmod) {
				w.tell()
			}
		case _, ok := <-system.Errors:
			if !ok {
				return
			}
			w.tell() // what it said is lost
		}
	}
}

func (w *dirWatch) poll() {
	defer close(w.done)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-w.quit:
			return
		case <-tick.C:
			w.tell()
		}
	}
}

// C is Watch.C.
func (w *dirWatch) C() <-chan struct{} { return w.c }

// Close is Watch.Close.
func (w *dirWatch) Close() error {
	w.once.Do(func() { close(w.quit) })
	<-w.done
	return nil
}
