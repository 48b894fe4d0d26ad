package expr

import (
	"github.com/itchyny/gojq"

	"logtools/pkg/event"
)

// fold is what reduce and foreach have in common.
type fold struct {
	init   single
	source *node
	item   int // the register of the item that was read last
	update single
	state  int
}

// fold compiles source as $name (start; update) with a start and an update that
// have at most one result. An update without a result leaves things as they are.
func (c *compiler) fold(source *gojq.Query, as []*gojq.Pattern, start, update *gojq.Query, root bool) *fold {
	if len(as) != 1 || as[0].Name == "" {
		panic(unsupported{})
	}
	init := c.scoped(start, root)
	f := &fold{source: c.scoped(source, root), item: c.reg(), state: c.reg()}
	c.scope = append(c.scope, binding{as[0].Name, f.item})
	next := c.scoped(update, false)
	if init.fn == nil || next.fn == nil {
		panic(unsupported{})
	}
	f.init, f.update = init.fn, next.fn
	return f
}

// step takes an item in.
func (f *fold) step(r *Runner, v event.Value) status {
	if !r.step() {
		return sBail
	}
	r.regs[f.item] = v
	w, st := f.update(r, r.regs[f.state])
	if st == sOK {
		r.regs[f.state] = w
	}
	return st
}

// reduce is reduce source as $name (start; update).
func (c *compiler) reduce(t *gojq.Reduce, root bool) *node {
	defer c.unbind(len(c.scope))
	f := c.fold(t.Query, t.Patterns, t.Start, t.Update, root)
	g := each(f.source, func(r *Runner, v event.Value) status {
		st := f.step(r, v)
		if st == sNone {
			st = sOK
		}
		return st
	})
	return singleNode(func(r *Runner, in event.Value) (event.Value, status) {
		v, st := f.init(r, in)
		if st != sOK {
			return event.Value{}, st
		}
		r.regs[f.state] = v
		st = g(r, in)
		return r.regs[f.state], st
	})
}

// foreach is foreach source as $name (start; update; extract).
func (c *compiler) foreach(t *gojq.Foreach, root bool) *node {
	final := c.takeFinal()
	defer c.unbind(len(c.scope))
	f := c.fold(t.Query, t.Patterns, t.Start, t.Update, root)
	extract := t.Extract
	if extract == nil {
		extract = termQuery(&gojq.Term{Type: gojq.TermTypeIdentity})
	}
	c.final = final
	out := c.query(extract, false)
	return &node{multi: func(k cont) generator {
		emit := each(out, k)
		g := each(f.source, func(r *Runner, v event.Value) status {
			st := f.step(r, v)
			switch st {
			case sOK:
				return emit(r, r.regs[f.state])
			case sNone:
				return sOK
			}
			return st
		})
		return func(r *Runner, in event.Value) status {
			v, st := f.init(r, in)
			switch st {
			case sOK:
				r.regs[f.state] = v
				return g(r, in)
			case sNone:
				return sOK
			}
			return st
		}
	}}
}

// limit is limit(n; source).
func (c *compiler) limit(n int64, source *node) *node {
	if n == 0 {
		return singleNode(func(*Runner, event.Value) (event.Value, status) { return event.Value{}, sNone })
	}
	if source.fn != nil {
		return singleNode(source.fn)
	}
	left := c.reg()
	return &node{multi: func(k cont) generator {
		g := source.multi(func(r *Runner, v event.Value) status {
			r.regs[left].N--
			last := r.regs[left].N == 0
			st := k(r, v)
			if last && st == sOK {
				r.regs[left].Kind = event.True
				st = sStop
			}
			return st
		})
		return func(r *Runner, in event.Value) status {
			r.regs[left] = event.Value{N: uint64(n)}
			st := g(r, in)
			if st == sStop && r.regs[left].Kind == event.True {
				st = sOK
			}
			return st
		}
	}}
}

// isEmpty is isempty(source).
func (c *compiler) isEmpty(source *node) *node {
	first := c.firstOf(source)
	return condNode(func(r *Runner, in event.Value) status {
		switch _, st := first(r, in); st {
		case sOK:
			return sFalse
		case sNone:
			return sTrue
		default:
			return st
		}
	})
}

// maxNested is how deep a value may be nested for what goes down into it here.
const maxNested = 500

// recurse gives n's results and all that is in them: .. without its paths.
func recurse(n *node) *node {
	return &node{multi: func(k cont) generator {
		var down func(r *Runner, v event.Value, depth int) status
		down = func(r *Runner, v event.Value, depth int) status {
			if depth > maxNested || !r.step() {
				return sBail
			}
			if st := k(r, v); st != sOK {
				return st
			}
			switch v.Kind {
			case event.Array:
				for it := v.Elements(); it.Next(); {
					if st := down(r, it.Value, depth+1); st != sOK {
						return st
					}
				}
			case event.Object:
				base, st := r.pushMembers(v)
				end := len(r.iter)
				for i := base; i < end && st == sOK; i++ {
					st = down(r, r.iter[i].val, depth+1)
				}
				r.iter = r.iter[:base]
				return st
			}
			return sOK
		}
		return each(n, func(r *Runner, v event.Value) status { return down(r, v, 0) })
	}}
}

// paths gives the paths to all that is in n's results.
func paths(n *node) *node {
	return &node{multi: func(k cont) generator {
		// The path to v is on the stack r.path.
		var down func(r *Runner, v event.Value, base int) status
		step := func(r *Runner, name, v event.Value, base int) status {
			if len(r.path)-base > maxNested || !r.step() {
				return sBail
			}
			n := len(r.path)
			r.path = append(r.path, name)
			st := k(r, r.arrayOf(r.path[base:]))
			if st == sOK {
				st = down(r, v, base)
			}
			r.path = r.path[:n]
			return st
		}
		down = func(r *Runner, v event.Value, base int) status {
			switch v.Kind {
			case event.Array:
				i := int64(0)
				for it := v.Elements(); it.Next(); i++ {
					if st := step(r, event.IntValue(i), it.Value, base); st != sOK {
						return st
					}
				}
			case event.Object:
				from, st := r.pushMembers(v)
				end := len(r.iter)
				for i := from; i < end && st == sOK; i++ {
					st = step(r, r.iter[i].name, r.iter[i].val, base)
				}
				r.iter = r.iter[:from]
				return st
			}
			return sOK
		}
		return each(n, func(r *Runner, v event.Value) status { return down(r, v, len(r.path)) })
	}}
}
