package event

import "encoding/binary"

// Mode says which lines a Reader takes.
type Mode uint8

const (
	// Auto takes events and bare values.
	Auto Mode = iota
	// EventsOnly takes events; any other line is bad.
	EventsOnly
	// ValuesOnly takes every line as a bare value.
	ValuesOnly
)

// Reader parses JSON lines: it checks the whole line, tells events from bare
// values, and finds the members that Fields asked for. One Reader serves one
// worker.
//
// It is fast because it expects the next line to be laid out like the ones
// before (see shape); a line that is not costs a little more and teaches it
// the new layout. Either way every byte is checked.
type Reader struct {
	mode   Mode
	clean  Clean
	simple bool // strings of the block hold neither backslashes nor controls

	marks  Marks // of the line in hand, if marked
	marked bool

	bare, env *shape // the line as a bare value; as an event
	wasEvent  bool   // the last line was an event: try that first

	ev    *Event
	seen  flags
	fault fault
	end   int // of the line, for quick
	depth int
	nodes int // learned so far, over all shapes
}

// NewReader returns a Reader for lines whose members f are asked for.
func NewReader(f *Fields, m Mode) *Reader {
	r := &Reader{mode: m, wasEvent: m == EventsOnly}
	r.bare = newShape(&f.root, false)
	r.bare.addMembers()
	r.env = newShape(nil, true)
	r.env.addMembers()
	r.env.nodes[nodeKey{"value", false}].sub = newShape(&f.root, false)
	return r
}

// Block tells what is known of the lines that follow.
func (r *Reader) Block(c Clean) {
	r.clean = c
	r.simple = c.NoControl && c.NoBackslash
}

// Read parses one line (without its line end) into ev, which has been Reset
// for this Reader's fields. The error is a *BadError.
func (r *Reader) Read(line []byte, ev *Event) error {
	ev.Line = line
	r.ev = ev
	if r.marked = r.clean.NoControl; r.marked {
		r.marks, r.marked = r.clean.Marks(line)
	}
	if !r.clean.UTF8 {
		if k := validUTF8(line); k >= 0 {
			return &BadError{Reason: "invalid UTF-8", Column: k + 1}
		}
	}
	i := skipSpace(line, 0)
	if i >= len(line) || line[i] != '{' {
		return r.readScalar(line, i)
	}
	if r.wasEvent {
		end := r.top(r.env, line, i)
		if end < 0 {
			return r.fault.err()
		}
		if r.seen&notEnvelope == 0 && ev.envelopeFits() {
			ev.AsIs = true
			return nil
		}
		if r.mode == EventsOnly {
			return Bad("not an event")
		}
		r.wasEvent = false
		ev.clear()
	}
	end := r.top(r.bare, line, i)
	if end < 0 {
		return r.fault.err()
	}
	if r.seen&hasValue != 0 && r.mode == Auto {
		if r.seen&hasDollar != 0 {
			return Bad("an object with value and a member that begins with $ is reserved")
		}
		if r.seen&notEnvelope == 0 {
			// All names fit. Do the types?
			ev.clear()
			r.top(r.env, line, i)
			if ev.envelopeFits() {
				r.wasEvent = true
				ev.AsIs = true
				return nil
			}
			ev.clear()
			r.top(r.bare, line, i)
		}
	}
	ev.Bare = true
	ev.value = Value{Kind: Object, B: line[i:end]}
	// A bare value may have value among its members (-i value takes any).
	ev.AsIs = r.seen&hasValue == 0 || Classify(ev.value) == IsBare
	return nil
}

func (r *Reader) readScalar(line []byte, i int) error {
	end := r.fault.value(line, i, 0)
	if end < 0 || r.fault.end(line, end) < 0 {
		return r.fault.err()
	}
	if r.mode == EventsOnly {
		return Bad("not an event")
	}
	r.ev.Bare, r.ev.AsIs = true, true
	r.ev.value = RawValue(line[i:end])
	return nil
}

// top parses the object that is the whole line.
func (r *Reader) top(s *shape, line []byte, i int) int {
	end := -1
	if r.depth = 0; r.marked {
		r.end = len(line)
		if end = r.quick(s, line[:cap(line)], i); end > len(line) {
			end = -1
		}
	}
	if end < 0 {
		r.depth = 0
		end = r.object(s, line, i)
	}
	if end >= 0 && end < len(line) && r.fault.end(line, end) < 0 {
		return -1
	}
	return end
}

