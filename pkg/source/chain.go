package source

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"

	"logtools/pkg/stream"
)

// Part is a part of an input that is put together of several: see Chain and
// Together.
type Part struct {
	stream.Blocks
	// Input is added to Block.Input.
	Input int
	// Live: the part is followed, and has given out its Live block.
	Live bool
}

// Failed is an input that cannot be read: one block with Err.
func Failed(name string, err error) stream.Blocks { return &failedInput{name: name, err: err} }

type failedInput struct {
	name string
	mu   sync.Mutex
	err  error
}

func (f *failedInput) Next(_ context.Context, b *stream.Block) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	*b = stream.Block{Buf: b.Buf, Name: f.name, Err: f.err}
	if f.err == nil {
		return io.EOF
	}
	f.err = nil
	return nil
}

// Chain returns the blocks of all parts, one part after the other. The parts are
// closed by whoever made them.
func Chain(parts []Part) stream.Blocks {
	if len(parts) == 1 && parts[0].Input == 0 {
		return parts[0].Blocks
	}
	return &chain{parts: parts}
}

type chain struct {
	// turn is held by those who read the present part, all at the same time, and
	// by who goes on to the next one, alone: the number of the part's last block
	// must be known for that.
	turn  sync.RWMutex
	parts []Part
	base  int64 // number of the part's first block

	mu   sync.Mutex
	next int64 // number of the block after those given out
}

func (c *chain) Next(ctx context.Context, b *stream.Block) error {
	for {
		left, err := c.read(ctx, b)
		if err != io.EOF || left == 0 {
			return err
		}
		c.turn.Lock()
		if len(c.parts) == left {
			c.parts = c.parts[1:]
			c.base = c.next
		}
		c.turn.Unlock()
	}
}

// read gets a block of the present part; left is how many parts are left with it.
func (c *chain) read(ctx context.Context, b *stream.Block) (left int, err error) {
	c.turn.RLock()
	defer c.turn.RUnlock()
	if len(c.parts) == 0 {
		return 0, io.EOF
	}
	p := &c.parts[0]
	if err := p.Next(ctx, b); err != nil {
		return len(c.parts), err
	}
	b.Seq += c.base
	b.Input += p.Input
	c.mu.Lock()
	c.next = max(c.next, b.Seq+1)
	c.mu.Unlock()
	return len(c.parts), nil
}

// Together gives out the blocks of inputs that are followed: see Join.
type Together struct {
	parts  []Part
	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup

	// turn is held by who reads in the first life, and by who begins the second.
	turn sync.Mutex
	at   int
	live bool
	// sending is held by who gives out a block, or several that belong together.
	sending sync.Mutex
	seq     int64
	ready   chan *handed
	over    chan struct{} // closed when nothing comes any more
}

// handed is a block on its way from a part to who calls Next.
type handed struct {
	block stream.Block
	back  chan *handed
	err   error
}

// Join returns the blocks of parts that are followed: first what there is, one
// part after the other, then one Live block for all of them, and then what comes, of
// all parts at the same time. It ends when all parts have ended. The Together must
// be closed before its parts.
func Join(parts []Part) *Together {
	t := &Together{parts: parts, ready: make(chan *handed), over: make(chan struct{})}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// Close ends all reading.
func (t *Together) Close() error {
	t.cancel()
	t.done.Wait()
	return nil
}

// Next implements stream.Blocks.
func (t *Together) Next(ctx context.Context, b *stream.Block) error {
	if first, err := t.past(ctx, b); first {
		return err
	}
	select {
	case h := <-t.ready:
		err := h.err
		h.block, *b = *b, h.block // all of it: the memory behind it, too
		h.back <- h
		return err
	case <-t.over:
		return io.EOF
	case <-ctx.Done():
		return ctx.Err()
	case <-t.ctx.Done():
		return os.ErrClosed
	}
}

// past gets a block of the first life; false if that is over.
func (t *Together) past(ctx context.Context, b *stream.Block) (bool, error) {
	t.turn.Lock()
	defer t.turn.Unlock()
	if t.live {
		return false, nil
	}
	for t.at < len(t.parts) {
		p := &t.parts[t.at]
		if !p.Live {
			err := p.Next(ctx, b)
			if err == nil && !b.Live {
				b.Input += p.Input
				b.Seq = t.seq
				t.seq++
				return true, nil
			}
			if err != nil && err != io.EOF {
				return true, err
			}
		}
		t.at++
	}
	t.live = true
	*b = stream.Block{Buf: b.Buf, Live: true, Seq: t.seq}
	t.seq++
	for i := range t.parts {
		t.done.Go(func() { t.pump(&t.parts[i]) })
	}
	go func() {
		t.done.Wait()
		close(t.over)
	}()
	return true, nil
}

// pump hands on the blocks of a part. It has two, so that one is read while the
// other is handed on.
func (t *Together) pump(p *Part) {
	back := make(chan *handed, 2)
	for range cap(back) {
		back <- &handed{back: back}
	}
	held := false
	defer func() {
		if held {
			t.sending.Unlock()
		}
	}()
	for {
		h := <-back
		h.err = p.Next(t.ctx, &h.block)
		if h.err == io.EOF || errors.Is(h.err, context.Canceled) && t.ctx.Err() != nil {
			return
		}
		if !held {
			t.sending.Lock()
		}
		b := &h.block
		b.Input += p.Input
		b.Seq = t.seq
		t.seq++
		failed := h.err != nil
		// Nothing comes between the pieces of a long line.
		held = b.Long && !b.LongEnd && !failed
		select {
		case t.ready <- h:
		case <-t.ctx.Done():
			failed = true
		}
		if !held {
			t.sending.Unlock()
		}
		if failed {
			return
		}
	}
}

// Past ends a followed input where its Live block comes: the blocks before it. What
// follows is still in the input. Next must be called by one goroutine at a time.
func Past(in stream.Blocks) stream.Blocks { return &pastOnly{in: in} }

type pastOnly struct {
	in   stream.Blocks
	over bool
}

func (p *pastOnly) Next(ctx context.Context, b *stream.Block) error {
	if p.over {
		return io.EOF
	}
	err := p.in.Next(ctx, b)
	if err == nil && b.Live || err == io.EOF {
		p.over = true
		return io.EOF
	}
	return err
}
