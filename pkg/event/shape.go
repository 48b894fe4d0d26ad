package event

import "encoding/binary"

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
	mid, tail  uint64 // its second and its last eight bytes, if it has more than 16 and 8
	long       bool   // it has more than 8
	text       string // from the value's end up to the next value, quotes included
	to         *node  // nil: the text ends the object
}

// fits says whether b continues with the edge's text at i, where head is.
func (e *edge) fits(head uint64, b []byte, i int) bool {
	if head&e.mask != e.head {
		return false
	}
	return !e.long || e.rest(b, i)
}

// rest says whether b continues with the edge's text, which is a long one,
// behind its head.
func (e *edge) rest(b []byte, i int) bool {
	n := len(e.text)
	end := i + n
	if end > len(b) || binary.LittleEndian.Uint64(b[end-8:]) != e.tail {
		return false
	}
	return n <= 16 || binary.LittleEndian.Uint64(b[i+8:]) == e.mid && (n <= 24 || string(b[i+16:end-8]) == e.text[16:n-8])
}

// indexOf returns the place of a text's head in a node's index; the other one
// is beside it.
func indexOf(head uint64) uint8 { return uint8(head * 0x9E3779B97F4A7C15 >> 56) }

// other returns the edge that fits, but for the first; nil if there is none.
func (n *node) other(head uint64, b []byte, i int) *edge {
	if n.index != nil {
		return n.find(head, b, i)
	}
	for k := 1; k < len(n.edges); k++ {
		if e := &n.edges[k]; e.fits(head, b, i) {
			return e
		}
	}
	return nil
}

// find returns the edge that fits, nil if there is none. It takes the same time
// however many there are.
func (n *node) find(head uint64, b []byte, i int) *edge {
	h := indexOf(head)
	if k := n.index[h]; k > 0 {
		if e := &n.edges[k-1]; e.fits(head, b, i) {
			return e
		}
	}
	if k := n.index[h^1]; k > 0 {
		if e := &n.edges[k-1]; e.fits(head, b, i) {
			return e
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
	s := &shape{fields: f, env: env, nodes: make(map[nodeKey]*node), root: newNode(false)}
	for i, fl := range []flags{notEnvelope, notEnvelope | hasDollar} {
		for j, str := range []bool{false, true} {
			s.anon[i][j] = newNode(str)
			s.anon[i][j].flags = fl
		}
	}
	// What is asked for is there from the start, so that the limit never
	// hides it.
	if f != nil {
		for _, k := range f.kids {
			s.add(k.name, false)
			s.add(k.name, true)
		}
	}
	return s
}

// addMembers does the same for the names of the envelope: in the shape of whole
// lines they tell events from bare values.
func (s *shape) addMembers() {
	for _, name := range Members {
		for _, str := range []bool{false, true} {
			if s.nodes[nodeKey{name, str}] == nil {
				s.add(name, str)
			}
		}
	}
}

// newNode returns a node without edges: no text fits.
func newNode(str bool) *node { return &node{str: str, first: edge{head: 1}} }

func (s *shape) add(name string, str bool) *node {
	n := newNode(str)
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
			e.tail, e.long = word(text, len(text)-8), true
		}
		if len(text) > 16 {
			e.mid = word(text, 8)
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
