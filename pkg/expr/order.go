package expr

import (
	"slices"

	"github.com/itchyny/gojq"
)

// gojq's objects are Go maps, which have no order. So that an object built by
// the outermost expression keeps the order in which it is written, keepOrder
// turns the object literals there, whose values go nowhere but out, into calls
// of functions of ours that return *ordered, a type that gojq only hands
// through.

// ordered is an object with the order of its members.
type ordered struct {
	names []string
	vals  []any
}

// parts are the members of an object before its names have been checked.
type parts struct{ names, vals []any }

// pair is the name and value of a member written as "a\(b)" alone.
type pair struct{ name, val any }

const (
	fnObject = "%object" // (vN; nameN; … v1; name1) → *ordered
	fnParts  = "%parts"  // the same → *parts
	fnJoin   = "%join"   // (later *parts; earlier *parts) → *parts
	fnMake   = "%make"   // (*parts) → *ordered
	fnPair   = "%pair"   // (name; value) → *pair
	varPair  = "$%pair"

	maxMembers = 15 // of one call: gojq allows 30 arguments
)

func orderFuncs() []gojq.CompilerOption {
	return []gojq.CompilerOption{
		gojq.WithFunction(fnObject, 0, 2*maxMembers, func(_ any, args []any) any { return newParts(args).object() }),
		gojq.WithFunction(fnParts, 0, 2*maxMembers, func(_ any, args []any) any { return newParts(args) }),
		gojq.WithFunction(fnJoin, 2, 2, func(_ any, args []any) any {
			later, earlier := args[0].(*parts), args[1].(*parts)
			return &parts{
				slices.Concat(earlier.names, later.names),
				slices.Concat(earlier.vals, later.vals),
			}
		}),
		gojq.WithFunction(fnMake, 1, 1, func(_ any, args []any) any { return args[0].(*parts).object() }),
		gojq.WithFunction(fnPair, 2, 2, func(_ any, args []any) any { return &pair{args[0], args[1]} }),
	}
}

func newParts(args []any) *parts {
	p := &parts{make([]any, 0, len(args)/2), make([]any, 0, len(args)/2)}
	for i := len(args) - 1; i > 0; i -= 2 {
		name, val := args[i], args[i-1]
		if x, ok := name.(*pair); ok {
			name, val = x.name, x.val
		}
		p.names = append(p.names, name)
		p.vals = append(p.vals, val)
	}
	return p
}

// object returns an *ordered or an error. Of members with the same name the
// last one counts, at the place of the first.
func (p *parts) object() any {
	for _, name := range slices.Backward(p.names) {
		if _, ok := name.(string); !ok {
			return keyError{name}
		}
	}
	o := &ordered{make([]string, 0, len(p.names)), make([]any, 0, len(p.names))}
	for i, name := range p.names {
		if k := slices.Index(o.names, name.(string)); k >= 0 {
			o.vals[k] = p.vals[i]
			continue
		}
		o.names = append(o.names, name.(string))
		o.vals = append(o.vals, p.vals[i])
	}
	return o
}

type keyError struct{ v any }

// Error has gojq's words for the same mistake.
func (e keyError) Error() string {
	const msg = "expected a string for object key but got: "
	if e.v == nil {
		return msg + "null"
	}
	if _, ok := e.v.(*ordered); ok {
		return msg + "object"
	}
	return msg + gojq.TypeOf(e.v) + " (" + gojq.Preview(e.v) + ")"
}

// keepOrder returns a copy of q in which the outermost object literals are
// calls. It leaves q as it is.
func keepOrder(q *gojq.Query) *gojq.Query {
	if q == nil {
		return nil
	}
	c := *q
	switch {
	case q.Term != nil:
		c.Term = keepOrderTerm(q.Term)
	case q.Op == gojq.OpPipe:
		c.Right = keepOrder(q.Right)
	case q.Op == gojq.OpComma || q.Op == gojq.OpAlt:
		c.Left, c.Right = keepOrder(q.Left), keepOrder(q.Right)
	}
	return &c
}

