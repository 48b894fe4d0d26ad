package eventlog

import (
	"context"
	"io"
	"sort"

	"logtools/pkg/segment"
)

// enter opens the segment with the first offset that is expected.
func (r *Reader) enter() error {
	s, err := r.openAt(r.expected)
	if err != nil {
		return err
	}
	if to := s.open.Superseded; to > r.to && r.stage == past && !r.o.Follow && r.o.To == nil && r.o.Tail == 0 {
		r.to = to
		r.reach.Store(to)
		s.close()
		r.next.close()
		r.next, r.bases = nil, nil // there are more segments now
		if s, err = r.openAt(r.expected); err != nil {
			return err
		}
	}
	fresh := r.scan == nil
	if err := s.look(); err != nil {
		s.close()
		return err
	}
	switch {
	case s.foreign:
		r.scan = s.scanner(0) // nothing of it is read
	case r.stage == live && s.last:
		r.scan, err = r.enterTail(s)
	default:
		r.scan, _, err = s.scanOffset(r.expected, s.size)
	}
	if err != nil {
		s.close()
		return err
	}
	r.seg = s
	r.done.Add(r.scan.At())
	if s.base <= r.expected {
		return nil
	}
	expected := r.expected
	r.expected = s.base
	switch {
	case s.base == r.bases[0]:
		if fresh && r.o.From.kind == posStart {
			return nil // the start is now there
		}
		return goneError(r.o.Name, expected, s.base)
	case s.openErr != nil:
		r.expected = expected // that is named with what else is damaged there
	case s.open.HasPrevious && s.open.PreviousEnd > expected:
		r.missing(s.open.PreviousBase, expected, min(s.open.PreviousEnd, r.to))
	case !s.open.HasPrevious:
		r.missing(expected, expected, min(s.base, r.to))
	}
	return nil
}

// openAt opens the segment in which an offset lies, or else the next one.
func (r *Reader) openAt(wanted int64) (*readable, error) {
	for try := 0; ; try++ {
		if r.bases == nil {
			var err error
			if r.bases, err = r.l.list(r.partition); err != nil {
				return nil, err
			}
		}
		s, err := r.openListed(wanted)
		if err == nil || !gone(err, try) {
			return s, err
		}
		r.bases = nil
	}
}

func (r *Reader) openListed(wanted int64) (*readable, error) {
	i := max(0, sort.Search(len(r.bases), func(i int) bool { return r.bases[i] > wanted })-1)
	for ; ; i++ {
		s, err := r.open(r.bases[i])
		if err != nil {
			return nil, err
		}
		if i+1 < len(r.bases) {
			if r.next, err = r.l.openReadable(r.partition, r.bases[i+1]); err != nil {
				r.next = nil
				s.close()
				return nil, err
			}
		}
		if err := s.setNext(r.next); err != nil {
			s.close()
			return nil, err
		}
		if s.last || s.stop > wanted {
			return s, nil
		}
		s.close()
	}
}

// open opens a segment, or takes it from where it was opened as the next one.
func (r *Reader) open(base int64) (*readable, error) {
	s := r.next
	r.next = nil
	if s != nil && s.base == base {
		return s, nil
	}
	s.close()
	return r.l.openReadable(r.partition, base)
}

// leave closes the segment.
func (r *Reader) leave() {
	if r.seg != nil {
		r.done.Add(max(0, r.seg.size-r.scan.At()))
		r.seg.close()
		r.seg = nil
	}
	r.peeked, r.found = false, false
}

// peek looks for the next sound unit that has lines to give. It returns false
// if there is none, or, unless wait is set, none now.
func (r *Reader) peek(ctx context.Context, wait bool) (bool, error) {
	for {
		if r.expected >= r.to {
			r.leave()
			return false, nil
		}
		if r.seg == nil {
			if err := r.enter(); err != nil {
				return false, err
			}
		}
		limit := min(r.seg.stop, r.to)
		if r.expected >= limit {
			r.leave()
			continue
		}
		if err := r.skip(); err != nil {
			return false, err
		}
		r.before = r.scan.Link()
		at, err := r.scan.Next(&r.h)
		if err == nil {
			r.done.Add(r.scan.At() - at)
			var ok bool
			if ok, err = r.wanted(at, limit); ok {
				r.peeked = true
				return true, nil
			} else if err == nil {
				continue
			} else if err != errNotYet {
				return false, err
			}
		}
		if r.notYet(at, err) {
			if len(r.damages) > 0 || !wait {
				return false, nil
			}
			if err := r.more(ctx); err != nil {
				return false, err
			}
			continue
		}
		if err != io.EOF && !isInvalid(err) {
			return false, r.seg.wrap(err)
		}
		if err := r.resync(at, limit, err); err != nil {
			return false, err
		}
	}
}

