package eventlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"logtools/pkg/event"
	"logtools/pkg/segment"
)

// VerifyOptions are whom Verify tells; nil is nobody.
type VerifyOptions struct {
	// Damaged is called with each piece of damage, in the order of the segments.
	Damaged func(*event.DamagedError)
	// Progress is called now and then with the bytes read so far, and the bytes
	// there are.
	Progress func(done, total int64)
}

// Verified is what Verify has read of a partition.
type Verified struct {
	Partition       int
	Segments        int
	Units, Events   int64
	Bytes, RawBytes int64
	Damaged         int // pieces of damage
	First, Next     int64
	LostEvents      int64 // offsets that damage has taken
	Torn            int64 // bytes behind the end: never acknowledged, no damage
	Gaps            int   // offsets that were given up, with a reason
}

// Verify reads all of a partition and checks everything: the chain of the segments
// and of their units, all checksums, that bodies can be decoded, that each line is
// an event in the uniform format with a time within its unit's bounds, and that
// SEALs and the head say what is there. It changes nothing.
//
// What is not finished at the end (a torn unit, which the next writer cuts off) is
// no damage, nor is a segment whose events a merged one has, too. The error is one
// of reading.
//
// If segments are merged or removed meanwhile it begins again, but names no damage twice.
func (l *Log) Verify(ctx context.Context, partition int, o VerifyOptions) (report Verified, err error) {
	if tell := o.Damaged; tell != nil {
		told := make(map[event.DamagedError]bool)
		o.Damaged = func(d *event.DamagedError) {
			if !told[*d] {
				told[*d] = true
				tell(d)
			}
		}
	}
	err = l.retry(func() error {
		report, err = l.verify(ctx, partition, o)
		return err
	})
	return report, err
}

func (l *Log) verify(ctx context.Context, partition int, o VerifyOptions) (Verified, error) {
	x, err := l.extent(partition)
	if err != nil {
		return Verified{}, err
	}
	v := &verifier{
		l: l, o: o, ctx: ctx, x: &x, expected: x.first(),
		events: event.NewReader(new(event.Fields), event.Auto), dec: segment.NewDecoder(),
		report: Verified{Partition: partition, First: x.first(), Next: x.next},
	}
	defer v.dec.Close()
	if o.Progress != nil {
		if err := v.measure(); err != nil {
			return v.report, err
		}
	}
	err = l.walk(partition, x.bases, false, v.segment)
	if err == nil && v.expected < x.next {
		v.missing(x.next, v.expected, x.next)
	}
	return v.report, err
}

type verifier struct {
	l   *Log
	o   VerifyOptions
	ctx context.Context
	x   *extent

	report      Verified
	done, total int64
	expected    int64 // the first offset of which nothing was seen
	events      *event.Reader
	event       event.Event
	dec         *segment.Decoder
	buf         []byte
	batch       segment.Batch
}

func (v *verifier) measure() error {
	for _, b := range v.x.bases {
		s, err := v.l.openReadable(v.report.Partition, b)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		v.total += s.size
		s.close()
	}
	return nil
}

// tell reports damage.
func (v *verifier) tell(d *event.DamagedError) {
	v.report.Damaged++
	if d.Next > d.First {
		v.report.LostEvents += d.Next - d.First
	}
	if v.o.Damaged != nil {
		v.o.Damaged(d)
	}
}

func (v *verifier) missing(base, first, next int64) {
	v.tell(v.l.missingFile(v.report.Partition, base, first, next))
}

func (v *verifier) progress(n int64) {
	v.done += n
	if v.o.Progress != nil {
		v.o.Progress(v.done, max(v.total, v.done))
	}
}

// segment reads one.
func (v *verifier) segment(s *readable) (bool, error) {
	v.report.Segments++
	v.report.Bytes += s.size
	begun := v.done
	defer func() { v.progress(max(0, begun+s.size-v.done)) }()
	if err := v.chain(s); err != nil || s.foreign {
		return err == nil, err
	}
	end := s.size
	if s.last {
		if s.openErr == nil && s.id != v.x.after.SegmentID { // it was sealed and replaced meanwhile
			return false, errMoved
		}
		end = min(end, v.x.end)
		v.report.Torn = s.size - end
	}
	sc := s.scanner(end)
	next := s.base // the first offset of the segment of which nothing was seen
	var h segment.Header
	var t segment.Tally
	var pending *event.DamagedError // from a place to the next sound unit
	whole := true
	for {
		if err := v.ctx.Err(); err != nil {
			return false, err
		}
		at, err := sc.Next(&h)
		if err == nil {
			v.progress(h.Size())
			if pending != nil {
				pending.To, pending.Next = at, max(h.Base, pending.First)
				v.tell(pending)
				pending = nil
			}
			if err = v.unit(s, at, &h, &t); err != nil {
				if !isInvalid(err) {
					return false, s.wrap(err)
				}
				whole = false
				v.tell(s.damaged(at, at+h.Size(), h.Base, h.Next, reason(err)))
			}
			next = h.Next
			if h.Kind == segment.KindSeal && whole {
				v.seal(s, at, &h, &t)
			}
			continue
		}
		if err == io.EOF {
			break
		}
		if !isInvalid(err) {
			return false, s.wrap(err)
		}
		if next >= s.stop && s.givenUp {
			break // nobody knows what of it is on the disk
		}
		whole = false
		pending = s.damaged(at, -1, next, next, reason(err))
		if err = sc.Resync(); err == io.EOF || isInvalid(err) {
			break
		} else if err != nil {
			return false, s.wrap(err)
		}
	}
	limit := min(s.stop, v.x.next)
	if s.last {
		s.absent = v.x.absent
	}
	own := s.ownEnd(next, limit, pending == nil)
	switch {
	case pending != nil:
		pending.Next = max(own, next)
		v.tell(pending)
	case next < own:
		v.tell(s.damaged(sc.At(), -1, next, own, reason(io.EOF)))
	}
	if own = max(own, next); own < limit {
		v.missing(s.firstAbsent(), own, limit)
	}
	v.expected = max(v.expected, min(max(next, limit), s.stop))
	if s.stop == noStop {
		v.expected = max(v.expected, next, v.x.next)
	}
	return true, nil
}

