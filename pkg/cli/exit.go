package cli

import (
	"errors"
	"fmt"
)

// Exit is a process's exit status. See Exits for what each says.
type Exit int

const (
	OK          Exit = 0
	Failed      Exit = 1
	Usage       Exit = 2
	BadInput    Exit = 3
	Unmet       Exit = 4
	Damaged     Exit = 5
	Gone        Exit = 6
	Locked      Exit = 75
	Interrupted Exit = 130
	Terminated  Exit = 143
)

// ExitDoc describes an exit status.
type ExitDoc struct {
	Exit    Exit
	Name    string // one or two words
	Meaning string // one sentence, lower case, without a full stop
}

// Exits is the table of all exit statuses, in order of precedence: of several
// that apply to a run, the one that stands first is the process's. The help,
// the man pages and their tests draw from it.
var Exits = []ExitDoc{
	{Interrupted, "interrupted", "interrupted by SIGINT, after the event in hand"},
	{Terminated, "terminated", "terminated by SIGTERM, after the event in hand"},
	{Usage, "usage", "a bad flag or expression, conflicting options, or settings that differ from the stored ones"},
	{Locked, "locked", "a lock could not be had in time"},
	{Damaged, "damaged", "stored data is damaged; nothing was deleted"},
	{Gone, "gone", "the position asked for is gone or belongs to another log"},
	{Failed, "failed", "an I/O error, or an operand that cannot be read (the others still are)"},
	{Unmet, "unmet", "an append condition did not hold"},
	{BadInput, "bad input", "done, but some input was bad or refused and is counted on standard error"},
	{OK, "done", "done"},
}

// Worse returns the one of a and b that comes first in Exits. A status that is
// not in the table counts as Failed.
func Worse(a, b Exit) Exit {
	if rank(b) < rank(a) {
		return b
	}
	return a
}

func rank(e Exit) int {
	for i, d := range Exits {
		if d.Exit == e {
			return i
		}
	}
	return rank(Failed)
}

// Error is an error that says how the process should exit and what the user
// could do about it. Any of its fields but Err may be left zero.
type Error struct {
	// Exit is the status; OK means that this error does not say (the
	// fallback given to Streams.Report counts).
	Exit Exit
	Err  error
	// Detail are lines shown below the message, such as a program with a
	// caret under the place that is wrong.
	Detail string
	// Hint says what to type instead: lower case, no full stop.
	Hint string
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// Usagef returns an error that ends the process with Usage. The format is that
// of fmt.Errorf.
func Usagef(format string, args ...any) *Error {
	return &Error{Exit: Usage, Err: fmt.Errorf(format, args...)}
}

// WithExit gives err an exit status; nil stays nil.
func WithExit(err error, exit Exit) error {
	if err == nil {
		return nil
	}
	return &Error{Exit: exit, Err: err}
}

// WithHint gives err a hint and leaves its exit status alone; nil stays nil.
func WithHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &Error{Err: err, Hint: hint}
}

// ExitOf returns the status that err asks for, the worst one if it wraps
// several: fallback if it does not say, OK if err is nil.
func ExitOf(err error, fallback Exit) Exit {
	if err == nil {
		return OK
	}
	exit := OK
	for e := range walk(err) {
		exit = Worse(exit, e.Exit)
	}
	if exit == OK {
		return fallback
	}
	return exit
}

// walk yields every Error in err's tree, outermost first.
func walk(err error) func(yield func(*Error) bool) {
	return func(yield func(*Error) bool) { walkTo(err, yield) }
}

func walkTo(err error, yield func(*Error) bool) bool {
	if e, ok := err.(*Error); ok && !yield(e) {
		return false
	}
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		if next := u.Unwrap(); next != nil {
			return walkTo(next, yield)
		}
	case interface{ Unwrap() []error }:
		for _, next := range u.Unwrap() {
			if next != nil && !walkTo(next, yield) {
				return false
			}
		}
	}
	return true
}

// Errors that a Run returns, as they are or wrapped, to end quietly: Exec
// prints nothing for them.
var (
	// ErrClosed: the reader of standard output went away (as head does).
	// That is its good right and no failure: it adds nothing to the exit
	// status. Writes to Streams.Out return it.
	ErrClosed = errors.New("standard output is closed")
	// ErrStop: a bad line under --bad=fail, already named. BadLines.Add
	// returns it.
	ErrStop error = &Error{Exit: BadInput, Err: errors.New("stopped at bad input")}
)
