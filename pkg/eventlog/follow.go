package eventlog

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"syscall"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/internal/vfs"
	"logtools/pkg/segment"
)

// tail is the end of the last segment while it is followed. Three places in it
// count: what lies before hard is durable, so what is invalid there is damage;
// what lies before limit is read; the file's size is what may become durable. What
// lies between hard and limit was made durable by us, since its writer did not;
// what is invalid there is not finished yet.
type tail struct {
	end int64 // offset at which to stop

	base  int64        // of the segment
	hard  int64        // a byte, between two units
	after segment.Link // of the unit before it
	limit int64
	tried int64 // the size that was last made durable by us

	watch  vfs.Watch
	head   vfs.File
	since  time.Time // when there was first more than limit; zero: there is not
	listed time.Time // when was last looked for another segment, and for the log itself
	bare   time.Time // when first no segment was found; zero: some were
}

// errNotYet says that a unit is not finished.
var errNotYet = errors.New("not yet")

const (
	// headWait is how long those who have written get to say that it is durable,
	// before we see to that.
	headWait = 100 * time.Millisecond
	// lookEvery is how often is looked at the head and at the size even if nothing
	// tells of a change, and listEvery at the names: so within a second is seen that
	// the log is gone.
	lookEvery = 250 * time.Millisecond
	listEvery = 500 * time.Millisecond
	// bareFor is how long a partition may be without any segment before that is
	// damage: who removes a log needs a while.
	bareFor = 2 * time.Second
)

func (t *tail) close() {
	if t.watch != nil {
		t.watch.Close()
		t.watch = nil
	}
	if t.head != nil {
		t.head.Close()
		t.head = nil
	}
}

// goLive begins to follow.
func (r *Reader) goLive() (err error) {
	if r.expected < r.to { // else nothing is followed
		r.tail.watch, err = r.l.fs.Watch(r.l.dir(r.partition))
	}
	return err
}

// enterTail returns a Scanner of s, the last segment.
func (r *Reader) enterTail(s *readable) (*segment.Scanner, error) {
	t := &r.tail
	if t.base != s.base || s.id != 0 && t.after.SegmentID != s.id {
		t.base, t.hard, t.after = s.base, 0, segment.Link{SegmentID: s.id, Next: s.base}
	}
	t.limit, t.tried, t.since = min(t.hard, s.size), 0, time.Time{}
	if t.hard > 0 && t.hard <= s.size && r.expected >= t.after.Next {
		return segment.NewScanner(s.file, t.limit, t.hard, t.after), nil
	}
	sc, _, err := s.scanOffset(r.expected, t.limit)
	return sc, err
}

// notYet reports whether err, of the unit at byte at, may pass.
func (r *Reader) notYet(at int64, err error) bool {
	return r.stage == live && r.seg.last && at >= r.tail.hard &&
		(err == errNotYet || err == io.EOF || isInvalid(err) || errors.Is(err, io.ErrUnexpectedEOF))
}

// skipDamage goes on where the last segment is not known to be damaged.
func (r *Reader) skipDamage(at int64, why string) error {
	t := &r.tail
	next := max(r.expected, t.after.Next)
	r.damage(r.seg, at, t.hard, r.expected, next, why)
	r.expected = next
	r.scan = segment.NewScanner(r.seg.file, t.limit, t.hard, t.after)
	if t.limit < t.hard { // the file has become shorter than it was
		r.scan = segment.NewScanner(r.seg.file, t.hard, t.hard, t.after)
	}
	return nil
}

// more waits until there may be more to read than before.
func (r *Reader) more(ctx context.Context) error {
	for {
		changed, err := r.watchTail(time.Now())
		if changed || err != nil {
			return err
		}
		wait := lookEvery
		if !r.tail.since.IsZero() {
			wait = max(0, min(wait, time.Until(r.tail.since.Add(headWait))))
		}
		timer := time.NewTimer(wait)
		select {
		case <-r.tail.watch.C():
		case <-timer.C:
		case <-ctx.Done():
			err = ctx.Err()
		case <-r.closed:
			err = os.ErrClosed
		}
		timer.Stop()
		if err != nil {
			return err
		}
	}
}

