package eventlog

import (
	"context"
	"encoding/binary"
	"io"
	"path/filepath"
	"sync"
	"time"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/segment"
)

// partition is the writing end of a partition in this process. Other processes
// write at the same time; all of them keep to these rules:
//
//   - Whoever holds the lock may write, everybody may read. The lock is held for
//     the writing of a unit, never for a sync of what was appended.
//   - Whoever does anything else than appending at the end (cutting off, rolling)
//     first makes the generation in the lock file greater. So a generation and a
//     size that are as they were mean that the file is as it was.
//   - Whoever has synced a file moves the head on, under the lock, before it
//     acknowledges. So all that was acknowledged lies before the head.
//   - Whoever fails to sync a file acknowledges nothing, and never appends to it
//     again: it makes a new segment, which says that the old one ends at the head.
//     What lies behind that is void, whoever wrote it, and will not be
//     acknowledged by its writer.
type partition struct {
	l   *Log
	n   int
	dir string

	// mu is held together with the lock file's lock, which excludes other
	// processes only.
	mu         sync.Mutex
	lock       vfs.Lock
	generation vfs.File // the lock file
	head       vfs.File // nil: not there

	noSync bool // what is written is acknowledged without being made durable

	seen int64         // generation that act is from
	act  *active       // nil: not known
	wait time.Duration // for the lock; 0 is no limit

	// wrote is what was written last and not committed yet: the segment, and the
	// offset behind it. The segment is nil if there is nothing.
	wrote struct {
		act  *active
		next int64
	}
	failing sync.Mutex
	failed  error // of the first commit that failed, guarded by failing

	rules *Rules   // that what is written keeps to; nil: no events are written
	keep  *keeping // nil: the log has no rules
}

// fail makes err the error of all that is written or committed later: what was to
// be durable before it may be lost, and nothing is stored behind a hole.
func (p *partition) fail(err error) error {
	p.failing.Lock()
	defer p.failing.Unlock()
	if p.failed == nil {
		p.failed = err
	}
	return err
}

func (p *partition) failure() error {
	p.failing.Lock()
	defer p.failing.Unlock()
	return p.failed
}

// active is the last segment of a partition: what is appended to.
type active struct {
	base int64
	file vfs.File
	refs int // under partition.mu; the file is closed when nobody uses it
	// end is what the next unit must fit to, size where it will lie, and time
	// when the last line before it was appended.
	end  segment.Link
	size int64
	time int64
	// durable is what is known to be durable in this segment.
	durable head
	// synced: what others had left in the file when this process opened it was
	// made durable.
	synced bool
	index  *indexer // nil: not needed yet

	syncing sync.Mutex
	syncErr error // guarded by syncing
}

// sync makes the file's content durable. Once it has failed it always does: the
// system tells of an error only once for each open file, and a later sync, of
// another goroutine, would succeed without having written what was to be written.
func (a *active) sync() error {
	a.syncing.Lock()
	defer a.syncing.Unlock()
	if a.syncErr == nil {
		a.syncErr = a.file.Sync()
	}
	return a.syncErr
}

const generationSize = 8

func (l *Log) partition(n int, wait time.Duration) (*partition, error) {
	p := &partition{l: l, n: n, dir: l.dir(n), wait: wait}
	err := p.open()
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *partition) open() (err error) {
	name := filepath.Join(p.dir, lockName)
	if p.lock, err = p.l.fs.Lock(name); err != nil {
		return err
	}
	if p.generation, err = p.l.fs.Open(name, vfs.ReadWrite); err != nil {
		return err
	}
	return nil
}

// close frees what p holds. Nobody may be using it.
func (p *partition) close() {
	p.forget()
	p.dropKeeper()
	if p.lock != nil {
		p.lock.Close()
	}
	for _, f := range []vfs.File{p.generation, p.head} {
		if f != nil {
			f.Close()
		}
	}
}

