package logappend

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"logtools/pkg/cli"
	"logtools/pkg/stream"
)

const (
	// maxGathered bounds what waits in the batches of all partitions together, in
	// bytes.
	maxGathered = 16 << 20
	// maxWhole is the most that one batch holds with --expect, in bytes.
	maxWhole = 256 << 20
)

// gatherer makes batches of the lines that the workers have written and hands
// them over.
//
// A batch is handed over when it is full. It is also handed over before that, when
// no other one of its partition is being stored and either the input pauses or the
// batch has waited for the linger: so a single line is stored at once, and what
// arrives while it is being stored goes into the next batch together (as databases
// commit in groups). That the input pauses is told by no worker having a block that
// comes after those that are in the batches.
type gatherer struct {
	to         stream.Appender
	batchBytes int
	linger     time.Duration
	whole      bool  // all is one batch, which close hands over
	expect     int64 // its Batch.Expect
	begun      *atomic.Int64
	// answer, if not nil, is told of each batch that was stored, by one goroutine
	// at a time. What is wrong with standard output is not its concern.
	answer func(*stream.Batch, stream.Ack)
	// refused is told of each batch of which something was refused, before answer. Its
	// error ends the storing.
	refused func(*stream.Batch, stream.Ack) error
	// failed is called when nothing more can be stored.
	failed func(error)

	// sending is held while a batch is taken and handed over: so they are handed
	// over in the order in which they were gathered. It is locked before mu.
	sending sync.Mutex

	answering sync.Mutex

	mu       sync.Mutex
	parts    []gathering
	anyPart  int // where events without key go
	gathered int // bytes in parts
	taken    int64
	buffers  buffers
	timer    *time.Timer // nil: not used yet
	timerSet bool
	closing  bool
	err      error
	stored   int64          // events that were acknowledged
	wg       sync.WaitGroup // of goroutines that send; none begins once closing
}

// gathering is what becomes a partition's next batch.
type gathering struct {
	stream.Batch
	since  time.Time // of its first line
	stored int       // batches that were handed over and are not done
}

func newGatherer(to stream.Appender, partitions int, begun *atomic.Int64) *gatherer {
	g := &gatherer{to: to, begun: begun, taken: -1, parts: make([]gathering, partitions), failed: func(error) {},
		refused: func(*stream.Batch, stream.Ack) error { return nil }}
	g.begun.Store(-1)
	g.anyPart = rand.IntN(partitions)
	return g
}

// block takes the runs of a block, or of a part of one.
func (g *gatherer) block(seq int64, out []byte) error {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(out) > 0 && g.err == nil {
		var r run
		var text []byte
		r, text, out = nextRun(out)
		if g.whole && len(g.parts[0].Lines)+len(text) > maxWhole {
			return g.tooMuch()
		}
		// After an error, which may come at any time, nothing is handed over any more.
		for !g.whole && g.err == nil && !g.fits(g.partitionOf(&r), len(text)) {
			g.sendUnlocked(g.partitionOf(&r))
		}
		if g.err != nil {
			break
		}
		g.add(&g.parts[g.partitionOf(&r)], &r, text, now)
		if g.gathered > maxGathered && !g.whole {
			g.sendUnlocked(g.largest())
		}
	}
	g.taken = seq
	for i := range g.parts {
		if g.due(i, now) {
			g.sendUnlocked(i)
		}
	}
	return g.err
}

func (g *gatherer) partitionOf(r *run) int {
	if r.partition == anyPartition {
		return g.anyPart
	}
	return r.partition
}

func (g *gatherer) fits(i, n int) bool {
	p := &g.parts[i]
	return p.Count == 0 || len(p.Lines)+n <= g.batchBytes
}

func (g *gatherer) tooMuch() error {
	return &cli.Error{
		Err:  fmt.Errorf("the input is more than %d MiB, and with --expect it is one batch: nothing was stored", maxWhole>>20),
		Hint: "give it in parts, each with the offset that it expects",
	}
}

func (g *gatherer) add(p *gathering, r *run, text []byte, now time.Time) {
	if p.Count == 0 {
		p.since = now
	}
	p.Lines = g.buffers.append(p.Lines, text)
	if r.timed {
		if p.Timed == 0 || r.min.Before(p.MinTime) {
			p.MinTime = r.min
		}
		if p.Timed == 0 || p.MaxTime.Before(r.max) {
			p.MaxTime = r.max
		}
		p.Timed += r.count
	}
	p.Count += r.count
	g.gathered += len(text)
}

