package agg

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"io"
	"runtime"
	"slices"
	"sync/atomic"

	"logtools/pkg/event"
	"logtools/pkg/spill"
)

// Beyond its share of memory a table writes all its groups to a temporary file,
// as a run of records sorted by the hash of the key, and begins anew. For
// the rows the runs of all tables are merged: the records of a group come one
// after the other, so that one group at a time is in memory, and what decides
// the order of rows goes through a Sorter.
//
// By the hash, not by the key: sorting and merging then compare numbers, and most
// views want only the first rows of another order than that of the keys.

// Memory bounds the memory of the tables of one run, and has the temporary files
// of what goes beyond. It is safe for concurrent use.
type Memory struct {
	limit  int64
	tables atomic.Int64
	dir    *spill.Dir
}

// NewMemory returns a Memory of limit bytes for all tables together, from
// filling them to the end of their Rows. It is an estimate with what the
// collector needs left out, and at least about 1 MiB per table is taken in any
// case. A single group must fit. Temporary files are made in the directory tempDir,
// if it is "" in that of the system ($TMPDIR), when they are needed.
func NewMemory(limit int64, tempDir string) *Memory {
	return &Memory{limit: max(limit, 1), dir: spill.New(tempDir)}
}

// Spilled returns how many bytes have been written to temporary files.
func (m *Memory) Spilled() int64 { return m.dir.Written() }

// Close removes the temporary files. The tables must not be used any more.
func (m *Memory) Close() error { return m.dir.Close() }

// spilled is what a table has written to temporary files.
type spilled struct {
	file *spill.File // nil: none
	runs []spill.Run
	err  error // after it the table is of no use

	// Scratch, kept so that writing and reading groups makes no garbage.
	order   []hashed
	buf     []byte
	at      []int // per state, of the group that is saved
	decoder decoder
}

const (
	// hashedBytes is what sorting groups by hash takes for each.
	hashedBytes = 16
	// placeBytes is what sorting rows takes for each.
	placeBytes = 64
)

// statesSize returns about how many bytes the states take.
func (t *Table) statesSize() int64 {
	n := t.pendingSize
	for _, st := range t.states {
		n += st.size(t.groups.n)
	}
	return n
}

// size returns about how many bytes the groups take, and to write them.
func (t *Table) size() int64 {
	return t.statesSize() + t.groups.size() + hashedBytes*int64(t.groups.n)
}

// bound writes the groups to a file if they take more than the table's share.
func (t *Table) bound() {
	if m := t.opts.Memory; m != nil && t.spilled.err == nil && t.size() > m.limit/m.tables.Load() {
		t.spilled.err = t.spill()
	}
}

// beyond says whether o cannot be merged with t in memory.
func (t *Table) beyond(o *Table) bool {
	m := t.opts.Memory
	if m == nil {
		return false
	}
	// While the groups of o are put into t they are there twice.
	n := int64(t.groups.n + o.groups.n)
	return t.hasSpilled() || o.hasSpilled() || t.size()+2*o.size()+placeBytes*n > m.limit
}

// beyondRows says whether so many rows cannot be made in memory.
func (t *Table) beyondRows(top int) bool {
	m := t.opts.Memory
	if m == nil {
		return false
	}
	if top <= 0 || top > t.groups.n {
		top = t.groups.n
	}
	return t.hasSpilled() || t.size()+placeBytes*int64(top) > m.limit
}

func (t *Table) hasSpilled() bool { return len(t.spilled.runs) > 0 || t.spilled.err != nil }

// mergeSpilled is Merge by means of files.
func (t *Table) mergeSpilled(o *Table) error {
	for _, table := range []*Table{t, o} {
		if table.spilled.err == nil {
			table.spilled.err = table.spill()
		}
		if err := table.spilled.err; err != nil {
			t.spilled.err = err
			return err
		}
	}
	o.forget()
	t.spilled.runs = append(t.spilled.runs, o.spilled.runs...)
	o.spilled = spilled{}
	return nil
}

// hashed is a group to be sorted by the hash of its key.
type hashed struct {
	hash  uint64
	group uint32
}

