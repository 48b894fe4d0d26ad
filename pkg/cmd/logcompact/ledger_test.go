//go:build linux || darwin

package logcompact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// deed is an event that was given to a writer.
type deed struct {
	id, key   string
	tombstone bool
	partition int
	given     time.Time
	acked     time.Time // zero: not
	offset    int64     // less than 0: not known
}

func (d *deed) String() string {
	what := "update"
	if d.tombstone {
		what = "tombstone"
	}
	return fmt.Sprintf("%s %s of %s at %d/%d", what, d.id, d.key, d.partition, d.offset)
}

// seen is an event as logcat prints it.
type seen struct {
	Partition int
	Offset    int64
	Key       string
	Headers   struct{ N string }
	Value     json.RawMessage
}

// ledger has all that was given to the writers of a log, and acknowledged by them. It
// outlives them.
type ledger struct {
	t    *testing.T
	path string

	mu        sync.Mutex
	partition map[string]int // by key
	keys      []string
	deeds     map[string]*deed // by id
	of        map[string][]*deed
	at        map[int]map[int64]*deed // by partition and offset
	acks      int
}

const (
	keys    = 200
	hotKeys = 20
)

// newLedger makes a log in which each key is once.
func newLedger(t *testing.T, parent string, partitions int) *ledger {
	t.Helper()
	k := &ledger{
		t: t, path: filepath.Join(parent, "log"),
		partition: make(map[string]int), deeds: make(map[string]*deed), of: make(map[string][]*deed), at: make(map[int]map[int64]*deed),
	}
	var in bytes.Buffer
	for i := range keys {
		key := fmt.Sprintf("k%03d", i)
		k.keys = append(k.keys, key)
		in.Write(k.give(key, false, nil))
	}
	p := prepare(t, "logappend", "--tee", "--partitions", fmt.Sprint(partitions), "--cleanup", "compact", "--segment-bytes", "64K", k.path)
	p.Stdin = &in
	p.Stdout = &lines{use: func(line []byte) {
		if e, ok := k.see(line); ok {
			k.partition[e.Key] = e.Partition
			d := k.deeds[e.Headers.N]
			d.acked = time.Now()
		}
	}}
	p.launch(t)
	p.quiet(t, 0)
	if len(k.partition) != keys {
		t.Fatalf("%d of %d keys are there", len(k.partition), keys)
	}
	return k
}

// give makes an event and returns its line.
func (k *ledger) give(key string, tombstone bool, rng *rand.Rand) []byte {
	d := &deed{id: fmt.Sprint(len(k.deeds)), key: key, tombstone: tombstone, partition: -1, given: time.Now(), offset: -1}
	if p, ok := k.partition[key]; ok {
		d.partition = p
	}
	k.deeds[d.id] = d
	k.of[key] = append(k.of[key], d)
	value := "null"
	if !tombstone {
		pad := make([]byte, 60)
		if rng != nil {
			pad = make([]byte, rng.IntN(400))
			for i := range pad {
				pad[i] = byte(rng.Uint32())
			}
		}
		value = fmt.Sprintf("%q", fmt.Sprintf("%x", pad))
	}
	return fmt.Appendf(nil, `{"key":"%s","headers":{"n":"%s"},"value":%s}`+"\n", key, d.id, value)
}

