package agg

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"unicode/utf8"

	"logtools/pkg/event"
)

// Options of a Table; the zero value works.
type Options struct {
	// Exact forbids sketches: quantiles keep all values of a group and
	// distinct a hash of each different one.
	Exact bool
	// Memory bounds the memory of the table; nil: it is not bounded. All
	// tables that are merged must have the same.
	Memory *Memory
}

// Table holds groups of events and the aggregates of each. It is not safe for
// concurrent use: each worker has its own, with the same specs, columns and
// options, and they are merged at the end.
type Table struct {
	specs   []Spec
	columns int
	opts    Options

	groups  index
	states  []state
	pending []pending
	// stateOf[i] is the state that spec i reads, -1 for a plain count; argOf
	// is the reverse: a spec whose argument state j takes. Specs that need the
	// same state of the same EXPR share it.
	stateOf, argOf []int

	batch batch
	multi [][]cell // scratch of AddMulti

	pendingSize int64 // bytes of pending
	spilled     spilled
}

// batchLen is how many events are collected before the groups are touched. It
// is a power of two: loops mask their index with it.
const batchLen = 64

// maxPending is how many bytes of keys and values are collected at most,
// before those of one event.
const maxPending = 256 << 10

// batch is what was added but is not in the groups yet. It holds copies: the
// memory behind the Values given to Add may change at once.
type batch struct {
	n      int
	hashes [batchLen]uint64
	keys   [batchLen]shortKey
	rows
	cells [][]cell // per state: batchLen
}

// rows is what states get of a batch besides the cells.
type rows struct {
	groups [batchLen]uint32
	seqs   [batchLen]uint64
	buf    []byte // what spans point into
}

// span is a piece of rows.buf.
type span struct{ off, len uint32 }

func (r *rows) bytes(s span) []byte { return r.buf[s.off : s.off+s.len : s.off+s.len] }

// cell is a value made ready for a state, which knows what it holds.
type cell struct {
	a, b uint64
	e    int32
	kind event.Kind // Missing: there is no value, skip it
	big  bool
}

func (c *cell) setSpan(s span) { c.b = uint64(s.off)<<32 | uint64(s.len) }
func (c *cell) span() span     { return span{uint32(c.b >> 32), uint32(c.b)} }

// state is the states of one aggregate of all groups.
type state interface {
	// prepare checks a value that is neither null nor missing and fills the
	// cell c, which is zero but for its kind. It may append to r.buf.
	prepare(r *rows, v *event.Value, c *cell) error
	// grow makes room for n groups.
	grow(n int)
	// add adds cells[i] to the group r.groups[i], for each i. The numbers
	// r.seqs[i] tell the order; of equal ones the later cell is later.
	add(r *rows, cells []cell)
	// size returns about how many bytes the states of so many groups take.
	size(groups int) int64
	// reset forgets all groups, of which there were so many. It keeps most of
	// their memory for the next ones.
	reset(groups int)
	// save appends the state of a group to dst. Of a large state it may append
	// a part: next is then where the next part begins, which is asked for by
	// from, else it is done. The first part is from 0.
	save(dst []byte, group uint32, from int) (out []byte, next int)
	// load adds what save has appended to a group, as merge does.
	load(group uint32, d *decoder)
	// merge adds the group g of o, which has the same type, to the group
	// groups[g], for each g for which that is not none. These groups of o are
	// used up.
	merge(o state, groups []uint32)
	// result returns the result of s for the group. It may append to *buf and
	// point there.
	result(group uint32, s *Spec, buf *[]byte) event.Value
}

// NewTable returns an empty table for groups of so many columns.
func NewTable(specs []Spec, columns int, o Options) *Table {
	t := &Table{specs: specs, columns: columns, opts: o}
	type sharing struct {
		kind, expr string
		n          int
	}
	shared := make(map[sharing]int)
	for i := range specs {
		s := &specs[i]
		if s.Func == "count" && s.Expr == "" {
			t.stateOf = append(t.stateOf, -1)
			continue
		}
		key := sharing{s.Func, s.Expr, s.N}
		switch s.Func {
		case "median":
			key.kind = "p"
		case "avg":
			key.kind = "sum"
		}
		j, ok := shared[key]
		if !ok {
			j = len(t.states)
			shared[key] = j
			t.states = append(t.states, newState(key.kind, s, o))
			t.argOf = append(t.argOf, i)
			t.batch.cells = append(t.batch.cells, make([]cell, batchLen))
		}
		t.stateOf = append(t.stateOf, j)
	}
	if o.Memory != nil {
		o.Memory.tables.Add(1)
	}
	return t
}

