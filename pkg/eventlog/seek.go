package eventlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sort"

	"logtools/pkg/event"
	"logtools/pkg/segment"
	"logtools/pkg/stream"
	"logtools/pkg/when"
)

// extent is what a partition holds at a moment. All of it is durable.
type extent struct {
	bases []int64 // of the segments, one or more
	// next is the offset that the next event would get.
	next int64
	// The last segment ends at byte end, behind a unit with the link after.
	end   int64
	after segment.Link
	// absent is the base of the segment that the head says is the last one, if it
	// is missing; else 0.
	absent int64
}

func (x *extent) first() int64 { return x.bases[0] }

func (x *extent) last() int64 { return x.bases[len(x.bases)-1] }

// maxRelists is how often a directory is listed again since files vanished between
// listing and opening them: each time somebody has made progress.
const maxRelists = 1000

// gone says that a segment has vanished: another listing will tell.
func gone(err error, try int) bool { return errors.Is(err, fs.ErrNotExist) && try < maxRelists }

// list returns the bases of a partition's segments, one or more.
func (l *Log) list(partition int) ([]int64, error) {
	dir := l.dir(partition)
	bases, err := l.segments(dir)
	damaged := func(why string) error {
		return &event.DamagedError{File: dir, To: -1, Next: -1, Reason: why}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, damaged("the directory is missing")
	case err != nil:
		return nil, err
	case len(bases) == 0:
		return nil, damaged("there is no segment")
	}
	return bases, nil
}

// extent finds the present end of a partition: what the head says, and if there is
// more, that too, once it is durable.
func (l *Log) extent(partition int) (x extent, err error) {
	for try, known := 0, int64(-1); ; try++ {
		if x.bases, err = l.list(partition); err != nil {
			return x, err
		}
		s, err := l.openReadable(partition, x.last())
		if gone(err, try) {
			continue
		}
		if err != nil {
			return x, err
		}
		defer s.close()
		beyond, err := x.measure(s)
		if err != nil || !beyond || known == s.base || try >= maxRelists {
			return x, err
		}
		known = s.base // another segment was begun meanwhile; or it is missing
	}
}

// measure finds the end of s, the last segment. It reports whether the head knows of
// one beyond it.
func (x *extent) measure(s *readable) (beyond bool, err error) {
	h, ok, err := s.l.head(s.partition)
	if err != nil {
		return false, err
	}
	// The size comes after the head: it is not behind it, then.
	if s.size, err = s.file.Size(); err != nil {
		return false, err
	}
	mine := ok && h.base == s.base && (h.id == s.id || s.openErr != nil && !s.foreign)
	x.absent = 0
	if mine && h.durable >= s.size {
		x.end, x.next = h.durable, h.next
		x.after = segment.Link{SegmentID: h.id, Next: h.next, Epoch: h.epoch, HeadCRC: h.lastCRC}
		return false, nil
	}
	if err := s.file.Sync(); err != nil {
		return false, err
	}
	sc, durable := s.scanner(s.size), int64(0)
	x.after, x.next = sc.Link(), s.base
	if mine {
		x.after = segment.Link{SegmentID: h.id, Next: h.next, Epoch: h.epoch, HeadCRC: h.lastCRC}
		sc, durable, x.next = segment.NewScanner(s.file, s.size, h.durable, x.after), h.durable, h.next
	}
	if !s.foreign {
		if err := x.scan(s, sc, durable); err != nil {
			return false, err
		}
	}
	if ok && h.base > s.base {
		x.next, x.absent = max(x.next, h.next), h.base
		return true, nil
	}
	return false, nil
}

