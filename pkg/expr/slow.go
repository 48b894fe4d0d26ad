package expr

import (
	"context"
	"fmt"
	"time"

	"github.com/itchyny/gojq"

	"logtools/pkg/event"
)

// slowProgram is the gojq engine: gojq's virtual machine over decoded values.
type slowProgram struct {
	code  *gojq.Code
	vars  []string // the envelope variables that it is given, in order
	whole bool     // decode the whole value, not only members
	// members are the members of the value that the program reads.
	members []slot
}

type slot struct {
	name string
	n    int
}

func compileSlow(src string, q *gojq.Query, use *usage) (s *slowProgram, err error) {
	defer func() {
		if x := recover(); x != nil {
			s, err = nil, &SyntaxError{Src: src, Msg: oneLine(fmt.Sprintf("program cannot be compiled: %v", x))}
		}
	}()
	s = &slowProgram{whole: true}
	for _, name := range envelope {
		if use.vars[name] {
			s.vars = append(s.vars, name)
		}
	}
	// First as it is written, for the right message if something is wrong.
	if _, err := gojq.Compile(q, gojq.WithVariables(s.vars)); err != nil {
		return nil, fromCompileError(src, err)
	}
	s.code, err = gojq.Compile(keepOrder(q), append(orderFuncs(), gojq.WithVariables(s.vars))...)
	if err != nil {
		return nil, fromCompileError(src, err)
	}
	return s, nil
}

// ask asks for the members that the program reads, if that is not all of them.
func (s *slowProgram) ask(q *gojq.Query, use *usage, fields *event.Fields) {
	names, all := members(q, use)
	if s.whole = all; all {
		return
	}
	for _, name := range names {
		s.members = append(s.members, slot{name, fields.Add(name)})
	}
}

// test is Program.Test.
func (s *slowProgram) test(r *Runner, ev *event.Event) (bool, error) {
	found := false
	err := s.each(r, ev, func(x any) error {
		if x != nil && x != false {
			found = true
		}
		return nil
	})
	return found && err == nil, err
}

// run appends the results to r.vals.
func (s *slowProgram) run(r *Runner, ev *event.Event) error {
	return s.each(r, ev, func(x any) error {
		v, err := r.encode(x)
		if err == nil {
			r.vals = append(r.vals, v)
		}
		return err
	})
}

// each calls yield with each result, and returns the error that ends them.
func (s *slowProgram) each(r *Runner, ev *event.Event, yield func(any) error) error {
	n := len(r.vals)
	err := s.once(r, ev, s.whole, yield)
	if err != nil && !s.whole {
		// Once more over the whole value: the message may quote it.
		r.vals = r.vals[:n]
		if err2 := s.once(r, ev, true, yield); err2 != nil {
			err = err2
		}
	}
	return err
}

func (s *slowProgram) once(r *Runner, ev *event.Event, whole bool, yield func(any) error) (err error) {
	defer func() {
		// gojq must not take the process down, whatever it stumbles over.
		if x := recover(); x != nil {
			err = event.Bad("program failed: %v", x)
		}
	}()
	in, err := s.input(r, ev, whole)
	if err != nil {
		return err
	}
	var vars [len(envelope)]any
	for i, name := range s.vars {
		if vars[i], err = r.decode(r.envelope(ev, name)); err != nil {
			return err
		}
	}
	r.budget.left = maxSteps + stepsPerByte*int64(len(ev.Line))
	it := s.code.RunWithContext(&r.budget, in, vars[:len(s.vars)]...)
	for n := 0; ; n++ {
		x, ok := it.Next()
		if !ok {
			return nil
		}
		if err, ok := x.(error); ok {
			return &event.BadError{Reason: err.Error()}
		}
		if n >= maxResults {
			return errResults
		}
		if err := yield(x); err != nil {
			return err
		}
	}
}

var errResults = &event.BadError{Reason: fmt.Sprintf("program gives more than %d results", maxResults)}

func (s *slowProgram) input(r *Runner, ev *event.Event, whole bool) (any, error) {
	if whole || !ev.IsObject() {
		return r.decode(ev.Value())
	}
	// Nothing keeps the root when only members of it are read, so that one map
	// serves all events.
	if r.root == nil {
		r.root = make(map[string]any)
	}
	clear(r.root)
	for _, m := range s.members {
		if v := ev.Slots[m.n]; v.Kind != event.Missing {
			x, err := r.decode(v)
			if err != nil {
				return nil, err
			}
			r.root[m.name] = x
		}
	}
	return r.root, nil
}

// budget ends programs that do not end: gojq asks for Done before each step.
type budget struct{ left int64 }

var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (b *budget) Done() <-chan struct{} {
	if b.left--; b.left >= 0 {
		return nil
	}
	return closed
}

type budgetError struct{}

func (budgetError) Error() string { return "program takes too many steps" }

func (b *budget) Err() error {
	if b.left < 0 {
		return budgetError{}
	}
	return nil
}

func (b *budget) Deadline() (t time.Time, ok bool) { return }

func (b *budget) Value(any) any { return nil }

var _ context.Context = (*budget)(nil)
