package logcat

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"logtools/pkg/cli"
	"logtools/pkg/cmd/reader"
	"logtools/pkg/scan"
)

// consumer is a process's share of a group, as an *eventlog.Group is.
type consumer interface {
	// Owned are the partitions that are this process's now, Held those of them, and
	// of those that were, that it has; Balance makes them those that are given, as
	// far as others let it.
	Owned() ([]int, error)
	Balance(own []int) (changed bool, err error)
	Held() []int
	// Committed is the offset from which on the events of a partition are still to
	// be processed. Commit says durably that those before next are.
	Committed(partition int) int64
	Commit(partition int, next int64) error
	Close() error
}

// batcher hands events to programs, batch by batch, and commits what they have
// processed. Its methods may be called from any goroutine.
//
// A batch is committed, or none of it, once its program has ended. Events that do not
// pass are committed with what follows them, or when nothing does.
type batcher struct {
	group consumer
	start func(context.Context) (program, error)
	// ctx ends the run: no further event is handed over then. stop does that.
	ctx  context.Context
	stop func(error)
	// header is what each program gets before its first event; nil: nothing.
	header func() []byte
	note   func(format string, args ...any)
	name   string // of the program
	single bool   // the log has only one partition

	// limit is how many events make a batch. Once the run is live a batch is begun
	// when its first event has come, and ends when there is no other at hand, or wait
	// after that if it is not 0. Until then no more than room bytes of it are held in
	// memory.
	limit int64
	wait  time.Duration
	room  int

	mu     sync.Mutex
	places map[int]*place // by input
	live   bool
	number int // of the batch
	events int64
	// gathered are events that no program has got yet; marks are where they end.
	gathered []byte
	marks    []mark
	timer    *time.Timer // ends the batch; nil: it is not set
	program  program     // that gets the batch; nil: not started
	told     bool        // that a program has not read all
	err      error       // nothing is handed over after it
	// committing gets the error of the commit that is on its way; nil: there is none.
	committing chan error
}

// place is how far a partition has been processed.
type place struct {
	partition   int
	read        int64 // behind what was taken, or passed over
	handed      int64 // behind what a program has got
	committed   int64
	first, last int64 // the events of the batch, if there are any; else first is less than 0
}

// mark is where some events end among those gathered, and which is the offset behind
// them.
type mark struct {
	end  int
	at   *place
	next int64
}

// add makes room for the events of an input, which begin at an offset.
func (b *batcher) add(number, partition int, from int64) {
	b.places[number] = &place{partition: partition, read: from, handed: from, committed: from, first: -1}
}

// remove says that the events of an input are of no interest any more.
func (b *batcher) remove(number int) { delete(b.places, number) }

// block takes a result.
func (b *batcher) block(r *scan.Result, bad reader.Report) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	if r.Live {
		b.live = true
		return b.end()
	}
	at := b.places[r.Input]
	if at == nil {
		return nil // the partition is another process's
	}
	stop := r.TellBad(bad)
	if stop != nil && !errors.Is(stop, cli.ErrStop) {
		return stop // bad lines cannot be kept: what is behind them must come again
	}
	if err := b.take(r, at); err != nil {
		return err
	}
	at.read = max(at.read, reached(r))
	if b.live && b.wait == 0 && b.events > 0 {
		if err := b.end(); err != nil {
			return err
		}
	}
	return stop
}

// take takes the events of a result.
func (b *batcher) take(r *scan.Result, at *place) error {
	for c := piecesOf(r); ; {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		most := int64(math.MaxInt64)
		if b.limit > 0 {
			most = b.limit - b.events
		}
		p := c.next(pieceSize, most, b.events == 0)
		if p.events == 0 && len(c.spans) == 0 {
			return nil
		}
		if p.events > 0 {
			first, last := r.Pos.Offset(p.first), r.Pos.Offset(p.last)
			if at.first < 0 {
				at.first = first
			}
			at.last = last
			at.read = last + 1
			b.events += p.events
			if err := b.hand(p.bytes, mark{at: at, next: last + 1}); err != nil {
				return err
			}
		}
		if p.events == 0 || b.limit > 0 && b.events >= b.limit {
			if err := b.end(); err != nil {
				return err
			}
		}
	}
}

// hand hands on a piece, or keeps it.
func (b *batcher) hand(p []byte, m mark) error {
	// Also for a first event that is too large to be kept.
	if b.live && b.timer == nil && b.wait > 0 {
		number := b.number
		b.timer = time.AfterFunc(b.wait, func() { b.waited(number) })
	}
	if b.program == nil && b.live && len(b.gathered)+len(p) <= b.room {
		b.gathered = append(b.gathered, p...)
		m.end = len(b.gathered)
		b.marks = append(b.marks, m)
		return nil
	}
	if err := b.begin(); err != nil {
		return err
	}
	return b.write(p, m)
}

// waited ends a batch that has waited long enough.
func (b *batcher) waited(number int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if number == b.number && b.err == nil && b.ctx.Err() == nil {
		if err := b.end(); err != nil {
			b.stop(err)
		}
	}
}

