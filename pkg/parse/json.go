package parse

import (
	"logtools/pkg/event"
	"logtools/pkg/when"
)

// jsonParser is event.Reader in the clothes of a Parser.
type jsonParser struct{ r *event.Reader }

func newJSON(m event.Mode) func(Options) Parser {
	return func(o Options) Parser { return jsonParser{event.NewReader(o.fields(), m)} }
}

func (p jsonParser) Block(c event.Clean) { p.r.Block(c) }

func (p jsonParser) Parse(line []byte, ev *event.Event) error { return p.r.Read(line, ev) }

// Time is false: an event's time is a member of it, and a bare value has none
// of its own.
func (p jsonParser) Time() (when.Time, bool) { return when.Time{}, false }
