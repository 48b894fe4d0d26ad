package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// window is a piece of a file in memory.
type window struct {
	r    io.ReaderAt
	size int64 // of the file
	buf  []byte
	at   int64 // byte of the file at which buf begins
}

// get returns n bytes of the file from byte at, which must be there. If they are
// not in memory it reads up to piece bytes, if that is more. They are valid until
// the next call.
func (w *window) get(at int64, n, piece int) ([]byte, error) {
	if off := at - w.at; off >= 0 && off+int64(n) <= int64(len(w.buf)) {
		return w.buf[off : off+int64(n)], nil
	}
	n64 := min(int64(max(n, piece)), w.size-at)
	if int64(cap(w.buf)) < n64 {
		w.buf = make([]byte, n64)
	}
	w.buf, w.at = w.buf[:n64], at
	if err := ReadFull(w.r, w.buf, at); err != nil {
		w.buf = w.buf[:0]
		return nil, err
	}
	return w.buf[:n], nil
}

// magic is what a unit begins with.
const magic = "\x57\x2a\x4d\x18"

// header reads the header of the unit at byte pos: see ReadHeader.
func (w *window) header(pos int64, h *Header, piece int) error {
	*h = Header{}
	left := w.size - pos
	if pos < 0 || left < 0 {
		return &InvalidError{At: pos, Reason: "not in the file"}
	}
	if left == 0 {
		return io.EOF
	}
	b, err := w.get(pos, int(min(left, HeaderLen)), piece)
	if err != nil {
		return err
	}
	if left < HeaderLen {
		k := min(len(b), len(magic))
		if string(b[:k]) != magic[:k] {
			return &InvalidError{At: pos, Reason: "no unit begins here"}
		}
		return &InvalidError{At: pos, Reason: "the header is cut off", Incomplete: true}
	}
	n, err := headerSize(b)
	if err != nil {
		return located(pos, err)
	}
	if int64(n) > left {
		return &InvalidError{At: pos, Reason: "the header is cut off", Incomplete: true}
	}
	if b, err = w.get(pos, n, piece); err != nil {
		return err
	}
	if err = h.parse(b); err != nil {
		return located(pos, err)
	}
	if h.SyncedTo > pos {
		return &InvalidError{At: pos, Reason: "an impossible durable end"}
	}
	if h.Size() > left {
		return &InvalidError{At: pos, Reason: "the body is cut off", Incomplete: true}
	}
	return nil
}

// onePiece is how much is read for a single header: more than one usually has.
const onePiece = 512

// ReadHeader reads the header of the unit that begins at byte at of a file of size
// bytes. Its Ext lies in *buf, which is made larger if need be.
//
// At the end of the file it returns io.EOF, otherwise nil, an *InvalidError, a
// *NewerError, or the error of r. If the header is sound but the file ends within
// the body, that is an *InvalidError with Incomplete, and h is filled in; with all
// other errors h means nothing.
func ReadHeader(r io.ReaderAt, at, size int64, h *Header, buf *[]byte) error {
	w := window{r: r, size: size, buf: (*buf)[:0]}
	err := w.header(at, h, onePiece)
	*buf = w.buf
	return err
}

// Scanner goes through the units of a file in their order. It is for one goroutine
// at a time.
type Scanner struct {
	w    window
	at   int64 // of the next unit
	unit int64 // of the one before it, as Next gave it
	link Link
	// found: Resync found the next unit, and what lies before it is not known.
	found bool
	piece int // to be read at once
	body  []byte
}

// How much a Scanner reads at once: little where units are large, since it steps
// over their bodies, much where they are small.
const (
	smallPiece = 4 << 10
	largePiece = 256 << 10
	smallUnit  = 32 << 10
)

// NewScanner returns a Scanner of a file of size bytes, whose next unit is that at
// byte at, behind one with the link after. For all of a file both are zero.
func NewScanner(r io.ReaderAt, size, at int64, after Link) *Scanner {
	return &Scanner{w: window{r: r, size: size}, at: at, link: after, piece: smallPiece}
}

// At is where the next unit begins.
func (s *Scanner) At() int64 { return s.at }

// Link is what the next unit must fit to.
func (s *Scanner) Link() Link { return s.link }

