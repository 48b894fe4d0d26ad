package eventlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"sort"

	"logtools/pkg/event"
	"logtools/pkg/internal/vfs"
	"logtools/pkg/segment"
)

// readable is a segment that is open for reading. It is for one goroutine at a
// time.
type readable struct {
	l         *Log
	partition int
	base      int64
	name      string // path of the file
	file      vfs.File
	size      int64 // of the file, when it was last asked for

	// open is the first unit. If openErr says that it is damaged, id is 0 and open
	// means nothing; foreign then says that it is sound, but does not belong here:
	// nothing of such a file is read.
	open    segment.Open
	openErr error
	foreign bool
	id      uint64

	// stop is the offset at which the segment ends: what its successor says, or
	// beyond all offsets, if it is the last one.
	stop int64
	last bool
	// absent is the base of a segment that should lie between this one and its
	// successor, and does not; 0: there is none. What it had may be in this one.
	absent int64
	// givenUp: it could not be written any more; what lies behind stop is void.
	givenUp bool

	// What looked found out: the SEAL, if sealed; else index is that of the .idx.
	looked  bool
	sealed  bool
	sealAt  int64
	sealEnd int64 // offset
	seal    segment.Seal
	index   segment.Index
}

// noStop is behind all offsets.
const noStop = math.MaxInt64

