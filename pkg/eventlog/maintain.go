package eventlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/segment"
)

// MaintainOptions say how a partition is maintained.
type MaintainOptions struct {
	// LockTimeout is how long to wait for another process's lock before it is an
	// error (*LockError); 0 is for ever.
	LockTimeout time.Duration
	// DryRun: nothing is changed. What would be written is counted, and Segments
	// gives what there would be.
	DryRun bool
}

// Maintenance is what replaces and removes segments of a partition, beside those who
// append and read. One process does so at a time, which holds the partition's
// maint.lock until Close. After each step, also one that a crash has cut short, the log
// is correct:
//
//   - A segment is replaced in one step, by one that has the same name and reaches at
//     least as far. Who reads the old one reads on in it.
//   - If several are replaced by one, that takes the name of the first; then the others
//     are removed, the oldest first. Until they are, readers leave the new one where
//     the next of them begins: its events are then those of the old ones.
//   - Segments are removed from the old end, the oldest first. Each removal is durable
//     before the next one.
//   - The last segment, to which events are appended, is never touched.
//   - No segment takes the place of one that another writer may ask for: see Segment.Apart.
type Maintenance struct {
	l     *Log
	n     int
	dir   string
	o     MaintainOptions
	p     *partition // nil: a dry run
	maint vfs.Lock   // nil: a dry run where no lock can be had
	passer
	// dry is what there would be in a dry run that has done something; else nil.
	dry []Segment
}

// Segment is a segment of a partition.
type Segment struct {
	Base, Next int64 // offsets: those from Base up to, but not including, Next
	ID         uint64
	Bytes      int64 // on the disk
	// Units, Events and Raw count the units, their lines, and the bytes of these.
	Units, Events, Raw int64
	// First and Last are when the first and the last event were appended, in
	// microseconds since 1970; without events, the times of the units.
	First, Last int64
	// Active: events are appended to it. It is the last one.
	Active bool
	// Superseded: what was left out when it was made was superseded by events before this
	// offset; 0: nothing was left out.
	Superseded int64
	// Apart: it says that the one before it was given up, and where that ends. It must
	// not be replaced together with it: a writer that has not heard of that would no
	// longer find out.
	Apart bool
}

// Maintain begins the maintenance of a partition. It removes what a process that was
// killed has left of it. ctx ends waiting and everything else.
//
// Rules of the log are the caller's concern; but if it gets some later, Replace and
// Remove return an error.
func (l *Log) Maintain(ctx context.Context, partition int, o MaintainOptions) (*Maintenance, error) {
	m := &Maintenance{l: l, n: partition, dir: l.dir(partition), o: o, passer: passer{ctx: ctx, dec: segment.NewDecoder()}}
	err := m.open()
	if err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func (m *Maintenance) open() (err error) {
	if m.o.DryRun {
		if err := m.l.hasPartition(m.n); err != nil {
			return err
		}
		if _, err := m.l.list(m.n); err != nil {
			return err
		}
		// Who may only read looks without the lock.
		if m.maint, err = m.l.lockMaint(m.ctx, m.n, m.o.LockTimeout); errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			return nil
		}
		return err
	}
	if m.p, m.maint, err = m.l.upkeep(m.ctx, m.n, m.o.LockTimeout); err != nil {
		return err
	}
	m.p.rules = &m.l.settings.Rules
	return m.l.removeMarked(m.dir, workMark)
}

// Close ends the maintenance.
func (m *Maintenance) Close() error {
	if m.p != nil {
		m.p.close()
	}
	m.dec.Close()
	if m.maint != nil {
		return m.maint.Close()
	}
	return nil
}

