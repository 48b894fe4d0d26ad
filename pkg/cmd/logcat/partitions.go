package logcat

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"

	"logtools/pkg/stream"
)

// partitionReader reads one partition of a log, as an *eventlog.Reader does.
type partitionReader interface {
	stream.Blocks
	// Range returns where reading begins, and where it ends (with -f, where what is
	// there ends).
	Range() (from, to int64)
	Close() error
}

// input is a partition that is read for a group. One that was given up and got again
// is another input: blocks of the old one may still be on their way.
type input struct {
	partitionReader
	partition int
	number    int // Block.Input of its blocks

	busy         int // calls of Next that have not returned
	over, closed bool
}

// adopt makes a block one of the input. Where its blocks end, or what was there when
// reading began, a block without lines begins at the offset up to which all is read:
// there may be none to be seen in it.
func (in *input) adopt(b *stream.Block) {
	b.Input = in.number
	if b.Err != nil {
		b.Err = &inputError{in.number, b.Err}
	}
	if b.Last || b.Live {
		_, b.Pos.Base = in.Range()
		b.Live = false
	}
}

// ended says whether an error of Next is the end of the input.
func (in *input) ended(err error) bool {
	return err == io.EOF || in.closed && errors.Is(err, os.ErrClosed)
}

// inputError is an error of an input.
type inputError struct {
	input int
	err   error
}

func (e *inputError) Error() string { return e.err.Error() }
func (e *inputError) Unwrap() error { return e.err }

// feed gives out the blocks of inputs that come and go while it is read.
type feed interface {
	stream.Blocks
	add(in *input)
	// remove closes an input. Blocks of it may still be given out.
	remove(in *input)
	// expect says whether more inputs are to come: without, the feed ends with those
	// that it has.
	expect(more bool)
	// close ends all reading and closes the inputs.
	close()
}

// inTurn is the feed of inputs that end: one after the other.
type inTurn struct {
	mu      sync.Mutex
	changed chan struct{} // closed and made anew
	queue   []*input
	present *input
	base    int64 // number of its first block
	next    int64 // number of the block behind those given out
	more    bool
	over    bool
}

func newInTurn() *inTurn { return &inTurn{changed: make(chan struct{})} }

// Next implements stream.Blocks.
func (t *inTurn) Next(ctx context.Context, b *stream.Block) error {
	for {
		in, err := t.enter(ctx)
		if err != nil {
			return err
		}
		err = in.Next(ctx, b)
		if t.leave(in, b, err) {
			return err
		}
	}
}

// enter returns the input whose turn it is. The number of its last block must be
// known before the turn is another's: all have left it then.
func (t *inTurn) enter(ctx context.Context) (*input, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		in := t.present
		if in != nil && !in.over {
			in.busy++
			return in, nil
		}
		switch {
		case in != nil && in.busy > 0:
		case len(t.queue) > 0:
			t.present, t.queue = t.queue[0], t.queue[1:]
			t.base = t.next
			continue
		case !t.more:
			t.over = true
			return nil, io.EOF
		}
		changed := t.changed
		t.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		t.mu.Lock()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// leave says whether Next is to return what it got.
func (t *inTurn) leave(in *input, b *stream.Block, err error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	in.busy--
	if in.ended(err) {
		in.over = true
	} else if err == nil {
		in.adopt(b)
		b.Seq += t.base
		t.next = max(t.next, b.Seq+1)
	}
	if in.over && in.busy == 0 {
		t.signal()
	}
	return !in.ended(err)
}

func (t *inTurn) signal() {
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *inTurn) add(in *input) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over { // nobody comes for it any more
		in.Close()
		return
	}
	t.queue = append(t.queue, in)
	t.signal()
}

func (t *inTurn) remove(in *input) {
	t.mu.Lock()
	t.queue = slices.DeleteFunc(t.queue, func(q *input) bool { return q == in })
	in.closed = true
	t.mu.Unlock()
	in.Close()
}

func (t *inTurn) expect(more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.more = more
	t.signal()
}

func (t *inTurn) close() {}

