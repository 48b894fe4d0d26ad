package scan

import (
	"bytes"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/expr"
	"logtools/pkg/parse"
	"logtools/pkg/when"
)

// Query is what every reader does with an event before its own operator sees
// it, in this order: -t, -k, -S/-U, -w. It is fixed once the run begins and
// shared by all workers.
type Query struct {
	// Fields collects the members that all programs of the run read. The
	// operator's programs add theirs before Run.
	Fields event.Fields
	// Time, Key and Where are the programs of -t, -k and -w; nil if not given. A
	// tombstone of which Key makes none keeps the key that it came with.
	Time, Key, Where *expr.Program
	// Since is inclusive, Until exclusive; nil if not given.
	Since, Until *when.Time
	// OnlyKey is the key of the only events that pass, as canonical JSON; nil: any.
	// It is the key that an event came with, whatever Key makes of it.
	OnlyKey []byte
	// NeedTime: the operator's programs read $time.
	NeedTime bool
	// Zone holds for times without one; nil is UTC.
	Zone *time.Location

	timeSlots []int
	// instant: the time of each event must be known, at least to us (NeedTime:
	// as text).
	instant bool
	trivial bool // nothing to do
	// Whether there were events with and without a time, if NeedTime.
	timed, untimed bool
}

// guessed are the members in which an event's time is looked for if it has
// none of its own.
var guessed = []string{"time", "timestamp", "ts", "@timestamp"}

// needsTime says whether the time of each event must be known, and prepares
// for finding it. It is called once, before the workers start.
func (q *Query) prepare() {
	for _, p := range []*expr.Program{q.Time, q.Key, q.Where} {
		if p != nil && p.UsesTime() {
			q.NeedTime = true
		}
	}
	if q.NeedTime || q.Since != nil || q.Until != nil {
		q.instant = true
	}
	q.trivial = q.Time == nil && q.Key == nil && q.Where == nil && q.OnlyKey == nil && !q.instant
	q.timeSlots = q.timeSlots[:0]
	if q.instant && (q.Time == nil || q.Time.UsesTime()) {
		for _, name := range guessed {
			q.timeSlots = append(q.timeSlots, q.Fields.Add(name))
		}
	}
}

// NoTime says, after a run, that programs read $time and no event had one.
func (q *Query) NoTime() bool { return q.untimed && !q.timed }

// note takes note of what a worker has seen. The run has ended.
func (q *Query) note(s *stage) {
	q.timed = q.timed || s.timed
	q.untimed = q.untimed || s.untimed
}

// Item is one event that passed the Query's filters.
type Item struct {
	*event.Event
	// Changed: -t or -k changed the event, so that its line no longer is what
	// it is written as.
	Changed bool
	// OwnTime: Event.Time is the event's own, to be written out, and not one
	// that was found in its value for the programs to use.
	OwnTime bool
	// InLog: the event comes from a log, and has its name and position there. Its
	// name is for programs; whether it is written out is for the operator to say.
	InLog bool
	// Seq orders all events of the input.
	Seq uint64

	line int64
	log  *logLines // nil: not InLog
}

// LineInBlock is the number of the event's line in its block, from 0. It is less
// than 0 for an event that begins in an earlier block. In a log it is how many
// offsets the event lies behind the first of its block.
func (it *Item) LineInBlock() int64 {
	if it.log != nil {
		return it.log.pos.Offset(it.line) - it.log.pos.Base
	}
	return it.line
}

// stage is a Query at work for one worker.
type stage struct {
	q      *Query
	runner *expr.Runner
	item   Item
	at     when.Time // the event's time, if hasTime
	has    bool
	buf    []byte
	key    []byte
	// Query.timed and untimed, of this worker's events.
	timed, untimed bool
}

var errNoTime = &event.BadError{Reason: "no time", Hint: "say where the time is, for example -t .time"}