// see checks an event that was read: what is at its offset is always the same, and
// nothing is twice.
func (k *ledger) see(line []byte) (e seen, ok bool) {
	if err := json.Unmarshal(line, &e); err != nil {
		k.t.Errorf("%s: %v", line, err)
		return e, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	d := k.deeds[e.Headers.N]
	if d == nil || d.key != e.Key || d.tombstone != (string(e.Value) == "null") || d.partition >= 0 && d.partition != e.Partition {
		k.t.Errorf("%s was never appended", line)
		return e, false
	}
	return e, k.place(d, e.Partition, e.Offset)
}

func (k *ledger) place(d *deed, partition int, offset int64) bool {
	if k.at[partition] == nil {
		k.at[partition] = make(map[int64]*deed)
	}
	if at := k.at[partition][offset]; at != nil && at != d || d.offset >= 0 && d.offset != offset {
		k.t.Errorf("at offset %d of partition %d: %v, and %v", offset, partition, at, d)
		return false
	}
	d.partition, d.offset = partition, offset
	k.at[partition][offset] = d
	return true
}

// newest is what is known of a key: the newest event that was acknowledged before one
// time (zero: ever), and those that may be newer of which it was not, or was given to a
// writer before the other time.
func (k *ledger) newest(key string, ackedBefore, givenBefore time.Time) (e *deed, newer []*deed) {
	for _, d := range k.of[key] {
		if !d.acked.IsZero() && (ackedBefore.IsZero() || d.acked.Before(ackedBefore)) && (e == nil || d.offset > e.offset) {
			e = d
		}
	}
	for _, d := range k.of[key] {
		if d != e && (givenBefore.IsZero() || d.given.Before(givenBefore)) && (d.offset < 0 || e == nil || d.offset > e.offset) {
			newer = append(newer, d)
		}
	}
	return e, newer
}

// ends returns the newest offsets that were acknowledged, by partition.
func (k *ledger) ends() map[int]int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	ends := make(map[int]int64)
	for _, d := range k.deeds {
		if !d.acked.IsZero() {
			ends[d.partition] = max(ends[d.partition], d.offset)
		}
	}
	return ends
}

// audience is what one reader has got.
type audience struct {
	k     *ledger
	what  string
	mu    sync.Mutex
	last  map[int]int64
	got   map[string]bool
	table map[string]seen // the newest of each key
}

func (k *ledger) audience(what string) *audience {
	return &audience{k: k, what: what, last: make(map[int]int64), got: make(map[string]bool), table: make(map[string]seen)}
}

// hear takes a line that the reader has printed.
func (a *audience) hear(line []byte) {
	e, ok := a.k.see(line)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if last, ok := a.last[e.Partition]; ok && e.Offset <= last {
		a.k.t.Errorf("%s: offset %d of partition %d comes after %d", a.what, e.Offset, e.Partition, last)
	}
	a.last[e.Partition] = e.Offset
	a.got[e.Headers.N] = true
	a.table[e.Key] = e
}

func (a *audience) reached(ends map[int]int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for p, end := range ends {
		if last, ok := a.last[p]; !ok || last < end {
			return false
		}
	}
	return true
}

// missesNone checks that it got all that must be there for whoever reads everything
// from begun to ended: of each key the newest, unless a newer one may have come since.
func (a *audience) missesNone(begun, ended time.Time) (checked int) {
	a.k.mu.Lock()
	defer a.k.mu.Unlock()
	for _, key := range a.k.keys {
		e, newer := a.k.newest(key, begun, ended)
		if e == nil || len(newer) > 0 {
			continue
		}
		checked++
		if !a.got[e.id] {
			a.k.t.Errorf("%s: misses %v", a.what, e)
		} else if a.table[key].Offset != e.offset {
			a.k.t.Errorf("%s: has %v instead of %v", a.what, a.table[key], e)
		}
	}
	return checked
}

// read reads the log from its start.
func (k *ledger) read(t *testing.T, args ...string) *audience {
	t.Helper()
	a := k.audience("logcat " + strings.Join(args, " "))
	start(t, a.hear, "logcat", append(args, k.path)...).quiet(t, 0)
	return a
}

// tombstones says which of those that are the newest of their keys are left.
type tombstones uint8

const (
	all tombstones = iota
	some
	none
)