// begin starts a program, if there is none, and hands it what was gathered.
func (b *batcher) begin() error {
	if b.program != nil {
		return nil
	}
	p, err := b.start(b.ctx)
	if err != nil {
		return b.fail(err)
	}
	b.program = p
	if b.header != nil {
		if err := b.write(b.header(), mark{}); err != nil {
			return err
		}
	}
	from := 0
	for _, m := range b.marks {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		if err := b.write(b.gathered[from:m.end], m); err != nil {
			return err
		}
		from = m.end
	}
	b.gathered, b.marks = b.gathered[:0], b.marks[:0]
	return nil
}

func (b *batcher) write(p []byte, m mark) error {
	if _, err := b.program.Write(p); err != nil {
		return b.failed(err)
	}
	if m.at != nil {
		m.at.handed = m.next
	}
	return nil
}

// end ends the batch: its program has to end well, and then it is committed.
func (b *batcher) end() error {
	if b.events > 0 {
		if err := b.begin(); err != nil {
			return err
		}
		if err := b.finish(); err != nil {
			return err
		}
	}
	for _, at := range b.places {
		at.handed = at.read
	}
	return b.commit()
}

// finish waits for the program.
func (b *batcher) finish() error {
	p := b.program
	if err := p.Finish(); err != nil {
		return b.failed(err)
	}
	b.program = nil
	if p.Deaf() && !b.told {
		b.told = true
		b.note("%s did not read all of its input, but exited with 0: all of it counts as done", b.name)
	}
	return nil
}

// commit commits what was handed over, and begins a new batch. It does not wait for
// the disk: see settle.
func (b *batcher) commit() error {
	if err := b.settle(); err != nil {
		return err
	}
	held := b.group.Held()
	var all []mark
	for _, at := range b.places {
		at.first = -1
		// What is no longer held comes again, to the process that has it now.
		if at.handed > at.committed && slices.Contains(held, at.partition) {
			all = append(all, mark{at: at, next: at.handed})
			at.committed = at.handed
		}
	}
	b.clear()
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(x, y mark) int { return x.at.partition - y.at.partition })
	committing := make(chan error, 1)
	b.committing = committing
	go func() {
		for _, m := range all {
			if err := b.group.Commit(m.at.partition, m.next); err != nil {
				from := b.group.Committed(m.at.partition)
				committing <- reader.WithStatus(fmt.Errorf("%w: the events from offset %d of partition %d on will come again", err, from, m.at.partition))
				return
			}
		}
		committing <- nil
	}()
	return nil
}

// settle waits until what was last committed is durable. Meanwhile the next program
// may work: at worst both batches come again.
func (b *batcher) settle() error {
	if b.committing == nil {
		return nil
	}
	err := <-b.committing
	b.committing = nil
	if err != nil {
		return b.fail(err)
	}
	return nil
}

func (b *batcher) clear() {
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	b.number++
	b.events = 0
	if b.gathered, b.marks = b.gathered[:0], b.marks[:0]; cap(b.gathered) > 1<<20 {
		b.gathered = nil
	}
}

// idle commits what did not pass, if there is no batch to commit it with.
func (b *batcher) idle() error {
	if b.err != nil || b.events > 0 {
		return b.err
	}
	return b.end()
}

// close ends the last batch: of a run that is to end at once only what a program has
// got already. All that was committed is durable when it returns.
func (b *batcher) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.last()
	if settled := b.settle(); err == nil {
		err = settled
	}
	return err
}

func (b *batcher) last() error {
	switch {
	case b.err != nil:
		return b.err
	case b.ctx.Err() == nil || b.events == 0:
		return b.end()
	case b.program == nil:
		return nil
	}
	if err := b.finish(); err != nil {
		return err
	}
	return b.commit()
}

func (b *batcher) fail(err error) error {
	b.err = err
	b.clear()
	return err
}

// failed says that the program has failed, and what comes again.
func (b *batcher) failed(err error) error {
	if b.program != nil {
		b.program.Finish()
		b.program = nil
	}
	err = &cli.Error{Exit: cli.Failed, Err: fmt.Errorf("%s: %w: %s", b.name, err, b.again())}
	return b.fail(err)
}

// again says which events come again.
func (b *batcher) again() string {
	var of []*place
	for _, at := range b.places {
		if at.first >= 0 {
			of = append(of, at)
		}
	}
	var text strings.Builder
	if b.events == 1 {
		text.WriteString("1 event")
	} else {
		text.WriteString(cli.Thousands(b.events) + " events")
	}
	if len(of) == 1 {
		text.WriteString(" (")
		if !b.single {
			fmt.Fprintf(&text, "partition %d, ", of[0].partition)
		}
		if of[0].first == of[0].last {
			fmt.Fprintf(&text, "offset %d)", of[0].first)
		} else {
			fmt.Fprintf(&text, "offsets %d to %d)", of[0].first, of[0].last)
		}
	}
	return text.String() + " will come again"
}