// apply runs the query on an event that was just parsed by p.
func (s *stage) apply(ev *event.Event, p parse.Parser) (pass bool, err error) {
	q := s.q
	s.runner.Reset()
	if q.trivial && (ev.Time.Kind == event.Missing || s.item.log != nil && s.item.log.settled) {
		s.item.OwnTime = s.item.log != nil
		return true, nil
	}
	if q.OnlyKey != nil && !s.isOnlyKey(ev.Key) {
		return false, nil
	}
	s.buf = s.buf[:0]
	s.item.Changed, s.item.OwnTime, s.has = false, false, false
	if l := s.item.log; l != nil && !l.own {
		s.item.OwnTime, s.at, s.has = true, l.at, true
	} else if ev.Time.Kind != event.Missing {
		s.item.OwnTime = true
		b := ev.Time.B
		if ev.Time.Form == event.JSON {
			b = ev.Time.AppendText(nil)
		}
		if s.at, s.has = when.Parse(b, nil); !s.has {
			return false, &event.BadError{
				Reason: "time " + event.Clip(string(ev.Time.AppendJSON(nil))) + " is not RFC 3339",
				Hint:   "-i value takes such lines as values, with no time of their own",
			}
		}
		if b[len(b)-1] != 'Z' || b[10] != 'T' || b[19] == ',' || ev.Time.Form == event.JSON {
			s.setTime(ev)
		}
	}
	if q.instant || q.Time != nil {
		if err := s.findTime(ev, p); err != nil {
			return false, err
		}
	}
	if q.NeedTime {
		s.timed = s.timed || s.has
		s.untimed = s.untimed || !s.has
	}
	if q.Key != nil {
		k, err := q.Key.One(s.runner, ev)
		switch {
		case (err != nil || k.IsNull()) && ev.Tombstone(): // it has no value to make a key of
		case err != nil:
			return false, &event.BadError{Reason: "key: " + err.Error()}
		default:
			if k.Kind == event.Null {
				k = event.Value{}
			}
			ev.SetKey(k)
			s.item.Changed = true
		}
	}
	if q.Since != nil || q.Until != nil {
		if !s.has {
			return false, errNoTime
		}
		if q.Since != nil && s.at.Compare(*q.Since) < 0 || q.Until != nil && s.at.Compare(*q.Until) >= 0 {
			return false, nil
		}
	}
	if q.Where != nil {
		return q.Where.Test(s.runner, ev)
	}
	return true, nil
}

// isOnlyKey says whether a key is that of Query.OnlyKey.
func (s *stage) isOnlyKey(key event.Value) bool {
	if key.Kind == event.Missing {
		return false
	}
	s.key = key.AppendCanonical(s.key[:0])
	return bytes.Equal(s.key, s.q.OnlyKey)
}

// findTime makes ev.Time the event's time in UTC: that of -t, its own, the
// format's, or a guessed member's. The program of -t sees what would be the time
// without it: -t '$time' makes that the event's own.
func (s *stage) findTime(ev *event.Event, p parse.Parser) error {
	q := s.q
	if !s.has && (q.Time == nil || q.Time.UsesTime()) {
		if s.lookForTime(ev, p); s.has && (q.NeedTime || q.Time != nil) {
			s.setTime(ev) // only if asked for: it takes as long as parsing a line
		}
	}
	if q.Time == nil {
		return nil
	}
	v, err := q.Time.One(s.runner, ev)
	if err != nil {
		return &event.BadError{Reason: "time: " + err.Error()}
	}
	s.item.Changed = true
	if v.IsNull() {
		s.has, s.item.OwnTime = false, false
		ev.SetTime(event.Value{})
		return nil
	}
	if s.at, s.has = s.timeOf(v); !s.has {
		return event.Bad("time: %s is not a time", event.Clip(string(v.AppendJSON(nil))))
	}
	s.item.OwnTime = true
	s.setTime(ev)
	return nil
}

// lookForTime looks for the time of an event that has none of its own.
func (s *stage) lookForTime(ev *event.Event, p parse.Parser) {
	if s.at, s.has = p.Time(); s.has {
		return
	}
	for _, slot := range s.q.timeSlots {
		if s.at, s.has = s.timeOf(ev.Slots[slot]); s.has {
			return
		}
	}
}

// setTime makes s.at the event's time, in UTC.
func (s *stage) setTime(ev *event.Event) {
	n := len(s.buf)
	s.buf = s.at.AppendRFC3339(s.buf)
	ev.SetTime(event.PlainValue(s.buf[n:len(s.buf):len(s.buf)]))
}

// timeOf reads text as when.Parse does, or a Unix number.
func (s *stage) timeOf(v event.Value) (when.Time, bool) {
	switch v.Kind {
	case event.String:
		if v.Form == event.JSON {
			return when.Parse(v.AppendText(nil), s.q.zone())
		}
		return when.Parse(v.B, s.q.zone())
	case event.Number:
		if v.Form != event.JSON {
			return when.FromUnix(v.AppendJSON(nil))
		}
		return when.FromUnix(v.B)
	}
	return when.Time{}, false
}

func (q *Query) zone() *time.Location {
	if q.Zone == nil {
		return time.UTC
	}
	return q.Zone
}
