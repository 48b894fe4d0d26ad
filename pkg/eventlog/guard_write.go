package eventlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sort"

	"logtools/pkg/event"
	"logtools/pkg/segment"
	"logtools/pkg/stream"
)

// keeping is what a partition that is appended to needs to keep the log's rules.
// All of it is used under the partition's lock.
type keeping struct {
	guard  Guard
	stop   bool   // at the first event that is refused
	keeper Keeper // nil: to be asked for
	// learned is how far the keeper knows the log. Without a Segment it knows no more
	// than what it has stored.
	learned Mark

	// For batches of which lines are left out; made when there is one.
	enc    *segment.Encoder
	lines  []byte
	events *event.Reader
	event  event.Event
}

// rulesError says that the rules of a log are no longer what they were when an
// Appender was made.
type rulesError struct{ path string }

func (e *rulesError) Error() string {
	return e.path + ": another process has changed the rules of the log: nothing more was stored"
}

// Hint says what to do.
func (e *rulesError) Hint() string { return "start again: the rules then hold for what is left" }

// sameRules returns an error if the log's rules are not those that this writer keeps
// to. Whoever gives a log rules makes the generation greater.
func (p *partition) sameRules() error {
	if p.rules == nil {
		return nil
	}
	now := p.l.fresh()
	if err := now.load(); err != nil {
		return err
	}
	if now.settings.Rules != *p.rules {
		return &rulesError{p.l.path}
	}
	return nil
}

// put writes what the log's rules let through of a batch, under the lock: see write.
func (p *partition) put(j *job) error {
	k := p.keep
	if k == nil {
		return p.write(&j.unit)
	}
	err := p.judge(j)
	if err == nil {
		err = p.write(&j.unit)
	}
	switch {
	case err == nil:
		if k.learned.Segment != 0 { // else there is no keeper yet, or no longer
			k.learned = p.mark()
		}
	case !isExpect(err): // the keeper takes for stored what is not
		p.dropKeeper()
	}
	return err
}

// mark returns the end of the partition.
func (p *partition) mark() Mark {
	end := &p.act.end
	return Mark{Next: end.Next, Segment: end.SegmentID, CRC: end.HeadCRC}
}

// judge leaves out what the rules refuse of a batch.
func (p *partition) judge(j *job) error {
	if j.batch.Count == 0 || j.expect >= 0 && j.expect != p.act.end.Next {
		return nil // write knows
	}
	refused, err := p.ask(j)
	if err != nil || len(refused) == 0 {
		return err
	}
	if p.keep.stop {
		refused = refused[:1]
		j.stopped = true
	}
	j.refused = refused
	if j.stopped && j.expect >= 0 { // it was to be stored as a whole
		p.dropKeeper()
		j.h.Count = 0
		return nil
	}
	return p.leaveOut(j)
}

// maxAgain is how often a keeper may lose what it knows while one batch is judged.
const maxAgain = 3

// ask asks the keeper, once it knows all that is in the log.
func (p *partition) ask(j *job) ([]stream.Refusal, error) {
	for try := 0; ; try++ {
		k, err := p.keeper()
		if err == nil {
			err = p.learn(k)
		}
		if err == nil && k.Due(false) {
			err = p.store(k)
		}
		var refused []stream.Refusal
		if err == nil {
			refused, err = k.Judge(j.prepared, j.batch, p.act.end.Next, p.keep.stop)
		}
		switch {
		case err == nil || !errors.Is(err, ErrAgain):
			return refused, err
		case try == maxAgain:
			return nil, fmt.Errorf("%s: %w, and again", p.dir, err)
		}
		p.keep.learned = Mark{}
	}
}

