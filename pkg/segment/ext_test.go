package segment

import (
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"testing"

	"logtools/pkg/stream"
)

func TestBatchExt(t *testing.T) {
	times := Bounds{stream.Instant{Sec: -5, Nsec: 1}, stream.Instant{Sec: math.MaxInt64, Nsec: 999_999_999}}
	h := Header{Kind: KindBatch, Base: 100, Next: 200, Count: 4, First: -50, Last: 50}
	for name, b := range map[string]Batch{
		"plain":    {Times: times},
		"offsets":  {Times: times, Offsets: []int64{100, 101, 150, 199}},
		"gap":      {Times: times, Offsets: []int64{196, 197, 198, 199}},
		"alone":    {Times: times, Offsets: []int64{100, 102, 104, 199}},
		"runs":     {Times: times, Offsets: []int64{101, 102, 198, 199}},
		"last run": {Times: times, Offsets: []int64{110, 197, 198, 199}},
		"appended": {Times: times, Appended: []stream.TimeRun{{Lines: 1, Appended: -50}, {Lines: 3, Appended: 50}}},
		"all":      {Times: times, Offsets: []int64{100, 102, 104, 106}, Appended: []stream.TimeRun{{Lines: 4, Appended: 0}}},
	} {
		h.Ext = b.AppendTo(nil, &h)
		got := Batch{Offsets: []int64{7}, Appended: []stream.TimeRun{{Lines: 1}}}
		if err := got.Parse(0, &h); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(got.Offsets) == 0 {
			got.Offsets = nil
		}
		if len(got.Appended) == 0 {
			got.Appended = nil
		}
		if !reflect.DeepEqual(got, b) {
			t.Errorf("%s: %+v, want %+v", name, got, b)
		}
	}

	good := Batch{Times: times}
	ext := func(tag byte, v ...uint64) []byte {
		dst, at := beginTag(good.AppendTo(nil, &h), tag)
		for _, v := range v {
			dst = binary.AppendUvarint(dst, v)
		}
		return endTag(dst, at)
	}
	none := Batch{Times: NoBounds()}
	for name, ext := range map[string][]byte{
		"no times":           nil,
		"times of none":      none.AppendTo(nil, &h),
		"short times":        {tagTimes, 1, 0, 0, 0},
		"nanoseconds":        append([]byte{tagTimes, 24, 0, 0}, Bounds{Max: stream.Instant{Sec: 1, Nsec: 1e9}}.appendTo(nil)...),
		"few offsets":        ext(tagOffsets, 0, 0, 0),
		"many offsets":       ext(tagOffsets, 0, 0, 0, 0, 0),
		"half an offset run": ext(tagOffsets, 0, 0, 1),
		"long run":           ext(tagOffsets, 0, 1, 2),
		"huge run":           ext(tagOffsets, 0, 1, math.MaxInt64),
		"run beyond":         ext(tagOffsets, 195, 3),
		"offset beyond":      ext(tagOffsets, 0, 0, 0, 97<<1),
		"offset at the end":  ext(tagOffsets, 97<<1, 0, 0, 0),
		"offset overflow":    ext(tagOffsets, 0, math.MaxInt64<<1, 0, 0),
		"offset huge":        ext(tagOffsets, 0, math.MaxUint64, 0, 0),
		"few runs":           ext(tagAppended, 3, 0),
		"many runs":          ext(tagAppended, 3, 0, 2, 0),
		"empty run":          ext(tagAppended, 0, 0, 4, 0),
		"half a run":         ext(tagAppended, 4),
		"late":               ext(tagAppended, 4, 101),
	} {
		h.Ext = ext
		var invalid *InvalidError
		if err := new(Batch).Parse(9, &h); !errors.As(err, &invalid) || invalid.At != 9 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpenExt(t *testing.T) {
	h := Header{Kind: KindOpen, SegmentID: 1, Base: 100, Next: 100}
	id := [16]byte{1, 15: 9}
	for name, o := range map[string]Open{
		"first":  {LogID: id, Partition: 4_000_000_000},
		"second": {LogID: id, HasPrevious: true, PreviousBase: 0, PreviousEnd: 100},
		"gap":    {LogID: id, HasPrevious: true, PreviousBase: 10, PreviousEnd: 90, Lost: LostDamage},
		"newer":  {LogID: id, Superseded: 100},
		"newest": {LogID: id, HasPrevious: true, PreviousBase: 10, PreviousEnd: 10, Superseded: 1 << 62},
		"repair": {LogID: id, HasPrevious: true, PreviousBase: 10, PreviousEnd: 10, Lost: LostRepair},
	} {
		h.Ext = o.AppendTo(nil)
		var got Open
		if _, err := h.AppendTo(nil); err != nil {
			t.Fatal(err)
		}
		if err := got.Parse(0, &h); err != nil || got != o {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for name, o := range map[string]Open{
		"end before base": {HasPrevious: true, PreviousBase: 20, PreviousEnd: 10},
		"end behind":      {HasPrevious: true, PreviousBase: 20, PreviousEnd: 101},
		"superseded":      {Superseded: 99},
		"negative":        {HasPrevious: true, PreviousBase: -1, PreviousEnd: 100},
	} {
		h.Ext = o.AppendTo(nil)
		var invalid *InvalidError
		if err := new(Open).Parse(0, &h); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	newer := Open{HasPrevious: true, PreviousEnd: 100, Lost: 4}
	h.Ext = newer.AppendTo(nil)
	var e *NewerError
	if err := new(Open).Parse(3, &h); !errors.As(err, &e) || e.At != 3 {
		t.Error(err)
	}
	for _, ext := range [][]byte{nil, {tagLogID, 1, 0, 0, 0}, newer.AppendTo(nil)[:20]} {
		h.Ext = ext
		if err := new(Open).Parse(0, &h); err == nil {
			t.Errorf("% x is taken", ext)
		}
	}
}
