package source

import (
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watcher has the system tell what happens in directories: so that files are
// seen that are created or renamed. What it misses the polling finds.
type watcher struct {
	system *fsnotify.Watcher      // nil: there is none
	dirs   map[string]os.FileInfo // which directory is watched under that name; nil: none
	names  map[string][]*tail     // whom a path concerns
}

func newWatcher(use bool) *watcher {
	w := &watcher{}
	if use {
		// Few events are let wait in the buffer, so that a busy file does not
		// cost a change of goroutines each time.
		if s, err := fsnotify.NewBufferedWatcher(64); err == nil {
			w.system = s
		}
	}
	return w
}

func (w *watcher) close() {
	if w.system != nil {
		w.system.Close()
	}
}

// need watches the directories of the tails, and no others. It needs
// Follower.mu, as all below.
func (w *watcher) need(tails []*tail) {
	dirs := make(map[string]os.FileInfo)
	w.names = make(map[string][]*tail)
	use := func(t *tail, dir, base string) {
		dir = filepath.Clean(dir)
		dirs[dir] = w.dirs[dir]
		path := filepath.Join(dir, base)
		w.names[path] = append(w.names[path], t)
	}
	for _, t := range tails {
		if t.path == "" {
			continue
		}
		use(t, filepath.Dir(t.path), filepath.Base(t.path))
		if g := t.last(); g != nil && filepath.Join(g.dir, g.base) != t.path {
			use(t, g.dir, g.base)
		}
	}
	if w.system != nil {
		for dir := range w.dirs {
			if _, ok := dirs[dir]; !ok {
				w.system.Remove(dir)
			}
		}
	}
	w.dirs = dirs
	w.check()
}

// check watches directories that were not there before, or are now others.
func (w *watcher) check() {
	if w.system == nil {
		return
	}
	for dir, old := range w.dirs {
		st, err := os.Stat(dir)
		if err == nil && old != nil && os.SameFile(st, old) {
			continue
		}
		if old != nil {
			w.system.Remove(dir)
		}
		w.dirs[dir] = nil
		if err == nil && w.system.Add(dir) == nil {
			w.dirs[dir] = st
		}
	}
}

// all says whether the system tells of all directories.
func (w *watcher) all() bool {
	if w.system == nil {
		return false
	}
	for _, st := range w.dirs {
		if st == nil {
			return false
		}
	}
	return true
}

// watch finds out which tails have something new, until the Follower is closed.
func (f *Follower) watch() {
	var events chan fsnotify.Event
	var errs chan error
	if s := f.watcher.system; s != nil {
		events, errs = s.Events, s.Errors
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	var due time.Time // of the timer
	for {
		select {
		case <-f.past.closed:
			return
		case ev, ok := <-events:
			if !ok { // it is closed before we are
				events = nil
				continue
			}
			now := time.Now()
			if next := now.Add(f.hearAll(ev, events, now)); next.Before(due) {
				due = next
				timer.Reset(time.Until(due))
			}
		case _, ok := <-errs: // events were lost, most likely
			if !ok {
				errs = nil
				continue
			}
			timer.Reset(0)
		case now := <-timer.C:
			pause := f.tick(now)
			due = now.Add(pause)
			timer.Reset(pause)
		}
		f.tell()
	}
}

// hearAll passes on ev and the events that have come meanwhile. It returns
// after what time to look at everything.
func (f *Follower) hearAll(ev fsnotify.Event, events <-chan fsnotify.Event, now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		f.hear(ev, now)
		select {
		case ev = <-events: // of no meaning if it is closed
			if ev.Op != 0 {
				continue
			}
		default:
		}
		return f.interval()
	}
}

// hear passes on an event.
func (f *Follower) hear(ev fsnotify.Event, now time.Time) {
	for _, t := range f.watcher.names[filepath.Clean(ev.Name)] {
		t.heard, t.deaf = true, 0
		if ev.Op != fsnotify.Write {
			t.look(now)
		}
		f.touch(t)
	}
	if ev.Op.Has(fsnotify.Write) {
		// A file that lost its name is written to under another one.
		for _, t := range f.tails {
			if t.restless() {
				f.touch(t)
			}
		}
	}
}

// tick looks at everything and returns when to do so again.
func (f *Follower) tick(now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watcher.check()
	for _, t := range f.tails {
		t.look(now)
		changed := t.poll(now)
		switch {
		case t.heard:
			t.deaf = 0
		case changed:
			t.deaf++
		}
		t.heard = false
		t.expire(now)
		// What stands unfinished in an old file is due some time.
		if changed || t.restless() {
			f.touch(t)
		}
	}
	return f.interval()
}

// interval returns how long nothing but the system needs to look.
func (f *Follower) interval() time.Duration {
	if !f.watcher.all() {
		return f.pace.fast
	}
	for _, t := range f.tails {
		if t.restless() || t.deaf > 1 || t.path == "" {
			return f.pace.fast
		}
	}
	return f.pace.slow
}
