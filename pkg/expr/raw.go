package expr

import (
	"github.com/itchyny/gojq"

	"logtools/pkg/event"
)

// The raw engine compiles the parse tree to closures over event.Value, which
// are views into the line: nothing is decoded and nothing is allocated per
// event, save that scratch memory grows.
//
// It need only be right when it answers. Whenever anything unusual turns up (a
// big integer, an overflow, objects to be compared, an error that nothing
// catches) it bails: the event is run again in gojq, which also has the exact
// words for an error.

// status is how the evaluation of an expression ended.
type status uint8

const (
	sOK    status = iota // with a value; of a generator: all results were given
	sTrue                // of a condition
	sFalse               // of a condition
	sNone                // without a result
	sErr                 // with a jq error, which ? may catch
	sBail                // leave this event to gojq
	sStop                // whoever consumes the results wants no more
)

// single is an expression with at most one result.
//
// in is `.`. Where that is the event's value (the root), in is not used: most
// programs need only members of the root, and those are in the event's slots.
type single func(r *Runner, in event.Value) (event.Value, status)

// cond is an expression of which only the truth matters: sTrue, sFalse, or why
// there is none.
type cond func(r *Runner, in event.Value) status

// cont is what is done with a result of a generator: sOK to go on.
type cont func(r *Runner, v event.Value) status

// generator is an expression with any number of results, compiled together with
// what is done with each: sOK when it is at its end.
type generator func(r *Runner, in event.Value) status

// node is a compiled expression: a single one, or (multi) one that gives any
// number of results.
type node struct {
	fn    single
	multi func(k cont) generator // if fn is nil

	cond  cond         // the same as a condition, where that is cheaper
	konst *event.Value // its value, if that is always the same
	path  *rootPath    // it is this path from the root

	// root: the result, if any, is the root; gate says whether there is one
	// (nil: always). fn works too.
	root bool
	gate func(r *Runner, in event.Value) status // sOK, sNone, sErr, sBail
}

// rawProgram is a program for the raw engine.
type rawProgram struct {
	nregs  int
	slot   int       // of a program that is a path from the root, else -1
	truth  cond      // of a program with at most one result
	fn     single    // likewise
	anyOf  generator // of other programs: sets r.found
	append generator // of other programs: appends to r.vals
}

func compileRaw(q *gojq.Query, fields *event.Fields) *rawProgram {
	return newCompiler(fields).program(q, true)
}

// newCompiler returns a compiler whose programs ask for members in fields.
func newCompiler(fields *event.Fields) *compiler { return &compiler{fields: fields, final: true} }

// program compiles q; nil if it is not for the raw engine. root says that `.` is
// the event's value; else that is $e, and `.` what the program is run on.
func (c *compiler) program(q *gojq.Query, root bool) (p *rawProgram) {
	defer func() {
		if x := recover(); x != nil {
			if _, ok := x.(unsupported); !ok {
				panic(x)
			}
			p = nil
		}
	}()
	n := c.query(q, root)
	p = &rawProgram{fn: n.fn, slot: -1}
	if n.path != nil {
		p.slot = n.path.last
	}
	if n.fn != nil {
		p.truth = truth(n)
	} else {
		p.anyOf = n.multi(func(r *Runner, v event.Value) status {
			if v.Truthy() {
				r.found = true
			}
			return sOK
		})
		p.append = n.multi(func(r *Runner, v event.Value) status {
			if len(r.vals)-r.first >= maxResults {
				return sBail
			}
			r.vals = append(r.vals, present(v))
			return sOK
		})
	}
	p.nregs = c.nregs
	return p
}

// begin prepares r for a run on r.ev.
func (p *rawProgram) begin(r *Runner) {
	if len(r.regs) < p.nregs {
		r.regs = make([]event.Value, p.nregs)
	}
	r.left = int(min(maxIterations, r.steps()))
	if len(r.tmp)|len(r.iter)|len(r.path) != 0 { // left by a run that bailed
		r.tmp, r.iter, r.path = r.tmp[:0], r.iter[:0], r.path[:0]
	}
}

// test is Program.Test: sTrue, sFalse or sBail.
func (p *rawProgram) test(r *Runner) status {
	p.begin(r)
	if p.truth != nil {
		switch st := p.truth(r, event.Value{}); st {
		case sTrue, sFalse:
			return st
		case sNone:
			return sFalse
		}
		return sBail
	}
	r.found = false
	if p.anyOf(r, event.Value{}) != sOK {
		return sBail
	}
	if r.found {
		return sTrue
	}
	return sFalse
}

// one evaluates a program with at most one result: sOK, sNone or sBail.
func (p *rawProgram) one(r *Runner) (event.Value, status) {
	p.begin(r)
	v, st := p.fn(r, event.Value{})
	if st == sOK {
		return present(v), sOK
	}
	if st != sNone {
		st = sBail
	}
	return event.Value{}, st
}

