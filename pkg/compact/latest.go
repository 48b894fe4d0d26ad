package compact

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"io/fs"
	"slices"

	"logtools/pkg/spill"
)

// Latest keeps the newest lines of each key out of a stream of any length. It is not
// safe for concurrent use.
//
// In memory lines lie one after the other in the order in which they came, those that
// were replaced meanwhile, too, until half of it is such garbage and the others close
// up. A line knows its key and which of its lines it is, and a key knows which of its
// lines is the oldest that stays: so to replace a line costs nothing, whatever keep is.
//
// Beyond memory the lines that stay so far are numbered and written to one file, and to
// another a sorted run of their keys and numbers. So one file has all lines in their
// order, of which only the numbers need to be known that stay; they come from merging
// the runs of keys, from the newest to the oldest. Lines are never sorted or merged.
type Latest struct {
	keep   uint64
	memory int64
	limit  int64                   // of used, beyond which files are used
	soft   int64                   // of used, at which it is time to look for garbage
	hash   func(key []byte) uint64 // equal ones cost time, nothing else
	err    error                   // after it nothing is right any more

	pool    pool
	lines   arena
	count   int64 // of the lines in the arena
	keys    arena
	entries []latestKey
	table   []uint64 // open addressing: upper half of the hash, number of the entry + 1
	order   []placed // scratch of spill

	dir      *spill.Dir
	files    []*spill.File // all that are open
	keyFile  *spill.File
	keyRuns  []spill.Run // the oldest first
	lineFile *spill.File
	lineRuns []spill.Run // the oldest first: one after the other they are all lines
	longest  int64       // key
	next     uint64      // number of the next line that is written
	fresh    stored      // in the line file, since tidy
	settled  stored      // and before
	same     []byte      // scratch of newest
}

// latestKey is a key in memory.
type latestKey struct {
	hash uint64
	key  uint64 // where it is in keys
	// The lines of the key are counted from 0, as long as the entry is there: those
	// from number from on and before next stay so far.
	from, next uint64
}

// placed is a line that is written, for sorting by key.
type placed struct {
	hash  uint64
	entry uint32
	line  uint32 // lines written before it in this run << 1 | tombstone
}

// stored says how much was written to a file of lines.
type stored struct{ bytes, lines, noKey int64 }

// A line in the arena, integers little-endian:
//
//	u32  the entry of its key, or noEntry
//	u32  its length
//	u64  the mark: how many lines of its key came before, above two flags
//	     the line
//
// In a file it begins at the mark, which has its number then. A record of a key is the
// mark of a line, and the key.
const (
	lineHead      = 16
	lineMarkAt    = 8
	lineMarkBytes = 8
	noEntry       = 1<<32 - 1

	lineTombstone = 1
	lineNoKey     = 2
	lineMarkShift = 2

	latestKeyBytes = 32
	placedBytes    = 16

	// maxLatestMemory keeps the numbers of entries and of lines in memory in their fields:
	// a line takes at least lineHead + placedBytes.
	maxLatestMemory = 64 << 30
	// maxLatestLine limits lines and keys, so that they can be written.
	maxLatestLine = 1<<30 - 1<<10

	minLatestMemory = 64 << 10
	firstSoft       = 8 << 20
	minLatestTable  = 64
	minFanIn        = 4
)

// NewLatest returns one that keeps the newest keep (1 or more) lines of each key, and
// none that is older than the key's newest tombstone. It uses about memory bytes (at
// least about 1 MiB, and some times the longest line), beyond that files of d: about
// six times the lines that stay at most, or a few times memory.
func NewLatest(d *spill.Dir, keep int, memory int64) (*Latest, error) {
	if keep < 1 {
		return nil, fmt.Errorf("cannot keep %d lines of each key", keep)
	}
	memory = min(max(memory, minLatestMemory), maxLatestMemory)
	l := &Latest{keep: uint64(keep), memory: memory, limit: memory / 4 * 3, dir: d}
	seed := maphash.MakeSeed()
	l.hash = func(key []byte) uint64 { return maphash.Bytes(seed, key) }
	l.pool.size = int(min(max(memory/16, 4<<10), 1<<20))
	l.soft = min(firstSoft, l.limit)
	return l, nil
}

