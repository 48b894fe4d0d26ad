// Package source turns operands into lines: it opens files and standard
// input, unpacks them where they are compressed, and cuts them into blocks of
// whole lines for several workers at once.
//
// There are two ways through it. A plain regular file is cut into byte ranges
// (see ranges): only the place of each cut is looked up one at a time, the
// bytes are read by the workers themselves, side by side and into their own
// buffers. Everything else (pipes, terminals, compressed data) is read ahead
// by one goroutine (see pump).
package source

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"logtools/pkg/stream"
)

// Options say how operands are read. The zero value works.
type Options struct {
	// Stdin is what the operand "-" reads; nil means os.Stdin. An *os.File
	// that is a regular file is read from its present offset on, and its
	// offset stands behind the last block given out once it was read.
	Stdin io.Reader
	// MaxLine is the longest line in bytes, without its '\n'; 0 means 16 MiB,
	// more than 1 GiB means 1 GiB. Longer lines come as Long blocks.
	MaxLine int
	// BlockSize is the usual size of a block in bytes; 0 means 256 KiB. Only
	// a longer line makes a larger block. A block is never larger than one
	// line may be, so a MaxLine below it makes blocks smaller.
	BlockSize int
	// Warn takes what a user should know of a followed operand although it is
	// no error, such as "was truncated: it is read from its start again"; nil
	// is nobody. It is called from any goroutine, one call at a time, and must
	// not call the Follower. Open has no warnings.
	Warn func(name, msg string)
}

const (
	defaultMaxLine   = 16 << 20
	defaultBlockSize = 256 << 10
	largestMaxLine   = 1 << 30 // keeps all sums within an int of 32 bits
)

// file is what this package needs of an *os.File.
type file interface {
	fs.File
	io.ReaderAt
}

// fsys is the seam for tests that need files which fail.
type fsys struct {
	stat func(name string) (fs.FileInfo, error)
	open func(name string) (file, error)
}

var osFS = fsys{
	stat: os.Stat,
	open: func(name string) (file, error) {
		f, err := os.Open(name)
		if err != nil {
			return nil, err // not f: a nil *os.File is no nil file
		}
		return f, nil
	},
}

// input is one opened operand. Its methods are called by the goroutine whose
// turn it is, one at a time, but for read.
type input interface {
	// next fills b with a block; a span that is not empty is what read then
	// does without holding up others. It returns io.EOF after the last block,
	// and when the caller waited in vain, ctx's error or os.ErrClosed.
	next(ctx context.Context, b *stream.Block) (span, error)
	read(s span, b *stream.Block)
	// result is asked after io.EOF, perhaps more than once.
	result() outcome
	close()
}

// outcome is how an input ended.
type outcome struct {
	opened bool  // it has a First block, and a Last one
	goesOn bool  // but for the Last one: it is followed
	err    error // why it ended early
}

// Reader gives out the blocks of all operands; see Open.
type Reader struct {
	operands []string
	stdin    io.Reader
	fsys     fsys
	max      int // longest line
	block    int // usual size of a block; at most max+1
	total    int64
	read     atomic.Int64

	// turn is a mutex that can be waited for together with a context. Its
	// holder owns the fields below.
	turn    chan struct{}
	begin   func(at int) input // opens an operand and sets modTime
	in      input              // nil: the next operand is to be opened
	ended   bool               // in has no more blocks
	begun   bool               // a block of in was given out
	lasted  bool               // and its Last one
	at      int                // index of in, or of the operand to open next
	modTime time.Time          // of in
	seq     int64
	counts  []int64 // blocks of each operand; those with Err are not counted
	scratch []byte  // for looking up cuts

	closed    chan struct{} // closed by Close
	closeOnce sync.Once
}

var (
	_ stream.Blocks = (*Reader)(nil)
	_ stream.Meter  = (*Reader)(nil)
)