// spill writes all groups to the file and forgets them.
func (t *Table) spill() error {
	t.settleAll(nil)
	n := t.groups.n
	if n == 0 {
		return nil
	}
	sp := &t.spilled
	if sp.file == nil {
		var err error
		if sp.file, err = t.opts.Memory.dir.Create(); err != nil {
			return err
		}
		sp.at = make([]int, len(t.states))
	}
	for _, st := range t.states {
		st.grow(n)
	}
	for _, h := range t.byHash() {
		if err := t.save(h.group, sp.file.Add); err != nil {
			return err
		}
	}
	run, err := sp.file.EndRun()
	if err != nil {
		return err
	}
	sp.runs = append(sp.runs, run)
	t.groups.reset()
	for _, st := range t.states {
		st.reset(n)
	}
	return nil
}

// byHash returns all groups in the order of their hashes and keys.
func (t *Table) byHash() []hashed {
	all := slices.Grow(t.spilled.order[:0], t.groups.n)
	for g := range uint32(t.groups.n) {
		all = append(all, hashed{t.groups.entries.at(g).hash, g})
	}
	t.spilled.order = all
	slices.SortFunc(all, func(a, b hashed) int {
		if a.hash != b.hash {
			return cmp.Compare(a.hash, b.hash)
		}
		return bytes.Compare(t.groups.key(a.group), t.groups.key(b.group))
	})
	return all
}

// runOrder is the order of the records of a run.
func runOrder() spill.Order {
	return spill.Order{
		Rank:    func(rec []byte) uint64 { return hashKey(keyOfSaved(rec)) },
		Compare: func(a, b []byte) int { return bytes.Compare(keyOfSaved(a), keyOfSaved(b)) },
	}
}

// forget gives the memory of all groups back.
func (t *Table) forget() {
	fresh := t.scratch()
	t.groups, t.states, t.batch, t.multi = fresh.groups, fresh.states, fresh.batch, nil
	t.pending, t.pendingSize = nil, 0
	t.spilled.order, t.spilled.buf = nil, nil
	if t.spilled.file != nil {
		t.spilled.file.Release()
	}
}

// scratch returns an empty table that is like t but not bounded.
func (t *Table) scratch() *Table {
	s := NewTable(t.specs, t.columns, Options{Exact: t.opts.Exact})
	s.spilled.at = make([]int, len(s.states))
	return s
}

// regroup reads runs group by group.
type regroup struct {
	records *spill.Merger
	next    []byte // the first record of the next group; nil: there is none
	rec     []byte // the first record of the group
	table   *Table // has the group, and no other, if it is loaded
	loaded  bool
}

func (t *Table) regroup(runs []spill.Run) (*regroup, error) {
	m, err := spill.Merge(runOrder(), runs)
	if err != nil {
		return nil, err
	}
	r := &regroup{records: m, table: t.scratch()}
	return r, r.read()
}

// read reads the next record.
func (r *regroup) read() (err error) {
	r.next, err = r.records.Next()
	if err == io.EOF {
		r.next, err = nil, nil
	}
	return err
}

// group goes to the next group, or returns io.EOF.
func (r *regroup) group() error {
	if r.next == nil {
		return io.EOF
	}
	r.rec = append(r.rec[:0], r.next...)
	r.loaded = false
	for {
		if err := r.read(); err != nil {
			return err
		}
		if r.next == nil || !bytes.Equal(keyOfSaved(r.next), keyOfSaved(r.rec)) {
			return nil
		}
		if err := r.load(); err != nil {
			return err
		}
		if err := r.table.loadSaved(r.next); err != nil {
			return err
		}
	}
}

// load puts the group into the table, unless it is there.
func (r *regroup) load() error {
	if r.loaded {
		return nil
	}
	r.loaded = true
	if n := r.table.groups.n; n > 0 {
		r.table.groups.reset()
		for _, st := range r.table.states {
			st.reset(n)
		}
	}
	return r.table.loadSaved(r.rec)
}

// mergeRuns writes the groups of some runs to a file.
func (t *Table) mergeRuns(to *spill.File, runs []spill.Run) error {
	r, err := t.regroup(runs)
	if err != nil {
		return err
	}
	for {
		switch err := r.group(); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		if r.loaded {
			err = r.table.save(0, to.Add)
		} else {
			err = to.Add(r.rec)
		}
		if err != nil {
			return err
		}
	}
}

