package expr

import (
	"strings"

	"github.com/itchyny/gojq"

	"logtools/pkg/event"
)

// varE is the variable that a fold has an event's value in.
const varE = "$e"

// Fold is a compiled program that takes a state and an event to the next state.
// Like a Program it does not change, and may be shared by any number of goroutines,
// each with its own Runner.
type Fold struct {
	src  string
	use  *usage
	raw  *rawProgram // nil: not for the raw engine
	slow *slowProgram
}

// foldVars are the variables that a fold has.
var foldVars = [...]string{"$key", varE}

// CompileFold compiles a fold: a program with the state as `.`, the value of the
// event as $e, and its key as $key. The rest of the event is not there. The members
// of $e that it reads are added to fields. The error is a *SyntaxError.
func CompileFold(src string, fields *event.Fields) (*Fold, error) {
	q, use, err := parseProgram(src)
	if err != nil {
		return nil, err
	}
	f := &Fold{src: src, use: use}
	f.slow, err = compileSlow(src, q, use, foldVars[:])
	if err != nil {
		return nil, inFold(src, err)
	}
	f.slow.fold = true
	// What the raw engine calls the root is $e here, and `.` is the input. The
	// trial is that of Compile.
	if newCompiler(new(event.Fields)).program(q, false) != nil {
		f.raw = newCompiler(fields).program(q, false)
	}
	return f, nil
}

// inFold says of a variable that other programs have why it is not defined.
func inFold(src string, err error) error {
	if se, ok := err.(*SyntaxError); ok {
		for _, name := range envelope {
			if strings.HasSuffix(se.Msg, "variable not defined: "+name) {
				return syntaxErrorAt(src, name, -1, "%s is not available in a fold", name)
			}
		}
	}
	return err
}

// Uses is Program.Uses.
func (f *Fold) Uses(name string) bool { return f.use.names(name) }

// Fast says whether the fold runs on the raw bytes.
func (f *Fold) Fast() bool { return f.raw != nil }

// Source returns the fold's text.
func (f *Fold) Source() string { return f.src }

// Next returns the state after an event: the program's only result. Of the event its
// value, its slots and its key are looked at, and the length of its line. Any other
// number of results than one is an error, as is what the program fails with, a
// *event.BadError. The result is valid until r is Reset.
func (f *Fold) Next(r *Runner, state event.Value, ev *event.Event) (event.Value, error) {
	state = present(state)
	if f.raw != nil {
		r.ev = ev
		if v, st := f.raw.next(r, state); st == sOK {
			return v, nil
		}
	}
	r.state = state
	n := len(r.vals)
	err := f.slow.run(r, ev)
	vs := r.vals[n:]
	r.vals = r.vals[:n]
	if err != nil {
		return event.Value{}, err
	}
	if len(vs) != 1 {
		return event.Value{}, event.Bad("expected exactly one result, got %d", len(vs))
	}
	return vs[0], nil
}

// next gives the only result of a fold: sOK, or another status if gojq is to do it.
func (p *rawProgram) next(r *Runner, in event.Value) (event.Value, status) {
	p.begin(r)
	if p.fn != nil {
		v, st := p.fn(r, in)
		return present(v), st
	}
	n := len(r.vals)
	r.first = n
	st := p.append(r, in)
	vs := r.vals[n:]
	r.vals = r.vals[:n]
	if st != sOK || len(vs) != 1 {
		return event.Value{}, sBail
	}
	return vs[0], sOK
}

// Normal returns a program's text without comments and with the usual spaces: two
// texts that differ in nothing else are the same program. The error is a
// *SyntaxError.
func Normal(src string) (string, error) {
	q, err := parse(src)
	if err != nil {
		return "", err
	}
	if q.Term == nil && q.Op == 0 && len(q.FuncDefs) == 0 {
		q = termQuery(&gojq.Term{Type: gojq.TermTypeIdentity})
	}
	return q.String(), nil
}