func newState(kind string, s *Spec, o Options) state {
	switch kind {
	case "count":
		return &countState{}
	case "sum":
		return &sumState{spec: s}
	case "stddev":
		return &stddevState{spec: s}
	case "p":
		return &quantileState{spec: s, exact: o.Exact}
	case "distinct":
		return newDistinctState(o.Exact)
	case "min", "max":
		return &extremeState{max: kind == "max"}
	case "first", "last":
		return &edgeState{last: kind == "last"}
	case "top":
		return &topState{}
	case "collect":
		return &collectState{limit: s.N}
	}
	panic("agg: no such function: " + kind) // specs come from Parse
}

var errTooManyGroups = errors.New("more than 4294967294 groups")

// Add adds one event to the group named by keys, one value per column. args
// has one value per spec: what its EXPR gave (for count(EXPR) its truth
// counts; for a plain count nothing does). seq orders the events of the whole
// input, over all tables: larger is later.
//
// An event that some aggregate cannot take, such as one with a string for sum,
// is an *event.BadError and then in no group at all. Any other error is one of
// the table, which is full, or of a temporary file: its rows are lost. keys and
// args are not kept.
func (t *Table) Add(seq uint64, keys []event.Value, args []event.Value) error {
	b := &t.batch
	i := b.n & (batchLen - 1)
	mark := len(b.buf)
	for j, st := range t.states {
		c := &b.cells[j][i]
		v := &args[t.argOf[j]]
		*c = cell{kind: v.Kind}
		if v.Kind > event.Null {
			if err := st.prepare(&b.rows, v, c); err != nil {
				b.buf = b.buf[:mark]
				return err
			}
		} else {
			c.kind = event.Missing
		}
	}
	k := &b.keys[i]
	if !k.setPlain(keys) {
		from := len(b.buf)
		b.buf = appendKey(b.buf, keys)
		k.set(b.buf, from)
		if k.len() <= inlineKey {
			b.buf = b.buf[:from]
		}
	}
	if len(b.buf) > maxPending || uint64(t.groups.n) > maxKeys-batchLen {
		if err := t.checkRoom(mark); err != nil {
			return err
		}
	}
	b.hashes[i] = k.hash(b.buf)
	b.seqs[i] = seq
	b.n++
	if b.n == batchLen || len(b.buf) > maxPending {
		t.Flush()
		return t.spilled.err
	}
	return nil
}

// checkRoom refuses what spans and ids cannot number.
func (t *Table) checkRoom(mark int) error {
	if uint64(len(t.batch.buf)) > math.MaxUint32/2 {
		t.batch.buf = t.batch.buf[:mark]
		return event.Bad("event too large to group")
	}
	if uint64(t.groups.n) > maxKeys-batchLen {
		t.batch.buf = t.batch.buf[:mark]
		return errTooManyGroups
	}
	return nil
}

// Flush puts everything added so far into the groups. Nobody needs to call it:
// Add keeps no references, and the other methods call it, which also return the
// error if a temporary file cannot be written.
func (t *Table) Flush() {
	b := &t.batch
	n := b.n
	if n == 0 {
		return
	}
	x := &t.groups
	if t.columns == 0 {
		g := x.find(0, nil)
		x.entries.at(g).n += uint64(n)
		for i := range b.groups[:n] {
			b.groups[i] = g
		}
	} else {
		x.findAll(b.groups[:n], b.hashes[:n], b.keys[:n], b.buf)
	}
	for j, st := range t.states {
		st.grow(x.n)
		st.add(&b.rows, b.cells[j][:n])
	}
	b.n = 0
	if cap(b.buf) > 4*maxPending { // one huge event
		b.buf = nil
	}
	b.buf = b.buf[:0]
	t.bound()
}

