package eventlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/internal/vfs"
	"logtools/pkg/segment"
)

// RepairOptions say how Repair waits and whom it tells; a nil function is nobody.
type RepairOptions struct {
	// LockTimeout is how long to wait for another process's lock before it is an
	// error (*LockError); 0 is for ever.
	LockTimeout time.Duration
	// Repaired is called with each segment once it was put right.
	Repaired func(Repaired)
	// Progress is called now and then with the bytes looked at so far, and the
	// bytes there are.
	Progress func(done, total int64)
}

// Repaired says what Repair did to a segment.
type Repaired struct {
	File   string // the segment, which is whole now
	Reason string // what was wrong with it first
	// Kept is where the damaged original is now; "" if there was none, since the
	// segment was missing.
	Kept string
	// Lost are the ranges of offsets that could not be read, ascending.
	Lost []Offsets
}

// Offsets is a range: First up to, but not including, Next.
type Offsets struct{ First, Next int64 }

// Repair puts the damaged segments of a partition right, one by one, from the
// first to the last: what readers can read of one is copied to a new file, byte for
// byte and with the same offsets, in which units without lines stand for the gaps;
// this takes the place of the damaged one, which is kept under lost/. Where segments
// are missing a new one stands for the gap. Readers go over gaps in silence.
//
// The active segment is never rewritten: if it is damaged a new one is begun, and
// the damaged one is then one of the others. So writers and readers may go on
// meanwhile. Killed at any step, or without room on the disk, it leaves a correct
// log, in which all can be read that could be read before.
//
// What it cannot put right is an *event.DamagedError: a partition of which nothing
// tells where it ended, and one whose segments belong to another log or partition.
func (l *Log) Repair(ctx context.Context, partition int, o RepairOptions) error {
	if partition < 0 || partition >= l.settings.Partitions {
		return fmt.Errorf("%s: there is no partition %d", l.path, partition)
	}
	if err := refuseNetwork(l.fs, l.path); err != nil {
		return err
	}
	// The locks would be made anew in a directory that has been put in the place of
	// a lost one; what is not there shall fail here.
	if _, err := l.fs.ReadDir(l.dir(partition)); err != nil {
		return err
	}
	p, err := l.partition(partition, o.LockTimeout)
	if err != nil {
		return err
	}
	defer p.close()
	maint, err := l.fs.Lock(filepath.Join(p.dir, maintName))
	if err != nil {
		return err
	}
	defer maint.Close()
	if err := l.waitFor(ctx, maint, o.LockTimeout); err != nil {
		return err
	}
	r := &repairer{l: l, p: p, o: o, ctx: ctx, dec: segment.NewDecoder()}
	defer r.dec.Close()
	return r.run()
}

// waitFor takes a lock, for which it waits so long; 0 is for ever.
func (l *Log) waitFor(ctx context.Context, lock vfs.Lock, wait time.Duration) error {
	if wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, wait)
		defer cancel()
	}
	return lockError(l.path, lock.Lock(ctx))
}

// repairer repairs a partition. It holds its maint.lock all the time, and the lock
// of the writers only to begin a new segment.
type repairer struct {
	l   *Log
	p   *partition
	o   RepairOptions
	ctx context.Context

	unlearned   bool
	done, total int64
	dec         *segment.Decoder
	lines, body []byte
	batch       segment.Batch
}

// previous is the segment before the one that is looked at: where it ends, and what
// must not decrease from there on.
type previous struct {
	base, end int64
	time      int64
	epoch     uint32
}

func (r *repairer) run() error {
	if err := r.tidy(); err != nil {
		return err
	}
	bases, err := r.l.segments(r.p.dir)
	if err != nil {
		return err
	}
	if len(bases) == 0 {
		return r.beginAgain()
	}
	if err := r.belong(bases); err != nil {
		return err
	}
	if err := r.leaveDamaged(); err != nil {
		return err
	}
	if bases, err = r.l.segments(r.p.dir); err != nil {
		return err
	}
	var before *previous
	return r.l.walk(r.p.n, bases, false, func(s *readable) (bool, error) {
		if s.last {
			return false, nil
		}
		before, err = r.segment(s, before)
		return err == nil, err
	})
}

// workMark is in the names of files that are to take the place of a segment. It is
// not tmpMark: writers remove those at any time.
const workMark = ".new-"

// tidy removes what a killed repair has left half made.
func (r *repairer) tidy() error { return r.l.removeMarked(r.p.dir, workMark) }

// belong says whether the segments are those of this partition. One that is not is
// damage. But if most are not, then the settings or the directory are those of
// another log, and nothing may be touched. It also counts the bytes.
func (r *repairer) belong(bases []int64) error {
	foreign := 0
	why := ""
	for _, b := range bases {
		s, err := r.l.openReadable(r.p.n, b)
		if err != nil {
			return err
		}
		r.total += s.size
		if s.foreign {
			foreign++
			why = s.name + ": " + reason(s.openErr)
		}
		s.close()
	}
	if 2*foreign > len(bases) {
		return r.cannot("most segments do not belong here (" + why + "): nothing was touched")
	}
	return nil
}

func (r *repairer) cannot(why string) error {
	return &event.DamagedError{File: r.p.dir, To: -1, Next: -1, Reason: why}
}