// watchTail looks for more in the last segment, or for the next one, and reports
// whether something was found.
func (r *Reader) watchTail(now time.Time) (bool, error) {
	t, s := &r.tail, r.seg
	names := now.Sub(t.listed) >= listEvery
	if names && t.head != nil { // it may have been replaced
		t.head.Close()
		t.head = nil
	}
	h, ok, err := r.readHead()
	if err != nil {
		return false, err
	}
	size, err := s.file.Size()
	if err != nil {
		return false, err
	}
	if names { // after the head was opened: so it is not that of another log
		if err := r.l.stillThere(r.partition, r.lock); err != nil {
			return false, err
		}
	}
	if ok && h.base == s.base && (h.id == s.id || s.id == 0) && h.durable > t.hard {
		t.hard = h.durable
		t.after = segment.Link{SegmentID: h.id, Next: h.next, Epoch: h.epoch, HeadCRC: h.lastCRC}
		r.extend(max(t.limit, t.hard), size)
		return true, nil
	}
	if names || r.scan.Link().Sealed || ok && h.base > s.base {
		t.listed = now
		if found, err := r.findNext(now); found || err != nil {
			return found, err
		}
	}
	if size < t.limit {
		// What was cut off was never given out: it was not finished.
		r.extend(size, size)
	}
	if size <= r.scan.At() || size == t.tried {
		t.since = time.Time{}
		return false, nil
	}
	if t.since.IsZero() {
		t.since = now
	}
	if now.Sub(t.since) < headWait {
		return false, nil
	}
	if err := s.file.Sync(); err != nil {
		return false, err
	}
	t.tried = size
	r.extend(size, size)
	return true, nil
}

func (r *Reader) extend(limit, size int64) {
	r.tail.limit, r.tail.since = min(limit, size), time.Time{}
	r.scan.Extend(r.tail.limit)
}

func (r *Reader) readHead() (h head, ok bool, err error) {
	if r.tail.head == nil {
		if r.tail.head, err = r.l.openHead(r.l.dir(r.partition), vfs.ReadOnly); err != nil || r.tail.head == nil {
			r.tail.head = nil
			return h, false, err
		}
	}
	return readHead(r.tail.head)
}

// findNext looks for the segment behind the last one, which then is no longer
// that.
func (r *Reader) findNext(now time.Time) (bool, error) {
	s, t := r.seg, &r.tail
	bases, err := r.l.list(r.partition)
	if err != nil {
		if t.bare.IsZero() {
			t.bare = now
		}
		var d *event.DamagedError
		if errors.As(err, &d) && now.Sub(t.bare) < bareFor {
			return false, r.l.stillThere(r.partition, r.lock)
		}
		return false, err
	}
	t.bare = time.Time{}
	i := sort.Search(len(bases), func(i int) bool { return bases[i] > s.base })
	if i == len(bases) {
		return false, nil
	}
	next, err := r.l.openReadable(r.partition, bases[i])
	if gone(err, 0) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if err := r.l.stillThere(r.partition, r.lock); err != nil { // it may be another log's
		next.close()
		return false, err
	}
	r.bases = bases
	r.next = next
	if s.size, err = s.file.Size(); err != nil {
		return false, err
	}
	if err := s.setNext(next); err != nil {
		return false, err
	}
	if s.absent != 0 {
		// The one behind s was merged, perhaps with s, or removed before it was seen. What
		// comes next is looked up as if s had not been open.
		s.stop = r.expected
	}
	s.looked = false
	r.scan.Extend(s.size)
	return true, nil
}

// openLock opens the lock file of a partition, by which the log is told from another
// one that takes its name; nil if there is none, or none that may be read.
func (l *Log) openLock(partition int) (vfs.File, error) {
	f, err := l.fs.Open(filepath.Join(l.dir(partition), lockName), vfs.ReadOnly)
	if absent(err) || errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	return f, err
}

// absent says that a file, or a directory that it is in, is not there.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// stillThere returns an *event.GoneError if the log that was opened is no longer there
// under its name: if there is none, or another one, or a copy. lock is from
// openLock. Another error is one of looking.
func (l *Log) stillThere(partition int, lock vfs.File) error {
	there := l.fresh()
	err := there.load()
	var none *NoLogError
	switch {
	case absent(err) || errors.As(err, &none):
		return l.goneAway()
	case err == nil && there.id != l.id:
		return l.goneFor()
	case lock == nil: // what is wrong with settings concerns who opens the log
		return nil
	}
	name := filepath.Join(l.dir(partition), lockName)
	if same, err := lock.HasName(name); same || err != nil && !absent(err) {
		return err
	}
	f, err := l.fs.Open(name, vfs.ReadOnly)
	if absent(err) {
		return l.goneAway()
	}
	if err == nil {
		f.Close()
	}
	return l.goneFor()
}

func (l *Log) goneAway() error {
	return &event.GoneError{
		Name: l.path, What: "the log was removed or renamed",
		Hints: "what was renamed is followed by its new name",
	}
}

func (l *Log) goneFor() error {
	return &event.GoneError{
		Name: l.path, What: "another log has taken its name",
		Hints: "start again to follow that one",
	}
}

// orGone returns err, or why there is an error at all: that the log is gone.
func (l *Log) orGone(partition int, lock vfs.File, err error) error {
	var gone *event.GoneError
	if why := l.stillThere(partition, lock); errors.As(why, &gone) {
		return why
	}
	return err
}

// checkGone ends everything if the log is gone: err and damage are not worth
// mentioning then.
func (r *Reader) checkGone(err error) error {
	var gone *event.GoneError
	why := r.l.stillThere(r.partition, r.lock)
	if !errors.As(why, &gone) {
		return err
	}
	r.damages = nil
	r.stage = over
	r.leave()
	return why
}
