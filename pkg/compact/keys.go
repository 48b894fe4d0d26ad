package compact

import (
	"cmp"
	"math"

	"logtools/pkg/spill"
)

// hash stands for a key: 128 bits that differ for different keys.
type hash struct{ hi, lo uint64 }

func (h hash) before(o hash) bool { return h.hi < o.hi || h.hi == o.hi && h.lo < o.lo }

// survivors finds out which events stay. The events of a partition are added in their
// order; they are numbered from 0.
//
// There is a bit for each event, and a table of the newest events of each key. An
// event that cannot stay any more loses its bit, so the bits are right at any time as
// far as keys are concerned that were in the table from their first event on. When
// memory is full all of the table goes to a file, sorted by hash, and it begins anew:
// frequent keys are soon in it again. In the end all that was written is merged. What
// the file has of a key is in order, so the merge does to it what the table does.
type survivors struct {
	keep   int
	dir    *spill.Dir
	memory int64
	bits   bitmap
	table  keyTable
	// What bits may take before the table must have less memory.
	reserve int64

	// Events that are not in the table yet. Their slots are read together, so that the
	// memory is waited for once and not for each.
	pending [64]keyEvent
	n       int
	touched uint64

	files []*spill.File // runs are added to the last one
	runs  []spill.Run
	rec   []byte
	err   error // of a file or of the bits: no more can be added

	keys, tombstones int64
}

// mark is an event of a key: its number, and above all what it does.
type mark uint64

const (
	isTombstone mark = 1 << iota
	isExpired
	markBits = iota
)

func (m mark) number() int64 { return int64(m >> markBits) }

type keyEvent struct {
	key  hash
	mark mark
}

// minMemory is what is used at least: 16 runs are merged at a time.
const minMemory = 1 << 20

// newSurvivors returns one that keeps the newest keep (1 or more) events of each key,
// and nothing older than its newest tombstone. It uses about memory bytes, but 1 MiB at
// least, beyond that files of d. While these are merged the events that stay of one key
// take about 10 bytes each, whatever memory is.
func newSurvivors(d *spill.Dir, keep int, memory int64) (*survivors, error) {
	// Half of the addresses are more than there can be, where they have 32 bits.
	memory = min(max(memory, minMemory), math.MaxInt/2)
	s := &survivors{keep: max(keep, 1), dir: d, memory: memory}
	s.bits.memory = memory
	s.table.rings.init(memory)
	s.share()
	return s, nil
}

// share gives the bits a 16th of the memory more, and the table what is left.
func (s *survivors) share() {
	s.reserve += max(s.memory/16, chunkBytes)
	s.table.room = s.memory - s.reserve - spill.BlockMemory
}

// add adds the next event that has a key. expired says of a tombstone that it has done
// its duty: it goes, too, though what is older than it goes all the same. The error is
// a *memoryError, or one of a file; it may be that of an earlier event, and then stays.
func (s *survivors) add(key hash, tombstone, expired bool) error {
	m := mark(s.bits.n) << markBits
	if tombstone {
		m |= isTombstone
		if expired {
			m |= isExpired
		}
	}
	if err := s.addNoKey(); err != nil {
		return err
	}
	s.pending[s.n] = keyEvent{key, m}
	s.n++
	if s.n == len(s.pending) {
		s.settlePending()
	}
	return s.err
}

// addNoKey adds the next event, which stays.
func (s *survivors) addNoKey() error {
	if s.bits.full() && s.err == nil {
		s.err = s.bits.grow()
		if s.err == nil && s.bits.bytes() > s.reserve {
			s.makeRoom()
		}
	}
	if s.err != nil {
		return s.err
	}
	s.bits.n++
	return nil
}

// makeRoom takes memory from the table, for the bits. An eighth of what the table may
// take must be left for it to go on with.
func (s *survivors) makeRoom() {
	s.share()
	if s.table.bytes() > s.table.room/8*7 {
		s.flush()
		s.table.release()
	}
}

func (s *survivors) settlePending() {
	t := &s.table
	t.begin()
	var sum uint64
	for i := range s.pending[:s.n] {
		sum += t.touch(s.pending[i].key.hi)
	}
	s.touched = sum // or the compiler would leave the reading out
	for i := range s.pending[:s.n] {
		s.settle(&s.pending[i])
	}
	s.n = 0
}

// settle puts an event into the table. After an error it does nothing.
func (s *survivors) settle(e *keyEvent) {
	for s.err == nil {
		i, ok := s.table.find(e.key)
		switch {
		case !ok:
			if s.table.put(i, e.key, single(e.mark)) {
				return
			}
		case s.keep == 1 || e.mark&isTombstone != 0:
			val := &s.table.slots[i].val
			older, more := s.table.marks(val)
			s.drop(older)
			s.drop(more)
			s.table.replace(val, e.mark)
			return
		default:
			val := &s.table.slots[i].val
			if oldest, full := s.table.oldest(val, s.keep); full {
				s.dropOne(oldest)
				s.table.pop(val)
			}
			if s.table.push(val, e.mark) {
				return
			}
		}
		// An empty table has room for it.
		s.flush()
	}
}

func (s *survivors) drop(ms []mark) {
	for _, m := range ms {
		s.dropOne(m)
	}
}

// dropOne is for each event that goes: it is called once.
func (s *survivors) dropOne(m mark) {
	s.bits.clear(m.number())
	if m&isTombstone != 0 {
		s.tombstones++
	}
}

// last is for each key: ms and more are the events that were not dropped. Only the
// first of them can be a tombstone.
func (s *survivors) last(ms, more []mark) {
	n := len(ms) + len(more)
	if n > 0 && ms[0]&isExpired != 0 {
		s.dropOne(ms[0])
		n--
	}
	if n > 0 {
		s.keys++
	}
}

// finish returns the events that stay. Nothing can be added any more.
func (s *survivors) finish() (*alive, error) {
	s.settlePending()
	if s.err == nil && len(s.runs) > 0 {
		s.flush()
		s.table.free()
		if s.err == nil {
			s.err = s.merge()
		}
	} else if s.err == nil {
		s.table.each(func(_ hash, ms, more []mark) error {
			s.last(ms, more)
			return nil
		})
		s.table.free()
	}
	if s.err != nil {
		return nil, s.err
	}
	return &alive{s.bits.n, s.keys, s.tombstones, s.bits}, nil
}

// close frees memory and files; what finish returned stays valid.
func (s *survivors) close() error {
	var err error
	for _, f := range s.files {
		err = cmp.Or(err, f.Close()) // closing again does nothing
	}
	s.table.free()
	s.bits, s.files, s.runs, s.n = bitmap{}, nil, nil, 0
	s.err = cmp.Or(s.err, errClosed)
	return err
}

// alive are the events that stay.
type alive struct {
	events     int64 // all that were added
	keys       int64 // that have an event that stays
	tombstones int64 // that go
	bits       bitmap
}

// stays says whether an event stays, of those that were added.
func (a *alive) stays(n int64) bool { return a.bits.has(n) }

// count returns how many of the events from number from on and before to stay.
func (a *alive) count(from, to int64) int64 { return a.bits.count(from, to) }
