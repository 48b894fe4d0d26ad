package expr

import (
	"bytes"

	"github.com/itchyny/gojq"

	"logtools/pkg/event"
)

// What changes a value is written in full, with what it leaves alone copied byte
// for byte. Only paths of member names that are written out are changed here
// (and all the members at once, by map_values); objects that name a member
// twice, or whose names have escapes, are left to gojq.

// maxPlain is how many members an object may have here: the search for repeated
// names looks at each pair.
const maxPlain = 64

// plainPath returns the names of a path of member names.
func plainPath(q *gojq.Query) ([]string, bool) {
	if q == nil || q.Term == nil || len(q.FuncDefs) > 0 {
		return nil, false
	}
	t := q.Term
	var names []string
	switch t.Type {
	case gojq.TermTypeIndex:
		name, ok := constName(t.Index)
		if !ok {
			return nil, false
		}
		names = append(names, name)
	case gojq.TermTypeIdentity:
	case gojq.TermTypeQuery:
		if len(t.SuffixList) > 0 {
			return nil, false
		}
		return plainPath(t.Query)
	default:
		return nil, false
	}
	for _, s := range t.SuffixList {
		if s.Index == nil {
			return nil, false
		}
		name, ok := constName(s.Index)
		if !ok {
			return nil, false
		}
		names = append(names, name)
	}
	return names, len(names) > 0
}

// update is q.Left OP q.Right for the operators that assign.
func (c *compiler) update(q *gojq.Query, root, final bool) *node {
	if q.Op == gojq.OpModify && isIter(q.Left) {
		return c.mapValues(q.Right, root, final)
	}
	names, ok := plainPath(q.Left)
	if !ok {
		panic(unsupported{})
	}
	var current single
	if root {
		current = pathNode(c.rootPath(names)).fn
	} else {
		current = memberStep(names[0])
		for _, name := range names[1:] {
			current = pipe(current, memberStep(name))
		}
	}
	// replace returns in with v for what current found. Objects alone are
	// changed here.
	replace := func(r *Runner, in, v event.Value) (event.Value, status) {
		if root {
			in = r.ev.Value()
		}
		if in.Kind != event.Object || !final && r.losesType(v) {
			return event.Value{}, sBail
		}
		return r.object(func() status { return r.appendReplaced(in, names, v) })
	}
	if q.Op == gojq.OpModify {
		f := c.firstOf(c.scoped(q.Right, false))
		drop := newCut(names)
		return singleNode(func(r *Runner, in event.Value) (event.Value, status) {
			v, st := current(r, in)
			if st != sOK {
				return event.Value{}, st
			}
			switch v, st = f(r, v); st {
			case sOK:
				return replace(r, in, v)
			case sNone:
				return r.without(in, root, drop)
			}
			return event.Value{}, st
		})
	}
	var op func(r *Runner, a, b event.Value) (event.Value, status)
	switch q.Op {
	case gojq.OpAssign:
		op = func(_ *Runner, _, b event.Value) (event.Value, status) { return b, sOK }
	case gojq.OpUpdateAdd:
		op = add
	case gojq.OpUpdateSub:
		op = subtract
	case gojq.OpUpdateMul:
		op = multiply
	case gojq.OpUpdateDiv:
		op = divide
	case gojq.OpUpdateMod:
		op = modulo
	case gojq.OpUpdateAlt:
		op = func(_ *Runner, a, b event.Value) (event.Value, status) {
			if a.Truthy() {
				return a, sOK
			}
			return b, sOK
		}
	default:
		panic(unsupported{})
	}
	input := c.reg()
	right := c.scoped(q.Right, root)
	step := func(r *Runner, x event.Value) (event.Value, status) {
		in := r.regs[input]
		v, st := current(r, in)
		if st != sOK {
			return event.Value{}, st
		}
		if v, st = op(r, v, x); st != sOK {
			return event.Value{}, st
		}
		return replace(r, in, v)
	}
	return c.remember(input, then(right, step))
}

// remember is n with its input in a register.
func (c *compiler) remember(reg int, n *node) *node {
	if n.fn != nil {
		fn := n.fn
		return singleNode(func(r *Runner, in event.Value) (event.Value, status) {
			r.regs[reg] = in
			return fn(r, in)
		})
	}
	return &node{multi: func(k cont) generator {
		g := n.multi(k)
		return func(r *Runner, in event.Value) status {
			r.regs[reg] = in
			return g(r, in)
		}
	}}
}

// isIter says whether q is .[].
func isIter(q *gojq.Query) bool {
	return q.Term != nil && len(q.FuncDefs) == 0 && q.Term.Type == gojq.TermTypeIdentity &&
		len(q.Term.SuffixList) == 1 && q.Term.SuffixList[0].Iter
}