// Add adds a line. key is the canonical form of its key, empty if it has none: then
// it stays. Neither is kept. A line or key of 1 GiB is an error, and nothing else has
// happened; after any other error l is of no use.
func (l *Latest) Add(key, line []byte, tombstone bool) error {
	if l.err != nil {
		return l.err
	}
	if n := max(len(key), len(line)); n > maxLatestLine {
		return fmt.Errorf("a line of %d bytes is too long", n)
	}
	number, mark := uint32(noEntry), uint64(lineNoKey)
	if len(key) > 0 {
		if number, l.err = l.entry(key); l.err != nil {
			return l.err
		}
		e := &l.entries[number]
		mark = e.next << lineMarkShift
		if tombstone {
			mark |= lineTombstone
			e.from = e.next
		}
		if e.next++; e.next-e.from > l.keep {
			e.from++
		}
	}
	b := l.lines.room(&l.pool, lineHead+len(line))
	binary.LittleEndian.PutUint32(b, number)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(line)))
	binary.LittleEndian.PutUint64(b[lineMarkAt:], mark)
	copy(b[lineHead:], line)
	l.count++
	if l.used() > l.soft {
		l.err = l.makeRoom(0)
	}
	return l.err
}

// Each calls yield with the lines that stay, in the order in which they were added; an
// error of yield ends that and is returned. A line is valid only during the call. Each
// can be called once, and Add may not follow it.
func (l *Latest) Each(yield func(line []byte) error) error {
	if l.err != nil {
		return l.err
	}
	if l.lineRuns == nil {
		return l.stay(func(rec []byte) error { return yield(rec[lineHead:]) })
	}
	if l.count > 0 {
		if l.err = l.spill(); l.err != nil {
			return l.err
		}
	}
	l.free()
	l.keyFile.Release()
	l.lineFile.Release()
	runs, err := l.reduce()
	if err != nil {
		return err
	}
	return l.stored(runs, func(rec []byte) error { return yield(rec[lineMarkBytes:]) })
}

// Close frees memory and files. Closing again does nothing.
func (l *Latest) Close() error {
	l.free()
	if l.err == nil {
		l.err = fs.ErrClosed
	}
	var err error
	for _, f := range l.files {
		err = cmp.Or(err, f.Close())
	}
	l.files, l.keyRuns, l.lineRuns = nil, nil, nil
	return err
}

// entry returns the number of a key's entry, which it makes if there is none.
func (l *Latest) entry(key []byte) (uint32, error) {
	if len(l.entries) == len(l.table)/4*3 {
		if err := l.grow(); err != nil {
			return 0, err
		}
	}
	hash := l.hash(key)
	mask := uint64(len(l.table) - 1)
	i := hash & mask
	for ; l.table[i] != 0; i = (i + 1) & mask {
		slot := l.table[i]
		if slot>>32 != hash>>32 {
			continue
		}
		number := uint32(slot) - 1
		if e := &l.entries[number]; e.hash == hash && bytes.Equal(l.key(e), key) {
			return number, nil
		}
	}
	l.longest = max(l.longest, int64(len(key)))
	b := l.keys.room(&l.pool, 4+len(key))
	binary.LittleEndian.PutUint32(b, uint32(len(key)))
	copy(b[4:], key)
	l.entries = append(l.entries, latestKey{hash: hash, key: l.keys.last(len(b))})
	number := uint32(len(l.entries) - 1)
	l.table[i] = hash>>32<<32 | uint64(number+1)
	return number, nil
}

// grow makes the table larger, and room for its entries; or nothing is in memory
// afterwards.
func (l *Latest) grow() error {
	n := max(2*len(l.table), minLatestTable)
	more := int64(n-len(l.table))*8 + int64(n/4*3-cap(l.entries))*latestKeyBytes
	if l.count > 0 && l.used()+more > l.soft {
		if err := l.makeRoom(more); err != nil {
			return err
		}
		if len(l.entries) < len(l.table)/4*3 {
			return nil
		}
		n = max(2*len(l.table), minLatestTable)
	}
	l.table = make([]uint64, n)
	l.entries = slices.Grow(l.entries, n/4*3-len(l.entries))
	mask := uint64(len(l.table) - 1)
	for number, e := range l.entries {
		i := e.hash & mask
		for l.table[i] != 0 {
			i = (i + 1) & mask
		}
		l.table[i] = e.hash>>32<<32 | uint64(number+1)
	}
	l.pool.trim(l.limit - l.index())
	return nil
}

// key returns the key of an entry.
func (l *Latest) key(e *latestKey) []byte {
	b := l.keys.at(e.key)
	return b[4 : 4+binary.LittleEndian.Uint32(b)]
}

// index returns how many bytes are taken besides the pool's.
func (l *Latest) index() int64 {
	return int64(cap(l.entries))*latestKeyBytes + int64(len(l.table))*8 + max(int64(cap(l.order)), l.count)*placedBytes
}

// used returns how many bytes are in use.
func (l *Latest) used() int64 { return l.pool.used + l.index() }