// acquire takes the lock; p.act is then the present end of the partition.
func (p *partition) acquire() error {
	if err := p.acquireOnly(); err != nil {
		return err
	}
	err := p.failure()
	act, seen := p.act, p.seen
	if err == nil {
		err = p.catchUp()
	}
	if err == nil && p.act != act {
		err = p.stillKnown(seen)
	}
	if w := &p.wrote; err == nil && w.act != nil && w.act != p.act {
		// Nothing is written behind what others have made void meanwhile.
		err = p.stillCounts(w.act, w.next)
	}
	if err != nil {
		p.free()
	}
	return err
}

// acquireOnly takes the lock and looks at nothing.
func (p *partition) acquireOnly() error {
	p.mu.Lock()
	err := p.l.waitFor(context.Background(), p.lock, p.wait)
	if err != nil {
		p.mu.Unlock()
	}
	return err
}

func (p *partition) free() {
	// An unlock that fails leaves the lock to the end of the process: others will
	// wait for it and say so.
	p.lock.Unlock()
	p.mu.Unlock()
}

// Under the lock.

func (p *partition) readGeneration() (int64, error) {
	var b [generationSize]byte
	if _, err := p.generation.ReadAt(b[:], 0); err != nil && err != io.EOF {
		return 0, err // a shorter file reads as zeros
	}
	return int64(binary.LittleEndian.Uint64(b[:])), nil
}

// repaired is what is added to a generation by a repair, which takes away what others
// may have learned from the log.
const repaired = 1 << 32

// bump tells the other writers that more than an append is going to happen.
func (p *partition) bump() error { return p.bumpBy(1) }

func (p *partition) bumpBy(n int64) error {
	g, err := p.readGeneration()
	if err != nil {
		return err
	}
	var b [generationSize]byte
	binary.LittleEndian.PutUint64(b[:], uint64(g+n))
	if _, err := p.generation.WriteAt(b[:], 0); err != nil {
		return err
	}
	p.seen = g + n
	return nil
}

// catchUp makes p.act the present end of the partition.
func (p *partition) catchUp() error {
	g, err := p.readGeneration()
	if err != nil {
		return err
	}
	if p.act == nil || g != p.seen {
		if err := p.sameRules(); err != nil {
			return err
		}
		return p.load(g)
	}
	a := p.act
	size, err := a.file.Size()
	if err != nil || size == a.size {
		return err
	}
	if size < a.size {
		return p.load(g) // what recovery makes of it
	}
	// Others have appended. What they have made durable meanwhile is in the head.
	if h, ok, err := p.readHead(); err != nil {
		return err
	} else if ok && h.id == a.end.SegmentID && h.durable > a.durable.durable {
		a.durable = h
	}
	return p.recover(a, size)
}

// readHead reads the head; false if there is no sound one.
func (p *partition) readHead() (head, bool, error) {
	if p.head == nil {
		f, err := p.l.openHead(p.dir, vfs.ReadWrite)
		if f == nil || err != nil {
			return head{}, false, err
		}
		p.head = f
	}
	return readHead(p.head)
}

// writeHead moves the head on; never back. It says that it is of this start of the
// system.
func (p *partition) writeHead(h head) error {
	old, ok, err := p.readHead()
	if err != nil {
		return err
	}
	if ok && (old.base > h.base || old.id == h.id && old.durable >= h.durable) {
		if old.boot == p.l.boot {
			return nil
		}
		h = old
	}
	h.boot = p.l.boot
	if p.head == nil {
		f, err := p.l.fs.Open(filepath.Join(p.dir, headName), vfs.Create)
		if err != nil {
			return err
		}
		p.head = f
	}
	_, err = p.head.WriteAt(h.encode(), 0)
	return err
}

// release is called by each who has used a's file, of which refs counts them.
func (p *partition) release(a *active) {
	if a.refs--; a.refs == 0 {
		a.file.Close()
		if a.index != nil {
			a.index.close()
		}
	}
}