func (g *gatherer) largest() int {
	at := 0
	for i := range g.parts {
		if len(g.parts[i].Lines) > len(g.parts[at].Lines) {
			at = i
		}
	}
	return at
}

// due says whether a partition's batch is to be handed over although it is not
// full. If it is to wait for no more than the linger, the timer is set.
func (g *gatherer) due(i int, now time.Time) bool {
	p := &g.parts[i]
	if p.Count == 0 || p.stored > 0 || g.whole || g.closing {
		return false
	}
	left := g.linger - now.Sub(p.since)
	if g.begun.Load() <= g.taken || left <= 0 {
		return true
	}
	// One timer serves all partitions: it looks at all of them, so that it comes
	// too early for some does no harm. It is never put off.
	if g.timer == nil {
		g.timer = time.AfterFunc(left, g.lingered)
	} else if !g.timerSet {
		g.timer.Reset(left)
	}
	g.timerSet = true
	return false
}

// lingered hands over what has waited long enough.
func (g *gatherer) lingered() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.timerSet = false
	if g.closing {
		return
	}
	g.wg.Add(1)
	defer g.wg.Done()
	now := time.Now()
	for i := range g.parts {
		if g.due(i, now) {
			g.sendUnlocked(i)
		}
	}
}

// sendUnlocked is send for who holds mu; meanwhile it does not.
func (g *gatherer) sendUnlocked(i int) {
	g.mu.Unlock()
	defer g.mu.Lock()
	g.send(i)
}

// send hands over a partition's batch, if there is one. It waits until there is
// room for it.
func (g *gatherer) send(i int) {
	g.sending.Lock()
	defer g.sending.Unlock()
	g.mu.Lock()
	p := &g.parts[i]
	// After an error nothing is handed over: it would be stored behind a gap.
	if p.Count == 0 && !g.whole || g.err != nil {
		g.mu.Unlock()
		return
	}
	b := p.Batch
	p.Batch = stream.Batch{}
	b.Partition, b.Expect = i, -1
	if g.whole {
		b.Expect = g.expect
	}
	p.stored++
	g.gathered -= len(b.Lines)
	if i == g.anyPart {
		g.anyPart = rand.IntN(len(g.parts))
	}
	g.mu.Unlock()
	// What has been read is stored even if the run is interrupted: hence no other
	// context. What may take long, a lock, has its own limit.
	err := g.to.Append(context.Background(), &b, func(a stream.Ack, err error) { g.done(&b, a, err) })
	if err != nil {
		g.fail(err)
	}
}

// done is called when a batch is stored, or could not be.
func (g *gatherer) done(b *stream.Batch, a stream.Ack, err error) {
	if err != nil {
		g.fail(err)
	} else if err := g.tell(b, a); err != nil {
		g.fail(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil {
		g.stored += int64(a.Count)
	}
	g.parts[b.Partition].stored--
	g.buffers.put(b.Lines)
	b.Lines = nil
	if g.due(b.Partition, time.Now()) {
		// Not here: the Appender may need this goroutine to make room.
		i := b.Partition
		g.wg.Go(func() { g.send(i) })
	}
}

// tell says what became of a batch, of which not all may be stored.
func (g *gatherer) tell(b *stream.Batch, a stream.Ack) (err error) {
	if g.answer == nil && len(a.Refused) == 0 {
		return nil
	}
	g.answering.Lock()
	defer g.answering.Unlock()
	if len(a.Refused) > 0 {
		err = g.refused(b, a)
	}
	if g.answer != nil {
		g.answer(b, a)
	}
	return err
}

func (g *gatherer) fail(err error) {
	g.mu.Lock()
	first := g.err == nil
	if first || follows(g.err) {
		g.err = err
	}
	g.mu.Unlock()
	if first {
		g.failed(err)
	}
}

// close hands over what is left, unless it is to be dropped, and waits until all
// is stored. It returns the first error of storing.
func (g *gatherer) close(drop bool) error {
	g.mu.Lock()
	g.closing = true
	if g.timer != nil {
		g.timer.Stop()
	}
	g.mu.Unlock()
	g.wg.Wait()
	for i := range g.parts {
		if !drop {
			g.send(i)
		}
	}
	err := g.to.Flush(context.Background())
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil {
		g.err = err
	}
	return g.err
}