// firstOf gives n's first result.
func (c *compiler) firstOf(n *node) single {
	if n.fn != nil {
		return n.fn
	}
	found := c.reg()
	g := n.multi(func(r *Runner, v event.Value) status {
		r.regs[found] = v
		return sStop
	})
	return func(r *Runner, in event.Value) (event.Value, status) {
		switch st := g(r, in); st {
		case sStop:
			return r.regs[found], sOK
		case sOK:
			return event.Value{}, sNone
		default:
			return event.Value{}, st
		}
	}
}

// object returns what write appends to r.buf as an object.
func (r *Runner) object(write func() status) (event.Value, status) {
	n, base := len(r.buf), len(r.iter)
	if st := write(); st != sOK {
		r.buf, r.iter = r.buf[:n], r.iter[:base]
		return event.Value{}, st
	}
	return event.Value{Kind: event.Object, B: r.since(n)}, sOK
}

// pushPlain puts v's members on the stack r.iter, in the order written, and
// returns where they begin. It bails on names with escapes, on repeated names
// and on many members.
func (r *Runner) pushPlain(v event.Value) (base int, st status) {
	base = len(r.iter)
	for it := v.Members(); it.Next(); {
		if it.Name.Form != event.Plain || len(r.iter)-base == maxPlain || !r.step() {
			return base, sBail
		}
		if indexOf(r.iter[base:], it.Name.B) >= 0 {
			return base, sBail
		}
		r.iter = append(r.iter, member{it.Name, it.Value})
	}
	return base, sOK
}

// appendReplaced appends obj with v at path, whose beginnings are objects or are
// not there. A new member comes last.
func (r *Runner) appendReplaced(obj event.Value, path []string, v event.Value) status {
	base, st := r.pushPlain(obj)
	if st != sOK {
		return st
	}
	n, found := len(r.buf), false
	r.buf = append(r.buf, '{')
	for i, end := base, len(r.iter); i < end; i++ {
		m := r.iter[i]
		if string(m.name.B) != path[0] {
			r.appendMember(n, m.name, m.val)
			continue
		}
		found = true
		r.appendName(n, m.name)
		if len(path) > 1 && m.val.Kind == event.Object {
			if st := r.appendReplaced(m.val, path[1:], v); st != sOK {
				return st
			}
			continue
		}
		r.appendNested(path[1:], v)
	}
	if !found {
		r.appendName(n, event.TextValue([]byte(path[0])))
		r.appendNested(path[1:], v)
	}
	r.buf = append(r.buf, '}')
	r.iter = r.iter[:base]
	return sOK
}

// appendNested appends v inside objects of one member for each name.
func (r *Runner) appendNested(names []string, v event.Value) {
	for _, name := range names {
		r.buf = append(r.buf, '{')
		r.buf = event.AppendString(r.buf, []byte(name))
		r.buf = append(r.buf, ':')
	}
	r.buf = v.AppendJSON(r.buf)
	for range names {
		r.buf = append(r.buf, '}')
	}
}

// appendName appends a member's name to the object that begins at n.
func (r *Runner) appendName(n int, name event.Value) {
	if len(r.buf) > n+1 {
		r.buf = append(r.buf, ',')
	}
	r.buf = name.AppendJSON(r.buf)
	r.buf = append(r.buf, ':')
}

// cut is a member to be deleted (if it has no kids), or the members to be
// deleted below it.
type cut struct {
	name string
	kids []cut
}

func newCut(path []string) *cut {
	c := new(cut)
	c.add(path)
	return c
}

// add adds a path. What lies above another path takes that with it.
func (c *cut) add(path []string) {
	for i := range c.kids {
		if k := &c.kids[i]; k.name == path[0] {
			switch {
			case len(path) == 1:
				k.kids = nil
			case len(k.kids) > 0:
				k.add(path[1:])
			}
			return
		}
	}
	c.kids = append(c.kids, cut{name: path[0]})
	if len(path) > 1 {
		c.kids[len(c.kids)-1].add(path[1:])
	}
}

func (c *cut) find(name []byte) *cut {
	for i := range c.kids {
		if c.kids[i].name == string(name) {
			return &c.kids[i]
		}
	}
	return nil
}

