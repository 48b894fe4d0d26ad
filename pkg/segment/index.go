package segment

import (
	"encoding/binary"
	"math"
	"sort"

	"logtools/pkg/stream"
)

// indexEvery is how many bytes of a file, or one unit if that is larger, are
// between two entries of its index.
const indexEvery = 1 << 20

// Entry is a place in a segment between two units, and what lies before it.
type Entry struct {
	// From and At are bytes of the file: From is the place of the entry before
	// this one, or 0; between the two lies the stretch.
	From, At int64
	// Base is the offset at At.
	Base int64
	// Units, Events and Raw are what lies before At: units of any kind, lines, and
	// the bytes of the lines.
	Units, Events, Raw int64
	// Span is that of the stretch.
	Span
}

// Span is the times of some units that follow each other.
type Span struct {
	// Times are the bounds of the times of the events.
	Times Bounds
	// First and Last are when the first and the last event were appended, in
	// microseconds since 1970; without events, the times of the units.
	First, Last int64
}

// noSpan returns the Span of no units.
func noSpan() Span { return Span{NoBounds(), math.MaxInt64, math.MinInt64} }

// add widens s by o, which follows it.
func (s *Span) add(o Span) {
	switch {
	case o.First > o.Last:
	case s.First > s.Last, s.Times.Empty() && !o.Times.Empty():
		*s = o
	case s.Times.Empty() == o.Times.Empty():
		s.Last = o.Last
		s.Times.Add(o.Times)
	}
}

// Index is entries that follow each other without gaps: the stretch of the first
// begins with the file.
type Index []Entry

// Before returns the last place that is not behind an offset: whoever wants the
// events from there on need not read what lies before it. It is the zero Entry if
// that is the start of the file.
func (x Index) Before(offset int64) Entry {
	return x.at(sort.Search(len(x), func(i int) bool { return x[i].Base > offset }))
}

// BeforeEvents returns the last place with at most n events before it.
func (x Index) BeforeEvents(n int64) Entry {
	return x.at(sort.Search(len(x), func(i int) bool { return x[i].Events > n }))
}

// BeforeTime returns a place before which all events are earlier than t.
func (x Index) BeforeTime(t stream.Instant) Entry {
	i := 0
	for i < len(x) && (x[i].Times.Empty() || x[i].Times.Max.Before(t)) {
		i++
	}
	return x.at(i)
}

// at returns the place where the stretch of entry i begins.
func (x Index) at(i int) Entry {
	if i == 0 {
		return Entry{Span: noSpan()}
	}
	return x[i-1]
}

// Tally counts the units of a file in their order and makes its index. The zero
// value is the start of a file.
type Tally struct {
	index Index
	cur   Entry // to be the next one
	units int64 // in the stretch of cur
}

// ResumeTally returns the Tally of a file up to the last entry of x, which it
// keeps.
func ResumeTally(x Index) *Tally { return &Tally{index: x} }

// At is the byte up to which units were counted.
func (t *Tally) At() int64 {
	t.begin()
	return t.cur.At
}

// begin makes the next entry from the last one.
func (t *Tally) begin() {
	if t.units > 0 {
		return
	}
	last := t.index.at(len(t.index))
	t.cur = last
	t.cur.From, t.cur.Span = last.At, noSpan()
}

// Add counts the unit that lies at At. If an entry is due behind it, it is
// returned, to be written to the .idx.
func (t *Tally) Add(h *Header, times Bounds) (e Entry, due bool) {
	t.begin()
	c := &t.cur
	if h.Count == 0 {
		times = NoBounds()
	}
	c.Span.add(Span{times, h.First, h.Last})
	t.units++
	c.At += h.Size()
	c.Base = h.Next
	c.Units++
	c.Events += int64(h.Count)
	c.Raw += int64(h.RawLen)
	if c.At-c.From < indexEvery {
		return Entry{}, false
	}
	return t.mark(), true
}

func (t *Tally) mark() Entry {
	t.units = 0
	t.index = append(t.index, t.cur)
	return t.cur
}

