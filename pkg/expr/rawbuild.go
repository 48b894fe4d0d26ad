package expr

import (
	"bytes"

	"github.com/itchyny/gojq"

	"logtools/pkg/event"
)

// array is [q].
func (c *compiler) array(a *gojq.Array, root, final bool) *node {
	if a.Query == nil {
		return konstNode(event.RawValue([]byte("[]")))
	}
	defer c.unbind(len(c.scope))
	c.final = final
	inner := c.query(a.Query, root)
	g := each(inner, func(r *Runner, v event.Value) status {
		if !r.step() || !final && r.losesType(v) {
			return sBail
		}
		r.tmp = append(r.tmp, present(v))
		return sOK
	})
	return singleNode(func(r *Runner, in event.Value) (event.Value, status) {
		base := len(r.tmp)
		st := g(r, in)
		if st != sOK {
			r.tmp = r.tmp[:base]
			return event.Value{}, st
		}
		v := r.arrayOf(r.tmp[base:])
		r.tmp = r.tmp[:base]
		return v, sOK
	})
}

// part is a member of an object that is built.
type part struct {
	prefix []byte // of a name that is written out: `{"a":` or `,"a":`
	name   *node  // else: what computes it
	val    *node
	nreg   int // the registers of name and value
	vreg   int
}

// object is an object literal.
func (c *compiler) object(o *gojq.Object, root, final bool) *node {
	if len(o.KeyVals) == 0 {
		return konstNode(event.RawValue([]byte("{}")))
	}
	defer c.unbind(len(c.scope))
	var parts []part
	seen := make(map[string]bool)
	paths, fixed, singles := true, true, true
	for i, kv := range o.KeyVals {
		nameQ, valQ := rawMember(kv)
		p := part{}
		if s, ok := constString(nameQ); ok {
			if seen[s] {
				panic(unsupported{})
			}
			seen[s] = true
			p.prefix = append(p.prefix, "{,"[b2i(i > 0)])
			p.prefix = append(event.AppendString(p.prefix, []byte(s)), ':')
		} else {
			scoped := len(c.scope)
			p.name = c.query(nameQ, root)
			c.unbind(scoped)
			p.nreg = c.reg()
			fixed = false
			singles = singles && p.name.fn != nil
		}
		c.final = final
		p.val = c.query(valQ, root)
		p.vreg = c.reg()
		singles = singles && p.val.fn != nil
		paths = paths && (p.val.path != nil || p.val.konst != nil)
		parts = append(parts, p)
	}
	switch {
	case paths && fixed && final:
		return pathsObject(parts)
	case singles:
		return singlesObject(parts, final)
	}
	return c.productObject(parts, final)
}

// rawMember is memberQueries, without the case that needs gojq.
func rawMember(kv *gojq.ObjectKeyVal) (name, val *gojq.Query) {
	if kv.Val == nil && kv.KeyString != nil && kv.KeyString.Queries != nil {
		panic(unsupported{})
	}
	name, val = memberQueries(kv)
	if kv.Val != nil {
		val = kv.Val
	}
	return name, val
}

// pathsObject builds an object of paths and constants under fixed names.
func pathsObject(parts []part) *node {
	type field struct {
		prefix []byte
		path   *rootPath
		konst  event.Value
	}
	fields := make([]field, len(parts))
	for i, p := range parts {
		fields[i] = field{prefix: p.prefix, path: p.val.path}
		if p.val.path == nil {
			fields[i].konst = *p.val.konst
		}
	}
	return singleNode(func(r *Runner, _ event.Value) (event.Value, status) {
		n := len(r.buf)
		for i := range fields {
			f := &fields[i]
			v := &f.konst
			if f.path != nil {
				v = &r.ev.Slots[f.path.last]
				if v.Kind == event.Missing {
					if st, _ := f.path.why(r); st != sOK {
						r.buf = r.buf[:n]
						return event.Value{}, st
					}
				}
			}
			r.buf = append(r.buf, f.prefix...)
			if v.Form == event.JSON && v.Kind == event.Number {
				r.buf = append(r.buf, v.B...)
			} else {
				r.buf = v.AppendJSON(r.buf)
			}
		}
		r.buf = append(r.buf, '}')
		return event.Value{Kind: event.Object, B: r.since(n)}, sOK
	})
}

// singlesObject builds an object each of whose parts has at most one result.
// The parts are computed first, in order, since they may use the scratch memory
// that the object is written to.
func singlesObject(parts []part, final bool) *node {
	return singleNode(func(r *Runner, in event.Value) (event.Value, status) {
		for i := range parts {
			p := &parts[i]
			if p.name != nil {
				v, st := p.name.fn(r, in)
				if st != sOK {
					return event.Value{}, st
				}
				r.regs[p.nreg] = v
			}
			v, st := p.val.fn(r, in)
			if st != sOK {
				return event.Value{}, st
			}
			r.regs[p.vreg] = v
		}
		return r.build(parts, final)
	})
}