// keeper returns the partition's keeper. It does not know more than there is.
func (p *partition) keeper() (Keeper, error) {
	for try := 0; ; try++ {
		k := p.keep
		if k.keeper == nil {
			var err error
			if k.keeper, err = k.guard.Keeper(p.n, p.holds); err != nil {
				k.keeper = nil
				return nil, err
			}
			k.learned = Mark{}
		}
		switch known := k.keeper.Known(); {
		case known <= p.act.end.Next:
			return k.keeper, nil
		case try == 0:
			p.unlearn()
		case try == 1: // a new one looks whether what was stored is of this log
			p.dropKeeper()
		default:
			return nil, fmt.Errorf("%s: the index of the rules has %d events, the log only %d", p.dir, known, p.act.end.Next)
		}
	}
}

// unlearn makes the keeper forget what it has not stored.
func (p *partition) unlearn() {
	k := p.keep
	k.learned = Mark{}
	if k.keeper != nil && k.keeper.Forget() != nil {
		p.dropKeeper()
	}
}

// dropKeeper makes the next batch get a new keeper.
func (p *partition) dropKeeper() {
	if k := p.keep; k != nil && k.keeper != nil {
		k.keeper.Close() // what it has stored can be made anew
		k.keeper, k.learned = nil, Mark{}
	}
}

// stillKnown makes the keeper forget what others have made void, or repaired. seen
// is the generation that its knowledge is from.
func (p *partition) stillKnown(seen int64) error {
	k := p.keep
	if k == nil || k.keeper == nil {
		return nil
	}
	if p.seen/repaired != seen/repaired {
		p.dropKeeper()
		return nil
	}
	if k.learned.Segment == 0 {
		return nil
	}
	ok, err := p.holds(k.learned)
	if err == nil && !ok {
		p.unlearn()
	}
	return err
}

// learn lets the keeper learn what is in the log and it does not know.
func (p *partition) learn(k Keeper) error {
	end := p.act.end.Next
	if k.Known() < end {
		if err := p.learnFrom(k, end); err != nil {
			return err
		}
		k.Reach(end)
	}
	p.keep.learned = p.mark()
	return nil
}

func (p *partition) learnFrom(k Keeper, end int64) error {
	bases, err := p.l.list(p.n)
	if err != nil {
		return err
	}
	// What is before the first segment was deleted, when the log had no rules.
	to := AtOffset(end)
	r, err := p.l.Read(p.n, ReadOptions{From: AtOffset(max(k.Known(), bases[0])), To: &to})
	if err != nil {
		return err
	}
	defer r.Close()
	if _, is := r.Range(); is != end {
		return fmt.Errorf("%s: readers find %d events, and writers %d", p.dir, is, end)
	}
	var b stream.Block
	settled := false
	for {
		err := r.Next(context.Background(), &b)
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = b.Err
		}
		var damaged *event.DamagedError
		if errors.As(err, &damaged) {
			return &holeError{damaged, p.l.path}
		}
		if err != nil {
			return err
		}
		if len(b.Data) == 0 {
			continue
		}
		if err := k.Learn(&b); err != nil {
			return err
		}
		if !k.Due(false) {
			continue
		}
		if !settled {
			if err := p.settle(); err != nil {
				return err
			}
			settled = true
		}
		m, ok, err := p.markBehind(k.Known())
		if err == nil && ok && m.Next <= end {
			k.Reach(m.Next)
			err = k.Store(m)
		}
		if err != nil {
			return err
		}
	}
}

// holeError is damage in what rules must know.
type holeError struct {
	*event.DamagedError
	path string
}

func (e *holeError) Error() string {
	return e.DamagedError.Error() + ": without these events the rules of the log cannot be kept"
}

func (e *holeError) Unwrap() error { return e.DamagedError }

// Hint says what to do.
func (e *holeError) Hint() string { return repairHint(e.path) }

// settle makes all of the active segment durable for good: nobody gives it up before
// its present end any more.
func (p *partition) settle() error {
	a := p.act
	if err := a.sync(); err != nil {
		return errors.Join(err, p.abandon(a))
	}
	a.durable = a.state()
	return p.writeHead(a.durable)
}

