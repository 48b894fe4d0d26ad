package eventlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/segment"
)

// load looks at the partition from scratch, under the lock: it opens the last
// segment, checks what lies behind the head, and puts right what a writer that was
// killed, or a power cut, has left behind.
func (p *partition) load(generation int64) (err error) {
	p.forget()
	defer func() {
		if err != nil { // what is half known is not known
			p.forget()
		}
	}()
	if err := p.tidy(); err != nil {
		return err
	}
	bases, err := p.l.list(p.n)
	if err != nil {
		return err
	}
	h, sound, err := p.readHead()
	if err != nil {
		return err
	}
	if !sound {
		h = head{}
	}
	base := bases[len(bases)-1]
	a, err := p.openSegment(base)
	if err != nil {
		return err
	}
	p.seen, p.act = generation, a
	if sound && h.base > base {
		return p.leave(a, h.next, fmt.Sprintf("segment %s is missing", segmentName(h.base)))
	}
	size, err := a.file.Size()
	if err != nil {
		return err
	}
	// The first unit is durable since before the file had its name.
	open, _, openErr := p.l.checkOpen(a.file, size, p.n, base)
	if openErr != nil && !isInvalid(openErr) {
		return openErr
	}
	if openErr != nil {
		if h.base != base {
			h = head{}
		}
		a.end.SegmentID = h.id
		return p.leave(a, h.next, openErr.Error())
	}
	a.end, a.size, a.time = open.Link(), open.Size(), open.Last
	a.durable = a.state()
	if sound && h.id == a.end.SegmentID && h.durable >= a.size {
		a.durable = h
		if h.durable > size {
			return p.leave(a, h.next, fmt.Sprintf("the file has %d bytes, and had %d", size, h.durable))
		}
		a.size, a.time = h.durable, h.time
		a.end.Next, a.end.Epoch, a.end.HeadCRC, a.end.Sealed = h.next, h.epoch, h.lastCRC, h.sealed
		a.synced = h.durable == size
		if a.synced && h.boot != p.l.boot { // from now on the head is not an old one
			if err := p.writeHead(h); err != nil {
				return err
			}
		}
	}
	return p.recover(a, size)
}

// tidy removes what a killed writer has left half made.
func (p *partition) tidy() error { return p.l.removeMarked(p.dir, tmpMark) }

func (p *partition) openSegment(base int64) (*active, error) {
	f, err := p.l.fs.Open(filepath.Join(p.dir, segmentName(base)), vfs.ReadWrite)
	if err != nil {
		return nil, err
	}
	return &active{base: base, file: f, refs: 1}, nil
}

// checkOpen reads the first unit of a segment and checks that it belongs there. If
// it does not the error is a *segment.InvalidError.
func (l *Log) checkOpen(f vfs.File, size int64, partition int, base int64) (h segment.Header, open segment.Open, err error) {
	var buf []byte
	if err := segment.ReadHeader(f, 0, size, &h, &buf); err == io.EOF {
		return h, open, &segment.InvalidError{Reason: "the file is empty"}
	} else if err != nil {
		return h, open, err
	}
	if h.Kind != segment.KindOpen {
		return h, open, &segment.InvalidError{Reason: "the first unit is no OPEN"}
	}
	if err := open.Parse(0, &h); err != nil {
		return h, open, err
	}
	switch {
	case open.LogID != l.id:
		err = &segment.InvalidError{Reason: "it belongs to another log"}
	case int(open.Partition) != partition:
		err = &segment.InvalidError{Reason: fmt.Sprintf("it belongs to partition %d", open.Partition)}
	case h.Base != base:
		err = &segment.InvalidError{Reason: fmt.Sprintf("it begins at offset %d", h.Base)}
	}
	return h, open, err
}

func isInvalid(err error) bool {
	var invalid *segment.InvalidError
	return errors.As(err, &invalid)
}

// recover checks the units of a that lie behind a.size in a file of size bytes and
// makes a their end. What is no unit there was either never acknowledged, then it
// is kept under lost/ and cut off; or it was and is damaged, then a new segment is
// begun and nothing is touched.
//
// Which of them is the question of S, the end of what is known to be durable: the
// greatest of the head's and of what all sound units say, also those behind the
// first invalid byte X. A power cut, or a kill, leaves X at or behind S.
func (p *partition) recover(a *active, size int64) error {
	s := segment.NewScanner(a.file, size, a.size, a.end)
	var h segment.Header
	var batch segment.Batch
	var invalid error
	durable := a.durable.durable
	for {
		at, err := s.Next(&h)
		if err == io.EOF {
			break
		}
		var times segment.Bounds
		if err == nil {
			times, err = batch.TimesOf(at, &h)
		}
		if err == nil && h.Kind == segment.KindBatch {
			_, err = s.Body(&h) // whether it decodes is for readers to know
		}
		if err != nil {
			if !isInvalid(err) {
				return fmt.Errorf("%s: %w", filepath.Join(p.dir, segmentName(a.base)), err)
			}
			invalid = err
			break
		}
		durable = max(durable, h.SyncedTo)
		a.end, a.time, a.size = h.Link(), h.Last, at+h.Size()
		if a.index != nil {
			p.note(a, &h, times)
		}
	}
	switch {
	case invalid != nil:
		later, err := p.durableBehind(a, size)
		if err != nil {
			return err
		}
		if a.size < max(durable, later) {
			return p.leave(a, 0, invalid.Error())
		}
		if err := p.cut(a, size); err != nil {
			return err
		}
	case !a.synced:
		if err := p.syncFirst(a); err != nil {
			return err
		}
	}
	if a.end.Sealed { // its writer was killed before there was a next one
		if a.end.Next == a.base { // the name is taken; repairs have made such segments
			return p.next(a, a.base, a.base+1, segment.LostRepair)
		}
		return p.next(a, a.end.Next, a.end.Next, 0)
	}
	return nil
}

