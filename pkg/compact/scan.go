package compact

import (
	"bytes"
	"context"
	"hash/maphash"
	"runtime"
	"runtime/debug"
	"slices"
	"sort"

	"logtools/pkg/event"
	"logtools/pkg/eventlog"
	"logtools/pkg/spill"
	"logtools/pkg/stream"
)

// hasher makes hashes of canonical keys: two of 64 bits, with seeds that nobody knows.
type hasher struct{ hi, lo maphash.Seed }

func newHasher() hasher { return hasher{maphash.MakeSeed(), maphash.MakeSeed()} }

func (h *hasher) sum(key []byte) hash {
	return hash{maphash.Bytes(h.hi, key), maphash.Bytes(h.lo, key)}
}

// keyed is what the survivors need to know of a line, or of some without a key that
// follow each other.
type keyed struct {
	key       hash
	tombstone bool
	noKey     int32 // how many have no key; 0: there is one, and it has
}

// finder finds the keys of lines. It is for one goroutine.
type finder struct {
	hasher hasher
	reader *event.Reader
	clean  event.Clean
	event  event.Event
	buf    []byte
}

func newFinder(h hasher) *finder {
	return &finder{hasher: h, reader: event.NewReader(new(event.Fields), event.Auto)}
}

// block replaces found by what is to be known of the lines of b.
func (f *finder) block(b *stream.Block, found *[]keyed) error {
	all := (*found)[:0]
	f.clean.Inspect(b.Data)
	f.reader.Block(f.clean)
	for rest := b.Data; len(rest) > 0; {
		n := bytes.IndexByte(rest, '\n')
		line := rest[:n]
		rest = rest[n+1:]
		f.event.Reset(0)
		if err := f.reader.Read(line, &f.event); err != nil {
			return err
		}
		if f.event.Key.Kind > event.Null {
			f.buf = f.event.Key.AppendCanonical(f.buf[:0])
			all = append(all, keyed{key: f.hasher.sum(f.buf), tombstone: f.event.Tombstone()})
			continue
		}
		if n := len(all); n > 0 && all[n-1].noKey > 0 {
			all[n-1].noKey++
		} else {
			all = append(all, keyed{noKey: 1})
		}
	}
	*found = all
	return nil
}

// workerMemory is about what a worker takes of the memory to read blocks, or to compress
// units.
const workerMemory = 16 << 20

// workers is how many there are: one per core, but not more than two, or one for each
// 64 MiB of memory.
func workers(memory int64) int {
	return int(min(int64(runtime.GOMAXPROCS(0)), max(2, memory/(4*workerMemory))))
}

// keyMemory is how much of the memory is for the survivors; a sixteenth of it is garbage
// for a while. total is about how much memory there must be for them to have so much.
func keyMemory(memory int64) int64 {
	return max(memory-memory/16-int64(workers(memory))*workerMemory, memory/4)
}

func total(keys int64) int64 {
	memory := min((keys+workerMemory)*16/15, keys*4)
	for keyMemory(memory) < keys {
		memory += workerMemory / 8
	}
	return memory
}

// findKeys finds out what stays.
func (r *runner) findKeys() (err error) {
	sealed := r.sealed()
	memory := keyMemory(r.o.Memory)
	if events, _ := totals(sealed); events > 0 {
		if err := checkMemory(events, memory); err != nil {
			return err
		}
	}
	spilled := spill.New(r.o.TempDir)
	defer spilled.Close()
	s, err := newSurvivors(spilled, r.o.Keep, memory)
	if err != nil {
		return err
	}
	defer s.close()
	c := collector{r: r, s: s, sealed: sealed, cutoff: r.cutoff(), tombstones: make([]int64, len(r.note.Covered)+1)}
	c.below, c.coveredAt = r.expiredBelow()
	r.starts = make([]int64, 1, len(sealed)+1)
	// Times never decrease: behind the first event that is too young all are.
	n := slices.IndexFunc(sealed, func(s eventlog.Segment) bool { return s.Events > 0 && s.Last > c.cutoff }) + 1
	if n == 0 {
		n = len(sealed)
	}
	if n > 0 {
		r.next = sealed[n-1].Next
		err = r.read(sealed[:n], func(blocks stream.Blocks) error {
			h := newHasher()
			return inOrder(r.ctx, workers(r.o.Memory), blocks, func() func(*stream.Block, *[]keyed) error { return newFinder(h).block }, c.take)
		})
		if err != nil {
			return err
		}
	}
	r.passed(sealed[n:])
	c.reach(int64(1)<<62, len(sealed))
	r.note.Covered = cover(r.note.Covered, c.tombstones, r.next, r.now, r.o.Tombstones.Microseconds())
	if r.alive, err = s.finish(); err != nil {
		return err
	}
	// What comes now would use as much again before the memory of the keys was freed.
	s.close()
	debug.FreeOSMemory()
	return nil
}

