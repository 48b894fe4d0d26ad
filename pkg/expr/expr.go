// Package expr runs jq programs over events.
//
// A Program has two engines, chosen when it is compiled. Programs made of the
// common parts of the language run on the raw bytes of the event (the raw
// engine); all others, and the few events with which the raw engine does not
// want to deal, run in gojq, which decodes what the program reads (the gojq
// engine). Both give the same JSON values for every input; gojq, at the version in
// go.mod, is the reference. The spelling of numbers and the order of members may
// differ between the two, except that an object built by the outermost
// expression keeps the order in which it is written, in both: an object literal
// that is a result itself, or stands in an object or array literal that is.
//
// # The language
//
// It is jq as gojq has it, without what reaches outside the event: input,
// inputs, halt, halt_error, debug, stderr, import, include, modules,
// input_line_number, input_filename, $__loc__, $ENV and env do not compile.
// (The environment is left out because a program may come from another user
// than the one who owns the process.) `.` is the event's value; $key, $time,
// $offset, $partition, $log, $headers and $event are the rest of it.
// A Fold has a state as `.` instead, and the event's value as $e.
//
// # What is fast
//
// The raw engine takes programs that are made of nothing but:
//
//   - paths (.a.b, .["a b"], .[0], .[], slices, ?), `..`, comparisons, and or not,
//     //, arithmetic, literals, if, select, try without catch, as $x, reduce and
//     foreach (as $x, with one result at a time), construction of objects and
//     arrays, interpolation, the envelope
//   - = |= += -= *= /= %= //= on a path of names (.a.b), .[] |= f, and del of such
//     paths
//   - map map_values with_entries to_entries from_entries keys add join any all
//     first last limit isempty recurse paths sort unique min max reverse length has
//   - startswith endswith contains split ltrimstr rtrimstr trimstr trim ltrim rtrim
//     ascii_downcase ascii_upcase explode implode utf8bytelength tostring tojson
//     tonumber type, and with a regular expression that is written out test sub
//     gsub capture scan
//   - abs fabs floor ceil round trunc sqrt log log2 log10 exp, values nulls strings
//     numbers booleans arrays objects iterables scalars
//
// A program with anything else in it (functions of its own, group_by, other
// patterns, a path of an assignment that is computed) runs in gojq as a whole,
// and so does a single event with something rare about it: an integer beyond 64
// bits, a number that overflows, an object that is changed and names a member
// twice, and every error.
//
// # Limits
//
// A program is at most 64 KiB long. On one event it may give at most a million
// results (1 GiB) and take at most 20 million steps (and 100 more for each byte of
// the event's line); values may be nested 10,000 deep. Beyond that the event is bad.
// A step may still build a long string, as it may in jq.
package expr

import (
	"github.com/itchyny/gojq"

	"logtools/pkg/event"
)

const (
	maxSource    = 64 << 10  // bytes of a program
	maxResults   = 1_000_000 // results of a program for one event
	maxDepth     = 10_000    // nesting of a value
	maxSteps     = 20_000_000
	stepsPerByte = 100     // more steps for each byte of the line
	keepScratch  = 1 << 20 // bytes of scratch memory that a Runner keeps

	maxBytes      = 1 << 30    // of all results for one event
	maxIterations = 10_000_000 // of the raw engine, which then leaves the event to gojq
)

// Program is a compiled jq program. It does not change after Compile and may be
// shared by any number of goroutines, each with its own Runner.
type Program struct {
	src  string
	use  *usage
	raw  *rawProgram // nil: not for the raw engine
	slow *slowProgram
}

// Compile parses and compiles src. The members of the event's value that the
// program reads are added to fields; readers fill ev.Slots accordingly. The
// error is a *SyntaxError.
func Compile(src string, fields *event.Fields) (*Program, error) {
	q, use, err := parseProgram(src)
	if err != nil {
		return nil, err
	}
	p := &Program{src: src, use: use}
	p.slow, err = compileSlow(src, q, use, envelope[:])
	if err != nil {
		return nil, err
	}
	// First a trial on fields of its own, so that a program which the raw
	// engine cannot run leaves no slots behind that would be filled in vain.
	if compileRaw(q, new(event.Fields)) != nil {
		p.raw = compileRaw(q, fields)
		p.slow.whole = true
		return p, nil
	}
	p.slow.ask(q, use, fields)
	return p, nil
}

// parseProgram parses src and refuses what reaches outside the event.
func parseProgram(src string) (*gojq.Query, *usage, error) {
	q, err := parse(src)
	if err != nil {
		return nil, nil, err
	}
	use := survey(q)
	if use.forbidden != "" {
		return nil, nil, syntaxErrorAt(src, use.forbidden, -1, "%s is not available here", use.forbidden)
	}
	if len(q.Imports) > 0 || q.Meta != nil {
		word := "module"
		if len(q.Imports) > 0 {
			word = "import"
			if q.Imports[0].IncludePath != "" {
				word = "include"
			}
		}
		return nil, nil, syntaxErrorAt(src, word, -1, "modules are not available here")
	}
	return q, use, nil
}

