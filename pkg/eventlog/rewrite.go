package eventlog

import (
	"context"
	"fmt"
	"io"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/segment"
)

// workMark is in the names of files that are to take the place of a segment. It is
// not tmpMark: writers remove those at any time.
const workMark = ".new-"

// rewriter writes units one behind the other.
type rewriter struct {
	to    vfs.File
	id    uint64
	at    int64
	last  segment.Header
	tally segment.Tally
	buf   []byte
}

// unit writes a unit, changed so that it fits to the one before it.
func (w *rewriter) unit(h *segment.Header, body []byte, times segment.Bounds) error {
	h.SegmentID, h.PrevCRC = w.id, w.last.HeadCRC
	h.SyncedTo = w.at // the file gets its name when all of it is durable
	h.Epoch = max(h.Epoch, w.last.Epoch)
	b, err := h.AppendTo(w.buf[:0])
	if err != nil {
		return err
	}
	if _, err := w.to.WriteAt(b, w.at); err != nil {
		return err
	}
	if len(body) > 0 {
		if _, err := w.to.WriteAt(body, w.at+int64(len(b))); err != nil {
			return err
		}
	}
	w.tally.Add(h, times)
	w.buf, w.last = b, *h
	w.last.Ext = nil
	w.at += int64(len(b) + len(body))
	return nil
}

// gap writes a unit without lines up to the offset next, if that is not reached.
func (w *rewriter) gap(next int64) error {
	if next <= w.last.Next {
		return nil
	}
	h := segment.Header{Kind: segment.KindBatch, Base: w.last.Next, Next: next, First: w.last.Last, Last: w.last.Last}
	batch := segment.Batch{Times: segment.NoBounds()}
	h.Ext = batch.AppendTo(nil, &h)
	return w.unit(&h, nil, batch.Times)
}

// seal ends the segment and returns what its SEAL says.
func (w *rewriter) seal() (segment.Seal, error) {
	seal := w.tally.Seal()
	return seal, w.unit(&segment.Header{
		Kind: segment.KindSeal, Base: w.last.Next, Next: w.last.Next, First: w.last.Last, Last: w.last.Last, Ext: seal.AppendTo(nil),
	}, nil, segment.NoBounds())
}

// findings is what a pass over a segment has found.
type findings struct {
	reason string // what is wrong first; "" if nothing is
	lost   []Offsets
	end    int64 // offset that was reached
	events int64 // in the units that are whole
	sealed bool  // it ends with a SEAL
	begun  bool  // first is the first unit that was sound
	first  segment.Header
	last   segment.Header // the last one
}

func (f *findings) wrong(reason string) {
	if f.reason == "" {
		f.reason = reason
	}
}

// reach notes that what lies before an offset, as far as it was not seen, is lost.
func (f *findings) reach(offset int64) {
	if offset <= f.end {
		return
	}
	if n := len(f.lost); n > 0 && f.lost[n-1].Next == f.end {
		f.lost[n-1].Next = offset
	} else {
		f.lost = append(f.lost, Offsets{f.end, offset})
	}
	f.end = offset
}

// visitor gets a unit that is whole: lines with their header, and the bounds of
// their times. Both are valid until it returns.
type visitor func(at int64, h *segment.Header, times segment.Bounds) error

// passer goes through segments and checks what is in them.
type passer struct {
	ctx   context.Context
	dec   *segment.Decoder
	lines []byte
	batch segment.Batch
	seen  func(n int64) // is told of bytes that were dealt with; nil: nobody is
}

// pass goes through the first size bytes of a segment as readers do, and gives
// visit, if it is not nil, each BATCH that they would read lines of.
func (r *passer) pass(s *readable, size int64, visit visitor) (f findings, err error) {
	f.end = s.base
	if s.openErr != nil {
		f.wrong(reason(s.openErr))
	}
	if s.foreign {
		return f, nil
	}
	read := int64(0)
	progress := func(n int64) {
		read += n
		if r.seen != nil {
			r.seen(n)
		}
	}
	defer func() { progress(max(0, size-read)) }()
	sc := s.scanner(size)
	var h segment.Header
	var t segment.Tally
	for {
		if err := r.ctx.Err(); err != nil {
			return f, err
		}
		at, err := sc.Next(&h)
		if err == io.EOF {
			return f, nil
		}
		if isInvalid(err) {
			if f.end >= s.stop && s.givenUp {
				return f, nil // what lies behind is void
			}
			f.wrong(reason(err))
			if err = sc.Resync(); err == nil {
				continue
			}
			if err == io.EOF || isInvalid(err) {
				return f, nil
			}
		}
		if err != nil {
			return f, s.wrap(err)
		}
		progress(h.Size())
		if !f.begun {
			f.begun, f.first = true, h
			f.first.Ext = nil
		}
		f.last = h
		f.last.Ext = nil
		if h.Kind == segment.KindSeal {
			f.seal(at, &h, &t)
			f.reach(min(h.Base, s.stop))
			continue
		}
		times := segment.NoBounds()
		if h.Kind == segment.KindBatch {
			if times, err = r.unit(s, &f, at, &h, visit); err != nil {
				return f, err
			}
		}
		t.Add(&h, times)
	}
}

// seal looks at a SEAL.
func (f *findings) seal(at int64, h *segment.Header, t *segment.Tally) {
	var is segment.Seal
	if err := is.Parse(at, h); err != nil {
		f.wrong(reason(err))
		return
	}
	// Behind damage it cannot be known what it counted.
	if want := t.Seal(); f.reason == "" &&
		(is.Units != want.Units || is.Events != want.Events || is.Raw != want.Raw || is.Span != want.Span) {
		f.wrong("the SEAL says something else than what is there")
		return
	}
	f.sealed = true
}

// unit looks at a BATCH whose header is sound.
func (r *passer) unit(s *readable, f *findings, at int64, h *segment.Header, visit visitor) (segment.Bounds, error) {
	if h.Base >= s.stop { // void
		if err := r.batch.Parse(at, h); err != nil {
			return segment.NoBounds(), nil
		}
		return r.batch.Times, nil
	}
	f.reach(h.Base)
	err := r.batch.Parse(at, h)
	if err == nil {
		r.lines, err = r.dec.ReadBody(s.file, at, h, r.lines[:0])
		if cap(r.lines) > keepBodies {
			r.lines = nil
		}
	}
	if isInvalid(err) {
		f.wrong(reason(err))
		f.reach(min(h.Next, s.stop))
		return segment.NoBounds(), nil
	}
	if err != nil {
		return segment.NoBounds(), s.wrap(err)
	}
	if visit != nil {
		if err := visit(at, h, r.batch.Times); err != nil {
			return segment.NoBounds(), err
		}
	}
	f.events += int64(h.Count)
	f.end = max(f.end, h.Next)
	return r.batch.Times, nil
}

// check reads a new segment, from base to end, before it gets its name.
func (r *passer) check(l *Log, partition int, base, end, events int64, name string) error {
	s := &readable{l: l, partition: partition, base: base, name: name, stop: end}
	var err error
	if s.file, err = l.fs.Open(name, vfs.ReadOnly); err != nil {
		return err
	}
	defer s.close()
	if err := s.readOpen(); err != nil {
		return err
	}
	seen := r.seen
	r.seen = nil // it is not part of the work that was counted
	defer func() { r.seen = seen }()
	is, err := r.pass(s, s.size, nil)
	if err != nil {
		return err
	}
	if is.reason != "" || !is.sealed || is.end < end || is.events != events {
		return fmt.Errorf("%s: what was written does not read back: %d of %d events: %s", name, is.events, events, is.reason)
	}
	return nil
}