// store lets a keeper that knows all of the log store that.
func (p *partition) store(k Keeper) error {
	if err := p.settle(); err != nil {
		return err
	}
	return k.Store(p.mark())
}

// storeLast stores what the keeper has learned, if that is worth it, before the
// partition is closed. The error is that of a sync: the index itself can be made
// anew.
func (p *partition) storeLast() error {
	k := p.keep
	if k == nil || k.keeper == nil || !k.keeper.Due(true) {
		return nil
	}
	if err := p.acquire(); err != nil {
		return nil // whoever appends next will meet it
	}
	defer p.free()
	if k.keeper == nil { // it would have to begin anew
		return nil
	}
	keeper, err := p.keeper()
	if err != nil || p.learn(keeper) != nil {
		return nil
	}
	if err := p.settle(); err != nil {
		return err
	}
	keeper.Store(p.mark())
	return nil
}

// holds says whether a place is one of the partition, and not void.
func (p *partition) holds(m Mark) (bool, error) {
	found := false
	err := p.eachEnd(m.Next, func(is Mark) bool {
		found = is == m
		return !found && is.Next <= m.Next
	})
	return found, err
}

// markBehind returns the first place that is not before an offset, which is more
// than 0.
func (p *partition) markBehind(next int64) (m Mark, ok bool, err error) {
	err = p.eachEnd(next, func(is Mark) bool {
		m, ok = is, is.Next >= next
		return !ok
	})
	return m, ok, err
}

// eachEnd calls f with the ends of the units that are not void, in their order: from
// one that is not behind the unit with the last offset before next, until f returns
// false.
func (p *partition) eachEnd(next int64, f func(Mark) bool) error {
	bases, err := p.l.segments(p.dir)
	if err != nil {
		return err
	}
	// A segment may end where the next one begins.
	i := max(0, sort.Search(len(bases), func(i int) bool { return bases[i] >= next })-1)
	return p.l.walk(p.n, bases[i:], false, func(s *readable) (goOn bool, err error) {
		if s.foreign {
			return true, nil
		}
		sc, _, err := s.scanOffset(next-1, s.size)
		if err != nil {
			return false, err
		}
		goOn = true
		err = s.each(sc, func(_ int64, h *segment.Header) (bool, error) {
			if h.Next > s.stop {
				return false, nil
			}
			goOn = f(Mark{Next: h.Next, Segment: h.SegmentID, CRC: h.HeadCRC})
			return goOn, nil
		})
		return goOn, err
	})
}

// keepLines is the largest buffer for lines that is kept for the next batch.
const keepLines = 8 << 20

// leaveOut makes j a unit of the lines that are not refused; if it stops, of those
// before the first that is.
func (p *partition) leaveOut(j *job) error {
	k := p.keep
	if k.enc == nil {
		k.enc, k.events = segment.NewEncoder(), event.NewReader(new(event.Fields), event.Auto)
	}
	kept := k.lines[:0]
	j.timed, j.bounds = 0, segment.NoBounds()
	left, refused := j.batch.Lines, j.refused
	for i := 0; len(left) > 0; i++ {
		n := bytes.IndexByte(left, '\n') + 1
		line := left[:n]
		left = left[n:]
		if len(refused) > 0 && refused[0].Index == i {
			if refused = refused[1:]; j.stopped {
				break
			}
			continue
		}
		kept = append(kept, line...)
		if j.batch.Timed == 0 {
			continue
		}
		at, own, err := ownTime(k.events, &k.event, line[:n-1])
		if err != nil {
			return err
		}
		if own {
			j.timed++
			j.bounds.Add(segment.Bounds{Min: at, Max: at})
		}
	}
	if k.lines = kept; cap(kept) > keepLines {
		k.lines = nil
	}
	if len(refused) > 0 {
		return fmt.Errorf("%s: line %d of %d is refused out of turn", p.dir, refused[0].Index, j.batch.Count)
	}
	var err error
	j.buf, err = k.enc.Encode(j.buf[:j.room], kept, &j.h)
	return err
}