// check compares the log, just compacted, with what was acknowledged. Each key has one
// event: the newest that was acknowledged, or one that was not, if a writer was killed.
func (k *ledger) check(t *testing.T, left tombstones) {
	t.Helper()
	if out := output(t, "logcompact", "--verify", k.path); strings.Count(out, "\n") != strings.Count(out, "whole\n") {
		t.Errorf("verify: %s", out)
	}
	if work, _ := filepath.Glob(filepath.Join(k.path, "*", "*.new-*")); len(work) > 0 {
		t.Errorf("%v are left", work)
	}
	a := k.read(t)
	if len(a.got) != len(a.table) {
		t.Errorf("%d events of %d keys are left", len(a.got), len(a.table))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range k.keys {
		e, newer := k.newest(key, time.Time{}, time.Time{})
		is, ok := a.table[key]
		if ok && left == none && string(is.Value) == "null" {
			t.Errorf("the tombstone %v is left", is)
		}
		if ok && (e == nil || is.Offset >= e.offset) {
			continue // see has looked at what it is
		}
		if ok {
			t.Errorf("%v is the newest of its key, and %v was acknowledged", is, e)
			continue
		}
		deleted := e == nil || e.tombstone
		for _, d := range newer {
			deleted = deleted || d.tombstone
		}
		if !deleted || left == all && len(newer) == 0 {
			t.Errorf("%v is missing", e)
		}
	}
}

// writer is a life of logappend.
type writer struct {
	*process
	waiting map[int][]*deed // not acknowledged, by partition
	stop    chan struct{}
	fed     chan struct{}
}

// write starts logappend and gives it events until it is told to stop, or killed.
func (k *ledger) write(t *testing.T, seed uint64) *writer {
	t.Helper()
	w := &writer{waiting: make(map[int][]*deed), stop: make(chan struct{}), fed: make(chan struct{})}
	rng := rand.New(rand.NewPCG(seed, 1))
	size := []string{"500", "4K", "64K"}[rng.IntN(3)]
	w.process = prepare(t, "logappend", "--acks", "--batch-bytes", size, k.path)
	w.Stdout = &lines{use: func(line []byte) { k.ack(w, line) }}
	stdin, err := w.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	w.launch(t)
	go func() {
		defer close(w.fed)
		defer stdin.Close()
		for {
			var in []byte
			k.mu.Lock()
			for range 1 + rng.IntN(30) {
				n := keys
				if rng.IntN(4) > 0 {
					n = hotKeys
				}
				key := k.keys[rng.IntN(n)]
				in = append(in, k.give(key, rng.IntN(8) == 0, rng)...)
				of := k.of[key]
				d := of[len(of)-1]
				w.waiting[d.partition] = append(w.waiting[d.partition], d)
			}
			k.mu.Unlock()
			if _, err := stdin.Write(in); err != nil {
				return // it was killed
			}
			select {
			case <-w.stop:
				return
			case <-time.After(time.Duration(rng.IntN(15)) * time.Millisecond):
			}
		}
	}()
	return w
}

// fill appends so many events.
func (k *ledger) fill(t *testing.T, rng *rand.Rand, n int) {
	t.Helper()
	k.mu.Lock()
	w := &writer{waiting: make(map[int][]*deed)}
	var in bytes.Buffer
	for range n {
		key := k.keys[rng.IntN(keys)]
		in.Write(k.give(key, rng.IntN(8) == 0, rng))
		d := k.of[key][len(k.of[key])-1]
		w.waiting[d.partition] = append(w.waiting[d.partition], d)
	}
	k.mu.Unlock()
	p := prepare(t, "logappend", "--acks", k.path)
	p.Stdin = &in
	p.Stdout = &lines{use: func(line []byte) { k.ack(w, line) }}
	p.launch(t)
	p.quiet(t, 0)
}

func (k *ledger) ack(w *writer, line []byte) {
	var a struct {
		Partition     int
		Offset, Count int64
	}
	if err := json.Unmarshal(line, &a); err != nil {
		k.t.Errorf("ack %s: %v", line, err)
		return
	}
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range a.Count {
		if len(w.waiting[a.Partition]) == 0 {
			k.t.Errorf("%s was acknowledged, and nothing was given", line)
			return
		}
		d := w.waiting[a.Partition][0]
		w.waiting[a.Partition] = w.waiting[a.Partition][1:]
		d.acked = now
		k.acks++
		k.place(d, a.Partition, a.Offset+i)
	}
}

// end lets it store what it was given.
func (w *writer) end(t *testing.T) {
	t.Helper()
	close(w.stop)
	<-w.fed
	w.quiet(t, 0)
	for p, left := range w.waiting {
		if len(left) > 0 {
			t.Errorf("%d events of partition %d were not acknowledged", len(left), p)
		}
	}
}