// clear takes back what an attempt to read the line has filled in.
func (ev *Event) clear() {
	line := ev.Line
	ev.Reset(len(ev.Slots))
	ev.Line = line
}

// envelopeFits says whether the members found have the types of an event's,
// and value is among them.
func (ev *Event) envelopeFits() bool {
	return ev.value.Kind != Missing &&
		(ev.Log.Kind == Missing || ev.Log.Kind == String) &&
		isPosition(ev.Partition) && isPosition(ev.Offset) &&
		(ev.Time.Kind == Missing || ev.Time.Kind == String) &&
		ev.Key.Kind != Null &&
		(ev.Headers.Kind == Missing || isHeaders(ev.Headers)) &&
		(ev.Src.Kind == Missing || isSrc(ev.Src))
}

func isPosition(v Value) bool {
	if v.Kind == Missing {
		return true
	}
	n, ok := v.Int()
	return ok && n >= 0
}

func isHeaders(v Value) bool {
	if v.Kind != Object {
		return false
	}
	for it := v.Members(); it.Next(); {
		switch it.Value.Kind {
		case String:
		case Array:
			for el := it.Value.Elements(); el.Next(); {
				if el.Value.Kind != String {
					return false
				}
			}
		default:
			return false
		}
	}
	return true
}

func isSrc(v Value) bool {
	if v.Kind != Object {
		return false
	}
	n := 0
	for it := v.Members(); it.Next(); n++ {
		if !isPosition(it.Value) {
			return false
		}
	}
	return n == 1
}

// Class says how a line that holds just this value would be read.
type Class uint8

const (
	IsBare     Class = iota // as a bare value
	IsEvent                 // as an event
	IsReserved              // not at all: a bad line
)

// Classify says how a line that consists of v would be read back.
func Classify(v Value) Class {
	if v.Kind != Object {
		return IsBare
	}
	var ev Event
	var seen flags
	for it := v.Members(); it.Next(); {
		name := it.Name.B
		if it.Name.Form == JSON {
			name = appendUnescaped(nil, name)
		}
		m, f := memberOf(name)
		seen |= f
		if m != noMember {
			*ev.member(m) = it.Value
		}
	}
	switch {
	case seen&hasValue == 0:
		return IsBare
	case seen&hasDollar != 0:
		return IsReserved
	case seen&notEnvelope == 0 && ev.envelopeFits():
		return IsEvent
	}
	return IsBare
}

// flags say which kinds of member names an object has.
type flags uint8

const (
	hasValue    flags = 1 << iota // "value"
	hasDollar                     // one that begins with $
	notEnvelope                   // one that no event has
)

// member is a member of the envelope.
type member uint8

const (
	noMember member = iota
	mLog
	mPartition
	mOffset
	mTime
	mKey
	mHeaders
	mSrc
	mValue
)

// Members are the names of an event's members, in the order in which they are
// written.
var Members = [...]string{"log", "partition", "offset", "time", "key", "headers", "src", "value"}

func memberOf(name []byte) (member, flags) {
	for i, n := range Members {
		if n == string(name) {
			if n == "value" {
				return mValue, hasValue
			}
			return member(i + 1), 0
		}
	}
	if len(name) > 0 && name[0] == '$' {
		return noMember, hasDollar | notEnvelope
	}
	return noMember, notEnvelope
}

// member returns where a member of the envelope is kept.
func (ev *Event) member(m member) *Value {
	ev.enveloped = true
	switch m {
	case mLog:
		return &ev.Log
	case mPartition:
		return &ev.Partition
	case mOffset:
		return &ev.Offset
	case mTime:
		return &ev.Time
	case mKey:
		return &ev.Key
	case mHeaders:
		return &ev.Headers
	case mSrc:
		return &ev.Src
	}
	return &ev.value
}

