package agg

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"

	"logtools/pkg/event"
)

// A value is encoded so that two values are equal (in SPEC's sense: their
// canonical JSON is) if and only if their bytes are:
//
//	byte     kind (event.Kind; Missing becomes Null)
//	bytes    string: its text; number, array, object: canonical JSON
//
// A group key is its columns one after the other, each but the last with its
// length (uvarint, kind byte included) in front.

// appendKey appends the key of a group.
func appendKey(dst []byte, keys []event.Value) []byte {
	if len(keys) == 0 {
		return dst
	}
	for i := range keys[:len(keys)-1] {
		// One byte of length is enough for nearly all values; make room for
		// more when it is not.
		at := len(dst)
		dst = appendEncoded(append(dst, 0), &keys[i])
		n := len(dst) - at - 1
		if n < 0x80 {
			dst[at] = byte(n)
			continue
		}
		var head [binary.MaxVarintLen64]byte
		k := binary.PutUvarint(head[:], uint64(n))
		dst = append(dst, head[1:k]...)
		copy(dst[at+k:], dst[at+1:at+1+n])
		copy(dst[at:], head[:k])
	}
	return appendEncoded(dst, &keys[len(keys)-1])
}

// setPlain is appendKey and set for the most frequent keys: one column, a short
// string as it stands.
func (k *shortKey) setPlain(keys []event.Value) bool {
	if len(keys) != 1 {
		return false
	}
	v := &keys[0]
	if v.Kind != event.String || v.Form == event.JSON || len(v.B) >= inlineKey {
		return false
	}
	*k = shortKey{}
	binary.LittleEndian.PutUint32(k[:], uint32(1+len(v.B)))
	k[4] = byte(event.String)
	copy(k[5:], v.B)
	return true
}

// appendEncoded appends one value.
func appendEncoded(dst []byte, v *event.Value) []byte {
	switch v.Kind {
	case event.String:
		dst = append(dst, byte(event.String))
		if v.Form != event.JSON {
			return append(dst, v.B...)
		}
		return v.AppendText(dst)
	case event.Number:
		return appendCanonicalNumber(append(dst, byte(event.Number)), v)
	case event.Missing, event.Null:
		return append(dst, byte(event.Null))
	case event.False, event.True:
		return append(dst, byte(v.Kind))
	}
	return v.AppendCanonical(append(dst, byte(v.Kind)))
}

// appendCanonicalNumber is Value.AppendCanonical without garbage for ordinary
// numbers.
func appendCanonicalNumber(dst []byte, v *event.Value) []byte {
	if v.Form == event.JSON {
		if _, ok := v.Int(); ok {
			return append(dst, v.B...)
		}
		if m, e, ok := parseSmall(v.B); ok {
			return number{m: m, e: e}.append(dst, false)
		}
	}
	return v.AppendCanonical(dst)
}

// decode returns the value that b encodes, as a view into b.
func decode(b []byte) event.Value {
	kind, rest := event.Kind(b[0]), b[1:]
	switch kind {
	case event.String:
		return event.TextValue(rest)
	case event.Number, event.Array, event.Object:
		return event.Value{Kind: kind, B: rest}
	}
	return event.Value{Kind: kind}
}

// decodeKey appends the n columns of a key.
func decodeKey(dst []event.Value, key []byte, n int) []event.Value {
	for i := range n {
		var col []byte
		col, key = cutColumn(key, i == n-1)
		dst = append(dst, decode(col))
	}
	return dst
}

func cutColumn(key []byte, last bool) (col, rest []byte) {
	if last {
		return key, nil
	}
	n, k := binary.Uvarint(key)
	return key[k : k+int(n)], key[k+int(n):]
}

// compareEncoded orders two encoded values as jq does.
func compareEncoded(a, b []byte) int {
	if a[0] != b[0] {
		return cmp.Compare(a[0], b[0])
	}
	if event.Kind(a[0]) == event.String {
		return bytes.Compare(a[1:], b[1:])
	}
	if bytes.Equal(a, b) {
		return 0
	}
	return event.Compare(decode(a), decode(b))
}

// compareKeys orders two keys of n columns, one column after the other.
func compareKeys(a, b []byte, n int) int {
	for i := range n {
		var x, y []byte
		x, a = cutColumn(a, i == n-1)
		y, b = cutColumn(b, i == n-1)
		if c := compareEncoded(x, y); c != 0 {
			return c
		}
	}
	return 0
}

// rank is a short stand-in for a value: where two ranks differ, the values
// differ in the same direction. Equal ranks say nothing.
type rank struct {
	kind event.Kind // never Missing
	ord  uint64
}

func (r rank) compare(s rank) int {
	if r.kind != s.kind {
		return cmp.Compare(r.kind, s.kind)
	}
	return cmp.Compare(r.ord, s.ord)
}

// rankOf ranks numbers by the nearest float64 and strings by their first eight
// bytes.
func rankOf(v *event.Value, scratch *[]byte) rank {
	switch v.Kind {
	case event.Missing:
		return rank{kind: event.Null}
	case event.Number:
		f, _ := v.Float64()
		return rank{event.Number, orderedFloat(f)}
	case event.String:
		var head [8]byte
		if v.Form == event.JSON {
			from := len(*scratch)
			copy(head[:], v.Text(scratch))
			*scratch = (*scratch)[:from]
		} else {
			copy(head[:], v.B)
		}
		return rank{event.String, binary.BigEndian.Uint64(head[:])}
	}
	return rank{kind: v.Kind}
}

// orderedFloat maps floats to integers in the same order; -0 is 0.
func orderedFloat(f float64) uint64 {
	b := math.Float64bits(f + 0)
	if b>>63 != 0 {
		return ^b
	}
	return b | 1<<63
}