// chain checks how a segment follows the one before it.
func (v *verifier) chain(s *readable) error {
	switch {
	case s.foreign:
		limit := min(s.stop, v.x.next)
		v.tell(s.damaged(0, -1, s.base, max(limit, s.base), reason(s.openErr)))
		v.expected = max(v.expected, limit)
	case s.openErr != nil: // it is named where it lies
	case s.base <= v.expected:
	case !s.open.HasPrevious:
		v.missing(v.expected, v.expected, s.base)
	case s.open.PreviousEnd > v.expected:
		v.missing(s.open.PreviousBase, v.expected, s.open.PreviousEnd)
	}
	if s.openErr == nil && s.open.Lost != 0 {
		v.report.Gaps++
	}
	v.expected = max(v.expected, s.base)
	return nil
}

// seal checks a SEAL against what was counted before it.
func (v *verifier) seal(s *readable, at int64, h *segment.Header, t *segment.Tally) {
	var is segment.Seal
	if err := is.Parse(at, h); err != nil {
		v.tell(s.damaged(at, at+h.Size(), h.Base, h.Base, reason(err)))
		return
	}
	want := t.Seal()
	if is.Units != want.Units || is.Events != want.Events || is.Raw != want.Raw || is.Span != want.Span {
		v.tell(s.damaged(at, at+h.Size(), h.Base, h.Base, "the SEAL says something else than what is there"))
	}
}

// unit checks a unit whose header is sound. The error is an *InvalidError, or one
// of reading.
func (v *verifier) unit(s *readable, at int64, h *segment.Header, t *segment.Tally) error {
	if h.Kind == segment.KindSeal {
		return nil
	}
	v.report.Units++
	if h.Kind != segment.KindBatch {
		t.Add(h, segment.NoBounds())
		return nil
	}
	if err := v.batch.Parse(at, h); err != nil {
		return err
	}
	t.Add(h, v.batch.Times)
	if h.Base >= s.stop { // void: nobody reads it
		return nil
	}
	var err error
	if v.buf, err = v.dec.ReadBody(s.file, at, h, v.buf[:0]); err != nil {
		return err
	}
	if err := v.lines(at, h); err != nil {
		return err
	}
	if lo, hi := lines(h, &v.batch, v.expected, s.stop); s.base >= v.expected || hi > lo {
		v.report.Events += int64(hi - lo)
		v.report.RawBytes += int64(len(v.buf))
	}
	if cap(v.buf) > keepBodies {
		v.buf = nil
	}
	return nil
}

// lines checks the lines of a unit.
func (v *verifier) lines(at int64, h *segment.Header) error {
	data := v.buf
	runs := appendTimes{h: h, b: &v.batch}
	for i := 0; len(data) > 0; i++ {
		n := bytes.IndexByte(data, '\n')
		when, err := eventTime(v.events, &v.event, data[:n], runs.next())
		data = data[n+1:]
		ev := &v.event
		switch {
		case err != nil:
		case ev.Log.Kind != event.Missing || ev.Partition.Kind != event.Missing || ev.Offset.Kind != event.Missing:
			err = errors.New("it has a position of its own")
		case when.Before(v.batch.Times.Min) || v.batch.Times.Max.Before(when):
			err = errors.New("its time is outside of the bounds of its unit")
		}
		if err != nil {
			return &segment.InvalidError{At: at, Reason: fmt.Sprintf("the event at offset %d: %s", offsetOf(h, &v.batch, i), err)}
		}
	}
	return nil
}

// appendTimes gives when the lines of a unit were appended.
type appendTimes struct {
	h    *segment.Header
	b    *segment.Batch
	run  int
	left int64
}

func (a *appendTimes) next() int64 {
	if len(a.b.Appended) == 0 {
		return a.h.Last
	}
	for a.left == 0 {
		a.left = a.b.Appended[a.run].Lines
		a.run++
	}
	a.left--
	return a.b.Appended[a.run-1].Appended
}
