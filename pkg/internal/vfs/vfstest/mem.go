// Package vfstest is a file system in memory for tests of whoever uses package
// vfs. It is as forgetful as a real one when the power is cut: content is durable
// after File.Sync, names (created, renamed, removed) after FS.SyncDir of their
// directory. Power can be cut after any operation, any operation can be made
// to fail, processes can be stopped and killed, and all that was done is listed.
//
// Nothing depends on the clock or on chance: losses are drawn from seeds.
package vfstest

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"

	"logtools/pkg/internal/vfs"
)

// Kind is a kind of operation.
type Kind string

const (
	Open     Kind = "open" // of a file that is there
	Create   Kind = "create"
	Mkdir    Kind = "mkdir"
	Rename   Kind = "rename"
	Remove   Kind = "remove"
	ReadDir  Kind = "readdir"
	SyncDir  Kind = "syncdir"
	OpenLock Kind = "openlock"
	Lock     Kind = "lock" // listed when it is got, or given up
	TryLock  Kind = "trylock"
	Taken    Kind = "taken"
	Unlock   Kind = "unlock" // never fails by Mem.Fail, nor do the Closes
	Watch    Kind = "watch"
	Read     Kind = "read"
	Write    Kind = "write"
	Truncate Kind = "truncate"
	Size     Kind = "size"
	Sync     Kind = "sync"
	Close    Kind = "close" // of a file, lock or watch
	Test     Kind = "test"  // Mem.WriteFile, Mem.Corrupt: durable at once, never fails by Mem.Fail
)

// Op is an operation that was done, or that failed.
type Op struct {
	Kind Kind
	Proc int    // the number of the process; 0 is Mem itself
	Name string // as it was given when the file was opened
	To   string // of a Rename
	Off  int64  // of a Read or Write; the size of a Truncate
	Len  int    // of a Read or Write: what was asked for
	Err  error  // what it returned (a *fs.PathError or *os.LinkError); io.EOF is none
}

func (o Op) String() string {
	s := string(o.Kind) + " " + o.Name
	switch o.Kind {
	case Rename:
		s += " to " + o.To
	case Read, Write:
		s += fmt.Sprintf(" %d+%d", o.Off, o.Len)
	case Truncate:
		s += fmt.Sprintf(" %d", o.Off)
	}
	if o.Proc != 0 {
		s = fmt.Sprintf("process %d: ", o.Proc) + s
	}
	if o.Err != nil {
		s += ": " + errors.Unwrap(o.Err).Error() // without the name
	}
	return s
}

// Changes reports whether a power cut after the operation can leave something else
// than one before it.
func (o Op) Changes() bool {
	switch o.Kind {
	case Create, Mkdir, Rename, Remove, SyncDir, OpenLock, Write, Truncate, Sync, Test:
		return true
	}
	return false
}

// mayFail reports whether it counts for Mem.Fail.
func (o Op) mayFail() bool {
	switch o.Kind {
	case Unlock, Close, Test:
		return false
	}
	return true
}

// Mem is a file system in memory, and (by Proc) a process in it, number 0. Names
// are with slashes; "x" and "/x" are the same. The root is there.
type Mem struct {
	*Proc

	mu   sync.Mutex
	wake sync.Cond // a lock was released, a process continued or was killed

	boot uint32
	base *disk // what it began with
	disk *disk // what it is now
	log  []Op
	done []func(*disk) // what each operation of log did to the disk; nil: nothing

	replay   *disk // base after the first replayed operations
	replayed int

	fault   fault
	fired   bool
	failed  map[id][]error // by Sync
	procs   []*Proc
	holders map[id]*lock
	watches []*watch
}

// fault is an error to come.
type fault struct {
	in      int // it is the in-th operation that fits; 0: none
	fits    func(Op) bool
	err     error
	partial bool
}

// New returns a Mem with nothing in it.
func New() *Mem { return newMem(newDisk(), 1) }

