package eventlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"logtools/pkg/event"
	"logtools/pkg/internal/vfs"
	"logtools/pkg/segment"
	"logtools/pkg/stream"
)

// ReadOptions say what is read of a partition. The zero value is all there is.
type ReadOptions struct {
	// From is where reading begins. An offset beyond the end gives nothing; with
	// Follow it is waited for.
	From Position
	// To is where it ends: before the event there. nil is the present end, and
	// with Follow, never.
	To *Position
	// Tail, if more than 0, leaves out all but the last Tail of these events. What
	// is appended while they are followed is not counted.
	Tail int64
	// Since and Until, if not nil, are times outside of which events may be left
	// out (those before Since, and those at or after Until), by whole units. An
	// event counts with its own time or that of its append.
	Since, Until *stream.Instant
	// Follow goes on at the end, after a Live block.
	Follow bool
	// Name is what the blocks are called, Input their number, and LogName what
	// their positions call the log; "" are its path and its base name.
	Name, LogName string
	Input         int
}

// Reader gives out the events of a partition: see Log.Read.
type Reader struct {
	l         *Log
	partition int
	o         ReadOptions

	from, present int64        // the first offset wanted, the end when it was opened
	reach         atomic.Int64 // where reading ends, or the past does
	total         func() int64
	done          atomic.Int64 // bytes

	// turn is a mutex that can be waited for together with a context. Its holder
	// owns the fields below.
	turn  chan struct{}
	stage stage
	lived bool // the Live block was given out
	seq   int64
	// expected is the first offset of which nothing is known yet, and to the one at
	// which to stop.
	expected, to int64
	bases        []int64   // nil: to be listed
	seg, next    *readable // nil: to be opened
	scan         *segment.Scanner
	absent       int64                 // base of a segment that is missing at the end; 0: none
	lock         vfs.File              // with Follow, the partition's lock file; nil: there is none
	damages      []*event.DamagedError // to be given out
	failed       error                 // to be given out
	found        bool                  // damage was gone over: the next unit ends it
	tail         tail                  // of the last segment, when it is followed

	// What peek has found: a sound unit with lines to give.
	peeked bool
	at     int64
	h      segment.Header
	before segment.Link // what the unit fits to
	batch  segment.Batch
	lo, hi int
	body   []byte

	closed    chan struct{}
	closeOnce sync.Once

	free   sync.Mutex // guards what follows
	claims []*claim   // not in use
	late   []error    // found when bodies were decoded, to be given out
}

// stage is how far a Reader has come.
type stage uint8

const (
	begins stage = iota // nothing was given out
	past                // what there was when it was opened
	live                // what is appended
	over                // nothing comes any more but Last
	ended
)

var (
	_ stream.Blocks = (*Reader)(nil)
	_ stream.Meter  = (*Reader)(nil)
)