// Extend says how long the file is now. What was read of it before and not given
// out is read again.
func (s *Scanner) Extend(size int64) {
	s.w.size = size
	s.forget()
}

// forget makes Next read from the file again.
func (s *Scanner) forget() { s.w.buf = s.w.buf[:0] }

// Next reads the header of the next unit, checks that it follows the one before
// it, and steps over its body. The unit begins at byte at; h.Ext is valid until the
// next call of Next.
//
// At the end of the file the error is io.EOF, otherwise as that of ReadHeader. The
// Scanner then stays where it is: Next tries again, reading the file again, and
// Resync goes on behind what is invalid.
func (s *Scanner) Next(h *Header) (at int64, err error) {
	at = s.at
	err = s.w.header(at, h, s.piece)
	if err == nil && !s.found {
		if reason := s.link.misfit(h); reason != "" {
			err = &InvalidError{At: at, Reason: reason}
		}
	}
	if err != nil {
		s.forget()
		return at, err
	}
	s.unit, s.at, s.link, s.found = at, at+h.Size(), h.Link(), false
	s.piece = largePiece
	if h.Size() > smallUnit {
		s.piece = smallPiece
	}
	return at, nil
}

// Body returns the body of the unit that Next returned last with h, after checking
// its checksum. It is valid until the next call of a method.
func (s *Scanner) Body(h *Header) ([]byte, error) {
	from := s.unit + h.BodyAt() - s.w.at
	if n := int64(h.BodyLen); from >= 0 && from+n <= int64(len(s.w.buf)) {
		body := s.w.buf[from : from+n]
		return body, checkBody(s.unit, h, body)
	}
	var err error
	s.body, err = readBody(s.w.r, s.unit, h, s.body)
	return s.body, err
}

// Resync goes on at the next sound header of this file behind the place where the
// Scanner stands, as the function Resync finds it; io.EOF if there is none. Next
// then returns that unit.
func (s *Scanner) Resync() error {
	var h Header
	at, err := Resync(s.w.r, s.at+1, s.w.size, s.link.SegmentID, s.link.Next, &h, &s.body)
	if err != nil {
		return err
	}
	s.forget()
	s.at, s.found = at, true
	return nil
}

// Resync finds the first unit at or behind byte from of a file of size bytes that
// has a sound header, the segment id (any, if that is 0) and a base of minBase or
// more. Its body may yet be damaged. h.Ext lies in *buf.
//
// io.EOF says that there is none. If the only one left is the last of the file,
// which ends within its body, the error is that of ReadHeader, and h is filled in.
func Resync(r io.ReaderAt, from, size int64, segmentID uint64, minBase int64, h *Header, buf *[]byte) (at int64, err error) {
	w := window{r: r, size: size}
	for at = max(from, 0); size-at >= HeaderLen; {
		n := int(min(size-at, largePiece))
		b, err := w.get(at, n, n)
		if err != nil {
			return at, err
		}
		// Only places behind which a whole header lies in b; the others are in the
		// next piece, too.
		last := n - HeaderLen
		for k := 0; k <= last; k++ {
			next := bytes.Index(b[k:last+len(magic)], []byte(magic))
			if next < 0 {
				break
			}
			k += next
			if !maybe(b[k:], segmentID, minBase) {
				continue
			}
			err := ReadHeader(r, at+int64(k), size, h, buf)
			var invalid *InvalidError
			if !errors.As(err, &invalid) || invalid.Incomplete && h.Len > 0 {
				return at + int64(k), err
			}
		}
		at += int64(last + 1)
	}
	return size, io.EOF
}

// maybe asks of a header what costs nothing, so that a file full of magics, or of
// units of other files, costs little.
func maybe(b []byte, segmentID uint64, minBase int64) bool {
	id := binary.LittleEndian.Uint64(b[posSegmentID:])
	return string(b[posMark:posMark+len(mark)]) == mark && (segmentID == 0 || id == segmentID) &&
		int64(binary.LittleEndian.Uint64(b[posBase:])) >= minBase
}

// String is for messages of tests and of those who look after a log.
func (h *Header) String() string {
	return fmt.Sprintf("%s %d-%d", h.Kind, h.Base, h.Next)
}
