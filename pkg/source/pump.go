package source

import (
	"bytes"
	"context"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"

	"logtools/pkg/stream"
)

// pump reads ahead of the workers in a goroutine of its own: so unpacking runs
// beside the work, and a worker that waits for a slow pipe can be called off.
//
// Bytes are read into cur. When cur is full, its whole lines go to the queue
// and the rest moves to a new buffer. A worker takes a block from the queue by
// exchanging buffers; if the queue is empty and the input is live, it copies
// the whole lines that have arrived out of cur, behind which the goroutine may
// be blocked in a read. So an idle worker gets each line at once, and under
// load blocks fill up.
type pump struct {
	r    *Reader
	name string
	live bool          // hand out lines as they arrive
	wake chan struct{} // gets a value when there may be something to take
	room chan struct{} // gets a value when something was taken

	mu     sync.Mutex
	opened bool
	closer io.Closer // set while close must close it
	shut   bool      // close was called
	queue  []chunk
	queued int // bytes in queue
	free   [][]byte
	// cur[:end] was read; cur[:start] was taken; cur[start:nl] are whole lines.
	// The goroutine writes to cur[end:] without the lock.
	cur            []byte
	start, nl, end int
	long           bool // cur[start] is within an overlong line; then nl == start
	done           bool
	err            error
}

type chunk struct {
	data, buf     []byte // data is a part of buf
	long, longEnd bool
}

// pump starts a pump over what open returns, and closes the closer if there is
// one. open may block. The lines of a live input are handed out as they arrive;
// of others blocks are always filled.
func (r *Reader) pump(name string, live bool, open func() (io.Reader, io.Closer, error)) *pump {
	return r.pumpWaking(make(chan struct{}, 1), name, live, open)
}

// pumpWaking is pump for one who waits for several at once.
func (r *Reader) pumpWaking(wake chan struct{}, name string, live bool, open func() (io.Reader, io.Closer, error)) *pump {
	p := &pump{
		r: r, name: name, live: live,
		wake: wake,
		room: make(chan struct{}, 1),
	}
	go p.run(open)
	return p
}

func (p *pump) run(open func() (io.Reader, io.Closer, error)) {
	raw, closer, err := open()
	if err != nil {
		p.finish(err, false)
		return
	}
	p.mu.Lock()
	p.closer = closer
	shut := p.shut
	p.mu.Unlock()
	if shut { // close came while open waited for a writer
		p.close()
		return
	}
	enlargePipe(raw)
	src := &counted{r: raw, n: &p.r.read}
	dec, err := decode(src)
	if err != nil {
		p.finish(readError(p.name, err), true)
		return
	}
	defer dec.close()
	for empty := 0; ; {
		buf := p.space()
		if buf == nil {
			return
		}
		n, err := dec.Read(buf)
		if n > 0 {
			empty = 0
		} else if empty++; empty == 100 && err == nil {
			err = io.ErrNoProgress
		}
		more := err == nil && dec.ready()
		p.add(n, more)
		if p.live && !more {
			// Whoever waits for these lines goes first, on this very thread: waking
			// another one takes longer than what is done with a line.
			runtime.Gosched()
		}
		if err != nil {
			if err == io.EOF {
				err = nil
			} else {
				err = readError(p.name, dec.explain(err))
			}
			p.finish(err, true)
			return
		}
	}
}

// space returns where to read to; nil if nobody will take it.
func (p *pump) space() []byte {
	for {
		p.mu.Lock()
		ok := p.makeRoom()
		buf := p.cur[p.end:]
		p.mu.Unlock()
		select {
		case <-p.r.closed:
			return nil
		default:
		}
		if ok {
			return buf
		}
		select {
		case <-p.room:
		case <-p.r.closed:
			return nil
		}
	}
}

// makeRoom makes end < len(cur) if that is possible now.
func (p *pump) makeRoom() bool {
	switch {
	case p.cur == nil:
		p.cur = p.buffer(p.r.block)
		return true
	case p.start == p.end: // all was taken
		if len(p.cur) > p.r.block { // one long line made it so
			p.cur = p.buffer(p.r.block)
		}
		p.start, p.nl, p.end = 0, 0, 0
		return true
	case p.end < len(p.cur):
		return true
	case !p.long && p.nl == p.start && p.start > 0:
		p.end = copy(p.cur, p.cur[p.start:p.end])
		p.start, p.nl = 0, 0
		return true
	case !p.long && p.nl == p.start && len(p.cur) <= p.r.max:
		p.cur = append(make([]byte, 0, p.larger(len(p.cur))), p.cur...)
		p.cur = p.cur[:cap(p.cur)]
		return true
	case p.queued >= 2*p.r.block:
		return false
	}
	if p.nl == p.start { // max+1 bytes without a line end, or more of that line
		p.long = true
		p.push(chunk{data: p.cur[p.start:p.end], buf: p.cur, long: true})
		p.cur = p.buffer(p.r.block)
		p.start, p.nl, p.end = 0, 0, 0
		return true
	}
	rest := p.cur[p.nl:p.end]
	size := p.r.block
	for size <= len(rest) {
		size = p.larger(size)
	}
	p.push(chunk{data: p.cur[p.start:p.nl], buf: p.cur})
	p.cur = p.buffer(size)
	p.end = copy(p.cur, rest)
	p.start, p.nl = 0, 0
	return true
}

