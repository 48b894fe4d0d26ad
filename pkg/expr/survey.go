package expr

import "github.com/itchyny/gojq"

// envelope are the variables that every program has.
var envelope = [...]string{"$key", "$time", "$offset", "$partition", "$log", "$headers", "$event"}

// usage is what a walk over a parse tree finds.
type usage struct {
	vars      map[string]bool // variables named anywhere, with their $
	calls     map[string]bool // functions called anywhere
	defs      map[string]bool // functions and parameters that the program defines
	forbidden string          // a function or variable that programs must not use
}

func forbidden(name string) bool {
	switch name {
	case "input", "inputs", "halt", "halt_error", "debug", "stderr", "input_line_number",
		"input_filename", "modulemeta", "get_search_list", "$__loc__", "$ENV", "env", "$__prog_args":
		return true
	}
	return false
}

func survey(q *gojq.Query) *usage {
	u := &usage{vars: make(map[string]bool), calls: make(map[string]bool), defs: make(map[string]bool)}
	u.query(q)
	return u
}

func (u *usage) name(s string) {
	if s == "" {
		return
	}
	if s[0] == '$' {
		u.vars[s] = true
	} else {
		u.calls[s] = true
	}
	if u.forbidden == "" && forbidden(s) {
		u.forbidden = s
	}
}

// names is Program.Uses.
func (u *usage) names(name string) bool { return u.vars[name] || u.calls[name] }

func (u *usage) query(q *gojq.Query) {
	if q == nil {
		return
	}
	for _, d := range q.FuncDefs {
		u.defs[d.Name] = true
		for _, a := range d.Args {
			u.defs[a] = true
			if a[0] == '$' {
				u.defs[a[1:]] = true
			}
		}
		u.query(d.Body)
	}
	u.query(q.Left)
	u.patterns(q.Patterns)
	u.query(q.Right)
	u.term(q.Term)
}

func (u *usage) patterns(ps []*gojq.Pattern) {
	for _, p := range ps {
		u.patterns(p.Array)
		for _, o := range p.Object {
			u.str(o.KeyString)
			u.query(o.KeyQuery)
			if o.Val != nil {
				u.patterns([]*gojq.Pattern{o.Val})
			}
		}
	}
}

func (u *usage) str(s *gojq.String) {
	if s != nil {
		for _, q := range s.Queries {
			u.query(q)
		}
	}
}

func (u *usage) index(x *gojq.Index) {
	if x != nil {
		u.str(x.Str)
		u.query(x.Start)
		u.query(x.End)
	}
}

func (u *usage) term(t *gojq.Term) {
	if t == nil {
		return
	}
	u.index(t.Index)
	if t.Func != nil {
		u.name(t.Func.Name)
		for _, a := range t.Func.Args {
			u.query(a)
		}
	}
	if t.Object != nil {
		for _, kv := range t.Object.KeyVals {
			if kv.Key != "" && kv.Key[0] == '$' {
				u.name(kv.Key)
			}
			u.str(kv.KeyString)
			u.query(kv.KeyQuery)
			u.query(kv.Val)
		}
	}
	if t.Array != nil {
		u.query(t.Array.Query)
	}
	if t.Unary != nil {
		u.term(t.Unary.Term)
	}
	u.str(t.Str)
	if t.If != nil {
		u.query(t.If.Cond)
		u.query(t.If.Then)
		for _, e := range t.If.Elif {
			u.query(e.Cond)
			u.query(e.Then)
		}
		u.query(t.If.Else)
	}
	if t.Try != nil {
		u.query(t.Try.Body)
		u.query(t.Try.Catch)
	}
	if t.Reduce != nil {
		u.query(t.Reduce.Query)
		u.patterns(t.Reduce.Patterns)
		u.query(t.Reduce.Start)
		u.query(t.Reduce.Update)
	}
	if t.Foreach != nil {
		u.query(t.Foreach.Query)
		u.patterns(t.Foreach.Patterns)
		u.query(t.Foreach.Start)
		u.query(t.Foreach.Update)
		u.query(t.Foreach.Extract)
	}
	if t.Label != nil {
		u.query(t.Label.Body)
	}
	u.query(t.Query)
	for _, s := range t.SuffixList {
		u.index(s.Index)
	}
}

