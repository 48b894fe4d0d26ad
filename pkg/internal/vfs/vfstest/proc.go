package vfstest

import (
	"context"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"logtools/pkg/internal/vfs"
)

// Proc is a process of a Mem: the file system as it sees it.
type Proc struct {
	m      *Mem
	number int

	stopped bool
	killed  bool
	next    signal // what waits for an operation of it
}

// signal is one that a process gets before an operation of it.
type signal struct {
	in   int // it is the in-th operation from now; 0: none
	kill bool
	got  chan struct{} // closed then
}

// Number is its number in Op.Proc.
func (p *Proc) Number() int { return p.number }

// Stop stops the process: its calls wait until Continue or Kill. It keeps its locks.
func (p *Proc) Stop() {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.stopped = true
}

// Continue lets a stopped process go on.
func (p *Proc) Continue() {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.stopped = false
	p.m.wake.Broadcast()
}

// Kill kills the process: its locks are free, and all its calls, also those that
// wait, return ErrKilled. What it has written stays.
func (p *Proc) Kill() {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.kill()
}

func (p *Proc) kill() {
	m := p.m
	p.killed = true
	for f, l := range m.holders {
		if l.p == p {
			delete(m.holders, f)
		}
	}
	m.watches = slices.DeleteFunc(m.watches, func(w *watch) bool { return w.p == p })
	m.wake.Broadcast()
}

// StopAt stops the process before the n-th of its operations from now (1 is the
// next). The channel is closed when it stands there. It takes the place of an
// earlier StopAt or KillAt.
func (p *Proc) StopAt(n int) <-chan struct{} { return p.signalAt(n, false) }

// KillAt is StopAt that kills.
func (p *Proc) KillAt(n int) <-chan struct{} { return p.signalAt(n, true) }

func (p *Proc) signalAt(n int, kill bool) <-chan struct{} {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.next = signal{in: n, kill: kill, got: make(chan struct{})}
	return p.next.got
}

// begin waits until the process may go on, with m.mu held. It returns false if
// it is killed.
func (p *Proc) begin() bool {
	if s := &p.next; s.in > 0 && !p.killed {
		if s.in--; s.in == 0 {
			if s.kill {
				p.kill()
			} else {
				p.stopped = true
			}
			close(s.got)
		}
	}
	for p.stopped && !p.killed {
		p.m.wake.Wait()
	}
	return !p.killed
}

// do does an operation, unless it fails. If it is a write or sync, run is called
// with the fault, too, and returns its error. Errors without a name get it.
func (p *Proc) do(o Op, run func(*fault) error) error {
	m := p.m
	m.mu.Lock()
	defer m.mu.Unlock()
	o.Proc = p.number
	if !p.begin() {
		return named(o, ErrKilled)
	}
	f := m.faultOf(o)
	var err error
	if f == nil || o.Kind == Write || o.Kind == Sync {
		err = run(f)
	} else {
		err = f.err
	}
	if err != nil {
		err = named(o, err)
		o.Err = err
	}
	m.list(o)
	return err
}

// named is an error as package os would return it.
func named(o Op, err error) error {
	op := string(o.Kind)
	switch o.Kind {
	case Rename:
		return &os.LinkError{Op: op, Old: o.Name, New: o.To, Err: err}
	case Create, OpenLock, ReadDir, SyncDir:
		op = "open"
	case Lock, TryLock, Taken, Unlock:
		op = "flock"
	case Size:
		op = "stat"
	}
	return &fs.PathError{Op: op, Path: o.Name, Err: err}
}