// openReadable opens a segment and reads its first unit.
func (l *Log) openReadable(partition int, base int64) (*readable, error) {
	s := &readable{l: l, partition: partition, base: base, name: filepath.Join(l.dir(partition), segmentName(base)), stop: noStop}
	var err error
	if s.file, err = l.fs.Open(s.name, vfs.ReadOnly); err != nil {
		return nil, err
	}
	if err = s.readOpen(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *readable) readOpen() (err error) {
	if s.size, err = s.file.Size(); err != nil {
		return err
	}
	var h segment.Header
	h, s.open, err = s.l.checkOpen(s.file, s.size, s.partition, s.base)
	switch {
	case err == nil:
		s.id = h.SegmentID
		return nil
	case !isInvalid(err):
		return s.wrap(err)
	}
	s.openErr = err
	var buf []byte
	err = segment.ReadHeader(s.file, 0, s.size, &h, &buf)
	if err != nil && err != io.EOF && !isInvalid(err) {
		return s.wrap(err)
	}
	s.foreign = err == nil
	return nil
}

func (s *readable) close() {
	if s != nil {
		s.file.Close()
	}
}

// wrap names the file in an error of package segment that is no damage.
func (s *readable) wrap(err error) error {
	var newer *segment.NewerError
	if errors.As(err, &newer) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return err
}

// reason returns what an *InvalidError says, without the place.
func reason(err error) string {
	var invalid *segment.InvalidError
	switch {
	case errors.As(err, &invalid):
		return invalid.Reason
	case err == io.EOF:
		return "the file ends too early"
	}
	return err.Error()
}

// setNext says where the segment ends, now that next follows it; nil if nothing
// does.
func (s *readable) setNext(next *readable) error {
	s.stop, s.last, s.givenUp, s.absent = noStop, next == nil, false, 0
	if next == nil {
		return nil
	}
	if next.openErr != nil {
		// Our own SEAL knows, if there is one. What is missing before the next
		// one's base is damage.
		if err := s.look(); err != nil {
			return err
		}
		s.stop = next.base
		if s.sealed {
			s.stop = min(s.sealEnd, next.base)
		}
		return nil
	}
	s.stop = next.base
	if o := &next.open; o.HasPrevious && o.PreviousEnd >= s.base {
		s.stop = o.PreviousEnd
		s.givenUp = o.Lost == segment.LostWrite
		if o.PreviousBase > s.base {
			s.absent = o.PreviousBase
		}
	}
	return nil
}

// maxIndex is how much of an .idx is read.
const maxIndex = 1 << 20

// look reads the SEAL, or the .idx if there is none.
func (s *readable) look() error {
	if s.looked || s.foreign {
		return nil
	}
	var h segment.Header
	at, err := segment.ReadSeal(s.file, s.size, &h, &s.seal)
	if err != nil {
		return s.wrap(err)
	}
	s.looked = true
	if at >= 0 && h.SegmentID == s.id {
		s.sealed, s.sealAt, s.sealEnd, s.index = true, at, h.Base, s.seal.Index
		return nil
	}
	f, err := s.l.fs.Open(filepath.Join(s.l.dir(s.partition), indexName(s.base)), vfs.ReadOnly)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer f.Close()
	b, err := readFile(f, maxIndex)
	if err != nil {
		return err
	}
	if s.id != 0 {
		s.index = segment.ParseIndex(b, s.id, s.size)
	}
	return nil
}

// scanner returns a Scanner of the first size bytes that begins with the file.
func (s *readable) scanner(size int64) *segment.Scanner {
	return segment.NewScanner(s.file, size, 0, segment.Link{Next: s.base})
}

// scanFrom returns a Scanner of the first size bytes that begins behind the first i
// entries of the index, or earlier if no sound unit lies there; and the entry for
// its place. The index is only a hint: what lies at a place decides.
func (s *readable) scanFrom(i int, size int64) (*segment.Scanner, segment.Entry, error) {
	var h segment.Header
	var buf []byte
	for tries := 0; i > 0 && tries < 4; i-- {
		e := &s.index[i-1]
		if e.At >= size {
			continue
		}
		tries++
		err := segment.ReadHeader(s.file, e.At, size, &h, &buf)
		if err == nil && h.SegmentID == s.id && h.Base == e.Base && h.Kind != segment.KindOpen {
			after := segment.Link{SegmentID: s.id, Next: h.Base, Epoch: h.Epoch, HeadCRC: h.PrevCRC}
			return segment.NewScanner(s.file, size, e.At, after), *e, nil
		}
		if err != nil && err != io.EOF && !isInvalid(err) {
			return nil, segment.Entry{}, s.wrap(err)
		}
	}
	return s.scanner(size), segment.Entry{}, nil
}

// scanOffset returns a Scanner that begins before an offset, as near as the index
// knows.
func (s *readable) scanOffset(offset, size int64) (*segment.Scanner, segment.Entry, error) {
	return s.scanFrom(sort.Search(len(s.index), func(i int) bool { return s.index[i].Base > offset }), size)
}

// ownEnd returns the offset at which s itself would have ended: what is lost of the
// offsets from next on, which is reached where s ends, is its own before that and of a
// missing segment from there on. whole: no unit was damaged there.
func (s *readable) ownEnd(next, limit int64, whole bool) int64 {
	switch {
	case s.absent == 0:
		return limit
	case whole && s.sealed: // it says so
		return next
	}
	return max(next, min(s.absent, limit))
}

// firstAbsent is where the first of the missing segments behind s begins, as far as
// is known: each begins where the one before it ends.
func (s *readable) firstAbsent() int64 {
	if s.sealed {
		return min(s.absent, s.sealEnd)
	}
	return s.absent
}

// each calls f with each unit that has a sound header, from where the Scanner
// stands to the end of what it reads, and goes on behind what is not sound. h.Ext
// is valid until f returns. f returns false to end it.
func (s *readable) each(sc *segment.Scanner, f func(at int64, h *segment.Header) (bool, error)) error {
	var h segment.Header
	for {
		at, err := sc.Next(&h)
		if err == io.EOF {
			return nil
		}
		if err != nil && isInvalid(err) { // (errors.As allocates, also for nil)
			if err = sc.Resync(); err == nil {
				continue
			}
			if err == io.EOF || isInvalid(err) {
				return nil
			}
		}
		if err != nil {
			return s.wrap(err)
		}
		if goOn, err := f(at, &h); err != nil || !goOn {
			return err
		}
	}
}

// lines returns which lines of a unit have offsets from first on and before next:
// those from lo on and before hi.
func lines(h *segment.Header, b *segment.Batch, first, next int64) (lo, hi int) {
	n := int(h.Count)
	if len(b.Offsets) > 0 {
		lo = sort.Search(n, func(i int) bool { return b.Offsets[i] >= first })
		return lo, max(lo, sort.Search(n, func(i int) bool { return b.Offsets[i] >= next }))
	}
	lo = int(min(max(first-h.Base, 0), int64(n)))
	return lo, max(lo, int(min(max(next-h.Base, 0), int64(n))))
}

// offsetOf returns the offset of line i of a unit.
func offsetOf(h *segment.Header, b *segment.Batch, i int) int64 {
	if len(b.Offsets) > 0 {
		return b.Offsets[i]
	}
	return h.Base + int64(i)
}

// missingFile is an error about offsets for which there is no segment, but one with
// this base was, or one that begins at the first offset.
func (l *Log) missingFile(partition int, base, first, next int64) *event.DamagedError {
	return &event.DamagedError{
		File: filepath.Join(l.dir(partition), segmentName(min(base, first))),
		To:   -1, First: first, Next: next, Reason: "the file is missing",
	}
}

// damaged is an error about bytes of a segment.
func (s *readable) damaged(from, to, first, next int64, why string) *event.DamagedError {
	return &event.DamagedError{File: s.name, From: from, To: to, First: first, Next: next, Reason: why}
}
