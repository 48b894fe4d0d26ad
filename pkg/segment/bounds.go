package segment

import (
	"encoding/binary"
	"math"

	"logtools/pkg/stream"
)

// Bounds are the earliest and the latest time of some events.
type Bounds struct{ Min, Max stream.Instant }

// NoBounds returns the bounds of no events.
func NoBounds() Bounds {
	return Bounds{
		Min: stream.Instant{Sec: math.MaxInt64, Nsec: 999_999_999},
		Max: stream.Instant{Sec: math.MinInt64},
	}
}

// Empty says that they are those of no events.
func (b Bounds) Empty() bool { return b.Max.Before(b.Min) }

// Add widens b so that it holds o, too.
func (b *Bounds) Add(o Bounds) {
	if o.Min.Before(b.Min) {
		b.Min = o.Min
	}
	if b.Max.Before(o.Max) {
		b.Max = o.Max
	}
}

const boundsLen = 24

func (b Bounds) appendTo(dst []byte) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint64(dst, uint64(b.Min.Sec))
	dst = le.AppendUint32(dst, uint32(b.Min.Nsec))
	dst = le.AppendUint64(dst, uint64(b.Max.Sec))
	return le.AppendUint32(dst, uint32(b.Max.Nsec))
}

// parse reads boundsLen bytes and reports whether they are bounds.
func (b *Bounds) parse(v []byte) bool {
	le := binary.LittleEndian
	minNsec, maxNsec := le.Uint32(v[8:]), le.Uint32(v[20:])
	b.Min = stream.Instant{Sec: int64(le.Uint64(v)), Nsec: int32(minNsec)}
	b.Max = stream.Instant{Sec: int64(le.Uint64(v[12:])), Nsec: int32(maxNsec)}
	return b.valid()
}

func (b *Bounds) valid() bool {
	return uint32(b.Min.Nsec) < 1e9 && uint32(b.Max.Nsec) < 1e9
}
