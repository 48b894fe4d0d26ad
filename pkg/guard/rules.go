package guard

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"logtools/pkg/event"
	"logtools/pkg/eventlog"
	"logtools/pkg/expr"
)

// maxState is how long a state may be, in bytes of JSON.
const maxState = 64 << 10

// RuleError says what is wrong with the rules that were asked for.
type RuleError struct {
	Flag  string // the flag that the rule is given with, such as "--unique"
	Err   error  // a program that does not compile: an *expr.SyntaxError
	Hints string // what to do, "" if there is nothing more to say
}

func (e *RuleError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *RuleError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *RuleError) Hint() string { return e.Hints }

// Check says whether a log of so many partitions can have the rules. The error is a
// *RuleError.
func Check(r *eventlog.Rules, partitions int) error {
	if _, err := compile(r); err != nil {
		return err
	}
	if r.Unique != "" && partitions > 1 && normal(r.Key) != normal(r.Unique) {
		return &RuleError{
			Flag:  "--unique",
			Err:   fmt.Errorf("with %d partitions the key must be %s too, since a value is unique in its partition only", partitions, clip(r.Unique)),
			Hints: "leave -k out, or use --partitions 1",
		}
	}
	return nil
}

// Normal returns the rules as they are to be stored: rules that differ in nothing but
// spaces and comments are then the same text. They must have passed Check.
func Normal(r eventlog.Rules) eventlog.Rules {
	r.Key, r.Unique, r.Fold, r.Check = normal(r.Key), normal(r.Unique), normal(r.Fold), normal(r.Check)
	if r.Init != "" {
		r.Init = string(valueOf(r.Init).AppendCanonical(nil))
	}
	return r
}

func normal(src string) string {
	if src == "" {
		return ""
	}
	if text, err := expr.Normal(src); err == nil {
		return text
	}
	return src
}

// rules are compiled rules.
type rules struct {
	unique *expr.Program // nil: no such rule
	fold   *expr.Fold    // nil: no such rule
	check  *expr.Program // of fold
	init   []byte        // of fold, as JSON

	fields  event.Fields // of the events, for unique and fold
	ofState event.Fields // of the states, for check

	// What is said of events that are refused.
	taken, checkFails string

	// id is the same for rules that the same is to be known for.
	id [16]byte
}

// unsteady are what programs may not use, since it may differ when the event is read
// back, or when what is known is computed again.
var unsteady = [...]string{"$time", "$offset", "$partition", "$log", "$event", "now", "localtime", "strflocaltime", "strptime"}

// compile compiles rules. The error is a *RuleError.
func compile(r *eventlog.Rules) (*rules, error) {
	c := new(rules)
	if r.Unique != "" {
		p, err := expr.Compile(r.Unique, &c.fields)
		if err == nil {
			err = steady(r.Unique, p.Uses, "it may be another when the event is read back")
		}
		if err == nil && p.Uses("$key") && normal(r.Key) == normal(r.Unique) && normal(r.Unique) != "$key" {
			err = misused(r.Unique, "$key", "its value becomes the key itself, unless -k names another")
		}
		if err != nil {
			return nil, &RuleError{Flag: "--unique", Err: err}
		}
		c.unique, c.taken = p, clip(r.Unique)+" is taken"
	}
	if r.Fold == "" && r.Init == "" && r.Check == "" {
		c.identify(r)
		return c, nil
	}
	for _, part := range [...]struct{ flag, text string }{{"--fold", r.Fold}, {"--init", r.Init}, {"--check", r.Check}} {
		if part.text == "" {
			return nil, &RuleError{
				Flag: part.flag, Err: errors.New("--fold, --init and --check are one rule, and " + part.flag + " is not given"),
				Hints: "such as --init 0 --fold '. + $e.amount' --check '. >= 0'",
			}
		}
	}
	var err error
	if c.fold, err = expr.CompileFold(r.Fold, &c.fields); err == nil {
		err = steady(r.Fold, c.fold.Uses, "it may be another when the state is computed again")
	}
	if err != nil {
		return nil, &RuleError{Flag: "--fold", Err: err}
	}
	if err := event.Valid([]byte(r.Init)); err != nil {
		return nil, &RuleError{Flag: "--init", Err: fmt.Errorf("%s is not JSON: %w", clip(r.Init), err)}
	}
	if c.init = valueOf(r.Init).AppendCanonical(nil); len(c.init) > maxState {
		return nil, &RuleError{Flag: "--init", Err: errLong}
	}
	if c.check, err = expr.Compile(r.Check, &c.ofState); err == nil {
		err = steady(r.Check, c.check.Uses, "a check is about the state")
		if err == nil && c.check.Assigns() {
			err = errors.New("it assigns, and that is true of every state")
			return nil, &RuleError{Flag: "--check", Err: err, Hints: "== compares"}
		}
		if err == nil && c.check.Uses("$headers") {
			err = misused(r.Check, "$headers", "a check is about the state")
		}
	}
	if err != nil {
		return nil, &RuleError{Flag: "--check", Err: err}
	}
	c.checkFails = "check fails: " + clip(r.Check) + ", state "
	c.identify(r)
	return c, nil
}

var errLong = fmt.Errorf("state is longer than %d KiB", maxState>>10)

// steady says whether a program that uses what uses says may be a rule.
func steady(src string, uses func(string) bool, why string) error {
	for _, name := range unsteady {
		if uses(name) {
			return misused(src, name, why)
		}
	}
	return nil
}

func misused(src, name, why string) error {
	return expr.NotHere(src, name, name+" cannot be used in a rule: "+why)
}

// identify sets c.id. The check is not in it: it changes what may be appended, and
// not what the events in the log mean.
func (c *rules) identify(r *eventlog.Rules) {
	sum := sha256.Sum256(fmt.Appendf(nil, "rules 1\x00%s\x00%s\x00%s", normal(r.Unique), normal(r.Fold), c.init))
	copy(c.id[:], sum[:])
}

// valueOf returns the value that valid JSON text is.
func valueOf(text string) event.Value {
	var ev event.Event
	if event.NewReader(new(event.Fields), event.ValuesOnly).Read([]byte(text), &ev) != nil {
		return event.Value{Kind: event.Null}
	}
	return ev.Value()
}

// clip returns s as one line for a message, and the beginning of it if it is long.
func clip(s string) string { return event.Clip(event.OneLine(s)) }