// Index returns the entries so far. It must not be changed.
func (t *Tally) Index() Index { return t.index }

// Seal returns what the SEAL says of the units so far. The Tally is then at its
// end.
func (t *Tally) Seal() Seal {
	if t.units > 0 {
		t.mark()
	}
	s := Seal{Index: t.index}
	s.Span = noSpan()
	for i := range s.Index {
		e := &s.Index[i]
		s.Span.add(e.Span)
		s.Units, s.Events, s.Raw = e.Units, e.Events, e.Raw
	}
	return s
}

// An entry of an .idx. All integers are little-endian.
//
//	 0  4 B  "LGI1"
//	 4  u32  0
//	 8  u64  segment_id
//	16  u64  from            byte of the segment: the place of the entry before
//	24  u64  at              byte of the segment: the place of this one
//	32  u64  base_offset     of the unit there
//	40  u64  units           before it
//	48  u64  events          before it
//	56  u64  raw             bytes of lines before it
//	64  i64  time_min        of the events between from and at: seconds since 1970
//	72  u32  min_ns
//	76  i64  time_max
//	84  u32  max_ns
//	88  i64  append_first    of these events: microseconds since 1970
//	96  i64  append_last
//	104 u32  0
//	108 u32  crc             CRC-32C of bytes 0-107
const (
	// EntryLen is the length of an entry of an .idx.
	EntryLen  = 112
	entryMark = "LGI1"
)

// AppendTo appends the entry as it lies in the .idx of the segment with that id.
func (e *Entry) AppendTo(dst []byte, segmentID uint64) []byte {
	le := binary.LittleEndian
	at := len(dst)
	dst = append(dst, entryMark...)
	dst = le.AppendUint32(dst, 0)
	for _, v := range [...]uint64{segmentID, uint64(e.From), uint64(e.At), uint64(e.Base), uint64(e.Units), uint64(e.Events), uint64(e.Raw)} {
		dst = le.AppendUint64(dst, v)
	}
	dst = e.Times.appendTo(dst)
	dst = le.AppendUint64(dst, uint64(e.First))
	dst = le.AppendUint64(dst, uint64(e.Last))
	dst = le.AppendUint32(dst, 0)
	return le.AppendUint32(dst, Checksum(dst[at:]))
}

// ParseIndex returns what the content of an .idx says of the segment with that id
// and size, up to the first entry that is not sound: beyond it nothing is known of
// the times. That a unit with the entry's base lies at its place is for the caller
// to check. The .idx goes on at byte EntryLen*len of the result.
func ParseIndex(data []byte, segmentID uint64, size int64) Index {
	le := binary.LittleEndian
	var x Index
	var last Entry
	for ; len(data) >= EntryLen; data = data[EntryLen:] {
		b := data[:EntryLen]
		if string(b[:4]) != entryMark || le.Uint32(b[108:]) != Checksum(b[:108]) || le.Uint64(b[8:]) != segmentID {
			break
		}
		e := Entry{
			From:   int64(le.Uint64(b[16:])),
			At:     int64(le.Uint64(b[24:])),
			Base:   int64(le.Uint64(b[32:])),
			Units:  int64(le.Uint64(b[40:])),
			Events: int64(le.Uint64(b[48:])),
			Raw:    int64(le.Uint64(b[56:])),
		}
		e.First, e.Last = int64(le.Uint64(b[88:])), int64(le.Uint64(b[96:]))
		if !e.Times.parse(b[64:]) || e.At > size || !e.follows(&last) {
			break
		}
		x = append(x, e)
		last = e
	}
	return x
}

// follows reports whether e can be the entry behind last.
func (e *Entry) follows(last *Entry) bool {
	return e.From == last.At && e.At > e.From && e.Base >= last.Base && e.Units > last.Units &&
		e.Events >= last.Events && e.Raw >= last.Raw && e.Base-last.Base >= e.Events-last.Events &&
		e.Times.Empty() == (e.Events == last.Events) && e.First <= e.Last
}
