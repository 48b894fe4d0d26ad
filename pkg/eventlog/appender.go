package eventlog

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"logtools/pkg/segment"
	"logtools/pkg/stream"
)

// AppendOptions say how to append. The zero value works.
type AppendOptions struct {
	// NoSync: acknowledge what the system has taken, without making it durable. It
	// survives the death of the process, but not a power cut.
	NoSync bool
	// LockTimeout is how long to wait for another process's lock before it is an
	// error (*LockError); 0 is for ever.
	LockTimeout time.Duration
	// Workers is how many batches are compressed at the same time; 0 is one per
	// core.
	Workers int
	// Guard keeps the rules of the log; nil if it has none.
	Guard Guard
	// StopAtRefused: the first event that the rules refuse ends all appending. What
	// was not written by then is not stored (*stream.StoppedError), and of its own
	// batch only what comes before it; nothing, if that batch has an Expect.
	StopAtRefused bool
}

// MaxBatch is the most bytes that the lines of a batch may have.
const MaxBatch = segment.MaxRaw

// Appender appends batches to a log; see stream.Appender.
//
// A batch goes through three hands: it is compressed (several batches at a time),
// written (by one goroutine per partition, which takes the lock for as many batches
// as are ready), and made durable (by another one, which syncs once for all that
// was written meanwhile). So a fast input keeps all of them busy, and the batches
// of one that waits for its acknowledgements take the short way: all of it at once
// in the caller's goroutine.
//
// If the log has rules a batch is prepared for its judgement where it is compressed,
// and judged under the lock, when all is known that comes before it. What is refused
// is left out, and told with the Ack, which comes when that is durable that the
// refusals rest upon.
//
// Memory: the lines and bodies of four batches per worker and two more.
type Appender struct {
	l    *Log
	o    AppendOptions
	room chan struct{} // one element per batch in flight
	jobs chan *job     // to be compressed
	enc  *segment.Encoder

	writers []*writer // by partition; nil: none yet
	busy    sync.WaitGroup
	workers sync.WaitGroup
	closed  bool
	stopped atomic.Pointer[stream.StoppedError] // nil: not yet

	mu   sync.Mutex
	free []*job
}

type job struct {
	unit
	batch  *stream.Batch
	done   func(stream.Ack, error)
	packed chan error // the body is there
	err    error      // why nothing of it is stored

	// With rules.
	guard    Guard
	prepared any // for Keeper.Judge
	refused  []stream.Refusal
	stopped  bool
}

// writer writes the batches of one partition.
type writer struct {
	a       *Appender
	p       *partition
	in      chan *job
	written chan group

	mu      sync.Mutex
	pending int   // batches that are not done
	failed  error // nothing more is stored
}

// group is what was written without giving up the lock, or was to be.
type group struct {
	jobs []*job
	act  *active // nil: nothing is stored
	upTo head
}

// direct is how large a batch may be that is stored in the caller's goroutine when
// nothing else is going on.
const direct = 64 << 10

// Appender returns a new Appender, which must be closed. It is an error if the log
// has rules and there is no Guard, or the other way round.
func (l *Log) Appender(o AppendOptions) (*Appender, error) {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if l.settings.Rules.None() != (o.Guard == nil) {
		return nil, fmt.Errorf("%s: a log with rules is appended to with a guard, and one without is not", l.path)
	}
	// Whoever made the log may have been killed before its name was durable.
	if err := l.fs.SyncDir(filepath.Dir(l.path)); err != nil {
		return nil, err
	}
	if o.Guard != nil { // or before the rules were
		if err := l.fs.SyncDir(l.path); err != nil {
			return nil, err
		}
	}
	n := 4*o.Workers + 2
	a := &Appender{
		l: l, o: o, room: make(chan struct{}, n), jobs: make(chan *job, n), enc: segment.NewEncoder(),
		writers: make([]*writer, l.settings.Partitions),
	}
	for range o.Workers {
		a.workers.Go(a.pack)
	}
	return a, nil
}