// larger returns the size that a buffer grows to: max+1 in the end, so that
// the longest line fits with its '\n' and one byte more tells it is overlong.
func (p *pump) larger(size int) int { return min(4*size, p.r.max+1) }

func (p *pump) buffer(size int) []byte {
	if n := len(p.free); n > 0 && size == p.r.block {
		buf := p.free[n-1]
		p.free = p.free[:n-1]
		return buf[:size]
	}
	return make([]byte, size)
}

func (p *pump) push(c chunk) {
	p.queue = append(p.queue, c)
	p.queued += len(c.data)
	signal(p.wake)
}

// add takes note of n bytes read to cur[end:]; more says that it will be called
// again at once.
func (p *pump) add(n int, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	from := p.end
	p.end += n
	if p.long {
		i := bytes.IndexByte(p.cur[from:p.end], '\n')
		if i < 0 {
			return
		}
		p.pushLongEnd(from + i)
		from += i + 1
		p.start, p.nl = from, from
	}
	if i := bytes.LastIndexByte(p.cur[from:p.end], '\n'); i >= 0 {
		p.nl = from + i + 1
	}
	// Also if these bytes end no line: those before them may have, when more was to
	// come.
	if p.live && !more && p.nl > p.start {
		signal(p.wake)
	}
}

// pushLongEnd gives out cur[start:to] as the last piece of an overlong line,
// as a copy, since lines follow it.
func (p *pump) pushLongEnd(to int) {
	buf := p.buffer(p.r.block)[:0]
	buf = append(buf, p.cur[p.start:to]...)
	p.push(chunk{data: buf, buf: buf, long: true, longEnd: true})
	p.start, p.nl = to, to
	p.long = false
}

// finish gives out what is left. An unterminated line is a line only if the
// input ended there and did not break off.
func (p *pump) finish(err error, opened bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened = opened
	switch {
	case p.long:
		p.pushLongEnd(p.end)
	case err == nil && p.nl == p.start && p.end-p.start > p.r.max:
		p.pushWhole(chunk{data: p.cur[p.start:p.end], long: true, longEnd: true})
	case err == nil && p.end > p.start:
		p.pushWhole(chunk{data: p.cur[p.start:p.end]})
	case p.nl > p.start:
		p.pushWhole(chunk{data: p.cur[p.start:p.nl]})
	}
	p.done, p.err = true, err
	signal(p.wake)
}

func (p *pump) pushWhole(c chunk) {
	c.buf = p.cur
	p.push(c)
	p.cur, p.start, p.nl, p.end = nil, 0, 0, 0
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (p *pump) next(ctx context.Context, b *stream.Block) (span, error) {
	for {
		if ok, done := p.take(b); ok {
			return span{}, nil
		} else if done {
			return span{}, io.EOF
		}
		select {
		case <-p.wake:
		case <-ctx.Done():
			return span{}, ctx.Err()
		case <-p.r.closed:
			return span{}, os.ErrClosed
		}
	}
}

func (p *pump) take(b *stream.Block) (ok, done bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case len(p.queue) > 0:
		c := p.queue[0]
		p.queue = slices.Delete(p.queue, 0, 1)
		p.queued -= len(c.data)
		if cap(b.Buf) >= p.r.block && cap(b.Buf) <= 4*p.r.block && len(p.free) < 4 {
			p.free = append(p.free, b.Buf)
		}
		b.Buf, b.Data = c.buf, c.data
		b.Long, b.LongEnd = c.long, c.longEnd
	case p.live && p.nl > p.start:
		n := p.nl - p.start
		b.Buf = p.r.sized(b.Buf, n)
		copy(b.Buf, p.cur[p.start:p.nl])
		b.Data = b.Buf[:n]
		p.start = p.nl
	default:
		return false, p.done
	}
	signal(p.room)
	return true, false
}

func (p *pump) read(span, *stream.Block) {}

func (p *pump) result() outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	return outcome{opened: p.opened, err: p.err}
}

// close closes the file, which also ends a read from a named pipe. It does not
// wait for the goroutine: a read from a terminal cannot be ended.
func (p *pump) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = true
	if p.closer != nil {
		p.closer.Close()
		p.closer = nil
	}
}