// run appends the results to r.vals: sOK or sBail.
func (p *rawProgram) run(r *Runner) status {
	if p.fn != nil {
		v, st := p.one(r)
		if st == sOK {
			r.vals = append(r.vals, v)
		} else if st == sNone {
			st = sOK
		}
		return st
	}
	p.begin(r)
	r.first = len(r.vals)
	if p.append(r, event.Value{}) != sOK {
		return sBail
	}
	return sOK
}

// present makes a missing member null, as which it reads.
func present(v event.Value) event.Value {
	if v.Kind == event.Missing {
		v.Kind = event.Null
	}
	return v
}

// step counts an iteration; false: it was one too many.
func (r *Runner) step() bool {
	r.left--
	return r.left >= 0 && len(r.buf) <= maxBytes
}

// truth returns n as a condition.
func truth(n *node) cond {
	if n.cond != nil {
		return n.cond
	}
	if n.root {
		gate := n.gate
		return func(r *Runner, in event.Value) status {
			if gate != nil {
				if st := gate(r, in); st != sOK {
					return st
				}
			}
			return truthy(r.ev.IsObject() || r.ev.Value().Truthy())
		}
	}
	if p := n.path; p != nil {
		return func(r *Runner, _ event.Value) status {
			v, st := p.get(r)
			if st != sOK {
				return st
			}
			return truthy(v.Truthy())
		}
	}
	fn := n.fn
	return func(r *Runner, in event.Value) status {
		v, st := fn(r, in)
		if st != sOK {
			return st
		}
		return truthy(v.Truthy())
	}
}

func truthy(b bool) status {
	if b {
		return sTrue
	}
	return sFalse
}

// condNode returns a node for an expression that is true or false.
func condNode(c cond) *node {
	return &node{cond: c, fn: func(r *Runner, in event.Value) (event.Value, status) {
		switch st := c(r, in); st {
		case sTrue:
			return event.Value{Kind: event.True}, sOK
		case sFalse:
			return event.Value{Kind: event.False}, sOK
		default:
			return event.Value{}, st
		}
	}}
}

func singleNode(fn single) *node { return &node{fn: fn} }

func konstNode(v event.Value) *node {
	return &node{konst: &v, fn: func(*Runner, event.Value) (event.Value, status) { return v, sOK }}
}

// rootNode returns a node whose result is the root, if gate lets it through.
func rootNode(gate func(*Runner, event.Value) status) *node {
	n := &node{root: true, gate: gate}
	n.fn = func(r *Runner, in event.Value) (event.Value, status) {
		if gate != nil {
			if st := gate(r, in); st != sOK {
				return event.Value{}, st
			}
		}
		return r.ev.Value(), sOK
	}
	return n
}

// each compiles n with what is done with its results.
func each(n *node, k cont) generator {
	if n.fn == nil {
		return n.multi(k)
	}
	fn := n.fn
	return func(r *Runner, in event.Value) status {
		v, st := fn(r, in)
		switch st {
		case sOK:
			return k(r, v)
		case sNone:
			return sOK
		}
		return st
	}
}

// then applies fn to each result of n.
func then(n *node, fn single) *node {
	if n.fn != nil {
		return singleNode(pipe(n.fn, fn))
	}
	return &node{multi: func(k cont) generator {
		return n.multi(func(r *Runner, v event.Value) status {
			w, st := fn(r, v)
			switch st {
			case sOK:
				return k(r, w)
			case sNone:
				return sOK
			}
			return st
		})
	}}
}

func pipe(first, second single) single {
	return func(r *Runner, in event.Value) (event.Value, status) {
		v, st := first(r, in)
		if st != sOK {
			return event.Value{}, st
		}
		return second(r, v)
	}
}

// binary applies op to each pair of results of both operands. As in gojq the
// right operand is the outer loop.
func (c *compiler) binary(left, right *node, op func(r *Runner, a, b event.Value) (event.Value, status)) *node {
	if left.fn != nil && right.fn != nil {
		lf, rf := left.fn, right.fn
		if k := right.konst; k != nil {
			return singleNode(func(r *Runner, in event.Value) (event.Value, status) {
				a, st := lf(r, in)
				if st != sOK {
					return event.Value{}, st
				}
				return op(r, a, *k)
			})
		}
		return singleNode(func(r *Runner, in event.Value) (event.Value, status) {
			b, st := rf(r, in)
			if st != sOK {
				return event.Value{}, st
			}
			a, st := lf(r, in)
			if st != sOK {
				return event.Value{}, st
			}
			return op(r, a, b)
		})
	}
	input, b := c.reg(), c.reg()
	return &node{multi: func(k cont) generator {
		inner := each(left, func(r *Runner, a event.Value) status {
			v, st := op(r, a, r.regs[b])
			switch st {
			case sOK:
				return k(r, v)
			case sNone:
				return sOK
			}
			return st
		})
		outer := each(right, func(r *Runner, v event.Value) status {
			r.regs[b] = v
			return inner(r, r.regs[input])
		})
		return func(r *Runner, in event.Value) status {
			r.regs[input] = in
			return outer(r, in)
		}
	}}
}