// Open returns the blocks of all operands, one operand after the other. "-" is
// standard input, and so are no operands at all. An operand is opened when its
// turn comes. One that cannot be opened or read becomes a Block with Err (a
// *fs.PathError, whose text is like "open nosuch.log: no such file or
// directory"), and the others still follow.
//
// Data compressed by gzip, zstd or bzip2 is recognised by its content, not its
// name, and may have several members or frames. Formats that are recognised
// but not read (xz, lz4, zip, 7z, compress) give an UnsupportedError.
//
// The end of a regular file is fixed when it is opened: what is appended later
// is left out, so reading a file while writing to it ends. If it shrinks
// meanwhile, or reading or unpacking it fails, the whole lines before that
// place come first and then the Err; an unfinished line before it is left out.
// (The checksums of compressed data stand behind what they protect: of data
// whose bits are damaged, wrong lines may come before the Err.)
//
// The zstd window may have up to 128 MiB (zstd's own default limit); that much
// memory is used only for data compressed that way.
//
// The Reader must be closed.
func Open(operands []string, o Options) *Reader {
	return open(operands, o, osFS)
}

func open(operands []string, o Options, sys fsys) *Reader {
	if len(operands) == 0 {
		operands = []string{"-"}
	}
	if o.Stdin == nil {
		o.Stdin = os.Stdin
	}
	if o.MaxLine <= 0 {
		o.MaxLine = defaultMaxLine
	}
	if o.BlockSize <= 0 {
		o.BlockSize = defaultBlockSize
	}
	r := &Reader{
		operands: operands,
		stdin:    o.Stdin,
		fsys:     sys,
		max:      min(o.MaxLine, largestMaxLine),
		turn:     make(chan struct{}, 1),
		closed:   make(chan struct{}),
		counts:   make([]int64, len(operands)),
	}
	// A block of max+1 bytes that ends with '\n' cannot have a line of more
	// than max bytes: that is how no overlong line ever slips through,
	// without looking at every line.
	r.block = min(o.BlockSize, r.max+1)
	r.total = r.measure()
	r.begin = func(at int) input { return r.open(r.operands[at]) }
	return r
}

// measure returns the sum of the operands' sizes, -1 if it is not known.
func (r *Reader) measure() int64 {
	var sum int64
	for _, name := range r.operands {
		if name == "-" {
			size, ok := int64(0), false
			if f, isFile := r.stdin.(file); isFile {
				if st, err := f.Stat(); err == nil && st.Mode().IsRegular() {
					size, ok = max(0, st.Size()-offset(f)), true
				}
			}
			if !ok {
				return -1
			}
			sum += size
			continue
		}
		st, err := r.fsys.stat(name)
		switch {
		case err != nil || st.IsDir(): // will be an error; has nothing to read
		case !st.Mode().IsRegular():
			return -1
		default:
			sum += st.Size()
		}
	}
	return sum
}

// Progress returns the bytes read so far and the sum of the operands' sizes,
// of compressed operands in compressed bytes. The sum is -1 if one of them is
// not a regular file.
func (r *Reader) Progress() (done, total int64) {
	return r.read.Load(), r.total
}

