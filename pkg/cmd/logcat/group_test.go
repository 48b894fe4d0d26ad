package logcat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"logtools/pkg/scan"
	"logtools/pkg/stream"
)

func newFakes(t *testing.T, owned ...int) (*fakeGroup, *fakePrograms, *batcher) {
	g := &fakeGroup{committed: make(map[int]int64)}
	g.set(owned)
	g.Balance(g.owned)
	a := new(fakePrograms)
	ctx, cancel := context.WithCancelCause(context.Background())
	t.Cleanup(func() { cancel(nil) })
	b := &batcher{
		group: g, start: a.start, ctx: ctx, stop: cancel, note: t.Logf, name: "cmd",
		room: 100, places: make(map[int]*place),
	}
	return g, a, b
}

// results are the blocks' results of an input: lines of which those with a text pass.
func result(number int, base int64, lines ...string) *scan.Result {
	r := &scan.Result{Input: number, Name: "app/0", Pos: &stream.Positions{InLog: true, Base: base}}
	for i, text := range lines {
		if text != "" {
			r.Out = append(append(r.Out, text...), '\n')
			r.Spans = append(r.Spans, scan.Span{End: len(r.Out), Line: int64(i), Lines: 1, Events: 1})
		}
	}
	return r
}

// behind is an input's mark that all before an offset has been read.
func behind(number int, next int64) *scan.Result {
	return &scan.Result{Input: number, Pos: &stream.Positions{InLog: true, Base: next}}
}

func noBad(string, int64, error, []byte) error { return nil }

func wantList(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func (g *fakeGroup) got() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.commits)
}

func (b *batcher) must(t *testing.T, r *scan.Result) {
	t.Helper()
	if err := b.block(r, noBad); err != nil {
		t.Fatal(err)
	}
}

// Batches of N events, committed behind their last one, and what does not pass with
// them or at the end.
func TestBatches(t *testing.T) {
	g, a, b := newFakes(t, 0, 1)
	b.limit = 2
	b.add(0, 0, 0)
	b.add(1, 1, 50)
	b.header = func() []byte { return []byte("h\n") }
	b.must(t, result(0, 0, "a", "", "b", "c", ""))
	b.must(t, behind(0, 9))
	b.must(t, result(1, 50, "x", "y"))
	b.must(t, behind(1, 52))
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	wantList(t, "programs", a.got(), "h a b ", "h c x ", "h y ")
	// 9 was known when the second batch ended.
	wantList(t, "commits", g.got(), "0:3", "0:9", "1:51", "1:52")
}

// Events that do not pass are committed without a program.
func TestBatchOfNothing(t *testing.T) {
	g, a, b := newFakes(t, 0)
	b.add(0, 0, 5)
	b.must(t, behind(0, 8))
	if err := b.idle(); err != nil {
		t.Fatal(err)
	}
	b.must(t, behind(0, 9))
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	wantList(t, "programs", a.got())
	wantList(t, "commits", g.got(), "0:8", "0:9")
}

// A line that makes more events than fit is in a batch of its own, and is never cut.
func TestBatchOfOneLine(t *testing.T) {
	g, a, b := newFakes(t, 0)
	b.limit = 3
	b.add(0, 0, 0)
	r := result(0, 0, "a", "b1\nb2\nb3\nb4", "c", "d1\nd2", "e")
	r.Spans[1].Events, r.Spans[3].Events = 4, 2
	b.must(t, r)
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	wantList(t, "programs", a.got(), "a ", "b1 b2 b3 b4 ", "c d1 d2 ", "e ")
	wantList(t, "commits", g.got(), "0:1", "0:2", "0:4", "0:5")
}

// A program that fails commits nothing of its batch, and is the last.
func TestBatchFails(t *testing.T) {
	g, a, b := newFakes(t, 0)
	a.fails, b.limit, b.single = 2, 2, true
	b.add(0, 0, 0)
	err := b.block(result(0, 0, "a", "b", "c", "", "d", "e"), noBad)
	if err == nil || err.Error() != "cmd: exit status 7: 2 events (offsets 2 to 4) will come again" {
		t.Errorf("error: %v", err)
	}
	if again := b.block(result(0, 6, "f"), noBad); again == nil {
		t.Error("events are taken after the failure")
	}
	if last := b.close(); last != err {
		t.Errorf("close: %v", last)
	}
	wantList(t, "programs", a.got(), "a b ")
	wantList(t, "commits", g.got(), "0:2")
}