// AddMulti is Add for events for which some EXPR gives no or several results:
// args[i] are the results of spec i, in their order, and each counts; count
// (EXPR) counts the event once if any of them is true. It is slower than Add.
func (t *Table) AddMulti(seq uint64, keys []event.Value, args [][]event.Value) error {
	t.Flush()
	b := &t.batch
	defer func() {
		b.buf = b.buf[:0]
		if cap(b.buf) > 4*maxPending {
			b.buf = nil
		}
	}()
	if t.multi == nil {
		t.multi = make([][]cell, len(t.states))
	}
	for j, st := range t.states {
		t.multi[j] = t.multi[j][:0]
		for i := range args[t.argOf[j]] {
			v := &args[t.argOf[j]][i]
			if v.IsNull() {
				continue
			}
			c := cell{kind: v.Kind}
			if err := st.prepare(&b.rows, v, &c); err != nil {
				return err
			}
			if uint64(len(b.buf)) > math.MaxUint32/2 {
				return event.Bad("event too large to group")
			}
			if _, ok := st.(*countState); ok && len(t.multi[j]) > 0 {
				c.a |= t.multi[j][0].a
				t.multi[j] = t.multi[j][:0]
			}
			t.multi[j] = append(t.multi[j], c)
		}
	}
	from := len(b.buf)
	b.buf = appendKey(b.buf, keys)
	if err := t.checkRoom(0); err != nil {
		return err
	}
	key := b.buf[from:]
	hash := uint64(0)
	if t.columns > 0 {
		hash = hashKey(key)
	}
	g := t.groups.find(hash, key)
	t.groups.entries.at(g).n++
	for i := range b.groups {
		b.groups[i], b.seqs[i] = g, seq
	}
	for j, st := range t.states {
		st.grow(t.groups.n)
		for cells := t.multi[j]; len(cells) > 0; {
			n := min(len(cells), batchLen)
			st.add(&b.rows, cells[:n])
			cells = cells[n:]
		}
	}
	t.bound()
	return t.spilled.err
}

// Len returns the number of groups that are in memory: all of them, if there is
// no Memory that bounds the table.
func (t *Table) Len() int {
	t.Flush()
	return t.groups.n
}

// Merge adds all groups of o, which must have been made with the same specs,
// columns and options. o is used up: it must not be used any more. Merge uses a
// goroutine per aggregate and has ended them when it returns.
func (t *Table) Merge(o *Table) error {
	t.Flush()
	o.Flush()
	o.settleAll(nil)
	if t.beyond(o) {
		return t.mergeSpilled(o)
	}
	if t.groups.n == 0 {
		t.groups, t.states, o.groups, o.states = o.groups, o.states, index{}, nil
		return nil
	}
	if uint64(t.groups.n)+uint64(o.groups.n) > maxKeys-batchLen {
		return errTooManyGroups
	}
	to := make([]uint32, o.groups.n)
	for id := range to {
		e := o.groups.entries.at(uint32(id))
		to[id] = t.groups.find(e.hash, o.groups.key(uint32(id)))
		t.groups.entries.at(to[id]).n += e.n
	}
	// The states are merged when their results are asked for, and only those of
	// groups that are (see settle): most groups are not among the first N.
	p := pending{states: o.states}
	for range o.states {
		p.to = append(p.to, to)
	}
	t.pending = append(t.pending, p)
	t.pendingSize += o.statesSize()
	o.groups, o.states = index{}, nil
	return nil
}

// pending is what a merged table has left to merge.
type pending struct {
	states []state // nil: is merged
	// to has, for each state, where each of its groups goes; none: it has been
	// merged already.
	to [][]uint32
}

// none is no group.
const none = 1<<32 - 1

// settle merges what is left of state j, or only what goes to the groups for
// which wanted is true, if it is not nil.
func (t *Table) settle(j int, wanted []bool) {
	st := t.states[j]
	for i := range t.pending {
		p := &t.pending[i]
		if p.states[j] == nil {
			continue
		}
		now := p.to[j]
		if wanted != nil {
			now = make([]uint32, len(p.to[j]))
			rest := make([]uint32, len(p.to[j]))
			for g, to := range p.to[j] {
				now[g], rest[g] = none, to
				if to != none && wanted[to] {
					now[g], rest[g] = to, none
				}
			}
			p.to[j] = rest
		}
		st.grow(t.groups.n)
		st.merge(p.states[j], now)
		if wanted == nil {
			p.states[j], p.to[j] = nil, nil
		}
	}
}

// settleAll is settle for all states. Nothing is shared between the states of
// different aggregates.
func (t *Table) settleAll(wanted []bool) {
	if len(t.pending) == 0 {
		return
	}
	var all sync.WaitGroup
	for j := range t.states {
		all.Go(func() { t.settle(j, wanted) })
	}
	all.Wait()
	if wanted == nil {
		t.pending, t.pendingSize = nil, 0
	}
}

// notNumber is the error of aggregates of numbers.
func notNumber(s *Spec, v *event.Value) error {
	var buf [64]byte
	text := v.AppendJSON(buf[:0])
	if len(text) > 40 {
		n := 37
		for n > 0 && !utf8.RuneStart(text[n]) {
			n--
		}
		text = append(text[:n:n], "..."...)
	}
	return event.Bad("%s of a value that is no number: %s %s", describe(s), v.Kind, text)
}

func notSmall(s *Spec) error {
	return event.Bad("%s of a number with more than %d digits", describe(s), maxDigits)
}

func describe(s *Spec) string {
	if s.text != "" {
		return s.text
	}
	return fmt.Sprintf("%s(%s)", s.Func, s.Expr)
}
