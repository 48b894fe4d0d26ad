package expr

import (
	"math"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"

	"logtools/pkg/event"
)

// compiler turns gojq's parse tree into nodes. What it does not know makes it
// panic with unsupported, which compileRaw catches: then the program is gojq's.
type compiler struct {
	fields *event.Fields
	nregs  int
	scope  []binding

	// final: what is compiled next is the outermost expression, or its values
	// go into an array or object that is, so that nothing looks at them any
	// more (see losesType). It holds for one call of query, term or call.
	final bool
}

type unsupported struct{}

// binding is a variable bound with `as`, and the register that holds it.
type binding struct {
	name string
	reg  int
}

func (c *compiler) reg() int {
	c.nregs++
	return c.nregs - 1
}

// takeFinal returns c.final and makes it hold no longer.
func (c *compiler) takeFinal() bool {
	final := c.final
	c.final = false
	return final
}

// query compiles q; root says that `.` is the event's value.
func (c *compiler) query(q *gojq.Query, root bool) *node {
	final := c.takeFinal()
	if q == nil || len(q.FuncDefs) > 0 {
		panic(unsupported{})
	}
	passOn := func(q *gojq.Query, root bool) *node {
		c.final = final
		return c.query(q, root)
	}
	if q.Term != nil {
		c.final = final
		return c.term(q.Term, root)
	}
	switch q.Op {
	case gojq.OpPipe:
		left := c.query(q.Left, root)
		if len(q.Patterns) > 0 {
			c.final = final
			return c.bind(left, q, root)
		}
		right := passOn(q.Right, left.root)
		return c.pipe(left, right)
	case gojq.OpComma:
		left := passOn(q.Left, root)
		right := passOn(q.Right, root)
		return &node{multi: func(k cont) generator {
			first, second := each(left, k), each(right, k)
			return func(r *Runner, in event.Value) status {
				if st := first(r, in); st != sOK {
					return st
				}
				return second(r, in)
			}
		}}
	case gojq.OpAlt:
		left := passOn(q.Left, root)
		return c.alternative(left, passOn(q.Right, root))
	case gojq.OpAssign, gojq.OpModify, gojq.OpUpdateAdd, gojq.OpUpdateSub,
		gojq.OpUpdateMul, gojq.OpUpdateDiv, gojq.OpUpdateMod, gojq.OpUpdateAlt:
		return c.update(q, root, final)
	case gojq.OpAnd:
		return c.and(c.query(q.Left, root), c.query(q.Right, root))
	case gojq.OpOr:
		return c.or(c.query(q.Left, root), c.query(q.Right, root))
	case gojq.OpAdd:
		return c.binary(c.query(q.Left, root), c.query(q.Right, root), add)
	case gojq.OpSub:
		return c.binary(c.query(q.Left, root), c.query(q.Right, root), subtract)
	case gojq.OpMul:
		return c.binary(c.query(q.Left, root), c.query(q.Right, root), multiply)
	case gojq.OpDiv:
		return c.binary(c.query(q.Left, root), c.query(q.Right, root), divide)
	case gojq.OpMod:
		return c.binary(c.query(q.Left, root), c.query(q.Right, root), modulo)
	case gojq.OpEq:
		return c.comparison(c.query(q.Left, root), c.query(q.Right, root), isEqual)
	case gojq.OpNe:
		return c.comparison(c.query(q.Left, root), c.query(q.Right, root), isLess|isGreater)
	case gojq.OpLt:
		return c.comparison(c.query(q.Left, root), c.query(q.Right, root), isLess)
	case gojq.OpLe:
		return c.comparison(c.query(q.Left, root), c.query(q.Right, root), isLess|isEqual)
	case gojq.OpGt:
		return c.comparison(c.query(q.Left, root), c.query(q.Right, root), isGreater)
	case gojq.OpGe:
		return c.comparison(c.query(q.Left, root), c.query(q.Right, root), isGreater|isEqual)
	}
	panic(unsupported{})
}