// del is del(path, …).
func (c *compiler) del(arg *gojq.Query, root bool) *node {
	drop := new(cut)
	var paths []single
	for _, q := range commaParts(nil, arg) {
		names, ok := plainPath(q)
		if !ok {
			panic(unsupported{})
		}
		drop.add(names)
		// A path into something that has no members is an error, even below
		// something that is deleted.
		at := c.term(&gojq.Term{Type: gojq.TermTypeIdentity}, root)
		for _, name := range names[:len(names)-1] {
			at = c.member(at, name)
		}
		if len(names) > 1 {
			paths = append(paths, then(at, memberStep(names[len(names)-1])).fn)
		}
	}
	return singleNode(func(r *Runner, in event.Value) (event.Value, status) {
		for _, p := range paths {
			if _, st := p(r, in); st != sOK {
				return event.Value{}, st
			}
		}
		return r.without(in, root, drop)
	})
}

// without returns in without what drop says.
func (r *Runner) without(in event.Value, root bool, drop *cut) (event.Value, status) {
	if root {
		in = r.ev.Value()
	}
	if in.Kind != event.Object {
		return event.Value{}, sBail
	}
	return r.object(func() status { return r.appendWithout(in, drop) })
}

func (r *Runner) appendWithout(obj event.Value, drop *cut) status {
	base, st := r.pushPlain(obj)
	if st != sOK {
		return st
	}
	n := len(r.buf)
	r.buf = append(r.buf, '{')
	for i, end := base, len(r.iter); i < end; i++ {
		m := r.iter[i]
		k := drop.find(m.name.B)
		switch {
		case k == nil || len(k.kids) > 0 && m.val.Kind != event.Object:
			r.appendMember(n, m.name, m.val)
		case len(k.kids) > 0:
			r.appendName(n, m.name)
			if st := r.appendWithout(m.val, k); st != sOK {
				return st
			}
		}
	}
	r.buf = append(r.buf, '}')
	r.iter = r.iter[:base]
	return sOK
}

// mapValues is .[] |= f: each member or element becomes the first result of f,
// and goes if there is none.
func (c *compiler) mapValues(arg *gojq.Query, root, final bool) *node {
	f := c.firstOf(c.scoped(arg, false))
	return then(c.term(&gojq.Term{Type: gojq.TermTypeIdentity}, root), func(r *Runner, v event.Value) (event.Value, status) {
		switch v.Kind {
		case event.Object, event.Array:
		default:
			return event.Value{}, sErr
		}
		// All values are computed first, since f may use the scratch memory
		// that the whole is written to. Those that go are left Missing.
		base, tmp := len(r.iter), len(r.tmp)
		defer func() { r.iter, r.tmp = r.iter[:base], r.tmp[:tmp] }()
		push := func(v event.Value) status {
			w, st := f(r, v)
			if st == sOK && !final && r.losesType(w) || !r.step() {
				st = sBail
			}
			switch st {
			case sOK:
				r.tmp = append(r.tmp, present(w))
			case sNone:
				r.tmp = append(r.tmp, event.Value{})
			default:
				return st
			}
			return sOK
		}
		if v.Kind == event.Array {
			for it := v.Elements(); it.Next(); {
				if st := push(it.Value); st != sOK {
					return event.Value{}, st
				}
			}
			return r.arrayOf(r.tmp[tmp:]), sOK
		}
		if _, st := r.pushPlain(v); st != sOK {
			return event.Value{}, st
		}
		end := len(r.iter)
		for i := base; i < end; i++ {
			if st := push(r.iter[i].val); st != sOK {
				return event.Value{}, st
			}
		}
		n := len(r.buf)
		r.buf = append(r.buf, '{')
		for i, w := range r.tmp[tmp:] {
			if w.Kind != event.Missing {
				r.appendMember(n, r.iter[base+i].name, w)
			}
		}
		r.buf = append(r.buf, '}')
		return event.Value{Kind: event.Object, B: r.since(n)}, sOK
	})
}

// arrayOf returns an array of vs, without those that are Missing. None of them
// may be one that losesType, unless the array is a result.
func (r *Runner) arrayOf(vs []event.Value) event.Value {
	n := len(r.buf)
	r.buf = append(r.buf, '[')
	for _, v := range vs {
		if v.Kind == event.Missing {
			continue
		}
		if len(r.buf) > n+1 {
			r.buf = append(r.buf, ',')
		}
		r.buf = v.AppendJSON(r.buf)
	}
	r.buf = append(r.buf, ']')
	return event.Value{Kind: event.Array, B: r.since(n)}
}

// losesType says whether v, written into an array or object from which it is
// read again, would no longer be the number that it is in gojq: a float that
// was computed and is written like an integer. In a result that does not matter.
func (r *Runner) losesType(v event.Value) bool {
	if v.Form != event.Float || v.Kind != event.Number {
		return false
	}
	n := len(r.buf)
	r.buf = v.AppendJSON(r.buf)
	integer := !bytes.ContainsAny(r.buf[n:], ".e")
	r.buf = r.buf[:n]
	return integer
}