// read reads segments.
func (r *runner) read(segments []eventlog.Segment, f func(blocks stream.Blocks) error) error {
	to := eventlog.AtOffset(segments[len(segments)-1].Next)
	blocks, err := r.l.Read(r.report.Partition, eventlog.ReadOptions{From: eventlog.AtOffset(segments[0].Base), To: &to})
	if err != nil {
		return err
	}
	defer blocks.Close()
	err = f(&metered{blocks, r})
	r.passed(segments)
	return err
}

// passed says that segments were dealt with, whether they were read or need not be.
func (r *runner) passed(segments []eventlog.Segment) {
	for i := range segments {
		r.done += segments[i].Bytes
	}
	r.progress(0)
}

// metered tells how far the reading has come.
type metered struct {
	*eventlog.Reader
	r *runner
}

// Next is stream.Blocks's.
func (m *metered) Next(ctx context.Context, b *stream.Block) error {
	err := m.Reader.Next(ctx, b)
	if m.r.o.Progress != nil {
		done, _ := m.Progress()
		m.r.progress(done)
	}
	return err
}

// collector hands the events of a partition to the survivors.
type collector struct {
	r      *runner
	s      *survivors
	sealed []eventlog.Segment
	n      int64 // events so far
	// below is the offset before which tombstones are expired that were appended at or
	// before coveredAt: a note that is newer than the log, as in a copy of a log that was
	// in use, knows nothing of what was appended since.
	below, coveredAt int64
	cutoff           int64
	// tombstones counts those that are not expired: for each covering of the note those
	// that it was the first to cover, then those that none has.
	tombstones []int64
}

// reach notes which segments begin at or before an offset, but for the first one, up to
// number most.
func (c *collector) reach(offset int64, most int) {
	for i := len(c.r.starts); i <= most && offset >= c.sealed[i-1].Next; i++ {
		c.r.starts = append(c.r.starts, c.n)
	}
}

func (c *collector) take(b *stream.Block, found *[]keyed) error {
	if len(b.Data) == 0 {
		return nil
	}
	times := runs{b: b}
	line := int64(0)
	for i := range *found {
		k := &(*found)[i]
		for range max(k.noKey, 1) {
			offset := b.Pos.Offset(line)
			line++
			at := times.next()
			if at > c.cutoff {
				c.r.next, c.r.pending = offset, at
				return errEnough
			}
			c.reach(offset, len(c.sealed)-1)
			c.n++
			var err error
			if k.noKey > 0 {
				err = c.s.addNoKey()
			} else {
				expired := k.tombstone && offset < c.below && at <= c.coveredAt
				if k.tombstone && !expired {
					c.tombstone(offset, at)
				}
				err = c.s.add(k.key, k.tombstone, expired)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *collector) tombstone(offset, at int64) {
	covered := c.r.note.Covered
	c.tombstones[sort.Search(len(covered), func(i int) bool { return covered[i].Next > offset && covered[i].At >= at })]++
}

// runs gives when the lines of a block were appended.
type runs struct {
	b    *stream.Block
	run  int
	left int64
}

func (t *runs) next() int64 {
	p := &t.b.Pos
	if len(p.Times) == 0 {
		return p.Appended
	}
	for t.left == 0 {
		t.left = p.Times[t.run].Lines
		t.run++
	}
	t.left--
	return p.Times[t.run-1].Appended
}