// reads finds out which members of the event's value a program reads. It
// follows where the value itself (the root) flows: names looked up in it are
// noted, and as soon as it flows anywhere else the answer is "all of it".
//
// Each method returns whether the root may be among the results of its
// argument, given that the root is the input.
type reads struct {
	use   *usage
	all   bool
	names []string
}

// members returns the names, or all = true.
func members(q *gojq.Query, use *usage) (names []string, all bool) {
	rd := &reads{use: use}
	if use.vars["$event"] {
		return nil, true
	}
	if rd.query(q) { // the root itself is a result
		rd.all = true
	}
	return rd.names, rd.all
}

func (rd *reads) name(s string) {
	for _, n := range rd.names {
		if n == s {
			return
		}
	}
	rd.names = append(rd.names, s)
}

// whole is for results that must not be the root.
func (rd *reads) whole(root bool) bool {
	if root {
		rd.all = true
	}
	return false
}

func (rd *reads) query(q *gojq.Query) bool {
	if q == nil || rd.all {
		return false
	}
	if len(q.FuncDefs) > 0 {
		// What is called may look at its input as it likes.
		return rd.whole(true)
	}
	if q.Term != nil {
		return rd.term(q.Term)
	}
	switch q.Op {
	case gojq.OpPipe:
		if len(q.Patterns) > 0 {
			rd.whole(rd.query(q.Left))
			for _, p := range q.Patterns {
				if p.Name == "" {
					// Keys of patterns are computed on the root.
					return rd.whole(true)
				}
			}
			return rd.query(q.Right)
		}
		if rd.query(q.Left) {
			return rd.query(q.Right)
		}
		return false
	case gojq.OpComma, gojq.OpAlt:
		l := rd.query(q.Left)
		return rd.query(q.Right) || l
	case gojq.OpAnd, gojq.OpOr:
		// A part of an object is as true as all of it.
		rd.query(q.Left)
		rd.query(q.Right)
		return false
	case gojq.OpAdd, gojq.OpSub, gojq.OpMul, gojq.OpDiv, gojq.OpMod,
		gojq.OpEq, gojq.OpNe, gojq.OpGt, gojq.OpLt, gojq.OpGe, gojq.OpLe:
		rd.whole(rd.query(q.Left))
		return rd.whole(rd.query(q.Right))
	}
	return rd.whole(true) // assignments
}

func (rd *reads) term(t *gojq.Term) bool {
	if n := len(t.SuffixList); n > 0 {
		head := *t
		head.SuffixList = t.SuffixList[:n-1]
		s := t.SuffixList[n-1]
		root := rd.term(&head)
		switch {
		case s.Optional:
			return root
		case s.Iter:
			return rd.whole(root)
		}
		return rd.index(s.Index, root)
	}
	switch t.Type {
	case gojq.TermTypeIdentity:
		return true
	case gojq.TermTypeNull, gojq.TermTypeTrue, gojq.TermTypeFalse, gojq.TermTypeNumber, gojq.TermTypeBreak:
		return false
	case gojq.TermTypeIndex:
		return rd.index(t.Index, true)
	case gojq.TermTypeFunc:
		return rd.call(t.Func)
	case gojq.TermTypeObject:
		for _, kv := range t.Object.KeyVals {
			rd.member(kv)
		}
		return false
	case gojq.TermTypeArray:
		return rd.whole(rd.query(t.Array.Query))
	case gojq.TermTypeUnary:
		return rd.whole(rd.term(t.Unary.Term))
	case gojq.TermTypeString:
		return rd.str(t.Str)
	case gojq.TermTypeFormat:
		if t.Str == nil {
			return rd.whole(true)
		}
		return rd.str(t.Str)
	case gojq.TermTypeIf:
		rd.query(t.If.Cond)
		root := rd.query(t.If.Then)
		for _, e := range t.If.Elif {
			rd.query(e.Cond)
			root = rd.query(e.Then) || root
		}
		if t.If.Else == nil {
			return true
		}
		return rd.query(t.If.Else) || root
	case gojq.TermTypeTry:
		// What is caught is a message; no message tells of the root, since
		// everything that could fail on it makes it be read as a whole.
		return rd.query(t.Try.Body)
	case gojq.TermTypeLabel:
		return rd.query(t.Label.Body)
	case gojq.TermTypeQuery:
		return rd.query(t.Query)
	}
	return rd.whole(true)
}

