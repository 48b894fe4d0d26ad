package eventlog

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/segment"
)

// roll seals the active segment and begins the next one, under the lock. Each step
// leaves a correct log: a segment that ends with a SEAL and has no next one gets it
// from the next writer.
func (p *partition) roll() error {
	a := p.act
	if err := p.bump(); err != nil {
		return err
	}
	b, h, err := p.seal(a)
	if err != nil {
		return err
	}
	if n, err := a.file.WriteAt(b, a.size); err != nil || n < len(b) {
		return p.takeBack(a, err)
	}
	if err := a.sync(); err != nil {
		return errors.Join(err, p.abandon(a))
	}
	a.end, a.time, a.size = h.Link(), h.Last, a.size+int64(len(b))
	a.durable = a.state()
	return p.next(a, a.end.Next, a.end.Next, 0)
}

// seal returns the SEAL of a. Its totals and its index are counted anew: the file
// is what counts.
func (p *partition) seal(a *active) ([]byte, *segment.Header, error) {
	var t segment.Tally
	s := segment.NewScanner(a.file, a.size, 0, segment.Link{})
	var h segment.Header
	var batch segment.Batch
	whole := true
	for s.At() < a.size {
		at, err := s.Next(&h)
		if err != nil && isInvalid(err) { // damaged since it was written: readers will name it
			whole = false
			if err = s.Resync(); err == nil {
				continue
			} else if err == io.EOF {
				break
			}
		}
		if err != nil {
			return nil, nil, err
		}
		times, _ := batch.TimesOf(at, &h) // of what is damaged, none
		t.Add(&h, times)
	}
	seal := t.Seal()
	if !whole { // its places would be wrong
		seal.Index = nil
	}
	u := &segment.Header{
		Kind: segment.KindSeal, SegmentID: a.end.SegmentID, Base: a.end.Next, Next: a.end.Next,
		Epoch: a.end.Epoch, PrevCRC: a.end.HeadCRC, SyncedTo: a.durable.durable,
	}
	u.First = max(p.l.now(), a.time)
	u.Last = u.First
	u.Ext = seal.AppendTo(nil)
	b, err := u.AppendTo(nil)
	return b, u, err
}

// next begins the segment that follows a, with the first offset base; a ends at
// the offset end, and why says what became of those between.
func (p *partition) next(a *active, end, base int64, why segment.Lost) error {
	open := segment.Open{HasPrevious: true, PreviousBase: a.base, PreviousEnd: end, Lost: why}
	id, err := p.l.random()
	if err != nil {
		return err
	}
	h, unit, err := p.l.openUnit(p.n, base, id, open, a.end.Epoch, max(p.l.now(), a.time))
	if err != nil {
		return err
	}
	name := filepath.Join(p.dir, segmentName(base))
	if err := p.l.replace(name, unit); err != nil {
		return err
	}
	p.dropIndex(a)
	f, err := p.l.fs.Open(name, vfs.ReadWrite)
	if err != nil {
		return err
	}
	p.forget()
	p.act = &active{
		base: base, file: f, refs: 1, size: h.durable, time: h.time, durable: h, synced: true,
		end: segment.Link{SegmentID: id, Next: base, Epoch: h.epoch, HeadCRC: h.lastCRC},
	}
	return p.writeHead(h)
}

// abandon gives up a segment after a sync of it failed: nobody knows what of it is
// on the disk, and asking again would not tell. A new segment says that this one
// ends at the head: all that was acknowledged lies before that.
func (p *partition) abandon(a *active) error {
	bases, err := p.l.segments(p.dir)
	if err != nil || len(bases) > 0 && bases[len(bases)-1] != a.base {
		return err // it has been given up, or sealed, already
	}
	if err := p.bump(); err != nil {
		return err
	}
	end := a.durable.next
	if h, ok, err := p.readHead(); err != nil {
		return err
	} else if ok && h.id == a.end.SegmentID {
		end = max(end, h.next)
	}
	// Others may have appended behind us: no offset is given twice.
	base, err := p.reached(a, end)
	if err != nil {
		return err
	}
	if base == a.base {
		p.forget()
		return nil // there is nothing in it
	}
	return p.next(a, end, base, segment.LostWrite)
}

// reached returns the offset that the sound units in the file of a have reached,
// at least least, and makes a's time and epoch the last ones in it.
func (p *partition) reached(a *active, least int64) (int64, error) {
	size, err := a.file.Size()
	if err != nil {
		return 0, err
	}
	next := max(least, a.end.Next, a.durable.next, a.base)
	whole := &active{file: a.file, size: -1, end: segment.Link{SegmentID: a.end.SegmentID}}
	err = p.behind(whole, size, func(_ int64, h *segment.Header) {
		next = max(next, h.Next)
		a.time = max(a.time, h.Last)
		a.end.Epoch = max(a.end.Epoch, h.Epoch)
	})
	return next, err
}

// leave begins a new segment since the last one, a, is damaged where it was
// durable. Nothing of it is touched: readers name what is damaged and go on behind
// it, and logcompact --repair puts it right. next is the offset that it must have
// reached, if that is known.
func (p *partition) leave(a *active, next int64, reason string) error {
	if err := p.bump(); err != nil {
		return err
	}
	end, err := p.reached(a, next)
	if err != nil {
		return err
	}
	// What is sound in it may not be durable yet, and will be read.
	if err := a.sync(); err != nil {
		return err
	}
	base := end
	if base == a.base {
		base++ // the name is taken
	}
	name := filepath.Join(p.dir, segmentName(a.base))
	p.l.o.Warn(fmt.Sprintf("%s: damaged: %s; it is left as it is, and a new segment is begun at offset %d", name, reason, base))
	return p.next(a, end, base, segment.LostDamage)
}

// readOpen reads the first unit of the segment that begins at base.
func (l *Log) readOpen(partition int, base int64) (segment.Open, error) {
	f, err := l.fs.Open(filepath.Join(l.dir(partition), segmentName(base)), vfs.ReadOnly)
	if err != nil {
		return segment.Open{}, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return segment.Open{}, err
	}
	_, open, err := l.checkOpen(f, size, partition, base)
	return open, err
}