// removeMerged removes segments whose events the one before them has, too, after it was
// made sure that this is so: their removal was cut short.
func (m *Maintenance) removeMerged() error {
	bases, err := m.l.list(m.n)
	if err != nil {
		return err
	}
	end, of := int64(-1), int64(-1) // what the last segment that stays has
	checked := false
	return m.l.walk(m.n, bases, false, func(s *readable) (bool, error) {
		reach := int64(-1)
		switch {
		case s.openErr != nil:
		case s.givenUp:
			reach = s.stop // whatever lies behind that
		case s.sealed:
			reach = s.sealEnd
		}
		if end <= s.base || s.last || reach < 0 || reach > end {
			end, of, checked = reach, s.base, false
			return true, nil
		}
		if !checked {
			if err := m.whole(of, end); err != nil {
				return false, err
			}
			// Its name may not be durable yet.
			if err := m.l.fs.SyncDir(m.dir); err != nil {
				return false, err
			}
			checked = true
		}
		return true, m.unlink(s.base)
	})
}

// whole reads a segment up to its end and returns an *event.DamagedError if not all of
// it is sound.
func (m *Maintenance) whole(base, end int64) error {
	s, err := m.l.openReadable(m.n, base)
	if err != nil {
		return err
	}
	defer s.close()
	s.stop = end
	found, err := m.pass(s, s.size, nil)
	if err == nil && (found.reason != "" || !found.sealed) {
		err = s.damaged(0, -1, base, end, found.reason)
	}
	return err
}

// unlink removes a segment, durably.
func (m *Maintenance) unlink(base int64) error {
	if err := m.unlessRules(func() error {
		return m.l.fs.Remove(filepath.Join(m.dir, segmentName(base)))
	}); err != nil {
		return err
	}
	m.l.fs.Remove(filepath.Join(m.dir, indexName(base))) // of a writer that was killed when it rolled
	return m.l.fs.SyncDir(m.dir)
}

// Seal begins a new active segment if the one that there is has events: it can be
// replaced then.
func (m *Maintenance) Seal() error {
	if m.o.DryRun {
		return m.drySeal()
	}
	if err := m.p.acquire(); err != nil {
		return err
	}
	defer m.p.free()
	if a := m.p.act; a.end.Next > a.base {
		return m.p.roll()
	}
	return nil
}

// Segments returns the segments in their order, as their SEALs say. It first removes
// what is left of merged ones, if Replace was killed. What is damaged as far as can be
// seen by that is an *event.DamagedError.
func (m *Maintenance) Segments() ([]Segment, error) {
	if m.dry != nil {
		return slices.Clone(m.dry), nil
	}
	all, merged, err := m.look()
	if err != nil || !merged || m.o.DryRun {
		return all, err
	}
	if err := m.removeMerged(); err != nil {
		return nil, err
	}
	all, _, err = m.look()
	return all, err
}

// look returns the segments, and whether some are only left of merged ones.
func (m *Maintenance) look() (all []Segment, merged bool, err error) {
	err = m.l.retry(func() error {
		all = nil
		x, err := m.l.extent(m.n)
		if err != nil {
			return err
		}
		if x.absent != 0 {
			return m.l.missingFile(m.n, x.absent, x.next, x.next)
		}
		return m.l.walk(m.n, x.bases, false, func(s *readable) (bool, error) {
			one, _, err := m.segment(s, &x)
			all = append(all, one)
			merged = merged || s.sealed && s.sealEnd > s.stop && !s.givenUp
			return err == nil, err
		})
	})
	return all, merged, err
}

