package eventlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"path/filepath"

	"logtools/pkg/event"
	"logtools/pkg/internal/vfs"
	"logtools/pkg/segment"
	"logtools/pkg/stream"
)

// Unit is events on their way into a segment that replaces others.
type Unit struct {
	Lines   []byte           // each ends with '\n'
	Offsets []int64          // of the lines, ascending
	Times   []stream.TimeRun // when they were appended

	ext    int  // bytes that the offsets and the times take at most
	run    bool // the last offset follows the one before it
	h      segment.Header
	body   []byte
	bounds segment.Bounds
}

// Reset empties the Unit, keeping its memory.
func (u *Unit) Reset() {
	u.Lines, u.Offsets, u.Times, u.ext, u.run = u.Lines[:0], u.Offsets[:0], u.Times[:0], 0, false
}

// Add adds a line (with its '\n'), its offset, and when it was appended.
func (u *Unit) Add(line []byte, offset, appended int64) {
	switch n := len(u.Offsets); {
	case n == 0: // how far the unit before it is nobody knows yet
		u.ext += binary.MaxVarintLen64
	case offset != u.Offsets[n-1]+1:
		u.ext += bits.Len64(uint64(offset-u.Offsets[n-1]-1)<<1)/7 + 1
		u.run = false
	case !u.run: // the length of a run
		u.ext += binary.MaxVarintLen32
		u.run = true
	}
	u.Lines = append(u.Lines, line...)
	u.Offsets = append(u.Offsets, offset)
	n := len(u.Times)
	if n > 0 && u.Times[n-1].Appended == appended {
		u.Times[n-1].Lines++
		return
	}
	u.ext += binary.MaxVarintLen32
	if n > 0 {
		u.ext += bits.Len64(uint64(appended-u.Times[n-1].Appended)) / 7
	}
	u.Times = append(u.Times, stream.TimeRun{Lines: 1, Appended: appended})
}

// unitRaw is how many bytes of lines a Unit has, if it does not have to end earlier.
const unitRaw = 1 << 20

// Full says that the Unit should be encoded, and another one be begun. So there is
// always room in it for one more line.
func (u *Unit) Full() bool { return len(u.Lines) >= unitRaw || u.ext >= segment.MaxExt/2 }

// UnitEncoder compresses Units. It is for one goroutine at a time.
type UnitEncoder struct {
	enc    *segment.Encoder
	events *event.Reader
	clean  event.Clean
	event  event.Event
}

// NewUnitEncoder returns a UnitEncoder.
func NewUnitEncoder() *UnitEncoder {
	return &UnitEncoder{enc: segment.NewEncoder(), events: event.NewReader(new(event.Fields), event.Auto)}
}

// Encode makes a Unit ready to be written. It has one line or more.
func (e *UnitEncoder) Encode(u *Unit) (err error) {
	e.clean.Inspect(u.Lines)
	e.events.Block(e.clean)
	u.bounds = segment.NoBounds()
	run, left := 0, u.Times[0].Lines
	for rest := u.Lines; len(rest) > 0; left-- {
		if left == 0 {
			run++
			left = u.Times[run].Lines
		}
		n := bytes.IndexByte(rest, '\n')
		at, err := eventTime(e.events, &e.event, rest[:n], u.Times[run].Appended)
		if err != nil {
			return err
		}
		u.bounds.Add(segment.Bounds{Min: at, Max: at})
		rest = rest[n+1:]
	}
	u.h = segment.Header{}
	u.body, err = e.enc.Encode(u.body[:0], u.Lines, &u.h)
	return err
}

// SegmentWriter takes the Units of a segment in their order.
type SegmentWriter struct {
	w    rewriter
	end  int64 // offset
	ext  []byte
	seal segment.Seal
}

// Write writes a Unit that was encoded.
func (s *SegmentWriter) Write(u *Unit) error {
	n := len(u.Offsets)
	if n == 0 || int(u.h.Count) != n {
		return fmt.Errorf("a unit of %d offsets, of which %d lines were encoded", n, u.h.Count)
	}
	first, next := u.Offsets[0], u.Offsets[n-1]+1
	if first < s.w.last.Next || next > s.end {
		return fmt.Errorf("a unit with the offsets from %d to %d, where those from %d to %d belong", first, next-1, s.w.last.Next, s.end-1)
	}
	batch := segment.Batch{Times: u.bounds}
	if next-first == int64(n) {
		if err := s.w.gap(first); err != nil {
			return err
		}
	} else {
		batch.Offsets = u.Offsets
	}
	h := u.h
	h.Base, h.Next = s.w.last.Next, next
	h.First, h.Last = u.Times[0].Appended, u.Times[len(u.Times)-1].Appended
	if len(u.Times) > 1 {
		batch.Appended = u.Times
	}
	s.ext = batch.AppendTo(s.ext[:0], &h)
	h.Ext = s.ext
	return s.w.unit(&h, u.body, u.bounds)
}

