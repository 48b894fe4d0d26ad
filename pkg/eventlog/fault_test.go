package eventlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"

	"logtools/pkg/event"
	"logtools/pkg/internal/vfs"
	"logtools/pkg/internal/vfs/vfstest"
	"logtools/pkg/stream"
)

// ledger knows which batches were handed over, and which of them were acknowledged
// when.
type ledger struct {
	batches [][]string
	acks    map[int]ackAt // by batch
}

type ackAt struct {
	offset int64
	op     int // operations that had been done by then
}

// tinySegments makes the segments of l so small that a few batches fill one.
func tinySegments(l *Log) *Log {
	l.settings.SegmentBytes = 900
	return l
}

// store appends n batches, one after the other, each once the one before it was
// acknowledged, until one fails.
func (k *ledger) store(l *Log, m *vfstest.Mem, n int) error {
	a, err := l.Appender(AppendOptions{Workers: 1})
	if err != nil {
		return err
	}
	defer a.Close()
	for range n {
		id := len(k.batches)
		var lines []string
		for i := range id%3 + 1 {
			lines = append(lines, fmt.Sprintf(`{"batch":%d,"line":%d,"x":"%x"}`, id, i, id*id*7919*7919*(i+1)))
		}
		k.batches = append(k.batches, lines)
		var result error
		if err := a.Append(context.Background(), batch(lines...), func(ack stream.Ack, err error) {
			if result = err; err == nil {
				k.acks[id] = ackAt{ack.Offset, len(m.Log())}
			}
		}); err != nil {
			return err
		}
		if result != nil {
			return result
		}
	}
	return nil
}

// check compares what is there with what was acknowledged by the first ops
// operations: that must be there, at its offsets; of the rest whole batches may be.
func (k *ledger) check(got map[int64]string, ops int) error {
	place := map[string]int64{}
	for o, line := range got {
		if old, ok := place[line]; ok {
			return fmt.Errorf("%s lies at %d and %d", line, old, o)
		}
		place[line] = o
	}
	last := int64(-1)
	for id, lines := range k.batches {
		there := 0
		for i, line := range lines {
			o, ok := place[line]
			if !ok {
				continue
			}
			there++
			if o <= last {
				return fmt.Errorf("batch %d lies at %d, behind %d", id, o, last)
			}
			last = o
			if ack, ok := k.acks[id]; ok && o != ack.offset+int64(i) {
				return fmt.Errorf("batch %d lies at %d, acknowledged at %d", id, o, ack.offset)
			}
			delete(place, line)
		}
		if there != 0 && there != len(lines) {
			return fmt.Errorf("batch %d: %d of %d lines", id, there, len(lines))
		}
		if ack, ok := k.acks[id]; ok && ack.op <= ops && there == 0 {
			return fmt.Errorf("batch %d was acknowledged and is lost", id)
		}
	}
	for line := range place {
		return fmt.Errorf("%s was never appended", line)
	}
	return nil
}

func losses() []vfstest.Loss {
	l := []vfstest.Loss{vfstest.KeepAll(), vfstest.KeepTorn(), vfstest.LoseAll()}
	for seed := range uint64(3) {
		l = append(l, vfstest.Ordered(seed), vfstest.Random(seed))
	}
	return l
}

// reopen opens the log after a crash and appends a batch, which must work without
// any damage: a crash is none. It returns nil if there is no log yet.
func (k *ledger) reopen(m *vfstest.Mem) (*ledger, error) {
	var warned error
	l, err := Open("log", Options{FS: m, Warn: func(msg string) { warned = errors.New(msg) }})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	after := &ledger{batches: slices.Clone(k.batches), acks: maps.Clone(k.acks)}
	if err := after.store(tinySegments(l), m, 1); err != nil {
		return nil, err
	}
	return after, warned
}