func (c *compiler) term(t *gojq.Term, root bool) *node {
	final := c.takeFinal()
	if n := len(t.SuffixList); n > 0 {
		return c.suffix(t, root)
	}
	switch t.Type {
	case gojq.TermTypeIdentity:
		if root {
			return rootNode(nil)
		}
		return singleNode(func(_ *Runner, in event.Value) (event.Value, status) { return in, sOK })
	case gojq.TermTypeNull:
		return konstNode(event.Value{Kind: event.Null})
	case gojq.TermTypeTrue:
		return konstNode(event.BoolValue(true))
	case gojq.TermTypeFalse:
		return konstNode(event.BoolValue(false))
	case gojq.TermTypeNumber:
		if v, ok := constNumber(t.Number); ok {
			return konstNode(v)
		}
	case gojq.TermTypeUnary:
		return c.unary(t.Unary, root)
	case gojq.TermTypeIndex:
		return c.index(c.term(&gojq.Term{Type: gojq.TermTypeIdentity}, root), t.Index, root)
	case gojq.TermTypeFunc:
		c.final = final
		return c.call(t.Func, root)
	case gojq.TermTypeObject:
		return c.object(t.Object, root, final)
	case gojq.TermTypeArray:
		return c.array(t.Array, root, final)
	case gojq.TermTypeString:
		return c.str(t.Str, root)
	case gojq.TermTypeIf:
		return c.ifThen(t.If, root, final)
	case gojq.TermTypeTry:
		if t.Try.Catch == nil {
			c.final = final
			return c.try(c.query(t.Try.Body, root))
		}
	case gojq.TermTypeRecurse:
		return recurse(c.term(&gojq.Term{Type: gojq.TermTypeIdentity}, root))
	case gojq.TermTypeReduce:
		return c.reduce(t.Reduce, root)
	case gojq.TermTypeForeach:
		c.final = final
		return c.foreach(t.Foreach, root)
	case gojq.TermTypeFormat:
		if t.Str == nil && t.Format == "@json" {
			return then(c.term(&gojq.Term{Type: gojq.TermTypeIdentity}, root), tojson)
		}
	case gojq.TermTypeQuery:
		defer c.unbind(len(c.scope))
		c.final = final
		return c.query(t.Query, root)
	}
	panic(unsupported{})
}

func (c *compiler) suffix(t *gojq.Term, root bool) *node {
	head := *t
	last := t.SuffixList[len(t.SuffixList)-1]
	head.SuffixList = t.SuffixList[:len(t.SuffixList)-1]
	switch {
	case last.Iter:
		return iterate(c.term(&head, root), false)
	case last.Index != nil:
		return c.index(c.term(&head, root), last.Index, root)
	}
	// x?: of a path only the last step is tried.
	n := len(head.SuffixList)
	if n == 0 {
		if head.Type == gojq.TermTypeIndex {
			return c.tryIndex(c.term(&gojq.Term{Type: gojq.TermTypeIdentity}, root), head.Index)
		}
		return c.try(c.term(&head, root))
	}
	step := head.SuffixList[n-1]
	if step.Optional {
		return c.try(c.term(&head, root))
	}
	head.SuffixList = head.SuffixList[:n-1]
	before := c.term(&head, root)
	if step.Iter {
		return iterate(before, true)
	}
	return c.tryIndex(before, step.Index)
}

// pipe is left | right, where right was compiled for left's kind of result.
func (c *compiler) pipe(left, right *node) *node {
	if left.root {
		gate := left.gate
		switch {
		case gate == nil:
			return right
		case right.root:
			rg := right.gate
			return rootNode(func(r *Runner, in event.Value) status {
				if st := gate(r, in); st != sOK || rg == nil {
					return st
				}
				return rg(r, in)
			})
		case right.fn != nil:
			fn := right.fn
			return singleNode(func(r *Runner, in event.Value) (event.Value, status) {
				if st := gate(r, in); st != sOK {
					return event.Value{}, st
				}
				return fn(r, in)
			})
		}
		return &node{multi: func(k cont) generator {
			g := right.multi(k)
			return func(r *Runner, in event.Value) status {
				switch st := gate(r, in); st {
				case sOK:
					return g(r, in)
				case sNone:
					return sOK
				default:
					return st
				}
			}
		}}
	}
	if right.fn != nil {
		n := then(left, right.fn)
		if left.fn != nil && right.cond != nil {
			lf, rc := left.fn, right.cond
			n.cond = func(r *Runner, in event.Value) status {
				v, st := lf(r, in)
				if st != sOK {
					return st
				}
				return rc(r, v)
			}
		}
		return n
	}
	return &node{multi: func(k cont) generator {
		g := right.multi(k)
		return each(left, func(r *Runner, v event.Value) status { return g(r, v) })
	}}
}

