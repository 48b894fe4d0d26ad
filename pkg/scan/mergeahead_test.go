package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"logtools/pkg/stream"
)

// gated gives one block and then waits to be called off.
type gated struct {
	text string
	done atomic.Bool
}

func (g *gated) Next(ctx context.Context, b *stream.Block) error {
	if g.done.Swap(true) {
		<-ctx.Done()
		return ctx.Err()
	}
	*b = stream.Block{Data: []byte(g.text), First: true}
	return nil
}

// What can be merged comes although other inputs are at a standstill, more of
// them than workers; and a cancelled context ends the waiting.
func TestMergeLive(t *testing.T) {
	noLeaks(t)
	in := &blocks{rng: rand.New(rand.NewPCG(1, 1))}
	in.cut(0, "f", strings.Repeat("1\n", 1000)+"4\n")
	all := []stream.Blocks{&gated{text: "2\n"}, &gated{text: "3\n"}, &gated{text: "2\n"}, in}
	q := &Query{}
	q.Time = compile(t, q, ".")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	k := &record{}
	sink := &watched{MergeSink: mergeRecord{record: k}, seen: func() {
		if k.out.Len() == 2002 { // all of the ones and the first two; the next input stands still
			cancel()
		}
	}}
	time.AfterFunc(10*time.Second, cancel)
	err := Merge(ctx, MergeOptions{Options: Options{Format: jsonFormat(t), Workers: 1}}, q, all, newValues, sink)
	if !errors.Is(err, context.Canceled) || k.out.Len() != 2002 {
		t.Errorf("%v after %d bytes", err, k.out.Len())
	}
}

type watched struct {
	MergeSink
	seen func()
}

func (w *watched) Block(r *Result) error {
	err := w.MergeSink.Block(r)
	w.seen()
	return err
}

type broken struct{ err error }

func (b broken) Next(context.Context, *stream.Block) error {
	if b.err == nil {
		panic("oops")
	}
	return b.err
}

func TestMergeErrors(t *testing.T) {
	noLeaks(t)
	boom := errors.New("boom")
	o := MergeOptions{Options: Options{Format: jsonFormat(t), Workers: 2}}
	endless := func() stream.Blocks { return &repeat{data: []byte("{\"ts\":1}\n"), n: 1 << 40} }
	merge := func(ctx context.Context, op Operator, k MergeSink, all ...stream.Blocks) (panicked any, err error) {
		defer func() { panicked = recover() }()
		return nil, Merge(ctx, o, &Query{}, all, func() Operator { return op }, k)
	}
	ctx := context.Background()
	if _, err := merge(ctx, failing{boom}, none(), endless(), endless()); err != boom {
		t.Error("operator:", err)
	}
	if _, err := merge(ctx, values{}, none(), endless(), broken{boom}); err != boom {
		t.Error("input:", err)
	}
	if p, _ := merge(ctx, values{}, none(), endless(), broken{}); !strings.Contains(fmt.Sprint(p), "oops") {
		t.Error("panic of an input:", p)
	}
	if p, _ := merge(ctx, panicking{}, none(), endless(), endless()); !strings.Contains(fmt.Sprint(p), "oops") {
		t.Error("panic of an operator:", p)
	}
	if _, err := merge(ctx, values{}, &watched{MergeSink: refusing{none(), boom}, seen: func() {}}, endless()); err != boom {
		t.Error("sink:", err)
	}
	if p, _ := merge(ctx, values{}, &watched{MergeSink: none(), seen: func() { panic("oops") }}, endless()); !strings.Contains(fmt.Sprint(p), "oops") {
		t.Error("panic of a sink:", p)
	}
	cancelled, cancel := context.WithCancel(ctx)
	n := 0
	if _, err := merge(cancelled, values{}, &watched{MergeSink: none(), seen: func() {
		if n++; n == 3 {
			cancel()
		}
		if n > 3 {
			t.Error("a block after the end")
		}
	}}, endless(), endless()); !errors.Is(err, context.Canceled) {
		t.Error("cancelled in between:", err)
	}
	if _, err := merge(cancelled, values{}, none(), endless()); !errors.Is(err, context.Canceled) {
		t.Error("cancelled before:", err)
	}
	if _, err := merge(ctx, values{}, none()); err != nil {
		t.Error("no inputs:", err)
	}
}

type refusing struct {
	MergeSink
	err error
}

func (r refusing) Block(*Result) error { return r.err }

func none() MergeSink { return mergeRecord{record: &record{}} }

// counting counts the blocks that were read and not yet begun to be handed on.
type counting struct {
	stream.Blocks
	n *atomic.Int64
}

func (c counting) Next(ctx context.Context, b *stream.Block) error {
	err := c.Blocks.Next(ctx, b)
	if err == nil {
		c.n.Add(1)
	}
	return err
}

// However far an input could be read ahead of the others, few blocks are.
func TestMergeBounded(t *testing.T) {
	const inputs, workers, events = 5, 3, 50
	var read atomic.Int64
	var all []stream.Blocks
	for input := range inputs {
		// One after the other in time, a block for each 50 events.
		in := &blocks{rng: rand.New(rand.NewPCG(1, 1))}
		for k := range 40 {
			var s strings.Builder
			for i := range events {
				fmt.Fprintf(&s, "%d\n", input*1_000_000+k*1000+i)
			}
			in.list = append(in.list, stream.Block{Data: []byte(s.String()), First: k == 0, Name: "f"})
		}
		all = append(all, counting{in, &read})
	}
	q := &Query{}
	q.Time = compile(t, q, ".")
	k := &record{}
	most := int64(0)
	sink := &watched{MergeSink: mergeRecord{record: k}, seen: func() {
		time.Sleep(time.Millisecond) // now the readers are ahead as far as they can be
		most = max(most, read.Load()-int64(bytes.Count(k.out.Bytes(), newline)/events))
	}}
	if err := Merge(context.Background(), MergeOptions{Options: Options{Format: jsonFormat(t), Workers: workers}, Apart: true}, q, all, newValues, sink); err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(k.out.Bytes(), newline); n != inputs*40*events {
		t.Errorf("%d events", n)
	}
	// The block whose events were just handed on is still held.
	if limit := int64(inputs + 2*workers + 2); most > limit || most < limit-3 {
		t.Errorf("%d blocks at once, want at most %d and not much less", most, limit)
	}
}

// No room for blocks is lost on the way, or made up.
func TestMergeRoom(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 16))
		var inputs []mergeText
		for k := range 6 {
			inputs = append(inputs, build(rng, k, 100, 5, seed%2 == 0, k%2 == 0))
		}
		ctx, cancel := context.WithCancel(context.Background())
		a := newAhead(ctx, cancel, Options{Format: jsonFormat(t), Workers: 2}, &Query{NeedTime: true}, sources(rng, inputs),
			func() Operator { return several{} })
		m := &merger{ahead: a, sink: mergeRecord{record: &record{}}}
		if err := m.run(); err != nil {
			t.Fatal(err)
		}
		a.close()
		if a.spare != 2*2+2 {
			t.Fatalf("seed %d: room for %d blocks is left", seed, a.spare)
		}
	}
}

// noLeaks checks at the end of a test that no goroutines are left.
func noLeaks(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for range 100 {
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("%d goroutines are left over", runtime.NumGoroutine()-before)
	})
}
