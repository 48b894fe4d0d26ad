package source

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"

	"logtools/pkg/stream"
)

// ranges cuts a plain regular file. Whose turn it is only looks up where the
// next block ends, which needs the last page of it; the block itself is read
// afterwards, by several workers at the same time. (Twice the throughput of
// reading in turn, and the bytes are in the cache of the core that uses them.)
//
// Pieces of overlong lines are read in turn: nothing is gained there, and it
// keeps them in one unbroken row whatever goes wrong.
type ranges struct {
	r     *Reader
	f     file
	name  string
	owned bool // close f

	// Owned by the goroutine whose turn it is.
	pos, end int64 // what was not given out yet
	long     bool  // pos is within an overlong line

	reading atomic.Int32          // spans given out and not yet read
	idle    chan struct{}         // gets a value when reading falls to 0
	stopped atomic.Bool           // give out no more
	err     atomic.Pointer[error] // why; the first one
}

// span is a part of a file that its taker reads by itself.
type span struct {
	off  int64
	n    int
	last bool  // the file ends here; the last line may lack its '\n'
	err  error // what was found behind it
}

var (
	errShrunk  = errors.New("file shrank while it was read")
	errChanged = errors.New("file changed while it was read")
)

const page = 4096

func (in *ranges) next(ctx context.Context, b *stream.Block) (span, error) {
	if in.stopped.Load() {
		in.pos = in.end
		if in.long {
			in.long = false
			b.Long, b.LongEnd = true, true
			return span{}, nil
		}
	}
	if in.long {
		in.piece(b)
		return span{}, nil
	}
	if in.pos >= in.end {
		// An error that a worker still runs into belongs before the next
		// input's first block.
		for in.reading.Load() > 0 {
			select {
			case <-in.idle:
			case <-ctx.Done():
				return span{}, ctx.Err()
			case <-in.r.closed:
				return span{}, os.ErrClosed
			}
		}
		return span{}, io.EOF
	}
	s, long := in.cut()
	if long {
		in.long = true
		in.piece(b)
		return span{}, nil
	}
	in.pos += int64(s.n)
	if s.err != nil || s.last {
		in.pos = in.end
	}
	in.reading.Add(1)
	return s, nil
}

// cut finds the end of the block that begins at pos; long says that the line
// there is overlong.
func (in *ranges) cut() (s span, long bool) {
	s.off = in.pos
	rest := in.end - in.pos
	if rest <= int64(in.r.block) && rest <= int64(in.r.max) {
		s.n, s.last = int(rest), true
		return s, false
	}
	if in.r.scratch == nil {
		in.r.scratch = make([]byte, 16*page)
	}
	// Backwards for the last line end in a block's size, a page first.
	size := int(min(rest, int64(in.r.block)))
	for to, width := size, page; to > 0; width = len(in.r.scratch) {
		from := max(0, to-width)
		w := in.r.scratch[:to-from]
		if n, err := in.f.ReadAt(w, in.pos+int64(from)); n < len(w) {
			s.n, s.err = size, orShrunk(err)
			return s, false
		}
		if i := bytes.LastIndexByte(w, '\n'); i >= 0 {
			s.n = from + i + 1
			return s, false
		}
		to = from
	}
	// Forwards: the block becomes as long as that line.
	limit := int(min(rest, int64(in.r.max)+1))
	for from := size; from < limit; {
		w := in.r.scratch[:min(len(in.r.scratch), limit-from)]
		n, err := in.f.ReadAt(w, in.pos+int64(from))
		if i := bytes.IndexByte(w[:n], '\n'); i >= 0 {
			s.n = from + i + 1
			return s, false
		}
		from += n
		if n < len(w) {
			s.n, s.err = from, orShrunk(err)
			return s, false
		}
	}
	if rest <= int64(in.r.max) {
		s.n, s.last = int(rest), true
		return s, false
	}
	return s, true
}

func orShrunk(err error) error {
	if err == nil || err == io.EOF {
		return errShrunk
	}
	return err
}

// piece reads the next part of an overlong line into b.
func (in *ranges) piece(b *stream.Block) {
	n := int(min(int64(in.r.block), in.end-in.pos))
	b.Buf = in.r.sized(b.Buf, n)
	got, err := in.f.ReadAt(b.Buf[:n], in.pos)
	b.Long = true
	b.Data = b.Buf[:got]
	if i := bytes.IndexByte(b.Data, '\n'); i >= 0 {
		b.Data = b.Data[:i]
		got = i + 1
		in.long = false
	} else if got < n {
		in.fail(orShrunk(err))
		in.pos = in.end
		in.long = false
	} else if in.pos+int64(n) == in.end {
		in.long = false
	}
	b.LongEnd = !in.long
	in.pos = min(in.pos+int64(got), in.end)
	in.r.read.Add(int64(got))
}

// read fills b with the bytes of s. It runs beside next.
func (in *ranges) read(s span, b *stream.Block) {
	b.Buf = in.r.sized(b.Buf, s.n)
	n, err := in.f.ReadAt(b.Buf[:s.n], s.off)
	b.Data = b.Buf[:n]
	in.r.read.Add(int64(n))
	switch {
	case n < s.n:
		end := s.last || s.err != nil // no other span follows
		s.err = orShrunk(err)
		if end && s.err == errShrunk && in.liesAboutSize() {
			s.err = nil
		}
	case s.err == nil && !s.last && b.Data[n-1] != '\n':
		s.err = errChanged // there was a '\n' when the cut was looked up
	}
	if s.err != nil {
		b.Data = b.Data[:bytes.LastIndexByte(b.Data, '\n')+1]
		in.fail(s.err)
	}
	if in.reading.Add(-1) == 0 {
		select {
		case in.idle <- struct{}{}:
		default:
		}
	}
}

// liesAboutSize says whether the file ended before its size although it did
// not shrink. Files of sysfs do.
func (in *ranges) liesAboutSize() bool {
	st, err := in.f.Stat()
	return err == nil && st.Size() >= in.end
}

func (in *ranges) fail(err error) {
	err = readError(in.name, err)
	in.err.CompareAndSwap(nil, &err)
	in.stopped.Store(true)
}

func (in *ranges) result() outcome {
	if p := in.err.Load(); p != nil {
		return outcome{opened: true, err: *p}
	}
	return outcome{opened: true}
}

func (in *ranges) close() {
	if in.owned {
		in.f.Close()
	} else {
		seek(in.f, in.pos)
	}
}