// productObject builds an object for each combination of its parts' results; the
// first part is the outermost loop.
func (c *compiler) productObject(parts []part, final bool) *node {
	input := c.reg()
	return &node{multi: func(k cont) generator {
		next := func(r *Runner) status {
			if !r.step() {
				return sBail
			}
			v, st := r.build(parts, final)
			if st != sOK {
				return st
			}
			return k(r, v)
		}
		loop := func(n *node, reg int, inner func(*Runner) status) func(*Runner) status {
			g := each(n, func(r *Runner, v event.Value) status {
				r.regs[reg] = v
				return inner(r)
			})
			return func(r *Runner) status { return g(r, r.regs[input]) }
		}
		for i := len(parts) - 1; i >= 0; i-- {
			p := &parts[i]
			next = loop(p.val, p.vreg, next)
			if p.name != nil {
				next = loop(p.name, p.nreg, next)
			}
		}
		return func(r *Runner, in event.Value) status {
			r.regs[input] = in
			return next(r)
		}
	}}
}

// build writes the object whose parts are in the registers. A name that is no
// string, or is there twice, is left to gojq.
func (r *Runner) build(parts []part, final bool) (event.Value, status) {
	for i := range parts {
		if !final && r.losesType(r.regs[parts[i].vreg]) {
			return event.Value{}, sBail
		}
		if parts[i].name == nil {
			continue
		}
		name := r.regs[parts[i].nreg]
		if name.Kind != event.String {
			return event.Value{}, sBail
		}
		for j := range parts {
			if j != i && r.sameName(name, &parts[j]) {
				return event.Value{}, sBail
			}
		}
	}
	n := len(r.buf)
	for i := range parts {
		p := &parts[i]
		if p.name == nil {
			r.buf = append(r.buf, p.prefix...)
		} else {
			r.buf = append(r.buf, "{,"[b2i(i > 0)])
			r.buf = r.regs[p.nreg].AppendJSON(r.buf)
			r.buf = append(r.buf, ':')
		}
		r.buf = r.regs[p.vreg].AppendJSON(r.buf)
	}
	r.buf = append(r.buf, '}')
	return event.Value{Kind: event.Object, B: r.since(n)}, sOK
}

func (r *Runner) sameName(name event.Value, p *part) bool {
	var other event.Value
	if p.name != nil {
		other = r.regs[p.nreg]
		if other.Kind != event.String {
			return false // found out when it is p's turn
		}
	} else {
		other = event.RawValue(p.prefix[1 : len(p.prefix)-1])
	}
	n := len(r.buf)
	same := bytes.Equal(name.Text(&r.buf), other.Text(&r.buf))
	r.buf = r.buf[:n]
	return same
}

// str is a string literal, perhaps with interpolations: gojq's sum of the parts,
// which it computes from the last to the first.
func (c *compiler) str(s *gojq.String, root bool) *node {
	if s.Queries == nil {
		return konstNode(textConst(s.Str))
	}
	var nodes []*node
	singles := true
	for _, q := range s.Queries {
		var n *node
		if q.Term != nil && q.Term.Str != nil {
			n = konstNode(textConst(q.Term.Str.Str))
		} else {
			scoped := len(c.scope)
			n = then(c.query(q, root), tostring)
			c.unbind(scoped)
		}
		nodes = append(nodes, n)
		singles = singles && n.fn != nil
	}
	if len(nodes) == 0 {
		panic(unsupported{})
	}
	if !singles {
		sum := nodes[0]
		for _, n := range nodes[1:] {
			sum = c.binary(sum, n, add)
		}
		return sum
	}
	regs := make([]int, len(nodes))
	for i := range regs {
		regs[i] = c.reg()
	}
	return singleNode(func(r *Runner, in event.Value) (event.Value, status) {
		plain := true
		for i := len(nodes) - 1; i >= 0; i-- {
			v, st := nodes[i].fn(r, in)
			if st != sOK {
				return event.Value{}, st
			}
			plain = plain && v.Form == event.Plain
			r.regs[regs[i]] = v
		}
		n := len(r.buf)
		for _, reg := range regs {
			r.buf = r.regs[reg].AppendText(r.buf)
		}
		if plain {
			return event.PlainValue(r.since(n)), sOK
		}
		return event.TextValue(r.since(n)), sOK
	})
}

// textConst returns a string of the program as a value.
func textConst(s string) event.Value {
	quoted := event.AppendString(nil, []byte(s))
	if len(quoted) == len(s)+2 {
		return event.PlainValue([]byte(s))
	}
	return event.TextValue([]byte(s))
}