// A commit that fails ends it.
func TestCommitFails(t *testing.T) {
	g, a, b := newFakes(t, 0)
	g.err, b.limit = errors.New("no"), 1
	b.add(0, 0, 0)
	err := b.block(result(0, 0, "a", "b", "c", "d"), noBad)
	if err == nil || b.close() == nil {
		t.Error("nobody says that nothing is committed")
	}
	if n := len(a.got()); n > 2 {
		t.Errorf("%d programs were run", n)
	}
}

// When the run is to end no further event is handed over; what a program has got is
// committed, and nothing else.
func TestBatchInterrupted(t *testing.T) {
	g, a, b := newFakes(t, 0)
	b.add(0, 0, 0)
	large := strings.Repeat("x", pieceSize)
	n := 0
	a.wrote = func() {
		if n++; n == 2 {
			b.stop(nil)
		}
	}
	if err := b.block(result(0, 0, large, large, large, "", large), noBad); !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	wantList(t, "commits", g.got(), "0:2")

	// What was only gathered comes again.
	g, a, b = newFakes(t, 0)
	b.live, b.wait = true, time.Hour
	b.add(0, 0, 0)
	b.must(t, result(0, 0, "a"))
	b.stop(nil)
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	wantList(t, "programs", a.got())
	wantList(t, "commits", g.got())

	// So does what was gathered and is on its way.
	g, a, b = newFakes(t, 0)
	b.live, b.wait, b.room = true, time.Hour, 1<<20
	b.add(0, 0, 0)
	b.must(t, result(0, 0, large, large, large))
	a.wrote = func() { b.stop(nil) }
	b.mu.Lock()
	b.end()
	b.mu.Unlock()
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	wantList(t, "commits", g.got(), "0:1")
}

// Live: what is at hand at once, or what has come until the wait is over.
func TestBatchLive(t *testing.T) {
	g, a, b := newFakes(t, 0)
	b.add(0, 0, 0)
	b.must(t, result(0, 0, "a"))
	b.must(t, result(0, 1, "b"))
	b.must(t, &scan.Result{Live: true})
	b.must(t, result(0, 2, "c", "d"))
	b.must(t, result(0, 4, "e"))
	wantList(t, "programs", a.got(), "a b ", "c d ", "e ")
	b.wait = 50 * time.Millisecond
	b.must(t, result(0, 5, "f"))
	b.must(t, result(0, 6, "g"))
	wantList(t, "programs", a.got(), "a b ", "c d ", "e ")
	for begin := time.Now(); len(a.got()) < 4 && time.Since(begin) < 10*time.Second; {
		time.Sleep(time.Millisecond)
	}
	wantList(t, "programs", a.got(), "a b ", "c d ", "e ", "f g ")
	b.wait, b.limit = time.Hour, 2
	b.must(t, result(0, 7, "h", "i", "j"))
	wantList(t, "programs", a.got(), "a b ", "c d ", "e ", "f g ", "h i ")
	// What does not fit into the memory is handed over, but is one batch.
	b.limit = 0
	b.must(t, result(0, 10, strings.Repeat("k", 200)))
	if a.starts != 6 || b.program == nil {
		t.Errorf("%d programs", a.starts)
	}
	b.must(t, result(0, 11, "l"))
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	wantList(t, "programs", a.got()[5:], "j "+strings.Repeat("k", 200)+" l ")
	wantList(t, "commits", g.got(), "0:2", "0:4", "0:5", "0:7", "0:9", "0:12")
}

// An event that is too large to be kept makes others wait no longer than a small one.
func TestBatchOfLarge(t *testing.T) {
	g, a, b := newFakes(t, 0)
	b.live, b.wait = true, 50*time.Millisecond
	b.add(0, 0, 0)
	large := strings.Repeat("x", 200)
	b.must(t, result(0, 0, large))
	if a.starts != 1 {
		t.Errorf("%d programs", a.starts)
	}
	for begin := time.Now(); len(g.got()) < 1 && time.Since(begin) < 10*time.Second; {
		time.Sleep(time.Millisecond)
	}
	wantList(t, "programs", a.got(), large+" ")
	wantList(t, "commits", g.got(), "0:1")
}

