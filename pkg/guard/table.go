package guard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"

	"logtools/pkg/eventlog"
	"logtools/pkg/internal/vfs"
)

// hash stands for a claim or a key: the first bytes of its SHA-256. A table counts
// on hashes being spread evenly; it is right, but slow, if they are not.
type hash [16]byte

func (h *hash) halves() (hi, lo uint64) {
	return binary.BigEndian.Uint64(h[:]), binary.BigEndian.Uint64(h[8:])
}

// maxRuns is how many runs there may be before some are merged. Each is an open
// file, and a look into a filter for a hash that is new.
const maxRuns = 8

// waitBytes is the largest merge that close waits for, unless there are very many
// runs: it may be called under the partition's lock.
const waitBytes = 64 << 20

// minMemory is what a table has if it is given less.
const minMemory = 64 << 10

// tableOptions say where a table lies, and whose it is.
type tableOptions struct {
	fs  vfs.FS
	dir string // such as LOG/guard/00000; it and LOG/guard are made by the first store

	// Runs of another log, partition or other rules are removed.
	log       [16]byte
	partition int
	rules     [16]byte

	// memory is what the table may take: a third is for what is in no run yet, a
	// quarter for directories and filters of runs, a quarter for those of a run that
	// is being written. What is put in though the table is full comes on top, and so
	// does about 1 MiB for each merge.
	memory int64

	// holds says whether the end of a run is a place of the log. It is called by
	// openTable only.
	holds func(eventlog.Mark) (bool, error)
}

// table maps hashes to small values. What is put in is kept in memory until it is
// stored as a run, a file of its own. It is for one goroutine at a time, and for
// one table at a time the calls of openTable, refresh, store and clear on a
// directory: the partition's lock sees to that. Merges of runs go on meanwhile.
//
// The error errDamaged is for clear.
type table struct {
	o      tableOptions
	id     identity
	recent recent
	runs   []*run // the oldest first; from 0 on without a gap
	kept   []*run // which are in runs no more, but which a merge reads
	cached int64  // bytes of directories and filters
	buf    []byte // for a bucket
	warmed uint64 // see warm

	merge    *merge // under way
	mergeErr error  // of the last one
	damaged  error  // what a merge has found
}

