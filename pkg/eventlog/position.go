package eventlog

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"logtools/pkg/stream"
	"logtools/pkg/when"
)

// Position is a place in a partition, as people name it: see ParsePosition. The
// zero Position is the start.
type Position struct {
	kind positionKind
	n    int64 // offset, or events before the end
	at   stream.Instant
}

type positionKind uint8

const (
	posStart positionKind = iota
	posOffset
	posBack // n events before the end
	posTime // the first event that is not before at
)

// AtOffset returns the position of an offset, which is 0 or more.
func AtOffset(offset int64) Position { return Position{kind: posOffset, n: offset} }

// AtEnd returns the position behind the last event.
func AtEnd() Position { return Position{kind: posBack} }

// BeforeEnd returns the position n events before the end, or the start if there are
// fewer.
func BeforeEnd(n int64) Position { return Position{kind: posBack, n: max(n, 0)} }

// AtTime returns the position of the first event whose time is t or later.
func AtTime(t stream.Instant) Position { return Position{kind: posTime, at: t} }

// Time returns the time that AtTime was given; false for any other position.
func (p Position) Time() (t stream.Instant, ok bool) { return p.at, p.kind == posTime }

// String returns p as ParsePosition reads it.
func (p Position) String() string {
	switch p.kind {
	case posOffset:
		return strconv.FormatInt(p.n, 10)
	case posBack:
		if p.n == 0 {
			return "end"
		}
		return "-" + strconv.FormatInt(p.n, 10)
	case posTime:
		t := when.Time{Sec: p.at.Sec, Nsec: p.at.Nsec, Digits: 9}
		return "@" + t.String()
	}
	return "start"
}

// PositionError says that a text is no position.
type PositionError struct {
	Text   string
	Reason string
}

func (e *PositionError) Error() string { return fmt.Sprintf("position %q: %s", e.Text, e.Reason) }

// Hint says what is one.
func (e *PositionError) Hint() string {
	return "a position is start, end, an offset, -N (N events before the end) or @TIME, such as @-1h or @2026-03-14T12:00:00Z"
}

// ParsePosition reads a position in a partition:
//
//	start    the first event that is there
//	end      behind the last one
//	N        the offset N
//	-N       N events before the end
//	@TIME    the first offset whose event time is TIME or later; TIME is
//	         what when.ParsePoint takes
//
// The error is a *PositionError.
func ParsePosition(text string, now time.Time, zone *time.Location) (Position, error) {
	bad := func(reason string) (Position, error) { return Position{}, &PositionError{text, reason} }
	switch {
	case text == "start":
		return Position{}, nil
	case text == "end":
		return AtEnd(), nil
	case text == "":
		return bad("it is empty")
	case text[0] == '@':
		t, err := when.ParsePoint(text[1:], now, zone)
		if err != nil {
			return bad(err.Error())
		}
		return AtTime(stream.Instant{Sec: t.Sec, Nsec: t.Nsec}), nil
	}
	digits, back := text, text[0] == '-'
	if back {
		digits = text[1:]
	}
	if digits == "" {
		return bad("not a number")
	}
	n := int64(0)
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return bad("not a number")
		}
		if n > (math.MaxInt64-9)/10 {
			return bad("the number is too large")
		}
		n = 10*n + int64(c-'0')
	}
	if back {
		return BeforeEnd(n), nil
	}
	return AtOffset(n), nil
}