// syncFirst makes durable, once for each segment that this process opens, what
// other writers have left in it: they may have been killed before they did, even
// before the file's name was durable.
//
// What lies behind the head is written once more. A sync of it may have failed, and
// its writer died of it: the system then takes for clean what is not on the disk,
// and a sync alone would succeed without doing anything.
//
// If the sync fails, the segment is given up: others may have written what lies behind
// the head, and must not acknowledge it. But not if nobody has written since the system
// was started: after a power cut the head may be old, and what lies behind it was
// acknowledged. Then it is an error, and the next writer tries again.
func (p *partition) syncFirst(a *active) error {
	buf := make([]byte, min(a.size-a.durable.durable, 1<<20))
	for at := a.durable.durable; at < a.size; {
		b := buf[:min(a.size-at, int64(len(buf)))]
		if err := segment.ReadFull(a.file, b, at); err != nil {
			return err
		}
		if _, err := a.file.WriteAt(b, at); err != nil {
			return err
		}
		at += int64(len(b))
	}
	if err := a.sync(); err != nil {
		if h, ok, headErr := p.readHead(); headErr != nil || !ok || h.boot != p.l.boot {
			return err
		}
		return errors.Join(err, p.abandon(a))
	}
	if err := p.l.fs.SyncDir(p.dir); err != nil {
		return err
	}
	a.synced = true
	a.durable = a.state()
	return p.writeHead(a.durable)
}

// durableBehind returns the greatest SyncedTo of the sound units behind the end of
// a in a file of size bytes.
func (p *partition) durableBehind(a *active, size int64) (int64, error) {
	var durable int64
	err := p.behind(a, size, func(_ int64, h *segment.Header) { durable = max(durable, h.SyncedTo) })
	return durable, err
}

// behind calls f with each sound unit behind the end of a.
func (p *partition) behind(a *active, size int64, f func(at int64, h *segment.Header)) error {
	var h segment.Header
	var buf []byte
	for at, next := a.size+1, a.end.Next; ; {
		found, err := segment.Resync(a.file, at, size, a.end.SegmentID, next, &h, &buf)
		if err == io.EOF || isInvalid(err) { // the end, or the last one is cut off
			return nil
		}
		if err != nil {
			return err
		}
		f(found, &h)
		at, next = found+h.Size(), h.Next
	}
}

// cut keeps what lies behind the end of a under lost/ and cuts it off. Each step
// can be taken again after a crash.
func (p *partition) cut(a *active, size int64) error {
	if err := p.bump(); err != nil {
		return err
	}
	name := fmt.Sprintf("%020d-%d-%d", a.base, a.size, a.end.Epoch)
	if _, err := p.keepAs(a.file, a.size, size, name); err != nil {
		return fmt.Errorf("keeping a torn end of %d bytes: %w", size-a.size, err)
	}
	if err := a.file.Truncate(a.size); err != nil {
		return err
	}
	a.end.Epoch++
	return p.syncFirst(a)
}

// keepAs copies the bytes of a file from begin to end into a new file under lost/,
// and makes it durable. It returns the file's name.
func (p *partition) keepAs(f vfs.File, begin, end int64, name string) (string, error) {
	dir := filepath.Join(p.dir, lostName)
	if err := p.l.fs.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	// Also if it was there: whoever made it may have been killed right then.
	if err := p.l.fs.SyncDir(p.dir); err != nil {
		return "", err
	}
	var to vfs.File
	kept := filepath.Join(dir, name)
	for i := 1; ; i++ {
		var err error
		if to, err = p.l.fs.Open(kept, vfs.Create); err == nil {
			break
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		// An earlier try, or what was once cut off at the same place.
		kept = filepath.Join(dir, fmt.Sprintf("%s-%d", name, i))
	}
	if err := finish(to, copyRange(to, f, begin, end)); err != nil {
		p.l.fs.Remove(kept) // half a copy is of no use, and takes room
		return "", err
	}
	return kept, p.l.fs.SyncDir(dir)
}

func copyRange(to, from vfs.File, begin, end int64) error {
	buf := make([]byte, min(end-begin, 1<<20))
	for at := begin; at < end; {
		b := buf[:min(end-at, int64(len(buf)))]
		if err := segment.ReadFull(from, b, at); err != nil {
			return err
		}
		if _, err := to.WriteAt(b, at-begin); err != nil {
			return err
		}
		at += int64(len(b))
	}
	return nil
}
