package guard

import (
	"encoding/binary"
	"errors"
	"path/filepath"
	"sync/atomic"

	"logtools/pkg/internal/vfs"
)

// readBytes is how much of a run is read at once to be merged.
const readBytes = 128 << 10

// cursor goes through a run.
type cursor struct {
	entry        // the one it stands at
	r     *run   // read only with readAt: its owner goes on using it
	next  uint64 // the bucket to be read next
	dir   []byte // where the buckets from next on begin
	data  []byte // of the bytes of buckets that were read, those that were not looked at
	b     []byte // the rest of a bucket
	room  []byte // for data
	drawn []byte // for dir
}

// step goes to the next entry; there is none if it returns false.
func (c *cursor) step() (bool, error) {
	for len(c.b) == 0 {
		if int64(c.next) == c.r.buckets() {
			return false, nil
		}
		if err := c.bucket(); err != nil {
			return false, err
		}
	}
	e, rest, ok := nextEntry(c.b)
	if !ok {
		return false, c.r.damaged("an entry")
	}
	c.entry, c.b = e, rest
	return true, nil
}

// bucket goes to the next bucket.
func (c *cursor) bucket() error {
	le := binary.LittleEndian
	if len(c.dir) < 16 {
		n := min(c.r.buckets()+1-int64(c.next), 1024)
		if c.drawn == nil {
			c.drawn = make([]byte, 8*n)
		}
		c.dir = c.drawn[:8*n]
		if err := c.r.readAt(c.dir, c.r.dirAt(int64(c.next))); err != nil {
			return err
		}
	}
	from, to := int64(le.Uint64(c.dir)), int64(le.Uint64(c.dir[8:]))
	if !c.r.fits(from, to) {
		return c.r.damaged("directory")
	}
	if len(c.data) == 0 {
		end := to
		for rest := c.dir[16:]; len(rest) >= 8; rest = rest[8:] {
			more := int64(le.Uint64(rest))
			if more > c.r.size || more < end || more-from > readBytes {
				break
			}
			end = more
		}
		if int64(cap(c.room)) < end-from {
			c.room = make([]byte, max(end-from, min(readBytes, c.r.size-c.r.bucketsAt())))
		}
		c.data = c.room[:end-from]
		if err := c.r.readAt(c.data, from); err != nil {
			return err
		}
	}
	// What was read ends with a bucket, if the directory was the same then.
	if int64(len(c.data)) < to-from {
		return c.r.damaged("directory")
	}
	b, err := c.r.check(c.next, c.data[:to-from])
	if err != nil {
		return err
	}
	c.b, c.data, c.dir = b, c.data[to-from:], c.dir[8:]
	c.next++
	return nil
}

// merge makes one run of some that follow each other, the oldest first, in a
// goroutine of its own.
type merge struct {
	fs   vfs.FS
	dir  string
	runs []*run
	bits int // of filter for each key

	stop atomic.Bool
	done chan struct{} // closed when out and err are there
	out  *run          // nil too if another process does the same
	err  error
}

// errStopped says that a merge was given up.
var errStopped = errors.New("stopped")

func (m *merge) run() {
	defer close(m.done)
	m.out, m.err = m.locked()
}

// keys is how many there are at most.
func (m *merge) keys() (n int64) {
	for _, r := range m.runs {
		n += r.keys
	}
	return n
}

// locked merges if no other process does.
func (m *merge) locked() (out *run, err error) {
	lock, err := m.fs.Lock(filepath.Join(m.dir, mergeLock))
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if got, err := lock.TryLock(); err != nil || !got {
		return nil, err
	}
	first, last := m.runs[0], m.runs[len(m.runs)-1]
	names, err := m.fs.ReadDir(m.dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		// Another process has been there before; the table will find it.
		if from, to, ok := parseRunName(name); ok && from <= first.from && to >= last.to() {
			return nil, nil
		}
	}
	if out, err = m.write(first, last); err != nil {
		return nil, err
	}
	// Now that it is durable under its name. Others that have these open go on
	// reading them. What cannot be removed is removed when the table is opened.
	for _, name := range names {
		if from, to, ok := parseRunName(name); ok && name != out.name && from >= out.from && to <= out.to() {
			m.fs.Remove(filepath.Join(m.dir, name))
		}
	}
	return out, nil
}

func (m *merge) write(first, last *run) (*run, error) {
	h := runHead{identity: first.identity, from: first.from, mark: last.mark}
	var bytes int64
	for _, r := range m.runs {
		bytes += r.size - r.bucketsAt()
	}
	w, err := newRun(m.fs, filepath.Join(m.dir, mergeTmp), h, m.keys(), bytes, m.bits)
	if err != nil {
		return nil, err
	}
	if err := m.copy(w); err != nil {
		w.discard()
		return nil, err
	}
	r, err := w.finish(m.dir)
	if err != nil {
		w.discard()
	}
	return r, err
}

// copy writes the newest value of each hash.
func (m *merge) copy(w *runWriter) error {
	cursors := make([]cursor, 0, len(m.runs)) // the newest first
	for i := len(m.runs) - 1; i >= 0; i-- {
		c := cursor{r: m.runs[i]}
		ok, err := c.step()
		if err != nil {
			return err
		}
		if ok {
			cursors = append(cursors, c)
		}
	}
	for n := 0; len(cursors) > 0; n++ {
		if n%1024 == 0 && m.stop.Load() {
			return errStopped
		}
		least := &cursors[0]
		for i := 1; i < len(cursors); i++ {
			if c := &cursors[i]; c.hi < least.hi || c.hi == least.hi && c.lo < least.lo {
				least = c
			}
		}
		hi, lo := least.hi, least.lo
		if err := w.add(hi, lo, least.value); err != nil {
			return err
		}
		for i := 0; i < len(cursors); i++ {
			c := &cursors[i]
			if c.hi != hi || c.lo != lo {
				continue
			}
			ok, err := c.step()
			if err != nil {
				return err
			}
			if !ok {
				cursors = append(cursors[:i], cursors[i+1:]...)
				i--
			}
		}
	}
	return nil
}

// window says from which of some runs on all are best merged, by their sizes, the
// oldest first: from the oldest that is not larger than all that came later. So
// what is written again at least doubles each time.
func window(sizes []int64) int {
	best := len(sizes) - 2
	var later int64
	for i := len(sizes) - 1; i >= 0; i-- {
		if i < best && sizes[i] <= later {
			best = i
		}
		later += sizes[i]
	}
	return best
}
