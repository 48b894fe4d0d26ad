package expr

import (
	"strings"

	"github.com/itchyny/gojq"
)

// Column is one part of a group expression.
type Column struct {
	Name string // what the column is called
	Expr string // the program that gives its value
}

// Columns splits src, as given to -g, at its top-level commas, or a single
// object literal into its members. A part that is a path is named after its last
// name (.a.b[0] is b), a variable after itself without its $, any other part
// after its text; a member of an object after itself. It is a *SyntaxError if
// two columns have the same name. The parts are parsed but not compiled.
func Columns(src string) ([]Column, error) {
	q, err := parse(src)
	if err != nil {
		return nil, err
	}
	if q.Term == nil && q.Op == 0 {
		return nil, &SyntaxError{Src: src, Offset: len(src), Msg: "no column is named"}
	}
	var cols []Column
	if kvs := objectLiteral(q); kvs != nil {
		for _, kv := range kvs {
			c, ok := memberColumn(kv)
			if !ok {
				return nil, &SyntaxError{Src: src, Offset: len(src) - len(strings.TrimLeft(src, " \t\r\n")), Msg: "a column's name must be written out"}
			}
			cols = append(cols, c)
		}
	} else {
		leaves := commaParts(nil, q)
		texts := splitCommas(src, len(leaves))
		for i, leaf := range leaves {
			// The user's own spelling, unless it does not mean the same.
			text := leaf.String()
			if texts != nil {
				if own, err := gojq.Parse(texts[i]); err == nil && own.String() == text {
					text = texts[i]
				}
			}
			name, ok := pathName(leaf)
			if !ok {
				name = text
			}
			cols = append(cols, Column{name, text})
		}
	}
	seen := make(map[string]bool)
	for _, c := range cols {
		if seen[c.Name] {
			at := max(strings.LastIndex(src, c.Name), 0)
			return nil, &SyntaxError{Src: src, Offset: at, Msg: "two columns are called " + c.Name + "; name them: {a: …, b: …}"}
		}
		seen[c.Name] = true
	}
	return cols, nil
}

func objectLiteral(q *gojq.Query) []*gojq.ObjectKeyVal {
	if q.Term != nil && len(q.FuncDefs) == 0 && q.Term.Type == gojq.TermTypeObject && len(q.Term.SuffixList) == 0 {
		return q.Term.Object.KeyVals
	}
	return nil
}

func memberColumn(kv *gojq.ObjectKeyVal) (Column, bool) {
	name, val := memberQueries(kv)
	s, ok := constString(name)
	if !ok {
		return Column{}, false
	}
	if kv.Val != nil {
		val = kv.Val // as it was, without changes made for the order of members
	}
	return Column{s, val.String()}, true
}

// commaParts appends the operands of the commas at the top of q.
func commaParts(parts []*gojq.Query, q *gojq.Query) []*gojq.Query {
	if q.Term == nil && q.Op == gojq.OpComma && len(q.FuncDefs) == 0 {
		return commaParts(commaParts(parts, q.Left), q.Right)
	}
	return append(parts, q)
}

// splitCommas cuts src at the commas outside of all brackets; nil if that does
// not give n parts, as with a comma between then and else.
func splitCommas(src string, n int) []string {
	if n == 1 {
		return []string{strings.TrimSpace(src)}
	}
	var parts []string
	depth, start := 0, 0
	for _, t := range tokens(src) {
		switch t.kind {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
		case 'a':
			switch src[t.pos:t.end] {
			case "if":
				depth++
			case "end":
				depth--
			}
		case ',':
			if depth == 0 {
				parts = append(parts, strings.TrimSpace(src[start:t.pos]))
				start = t.end
			}
		}
	}
	parts = append(parts, strings.TrimSpace(src[start:]))
	if len(parts) != n {
		return nil
	}
	return parts
}

// pathName returns the last name of a path.
func pathName(q *gojq.Query) (string, bool) {
	t := q.Term
	if t == nil || len(q.FuncDefs) > 0 {
		return "", false
	}
	name := ""
	switch t.Type {
	case gojq.TermTypeIdentity:
	case gojq.TermTypeIndex:
		if !pathStep(t.Index, &name) {
			return "", false
		}
	case gojq.TermTypeFunc:
		if t.Func.Name[0] != '$' {
			return "", false
		}
		name = t.Func.Name[1:]
	default:
		return "", false
	}
	for _, s := range t.SuffixList {
		if s.Index != nil && !pathStep(s.Index, &name) {
			return "", false
		}
	}
	return name, name != ""
}

func pathStep(x *gojq.Index, name *string) bool {
	if s, ok := constName(x); ok {
		*name = s
		return true
	}
	return !x.IsSlice && x.Str == nil && x.Start.Term != nil && x.Start.Term.Type == gojq.TermTypeNumber
}