func (c *compiler) unbind(n int) { c.scope = c.scope[:n] }

// bind is left as $name | right.
func (c *compiler) bind(left *node, q *gojq.Query, root bool) *node {
	final := c.takeFinal()
	if len(q.Patterns) != 1 || q.Patterns[0].Name == "" {
		panic(unsupported{})
	}
	defer c.unbind(len(c.scope))
	b := binding{q.Patterns[0].Name, c.reg()}
	c.scope = append(c.scope, b)
	c.final = final
	right := c.query(q.Right, root)
	if left.fn != nil && right.root {
		lf, gate := left.fn, right.gate
		return rootNode(func(r *Runner, in event.Value) status {
			v, st := lf(r, in)
			if st != sOK {
				return st
			}
			r.regs[b.reg] = v
			if gate != nil {
				st = gate(r, in)
			}
			return st
		})
	}
	if left.fn != nil && right.fn != nil {
		lf, rf := left.fn, right.fn
		return singleNode(func(r *Runner, in event.Value) (event.Value, status) {
			v, st := lf(r, in)
			if st != sOK {
				return event.Value{}, st
			}
			r.regs[b.reg] = v
			return rf(r, in)
		})
	}
	input := c.reg()
	return &node{multi: func(k cont) generator {
		g := each(right, k)
		outer := each(left, func(r *Runner, v event.Value) status {
			r.regs[b.reg] = v
			return g(r, r.regs[input])
		})
		return func(r *Runner, in event.Value) status {
			r.regs[input] = in
			return outer(r, in)
		}
	}}
}

// alternative is left // right. As in gojq, an error on the left is one.
func (c *compiler) alternative(left, right *node) *node {
	if left.fn != nil && right.fn != nil {
		lf, rf := left.fn, right.fn
		return singleNode(func(r *Runner, in event.Value) (event.Value, status) {
			v, st := lf(r, in)
			if st == sNone || st == sOK && !v.Truthy() {
				return rf(r, in)
			}
			return v, st
		})
	}
	found := c.reg()
	return &node{multi: func(k cont) generator {
		first := each(left, func(r *Runner, v event.Value) status {
			if !v.Truthy() {
				return sOK
			}
			r.regs[found].Kind = event.True
			return k(r, v)
		})
		second := each(right, k)
		return func(r *Runner, in event.Value) status {
			r.regs[found].Kind = event.False
			if st := first(r, in); st != sOK || r.regs[found].Kind == event.True {
				return st
			}
			return second(r, in)
		}
	}}
}

func (c *compiler) and(left, right *node) *node {
	if left.fn == nil || right.fn == nil {
		return c.branch(left, c.booleans(right), konstNode(event.BoolValue(false)))
	}
	l, rt := truth(left), truth(right)
	return condNode(func(r *Runner, in event.Value) status {
		if st := l(r, in); st != sTrue {
			return st
		}
		return rt(r, in)
	})
}

func (c *compiler) or(left, right *node) *node {
	if left.fn == nil || right.fn == nil {
		return c.branch(left, konstNode(event.BoolValue(true)), c.booleans(right))
	}
	l, rt := truth(left), truth(right)
	return condNode(func(r *Runner, in event.Value) status {
		if st := l(r, in); st != sFalse {
			return st
		}
		return rt(r, in)
	})
}

// booleans turns n's results into true and false.
func (c *compiler) booleans(n *node) *node {
	return then(n, func(_ *Runner, v event.Value) (event.Value, status) {
		return event.BoolValue(v.Truthy()), sOK
	})
}

