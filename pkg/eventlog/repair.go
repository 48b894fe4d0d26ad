package eventlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/segment"
)

// Repaired says what Repair did to a segment.
type Repaired struct {
	File string // the segment, now whole
	Kept string // the damaged original
	// Lost are the ranges of offsets that could not be read, each First up to, but
	// not including, Next.
	Lost []Offsets
}

// Offsets is a range: First up to, but not including, Next.
type Offsets struct{ First, Next int64 }

// Repair puts the damaged segments of a partition right: what is whole in them is
// copied, the gaps are recorded so that readers go over them in silence, and the
// damaged originals are kept under lost/. It calls report for each segment. Writers
// and readers may go on meanwhile; wait is how long it waits for other processes'
// locks, 0 for ever. Killed at any step it leaves a correct log.
func (l *Log) Repair(ctx context.Context, partition int, wait time.Duration, report func(Repaired)) error {
	if err := refuseNetwork(l.fs, l.path); err != nil {
		return err
	}
	p, err := l.partition(partition, wait)
	if err != nil {
		return err
	}
	defer p.close()
	maint, err := l.fs.Lock(filepath.Join(p.dir, maintName))
	if err != nil {
		return err
	}
	defer maint.Close()
	if wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, wait)
		defer cancel()
	}
	if err := maint.Lock(ctx); err != nil {
		return lockError(l.path, err)
	}
	if err := p.leaveDamaged(); err != nil {
		return err
	}
	bases, err := l.segments(p.dir)
	if err != nil {
		return err
	}
	for i, base := range bases[:max(len(bases)-1, 0)] {
		if err := ctx.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		r := repair{p: p, base: base, next: bases[i+1], previous: -1}
		if i > 0 {
			r.previous = bases[i-1]
		}
		done, err := r.run()
		if err != nil {
			return err
		}
		if done != nil {
			report(*done)
		}
	}
	return nil
}

// leaveDamaged begins a new segment if the active one is damaged.
func (p *partition) leaveDamaged() error {
	if err := p.acquire(); err != nil {
		return err
	}
	defer p.free()
	a := p.act
	r := repair{p: p, base: a.base, next: a.end.Next, previous: -1, active: true}
	if err := r.survey(a.file, a.size); err != nil {
		return err
	}
	if r.reason == "" {
		return nil
	}
	return p.leave(a, a.end.Next, r.reason)
}

// repair looks at one segment and makes it whole.
type repair struct {
	p                    *partition
	base, next, previous int64 // of this segment, the next one and the one before; -1: none
	active               bool

	id     uint64
	open   *segment.Open // nil: damaged
	first  segment.Header
	units  []place
	end    int64  // offset that the sound units reach
	void   int64  // units at or behind this offset do not count
	reason string // what is wrong first; "": nothing
	lost   []Offsets
	time   int64
	epoch  uint32
}

// place is where a sound BATCH lies.
type place struct{ at, base, next int64 }

func (r *repair) wrong(reason string) {
	if r.reason == "" {
		r.reason = reason
	}
}

// survey finds what is sound in a segment.
func (r *repair) survey(f vfs.File, size int64) error {
	l := r.p.l
	r.end, r.void = r.base, r.next
	lost := segment.Lost(0)
	if !r.active {
		if open, err := l.readOpen(r.p.n, r.next); err == nil && open.HasPrevious && open.PreviousBase == r.base {
			r.void, lost = open.PreviousEnd, open.Lost
		} else if err != nil && !isInvalid(err) {
			return err
		}
	}
	h, open, err := l.checkOpen(f, size, r.p.n, r.base)
	switch {
	case err == nil:
		r.open, r.id, r.first = &open, h.SegmentID, h
		r.time, r.epoch = h.Last, h.Epoch
	case isInvalid(err):
		r.wrong(err.Error())
	default:
		return err
	}
	sealed, err := r.scan(f, size)
	if err != nil {
		return err
	}
	if r.active {
		return nil
	}
	if r.end < r.void {
		r.lost = append(r.lost, Offsets{r.end, r.void})
		r.wrong(fmt.Sprintf("offsets %d to %d are missing", r.end, r.void-1))
	}
	if r.void < r.next && lost != segment.LostWrite && lost != segment.LostRepair {
		r.lost = append(r.lost, Offsets{r.void, r.next})
		r.wrong(fmt.Sprintf("offsets %d to %d are missing", r.void, r.next-1))
	}
	if !sealed && lost != segment.LostWrite && r.reason == "" && r.void == r.next && lost != 0 {
		r.wrong("it has no SEAL")
	}
	return nil
}

