package expr

import (
	"context"
	"fmt"
	"time"

	"github.com/itchyny/gojq"

	"logtools/pkg/event"
)

// slowProgram is the gojq engine: gojq's virtual machine over decoded values.
//
// gojq makes a new virtual machine for each run, which costs more than a short
// program takes. So what is compiled is not the program but, in gojq's terms,
//
//	%each as [$%in, $key, …] | $%in | (PROGRAM, %end)
//
// where %each gives one event after the other: a machine that has run into %end
// is ready for the next event (see session).
type slowProgram struct {
	code  *gojq.Code
	vars  []string // the envelope variables that it is given, in order
	whole bool     // decode the whole value, not only members
	fold  bool     // the input is the runner's state
	// members are the members of the value that the program reads.
	members []slot
}

const (
	fnEach = "%each"
	fnEnd  = "%end"
	varIn  = "$%in"
)

// eventEnd is what comes out of a machine behind the last result for an event.
type eventEnd struct{}

// forever returns the program that runs q on one event after the other.
func forever(q *gojq.Query, vars []string) *gojq.Query {
	body := termQuery(&gojq.Term{Type: gojq.TermTypeQuery, Query: &gojq.Query{
		Left:  termQuery(&gojq.Term{Type: gojq.TermTypeQuery, Query: q}),
		Op:    gojq.OpComma,
		Right: termQuery(call(fnEnd)),
	}})
	if len(vars) == 0 {
		return &gojq.Query{Left: termQuery(call(fnEach)), Op: gojq.OpPipe, Right: body}
	}
	given := &gojq.Pattern{Array: []*gojq.Pattern{{Name: varIn}}}
	for _, name := range vars {
		given.Array = append(given.Array, &gojq.Pattern{Name: name})
	}
	return &gojq.Query{
		Left: termQuery(call(fnEach)), Op: gojq.OpPipe, Patterns: []*gojq.Pattern{given},
		Right: &gojq.Query{Left: termQuery(call(varIn)), Op: gojq.OpPipe, Right: body},
	}
}

// machineFuncs are the functions that forever needs. What %each gives comes from
// the input that the machine was started with.
func machineFuncs() []gojq.CompilerOption {
	return []gojq.CompilerOption{
		gojq.WithIterFunction(fnEach, 0, 0, func(in any, _ []any) gojq.Iter { return in.(*session) }),
		gojq.WithFunction(fnEnd, 0, 0, func(any, []any) any { return eventEnd{} }),
	}
}

// session is a machine that runs one program for one Runner. It is used again
// as long as programs end as they should; an error, which unwinds the machine,
// is its end.
type session struct {
	results gojq.Iter
	in      any // for the next event
}

// Next gives the machine the next event. The machine asks for it when it is
// asked for a result behind %end, and not before.
func (s *session) Next() (any, bool) {
	in := s.in
	s.in = nil
	return in, true
}

// keepSteps is how many steps a program may take without its machine, whose
// stacks may have grown, being thrown away.
const keepSteps = 1_000_000

type slot struct {
	name string
	n    int
}

// compileSlow compiles a program that is given those of the variables that it uses.
func compileSlow(src string, q *gojq.Query, use *usage, variables []string) (s *slowProgram, err error) {
	defer func() {
		if x := recover(); x != nil {
			s, err = nil, &SyntaxError{Src: src, Msg: event.OneLine(fmt.Sprintf("program cannot be compiled: %v", x))}
		}
	}()
	s = &slowProgram{whole: true}
	for _, name := range variables {
		if use.vars[name] {
			s.vars = append(s.vars, name)
		}
	}
	// First as it is written, for the right message if something is wrong.
	if _, err := gojq.Compile(q, gojq.WithVariables(s.vars)); err != nil {
		return nil, fromCompileError(src, err)
	}
	s.code, err = gojq.Compile(forever(keepOrder(q), s.vars), append(orderFuncs(), machineFuncs()...)...)
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
	err := s.each(r, ev, false)
	return r.found && err == nil, err
}

// run appends the results to r.vals.
func (s *slowProgram) run(r *Runner, ev *event.Event) error { return s.each(r, ev, true) }

// each runs the program, and returns the error that ends it. With keep it
// appends the results to r.vals, else it sets r.found.
func (s *slowProgram) each(r *Runner, ev *event.Event, keep bool) error {
	n := len(r.vals)
	err := s.once(r, ev, s.whole, keep)
	if err != nil && !s.whole {
		// Once more over the whole value: the message may quote it.
		r.vals = r.vals[:n]
		if err2 := s.once(r, ev, true, keep); err2 != nil {
			err = err2
		}
	}
	return err
}

func (s *slowProgram) once(r *Runner, ev *event.Event, whole, keep bool) (err error) {
	ended := false
	defer func() {
		// gojq must not take the process down, whatever it stumbles over.
		if x := recover(); x != nil {
			ended, err = false, event.Bad("program failed: %v", x)
		}
		if !ended {
			delete(r.sessions, s)
		}
	}()
	r.found = false
	r.dec.recycle()
	in, err := s.input(r, ev, whole)
	if err != nil {
		return err
	}
	if len(s.vars) > 0 {
		given := make([]any, 1, 1+len(s.vars))
		given[0] = in
		for _, name := range s.vars {
			v, err := r.decode(r.envelope(ev, name))
			if err != nil {
				return err
			}
			given = append(given, v)
		}
		in = given
	}
	steps := r.steps() + stepsPerByte*int64(len(ev.Line))
	if s.fold {
		steps += stepsPerByte * int64(len(r.state.B))
	}
	r.budget.left = steps
	machine := r.sessions[s]
	if machine == nil {
		machine = new(session)
		machine.results = s.code.RunWithContext(&r.budget, machine)
		if r.sessions == nil {
			r.sessions = make(map[*slowProgram]*session)
		}
		r.sessions[s] = machine
	}
	machine.in = in
	for n := 0; ; n++ {
		x, _ := machine.results.Next()
		switch x := x.(type) {
		case eventEnd:
			ended = steps-r.budget.left < keepSteps && len(ev.Line) < keepScratch
			return nil
		case error:
			return &event.BadError{Reason: x.Error()}
		}
		switch {
		case n >= maxResults:
			return errResults
		case !keep:
			r.found = r.found || x != nil && x != false
		default:
			v, err := r.encode(x)
			if err != nil {
				return err
			}
			r.vals = append(r.vals, v)
		}
	}
}

var errResults = &event.BadError{Reason: fmt.Sprintf("program gives more than %d results", maxResults)}

func (s *slowProgram) input(r *Runner, ev *event.Event, whole bool) (any, error) {
	if s.fold {
		return r.decode(r.state)
	}
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
