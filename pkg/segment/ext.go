package segment

import (
	"encoding/binary"
	"fmt"
	"math"

	"logtools/pkg/stream"
)

// The tags of an ext, each at most once in it. Those of 128 and above may be
// ignored by whoever does not know them; an unknown one below makes the unit one
// of a newer format.
const (
	tagTimes    = 1 // BATCH: i64 u32 i64 u32, earliest and latest event time
	tagOffsets  = 2 // BATCH: varints: runs of offsets, see appendOffsets
	tagAppended = 3 // BATCH: varints: lines, microseconds since the run before

	tagLogID     = 16 // OPEN: 16 bytes
	tagPartition = 17 // OPEN: u32
	tagPrevious  = 18 // OPEN: u64 u64 u8, base and end of the segment before; why offsets are lost

	tagTotals = 32 // SEAL: u64 u64 u64, units, events, bytes of lines; tagTimes; i64 i64
	tagIndex  = 33 // SEAL: see Index
	tagEnd    = 34 // SEAL, the last: u32, length of the unit

	mayIgnore     = 128
	tagSuperseded = 128 // OPEN: u64, see Open
)

// tagHead is the length of a tag and its length.
const tagHead = 4

// beginTag appends a tag whose value follows; endTag fills in its length.
func beginTag(dst []byte, tag byte) (out []byte, at int) {
	return append(dst, tag, 0, 0, 0), len(dst)
}

func endTag(dst []byte, at int) []byte {
	n := len(dst) - at - tagHead
	dst[at+1], dst[at+2], dst[at+3] = byte(n), byte(n>>8), byte(n>>16)
	return dst
}

// cutTag returns the first tag of an ext, its value, and the rest.
func cutTag(ext []byte) (tag byte, v, rest []byte, ok bool) {
	if len(ext) < tagHead {
		return 0, nil, nil, false
	}
	n := int(ext[1]) | int(ext[2])<<8 | int(ext[3])<<16
	if n > len(ext)-tagHead {
		return 0, nil, nil, false
	}
	return ext[0], ext[tagHead : tagHead+n], ext[tagHead+n:], true
}

// checkExt says what is wrong with an ext as a whole, or that it is newer.
func checkExt(ext []byte) error {
	for len(ext) > 0 {
		tag, _, rest, ok := cutTag(ext)
		if !ok {
			return invalid("the ext is cut off")
		}
		switch tag {
		case tagTimes, tagOffsets, tagAppended, tagLogID, tagPartition, tagPrevious, tagTotals, tagIndex, tagEnd:
		default:
			if tag < mayIgnore {
				return &NewerError{What: fmt.Sprintf("tag %d", tag)}
			}
		}
		ext = rest
	}
	return nil
}

// findTag returns the value of a tag of a sound ext.
func findTag(ext []byte, want byte) (v []byte, ok bool) {
	for len(ext) > 0 {
		tag, v, rest, ok := cutTag(ext)
		if !ok {
			return nil, false
		}
		if tag == want {
			return v, true
		}
		ext = rest
	}
	return nil, false
}

// uvarint reads a varint that fits into an int64.
func uvarint(b []byte) (v int64, rest []byte, ok bool) {
	u, n := binary.Uvarint(b)
	if n <= 0 || u > math.MaxInt64 {
		return 0, nil, false
	}
	return int64(u), b[n:], true
}

// Batch is the ext of a BATCH.
type Batch struct {
	// Times are the bounds of the times of the events; one that has none of its
	// own counts with the time of its append. Of no lines they are NoBounds.
	Times Bounds
	// Offsets has the offsets of the lines, ascending, if they are not Base,
	// Base+1, and so on; else it is empty.
	Offsets []int64
	// Appended has when the lines were appended, in the order of time, if that is
	// not the Last of the header; else it is empty.
	Appended []stream.TimeRun
}