func parse(src string) (q *gojq.Query, err error) {
	if len(src) > maxSource {
		return nil, &SyntaxError{Src: src, Offset: maxSource, Msg: "program is longer than 65536 bytes"}
	}
	defer func() {
		if x := recover(); x != nil {
			q, err = nil, &SyntaxError{Src: src, Msg: "program cannot be parsed"}
		}
	}()
	q, err = gojq.Parse(src)
	if err != nil {
		return nil, fromParseError(src, err)
	}
	return q, nil
}

// UsesTime says whether the program reads $time (or $event): then the event's
// time must have been resolved before it is run.
func (p *Program) UsesTime() bool { return p.use.vars["$time"] || p.use.vars["$event"] }

// Uses says whether the program names a variable (given with its $) or calls a
// function of that name anywhere.
func (p *Program) Uses(name string) bool { return p.use.names(name) }

// Fast says whether the program runs on the raw bytes.
func (p *Program) Fast() bool { return p.raw != nil }

// Slot returns the slot of a program that is nothing but a path of member
// names, -1 for other programs. Where the event's slot is not Missing, its
// value is the program's only result, and there is no need to run it.
func (p *Program) Slot() int {
	if p.raw == nil {
		return -1
	}
	return p.raw.slot
}

// Source returns the program's text.
func (p *Program) Source() string { return p.src }

// Runner is the memory that programs need while they run, and that their
// results lie in. Each worker has one; it is not safe for concurrent use.
type Runner struct {
	ev   *event.Event
	buf  []byte        // texts of computed values; only ever appended to between Resets
	vals []event.Value // results; likewise
	regs []event.Value // the raw engine's registers
	iter []member      // stack of the members of objects that are iterated over
	tmp  []event.Value // stack of the elements of arrays that are built
	path []event.Value // stack of the names on the way down
	text []byte        // the text of one string

	most  int64 // see Limit; 0: the usual
	first int   // where in vals the results of the running program begin
	found bool  // a result was true
	left  int   // iterations that the running program may still make

	resets uint

	state event.Value // of the running fold

	sessions map[*slowProgram]*session
	budget   budget         // of the running one
	root     map[string]any // the partly decoded value, reused
	dec      decoder
	names    []string // stack of the names of objects that are written
	sorted   []string // the names of the object written last, in order
}

// NewRunner returns a Runner.
func NewRunner() *Runner { return &Runner{} }

// Limit sets how many steps a program may take on one event; 100 for each byte of
// the event's line come on top. Without it they are 20 million.
func (r *Runner) Limit(steps int64) { r.most = steps }

// steps is how many a program may take.
func (r *Runner) steps() int64 {
	if r.most > 0 {
		return r.most
	}
	return maxSteps
}

// Reset forgets the results for the previous event and what they lie in. Call it
// before each event. Memory beyond 1 MiB, left by a huge event, is let go.
func (r *Runner) Reset() {
	if len(r.buf) > keepScratch || r.resets&0xfff == 0 {
		r.shrink()
	}
	r.resets++
	r.buf, r.vals = r.buf[:0], r.vals[:0]
}

// shrink lets go of what is unusually large.
func (r *Runner) shrink() {
	if cap(r.buf) > keepScratch {
		r.buf = nil
	}
	if max(cap(r.vals), cap(r.dec.stack), cap(r.tmp), cap(r.iter), cap(r.names)) > keepScratch/64 {
		r.vals, r.dec.stack, r.tmp, r.iter, r.names = nil, nil, nil, nil, nil
		r.sorted = nil
	}
	if cap(r.text) > keepScratch {
		r.text = nil
	}
}

// Test runs the program as a condition: it is true if any result is neither
// false nor null. A program that fails, even after such a result, gives an
// error, a *event.BadError.
func (p *Program) Test(r *Runner, ev *event.Event) (bool, error) {
	if p.raw != nil {
		r.ev = ev
		switch p.raw.test(r) {
		case sTrue:
			return true, nil
		case sFalse:
			return false, nil
		}
	}
	return p.slow.test(r, ev)
}

// Run returns all results. They are valid until r is Reset; other programs may
// run on the same event meanwhile. On an error, a *event.BadError, there are no
// results.
func (p *Program) Run(r *Runner, ev *event.Event) ([]event.Value, error) {
	n := len(r.vals)
	if p.raw != nil {
		r.ev = ev
		if p.raw.run(r) == sOK {
			return r.vals[n:len(r.vals):len(r.vals)], nil
		}
		clear(r.vals[n:])
		r.vals = r.vals[:n]
	}
	if err := p.slow.run(r, ev); err != nil {
		r.vals = r.vals[:n]
		return nil, err
	}
	return r.vals[n:len(r.vals):len(r.vals)], nil
}

// One returns the only result. Any other number of results than one is an error,
// a *event.BadError. The result is valid until r is Reset.
func (p *Program) One(r *Runner, ev *event.Event) (event.Value, error) {
	if p.raw != nil && p.raw.fn != nil {
		r.ev = ev
		if v, st := p.raw.one(r); st == sOK {
			return v, nil
		}
	}
	n := len(r.vals)
	vs, err := p.Run(r, ev)
	if err != nil {
		return event.Value{}, err
	}
	if len(vs) != 1 {
		r.vals = r.vals[:n]
		return event.Value{}, event.Bad("expected exactly one result, got %d", len(vs))
	}
	return vs[0], nil
}
