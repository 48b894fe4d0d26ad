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
	depth int
	nodes int // learned so far, over all shapes
}

// NewReader returns a Reader for lines whose members f are asked for.
func NewReader(f *Fields, m Mode) *Reader {
	r := &Reader{mode: m, wasEvent: m == EventsOnly}
	r.bare = newShape(&f.root, false)
	r.env = newShape(nil, true)
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
	r.depth = 0
	end := r.object(s, line, i)
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

// A shape is what was learned of the layout of one object: which text stands
// between the values. Lines of one program look alike: between the value of
// "method" and that of "path" there is always `","path":"`. So the text that
// followed this member last time is tried first, with one comparison; only if
// none of the remembered texts fits is the text parsed and remembered. The
// grammar is not skipped by this: a remembered text is a text that was parsed
// in the same state (behind the value of a member of an object), so wherever
// it stands, it is as valid as it was the first time.
//
// The states are the member names, not the whole prefix of the line, so that
// optional members and changing orders do not multiply them.
type shape struct {
	root   *node
	fields *field // what is asked for in this object; nil: nothing
	env    bool   // the object is an event
	nodes  map[nodeKey]*node
	anon   [2][2]*node // for names beyond the limit: [dollar][str]
}

type nodeKey struct {
	name string
	str  bool
}

// node is the state of standing at a member's value (behind the opening quote
// if str).
type node struct {
	first edge // the same as edges[0], at hand
	edges []edge
	// With many edges, index says which to try, by indexOf: edge+1, 0 is none,
	// in one of two neighbouring places. rest are the edges that are not
	// there. nil: try all.
	index *[256]uint8
	rest  []uint8
	sub   *shape // layout of the value if it is an object
	want  *field // nil: not asked for
	slot  int    // want's
	deep  bool   // members of the value are asked for
	str   bool   // the value is a string
	used  bool   // the value is kept: asked for, or of the envelope
	env   member // only in the envelope's shape
	flags flags
}

// edge leads from behind a value to the next one.
type edge struct {
	// The first eight bytes of text, as a little-endian word, and which bits
	// of the word text has: most texts that do not fit differ there.
	head, mask uint64
	tail       uint64 // the last eight bytes of a text that is longer than that
	text       string // from the value's end up to the next value, quotes included
	to         *node  // nil: the text ends the object
}

// fits says whether b continues with the edge's text at i, where head is.
func (e *edge) fits(head uint64, b []byte, i int) bool {
	if head&e.mask != e.head {
		return false
	}
	n := len(e.text)
	if n <= 8 {
		return true
	}
	end := i + n
	return end <= len(b) && binary.LittleEndian.Uint64(b[end-8:]) == e.tail &&
		(n <= 16 || string(b[i+8:end-8]) == e.text[8:n-8])
}

// indexOf returns the place of a text's head in a node's index; the other one
// is beside it.
func indexOf(head uint64) uint8 { return uint8(head * 0x9E3779B97F4A7C15 >> 56) }

// find returns the edge that fits, nil if there is none. It takes the same time
// however many there are.
func (n *node) find(head uint64, b []byte, i int) *edge {
	h := indexOf(head)
	for _, k := range [2]uint8{n.index[h], n.index[h^1]} {
		if k > 0 {
			if e := &n.edges[k-1]; e.fits(head, b, i) {
				return e
			}
		}
	}
	for _, k := range n.rest {
		if e := &n.edges[k]; e.fits(head, b, i) {
			return e
		}
	}
	return nil
}

// put makes the edge with number k be found.
func (n *node) put(k int) {
	e := &n.edges[k]
	if len(e.text) >= 8 { // of a shorter one the head is not known
		h := indexOf(e.head)
		for _, at := range [2]uint8{h, h ^ 1} {
			if n.index[at] == 0 {
				n.index[at] = uint8(k + 1)
				return
			}
		}
	}
	n.rest = append(n.rest, uint8(k))
}

// Limits of what is remembered. They bound memory; beyond them everything
// still works, only slower.
const (
	maxEdges    = 100  // per node
	fewEdges    = 3    // so many are tried one after the other
	maxEdgeText = 200  // bytes
	maxNodes    = 2000 // per Reader
	maxShapes   = 4    // depth of objects that have a shape without being asked for
)

// newShape returns the shape of an object of which f is asked for (nil:
// nothing), or of the envelope.
func newShape(f *field, env bool) *shape {
	s := &shape{fields: f, env: env, nodes: make(map[nodeKey]*node), root: &node{}}
	for i, fl := range []flags{notEnvelope, notEnvelope | hasDollar} {
		for j, str := range []bool{false, true} {
			s.anon[i][j] = &node{str: str, flags: fl}
		}
	}
	// What is asked for, and the envelope, is there from the start, so that
	// the limit never hides it.
	if f != nil {
		for _, k := range f.kids {
			s.add(k.name, false)
			s.add(k.name, true)
		}
	}
	if env {
		for _, name := range Members {
			s.add(name, false)
			s.add(name, true)
		}
	}
	return s
}

func (s *shape) add(name string, str bool) *node {
	n := &node{str: str}
	var m member
	m, n.flags = memberOf([]byte(name))
	if s.env {
		n.env = m
		n.used = m != noMember
	}
	if s.fields != nil {
		for _, k := range s.fields.kids {
			if k.name == name {
				n.want, n.slot, n.deep, n.used = k, k.slot, len(k.kids) > 0, true
			}
		}
	}
	s.nodes[nodeKey{name, str}] = n
	return n
}

// object parses the object whose brace is at i and returns the index after it,
// or -1.
func (r *Reader) object(s *shape, b []byte, i int) int {
	n := s.root
	var seen flags
next:
	for {
		head := word(b, i)
		if e := &n.first; e.text != "" && e.fits(head, b, i) {
			i += len(e.text)
			n = e.to
			goto found
		}
		if n.index == nil {
			for k := range n.edges {
				if e := &n.edges[k]; e.fits(head, b, i) {
					i += len(e.text)
					n = e.to
					goto found
				}
			}
		} else if e := n.find(head, b, i); e != nil {
			i += len(e.text)
			n = e.to
			goto found
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
			i = r.subObject(n, b, i)
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

// subObject parses the object that is n's value.
func (r *Reader) subObject(n *node, b []byte, i int) int {
	if n.sub == nil {
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
	i = r.object(n.sub, b, i)
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

// learn parses the text between the value of n, which ends at i, and the next
// value, and remembers it. It returns the next value's node (nil at the end of
// the object or on a fault) and the index at which it begins (behind the
// object; -1 on a fault).
func (r *Reader) learn(s *shape, n *node, b []byte, i int) (*node, int) {
	start := i
	if n == s.root {
		i = skipSpace(b, i+1)
	} else {
		if n.str {
			i++ // the closing quote, where the value's end was found
		}
		i = skipSpace(b, i)
		if i >= len(b) || b[i] != ',' && b[i] != '}' {
			return nil, r.fault.unexpected(b, i, "',' or '}'")
		}
		if b[i] == ',' {
			i = skipSpace(b, i+1)
			if i >= len(b) || b[i] != '"' {
				return nil, r.fault.unexpected(b, i, "a member name")
			}
		}
	}
	if i < len(b) && b[i] == '}' {
		r.remember(n, b[start:i+1], nil)
		return nil, i + 1
	}
	if i >= len(b) || b[i] != '"' {
		return nil, r.fault.unexpected(b, i, "a member name")
	}
	end := r.fault.str(b, i+1)
	if end < 0 {
		return nil, -1
	}
	name := b[i+1 : end-1]
	if hasBackslash(name) {
		name = appendUnescaped(nil, name)
	}
	if i = skipSpace(b, end); i >= len(b) || b[i] != ':' {
		return nil, r.fault.unexpected(b, i, "':'")
	}
	i = skipSpace(b, i+1)
	str := i < len(b) && b[i] == '"'
	if str {
		i++
	}
	to := s.nodes[nodeKey{string(name), str}]
	if to == nil {
		if r.nodes >= maxNodes || len(name) > maxEdgeText {
			dollar, j := 0, 0
			if len(name) > 0 && name[0] == '$' {
				dollar = 1
			}
			if str {
				j = 1
			}
			return s.anon[dollar][j], i
		}
		r.nodes++
		to = s.add(string(name), str)
	}
	r.remember(n, b[start:i], to)
	return to, i
}

func (r *Reader) remember(n *node, text []byte, to *node) {
	if len(n.edges) < maxEdges && len(text) <= maxEdgeText && r.nodes < maxNodes {
		mask := ^uint64(0)
		if len(text) < 8 {
			mask = 1<<(8*len(text)) - 1
		}
		e := edge{head: word(text, 0), mask: mask, text: string(text), to: to}
		if len(text) > 8 {
			e.tail = word(text, len(text)-8)
		}
		n.edges = append(n.edges, e)
		n.first = n.edges[0]
		switch {
		case n.index != nil:
			n.put(len(n.edges) - 1)
		case len(n.edges) > fewEdges:
			n.index = new([256]uint8)
			for k := range n.edges {
				n.put(k)
			}
		}
	}
}

// word returns the eight bytes at i, with zeros (which no remembered text
// holds) behind the end of b.
func word(b []byte, i int) uint64 {
	if i+8 <= len(b) {
		return binary.LittleEndian.Uint64(b[i:])
	}
	var w uint64
	for k := len(b) - 1; k >= i; k-- {
		w = w<<8 | uint64(b[k])
	}
	return w
}