// AppendTo appends the ext for a unit with h, of which Base and First must be
// set: the others are relative to them.
func (b *Batch) AppendTo(dst []byte, h *Header) []byte {
	dst, at := beginTag(dst, tagTimes)
	dst = endTag(b.Times.appendTo(dst), at)
	if len(b.Offsets) > 0 {
		dst, at = beginTag(dst, tagOffsets)
		dst = endTag(appendOffsets(dst, h.Base, b.Offsets), at)
	}
	if len(b.Appended) > 0 {
		dst, at = beginTag(dst, tagAppended)
		last := h.First
		for _, run := range b.Appended {
			dst = binary.AppendUvarint(dst, uint64(run.Lines))
			dst = binary.AppendUvarint(dst, uint64(run.Appended-last))
			last = run.Appended
		}
		dst = endTag(dst, at)
	}
	return dst
}

// Parse fills in b from the ext of h, the header of the unit at byte at. It uses
// the slices of b again. The error is an *InvalidError.
func (b *Batch) Parse(at int64, h *Header) error {
	*b = Batch{Times: NoBounds(), Offsets: b.Offsets[:0], Appended: b.Appended[:0]}
	var ok bool
	v, has := findTag(h.Ext, tagTimes)
	if !has || len(v) != boundsLen || !b.Times.parse(v) || b.Times.Empty() != (h.Count == 0) {
		return &InvalidError{At: at, Reason: "impossible event times"}
	}
	if v, has := findTag(h.Ext, tagOffsets); has {
		if b.Offsets, ok = parseOffsets(b.Offsets, v, h); !ok {
			return &InvalidError{At: at, Reason: "impossible offsets"}
		}
	}
	if v, has := findTag(h.Ext, tagAppended); has {
		if b.Appended, ok = parseRuns(b.Appended, v, h); !ok {
			return &InvalidError{At: at, Reason: "impossible times of append"}
		}
	}
	return nil
}

// TimesOf returns the bounds of the times of the events of h, the header of the
// unit at byte at: those of none unless it is a BATCH, of which it fills in b. The
// error is that of Parse.
func (b *Batch) TimesOf(at int64, h *Header) (Bounds, error) {
	if h.Kind != KindBatch {
		return NoBounds(), nil
	}
	if err := b.Parse(at, h); err != nil {
		return NoBounds(), err
	}
	return b.Times, nil
}

// appendOffsets appends the runs of offsets that follow each other: per run a varint,
// twice the number of offsets that are left out before it, and one more if it has more
// than one offset; then another varint, how many it has beyond two.
func appendOffsets(dst []byte, next int64, offsets []int64) []byte {
	for len(offsets) > 0 {
		n := 1
		for n < len(offsets) && offsets[n] == offsets[0]+int64(n) {
			n++
		}
		gap := uint64(offsets[0]-next) << 1
		if n == 1 {
			dst = binary.AppendUvarint(dst, gap)
		} else {
			dst = binary.AppendUvarint(dst, gap|1)
			dst = binary.AppendUvarint(dst, uint64(n-2))
		}
		next = offsets[n-1] + 1
		offsets = offsets[n:]
	}
	return dst
}

func parseOffsets(dst []int64, v []byte, h *Header) ([]int64, bool) {
	next := h.Base
	for left := int64(h.Count); left > 0; {
		u, size := binary.Uvarint(v)
		gap, n := int64(u>>1), int64(1)
		if size <= 0 || gap >= h.Next-next { // also keeps the sum from overflowing
			return dst[:0], false
		}
		v = v[size:]
		if u&1 != 0 {
			more, rest, ok := uvarint(v)
			if !ok || more > left-2 {
				return dst[:0], false
			}
			n, v = more+2, rest
		}
		next += gap
		if n > h.Next-next {
			return dst[:0], false
		}
		for range n {
			dst = append(dst, next)
			next++
		}
		left -= n
	}
	return dst, len(v) == 0
}