// object parses the object whose brace is at i and returns the index after it,
// or -1.
func (r *Reader) object(s *shape, b []byte, i int) int {
	n := s.root
	var seen flags
next:
	for {
		head := word(b, i)
		if n.index != nil {
			if e := n.find(head, b, i); e != nil {
				i += len(e.text)
				n = e.to
				goto found
			}
		} else if e := &n.first; e.text != "" {
			if e.fits(head, b, i) {
				i += len(e.text)
				n = e.to
				goto found
			}
			for k := range n.edges[1:] {
				if e := &n.edges[k+1]; e.fits(head, b, i) {
					i += len(e.text)
					n = e.to
					goto found
				}
			}
		}
		n, i = r.learn(s, n, b, i)
	found:
		if n == nil {
			r.seen = seen // the outermost object comes last
			return i
		}
		seen |= n.flags
		start := i
		if n.str {
			escaped := false
			if r.marked {
				if i < len(b) {
					i = r.marks.Next(i)
				}
				if i >= len(b) {
					return r.fault.set("unterminated string", len(b))
				}
				if b[i] == '\\' {
					escaped = true
					if i = r.fault.str(b, i); i < 0 {
						return -1
					}
					i--
				}
			} else if r.simple {
				for i+8 <= len(b) {
					if m := quoteIn(binary.LittleEndian.Uint64(b[i:])); m != 0 {
						i += firstByte(m)
						goto quote
					}
					i += 8
				}
				for i < len(b) && b[i] != '"' {
					i++
				}
				if i >= len(b) {
					return r.fault.set("unterminated string", len(b))
				}
			} else {
				if i = r.fault.str(b, i); i < 0 {
					return -1
				}
				i--
				escaped = true // perhaps
			}
		quote:
			if n.used {
				v := r.place(n)
				v.Kind, v.Form, v.B = String, Plain, b[start:i:i]
				if escaped && hasBackslash(v.B) {
					v.Form = JSON
				}
			}
			continue next
		}
		if i < len(b) && b[i] <= ' ' {
			// The remembered text ends right at the colon, this line has a
			// space behind it.
			i = skipSpace(b, i)
			start = i
		}
		if i >= len(b) {
			return r.fault.unexpected(b, i, "a value")
		}
		switch c := b[i]; {
		case c-'1' <= 8: // a digit from 1 to 9
			for i++; i < len(b) && b[i]-'0' <= 9; i++ {
			}
			if i < len(b) && (b[i] == '.' || b[i]|0x20 == 'e') {
				i = r.fault.number(b, start)
			}
		case c == '{':
			i = r.subObject(n, b, i, false)
		default:
			i = r.fault.value(b, i, r.depth+1)
		}
		if i < 0 {
			return -1
		}
		if n.used {
			r.keep(n, b[start:i:i])
		}
	}
}

// subObject parses the object that is n's value, with quick or with object.
func (r *Reader) subObject(n *node, b []byte, i int, quick bool) int {
	if n.sub == nil {
		if quick {
			return -1
		}
		wanted := n.deep
		if !wanted && (r.depth+1 >= maxShapes || r.nodes >= maxNodes) {
			return r.fault.value(b, i, r.depth+1)
		}
		r.nodes++
		n.sub = newShape(n.want, false)
	}
	// What an earlier member of the same name has left is void.
	if n.env == mValue {
		clear(r.ev.Slots)
	} else if n.want != nil {
		r.forget(n.want)
	}
	r.depth++
	if quick {
		i = r.quick(n.sub, b, i)
	} else {
		i = r.object(n.sub, b, i)
	}
	r.depth--
	return i
}

// place returns where n's value, which is no object, is kept. (Values are
// written field by field: to copy a whole one costs more than to find it.)
func (r *Reader) place(n *node) *Value {
	if n.env != noMember {
		if n.env == mValue {
			clear(r.ev.Slots)
		}
		return r.ev.member(n.env)
	}
	if n.deep {
		r.forget(n.want)
	}
	return &r.ev.Slots[n.slot]
}

// keep stores a value that somebody asked for, given as valid JSON.
func (r *Reader) keep(n *node, b []byte) {
	var v *Value
	if b[0] != '{' {
		v = r.place(n)
	} else if n.env != noMember {
		v = r.ev.member(n.env)
	} else {
		v = &r.ev.Slots[n.slot]
	}
	if c := b[0]; c-'0' <= 9 || c == '-' {
		v.Kind, v.Form, v.B = Number, JSON, b
		return
	}
	*v = RawValue(b)
}

// forget clears the slots of the members below f.
func (r *Reader) forget(f *field) {
	for _, k := range f.kids {
		r.ev.Slots[k.slot] = Value{}
		r.forget(k)
	}
}