func keepOrderTerm(t *gojq.Term) *gojq.Term {
	if len(t.SuffixList) > 0 {
		return t
	}
	c := *t
	switch t.Type {
	case gojq.TermTypeObject:
		if len(t.Object.KeyVals) > 0 {
			return objectCall(t.Object.KeyVals)
		}
	case gojq.TermTypeArray:
		c.Array = &gojq.Array{Query: keepOrder(t.Array.Query)}
	case gojq.TermTypeQuery:
		c.Query = keepOrder(t.Query)
	case gojq.TermTypeIf:
		x := *t.If
		x.Then, x.Else = keepOrder(x.Then), keepOrder(x.Else)
		x.Elif = nil
		for _, e := range t.If.Elif {
			x.Elif = append(x.Elif, &gojq.IfElif{Cond: e.Cond, Then: keepOrder(e.Then)})
		}
		c.If = &x
	case gojq.TermTypeTry:
		c.Try = &gojq.Try{Body: keepOrder(t.Try.Body), Catch: keepOrder(t.Try.Catch)}
	case gojq.TermTypeLabel:
		c.Label = &gojq.Label{Ident: t.Label.Ident, Body: keepOrder(t.Label.Body)}
	case gojq.TermTypeForeach:
		x := *t.Foreach
		x.Extract = keepOrder(x.Extract)
		c.Foreach = &x
	}
	return &c
}

func objectCall(kvs []*gojq.ObjectKeyVal) *gojq.Term {
	var args []*gojq.Query // name1, v1, … in the order of evaluation
	for _, kv := range kvs {
		name, val := memberQueries(kv)
		args = append(args, name, val)
	}
	if len(kvs) <= maxMembers {
		return backwards(fnObject, args)
	}
	all := backwards(fnParts, args[:2*maxMembers])
	for rest := args[2*maxMembers:]; len(rest) > 0; {
		n := min(len(rest), 2*maxMembers)
		all = call(fnJoin, termQuery(backwards(fnParts, rest[:n])), termQuery(all))
		rest = rest[n:]
	}
	return call(fnMake, termQuery(all))
}

// memberQueries returns the two expressions that {kv} stands for.
func memberQueries(kv *gojq.ObjectKeyVal) (name, val *gojq.Query) {
	val = keepOrder(kv.Val)
	switch {
	case kv.Key != "" && kv.Key[0] == '$':
		v := termQuery(call(kv.Key))
		if val != nil {
			return v, val
		}
		return stringQuery(kv.Key[1:]), v
	case kv.Key != "":
		if val == nil {
			val = termQuery(&gojq.Term{Type: gojq.TermTypeIndex, Index: &gojq.Index{Name: kv.Key}})
		}
		return stringQuery(kv.Key), val
	case kv.KeyString != nil:
		s := termQuery(&gojq.Term{Type: gojq.TermTypeString, Str: kv.KeyString})
		if val != nil {
			return s, val
		}
		if kv.KeyString.Queries == nil {
			return s, termQuery(&gojq.Term{Type: gojq.TermTypeIndex, Index: &gojq.Index{Str: kv.KeyString}})
		}
		v := termQuery(call(varPair))
		look := termQuery(&gojq.Term{Type: gojq.TermTypeIndex, Index: &gojq.Index{Start: v}})
		return &gojq.Query{
			Left: s, Op: gojq.OpPipe, Patterns: []*gojq.Pattern{{Name: varPair}},
			Right: termQuery(call(fnPair, v, look)),
		}, termQuery(&gojq.Term{Type: gojq.TermTypeNull})
	}
	return kv.KeyQuery, val
}

// backwards calls a function so that its arguments are evaluated in the order
// given: gojq evaluates the last one first.
func backwards(name string, args []*gojq.Query) *gojq.Term {
	args = slices.Clone(args)
	slices.Reverse(args)
	return call(name, args...)
}

func call(name string, args ...*gojq.Query) *gojq.Term {
	return &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: name, Args: args}}
}

func termQuery(t *gojq.Term) *gojq.Query { return &gojq.Query{Term: t} }

func stringQuery(s string) *gojq.Query {
	return termQuery(&gojq.Term{Type: gojq.TermTypeString, Str: &gojq.String{Str: s}})
}