// openTable opens the table in a directory: the runs that go furthest without a
// gap from offset 0. Runs that are of no use, and what writers that were killed
// have left, are removed. There may be nothing.
func openTable(o tableOptions) (*table, error) {
	o.memory = max(o.memory, minMemory)
	t := &table{o: o, id: identity{o.log, o.rules, uint32(o.partition)}, recent: newRecent(o.memory / 3)}
	if err := t.look(math.MaxInt64, nil, o.holds); err != nil {
		t.close()
		return nil, err
	}
	if err := t.tidy(); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// stored is the first offset of which the runs know nothing.
func (t *table) stored() int64 {
	if len(t.runs) == 0 {
		return 0
	}
	return t.runs[len(t.runs)-1].to()
}

// get appends the value of h to dst and says whether there is one.
func (t *table) get(h hash, dst []byte) (v []byte, ok bool, err error) {
	hi, lo := h.halves()
	if v, ok := t.recent.get(hi, lo, dst); ok {
		return v, true, nil
	}
	if t.merge != nil {
		t.merged(false)
	}
	if t.damaged != nil {
		return dst, false, t.damaged
	}
	for i := len(t.runs) - 1; i >= 0; i-- {
		r := t.runs[i]
		r.lookups++
		if r.due() {
			if err := t.load(r); err != nil {
				return dst, false, err
			}
		}
		v, ok, t.buf, err = r.get(hi, lo, dst, t.buf)
		if ok || err != nil {
			return v, ok, err
		}
	}
	return dst, false, nil
}

// warm brings what get of h will look at first into the processor's cache. Called for
// some dozens of hashes in turn it waits for all of them together, and not for each.
func (t *table) warm(h hash) {
	hi, lo := h.halves()
	// The sum is of no use but that the reads are not left out.
	sum := t.recent.touch(hi)
	for _, r := range t.runs {
		if r.bits != nil {
			block, _ := probe(len(r.bits), hi, lo)
			sum += r.bits[block]
		}
	}
	t.warmed += sum
}

// put sets the value of h, which is copied. Values of up to 7 bytes, and those of 8
// whose last is 0, take no room of their own. They may be up to 1 GiB long, but each
// look-up in a run reads all values that lie near, so 64 KiB is more than enough.
func (t *table) put(h hash, v []byte) {
	hi, lo := h.halves()
	t.recent.put(hi, lo, v)
}

// full says that the memory part has all that it may have: it is to be stored.
func (t *table) full() bool { return t.recent.n > 0 && t.recent.full() }

// over says that values take far more memory than they may, which is what comes of
// putting many without looking at full.
func (t *table) over() bool { return int64(t.recent.values) > t.o.memory }

// forget drops the memory part.
func (t *table) forget() { t.recent.reset() }

// store makes a run of the memory part, which has what there is to know of the
// offsets from stored() (or before) to m.Next, and empties it. It is durable then.
// After an error the table is what it was.
func (t *table) store(m eventlog.Mark) error {
	from := t.stored()
	if m.Next == from { // it has all that is known
		t.recent.reset()
		return nil
	}
	if m.Next < from {
		return fmt.Errorf("%s: offset %d was stored before %d", t.o.dir, from, m.Next)
	}
	if t.merged(false); t.damaged != nil {
		return t.damaged
	}
	w, err := t.newRun(m)
	if err != nil {
		return err
	}
	if err := t.recent.each(w.add); err != nil {
		w.discard()
		return err
	}
	r, err := w.finish(t.o.dir)
	if err != nil {
		w.discard()
		return err
	}
	// Others may have stored since this table has looked, and merged what it has
	// open. If that cannot be found out the new run will do.
	if err := t.look(m.Next, r, nil); err != nil {
		t.use(append(slices.Clone(t.runs), r))
	}
	t.recent.reset()
	t.startMerge()
	return nil
}

// newRun begins the run that ends at m, in a directory that is made if it is not
// there.
func (t *table) newRun(m eventlog.Mark) (*runWriter, error) {
	n := int64(t.recent.n)
	h := runHead{identity: t.id, from: t.stored(), mark: m}
	tmp := filepath.Join(t.o.dir, storeTmp)
	w, err := newRun(t.o.fs, tmp, h, n, t.recent.bytes(), t.filterBits(n))
	if !gone(err) {
		return w, err
	}
	guard := filepath.Dir(t.o.dir)
	for _, dir := range []string{guard, t.o.dir} {
		if err := t.o.fs.Mkdir(dir); err != nil && !taken(err) {
			return nil, err
		}
		if err := t.o.fs.SyncDir(filepath.Dir(dir)); err != nil {
			return nil, err
		}
	}
	return newRun(t.o.fs, tmp, h, n, t.recent.bytes(), t.filterBits(n))
}

// share is what directories and filters may take: those that are loaded, and again
// those of a run that is written.
func (t *table) share() int64 { return t.o.memory / 4 }

// filterBits is how many bits of filter each hash gets, so that the filters of all
// runs fit, together with n more hashes.
func (t *table) filterBits(n int64) int {
	for _, r := range t.runs {
		n += r.keys
	}
	// A directory takes about two bits for each hash.
	bits := t.share()*8/max(n, 1) - 2
	if bits < 3 {
		return 0 // they would let too much through
	}
	return int(min(bits, 10))
}

// load loads what is looked at for each hash of a run, if there is room.
func (t *table) load(r *run) error {
	if t.cached+r.loadSize() > t.share() {
		r.declined = true
		return nil
	}
	err := r.load()
	t.cached += r.cache()
	return err
}

// use makes the table have these runs, and no others.
func (t *table) use(runs []*run) {
	old := slices.Concat(t.runs, t.kept)
	t.runs, t.kept, t.cached = runs, nil, 0
	for _, r := range old {
		switch {
		case slices.Contains(runs, r):
		case r.merging:
			r.dir, r.bits, r.declined = nil, nil, true
			t.kept = append(t.kept, r)
		default:
			r.close()
		}
	}
	for _, r := range runs {
		if r.dir != nil && t.cached+r.cache() > t.share() {
			r.dir, r.bits = nil, nil
		}
		t.cached += r.cache()
	}
	for _, r := range runs {
		r.declined = r.dir == nil && r.declined && t.cached+r.loadSize() > t.share()
	}
}

// refresh looks for what others have stored. known is the first offset of which
// this table has learned nothing. If the runs have all before it now, and perhaps
// more, it returns true: the memory part is empty then, and all below stored() is
// known.
func (t *table) refresh(known int64) (bool, error) {
	if t.merged(false); t.damaged != nil {
		return false, t.damaged
	}
	before := t.stored()
	if err := t.look(math.MaxInt64, nil, nil); err != nil {
		return false, err
	}
	if t.stored() == before || t.stored() < known {
		return false, nil
	}
	t.recent.reset()
	return true, nil
}

// startMerge has some runs merged if there are too many.
func (t *table) startMerge() {
	if t.merge != nil || len(t.runs) <= maxRuns {
		return
	}
	sizes := make([]int64, len(t.runs))
	for i, r := range t.runs {
		sizes[i] = r.size
	}
	m := &merge{fs: t.o.fs, dir: t.o.dir, runs: slices.Clone(t.runs[window(sizes):]), bits: t.filterBits(0), done: make(chan struct{})}
	for _, r := range m.runs {
		r.merging = true
	}
	t.merge, t.mergeErr = m, nil
	go m.run()
}

// merged takes over the result of the merge that was under way, if it is done or
// is to be waited for.
func (t *table) merged(wait bool) {
	m := t.merge
	if m == nil {
		return
	}
	if !wait {
		select {
		case <-m.done:
		default:
			return
		}
	}
	<-m.done
	t.merge = nil
	for _, r := range m.runs {
		r.merging = false
	}
	runs := t.runs
	switch {
	case errors.Is(m.err, errDamaged):
		t.damaged = m.err
	case m.err == errStopped:
	case m.err != nil:
		t.mergeErr = m.err
	case m.out != nil:
		runs = slices.Clone(runs)
		i := slices.Index(runs, m.runs[0])
		if n := len(m.runs); i >= 0 && i+n <= len(runs) && slices.Equal(runs[i:i+n], m.runs) {
			runs = slices.Replace(runs, i, i+n, m.out)
		} else { // what others have merged was better
			m.out.close()
		}
	}
	t.use(runs)
}

// clear drops everything, in the files too.
func (t *table) clear() error {
	t.stopMerge()
	t.use(nil)
	t.recent.reset()
	t.damaged, t.mergeErr = nil, nil
	return t.tidy()
}

func (t *table) stopMerge() {
	if t.merge != nil {
		t.merge.stop.Store(true)
		t.merged(true)
	}
}

// close closes the table; what is in no run is lost. It waits for a merge if that
// is soon over, or urgent. The error is one of merging or tidying: whatever was
// stored is there all the same.
func (t *table) close() error {
	if m := t.merge; m != nil {
		var bytes int64
		for _, r := range m.runs {
			bytes += r.size
		}
		if bytes > waitBytes && len(t.runs) <= 3*maxRuns {
			t.stopMerge()
		}
		t.merged(true)
	}
	if t.damaged != nil {
		return t.clear()
	}
	t.use(nil)
	return t.mergeErr
}