// fill writes a segment that begins as the one with the OPEN h and open did.
func (s *SegmentWriter) fill(h *segment.Header, open *segment.Open, fill func(w *SegmentWriter) error) (err error) {
	u := segment.Header{Kind: segment.KindOpen, Base: h.Base, Next: h.Base, First: h.First, Last: h.Last, Epoch: h.Epoch}
	u.Ext = open.AppendTo(nil)
	if err = s.w.unit(&u, nil, segment.NoBounds()); err != nil {
		return err
	}
	if err = fill(s); err != nil {
		return err
	}
	if err = s.w.gap(s.end); err != nil {
		return err
	}
	s.seal, err = s.w.seal()
	return err
}

// Replace puts one segment in the place of some that follow each other, of which none
// is active. fill writes its events, which must be some of those that there were; what
// it leaves out was superseded by events before the offset superseded, which are
// durable. The new one is synced and read back before it takes the name of the first; it returns
// when that, and the removal of the others, is durable.
//
// Killed at any step, or without room on the disk, the log is correct, and has the
// events of the old segments or those of the new one. After an error the caller must
// ask for the Segments again.
func (m *Maintenance) Replace(old []Segment, superseded int64, fill func(w *SegmentWriter) error) (Segment, error) {
	first, last := &old[0], &old[len(old)-1]
	for i := range old {
		if old[i].Active || i > 0 && (old[i].Apart || old[i].Base != old[i-1].Next) {
			return Segment{}, fmt.Errorf("%s: segment %s cannot be replaced", m.dir, segmentName(old[i].Base))
		}
	}
	name := filepath.Join(m.dir, segmentName(first.Base))
	work, err := m.l.newName(name, workMark)
	if err != nil {
		return Segment{}, err
	}
	if superseded <= first.Base { // then nothing of these is left out
		superseded = 0
	}
	for i := range old {
		superseded = max(superseded, old[i].Superseded)
	}
	made, err := m.write(work, first, last.Next, superseded, fill)
	if m.o.DryRun {
		if err == nil {
			err = m.dryReplace(old, made)
		}
		return made, err
	}
	if err == nil {
		err = m.check(m.l, m.n, made.Base, made.Next, made.Events, work)
	}
	if err == nil {
		err = m.unlessRules(func() error { return m.l.fs.Rename(work, name) })
	}
	if err != nil {
		m.l.fs.Remove(work)
		return Segment{}, err
	}
	if err := m.l.fs.SyncDir(m.dir); err != nil {
		return Segment{}, err
	}
	m.l.fs.Remove(filepath.Join(m.dir, indexName(first.Base))) // it would be of the old one
	for i := range old[1:] {
		if err := m.unlink(old[1+i].Base); err != nil {
			return Segment{}, err
		}
	}
	return made, nil
}

// write writes a segment from the base of first to the offset end into a new file, and
// syncs it.
func (m *Maintenance) write(name string, first *Segment, end, superseded int64, fill func(w *SegmentWriter) error) (made Segment, err error) {
	was, err := m.l.openReadable(m.n, first.Base)
	if err != nil {
		return made, err
	}
	var h segment.Header
	var buf []byte
	err = segment.ReadHeader(was.file, 0, was.size, &h, &buf)
	was.close()
	if err != nil && !isInvalid(err) {
		return made, was.wrap(err)
	}
	if err != nil || was.openErr != nil || was.id != first.ID {
		return made, fmt.Errorf("%s: was changed while it was rewritten", was.name)
	}
	id := first.ID // in a dry run it stays in its place
	if !m.o.DryRun {
		if id, err = m.l.random(); err != nil {
			return made, err
		}
	}
	var to vfs.File = &counted{}
	if !m.o.DryRun {
		if to, err = m.l.fs.Open(name, vfs.Create); err != nil {
			return made, err
		}
	}
	w := &SegmentWriter{w: rewriter{to: to, id: id}, end: end}
	was.open.Superseded = superseded
	err = w.fill(&h, &was.open, fill)
	if err = finish(to, err); err != nil {
		return made, err
	}
	made = Segment{Base: first.Base, Next: end, ID: id, Bytes: w.w.at, Apart: first.Apart, Superseded: superseded}
	made.tell(&w.seal)
	return made, nil
}