// Read returns the events of a partition as blocks, in the order of their
// offsets, each once. It takes no lock, and may go on while others append to, roll
// and compact the log.
//
// The end is fixed now: it is what all writers have made durable, and what they
// have written without doing so is made durable first. An error of that is
// returned; so is an *event.GoneError if From is an offset that was there once.
//
// But if the Reader comes to a segment that was compacted meanwhile, it ends where that
// compaction ended, unless To or Tail says where: what it has read may be superseded by
// what lies there, and nothing else tells so.
//
// If the log is removed or renamed while it is read, or another one takes its name
// (be it a copy), what was open is read. Then Err is an *event.GoneError, and
// nothing follows; with Follow it comes within a second.
//
// The first block has First and no Data. Data are whole units, or several of them,
// after all checks. Damage is a block with Err, an *event.DamagedError, in the
// place of the lost events, once for each range of bytes; then the next sound
// unit follows. If retention is faster than the Reader, Err is an
// *event.GoneError, and the first event that is left follows. Any other Err is
// the last but for Last, such as an I/O error or a *segment.NewerError. All blocks
// are numbered by SeqInInput, those with Err too, but for the Live block.
//
// The Reader must be closed.
func (l *Log) Read(partition int, o ReadOptions) (r *Reader, err error) {
	if partition < 0 || partition >= l.settings.Partitions {
		return nil, fmt.Errorf("%s: there is no partition %d", l.path, partition)
	}
	if o.Name == "" {
		o.Name = l.path
	}
	if o.LogName == "" {
		o.LogName = l.Name()
	}
	var lock vfs.File
	if o.Follow { // before anything else: all of it is of the log whose lock this is
		if lock, err = l.openLock(partition); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err == nil {
			return
		}
		err = l.orGone(partition, lock, err)
		if lock != nil {
			lock.Close()
		}
	}()
	var x extent
	err = l.retry(func() (err error) {
		if x, err = l.extent(partition); err == nil {
			r, err = l.begin(partition, &x, o)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	r.lock = lock
	r.reach.Store(min(r.to, r.present))
	r.expected = r.from
	r.tail.base, r.tail.hard, r.tail.after = x.last(), x.end, x.after
	r.total = sync.OnceValue(r.measure)
	return r, nil
}

// begin returns a Reader that knows what it is to read.
func (l *Log) begin(partition int, x *extent, o ReadOptions) (*Reader, error) {
	from, err := l.resolve(partition, x, o.From)
	if err != nil {
		return nil, err
	}
	if from < x.first() {
		return nil, goneError(o.Name, from, x.first())
	}
	r := &Reader{
		l: l, partition: partition, o: o, bases: x.bases,
		from: from, present: x.next, to: x.next, absent: x.absent,
		turn: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	r.tail.end = noStop
	if o.To != nil {
		to, err := l.resolve(partition, x, *o.To)
		if err != nil {
			return nil, err
		}
		r.to = min(r.to, to)
		if o.Follow {
			r.tail.end = to
		}
	}
	if o.Tail > 0 {
		first, err := l.back(partition, x, r.to, o.Tail)
		if err != nil {
			return nil, err
		}
		r.from = max(r.from, first)
	}
	return r, nil
}

// Range returns the first offset that is wanted, and the one before which reading
// ends (with ReadOptions.Follow, before which the Live block comes), as far as is known
// now.
func (r *Reader) Range() (from, to int64) { return r.from, r.reach.Load() }

// Progress is stream.Meter's.
func (r *Reader) Progress() (done, total int64) { return r.done.Load(), r.total() }

// measure returns how many bytes there are to read.
func (r *Reader) measure() int64 {
	if r.o.Follow {
		return -1
	}
	bases, err := r.l.list(r.partition)
	if err != nil {
		return -1
	}
	total := int64(0)
	for i, b := range bases {
		if b >= r.reach.Load() || i+1 < len(bases) && bases[i+1] <= r.from {
			continue
		}
		s, err := r.l.openReadable(r.partition, b)
		if err != nil {
			return -1
		}
		total += s.size
		s.close()
	}
	return total
}

// Close ends all reading and frees what it held; Next then returns os.ErrClosed.
func (r *Reader) Close() error {
	r.closeOnce.Do(func() {
		close(r.closed)
		r.turn <- struct{}{} // those who wait in their turn now give it up
		r.leave()
		r.next.close()
		r.next = nil
		r.tail.close()
		if r.lock != nil {
			r.lock.Close()
			r.lock = nil
		}
		<-r.turn
		r.free.Lock()
		defer r.free.Unlock()
		for _, j := range r.claims {
			j.dec.Close()
		}
		r.claims = nil
	})
	return nil
}

// Next implements stream.Blocks.
func (r *Reader) Next(ctx context.Context, b *stream.Block) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-r.closed:
		return os.ErrClosed
	}
	*b = stream.Block{
		Buf: b.Buf, Input: r.o.Input, Name: r.o.Name,
		Pos: stream.Positions{
			InLog: true, Log: r.o.LogName, Partition: int32(r.partition),
			Offsets: b.Pos.Offsets[:0], Times: b.Pos.Times[:0],
		},
	}
	j := r.newClaim()
	err := r.fill(ctx, j, b)
	<-r.turn
	if err == nil && len(j.units) > 0 {
		r.decode(j, b)
	}
	r.putClaim(j)
	return err
}

// fill fills b but for its Data, which are then the units of j.
func (r *Reader) fill(ctx context.Context, j *claim, b *stream.Block) error {
	select {
	case <-r.closed:
		return os.ErrClosed
	default:
	}
	if r.stage == begins {
		r.stage, b.First = past, true
		r.stamp(b)
		return nil
	}
	if err := r.takeLate(); err != nil {
		b.Err = err
		r.stamp(b)
		return nil
	}
	ok, err := false, error(nil)
	if r.stage < over {
		ok, err = r.gather(ctx, j)
		if !ok && (err != nil && !stops(err) || len(r.damages) > 0) {
			err = r.checkGone(err)
		}
	}
	switch {
	case ok:
		r.position(j, b)
		r.stamp(b)
		return nil
	case len(r.damages) > 0:
		b.Err = r.damages[0]
		r.damages = slices.Delete(r.damages, 0, 1)
		r.stamp(b)
		return nil
	case stops(err):
		return err
	case err != nil:
		b.Err = err
		var g *event.GoneError
		if !errors.As(err, &g) {
			r.stage = over
		}
		r.stamp(b)
		return nil
	case r.stage == past && r.o.Follow:
		r.stage = live
		r.to = r.tail.end
		b.Live = true
		b.Seq = r.seq
		r.seq++
		r.lived = true
		r.failed = r.goLive()
		return nil
	case r.stage < ended:
		r.stage = ended
		b.Last = !r.o.Follow
		if b.Last {
			r.stamp(b)
			return nil
		}
	}
	return io.EOF
}

// stops reports whether err is that of a caller who gives up, and of no input.
func stops(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrClosed)
}

func (r *Reader) stamp(b *stream.Block) {
	b.Seq, b.SeqInInput = r.seq, r.seq
	if r.lived {
		b.SeqInInput-- // the Live block belongs to no input
	}
	r.seq++
}

func (r *Reader) takeLate() error {
	r.free.Lock()
	defer r.free.Unlock()
	if len(r.late) == 0 {
		return nil
	}
	err := r.late[0]
	r.late = r.late[1:]
	return err
}

// smallBlock is how much a block has at least, in bytes of lines, as long as there
// are more units: a log of small ones costs little more than one of large ones.
const smallBlock = 256 << 10

// gather takes the next unit, or some of them, into j. It returns false if there
// are none any more, or if damage is to be given out first.
func (r *Reader) gather(ctx context.Context, j *claim) (bool, error) {
	if err := r.failed; err != nil {
		r.failed = nil
		return false, err
	}
	for {
		first := len(j.units) == 0
		if !r.peeked {
			// What was found is given out before anything is waited for.
			ok, err := r.peek(ctx, first)
			if !first && err != nil {
				r.failed = err
			} else if err != nil {
				return false, err
			}
			if !ok {
				return !first, nil
			}
		}
		if len(r.damages) > 0 || !first && !r.joins(j) {
			return !first, nil
		}
		r.take(j)
		if j.hi < int(r.h.Count) || len(r.batch.Offsets) > 0 || len(r.batch.Appended) > 0 {
			return true, nil
		}
	}
}