// beginAgain makes a segment where there is none any more. The head says at which
// offset: none may be given twice.
func (r *repairer) beginAgain() error {
	p := r.p
	if err := p.acquireOnly(); err != nil {
		return err
	}
	defer p.free()
	h, ok, err := p.readHead()
	if err != nil {
		return err
	}
	if !ok {
		return r.cannot("there is no segment and no head, and nothing tells where it ended")
	}
	if bases, err := r.l.segments(p.dir); err != nil || len(bases) > 0 {
		return err
	}
	if err := r.unlearn(); err != nil {
		return err
	}
	if err := p.bump(); err != nil {
		return err
	}
	gone := &active{base: h.base, time: h.time, end: segment.Link{Epoch: h.epoch}}
	if err := p.next(gone, h.next, h.next, 0); err != nil {
		return err
	}
	r.tell(Repaired{
		File: filepath.Join(p.dir, segmentName(h.next)), Reason: "all segments are missing", Lost: lostIf(0, h.next),
	})
	return nil
}

func lostIf(first, next int64) []Offsets {
	if first >= next {
		return nil
	}
	return []Offsets{{first, next}}
}

func (r *repairer) tell(what Repaired) {
	if r.o.Repaired != nil {
		r.o.Repaired(what)
	}
}

func (r *repairer) progress(n int64) {
	r.done += n
	if r.o.Progress != nil {
		r.o.Progress(r.done, max(r.done, r.total))
	}
}

// leaveDamaged begins a new segment if the active one is damaged.
func (r *repairer) leaveDamaged() error {
	p := r.p
	// This recovers what a killed writer has left, makes a damaged head anew, and
	// leaves a segment that is damaged behind the head.
	if err := p.acquire(); err != nil {
		return err
	}
	base, size := p.act.base, p.act.size
	p.dropDamagedIndex()
	p.free()
	// The rest is read without the lock: it does not change any more.
	s, err := r.l.openReadable(p.n, base)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.setNext(nil); err != nil {
		return err
	}
	found, err := r.pass(s, size, nil)
	if err != nil || found.reason == "" {
		return err
	}
	if err := p.acquire(); err != nil {
		return err
	}
	defer p.free()
	if p.act.base != base {
		return nil // it was left, or sealed, meanwhile
	}
	if err := r.unlearn(); err != nil {
		return err
	}
	return p.leave(p.act, p.act.end.Next, found.reason)
}

// unlearn tells the writers to forget what they have learned for the log's rules, and
// removes the index of that, before events are given up: what they claimed is then
// free. It is done once, under the lock; what is learned later is what can be read.
func (r *repairer) unlearn() error {
	if r.unlearned {
		return nil
	}
	l := r.l
	if err := r.p.bumpBy(repaired); err != nil {
		return err
	}
	all := l.GuardDir()
	dir := filepath.Join(all, PartitionName(r.p.n))
	// In one step: who merges parts of the index meanwhile shall not find it.
	away, err := l.newName(dir, tmpMark)
	if err != nil {
		return err
	}
	if err := l.fs.Rename(dir, away); err == nil {
		err = l.fs.SyncDir(all)
		if err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r.unlearned = true
	names, err := l.fs.ReadDir(all)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, n := range names { // of a repair that was killed, too
		if strings.HasPrefix(n, filepath.Base(dir)+tmpMark) {
			err = errors.Join(err, l.removeDir(filepath.Join(all, n)))
		}
	}
	return err
}

// unlearnLocked takes the lock for unlearn.
func (r *repairer) unlearnLocked() error {
	if err := r.p.acquireOnly(); err != nil {
		return err
	}
	defer r.p.free()
	return r.unlearn()
}

// removeDir removes a directory with files.
func (l *Log) removeDir(dir string) error {
	names, err := l.fs.ReadDir(dir)
	for _, n := range names {
		err = errors.Join(err, l.fs.Remove(filepath.Join(dir, n)))
	}
	return errors.Join(err, l.fs.Remove(dir))
}

// dropDamagedIndex removes the .idx of the active segment if it is damaged: whoever
// needs it makes a new one, or does without.
func (p *partition) dropDamagedIndex() {
	f, err := p.l.fs.Open(p.indexPath(p.act), vfs.ReadOnly)
	if err != nil {
		return
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil || size > largestIndex {
		return
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) || err != nil && err != io.EOF {
		return
	}
	if n := len(segment.ParseIndex(b, p.act.end.SegmentID, p.act.size)); int64(n)*segment.EntryLen != size {
		p.dropIndex(p.act)
	}
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

// pass goes through the first size bytes of a segment as readers do, and gives
// visit, if it is not nil, each BATCH that they would read lines of.
func (r *repairer) pass(s *readable, size int64, visit visitor) (f findings, err error) {
	f.end = s.base
	if s.openErr != nil {
		f.wrong(reason(s.openErr))
	}
	if s.foreign {
		return f, nil
	}
	begun := r.done
	defer func() { r.progress(max(0, begun+size-r.done)) }()
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
		r.progress(h.Size())
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
func (r *repairer) unit(s *readable, f *findings, at int64, h *segment.Header, visit visitor) (segment.Bounds, error) {
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

// segment looks at one that is not active and puts it right. before is the one
// before it, or nil.
func (r *repairer) segment(s *readable, before *previous) (*previous, error) {
	found, err := r.pass(s, s.size, nil)
	if err != nil {
		return nil, err
	}
	switch {
	case found.reason == "" && found.end >= s.stop && (found.sealed || s.givenUp):
	case found.reason == "" && found.sealed && found.end > s.base:
		if err = r.unlearnLocked(); err == nil {
			err = r.bridge(s, &found)
		}
	default:
		if err = r.unlearnLocked(); err == nil {
			err = r.rewrite(s, &found, before)
		}
	}
	me := &previous{base: s.base, end: s.stop, time: found.last.Last, epoch: found.last.Epoch}
	if before != nil {
		me.time, me.epoch = max(me.time, before.time), max(me.epoch, before.epoch)
	}
	return me, err
}