// makeRoom is called when so many bytes more would pass soft.
func (l *Latest) makeRoom(more int64) error {
	var alive int64
	l.stay(func(rec []byte) error { alive += int64(len(rec)); return nil })
	if alive <= l.lines.bytes/2 {
		l.closeUp()
	}
	for l.used()+more > l.soft {
		if l.soft == l.limit {
			return l.spill()
		}
		l.soft = min(2*l.soft, l.limit)
	}
	return nil
}

// stay calls f with the lines in the arena that stay so far, in their order.
func (l *Latest) stay(f func(rec []byte) error) error {
	for _, rest := range l.lines.chunks {
		for len(rest) > 0 {
			var rec []byte
			rec, rest = cutLine(rest)
			if !l.stays(rec) {
				continue
			}
			if err := f(rec); err != nil {
				return err
			}
		}
	}
	return nil
}

// closeUp frees the room of lines that do not stay.
func (l *Latest) closeUp() {
	old := l.lines
	l.lines, l.count = arena{}, 0
	for _, c := range old.chunks {
		for rest := c; len(rest) > 0; {
			var rec []byte
			if rec, rest = cutLine(rest); l.stays(rec) {
				copy(l.lines.room(&l.pool, len(rec)), rec)
				l.count++
			}
		}
		l.pool.give(c)
	}
}

// cutLine cuts the first line off, with its head.
func cutLine(b []byte) (rec, rest []byte) {
	n := lineHead + int(binary.LittleEndian.Uint32(b[4:]))
	return b[:n:n], b[n:]
}

// stays says whether a line in the arena stays so far.
func (l *Latest) stays(rec []byte) bool {
	number := binary.LittleEndian.Uint32(rec)
	return number == noEntry || binary.LittleEndian.Uint64(rec[lineMarkAt:])>>lineMarkShift >= l.entries[number].from
}

// empty forgets all lines and keys in memory; the memory serves the next ones.
func (l *Latest) empty() {
	for _, a := range []*arena{&l.lines, &l.keys} {
		for _, c := range a.chunks {
			l.pool.give(c)
		}
		*a = arena{}
	}
	l.count = 0
	few := len(l.entries) < cap(l.entries)/4
	clear(l.table)
	l.entries, l.order = l.entries[:0], l.order[:0]
	if few || l.index() > l.limit/4*3 {
		// What comes next may be of another kind, and there must be room for it.
		l.entries, l.table, l.order = nil, nil, nil
	}
}

// free gives all memory back.
func (l *Latest) free() {
	l.pool = pool{size: l.pool.size}
	l.lines, l.keys, l.count = arena{}, arena{}, 0
	l.entries, l.table, l.order = nil, nil, nil
}

// pool has the memory of arenas, in chunks.
type pool struct {
	size int      // of most chunks; longer records have longer ones
	free [][]byte // of size
	used int64    // bytes of the others
}

func (p *pool) take(need int) []byte {
	var c []byte
	if last := len(p.free) - 1; need <= p.size && last >= 0 {
		c = p.free[last]
		p.keep(last)
	} else {
		// Free chunks are too short, or there is none.
		p.keep(last + 1 - need/p.size)
		c = make([]byte, 0, max(need, p.size))
	}
	p.used += int64(cap(c))
	return c
}

func (p *pool) give(c []byte) {
	p.used -= int64(cap(c))
	if cap(c) == p.size {
		p.free = append(p.free, c[:0])
	}
}

// trim gives free chunks back until the pool has at most so many bytes.
func (p *pool) trim(bytes int64) { p.keep(int((bytes - p.used) / int64(p.size))) }

// keep gives all but the first n free chunks back.
func (p *pool) keep(n int) {
	if n = max(n, 0); n < len(p.free) {
		clear(p.free[n:])
		p.free = p.free[:n]
	}
}

// arena is records one after the other.
type arena struct {
	chunks [][]byte
	bytes  int64 // of all records
}

// room adds a record of n bytes, to be filled.
func (a *arena) room(p *pool, n int) []byte {
	last := len(a.chunks) - 1
	if last < 0 || cap(a.chunks[last])-len(a.chunks[last]) < n {
		a.chunks = append(a.chunks, p.take(n))
		last++
	}
	a.bytes += int64(n)
	c := a.chunks[last]
	a.chunks[last] = c[:len(c)+n]
	return c[len(c) : len(c)+n]
}

// last returns where the last record is, which has n bytes.
func (a *arena) last(n int) uint64 {
	last := len(a.chunks) - 1
	return uint64(last)<<32 | uint64(len(a.chunks[last])-n)
}

// at returns the record that is there, and all that follows in its chunk.
func (a *arena) at(ref uint64) []byte { return a.chunks[ref>>32][uint32(ref):] }
