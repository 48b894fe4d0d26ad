package eventlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"logtools/pkg/event"
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

	from, present int64 // the first offset wanted, the end when it was opened
	total         func() int64
	done          atomic.Int64 // bytes

	// turn is a mutex that can be waited for together with a context. Its holder
	// owns the fields below.
	turn  chan struct{}
	stage stage
	seq   int64
	// expected is the first offset of which nothing is known yet, and to the one at
	// which to stop.
	expected, to int64
	bases        []int64   // nil: to be listed
	seg, next    *readable // nil: to be opened
	scan         *segment.Scanner
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
// The first block has First and no Data. Data are whole units, or several of them,
// after all checks. Damage is a block with Err, an *event.DamagedError, in the
// place of the lost events, once for each range of bytes; then the next sound
// unit follows. If retention is faster than the Reader, Err is an
// *event.GoneError, and the first event that is left follows. Any other Err is
// the last but for Last, such as an I/O error or a *segment.NewerError. All blocks
// are numbered by SeqInInput, those with Err too, but for the Live block.
//
// The Reader must be closed.
func (l *Log) Read(partition int, o ReadOptions) (*Reader, error) {
	if partition < 0 || partition >= l.settings.Partitions {
		return nil, fmt.Errorf("%s: there is no partition %d", l.path, partition)
	}
	if o.Name == "" {
		o.Name = l.path
	}
	if o.LogName == "" {
		o.LogName = l.Name()
	}
	x, err := l.extent(partition)
	if err != nil {
		return nil, err
	}
	from, err := l.resolve(partition, &x, o.From)
	if err != nil {
		return nil, err
	}
	if from < x.first() {
		return nil, goneError(o.Name, from, x.first())
	}
	r := &Reader{
		l: l, partition: partition, o: o, bases: x.bases,
		from: from, present: x.next, to: x.next,
		turn: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	r.tail.end = noStop
	if o.To != nil {
		to, err := l.resolve(partition, &x, *o.To)
		if err != nil {
			return nil, err
		}
		r.to = min(r.to, to)
		if o.Follow {
			r.tail.end = to
		}
	}
	if o.Tail > 0 {
		first, err := l.back(partition, &x, r.to, o.Tail)
		if err != nil {
			return nil, err
		}
		r.from = max(r.from, first)
	}
	r.expected = r.from
	r.tail.base, r.tail.hard, r.tail.after = x.last(), x.end, x.after
	r.total = sync.OnceValue(r.measure)
	return r, nil
}

// Range returns the first offset that is wanted, and the one before which reading
// ends (with ReadOptions.Follow, before which the Live block comes).
func (r *Reader) Range() (from, to int64) { return r.from, min(r.to, r.present) }

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
		if b >= r.present || i+1 < len(bases) && bases[i+1] <= r.from {
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

// claim is what one call of Next does by itself: to decode some units that follow
// each other.
type claim struct {
	dec    *segment.Decoder
	bodies []byte
	units  []piece
	raw    int // bytes of all lines
	lo, hi int // the lines wanted of the first and of the last unit
	next   int64
	// Where they lie, if j has only one unit and that says so.
	offsets []int64
	times   []stream.TimeRun
}

type piece struct {
	h      segment.Header
	at     int64
	file   string
	length int
}

func (r *Reader) newClaim() *claim {
	r.free.Lock()
	defer r.free.Unlock()
	if n := len(r.claims); n > 0 {
		j := r.claims[n-1]
		r.claims = r.claims[:n-1]
		return j
	}
	return &claim{dec: segment.NewDecoder()}
}

// keepBodies is the largest buffer that is kept for the next units.
const keepBodies = 4 << 20

func (r *Reader) putClaim(j *claim) {
	j.bodies, j.units, j.raw = j.bodies[:0], j.units[:0], 0
	j.offsets, j.times = j.offsets[:0], j.times[:0]
	if cap(j.bodies) > keepBodies {
		j.bodies = nil
	}
	r.free.Lock()
	defer r.free.Unlock()
	select {
	case <-r.closed:
		j.dec.Close()
	default:
		r.claims = append(r.claims, j)
	}
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
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrClosed):
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
		return r.goLive()
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

func (r *Reader) stamp(b *stream.Block) {
	b.Seq, b.SeqInInput = r.seq, r.seq
	if r.stage >= live && r.o.Follow {
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

// joins reports whether the unit that was peeked may be in one block with those of
// j.
func (r *Reader) joins(j *claim) bool {
	return r.h.Base == j.next && r.lo == 0 && j.raw+int(r.h.RawLen) <= smallBlock &&
		len(r.batch.Offsets) == 0 && len(r.batch.Appended) == 0
}

// take moves the unit that was peeked into j.
func (r *Reader) take(j *claim) {
	if len(j.units) == 0 {
		j.lo = r.lo
		if len(r.batch.Offsets) > 0 {
			j.offsets = append(j.offsets, r.batch.Offsets[r.lo:r.hi]...)
		}
		j.times = cutRuns(j.times, r.batch.Appended, int64(r.lo), int64(r.hi))
	}
	j.hi = r.hi
	j.next = r.h.Next
	if int64(r.h.Count) != r.h.Next-r.h.Base {
		j.next = -1 // what follows does not join without a gap
	}
	j.raw += int(r.h.RawLen)
	j.bodies = append(j.bodies, r.body...)
	h := r.h
	h.Ext = nil
	j.units = append(j.units, piece{h, r.at, r.seg.name, len(r.body)})
	r.peeked = false
	r.expected = max(r.expected, r.h.Next)
}

// position says where the lines of j lie.
func (r *Reader) position(j *claim, b *stream.Block) {
	p := &b.Pos
	first, last := &j.units[0].h, &j.units[len(j.units)-1].h
	p.Base, p.Appended = first.Base+int64(j.lo), last.Last
	if len(j.offsets) > 0 {
		p.Offsets = append(p.Offsets, j.offsets...)
		p.Base = p.Offsets[0]
	}
	if len(j.times) > 0 {
		p.Times = append(p.Times, j.times...)
		return
	}
	if first.Last == last.Last {
		return
	}
	for i := range j.units {
		h := &j.units[i].h
		n := int64(h.Count)
		if i == len(j.units)-1 {
			n = int64(j.hi)
		}
		if i == 0 {
			n -= int64(j.lo)
		}
		if k := len(p.Times); k > 0 && p.Times[k-1].Appended == h.Last {
			p.Times[k-1].Lines += n
		} else {
			p.Times = append(p.Times, stream.TimeRun{Lines: n, Appended: h.Last})
		}
	}
}

// cutRuns appends the runs of the lines lo to hi.
func cutRuns(dst, runs []stream.TimeRun, lo, hi int64) []stream.TimeRun {
	at := int64(0)
	for _, run := range runs {
		from, to := max(at, lo), min(at+run.Lines, hi)
		if from < to {
			dst = append(dst, stream.TimeRun{Lines: to - from, Appended: run.Appended})
		}
		at += run.Lines
	}
	return dst
}

// maxBuf is the largest buffer that is made before the data it is for was seen.
const maxBuf = 4 << 20

// decode fills in the Data of b. What cannot be decoded although its checksum is
// right (nobody writes that) is left out and named later.
func (r *Reader) decode(j *claim, b *stream.Block) {
	if n := j.raw + 64; cap(b.Buf) < n && n <= maxBuf || cap(b.Buf) > maxBuf && n <= maxBuf/4 {
		b.Buf = make([]byte, 0, n+n/8)
	}
	data, body := b.Buf[:0], j.bodies
	lines := int64(0) // given out before the present unit
	for i := range j.units {
		u := &j.units[i]
		from := len(data)
		var err error
		data, err = j.dec.Decode(data, u.at, &u.h, body[:u.length])
		body = body[u.length:]
		lo, hi := 0, int(u.h.Count)
		if i == 0 {
			lo = j.lo
		}
		if i == len(j.units)-1 {
			hi = j.hi
		}
		if err != nil {
			r.free.Lock()
			r.late = append(r.late, &event.DamagedError{
				File: u.file, From: u.at, To: u.at + u.h.BodyAt() + int64(u.length),
				First: u.h.Base, Next: u.h.Next, Reason: reason(err),
			})
			r.free.Unlock()
			leaveOut(&b.Pos, lines, int64(hi-lo), j)
			continue
		}
		lines += int64(hi - lo)
		if hi < int(u.h.Count) {
			data = data[:from+lineStart(data[from:], hi)]
		}
		if lo > 0 {
			n := copy(data[from:], data[from+lineStart(data[from:], lo):])
			data = data[:from+n]
		}
	}
	b.Data, b.Buf = data, data
}

// leaveOut takes n lines, those behind the first at lines, out of p.
func leaveOut(p *stream.Positions, at, n int64, j *claim) {
	if len(p.Offsets) == 0 {
		total := int64(j.hi - j.lo)
		for i := range len(j.units) - 1 {
			total += int64(j.units[i].h.Count)
		}
		for i := range total {
			p.Offsets = append(p.Offsets, p.Base+i)
		}
	}
	p.Offsets = slices.Delete(p.Offsets, int(at), int(at+n))
	if len(p.Times) > 0 {
		left := cutRuns(nil, p.Times, 0, at)
		p.Times = append(left, cutRuns(nil, p.Times, at+n, noStop)...)
	}
}

// lineStart returns where line n of data begins.
func lineStart(data []byte, n int) int {
	at := 0
	for ; n > 0; n-- {
		for data[at] != '\n' {
			at++
		}
		at++
	}
	return at
}

// enter opens the segment with the first offset that is expected.
func (r *Reader) enter() error {
	s, err := r.openAt(r.expected)
	if err != nil {
		return err
	}
	fresh := r.scan == nil
	if err := s.look(); err != nil {
		s.close()
		return err
	}
	switch {
	case s.foreign:
		r.scan = s.scanner(0) // nothing of it is read
	case r.stage == live && s.last:
		r.scan, err = r.enterTail(s)
	default:
		r.scan, _, err = s.scanOffset(r.expected, s.size)
	}
	if err != nil {
		s.close()
		return err
	}
	r.seg = s
	r.done.Add(r.scan.At())
	if s.base <= r.expected {
		return nil
	}
	expected := r.expected
	r.expected = s.base
	switch {
	case s.base == r.bases[0]:
		if fresh && r.o.From.kind == posStart {
			return nil // the start is now there
		}
		return goneError(r.o.Name, expected, s.base)
	case s.openErr != nil:
		r.expected = expected // that is named with what else is damaged there
	case s.open.HasPrevious && s.open.PreviousEnd > expected:
		r.missing(expected, min(s.open.PreviousEnd, r.to))
	case !s.open.HasPrevious:
		r.missing(expected, min(s.base, r.to))
	}
	return nil
}

// openAt opens the segment in which an offset lies, or else the next one.
func (r *Reader) openAt(wanted int64) (*readable, error) {
	for try := 0; ; try++ {
		if r.bases == nil {
			var err error
			if r.bases, err = r.l.list(r.partition); err != nil {
				return nil, err
			}
		}
		s, err := r.openListed(wanted)
		if err == nil || !gone(err, try) {
			return s, err
		}
		r.bases = nil
	}
}

func (r *Reader) openListed(wanted int64) (*readable, error) {
	i := max(0, sort.Search(len(r.bases), func(i int) bool { return r.bases[i] > wanted })-1)
	for ; ; i++ {
		s, err := r.open(r.bases[i])
		if err != nil {
			return nil, err
		}
		if i+1 < len(r.bases) {
			if r.next, err = r.l.openReadable(r.partition, r.bases[i+1]); err != nil {
				r.next = nil
				s.close()
				return nil, err
			}
		}
		if err := s.setNext(r.next); err != nil {
			s.close()
			return nil, err
		}
		if s.last || s.stop > wanted {
			return s, nil
		}
		s.close()
	}
}

// open opens a segment, or takes it from where it was opened as the next one.
func (r *Reader) open(base int64) (*readable, error) {
	s := r.next
	r.next = nil
	if s != nil && s.base == base {
		return s, nil
	}
	s.close()
	return r.l.openReadable(r.partition, base)
}

// leave closes the segment.
func (r *Reader) leave() {
	if r.seg != nil {
		r.done.Add(max(0, r.seg.size-r.scan.At()))
		r.seg.close()
		r.seg = nil
	}
	r.peeked, r.found = false, false
}

// peek looks for the next sound unit that has lines to give. It returns false
// if there is none, or, unless wait is set, none now.
func (r *Reader) peek(ctx context.Context, wait bool) (bool, error) {
	for {
		if r.expected >= r.to {
			r.leave()
			return false, nil
		}
		if r.seg == nil {
			if err := r.enter(); err != nil {
				return false, err
			}
		}
		limit := min(r.seg.stop, r.to)
		if r.expected >= limit {
			r.leave()
			continue
		}
		if err := r.skip(); err != nil {
			return false, err
		}
		r.before = r.scan.Link()
		at, err := r.scan.Next(&r.h)
		if err == nil {
			r.done.Add(r.scan.At() - at)
			var ok bool
			if ok, err = r.wanted(at, limit); ok {
				r.peeked = true
				return true, nil
			} else if err == nil {
				continue
			} else if err != errNotYet {
				return false, err
			}
		}
		if r.notYet(at, err) {
			if len(r.damages) > 0 || !wait {
				return false, nil
			}
			if err := r.more(ctx); err != nil {
				return false, err
			}
			continue
		}
		if err != io.EOF && !isInvalid(err) {
			return false, r.seg.wrap(err)
		}
		if err := r.resync(at, limit, reason(err)); err != nil {
			return false, err
		}
	}
}

// wanted reports whether the unit at byte at, whose header is in r.h, is sound and
// has lines to give.
func (r *Reader) wanted(at, limit int64) (bool, error) {
	h := &r.h
	if r.found {
		r.found = false
		d := r.damages[len(r.damages)-1]
		d.To, d.Next = at, min(max(h.Base, d.First), limit)
		r.settle()
		r.expected = max(r.expected, min(h.Base, limit))
	}
	if h.Base >= limit {
		r.expected = max(r.expected, limit)
		return false, nil
	}
	if h.Kind != segment.KindBatch || h.Next <= r.expected {
		return false, nil
	}
	damaged := func(err error) (bool, error) {
		r.damage(r.seg, at, at+h.Size(), max(h.Base, r.expected), min(h.Next, limit), reason(err))
		r.expected = max(r.expected, h.Next)
		return false, nil
	}
	if err := r.batch.Parse(at, h); err != nil {
		return damaged(err)
	}
	r.lo, r.hi = lines(h, &r.batch, r.expected, limit)
	if r.lo == r.hi || r.outside(&r.batch.Times) {
		r.expected = max(r.expected, h.Next)
		return false, nil
	}
	var err error
	if r.body, err = r.scan.Body(h); err != nil && r.notYet(at, err) {
		r.scan = segment.NewScanner(r.seg.file, r.tail.limit, at, r.before)
		return false, errNotYet
	} else if isInvalid(err) {
		return damaged(err)
	} else if err != nil {
		return false, r.seg.wrap(err)
	}
	r.at = at
	return true, nil
}

// outside reports whether all events of these times may be left out.
func (r *Reader) outside(t *segment.Bounds) bool {
	return r.o.Since != nil && earlier(t.Max, *r.o.Since) || r.o.Until != nil && !earlier(t.Min, *r.o.Until)
}

// skip steps over what the index says is outside the times that are wanted.
func (r *Reader) skip() error {
	if r.o.Since == nil && r.o.Until == nil || r.found {
		return nil
	}
	s, at := r.seg, r.scan.At()
	i := sort.Search(len(s.index), func(i int) bool { return s.index[i].At > at })
	if i == len(s.index) || i > 0 && at != s.index[i].From {
		return nil // a stretch has been begun
	}
	k := i
	for k < len(s.index) && (s.index[k].Times.Empty() || r.outside(&s.index[k].Times)) {
		k++
	}
	if k == i {
		return nil
	}
	if e := &s.index[k-1]; k == len(s.index) && s.sealed && e.At == s.sealAt {
		r.expected = max(r.expected, min(s.stop, r.to)) // there is nothing but the SEAL
		return nil
	}
	sc, e, err := s.scanFrom(k, s.size)
	if err != nil || e.At <= at {
		return err
	}
	if r.stage == live && s.last {
		sc.Extend(r.tail.limit)
	}
	r.done.Add(e.At - at)
	r.scan = sc
	r.expected = max(r.expected, min(e.Base, s.stop))
	return nil
}

// damage notes that bytes of s are damaged, and offsets lost.
func (r *Reader) damage(s *readable, from, to, first, next int64, why string) {
	if n := len(r.damages); n > 0 {
		if d := r.damages[n-1]; d.File == s.name && d.To == from && d.Next == first {
			d.To, d.Next = to, next
			return
		}
	}
	r.damages = append(r.damages, s.damaged(from, to, first, next, why))
}

// missing notes that there is no segment for some offsets.
func (r *Reader) missing(first, next int64) {
	r.damages = append(r.damages, &event.DamagedError{
		File: filepath.Join(r.l.dir(r.partition), segmentName(first)),
		To:   -1, First: first, Next: next, Reason: "the segment is missing",
	})
}

// settle drops the last damage if it is about nothing that is wanted.
func (r *Reader) settle() {
	n := len(r.damages)
	if d := r.damages[n-1]; d.Next <= r.from && d.From > 0 && d.First == r.from {
		r.damages = r.damages[:n-1]
	}
}

// resync goes on at the next sound unit behind byte at, or at the end of the
// segment.
func (r *Reader) resync(at, limit int64, why string) error {
	s := r.seg
	if !s.foreign {
		err := r.scan.Resync()
		if err == nil {
			r.damage(s, at, r.scan.At(), r.expected, r.expected, why)
			r.found = true
			return nil
		}
		if err != io.EOF && !isInvalid(err) {
			return s.wrap(err)
		}
	} else {
		why = reason(s.openErr)
	}
	if r.stage == live && s.last {
		return r.skipDamage(at, why)
	}
	r.damage(s, at, -1, r.expected, limit, why)
	r.expected = limit
	return nil
}