func parseRuns(dst []stream.TimeRun, v []byte, h *Header) ([]stream.TimeRun, bool) {
	lines, last := int64(0), h.First
	for len(v) > 0 {
		n, rest, ok := uvarint(v)
		if !ok || n == 0 || n > int64(h.Count)-lines {
			return dst[:0], false
		}
		later, rest, ok := uvarint(rest)
		// The difference of two times may be beyond an int64, as a uint64 it fits.
		if !ok || uint64(later) > uint64(h.Last)-uint64(last) {
			return dst[:0], false
		}
		lines, last = lines+n, last+later
		dst = append(dst, stream.TimeRun{Lines: n, Appended: last})
		v = rest
	}
	return dst, lines == int64(h.Count)
}

// Lost is why offsets between two segments are lost for good.
type Lost uint8

const (
	LostWrite  Lost = 1 // they could not be written
	LostDamage Lost = 2 // they are damaged; what is sound may be read
	LostRepair Lost = 3 // they were damaged, and cut out
)

// Open is the ext of an OPEN.
type Open struct {
	LogID     [16]byte
	Partition uint32
	// HasPrevious: there was a segment before this one, with the base PreviousBase.
	// It ends at the offset PreviousEnd: what lies in it from there on is void. If
	// that is less than the base of this one the offsets between are lost. Lost says
	// why, or why the segment was given up without losing any; it is 0 after a
	// SEAL.
	HasPrevious               bool
	PreviousBase, PreviousEnd int64
	Lost                      Lost
	// Superseded: events of the segment that are no longer there may have been superseded
	// by events up to this offset, but none behind it; 0 if none was. Who reads up to an
	// earlier offset, and has read older segments as they were, must read on up to it.
	Superseded int64
}

// AppendTo appends the ext.
func (o *Open) AppendTo(dst []byte) []byte {
	dst, at := beginTag(dst, tagLogID)
	dst = endTag(append(dst, o.LogID[:]...), at)
	dst, at = beginTag(dst, tagPartition)
	dst = endTag(binary.LittleEndian.AppendUint32(dst, o.Partition), at)
	if o.HasPrevious {
		dst, at = beginTag(dst, tagPrevious)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(o.PreviousBase))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(o.PreviousEnd))
		dst = endTag(append(dst, byte(o.Lost)), at)
	}
	if o.Superseded > 0 {
		dst, at = beginTag(dst, tagSuperseded)
		dst = endTag(binary.LittleEndian.AppendUint64(dst, uint64(o.Superseded)), at)
	}
	return dst
}

// Parse fills in o from the ext of h, the header of the unit at byte at. The error
// is an *InvalidError, or a *NewerError.
func (o *Open) Parse(at int64, h *Header) error {
	*o = Open{}
	id, has := findTag(h.Ext, tagLogID)
	if !has || len(id) != len(o.LogID) {
		return &InvalidError{At: at, Reason: "an OPEN without the id of its log"}
	}
	copy(o.LogID[:], id)
	partition, has := findTag(h.Ext, tagPartition)
	if !has || len(partition) != 4 {
		return &InvalidError{At: at, Reason: "an OPEN without its partition"}
	}
	o.Partition = binary.LittleEndian.Uint32(partition)
	if superseded, has := findTag(h.Ext, tagSuperseded); has {
		if len(superseded) != 8 || int64(binary.LittleEndian.Uint64(superseded)) < h.Base {
			return &InvalidError{At: at, Reason: "an OPEN superseded before it begins"}
		}
		o.Superseded = int64(binary.LittleEndian.Uint64(superseded))
	}
	previous, has := findTag(h.Ext, tagPrevious)
	if !has {
		return nil
	}
	impossible := &InvalidError{At: at, Reason: "an impossible segment before this one"}
	if len(previous) != 17 {
		return impossible
	}
	o.HasPrevious = true
	o.PreviousBase = int64(binary.LittleEndian.Uint64(previous))
	o.PreviousEnd = int64(binary.LittleEndian.Uint64(previous[8:]))
	o.Lost = Lost(previous[16])
	switch {
	case o.Lost > LostRepair:
		return &NewerError{At: at, What: fmt.Sprintf("reason %d of a gap", o.Lost)}
	case o.PreviousBase < 0 || o.PreviousEnd < o.PreviousBase || h.Base < o.PreviousEnd:
		return impossible
	}
	return nil
}