// wanted reports whether the unit at byte at, whose header is in r.h, is sound and
// has lines to give.
func (r *Reader) wanted(at, limit int64) (bool, error) {
	h := &r.h
	if r.found {
		r.found = false
		d := r.damages[len(r.damages)-1]
		d.To, d.Next = at, min(max(h.Base, d.First), limit)
		r.settle()
		r.passed(h.Base)
	}
	if h.Base >= limit {
		r.passed(limit)
		return false, nil
	}
	if h.Kind != segment.KindBatch || h.Next <= r.expected {
		return false, nil
	}
	damaged := func(err error) (bool, error) {
		r.damage(r.seg, at, at+h.Size(), max(h.Base, r.expected), min(h.Next, limit), reason(err))
		r.passed(h.Next)
		return false, nil
	}
	if err := r.batch.Parse(at, h); err != nil {
		return damaged(err)
	}
	r.lo, r.hi = lines(h, &r.batch, r.expected, limit)
	if r.lo == r.hi || r.outside(&r.batch.Times) {
		r.passed(h.Next)
		return false, nil
	}
	var err error
	r.body, err = r.scan.Body(h)
	switch {
	case err == nil:
		r.at = at
		return true, nil
	case r.notYet(at, err):
		r.scan = segment.NewScanner(r.seg.file, r.tail.limit, at, r.before)
		return false, errNotYet
	case isInvalid(err):
		return damaged(err)
	}
	return false, r.seg.wrap(err)
}

// passed says that all before an offset is done, as far as it is the segment's.
func (r *Reader) passed(next int64) {
	r.expected = max(r.expected, min(next, r.seg.stop, r.to))
}

// outside reports whether all events of these times may be left out.
func (r *Reader) outside(t *segment.Bounds) bool {
	return r.o.Since != nil && t.Max.Before(*r.o.Since) || r.o.Until != nil && !t.Min.Before(*r.o.Until)
}

// skip steps over what the index says is outside the times that are wanted.
func (r *Reader) skip() error {
	if r.o.Since == nil && r.o.Until == nil || r.found {
		return nil
	}
	s, at := r.seg, r.scan.At()
	i := sort.Search(len(s.index), func(i int) bool { return s.index[i].At > at })
	if i == len(s.index) || i > 0 && at != s.index[i].From {
		return nil // a stretch has been begun
	}
	k := i
	for k < len(s.index) && (s.index[k].Times.Empty() || r.outside(&s.index[k].Times)) {
		k++
	}
	if k == i {
		return nil
	}
	if e := &s.index[k-1]; k == len(s.index) && s.sealed && e.At == s.sealAt {
		r.passed(noStop) // there is nothing but the SEAL
		return nil
	}
	sc, e, err := s.scanFrom(k, s.size)
	if err != nil || e.At <= at {
		return err
	}
	if r.stage == live && s.last {
		sc.Extend(r.tail.limit)
	}
	r.done.Add(e.At - at)
	r.scan = sc
	r.passed(e.Base)
	return nil
}

// damage notes that bytes of s are damaged, and offsets lost.
func (r *Reader) damage(s *readable, from, to, first, next int64, why string) {
	if n := len(r.damages); n > 0 {
		if d := r.damages[n-1]; d.File == s.name && d.To == from && d.Next == first {
			d.To, d.Next = to, next
			return
		}
	}
	r.damages = append(r.damages, s.damaged(from, to, first, next, why))
}

// missing notes that there is no segment for some offsets.
func (r *Reader) missing(base, first, next int64) {
	r.damages = append(r.damages, r.l.missingFile(r.partition, base, first, next))
}

// settle drops the last damage if it is about nothing that is wanted.
func (r *Reader) settle() {
	n := len(r.damages)
	if d := r.damages[n-1]; d.Next <= r.from && d.From > 0 && d.First == r.from {
		r.damages = r.damages[:n-1]
	}
}

// resync goes on at the next sound unit behind byte at, where cause is, or at the
// end of the segment.
func (r *Reader) resync(at, limit int64, cause error) error {
	s, why := r.seg, reason(cause)
	if !s.foreign {
		err := r.scan.Resync()
		if err == nil {
			r.damage(s, at, r.scan.At(), r.expected, r.expected, why)
			r.found = true
			return nil
		}
		if err != io.EOF && !isInvalid(err) {
			return s.wrap(err)
		}
	} else {
		why = reason(s.openErr)
	}
	if r.stage == live && s.last {
		return r.skipDamage(at, why)
	}
	if s.last {
		s.absent = r.absent
	}
	whole := cause == io.EOF
	own := s.ownEnd(r.expected, limit, whole)
	if !whole || own > r.expected {
		r.damage(s, at, -1, r.expected, own, why)
	}
	if own < limit {
		r.missing(s.firstAbsent(), own, limit)
	}
	r.expected = limit
	return nil
}
