package segment

import (
	"encoding/binary"
	"errors"
	"io"
)

// Seal is the ext of a SEAL: what lies before it in the file.
type Seal struct {
	// Units, Events and Raw are totals: the units before the SEAL, their lines,
	// and the bytes of these.
	Units, Events, Raw int64
	// Span is that of all units before the SEAL.
	Span
	// Index is the places in the file. The last one is the SEAL's own.
	Index Index
}

// totalsLen is the length of the value of tagTotals.
const totalsLen = 3*8 + boundsLen + 2*8

// AppendTo appends the ext. An index that would not fit is thinned out.
func (s *Seal) AppendTo(dst []byte) []byte {
	le := binary.LittleEndian
	at := len(dst)
	dst, tag := beginTag(dst, tagTotals)
	dst = le.AppendUint64(dst, uint64(s.Units))
	dst = le.AppendUint64(dst, uint64(s.Events))
	dst = le.AppendUint64(dst, uint64(s.Raw))
	dst = s.Times.appendTo(dst)
	dst = le.AppendUint64(dst, uint64(s.First))
	dst = le.AppendUint64(dst, uint64(s.Last))
	dst = endTag(dst, tag)

	const end = tagHead + 4
	for x := s.Index; ; x = x.thin() {
		dst, tag = beginTag(dst, tagIndex)
		dst = x.appendTo(dst)
		if len(dst)-at+end <= MaxExt {
			break
		}
		dst = dst[:tag]
	}
	dst = endTag(dst, tag)
	dst, tag = beginTag(dst, tagEnd)
	dst = le.AppendUint32(dst, uint32(HeaderLen+len(dst)+4-at))
	return endTag(dst, tag)
}

// Parse fills in s from the ext of h, the header of the unit at byte at. The error
// is an *InvalidError.
func (s *Seal) Parse(at int64, h *Header) error {
	le := binary.LittleEndian
	*s = Seal{Index: s.Index[:0]}
	v, has := findTag(h.Ext, tagTotals)
	if !has || len(v) != totalsLen || !s.Times.parse(v[24:]) {
		return &InvalidError{At: at, Reason: "a SEAL without totals"}
	}
	s.Units, s.Events, s.Raw = int64(le.Uint64(v)), int64(le.Uint64(v[8:])), int64(le.Uint64(v[16:]))
	s.First, s.Last = int64(le.Uint64(v[24+boundsLen:])), int64(le.Uint64(v[32+boundsLen:]))
	v, has = findTag(h.Ext, tagIndex)
	ok := has && s.Units >= 0 && s.Events >= 0 && s.Raw >= 0
	if ok {
		s.Index, ok = s.Index.parse(v)
	}
	if n := len(s.Index); !ok || n > 0 && (s.Index[n-1].At != at || s.Index[n-1].Base != h.Base) {
		return &InvalidError{At: at, Reason: "a SEAL with an impossible index"}
	}
	return nil
}

// thin returns an index with every second entry left out.
func (x Index) thin() Index {
	out := make(Index, 0, (len(x)+1)/2)
	for i := 0; i < len(x); i += 2 {
		e := x[i]
		if i+1 < len(x) {
			span, from := e.Span, e.From
			span.add(x[i+1].Span)
			e = x[i+1]
			e.From, e.Span = from, span
		}
		out = append(out, e)
	}
	return out
}

// appendTo appends the index of a SEAL: per entry varints, what has been added
// since the entry before: bytes of the file, offsets, units, events, bytes of the
// lines; then, with signs, the seconds of the earliest event time since that of
// the entry before, and those of the latest since it; the nanoseconds of both;
// with signs, the first append since the last one of the entry before, and the last
// one since it. The base of the first entry counts from 0.
func (x Index) appendTo(dst []byte) []byte {
	last := Entry{}
	for i := range x {
		e := &x[i]
		for _, v := range [...]int64{e.At - e.From, e.Base - last.Base, e.Units - last.Units, e.Events - last.Events, e.Raw - last.Raw} {
			dst = binary.AppendUvarint(dst, uint64(v))
		}
		dst = binary.AppendVarint(dst, e.Times.Min.Sec-last.Times.Min.Sec)
		dst = binary.AppendVarint(dst, e.Times.Max.Sec-e.Times.Min.Sec)
		dst = binary.AppendUvarint(dst, uint64(e.Times.Min.Nsec))
		dst = binary.AppendUvarint(dst, uint64(e.Times.Max.Nsec))
		dst = binary.AppendVarint(dst, e.First-last.Last)
		dst = binary.AppendVarint(dst, e.Last-e.First)
		last = *e
	}
	return dst
}

// parse appends the entries in v, which appendTo wrote, to x. Differences wrap as
// they did when they were written.
func (x Index) parse(v []byte) (Index, bool) {
	last := Entry{}
	for len(v) > 0 {
		var d [5]int64
		var ok bool
		for i := range d {
			if d[i], v, ok = uvarint(v); !ok {
				return x, false
			}
		}
		e := Entry{
			From: last.At, At: last.At + d[0],
			Base: last.Base + d[1], Units: last.Units + d[2], Events: last.Events + d[3], Raw: last.Raw + d[4],
		}
		var s [6]int64
		for i := range s {
			var n int
			if i == 2 || i == 3 {
				var u uint64
				u, n = binary.Uvarint(v)
				if u >= 1e9 {
					return x, false
				}
				s[i] = int64(u)
			} else {
				s[i], n = binary.Varint(v)
			}
			if n <= 0 {
				return x, false
			}
			v = v[n:]
		}
		e.Times.Min.Sec = last.Times.Min.Sec + s[0]
		e.Times.Max.Sec = e.Times.Min.Sec + s[1]
		e.Times.Min.Nsec, e.Times.Max.Nsec = int32(s[2]), int32(s[3])
		e.First = last.Last + s[4]
		e.Last = e.First + s[5]
		if !e.follows(&last) {
			return x, false
		}
		x = append(x, e)
		last = e
	}
	return x, true
}

// sealTail is how much of a file's end ReadSeal reads at first: enough for the
// SEAL of a segment of the usual size.
const sealTail = 8 << 10

// ReadSeal reads the SEAL of a file of size bytes from its end, and returns the
// byte at which it begins, or -1 if the file does not end with a sound one. That it
// is of this file (its SegmentID) is for the caller to check. The error is that of
// r, or a *NewerError.
func ReadSeal(r io.ReaderAt, size int64, h *Header, s *Seal) (at int64, err error) {
	const endLen = tagHead + 4
	if size < HeaderLen+endLen {
		return -1, nil
	}
	w := window{r: r, size: size}
	tail := int(min(size, sealTail))
	b, err := w.get(size-int64(tail), tail, 0)
	if err != nil {
		return -1, err
	}
	b = b[len(b)-endLen:]
	n := int64(binary.LittleEndian.Uint32(b[tagHead:]))
	if string(b[:tagHead]) != string([]byte{tagEnd, 4, 0, 0}) || n > size || n < HeaderLen || n > HeaderLen+MaxExt {
		return -1, nil
	}
	at = size - n
	if err = w.header(at, h, int(n)); err == nil {
		if h.Kind != KindSeal || h.Size() != n {
			return -1, nil
		}
		err = s.Parse(at, h)
	}
	var invalid *InvalidError
	switch {
	case errors.As(err, &invalid):
		return -1, nil
	case err != nil:
		return -1, err
	}
	return at, nil
}