// arriving is the feed of inputs that are followed: their blocks as they come, all
// inputs at the same time. One Live block says that all that was there when reading
// began has been given out.
type arriving struct {
	ctx    context.Context
	cancel context.CancelFunc
	pumps  sync.WaitGroup
	ready  chan *handed
	over   chan struct{} // closed when nothing comes any more

	// sending is held by who gives out a block: blocks are numbered as they come.
	sending sync.Mutex
	seq     int64

	mu     sync.Mutex
	begun  bool
	past   map[*input]bool // those that have not given out what was there
	inputs map[*input]bool // those that have not ended
	more   bool
	ended  bool
}

// handed is a block on its way to who calls Next.
type handed struct {
	block stream.Block
	back  chan *handed
	err   error
}

func newArriving() *arriving {
	a := &arriving{ready: make(chan *handed), over: make(chan struct{}), past: make(map[*input]bool), inputs: make(map[*input]bool)}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}

// Next implements stream.Blocks.
func (a *arriving) Next(ctx context.Context, b *stream.Block) error {
	a.begin()
	select {
	case h := <-a.ready:
		err := h.err
		h.block, *b = *b, h.block // all of it: the memory behind it, too
		h.back <- h
		return err
	case <-a.over:
		return io.EOF
	case <-ctx.Done():
		return ctx.Err()
	case <-a.ctx.Done():
		return os.ErrClosed
	}
}

// begin ends the adding of inputs that what was there is asked of.
func (a *arriving) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.begun {
		a.begun = true
		a.caughtUp(nil)
	}
}

// caughtUp says that an input has given out what was there. a.mu is held.
func (a *arriving) caughtUp(in *input) {
	if delete(a.past, in); a.past == nil || len(a.past) > 0 || !a.begun {
		return
	}
	a.past = nil
	// Not here: whoever takes blocks may wait for who has called.
	a.pumps.Go(func() { a.send(&handed{block: stream.Block{Live: true}, back: make(chan *handed, 1)}) })
}

// send gives out a block; false if nobody wants any.
func (a *arriving) send(h *handed) bool {
	a.sending.Lock()
	defer a.sending.Unlock()
	h.block.Seq = a.seq
	a.seq++
	select {
	case a.ready <- h:
		return true
	case <-a.ctx.Done():
		return false
	}
}

func (a *arriving) add(in *input) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		in.Close()
		return
	}
	if !a.begun {
		a.past[in] = true
	}
	a.inputs[in] = true
	a.pumps.Go(func() { a.pump(in) })
}

func (a *arriving) remove(in *input) {
	a.mu.Lock()
	in.closed = true
	a.drop(in)
	a.mu.Unlock()
	in.Close()
}

// drop takes out an input of which nothing more comes. a.mu is held.
func (a *arriving) drop(in *input) {
	a.caughtUp(in)
	delete(a.inputs, in)
	a.checkEnd()
}

func (a *arriving) checkEnd() {
	if a.begun && !a.more && len(a.inputs) == 0 && !a.ended {
		a.ended = true
		close(a.over)
	}
}

func (a *arriving) expect(more bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.more = more
	a.checkEnd()
}

// pump hands on the blocks of an input. It has two, so that one is read while the
// other is handed on.
func (a *arriving) pump(in *input) {
	back := make(chan *handed, 2)
	for range cap(back) {
		back <- &handed{back: back}
	}
	for {
		h := <-back
		h.err = in.Next(a.ctx, &h.block)
		if h.err != nil {
			a.mu.Lock()
			if in.ended(h.err) {
				a.drop(in)
				a.mu.Unlock()
				return
			}
			a.mu.Unlock()
			a.send(h)
			return
		}
		live := h.block.Live
		in.adopt(&h.block)
		if !a.send(h) {
			return
		}
		if live {
			a.mu.Lock()
			a.caughtUp(in)
			a.mu.Unlock()
		}
	}
}

func (a *arriving) close() {
	a.cancel()
	a.mu.Lock()
	for in := range a.inputs {
		in.closed = true
		defer in.Close()
	}
	a.mu.Unlock()
	a.pumps.Wait()
}