// scan finds the end of the units that sc goes through. What is invalid is damage
// where a sound unit says that it was durable, also one behind it; elsewhere it is
// torn, and the end.
func (x *extent) scan(s *readable, sc *segment.Scanner, durable int64) error {
	type end struct {
		at    int64
		after segment.Link
	}
	var ends []end // where it was invalid
	var h segment.Header
	good := end{sc.At(), sc.Link()}
	fail := func() { ends = append(ends, good) }
	for {
		at, err := sc.Next(&h)
		if err == nil && h.Kind == segment.KindBatch {
			if _, err = sc.Body(&h); err != nil && isInvalid(err) {
				fail()
				good = end{sc.At(), sc.Link()} // the next one may be sound
				durable = max(durable, h.SyncedTo)
				continue
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil && isInvalid(err) {
			fail()
			if err = sc.Resync(); err == nil {
				continue
			}
			if err == io.EOF || isInvalid(err) {
				break
			}
		}
		if err != nil {
			return s.wrap(err)
		}
		durable = max(durable, h.SyncedTo)
		good = end{at + h.Size(), h.Link()}
	}
	for _, e := range ends {
		if e.at >= durable {
			good = e
			break
		}
	}
	x.end, x.after = good.at, good.after
	x.next = max(x.next, good.after.Next)
	return nil
}

// head reads a partition's head; false if there is no sound one.
func (l *Log) head(partition int) (head, bool, error) {
	f, err := l.openHead(l.dir(partition), 0)
	if f == nil || err != nil {
		return head{}, false, err
	}
	defer f.Close()
	return readHead(f)
}

// walk opens the segments of a partition, one at a time, and calls f with each:
// from the first to the last, or backwards. f returns false to end it. If a segment
// has vanished the error is errMoved: see retry.
func (l *Log) walk(partition int, bases []int64, backwards bool, f func(s *readable) (bool, error)) error {
	open := func(i int) (*readable, error) {
		if i < 0 || i >= len(bases) {
			return nil, nil
		}
		s, err := l.openReadable(partition, bases[i])
		if errors.Is(err, fs.ErrNotExist) {
			err = errMoved
		}
		return s, err
	}
	visit := func(s, next *readable) (goOn bool, err error) {
		if err = s.setNext(next); err == nil {
			err = s.look()
		}
		if err != nil {
			return false, err
		}
		return f(s)
	}
	// Each is opened once: it is the next one of its neighbour, too.
	var kept *readable
	defer func() { kept.close() }()
	if backwards {
		for i := len(bases) - 1; i >= 0; i-- {
			s, err := open(i)
			if err != nil {
				return err
			}
			goOn, err := visit(s, kept)
			kept.close()
			kept = s
			if err != nil || !goOn {
				return err
			}
		}
		return nil
	}
	var err error
	if kept, err = open(0); err != nil {
		return err
	}
	for i := range bases {
		next, err := open(i + 1)
		if err != nil {
			return err
		}
		goOn, err := visit(kept, next)
		kept.close()
		kept = next
		if err != nil || !goOn {
			return err
		}
	}
	return nil
}

// tally is what a segment holds before an offset.
type tally struct {
	events, raw int64
	times       segment.Bounds
	appended    int64 // when the last event was appended
}

// count counts what s holds before an offset.
func (s *readable) count(before int64) (t tally, err error) {
	before = min(before, s.stop)
	if s.sealed && before >= s.sealEnd {
		return tally{s.seal.Events, s.seal.Raw, s.seal.Times, s.seal.Last}, nil
	}
	t.times = segment.NoBounds()
	if s.foreign {
		return t, nil
	}
	sc, e, err := s.scanOffset(before, s.size)
	if err != nil {
		return t, err
	}
	t.events, t.raw = e.Events, e.Raw
	for i := range s.index {
		if s.index[i].At > e.At {
			break
		}
		t.times.Add(s.index[i].Times)
		if !s.index[i].Times.Empty() {
			t.appended = s.index[i].Last
		}
	}
	var b segment.Batch
	return t, s.each(sc, func(at int64, h *segment.Header) (bool, error) {
		if h.Base >= before {
			return false, nil
		}
		if h.Count == 0 || b.Parse(at, h) != nil {
			return true, nil
		}
		lo, hi := lines(h, &b, 0, before)
		if hi > lo {
			t.events += int64(hi - lo)
			t.raw += int64(float64(h.RawLen) * float64(hi-lo) / float64(h.Count))
			t.times.Add(b.Times)
			t.appended = h.Last
		}
		return true, nil
	})
}

// nth returns the offset of the event with n events before it in s.
func (s *readable) nth(n int64) (offset int64, err error) {
	sc, e, err := s.scanFrom(sort.Search(len(s.index), func(i int) bool { return s.index[i].Events > n }), s.size)
	if err != nil {
		return 0, err
	}
	var b segment.Batch
	offset, n = s.stop, n-e.Events
	return offset, s.each(sc, func(at int64, h *segment.Header) (bool, error) {
		if h.Count == 0 || b.Parse(at, h) != nil {
			return true, nil
		}
		if n >= int64(h.Count) {
			n -= int64(h.Count)
			return true, nil
		}
		offset = offsetOf(h, &b, int(n))
		return false, nil
	})
}

// back returns the offset of the event with n events from it on before an offset;
// the first there is, if there are fewer.
func (l *Log) back(partition int, x *extent, before, n int64) (offset int64, err error) {
	before = min(before, x.next)
	if n <= 0 {
		return before, nil
	}
	offset = min(x.first(), before)
	return offset, l.walk(partition, x.bases, true, func(s *readable) (bool, error) {
		if s.base >= before || s.foreign {
			return true, nil
		}
		t, err := s.count(before)
		if err != nil || t.events < n {
			n -= t.events
			return true, err
		}
		offset, err = s.nth(t.events - n)
		offset = min(offset, before)
		return false, err
	})
}

// since returns the first offset whose event time is t or later.
func (l *Log) since(partition int, x *extent, t stream.Instant) (offset int64, err error) {
	offset = x.next
	dec := segment.NewDecoder()
	defer dec.Close()
	var buf []byte
	return offset, l.walk(partition, x.bases, false, func(s *readable) (bool, error) {
		if s.foreign || s.sealed && (s.seal.Times.Empty() || s.seal.Times.Max.Before(t)) {
			return true, nil
		}
		i := 0
		for i < len(s.index) && (s.index[i].Times.Empty() || s.index[i].Times.Max.Before(t)) {
			i++
		}
		sc, _, err := s.scanFrom(i, s.size)
		if err != nil {
			return false, err
		}
		stop := min(s.stop, x.next)
		found := false
		var b segment.Batch
		err = s.each(sc, func(at int64, h *segment.Header) (bool, error) {
			if h.Base >= stop {
				return false, nil
			}
			if h.Count == 0 || b.Parse(at, h) != nil || b.Times.Max.Before(t) {
				return true, nil
			}
			if buf, err = dec.ReadBody(s.file, at, h, buf[:0]); err != nil && isInvalid(err) {
				return true, nil // whoever reads on will say so
			} else if err != nil {
				return false, s.wrap(err)
			}
			line := firstSince(buf, h, &b, t)
			if line < 0 {
				return true, nil
			}
			if o := offsetOf(h, &b, line); o < stop {
				offset, found = o, true
			}
			return false, nil
		})
		return !found, err
	})
}

// firstSince returns the first line of a unit whose event time is t or later; less
// than 0 if there is none.
func firstSince(data []byte, h *segment.Header, b *segment.Batch, t stream.Instant) int {
	r := event.NewReader(new(event.Fields), event.Auto)
	var ev event.Event
	times := appendTimes{h: h, b: b}
	for i := 0; len(data) > 0; i++ {
		n := bytes.IndexByte(data, '\n')
		at, err := eventTime(r, &ev, data[:n], times.next())
		if err == nil && !at.Before(t) {
			return i
		}
		data = data[n+1:]
	}
	return -1
}

// eventTime reads the event that a line is into ev and returns its time: its own,
// or that of its append.
func eventTime(r *event.Reader, ev *event.Event, line []byte, appended int64) (at stream.Instant, err error) {
	at, own, err := ownTime(r, ev, line)
	if err == nil && !own {
		at = instant(appended)
	}
	return at, err
}

// ownTime reads the event that a line is into ev and returns its own time; false if
// it has none.
func ownTime(r *event.Reader, ev *event.Event, line []byte) (at stream.Instant, own bool, err error) {
	ev.Reset(0)
	if err := r.Read(line, ev); err != nil {
		return at, false, err
	}
	if ev.Time.Kind != event.String {
		return at, false, nil
	}
	var scratch []byte
	w, ok := when.Parse(ev.Time.Text(&scratch), nil)
	if !ok {
		return at, false, event.Bad("a time that is none")
	}
	return stream.Instant{Sec: w.Sec, Nsec: w.Nsec}, true, nil
}

// resolve returns the offset of a position.
func (l *Log) resolve(partition int, x *extent, p Position) (int64, error) {
	switch p.kind {
	case posOffset:
		return p.n, nil
	case posBack:
		return l.back(partition, x, x.next, p.n)
	case posTime:
		return l.since(partition, x, p.at)
	}
	return x.first(), nil
}

// goneError says that an offset is before the first.
func goneError(name string, offset, first int64) error {
	return &event.GoneError{
		Name:  name,
		What:  fmt.Sprintf("offset %d is before the first, %d", offset, first),
		Hints: "what was there was deleted by retention; read what is left with --from start",
	}
}