// scan goes through the units; it returns whether the last one is a SEAL.
func (r *repair) scan(f vfs.File, size int64) (sealed bool, err error) {
	var h segment.Header
	var lines, buf []byte
	at, whole := int64(0), true
	link := segment.Link{}
	for at < size && !sealed {
		s := segment.NewScanner(f, size, at, link)
		_, err := s.Next(&h)
		if err == nil && h.Kind == segment.KindBatch {
			lines, err = r.p.dec.ReadBody(f, at, &h, lines[:0])
		}
		if !whole && isInvalid(err) {
			// Behind damage a unit need not follow the one before it.
			if err = segment.ReadHeader(f, at, size, &h, &buf); err == nil && h.Kind == segment.KindBatch {
				lines, err = r.p.dec.ReadBody(f, at, &h, lines[:0])
			}
		}
		if err == nil {
			if h.Kind == segment.KindBatch && h.Base < r.void {
				if h.Base > r.end {
					r.lost = append(r.lost, Offsets{r.end, h.Base})
				}
				r.units = append(r.units, place{at, h.Base, h.Next})
				r.end = h.Next
			}
			if r.id == 0 {
				r.id = h.SegmentID
			}
			r.time, r.epoch = max(r.time, h.Last), max(r.epoch, h.Epoch)
			sealed = h.Kind == segment.KindSeal
			link, at, whole = h.Link(), at+h.Size(), true
			continue
		}
		if !isInvalid(err) {
			return false, err
		}
		if r.end >= r.void && !r.active {
			return false, nil // what lies behind is void
		}
		r.wrong(err.Error())
		next, err := segment.Resync(f, at+1, size, r.id, r.end, &h, &buf)
		if err == io.EOF || isInvalid(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		at, whole = next, false
		link = segment.Link{}
	}
	if at < size && r.end < r.void {
		r.wrong("there is something behind the SEAL")
	}
	return sealed, nil
}

// run looks at the segment and, if it is damaged, replaces it; it returns nil if it
// was not.
func (r *repair) run() (*Repaired, error) {
	l := r.p.l
	name := filepath.Join(r.p.dir, segmentName(r.base))
	f, err := l.fs.Open(name, vfs.ReadOnly)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if err := r.survey(f, size); err != nil || r.reason == "" {
		return nil, err
	}
	kept, err := r.p.keepAs(f, 0, size, fmt.Sprintf("%020d-damaged", r.base))
	if err != nil {
		return nil, fmt.Errorf("keeping the damaged original: %w", err)
	}
	tmp, err := l.tmpName(name)
	if err != nil {
		return nil, err
	}
	err = r.write(f, tmp)
	if err == nil {
		err = r.verify(tmp)
	}
	if err == nil {
		err = l.fs.Rename(tmp, name)
	}
	if err != nil {
		l.fs.Remove(tmp)
		return nil, err
	}
	return &Repaired{File: name, Kept: kept, Lost: r.lost}, l.fs.SyncDir(r.p.dir)
}

// write copies what is sound into a new file.
func (r *repair) write(from vfs.File, name string) error {
	l := r.p.l
	to, err := l.fs.Open(name, vfs.Create)
	if err != nil {
		return err
	}
	defer to.Close()
	w := rewriter{to: to}
	if r.id == 0 {
		if r.id, err = l.random(); err != nil {
			return err
		}
	}
	open := segment.Open{LogID: l.id, Partition: uint32(r.p.n)}
	switch {
	case r.open != nil:
		open = *r.open
	case r.previous >= 0: // which ends here: it was looked at before
		open.HasPrevious, open.PreviousBase, open.PreviousEnd = true, r.previous, r.base
	}
	h := segment.Header{Kind: segment.KindOpen, SegmentID: r.id, Base: r.base, Next: r.base, First: r.first.First, Last: r.first.Last, Epoch: r.first.Epoch}
	h.Ext = open.AppendTo(nil)
	if err := w.unit(&h, nil, segment.NoBounds()); err != nil {
		return err
	}
	var buf []byte
	for _, u := range r.units {
		if err := w.gap(u.base); err != nil {
			return err
		}
		if err := segment.ReadHeader(from, u.at, u.at+1<<40, &h, &buf); err != nil && !isInvalid(err) {
			return err
		}
		var batch segment.Batch
		if err := batch.Parse(u.at, &h); err != nil {
			return err
		}
		body := make([]byte, h.BodyLen)
		if _, err := from.ReadAt(body, u.at+h.BodyAt()); err != nil && err != io.EOF {
			return err
		}
		if err := w.unit(&h, body, batch.Times); err != nil {
			return err
		}
	}
	if err := w.gap(r.next); err != nil {
		return err
	}
	seal := w.tally.Seal()
	h = segment.Header{Kind: segment.KindSeal, SegmentID: r.id, Base: r.next, Next: r.next, First: w.last.Last, Last: w.last.Last, Epoch: w.last.Epoch, Ext: seal.AppendTo(nil)}
	if err := w.unit(&h, nil, segment.NoBounds()); err != nil {
		return err
	}
	return to.Sync()
}

// rewriter writes units one behind the other.
type rewriter struct {
	to    vfs.File
	at    int64
	last  segment.Header
	tally segment.Tally
}

// unit writes a unit, changed so that it fits to the one before it.
func (w *rewriter) unit(h *segment.Header, body []byte, times segment.Bounds) error {
	h.PrevCRC, h.SyncedTo = w.last.HeadCRC, w.at
	h.Epoch = max(h.Epoch, w.last.Epoch)
	if h.Kind != segment.KindOpen {
		h.SegmentID = w.last.SegmentID
	}
	b, err := h.AppendTo(nil)
	if err != nil {
		return err
	}
	if _, err := w.to.WriteAt(append(b, body...), w.at); err != nil {
		return err
	}
	w.tally.Add(h, times)
	w.last = *h
	w.last.Ext = nil
	w.at += int64(len(b) + len(body))
	return nil
}

// gap writes a unit without lines up to the offset next, if there is a gap.
func (w *rewriter) gap(next int64) error {
	if next <= w.last.Next {
		return nil
	}
	h := segment.Header{Kind: segment.KindBatch, Base: w.last.Next, Next: next, First: w.last.Last, Last: w.last.Last}
	batch := segment.Batch{Times: segment.NoBounds()}
	h.Ext = batch.AppendTo(nil, &h)
	return w.unit(&h, nil, batch.Times)
}

// verify reads the new file before it takes the place of the old one.
func (r *repair) verify(name string) error {
	f, err := r.p.l.fs.Open(name, vfs.ReadOnly)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return err
	}
	c := repair{p: r.p, base: r.base, next: r.next, previous: r.previous}
	if err := c.survey(f, size); err != nil {
		return err
	}
	if c.reason != "" {
		return fmt.Errorf("%s: the repaired segment does not read back: %s", name, c.reason)
	}
	return nil
}