// What is no longer held is not committed, also if that is not known yet.
func TestBatchNotHeld(t *testing.T) {
	g, a, b := newFakes(t, 0, 1)
	b.add(0, 0, 0)
	b.add(1, 1, 0)
	b.must(t, result(0, 0, "a"))
	b.must(t, result(1, 0, "x"))
	g.set([]int{1})
	g.Balance(g.owned)
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	wantList(t, "programs", a.got(), "a x ")
	wantList(t, "commits", g.got(), "1:1")
}

// What is no longer held is not committed, and blocks of it do no harm.
func TestBatchLost(t *testing.T) {
	g, a, b := newFakes(t, 0, 1)
	b.add(0, 0, 0)
	b.add(1, 1, 0)
	b.must(t, result(0, 0, "a"))
	b.must(t, result(1, 0, "x"))
	g.set([]int{1})
	g.Balance(g.owned)
	b.remove(0)
	b.must(t, result(0, 1, "b")) // still on its way
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	wantList(t, "programs", a.got(), "a x ")
	wantList(t, "commits", g.got(), "1:1")
}

// everything takes all blocks of a feed, by several goroutines, in the order of their
// numbers.
func everything(t *testing.T, f feed, each func(b *stream.Block)) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	waiting, next := make(map[int64]stream.Block), int64(0)
	for range 4 {
		wg.Go(func() {
			for {
				var b stream.Block
				if err := f.Next(t.Context(), &b); err != nil {
					if err != io.EOF && !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				if _, twice := waiting[b.Seq]; twice || b.Seq < next {
					t.Errorf("block %d comes twice", b.Seq)
				}
				waiting[b.Seq] = b
				for {
					b, ok := waiting[next]
					if !ok {
						break
					}
					delete(waiting, next)
					next++
					each(&b)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(waiting) > 0 {
		t.Errorf("block %d never came", next)
	}
}

// Partitions come and go while they are read: of each input what was given out has
// no gap, one comes after the other, and all of it in the end.
func TestInTurn(t *testing.T) {
	f := newInTurn()
	inputs := make(map[int]*input)
	add := func(n, p int, from, to int64) {
		inputs[n] = &input{partitionReader: newFakeReader(p, from, to, false), partition: p, number: n}
		f.add(inputs[n])
	}
	add(0, 0, 0, 100)
	add(1, 1, 5, 50)
	add(2, 2, 0, 1<<40)
	f.expect(true)
	next := map[int]int64{0: 0, 1: 5, 2: 0, 3: 7, 4: 3}
	order := []int{}
	everything(t, f, func(b *stream.Block) {
		if len(order) == 0 || order[len(order)-1] != b.Input {
			order = append(order, b.Input)
		}
		switch {
		case len(b.Data) > 0:
			if b.Pos.Base != next[b.Input] {
				t.Errorf("input %d: offset %d, want %d", b.Input, b.Pos.Base, next[b.Input])
			}
			next[b.Input]++
		case b.Last && b.Pos.Base != next[b.Input]:
			t.Errorf("input %d ends at %d, want %d", b.Input, b.Pos.Base, next[b.Input])
		}
		if b.Input == 2 && next[2] == 1000 {
			go func() {
				add(4, 4, 3, 4)
				f.remove(inputs[4]) // before its turn
				f.remove(inputs[2])
				time.Sleep(10 * time.Millisecond)
				add(3, 3, 7, 20)
				f.expect(false)
			}()
		}
	})
	if !slices.Equal(order, []int{0, 1, 2, 3}) {
		t.Errorf("order: %v", order)
	}
	if next[0] != 100 || next[1] != 50 || next[3] != 20 || next[4] != 3 {
		t.Errorf("read: %v", next)
	}
}

// Followed partitions: one Live block when all have given out what was there, also if
// one goes away before.
func TestArriving(t *testing.T) {
	f := newArriving()
	defer f.close()
	inputs := make(map[int]*input)
	for n, to := range map[int]int64{0: 100, 1: 50, 2: 1 << 40} {
		inputs[n] = &input{partitionReader: newFakeReader(n, 0, to, true), partition: n, number: n}
		f.add(inputs[n])
	}
	f.expect(true)
	next := make(map[int]int64)
	lives, removed := 0, false
	everything(t, f, func(b *stream.Block) {
		switch {
		case b.Live:
			lives++
			if next[0] != 100 || next[1] != 50 || !removed {
				t.Errorf("live after %v", next)
			}
			go func() {
				in := &input{partitionReader: newFakeReader(3, 7, 20, true), partition: 3, number: 3}
				f.add(in)
				for n := range maps.Clone(inputs) {
					if n != 2 {
						f.remove(inputs[n])
					}
				}
				f.expect(false)
				time.Sleep(50 * time.Millisecond)
				f.remove(in)
			}()
		case len(b.Data) > 0:
			if next[b.Input]++; b.Input == 3 && b.Pos.Base != next[3]+6 || b.Input != 3 && b.Pos.Base != next[b.Input]-1 {
				t.Errorf("input %d: offset %d as number %d", b.Input, b.Pos.Base, next[b.Input])
			}
		}
		if b.Input == 2 && next[2] >= 1000 && !removed {
			removed = true
			go f.remove(inputs[2])
		}
	})
	if lives != 1 || next[3] != 13 {
		t.Errorf("%d Live blocks; read %v", lives, next)
	}
}

// A share that changes: what goes to others is committed first, what comes is read
// from where it was committed, and blocks on their way do no harm.
func TestSharing(t *testing.T) {
	g, a, b := newFakes(t)
	g.set([]int{0, 1}, 1)
	g.committed[0], g.committed[1] = 2, 3
	f := newInTurn()
	var opened []string
	s := &sharing{group: g, feed: f, batch: b, open: func(p int, from int64) (partitionReader, error) {
		opened = append(opened, fmt.Sprintf("%d:%d", p, from))
		return newFakeReader(p, from, 5, false), nil
	}}
	look := func() {
		t.Helper()
		if err := s.look(); err != nil {
			t.Fatal(err)
		}
	}
	look()
	if !f.more {
		t.Error("partition 1 is not waited for")
	}
	b.must(t, result(0, 2, "a", "b"))
	look() // nothing changes: the batch goes on
	wantList(t, "programs", a.got())
	g.set([]int{0, 1})
	look() // nor does it end for what comes
	wantList(t, "programs", a.got())
	b.must(t, result(1, 3, "x"))
	g.set([]int{1, 2})
	look()
	wantList(t, "programs", a.got(), "a b x ")
	g.set([]int{0, 1, 2})
	look()
	b.must(t, result(0, 4, "old"))
	b.must(t, result(3, 4, "new"))
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	wantList(t, "programs", a.got(), "a b x ", "new ")
	wantList(t, "opened", opened, "0:2", "1:3", "2:0", "0:4")
	wantList(t, "commits", g.got(), "0:4", "1:4", "0:5")
	if f.more {
		t.Error("something is waited for")
	}
}

// The next input has its turn only when all have left the one before: its last block
// may still be on its way.
func TestInTurnWaits(t *testing.T) {
	f := newInTurn()
	a := &input{partitionReader: newFakeReader(0, 0, 1, false), number: 0}
	b := &input{partitionReader: newFakeReader(1, 0, 1, false), partition: 1, number: 1}
	f.add(a)
	f.add(b)
	for range 2 {
		if in, err := f.enter(t.Context()); in != a || err != nil {
			t.Fatal(in, err)
		}
	}
	f.leave(a, &stream.Block{}, io.EOF)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if in, err := f.enter(ctx); err == nil {
		t.Fatalf("it is the turn of input %d", in.number)
	}
	late := &stream.Block{Seq: 3}
	f.leave(a, late, nil)
	if in, err := f.enter(t.Context()); in != b || err != nil || f.base != 4 {
		t.Errorf("input %v from block %d, %v", in, f.base, err)
	}
}
