package expr

import "github.com/itchyny/gojq"

// Assigns says whether the outermost operation of a program is an assignment
// (= |= += and so on). As a condition that is never meant: it is true of every
// object.
func (p *Program) Assigns() bool {
	q, err := parse(p.src)
	for err == nil && q != nil && q.Term == nil && q.Op == gojq.OpPipe {
		q = q.Right
	}
	if err != nil || q == nil || q.Term != nil {
		return false
	}
	switch q.Op {
	case gojq.OpAssign, gojq.OpModify, gojq.OpUpdateAdd, gojq.OpUpdateSub, gojq.OpUpdateMul, gojq.OpUpdateDiv, gojq.OpUpdateMod, gojq.OpUpdateAlt:
		return true
	}
	return false
}