func newMem(d *disk, boot uint32) *Mem {
	m := &Mem{boot: boot, base: d, disk: d.clone(), holders: map[id]*lock{}, failed: map[id][]error{}}
	m.wake.L = &m.mu
	m.Proc = m.Process()
	return m
}

// Process starts a process, as it were: its files, locks and watches are its own,
// and die with it. Processes have numbers from 1.
func (m *Mem) Process() *Proc {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := &Proc{m: m, number: len(m.procs)}
	m.procs = append(m.procs, p)
	return p
}

// Log returns the operations so far, of all processes, in their order.
func (m *Mem) Log() []Op {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.log)
}

// Crash returns what is left by a power cut (or a kill of all processes) right
// after the first n operations of Log. m stays as it is. If anything may be lost it has
// another Boot.
//
// Crashes in the order of n cost least: each history is gone through once.
func (m *Mem) Crash(n int, how Loss) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n < 0 || n > len(m.done) {
		panic(fmt.Sprintf("vfstest: crash after operation %d of %d", n, len(m.done)))
	}
	whole := n
	if how.kind == keepTorn && n > 0 && m.log[n-1].Kind == Write && m.log[n-1].Err == nil && m.done[n-1] != nil {
		whole--
	}
	if m.replay == nil || m.replayed > whole {
		m.replay, m.replayed = m.base.clone(), 0
	}
	for ; m.replayed < whole; m.replayed++ {
		if do := m.done[m.replayed]; do != nil {
			do(m.replay)
		}
	}
	if how.kind != keepAll && how.kind != keepTorn {
		return newMem(m.replay.after(how, uint64(n)), m.boot+1)
	}
	d := m.replay.clone()
	if whole < n {
		d.half = true
		m.done[whole](d)
		d.half = false
	}
	return newMem(d, m.boot)
}

// Fail makes the n-th operation from now (1 is the next) fail with err, whichever
// process does it. It is then in err's chain of causes; everything after it goes
// well. A write with partial writes half before. Otherwise nothing is done, except
// that after a Sync that fails all content that was to be synced is readable,
// but not durable, and that no later Sync makes it so, as on Linux. As there, too,
// the next Sync by each of the other files that are open then fails as well. (A SyncDir
// may be tried again.)
//
// Unlock, Close and what tests do themselves do not count. n = 0 takes it back.
func (m *Mem) Fail(n int, err error, partial bool) {
	m.FailIf(n, func(Op) bool { return true }, err, partial)
}

// FailIf is Fail for the n-th operation that fits. The function must not use m;
// Op.Err is not set yet.
func (m *Mem) FailIf(n int, fits func(Op) bool, err error, partial bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault, m.fired = fault{n, fits, err, partial}, false
}

// Fired reports whether the operation of the last Fail was reached.
func (m *Mem) Fired() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fired
}

// faultOf returns the fault that o meets, if any.
func (m *Mem) faultOf(o Op) *fault {
	f := &m.fault
	if f.in == 0 || !o.mayFail() || !f.fits(o) {
		return nil
	}
	if f.in--; f.in > 0 {
		return nil
	}
	m.fired = true
	return f
}

// apply does something to the disk, now and in each replay. It belongs to the
// operation under way.
func (m *Mem) apply(do func(*disk)) {
	do(m.disk)
	i := len(m.log) // it is listed when it is over
	if len(m.done) == i {
		m.done = append(m.done, do)
		return
	}
	before := m.done[i]
	m.done[i] = func(d *disk) { before(d); do(d) }
}

// list ends the operation under way.
func (m *Mem) list(o Op) {
	m.log = append(m.log, o)
	if len(m.done) < len(m.log) {
		m.done = append(m.done, nil)
	}
}