// Append is stream.Appender's.
func (a *Appender) Append(ctx context.Context, b *stream.Batch, done func(stream.Ack, error)) error {
	if a.closed {
		return errors.New("append after Close")
	}
	if b.Partition < 0 || b.Partition >= len(a.writers) {
		return fmt.Errorf("%s has no partition %d", a.l.path, b.Partition)
	}
	if (b.Count <= 0 || len(b.Lines) == 0) && b.Expect < 0 || len(b.Lines) > MaxBatch {
		return fmt.Errorf("a batch of %d lines with %d bytes", b.Count, len(b.Lines))
	}
	w, err := a.writer(b.Partition)
	if err != nil {
		return err
	}
	select {
	case a.room <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	j := a.job(b, done)
	a.busy.Add(1)
	w.mu.Lock()
	idle := w.pending == 0
	w.pending++
	w.mu.Unlock()
	// With several partitions the others shall not wait for this one.
	if idle && len(b.Lines) <= direct && len(a.writers) == 1 {
		if err := j.pack(a.enc); err != nil {
			w.finish(j, stream.Ack{}, w.fail(err))
			return nil
		}
		w.commit(w.write([]*job{j}))
		return nil
	}
	a.jobs <- j
	w.in <- j
	return nil
}

func (a *Appender) writer(partition int) (*writer, error) {
	if w := a.writers[partition]; w != nil {
		return w, nil
	}
	p, err := a.l.partition(partition, a.o.LockTimeout)
	if err != nil {
		return nil, err
	}
	p.rules, p.noSync = &a.l.settings.Rules, a.o.NoSync
	if a.o.Guard != nil {
		p.keep = &keeping{guard: a.o.Guard, stop: a.o.StopAtRefused}
	}
	w := &writer{a: a, p: p, in: make(chan *job, cap(a.room)), written: make(chan group, cap(a.room))}
	a.writers[partition] = w
	a.workers.Go(w.writeAll)
	a.workers.Go(w.commitAll)
	return w, nil
}

func (a *Appender) job(b *stream.Batch, done func(stream.Ack, error)) *job {
	a.mu.Lock()
	defer a.mu.Unlock()
	j := &job{packed: make(chan error, 1)}
	if n := len(a.free); n > 0 {
		j, a.free = a.free[n-1], a.free[:n-1]
	}
	j.batch, j.done, j.expect, j.guard = b, done, b.Expect, a.o.Guard
	j.timed = b.Timed
	j.bounds = segment.NoBounds()
	if b.Timed > 0 {
		j.bounds = segment.Bounds{Min: b.MinTime, Max: b.MaxTime}
	}
	return j
}

// keepBody is the largest body whose memory is kept for the next one.
const keepBody = 8 << 20

func (a *Appender) recycle(j *job) {
	if cap(j.buf) > keepBody {
		j.buf = nil
	}
	j.batch, j.done, j.err = nil, nil, nil
	j.prepared, j.refused, j.stopped = nil, nil, false
	a.mu.Lock()
	a.free = append(a.free, j)
	a.mu.Unlock()
}

// pack compresses batches.
func (a *Appender) pack() {
	enc := segment.NewEncoder()
	for j := range a.jobs {
		j.packed <- j.pack(enc)
	}
}

func (j *job) pack(enc *segment.Encoder) error {
	j.room = batchRoom
	if cap(j.buf) < batchRoom {
		j.buf = make([]byte, batchRoom, batchRoom+len(j.batch.Lines)/4+4096)
	}
	ext := j.h.Ext
	j.h = segment.Header{Ext: ext}
	if j.batch.Count == 0 { // only asks whether Expect holds
		j.buf = j.buf[:batchRoom]
		return nil
	}
	var err error
	if j.guard != nil {
		if j.prepared, err = j.guard.Prepare(j.batch); err != nil {
			return err
		}
	}
	j.buf, err = enc.Encode(j.buf[:batchRoom], j.batch.Lines, &j.h)
	if err == nil && int(j.h.Count) != j.batch.Count {
		err = fmt.Errorf("a batch of %d lines that says %d", j.h.Count, j.batch.Count)
	}
	return err
}

// atOnce is how many batches are written under one lock. With more of them the
// workers would have nothing to do while they are judged.
const atOnce = 2

// writeAll writes what comes, in order.
func (w *writer) writeAll() {
	defer close(w.written)
	for j := range w.in {
		jobs := []*job{j}
		err := <-j.packed
		// What is compressed by now goes with it.
		for more := err == nil; more; {
			select {
			case next, ok := <-w.in:
				if !ok {
					more = false
					break
				}
				// Batches are compressed in the order in which they came, or nearly.
				jobs = append(jobs, next)
				err = <-next.packed
				more = err == nil && len(jobs) < atOnce
			default:
				more = false
			}
		}
		if err != nil {
			w.fail(err)
		}
		w.written <- w.write(jobs)
	}
}

// write writes batches under the lock. Those that it cannot write have an error then.
func (w *writer) write(jobs []*job) group {
	err := w.error()
	if err == nil {
		if err = w.p.acquire(); err != nil {
			w.fail(err)
		}
	}
	if err != nil {
		for _, j := range jobs {
			j.err = err
		}
		return group{jobs: jobs}
	}
	g := group{jobs: jobs}
	var last *active // that the jobs from safe on were written to
	safe := 0
	for i, j := range jobs {
		if err == nil {
			err = w.a.stop()
		}
		if err == nil {
			err = w.p.put(j)
			if err == nil {
				if w.p.act != last { // rolling has made durable what was written before
					last, safe = w.p.act, i
				}
				if j.stopped {
					w.a.stopped.CompareAndSwap(nil, &stream.StoppedError{Partition: w.p.n})
				}
				continue
			}
			if last != nil && w.p.act != last && !isExpect(err) {
				// The segment was given up, and they with it.
				for _, void := range jobs[safe:i] {
					if void.err == nil {
						void.err = err
					}
				}
			}
		}
		j.err = err
		switch {
		case isExpect(err):
			err = nil
		case !isStopped(err): // that holds for all partitions
			w.fail(err)
		}
	}
	if a := w.p.act; a != nil && slices.ContainsFunc(jobs, func(j *job) bool { return j.err == nil }) {
		g.act, g.upTo = a, a.state()
		a.refs++
	}
	w.p.free()
	if g.act == nil {
		// What was written cannot be made durable any more.
		for _, j := range jobs {
			if j.err == nil {
				j.err = w.error()
			}
		}
	}
	return g
}

// stop returns why nothing more is stored in any partition.
func (a *Appender) stop() error {
	if stopped := a.stopped.Load(); stopped != nil {
		return stopped
	}
	return nil
}

func isStopped(err error) bool {
	var stopped *stream.StoppedError
	return errors.As(err, &stopped)
}

func isExpect(err error) bool {
	var expect *stream.ExpectError
	return errors.As(err, &expect)
}

// commitAll makes durable what was written, all at once what was written meanwhile.
func (w *writer) commitAll() {
	for g := range w.written {
		for more := true; more; {
			select {
			case next, ok := <-w.written:
				if !ok {
					more = false
					break
				}
				// A segment that is left was synced when it was sealed, unless it was
				// given up.
				if next.act != g.act {
					w.commit(g)
					g = next
					break
				}
				if g.act != nil {
					w.release(g.act)
				}
				g.jobs, g.upTo = append(g.jobs, next.jobs...), next.upTo
			default:
				more = false
			}
		}
		w.commit(g)
	}
}

func (w *writer) release(a *active) {
	w.p.mu.Lock()
	w.p.release(a)
	w.p.mu.Unlock()
}

// commit makes a group durable and tells what became of its batches.
func (w *writer) commit(g group) {
	var err error
	if g.act == nil {
		for _, j := range g.jobs {
			w.finish(j, stream.Ack{}, j.err)
		}
		return
	}
	if w.a.o.NoSync {
		w.p.mu.Lock()
		err = w.p.stillThere(g.act)
		w.p.mu.Unlock()
	} else {
		err = w.p.commit(g.act, g.upTo)
	}
	if err != nil {
		w.fail(err)
	}
	w.release(g.act)
	for _, j := range g.jobs {
		if j.err == nil {
			j.err = err
		}
		if j.err != nil {
			w.finish(j, stream.Ack{}, j.err)
			continue
		}
		w.finish(j, stream.Ack{
			Partition: j.batch.Partition, Offset: j.offset, Count: int(j.h.Count), Appended: j.written, Durable: !w.a.o.NoSync,
			Refused: j.refused, Stopped: j.stopped,
		}, nil)
	}
}

// fail makes err the error of all later batches, unless there is one already, and
// returns it.
func (w *writer) fail(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed == nil {
		w.failed = err
	}
	return w.failed
}

// error returns why nothing more is stored.
func (w *writer) error() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed != nil {
		return w.failed
	}
	return w.a.stop()
}

// finish tells the caller what became of a batch.
func (w *writer) finish(j *job, ack stream.Ack, err error) {
	done := j.done
	w.a.recycle(j)
	done(ack, err)
	w.mu.Lock()
	w.pending--
	w.mu.Unlock()
	<-w.a.room
	w.a.busy.Done()
}

// Flush is stream.Appender's.
func (a *Appender) Flush(ctx context.Context) error {
	idle := make(chan struct{})
	go func() {
		a.busy.Wait()
		close(idle)
	}()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close is stream.Appender's.
func (a *Appender) Close() error {
	if a.closed {
		return nil
	}
	a.closed = true
	a.busy.Wait()
	close(a.jobs)
	for _, w := range a.writers {
		if w != nil {
			close(w.in)
		}
	}
	a.workers.Wait()
	var err error
	for _, w := range a.writers {
		if w == nil {
			continue
		}
		err = errors.Join(err, w.p.storeLast())
		w.p.close()
	}
	return err
}

var _ stream.Appender = (*Appender)(nil)