// TestCrash cuts the power after each operation of creating a log, appending,
// rolling and recovering, in all kinds of ways, and once more at each operation of
// the recovery.
func TestCrash(t *testing.T) {
	m := vfstest.New()
	k := &ledger{acks: map[int]ackAt{}}
	l := mustCreate(t, m, "log", Change{})
	for range 2 { // the second one finds what the first one has left
		if err := k.store(tinySegments(l), m, 5); err != nil {
			t.Fatal(err)
		}
	}
	ops := m.Log()
	for n := 0; n <= len(ops); n++ {
		if n > 0 && !ops[n-1].Changes() && n != len(ops) {
			continue
		}
		for _, how := range losses() {
			where := func(m *vfstest.Mem) string {
				return fmt.Sprintf("after operation %d (%v), %v:\n%s", n, ops[max(n, 1)-1], how, strings.Join(m.Names(), "\n"))
			}
			acked := k.upTo(n)
			c := m.Crash(n, how)
			before := len(c.Log())
			after, err := acked.reopen(c)
			if err != nil {
				t.Fatal(err, where(c))
			}
			if after == nil {
				if len(acked.acks) > 0 {
					t.Fatal("the log is gone", where(c))
				}
				continue
			}
			if err := after.check(content(t, c, "log", 0), len(ops)); err != nil {
				t.Fatal(err, where(c))
			}
			// And again, while it was recovering.
			again := c.Log()
			for j := before; j <= len(again); j++ {
				if testing.Short() && j%3 != n%3 || j > 0 && !again[j-1].Changes() {
					continue
				}
				for _, how2 := range []vfstest.Loss{vfstest.LoseAll(), vfstest.Random(uint64(n + j))} {
					first := &ledger{batches: after.batches, acks: maps.Clone(acked.acks)}
					if id := len(k.batches); after.acks[id].op <= j { // what the recovery has appended
						first.acks[id] = ackAt{after.acks[id].offset, 0}
					}
					cc := c.Crash(j, how2)
					last, err := first.reopen(cc)
					if err == nil && last == nil && len(first.acks) > 0 {
						err = errors.New("the log is gone")
					}
					if err == nil && last != nil {
						err = last.check(content(t, cc, "log", 0), 1<<30)
					}
					if err != nil {
						t.Fatalf("%v\nin the recovery after operation %d (%v), %v; %s", err, j, again[max(j, 1)-1], how2, where(cc))
					}
				}
			}
		}
	}
}

// upTo returns the ledger with only what was acknowledged by the first n operations.
func (k *ledger) upTo(n int) *ledger {
	c := &ledger{batches: k.batches, acks: map[int]ackAt{}}
	for id, a := range k.acks {
		if a.op <= n {
			c.acks[id] = ackAt{a.offset, 0}
		}
	}
	return c
}

// TestFail lets each operation fail once, in turn. Whatever was acknowledged must be
// there afterwards, also after a power cut on top.
func TestFail(t *testing.T) {
	causes, halves := []error{syscall.ENOSPC, syscall.EIO, syscall.EFBIG}, []bool{false, true}
	if testing.Short() {
		causes, halves = causes[1:2], halves[1:]
	}
	for _, cause := range causes {
		for _, partial := range halves {
			for n := 1; ; n++ {
				m := vfstest.New()
				k := &ledger{acks: map[int]ackAt{}}
				m.Fail(n, cause, partial)
				var err error
				fired := true
				for round := range 4 {
					if round == 3 { // by then all must work again
						fired = m.Fired()
						m.Fail(0, nil, false)
					}
					var l *Log
					if l, err = OpenOrCreate(context.Background(), "log", Change{}, Options{FS: m, Warn: func(msg string) {
						t.Errorf("operation %d failed with %v: warning: %s", n, cause, msg)
					}}); err == nil {
						err = k.store(tinySegments(l), m, 6)
					}
					if err != nil && !errors.Is(err, cause) {
						t.Fatalf("operation %d failed with %v, told as: %v", n, cause, err)
					}
				}
				if err != nil {
					t.Fatalf("operation %d failed, and everything after it: %v", n, err)
				}
				if err := k.check(content(t, m, "log", 0), 1<<30); err != nil {
					t.Fatalf("operation %d failed with %v: %v\n%v", n, cause, err, m.Log())
				}
				for _, how := range losses() {
					c := m.Crash(len(m.Log()), how)
					after, err := k.reopen(c)
					if err == nil {
						err = after.check(content(t, c, "log", 0), 1<<30)
					}
					if err != nil {
						t.Fatalf("operation %d failed with %v, then %v: %v\n%v", n, cause, how, err, m.Log())
					}
				}
				if !fired {
					if n < 50 {
						t.Errorf("only %d operations", n)
					}
					break
				}
			}
		}
	}
}

// TestSyncForgotten lets a sync fail and kills the process before it can give the
// segment up. The next one must not believe a sync that finds nothing to do.
func TestSyncForgotten(t *testing.T) {
	for n := 1; ; n++ {
		m := vfstest.New()
		k := &ledger{acks: map[int]ackAt{}}
		if err := k.store(tinySegments(mustCreate(t, m, "log", Change{})), m, 3); err != nil {
			t.Fatal(err)
		}
		p := m.Process()
		l, err := Open("log", Options{FS: p})
		if err != nil {
			t.Fatal(err)
		}
		m.FailIf(n, func(op vfstest.Op) bool {
			return op.Proc == p.Number() && op.Kind == vfstest.Sync
		}, syscall.EIO, false)
		before := len(m.Log())
		err = k.store(tinySegments(l), m, 4)
		if !m.Fired() {
			break
		}
		if err == nil {
			t.Fatalf("sync %d failed, and the batch was acknowledged", n)
		}
		// Once more, but killed right after the sync.
		failed := slices.IndexFunc(m.Log()[before:], func(op vfstest.Op) bool { return op.Err != nil && op.Kind == vfstest.Sync })
		c := m.Crash(before+failed+1, vfstest.KeepAll())
		acked := k.upTo(before + failed)
		after, err := acked.reopen(c)
		if err != nil {
			t.Fatal(n, err)
		}
		for _, how := range losses() {
			cc := c.Crash(len(c.Log()), how)
			first := &ledger{batches: after.batches, acks: map[int]ackAt{}}
			for id, a := range after.acks {
				first.acks[id] = ackAt{a.offset, 0}
			}
			last, err := first.reopen(cc)
			if err == nil {
				err = last.check(content(t, cc, "log", 0), 1<<30)
			}
			if err != nil {
				t.Fatalf("sync %d failed, then a kill, an append and %v: %v", n, how, err)
			}
		}
	}
}