// Open is vfs.FS.Open.
func (p *Proc) Open(name string, flag vfs.Flag) (vfs.File, error) {
	o := Op{Kind: Open, Name: name}
	if flag == vfs.Create {
		o.Kind = Create
	}
	f := &file{p: p, name: name, flag: flag}
	err := p.do(o, func(*fault) error {
		if flag == vfs.Create {
			return p.m.create(name, false, &f.node)
		}
		var err error
		f.node, err = p.m.find(name)
		if err == nil && flag != vfs.ReadOnly && p.m.disk.nodes[f.node].dir {
			err = syscall.EISDIR
		}
		f.told = len(p.m.failed[f.node])
		return err
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// create makes a file or directory.
func (m *Mem) create(name string, dir bool, made *id) error {
	in, base, old, err := m.place(name)
	switch {
	case err == syscall.EBUSY || err == nil && old != 0:
		return syscall.EEXIST
	case err != nil:
		return err
	}
	m.apply(func(d *disk) { d.make(in, base, dir) })
	*made = m.disk.last
	m.tell(in)
	return nil
}

// Mkdir is vfs.FS.Mkdir.
func (p *Proc) Mkdir(name string) error {
	return p.do(Op{Kind: Mkdir, Name: name}, func(*fault) error {
		var made id
		return p.m.create(name, true, &made)
	})
}

// Rename is vfs.FS.Rename.
func (p *Proc) Rename(from, to string) error {
	m := p.m
	return p.do(Op{Kind: Rename, Name: from, To: to}, func(*fault) error {
		fromDir, fromName, node, err := m.place(from)
		if err != nil {
			return err
		}
		if node == 0 {
			return syscall.ENOENT
		}
		toDir, toName, old, err := m.place(to)
		if err != nil {
			return err
		}
		if old == node {
			return nil
		}
		isDir := m.disk.nodes[node].dir
		for d := toDir; isDir && d != 0; d = m.disk.nodes[d].in {
			if d == node { // into itself
				return syscall.EINVAL
			}
		}
		if old != 0 {
			switch over := m.disk.nodes[old]; {
			case over.dir && !isDir:
				return syscall.EISDIR
			case !over.dir && isDir:
				return syscall.ENOTDIR
			case len(over.names) > 0:
				return syscall.ENOTEMPTY
			}
		}
		m.apply(func(d *disk) { d.move(node, fromDir, fromName, toDir, toName) })
		m.tell(fromDir)
		m.tell(toDir)
		return nil
	})
}

// Remove is vfs.FS.Remove.
func (p *Proc) Remove(name string) error {
	m := p.m
	return p.do(Op{Kind: Remove, Name: name}, func(*fault) error {
		dir, base, node, err := m.place(name)
		if err != nil {
			return err
		}
		if node == 0 {
			return syscall.ENOENT
		}
		if len(m.disk.nodes[node].names) > 0 {
			return syscall.ENOTEMPTY
		}
		m.apply(func(d *disk) { d.move(node, dir, base, 0, "") })
		m.tell(dir)
		return nil
	})
}

// directory finds a directory.
func (m *Mem) directory(name string) (id, error) {
	i, err := m.find(name)
	if err == nil && !m.disk.nodes[i].dir {
		return 0, syscall.ENOTDIR
	}
	return i, err
}

// ReadDir is vfs.FS.ReadDir.
func (p *Proc) ReadDir(name string) ([]string, error) {
	var out []string
	err := p.do(Op{Kind: ReadDir, Name: name}, func(*fault) error {
		dir, err := p.m.directory(name)
		if err != nil {
			return err
		}
		for n := range p.m.disk.nodes[dir].names {
			out = append(out, n)
		}
		slices.Sort(out)
		return nil
	})
	return out, err
}

// SyncDir is vfs.FS.SyncDir. A rename from one directory to another is durable as
// soon as either is synced.
func (p *Proc) SyncDir(name string) error {
	return p.do(Op{Kind: SyncDir, Name: name}, func(*fault) error {
		dir, err := p.m.directory(name)
		if err != nil {
			return err
		}
		p.m.apply(func(d *disk) { d.syncDir(dir) })
		return nil
	})
}

// Lock is vfs.FS.Lock.
func (p *Proc) Lock(name string) (vfs.Lock, error) {
	l := &lock{p: p, name: name}
	err := p.do(Op{Kind: OpenLock, Name: name}, func(*fault) error {
		err := p.m.create(name, false, &l.node)
		if err == syscall.EEXIST {
			if l.node, err = p.m.find(name); err == nil && p.m.disk.nodes[l.node].dir {
				err = syscall.EISDIR
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Watch is vfs.FS.Watch.
func (p *Proc) Watch(dir string) (vfs.Watch, error) {
	w := &watch{p: p, name: dir, c: make(chan struct{}, 1)}
	err := p.do(Op{Kind: Watch, Name: dir}, func(*fault) error {
		var err error
		if w.dir, err = p.m.directory(dir); err == nil {
			p.m.watches = append(p.m.watches, w)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// lock is a vfs.Lock.
type lock struct {
	p      *Proc
	name   string
	node   id
	closed bool
}

// Lock is vfs.Lock.Lock.
func (l *lock) Lock(ctx context.Context) error {
	m := l.p.m
	stop := context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.wake.Broadcast()
	})
	defer stop()
	var ended error
	err := l.p.do(Op{Kind: Lock, Name: l.name}, func(*fault) error {
		for {
			// In this order: a stopped process gets no lock, and a killed one
			// nothing at all.
			for l.p.stopped && !l.p.killed {
				m.wake.Wait()
			}
			if l.p.killed {
				return ErrKilled
			}
			if ended = ctx.Err(); ended != nil {
				return ended
			}
			if ok, err := l.take(); ok || err != nil {
				return err
			}
			m.wake.Wait()
		}
	})
	if ended != nil {
		return ended
	}
	return err
}

// take takes the lock if it is free.
func (l *lock) take() (bool, error) {
	if l.closed {
		return false, os.ErrClosed
	}
	if h := l.p.m.holders[l.node]; h != nil && h != l {
		return false, nil
	}
	l.p.m.holders[l.node] = l
	return true, nil
}

// TryLock is vfs.Lock.TryLock.
func (l *lock) TryLock() (got bool, err error) {
	err = l.p.do(Op{Kind: TryLock, Name: l.name}, func(*fault) error {
		var err error
		got, err = l.take()
		return err
	})
	return got, err
}

// Taken is vfs.Lock.Taken.
func (l *lock) Taken() (taken bool, err error) {
	err = l.p.do(Op{Kind: Taken, Name: l.name}, func(*fault) error {
		if l.closed {
			return os.ErrClosed
		}
		h := l.p.m.holders[l.node]
		taken = h != nil && h != l
		return nil
	})
	return taken, err
}

// Unlock is vfs.Lock.Unlock.
func (l *lock) Unlock() error {
	return l.p.do(Op{Kind: Unlock, Name: l.name}, func(*fault) error {
		if l.closed {
			return os.ErrClosed
		}
		l.release()
		return nil
	})
}

// Close is vfs.Lock.Close.
func (l *lock) Close() error {
	return l.p.do(Op{Kind: Close, Name: l.name}, func(*fault) error {
		if l.closed {
			return os.ErrClosed
		}
		l.release()
		l.closed = true
		return nil
	})
}

func (l *lock) release() {
	m := l.p.m
	if m.holders[l.node] == l {
		delete(m.holders, l.node)
	}
	m.wake.Broadcast()
}

// watch is a vfs.Watch.
type watch struct {
	p    *Proc
	name string
	dir  id
	c    chan struct{}
}

// C is vfs.Watch.C.
func (w *watch) C() <-chan struct{} { return w.c }

// Close is vfs.Watch.Close.
func (w *watch) Close() error {
	return w.p.do(Op{Kind: Close, Name: w.name}, func(*fault) error {
		w.p.m.watches = slices.DeleteFunc(w.p.m.watches, func(o *watch) bool { return o == w })
		return nil
	})
}

// Boot is FS.Boot. It is no operation.
func (p *Proc) Boot() uint32 { return p.m.boot }