func (c *compiler) ifThen(t *gojq.If, root, final bool) *node {
	scoped := func(q *gojq.Query) *node {
		defer c.unbind(len(c.scope))
		return c.query(q, root)
	}
	test := scoped(t.Cond)
	c.final = final
	then := scoped(t.Then)
	var other *node
	switch {
	case len(t.Elif) > 0:
		other = c.ifThen(&gojq.If{Cond: t.Elif[0].Cond, Then: t.Elif[0].Then, Elif: t.Elif[1:], Else: t.Else}, root, final)
	case t.Else != nil:
		c.final = final
		other = scoped(t.Else)
	default:
		other = c.term(&gojq.Term{Type: gojq.TermTypeIdentity}, root)
	}
	return c.branch(test, then, other)
}

func (c *compiler) branch(test, then, other *node) *node {
	if test.fn != nil && then.fn != nil && other.fn != nil {
		t, yes, no := truth(test), then.fn, other.fn
		return singleNode(func(r *Runner, in event.Value) (event.Value, status) {
			switch st := t(r, in); st {
			case sTrue:
				return yes(r, in)
			case sFalse:
				return no(r, in)
			default:
				return event.Value{}, st
			}
		})
	}
	input := c.reg()
	return &node{multi: func(k cont) generator {
		yes, no := each(then, k), each(other, k)
		outer := each(test, func(r *Runner, v event.Value) status {
			if v.Truthy() {
				return yes(r, r.regs[input])
			}
			return no(r, r.regs[input])
		})
		return func(r *Runner, in event.Value) status {
			r.regs[input] = in
			return outer(r, in)
		}
	}}
}

// try is n?: an error ends n's results, without being one.
func (c *compiler) try(n *node) *node {
	if n.fn != nil {
		fn := n.fn
		return singleNode(func(r *Runner, in event.Value) (event.Value, status) {
			v, st := fn(r, in)
			if st == sErr {
				st = sNone
			}
			return v, st
		})
	}
	return &node{multi: func(k cont) generator {
		g := n.multi(func(r *Runner, v event.Value) status {
			st := k(r, v)
			if st == sErr {
				// This one came from behind the ?, which must not catch it.
				st = sBail
			}
			return st
		})
		return func(r *Runner, in event.Value) status {
			st := g(r, in)
			if st == sErr {
				st = sOK
			}
			return st
		}
	}}
}

// constNumber returns the value of a number in a program. Big integers and
// numbers beyond float64 are left to gojq.
func constNumber(s string) (event.Value, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return event.IntValue(n), true
	}
	if strings.ContainsAny(s, ".eE") {
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			return event.FloatValue(f), true
		}
	}
	return event.Value{}, false
}

func (c *compiler) unary(u *gojq.Unary, root bool) *node {
	minus := u.Op == gojq.OpSub
	if u.Term.Type == gojq.TermTypeNumber && len(u.Term.SuffixList) == 0 {
		v, ok := constNumber(u.Term.Number)
		if !ok {
			panic(unsupported{})
		}
		if minus && v.Form == event.Int {
			v = event.IntValue(-int64(v.N)) // what was read is not negative
		} else if minus {
			v = event.FloatValue(-math.Float64frombits(v.N))
		}
		return konstNode(v)
	}
	return then(c.term(u.Term, root), func(r *Runner, v event.Value) (event.Value, status) {
		if v.Kind != event.Number {
			return event.Value{}, sErr
		}
		if minus {
			return negate(r, v)
		}
		return v, sOK
	})
}

// constInt returns q's value if q is an integer literal.
func constInt(q *gojq.Query) (int64, bool) {
	if q == nil || q.Term == nil || len(q.FuncDefs) > 0 || len(q.Term.SuffixList) > 0 {
		return 0, false
	}
	t, sign := q.Term, int64(1)
	if t.Type == gojq.TermTypeUnary {
		if t.Unary.Op == gojq.OpSub {
			sign = -1
		}
		t = t.Unary.Term
	}
	if t.Type != gojq.TermTypeNumber || len(t.SuffixList) > 0 {
		return 0, false
	}
	n, err := strconv.ParseInt(t.Number, 10, 32)
	return n * sign, err == nil
}