// small returns a log of a few segments, and what is in it.
func small(t *testing.T) (*vfstest.Mem, *ledger) {
	m := vfstest.New()
	k := &ledger{acks: map[int]ackAt{}}
	if err := k.store(tinySegments(mustCreate(t, m, "log", Change{})), m, 7); err != nil {
		t.Fatal(err)
	}
	return m, k
}

// harmed checks a log that is not what it was: nothing in it may be wrong, at most
// most batches may be unreadable, and appending goes on, or says that the log is
// damaged. Where nothing tells what was there (strict is false) offsets may be given
// again.
func (k *ledger) harmed(t *testing.T, m *vfstest.Mem, most int, strict bool, what string) {
	t.Helper()
	before := map[string][]byte{}
	for _, n := range m.Names() {
		if strings.HasSuffix(n, ".zst") {
			before[n], _ = m.ReadFile(n)
		}
	}
	l, err := Open("log", Options{FS: m})
	var damaged *event.DamagedError
	var newer *NewerError
	if errors.As(err, &damaged) || errors.As(err, &newer) {
		return
	}
	if err != nil {
		t.Fatal(what, err)
	}
	after := &ledger{batches: slices.Clone(k.batches), acks: maps.Clone(k.acks)}
	if err := after.store(tinySegments(l), m, 2); err != nil {
		t.Fatal(what, err)
	}
	got := content(t, m, "log", 0)
	lost := 0
	for id, ack := range after.acks {
		for i, line := range after.batches[id] {
			if o := ack.offset + int64(i); got[o] == "" && i == 0 {
				if lost++; id >= len(k.batches) {
					t.Fatalf("%s: batch %d, appended afterwards, is not there", what, id)
				}
			} else if got[o] != "" && got[o] != line && (strict || !slices.Contains(slices.Concat(after.batches[len(k.batches):]...), got[o])) {
				t.Fatalf("%s: offset %d is %s, was %s", what, o, got[o], line)
			}
		}
	}
	for id, ack := range after.acks {
		for i := range after.batches[id] {
			delete(got, ack.offset+int64(i))
		}
	}
	if lost > most {
		t.Fatalf("%s: %d batches are lost", what, lost)
	}
	for o, line := range got {
		t.Fatalf("%s: offset %d is %s, which nobody appended", what, o, line)
	}
	kept := ""
	for _, n := range m.Names() {
		if strings.Contains(n, "/lost/") {
			b, _ := m.ReadFile(n)
			kept += string(b)
		}
	}
	for n, b := range before {
		now, err := m.ReadFile(n)
		if err != nil || len(now) < len(b) && !strings.HasSuffix(kept, string(b[len(now):])) {
			t.Fatalf("%s: %s is shorter, and what was cut off is not kept", what, n)
		}
	}
}

// TestFlip flips each bit of all files of a small log.
func TestFlip(t *testing.T) {
	m, k := small(t)
	n := len(m.Log())
	for _, name := range m.Names() {
		b, err := m.ReadFile(name)
		if err != nil {
			continue // a directory
		}
		for i := range b {
			for bit := range uint(8) {
				if testing.Short() && uint(i)%8 != bit {
					continue
				}
				c := m.Crash(n, vfstest.KeepAll())
				c.Corrupt(name, int64(i), bit)
				k.harmed(t, c, 1, true, fmt.Sprintf("%s, byte %d, bit %d", name, i, bit))
			}
		}
	}
}

// TestTruncate cuts off each file at every byte, with and without the head.
func TestTruncate(t *testing.T) {
	m, k := small(t)
	n := len(m.Log())
	for _, name := range m.Names() {
		b, err := m.ReadFile(name)
		if err != nil {
			continue
		}
		for i := range b {
			for _, head := range []bool{true, false} {
				c := m.Crash(n, vfstest.KeepAll())
				c.WriteFile(name, b[:i])
				if !head {
					if err := c.Remove("log/00000/head"); err != nil {
						t.Fatal(err)
					}
				}
				k.harmed(t, c, len(k.batches), head, fmt.Sprintf("%s cut off at %d, head there: %v", name, i, head))
			}
		}
	}
}

var _ vfs.FS = (*vfstest.Mem)(nil)