func (rd *reads) str(s *gojq.String) bool {
	for _, q := range s.Queries {
		rd.whole(rd.query(q))
	}
	return false
}

// index is a lookup of x in the root (or in something else, if !root). The
// parts of x are computed with the root as input in any case.
func (rd *reads) index(x *gojq.Index, root bool) bool {
	if name, ok := constName(x); ok {
		if root {
			rd.name(name)
		}
		return false
	}
	if x.Str != nil {
		rd.str(x.Str)
	}
	rd.whole(rd.query(x.Start))
	rd.whole(rd.query(x.End))
	return rd.whole(root)
}

// constName returns the member that x looks up if that is written out.
func constName(x *gojq.Index) (string, bool) {
	switch {
	case x.Name != "":
		return x.Name, true
	case x.Str != nil:
		return x.Str.Str, x.Str.Queries == nil
	case !x.IsSlice && x.Start != nil:
		return constString(x.Start)
	}
	return "", false
}

// constString returns q's value if q is a string literal.
func constString(q *gojq.Query) (string, bool) {
	if q == nil || q.Term == nil || len(q.FuncDefs) > 0 || len(q.Term.SuffixList) > 0 ||
		q.Term.Type != gojq.TermTypeString || q.Term.Str.Queries != nil {
		return "", false
	}
	return q.Term.Str.Str, true
}

func (rd *reads) member(kv *gojq.ObjectKeyVal) {
	switch {
	case kv.Key != "":
		if kv.Val == nil && kv.Key[0] != '$' {
			rd.name(kv.Key)
		}
	case kv.KeyString != nil:
		rd.str(kv.KeyString)
		if kv.Val == nil {
			if kv.KeyString.Queries != nil {
				rd.whole(true)
			}
			rd.name(kv.KeyString.Str)
		}
	case kv.KeyQuery != nil:
		rd.whole(rd.query(kv.KeyQuery))
	}
	if kv.Val != nil {
		rd.whole(rd.query(kv.Val))
	}
}

func (rd *reads) call(f *gojq.Func) bool {
	if f.Name[0] == '$' {
		return false // bound to something that is no root
	}
	if rd.use.defs[f.Name] {
		return rd.whole(true)
	}
	args := f.Args
	switch f.Name {
	case "empty", "now", "nan", "infinite", "null", "true", "false", "not", "type":
		if len(args) == 0 {
			return false // of the root only its type matters
		}
	case "select":
		if len(args) == 1 {
			rd.query(args[0])
			return true
		}
	case "has":
		if len(args) == 1 {
			if name, ok := constString(args[0]); ok {
				rd.name(name)
				return false
			}
		}
	case "first", "last", "isempty", "add", "error":
		if len(args) == 1 {
			return rd.whole(rd.query(args[0]))
		}
	case "range":
		for _, a := range args {
			rd.whole(rd.query(a))
		}
		if len(args) > 0 {
			return false
		}
	case "limit", "skip", "nth":
		if len(args) == 2 {
			rd.whole(rd.query(args[0]))
			return rd.whole(rd.query(args[1]))
		}
	case "any", "all":
		if len(args) == 2 {
			rd.whole(rd.query(args[0])) // the condition sees only what this gives
			return false
		}
	}
	return rd.whole(true)
}
