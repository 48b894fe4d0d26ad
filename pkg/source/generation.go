package source

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"time"

	"logtools/pkg/stream"
)

// headSize is how many of the first bytes tell a truncated file.
const headSize = 1 << 10

var (
	errTruncated  = errors.New("file was truncated")
	errLess       = errors.New("file became shorter while it was read")
	errCompressed = errors.New("compressed data cannot be followed")
)

// generation is a file that is or was found under the name.
type generation struct {
	f         file
	info      fs.FileInfo // which file it is
	dir, base string      // where it was, links resolved; "" for standard input

	pos     int64 // what begins here was not given out yet
	scanned int64 // so many bytes there have no line end
	longTo  int64 // an overlong line ends here, if > 0; pos is within it
	longEnd int64 // and the next one begins here

	size    int64
	modTime time.Time
	failed  error     // is to be told
	grown   time.Time // when size was last seen to have changed
	head    []byte    // the first bytes of what was given out

	begun     bool // its first block was given out
	rewritten bool // it was found truncated
	dead      bool // it cannot be read any more
	final     bool // what is left of it is given out as it is, and then it goes
}

// measure asks for the present size.
func (g *generation) measure(now time.Time) error {
	st, err := g.f.Stat()
	if err != nil {
		return err
	}
	if size := st.Size(); size != g.size {
		g.size, g.grown = size, now
	}
	g.modTime = st.ModTime()
	return nil
}

func (g *generation) unfinished() bool { return g.size > g.pos && !g.dead }

func (g *generation) restart() {
	g.pos, g.scanned, g.longTo, g.longEnd = 0, 0, 0, 0
	g.head = g.head[:0]
	g.begun, g.rewritten = false, false
}

// give fills b with whole lines that were not given out yet, if there are any.
// An error that is errTruncated says that it must be read from its start again.
func (g *generation) give(f *Follower, b *stream.Block, now time.Time) (bool, error) {
	r := f.past
	if err := g.measure(now); err != nil {
		return false, err
	}
	if g.size < g.pos || g.size < g.longTo || g.rewritten {
		return false, errTruncated
	}
	if g.longTo > 0 {
		return true, g.piece(f, b)
	}
	if g.size < g.pos+g.scanned { // what was not given out may be taken back
		g.scanned = 0
	}
	if g.pos+g.scanned == g.size {
		return false, nil
	}
	if g.pos == 0 {
		if err := g.start(f); err != nil {
			return false, err
		}
	}
	left := g.size - g.pos
	if g.scanned > 0 { // is its line finished now?
		n, err := g.lineEnd(f, left)
		if n < 0 || err != nil {
			return false, err
		}
		if n > int64(r.max) {
			g.longTo, g.longEnd = g.pos+n, g.pos+n+1
			return true, g.piece(f, b)
		}
		if n >= int64(r.block) {
			return g.lines(f, b, int(n)+1)
		}
	}
	ok, err := g.lines(f, b, int(min(left, int64(r.block))))
	if !ok && err == nil && left > g.scanned { // a line longer than a block
		return g.give(f, b, now)
	}
	return ok, err
}

// start skips a byte order mark.
func (g *generation) start(f *Follower) error {
	head := f.scratch[:longestMagic]
	n, err := g.f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return err
	}
	if m, _ := detect(head[:n]); m != nil {
		return errCompressed
	}
	if bytes.HasPrefix(head[:n], bom) {
		g.pos, g.scanned = int64(len(bom)), 0
		f.past.read.Add(int64(len(bom)))
	}
	return nil
}

// lineEnd returns the length of the line at pos, whose first scanned bytes are
// known, -1 if it is not finished within left bytes.
func (g *generation) lineEnd(f *Follower, left int64) (int64, error) {
	for g.scanned < left {
		w := f.scratch[:min(int64(len(f.scratch)), left-g.scanned)]
		n, err := g.f.ReadAt(w, g.pos+g.scanned)
		if i := bytes.IndexByte(w[:n], '\n'); i >= 0 {
			return g.scanned + int64(i), nil
		}
		g.scanned += int64(n)
		if n < len(w) {
			return -1, short(err)
		}
	}
	return -1, nil
}

// short judges a read that got less than the size promised.
func short(err error) error {
	if err == nil || err == io.EOF {
		return errLess
	}
	return err
}

// lines fills b with the whole lines within the next n bytes.
func (g *generation) lines(f *Follower, b *stream.Block, n int) (bool, error) {
	b.Buf = f.past.sized(b.Buf, n)
	got, err := g.f.ReadAt(b.Buf[:n], g.pos)
	if got < n {
		return false, short(err)
	}
	end := bytes.LastIndexByte(b.Buf[:n], '\n') + 1
	if end == 0 {
		g.scanned = int64(n)
		return false, nil
	}
	b.Data = b.Buf[:end]
	return true, g.advance(f, b, g.pos+int64(end))
}

// rest fills b with the unfinished line at the end.
func (g *generation) rest(f *Follower, b *stream.Block) (bool, error) {
	n := g.size - g.pos
	if n > int64(f.past.max) {
		g.longTo, g.longEnd = g.size, g.size
		return true, g.piece(f, b)
	}
	b.Buf = f.past.sized(b.Buf, int(n))
	if got, err := g.f.ReadAt(b.Buf[:n], g.pos); got < int(n) {
		return false, short(err)
	}
	b.Data = b.Buf[:n]
	return true, g.advance(f, b, g.size)
}

// piece fills b with the next part of an overlong line.
func (g *generation) piece(f *Follower, b *stream.Block) error {
	n := int(min(int64(f.past.block), g.longTo-g.pos))
	b.Buf = f.past.sized(b.Buf, n)
	if got, err := g.f.ReadAt(b.Buf[:n], g.pos); got < n {
		return short(err)
	}
	b.Data, b.Long = b.Buf[:n], true
	to := g.pos + int64(n)
	if to == g.longTo {
		to = g.longEnd
		b.LongEnd = true
	}
	if err := g.advance(f, b, to); err != nil {
		return err
	}
	if b.LongEnd {
		g.longTo, g.longEnd = 0, 0
	}
	return nil
}

// advance gives out what was read up to there, if the file is still the one
// that it was: a truncation is looked for after reading, so that none can come
// between.
func (g *generation) advance(f *Follower, b *stream.Block, to int64) error {
	head := f.scratch[:min(to, headSize)]
	n, err := g.f.ReadAt(head, 0)
	if n < len(head) {
		return short(err)
	}
	if !bytes.HasPrefix(head, g.head) {
		return errTruncated
	}
	if len(head) > len(g.head) {
		g.head = append(g.head[:0], head...)
	}
	f.past.read.Add(to - g.pos)
	g.pos, g.scanned = to, 0
	return nil
}

// lastLineEnd returns where the last whole line from pos on ends.
func (g *generation) lastLineEnd(f *Follower) (int64, error) {
	for to := g.size; to > g.pos; {
		from := max(g.pos, to-int64(len(f.scratch)))
		w := f.scratch[:to-from]
		n, err := g.f.ReadAt(w, from)
		if err != nil && err != io.EOF {
			return 0, err
		}
		if i := bytes.LastIndexByte(w[:n], '\n'); i >= 0 {
			return from + int64(i) + 1, nil
		}
		to = from
	}
	return g.pos, nil
}
