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
	p, maint, err := l.upkeep(ctx, partition, o.LockTimeout)
	if err != nil {
		return err
	}
	defer p.close()
	defer maint.Close()
	r := &repairer{l: l, p: p, o: o, passer: passer{ctx: ctx, dec: segment.NewDecoder()}}
	defer r.dec.Close()
	r.seen = r.progress
	return r.run()
}

// upkeep takes what is needed to change more of a partition than its end: maint.lock,
// for which it waits so long (0 is for ever). The lock of the writers is not taken.
func (l *Log) upkeep(ctx context.Context, partition int, wait time.Duration) (*partition, vfs.Lock, error) {
	if err := l.hasPartition(partition); err != nil {
		return nil, nil, err
	}
	if err := refuseNetwork(l.fs, l.path); err != nil {
		return nil, nil, err
	}
	// The locks would be made anew in a directory that has been put in the place of
	// a lost one; what is not there shall fail here.
	if _, err := l.fs.ReadDir(l.dir(partition)); err != nil {
		return nil, nil, err
	}
	p, err := l.partition(partition, wait)
	if err != nil {
		return nil, nil, err
	}
	maint, err := l.lockMaint(ctx, partition, wait)
	if err != nil {
		p.close()
		return nil, nil, err
	}
	return p, maint, nil
}

// hasPartition returns an error if there is no partition of that number.
func (l *Log) hasPartition(n int) error {
	if n < 0 || n >= l.settings.Partitions {
		return fmt.Errorf("%s: there is no partition %d", l.path, n)
	}
	return nil
}

func (l *Log) lockMaint(ctx context.Context, partition int, wait time.Duration) (vfs.Lock, error) {
	maint, err := l.fs.Lock(filepath.Join(l.dir(partition), maintName))
	if err != nil {
		return nil, err
	}
	if err := l.waitFor(ctx, maint, wait); err != nil {
		maint.Close()
		var locked *LockError
		if errors.As(err, &locked) {
			locked.Lock = maintName
		}
		return nil, err
	}
	return maint, nil
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
	l *Log
	p *partition
	o RepairOptions

	unlearned   bool
	done, total int64
	passer
	body []byte
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