// Close ends all reading and frees what it held; Next then returns
// os.ErrClosed. It does not close Options.Stdin, and does not wait for a read
// from it that is still blocked: the goroutine that does so ends when that
// read returns. It always returns nil.
func (r *Reader) Close() error {
	r.closeOnce.Do(func() {
		close(r.closed)
		r.turn <- struct{}{} // those who wait in their turn now give it up
		if r.in != nil {
			r.in.close()
			r.in = nil
		}
		<-r.turn
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
	in, s, err := r.cut(ctx, b)
	<-r.turn
	if err != nil || s.n == 0 {
		return err
	}
	in.read(s, b)
	select {
	case <-r.closed: // perhaps before the file was read
		return os.ErrClosed
	default:
		return nil
	}
}

// cut fills b up to its Data, which may be left to in.read(s, b).
func (r *Reader) cut(ctx context.Context, b *stream.Block) (in input, s span, err error) {
	*b = stream.Block{Buf: b.Buf}
	for {
		select {
		case <-r.closed:
			return nil, span{}, os.ErrClosed
		default:
		}
		if r.in == nil {
			if r.at == len(r.operands) {
				return nil, span{}, io.EOF
			}
			r.modTime = time.Time{}
			r.in = r.begin(r.at)
			r.ended, r.begun, r.lasted = false, false, false
		}
		if !r.ended {
			s, err = r.in.next(ctx, b)
			if err == nil {
				r.stamp(b)
				return r.in, s, nil
			}
			if err != io.EOF {
				return nil, span{}, err
			}
			r.ended = true
		}
		end := r.in.result()
		if end.opened && (!r.begun || !end.goesOn && !r.lasted) {
			r.stamp(b)
			r.lasted = !end.goesOn
			b.Last = r.lasted
			return r.in, span{}, nil
		}
		if end.err != nil {
			r.stamp(b)
			r.counts[r.at]--
			b.First = false
			b.Err = end.err
		}
		r.in.close()
		r.in = nil
		r.at++
		if end.err != nil {
			return nil, span{}, nil
		}
	}
}

func (r *Reader) stamp(b *stream.Block) {
	b.Input, b.Name, b.ModTime = r.at, r.operands[r.at], r.modTime
	b.First = !r.begun
	r.begun = true
	b.SeqInInput = r.counts[r.at]
	r.counts[r.at]++
	b.Seq = r.seq
	r.seq++
}

// open opens an operand without ever waiting for a writer.
func (r *Reader) open(name string) input {
	var f file
	owned := name != "-"
	if !owned {
		var ok bool
		if f, ok = r.stdin.(file); !ok {
			return r.pump(name, true, reading(r.stdin, nil))
		}
	} else {
		// Opening a named pipe waits for its writer, so the pump does it.
		if st, err := r.fsys.stat(name); err == nil && !st.Mode().IsRegular() && !st.IsDir() {
			return r.pump(name, true, func() (io.Reader, io.Closer, error) {
				f, err := r.fsys.open(name)
				return f, f, err
			})
		}
		var err error
		if f, err = r.fsys.open(name); err != nil {
			return failed{err}
		}
	}
	var closer io.Closer
	if owned {
		closer = f
	}
	discard := func(err error) input {
		if owned {
			f.Close()
		}
		return failed{readError(name, err)}
	}
	st, err := f.Stat()
	if err != nil {
		return discard(err)
	}
	if st.IsDir() {
		return discard(syscall.EISDIR)
	}
	if st.Mode().IsRegular() {
		r.modTime = st.ModTime()
	}
	// procfs has regular files of size 0 that are not empty.
	if !st.Mode().IsRegular() || st.Size() == 0 {
		return r.pump(name, true, reading(f, closer))
	}
	in := &ranges{
		r: r, f: f, name: name, owned: owned,
		idle: make(chan struct{}, 1),
		end:  st.Size(),
	}
	if !owned {
		in.pos = offset(f)
	}
	var head [longestMagic]byte
	n, err := f.ReadAt(head[:min(int64(len(head)), max(0, in.end-in.pos))], in.pos)
	if n == 0 && err != nil && err != io.EOF {
		return discard(err)
	}
	if m, _ := detect(head[:n]); m != nil {
		section := io.NewSectionReader(f, in.pos, in.end-in.pos)
		if !owned {
			seek(f, in.end)
		}
		return r.pump(name, false, reading(section, closer))
	}
	if bytes.HasPrefix(head[:n], bom) {
		in.pos += int64(len(bom))
		r.read.Add(int64(len(bom)))
	}
	return in
}

// reading is an opened input, for pump.
func reading(rd io.Reader, c io.Closer) func() (io.Reader, io.Closer, error) {
	return func() (io.Reader, io.Closer, error) { return rd, c, nil }
}

// offset returns where a file stands, 0 if that cannot be told.
func offset(f file) int64 {
	if s, ok := f.(io.Seeker); ok {
		if n, err := s.Seek(0, io.SeekCurrent); err == nil {
			return n
		}
	}
	return 0
}

// seek leaves standard input where the next process that shares it expects
// it. It is a courtesy: failing is no error.
func seek(f file, pos int64) {
	if s, ok := f.(io.Seeker); ok {
		s.Seek(pos, io.SeekStart)
	}
}

// readError names the operand, not what the system calls it (/dev/stdin).
func readError(name string, err error) error {
	if pe, ok := err.(*fs.PathError); ok {
		err = pe.Err
	}
	return &fs.PathError{Op: "read", Path: name, Err: err}
}

// failed is an operand that could not be opened.
type failed struct{ err error }

func (f failed) next(context.Context, *stream.Block) (span, error) { return span{}, io.EOF }
func (f failed) read(span, *stream.Block)                          {}
func (f failed) result() outcome                                   { return outcome{err: f.err} }
func (f failed) close()                                            {}

// sized returns a buffer of n bytes or more: buf itself if it fits. A buffer
// that one long line made very large is not kept for ordinary blocks.
func (r *Reader) sized(buf []byte, n int) []byte {
	if cap(buf) < n || cap(buf) > 4*r.block && n <= r.block {
		return make([]byte, max(n, r.block))
	}
	return buf[:cap(buf)]
}