// WriteFile makes a file of that content, and the directories above it, durable at
// once. It replaces the content of a file that is there.
func (m *Mem) WriteFile(name string, data []byte) {
	m.test(name, func() error {
		dir, base := root, path.Base(clean(name))
		for part := range strings.SplitSeq(strings.Trim(path.Dir(clean(name)), "/"), "/") {
			if part == "" {
				continue
			}
			in := dir
			if dir = m.disk.nodes[in].names[part]; dir == 0 {
				m.apply(func(d *disk) { d.make(in, part, true) })
				dir = m.disk.last
			} else if !m.disk.nodes[dir].dir {
				return syscall.ENOTDIR
			}
		}
		if f := m.disk.nodes[dir].names[base]; f != 0 && m.disk.nodes[f].dir {
			return syscall.EISDIR
		}
		data := slices.Clone(data)
		m.apply(func(d *disk) { d.plant(dir, base, data) })
		m.tell(dir)
		return nil
	})
}

// Corrupt flips one bit (0 is the lowest) of a file, of what processes see and of
// what is durable.
func (m *Mem) Corrupt(name string, byte int64, bit uint) {
	m.test(name, func() error {
		f, err := m.find(name)
		if err != nil {
			return err
		}
		if n := m.disk.nodes[f]; n.dir || byte < 0 || byte >= int64(len(n.data.b)) || bit > 7 {
			return syscall.EINVAL
		}
		m.apply(func(d *disk) { d.flip(f, byte, bit) })
		m.tell(m.disk.nodes[f].in)
		return nil
	})
}

// test is an operation of a test itself, whose mistakes are panics.
func (m *Mem) test(name string, do func() error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := do(); err != nil {
		panic("vfstest: " + name + ": " + err.Error())
	}
	m.list(Op{Kind: Test, Name: name})
}

// ReadFile returns a file's content as processes see it. It is not listed.
func (m *Mem) ReadFile(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.find(name)
	if err == nil && m.disk.nodes[f].dir {
		err = syscall.EISDIR
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return slices.Clone(m.disk.nodes[f].data.b), nil
}

// Names returns all names, sorted, as paths from the root without a slash before
// them, directories with one behind them. It is not listed.
func (m *Mem) Names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	var visit func(i id, above string)
	visit = func(i id, above string) {
		for name, k := range m.disk.nodes[i].names {
			if m.disk.nodes[k].dir {
				out = append(out, above+name+"/")
				visit(k, above+name+"/")
				continue
			}
			out = append(out, above+name)
		}
	}
	visit(root, "")
	slices.Sort(out)
	return out
}

func clean(name string) string { return path.Clean("/" + name) }

// find returns the node of a name.
func (m *Mem) find(name string) (id, error) {
	i := root
	for part := range strings.SplitSeq(clean(name)[1:], "/") {
		if part == "" {
			continue
		}
		n := m.disk.nodes[i]
		if !n.dir {
			return 0, syscall.ENOTDIR
		}
		if i = n.names[part]; i == 0 {
			return 0, syscall.ENOENT
		}
	}
	return i, nil
}

// place finds the directory of a name, which itself need not be there (its node is
// 0 then).
func (m *Mem) place(name string) (dir id, base string, node id, err error) {
	name = clean(name)
	if dir, err = m.find(path.Dir(name)); err != nil {
		return 0, "", 0, err
	}
	n := m.disk.nodes[dir]
	if !n.dir {
		return 0, "", 0, syscall.ENOTDIR
	}
	if name == "/" {
		return 0, "", 0, syscall.EBUSY
	}
	base = path.Base(name)
	return dir, base, n.names[base], nil
}

// tell tells the watches of a directory.
func (m *Mem) tell(dir id) {
	for _, w := range m.watches {
		if w.dir == dir {
			select {
			case w.c <- struct{}{}:
			default:
			}
		}
	}
}

// ErrKilled is the error of all calls of a killed process.
var ErrKilled = errors.New("the process was killed")

var _ vfs.FS = (*Mem)(nil)
