package eventlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"logtools/pkg/segment"
	"logtools/pkg/stream"
)

// unit is a batch on its way into a segment: its body is compressed, its header
// still lacks what is known only under the lock.
type unit struct {
	h       segment.Header
	timed   int // events with a time of their own
	bounds  segment.Bounds
	expect  int64
	offset  int64 // that it got
	written int64 // append time

	// buf has room bytes for the header, then the body: one write.
	buf  []byte
	room int
}

// batchRoom is enough for the header of a fresh BATCH.
const batchRoom = 160

// write appends a unit at the end of the active segment, under the lock. Nothing
// is durable then. After an error nothing of it is there.
func (p *partition) write(u *unit) error {
	a := p.act
	if u.expect >= 0 && u.expect != a.end.Next {
		return &stream.ExpectError{Partition: p.n, Expected: u.expect, Next: a.end.Next}
	}
	if u.h.Count == 0 {
		u.offset, u.written = a.end.Next, p.l.now()
		return nil
	}
	if a.end.Next > a.base && a.size+int64(len(u.buf)) > p.l.settings.SegmentBytes {
		if err := p.roll(); err != nil {
			return err
		}
		a = p.act
	}
	if a.index == nil { // before anything is behind which an old one would be wrong
		a.index = p.openIndex(a, a.size)
	}
	b, bounds, err := p.fill(u, a)
	if err != nil {
		return err
	}
	if n, err := a.file.WriteAt(b, a.size); err != nil || n < len(b) {
		if err == nil {
			err = io.ErrShortWrite
		}
		return p.takeBack(a, err)
	}
	a.end, a.time = u.h.Link(), u.h.Last
	a.size += int64(len(b))
	p.wrote.act, p.wrote.next = a, a.end.Next
	p.note(a, &u.h, bounds)
	return nil
}

// fill makes the header and puts it before the body.
func (p *partition) fill(u *unit, a *active) ([]byte, segment.Bounds, error) {
	h := &u.h
	h.SegmentID, h.Epoch, h.PrevCRC = a.end.SegmentID, a.end.Epoch, a.end.HeadCRC
	h.Base = a.end.Next
	h.Next = h.Base + int64(h.Count)
	h.First = max(p.l.now(), a.time)
	h.Last = h.First
	h.SyncedTo = a.durable.durable
	bounds := u.bounds
	if u.timed < int(h.Count) { // the others count with the time of their append
		at := instant(h.First)
		bounds.Add(segment.Bounds{Min: at, Max: at})
	}
	ext := segment.Batch{Times: bounds}
	h.Ext = ext.AppendTo(h.Ext[:0], h)
	head, err := h.AppendTo(make([]byte, 0, batchRoom))
	if err != nil {
		return nil, bounds, err
	}
	if len(head) > u.room {
		return nil, bounds, fmt.Errorf("a header of %d bytes", len(head))
	}
	u.offset, u.written = h.Base, h.First
	b := u.buf[u.room-len(head):]
	copy(b, head)
	return b, bounds, nil
}

func instant(us int64) stream.Instant {
	sec, rest := us/1e6, us%1e6
	if rest < 0 {
		sec, rest = sec-1, rest+1e6
	}
	return stream.Instant{Sec: sec, Nsec: int32(rest) * 1000}
}

// takeBack cuts off what a failed write has left. If that fails too, the next
// writer will do it: what is there was never acknowledged.
func (p *partition) takeBack(a *active, cause error) error {
	if err := p.bump(); err != nil {
		return cause
	}
	if err := a.file.Truncate(a.size); err != nil {
		p.forget()
		return cause
	}
	if err := a.sync(); err != nil {
		return errors.Join(cause, p.abandon(a))
	}
	return cause
}

// forget makes the next one who takes the lock look at everything again.
func (p *partition) forget() {
	if p.act != nil {
		p.release(p.act)
		p.act = nil
	}
}

// commit makes everything durable that was written to a before; upTo is the state
// after the last unit that is to be acknowledged.
//
// After an error nothing is written or committed any more. That is decided before
// the lock is free: whoever waits for it, to write what comes next, must know.
func (p *partition) commit(a *active, upTo head) (err error) {
	if err := p.failure(); err != nil {
		return err
	}
	syncErr := a.sync()
	if syncErr != nil {
		p.fail(syncErr)
	}
	if err := p.acquireOnly(); err != nil {
		return p.fail(errors.Join(syncErr, err))
	}
	defer func() {
		if err != nil {
			p.fail(err)
		}
		p.free()
	}()
	if syncErr != nil {
		return errors.Join(syncErr, p.abandon(a))
	}
	if err := p.stillThere(a); err != nil {
		return err
	}
	g, err := p.readGeneration()
	if err != nil {
		return err
	}
	if g != p.seen || a != p.act {
		// The segment may have been given up meanwhile, and our units with it.
		if err := p.stillCounts(a, upTo.next); err != nil {
			return err
		}
	}
	if err := p.writeHead(upTo); err != nil {
		return err
	}
	if upTo.durable > a.durable.durable {
		a.durable = upTo
	}
	if p.wrote.act == a && p.wrote.next == upTo.next {
		p.wrote.act = nil
	}
	return nil
}

// stillThere returns an error if the log was removed, moved or replaced while a was
// open: what is in it then is in no log. It needs no lock, but mu.
func (p *partition) stillThere(a *active) error {
	same, err := p.generation.HasName(filepath.Join(p.dir, lockName))
	if same && err == nil && a == p.act {
		same, err = a.file.HasName(filepath.Join(p.dir, segmentName(a.base)))
		if err == nil && !same {
			// Another process may have sealed it; then it may have been replaced, too.
			var g int64
			g, err = p.readGeneration()
			same = g != p.seen
		}
	}
	if err == nil && !same {
		err = fmt.Errorf("%s: was removed, moved or replaced while it was appended to", p.l.path)
	}
	return err
}

// stillCounts returns an error if what lies in segment a before offset next is void,
// because another writer has given the segment up, or gone already.
func (p *partition) stillCounts(a *active, next int64) error {
	return p.l.retry(func() error {
		bases, err := p.l.segments(p.dir)
		if err != nil {
			return err
		}
		if len(bases) > 0 && bases[0] > a.base {
			if p.noSync { // what was written was acknowledged as not durable
				return nil
			}
			return fmt.Errorf("%s: offsets before %d were deleted by retention before they were known to be durable", p.dir, bases[0])
		}
		i := slices.IndexFunc(bases, func(b int64) bool { return b > a.base })
		if i < 0 {
			return nil
		}
		open, err := p.l.readOpen(p.n, bases[i])
		if errors.Is(err, fs.ErrNotExist) {
			return errMoved
		} else if err != nil {
			return err
		}
		if open.PreviousEnd < next {
			return fmt.Errorf("%s: another process gave up the segment after a write error: offsets %d and later are lost", p.dir, open.PreviousEnd)
		}
		return nil
	})
}

// state returns the head that a would have if all of it were durable.
func (a *active) state() head {
	return head{
		epoch: a.end.Epoch, base: a.base, id: a.end.SegmentID,
		durable: a.size, next: a.end.Next, time: a.time, lastCRC: a.end.HeadCRC, sealed: a.end.Sealed,
	}
}
