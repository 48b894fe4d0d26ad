package render

import (
	"bytes"

	"logtools/pkg/event"
)

// Out is an event to be written as a new one. A member that is Missing or null
// is left out; of Value, Missing is written as null. The members must have the
// types that events have; they are only read, not kept.
type Out struct {
	Log, Partition, Offset, Time, Key, Headers, Src, Value event.Value
}

// AppendEvent appends o as one event in the uniform line format (-o event).
//
// An event that has nothing but a value is written as that value alone, unless
// a reader would take that for an event, or refuse it as reserved: then it is
// written as {"value":…}. Either way reading it gives o again.
func AppendEvent(dst []byte, o *Out) []byte {
	start := len(dst)
	dst = appendMember(dst, `,"log":`, o.Log)
	dst = appendMember(dst, `,"partition":`, o.Partition)
	dst = appendMember(dst, `,"offset":`, o.Offset)
	dst = appendMember(dst, `,"time":`, o.Time)
	dst = appendMember(dst, `,"key":`, o.Key)
	dst = appendMember(dst, `,"headers":`, o.Headers)
	dst = appendMember(dst, `,"src":`, o.Src)
	if len(dst) == start {
		if !looksLikeEvent(o.Value) {
			return o.Value.AppendJSON(dst)
		}
		dst = append(dst, `{"value":`...)
	} else {
		dst[start] = '{'
		dst = append(dst, `,"value":`...)
	}
	dst = o.Value.AppendJSON(dst)
	return append(dst, '}')
}

func appendMember(dst []byte, name string, v event.Value) []byte {
	if v.IsNull() {
		return dst
	}
	dst = append(dst, name...)
	return v.AppendJSON(dst)
}

var (
	nameEnd       = []byte(`value"`)
	unicodeEscape = []byte(`\u`)
)

// looksLikeEvent says whether a reader would take v, alone on a line, for an
// event or refuse it as reserved.
func looksLikeEvent(v event.Value) bool {
	// Most values have no member "value" at any depth, and then nothing has to be
	// walked over. Its letters can be spelled differently only with \u. (Looking
	// for a v takes less than looking for a quote: quotes are everywhere.)
	if v.Kind != event.Object || !bytes.Contains(v.B, nameEnd) && !bytes.Contains(v.B, unicodeEscape) {
		return false
	}
	return event.Classify(v) != event.IsBare
}