// segment says what s is, and what its SEAL says or would say.
func (m *Maintenance) segment(s *readable, x *extent) (one Segment, seal segment.Seal, err error) {
	if s.openErr != nil {
		return one, seal, s.damaged(0, -1, s.base, s.base, reason(s.openErr))
	}
	if !s.last && !s.sealed && !s.givenUp { // nobody has given it up: it once had a SEAL
		return one, seal, s.damaged(0, s.size, s.base, s.base, "the SEAL at its end is missing")
	}
	one = Segment{Base: s.base, Next: s.stop, ID: s.id, Bytes: s.size, Active: s.last, Apart: s.open.Lost != 0, Superseded: s.open.Superseded}
	if s.sealed && s.stop >= s.sealEnd {
		one.tell(&s.seal)
		switch {
		case s.last: // its writer was killed before there was a next one
			one.Next = s.sealEnd
		case s.stop > s.sealEnd:
			err = m.l.missingFile(m.n, s.sealEnd, s.sealEnd, s.stop)
		}
		return one, s.seal, err
	}
	end := s.size
	if s.last {
		one.Next, end = x.next, min(end, x.end)
	}
	sc, e, err := s.scanOffset(s.stop, end)
	if err != nil {
		return one, seal, err
	}
	n := 0
	for n < len(s.index) && s.index[n].At <= e.At {
		n++
	}
	t := segment.ResumeTally(s.index[:n:n])
	var b segment.Batch
	err = s.each(sc, func(at int64, h *segment.Header) (bool, error) {
		if h.Base >= s.stop {
			return false, nil
		}
		times, _ := b.TimesOf(at, h) // whoever reads it says what is wrong
		u := *h
		if h.Next > s.stop { // some of its lines are void, or those of a merged one
			lo, hi := lines(h, &b, 0, s.stop)
			u.RawLen = uint32(int64(h.RawLen) * int64(hi-lo) / max(int64(h.Count), 1))
			u.Count = uint32(hi - lo)
		}
		t.Add(&u, times)
		return true, nil
	})
	seal = t.Seal()
	one.tell(&seal)
	return one, seal, err
}

func (s *Segment) tell(seal *segment.Seal) {
	s.Units, s.Events, s.Raw = seal.Units, seal.Events, seal.Raw
	s.First, s.Last = seal.First, seal.Last
}

// Remove removes a segment, the oldest one. Readers that are behind what is left are told
// so (*event.GoneError).
func (m *Maintenance) Remove(s Segment) error {
	if err := m.ctx.Err(); err != nil {
		return err
	}
	if m.o.DryRun {
		return m.dryReplace([]Segment{s})
	}
	bases, err := m.l.list(m.n)
	if err != nil {
		return err
	}
	if len(bases) < 2 || bases[0] != s.Base {
		return fmt.Errorf("%s: segment %s is not the oldest", m.dir, segmentName(s.Base))
	}
	return m.unlink(s.Base)
}

// unlessRules calls f under the lock of the writers, unless the log has got rules
// meanwhile: what they rest upon must not be taken away.
func (m *Maintenance) unlessRules(f func() error) error {
	if err := m.p.acquire(); err != nil {
		return err
	}
	defer m.p.free()
	return f()
}

const noteName = "compacted"

// ReadNote fills in v, a pointer to a struct, with what WriteNote was last given; false
// if there is nothing, or nothing that is whole.
func (m *Maintenance) ReadNote(v any) (bool, error) {
	f, err := m.l.fs.Open(filepath.Join(m.dir, noteName), vfs.ReadOnly)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	defer f.Close()
	b, err := readFile(f, maxSettings)
	if err != nil {
		return false, err
	}
	return decodeSummed(b, v) == nil, nil
}

// WriteNote keeps v, a struct, beside the segments, in a file of JSON that anybody may
// delete.
func (m *Maintenance) WriteNote(v any) error {
	if m.o.DryRun {
		return nil
	}
	name := filepath.Join(m.dir, noteName)
	work, err := m.l.newName(name, workMark)
	if err != nil {
		return err
	}
	if err = m.l.create(work, encodeSummed(v)); err == nil {
		if err = m.l.fs.Rename(work, name); err == nil {
			return m.l.fs.SyncDir(m.dir)
		}
	}
	m.l.fs.Remove(work)
	return err
}

// errMoved says that a segment is no longer there since it was merged or removed: what
// was found out of the others may not fit together.
var errMoved = errors.New("the log is being compacted")

// retry calls f until what it looks at does not move meanwhile.
func (l *Log) retry(f func() error) error {
	for try := 0; ; try++ {
		if err := f(); !errors.Is(err, errMoved) || try >= maxRelists {
			return err
		}
	}
}