// spilledRows is Rows by means of files.
func (t *Table) spilledRows(o Order, top int, yield func(Row) error) error {
	sp := &t.spilled
	if sp.err == nil {
		sp.err = t.spill()
	}
	if sp.err != nil {
		return sp.err
	}
	// What the groups took is now for sorting rows. Without a collection both
	// would be there for a while.
	t.forget()
	runtime.GC()
	m := t.opts.Memory
	runs, err := spill.Reduce(m.dir, sp.runs, spill.FanIn(m.limit/4), t.mergeRuns)
	if err != nil {
		sp.err = err
		return err
	}
	if len(runs) < len(sp.runs) { // they are in a new file
		sp.runs, sp.file = runs, nil
	}
	s := spill.NewSorter(m.dir, t.rowOrder(o), top, m.limit/2)
	err = t.sortRows(s, o)
	if err == nil {
		var row Row
		err = s.Each(func(rec []byte) error {
			row = t.rowOf(row, rec)
			return yield(row)
		})
	}
	return cmp.Or(err, s.Close())
}

// sortRows adds the rows of all groups to s.
func (t *Table) sortRows(s *spill.Sorter, o Order) error {
	r, err := t.regroup(t.spilled.runs)
	if err != nil {
		return err
	}
	var rec, buf []byte
	for {
		switch err := r.group(); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		if err := r.load(); err != nil {
			return err
		}
		p := r.table.place(0, o, &buf)
		rec = appendPlace(rec[:0], &p, r.table.groups.key(0))
		if !s.Wants(rec) {
			continue
		}
		for i := range t.specs {
			buf = buf[:0]
			v := r.table.result(0, i, &buf)
			at := len(rec)
			rec = binary.LittleEndian.AppendUint32(rec, 0)
			rec = v.AppendJSON(rec)
			binary.LittleEndian.PutUint32(rec[at:], uint32(len(rec)-at-4))
		}
		if err := s.Add(rec); err != nil {
			return err
		}
	}
}

// A row is sorted as a record: kind and ord of its place's rank, whether there
// is a value, the value, the key, and the JSON of each aggregate, all but the
// first three with their lengths in front.

func appendPlace(dst []byte, p *place, key []byte) []byte {
	dst = append(dst, byte(p.kind))
	dst = binary.BigEndian.AppendUint64(dst, p.ord)
	if p.value == nil {
		dst = append(dst, 0)
	} else {
		dst = appendBytes(append(dst, 1), p.value)
	}
	return appendBytes(dst, key)
}

// cutPlace returns the place and key of a row.
func cutPlace(d *decoder) (p place, key []byte) {
	p.kind = event.Kind(d.byte())
	if b := d.take(8); b != nil {
		p.ord = binary.BigEndian.Uint64(b)
	}
	if d.byte() != 0 {
		p.value = d.bytes()
	}
	return p, d.bytes()
}

// rowOrder returns the order of the records of rows.
func (t *Table) rowOrder(o Order) spill.Order {
	return spill.Order{
		Rank: func(rec []byte) uint64 {
			// There are less than eight kinds.
			r := uint64(rec[0])<<61 | binary.BigEndian.Uint64(rec[1:])>>3
			if o.Desc {
				r = ^r
			}
			return r
		},
		Compare: func(a, b []byte) int {
			x, y := decoder{b: a}, decoder{b: b}
			p, keyA := cutPlace(&x)
			q, keyB := cutPlace(&y)
			if c := o.compare(&p, &q); c != 0 {
				return c
			}
			return o.compareGroups(keyA, keyB, t.columns)
		},
	}
}

// rowOf fills row with that of a record, as views.
func (t *Table) rowOf(row Row, rec []byte) Row {
	d := decoder{b: rec}
	_, key := cutPlace(&d)
	row.Keys = decodeKey(row.Keys[:0], key, t.columns)
	row.Aggs = row.Aggs[:0]
	for range t.specs {
		n := uint32(0)
		if b := d.take(4); b != nil {
			n = binary.LittleEndian.Uint32(b)
		}
		row.Aggs = append(row.Aggs, event.RawValue(d.take(int(n))))
	}
	return row
}
