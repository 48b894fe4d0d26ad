package logappend

import (
	"errors"
	"fmt"
	"os"

	"logtools/pkg/cli"
	"logtools/pkg/cmd/reader"
	"logtools/pkg/event"
	"logtools/pkg/eventlog"
	"logtools/pkg/expr"
	"logtools/pkg/guard"
	"logtools/pkg/scan"
)

// ruleFlags are the flags about the rules of a log.
type ruleFlags struct {
	unique, fold, init, check string
	onReject                  string // "": not given
	refused                   string
	memory                    int64
}

const (
	exampleFold  = "--fold '. + $e.amount' --init 0 --check '. >= 0'"
	exampleRules = "a rule is --unique EXPR, or for example " + exampleFold
)

func (o *ruleFlags) add(f *cli.Flags) {
	f.String(&o.unique, cli.FlagDoc{Name: "unique", Value: "EXPR",
		Once:  "a value of several members is an array: --unique '[.a,.b]'",
		Usage: "rule of the log: refuse an event whose value of this is taken; the key, unless -k is given"})
	f.String(&o.fold, cli.FlagDoc{Name: "fold", Value: "EXPR",
		Once:  "a state of several things is an object: --fold '{n: (.n + 1), sum: (.sum + $e.amount)}'",
		Usage: "rule of the log: the state of a key after an event; . is the state before, $e the value"})
	f.String(&o.init, cli.FlagDoc{Name: "init", Value: "JSON",
		Once:  "a state of several things is an object: --init '{\"n\":0,\"sum\":0}'",
		Usage: "with --fold: the first state of a key"})
	f.String(&o.check, cli.FlagDoc{Name: "check", Value: "EXPR",
		Once:  "join them with and: --check 'A and B'",
		Usage: "with --fold: refuse an event unless this is true of the state after it"})
	f.String(&o.onReject, cli.FlagDoc{Name: "on-reject", Value: "WHAT", Choices: []string{"skip", "stop"},
		Instead: map[string]string{"fail": "try --on-reject=stop", "abort": "try --on-reject=stop", "ignore": "try --on-reject=skip", "ok": "try --on-reject=skip"},
		Usage:   "skip refused events (exit 3), which is usual, or stop at the first (exit 4)"})
	f.String(&o.refused, cli.FlagDoc{Name: "refused", Value: "FILE", File: true,
		Once:  "one file keeps those of all partitions",
		Usage: "keep refused events here, with the headers reason and taken_by"})
	f.Size(&o.memory, 1<<20, 1<<50, cli.FlagDoc{Name: "memory", Value: "SIZE",
		Usage: "memory for what the rules have to remember; beyond it they read from the disk"})
}

// insteadOfRules are flags that other tools have for rules.
func insteadOfRules(hints map[string]string) {
	const unique = "--unique EXPR refuses an event whose value of EXPR is taken"
	for _, flag := range []string{"--distinct", "--dedup", "--dedupe", "--deduplicate", "--primary-key", "--primary", "--uniq", "--if-not-exists", "--if-absent"} {
		hints[flag] = unique
	}
	const fold = "rules over a state: " + exampleFold
	for _, flag := range []string{"--reduce", "--state", "--initial", "--constraint", "--assert", "--invariant", "--require"} {
		hints[flag] = fold
	}
	for _, flag := range []string{"--on-conflict", "--on-duplicate", "--on-refused", "--on-error"} {
		hints[flag] = "try --on-reject=skip or --on-reject=stop"
	}
}

// named returns the rules that the flags name, checked as far as that can be done
// without the log; nil if they name none.
func (o *options) named() (*eventlog.Rules, error) {
	r := eventlog.Rules{Key: o.Key, Unique: o.unique, Fold: o.fold, Init: o.init, Check: o.check}
	if r.None() && r.Init == "" && r.Check == "" {
		return nil, nil
	}
	if r.Key == "" {
		r.Key = r.Unique
	}
	if err := guard.Check(&r, int(max(o.partitions, 1))); err != nil {
		return nil, ruleError(err)
	}
	r = guard.Normal(r)
	return &r, nil
}

// ruleError makes a usage error of a *guard.RuleError.
func ruleError(err error) error {
	var rule *guard.RuleError
	var syntax *expr.SyntaxError
	switch {
	case !errors.As(err, &rule):
		return err
	case errors.As(rule.Err, &syntax):
		return reader.SyntaxError(rule.Flag, syntax)
	}
	return &cli.Error{Exit: cli.Usage, Err: fmt.Errorf("%s: %w", rule.Flag, rule.Err), Hint: rule.Hint()}
}

// fits checks what flags say about rules against the rules of a log with so many
// partitions.
func (w *wanted) fits(rules *eventlog.Rules, partitions int) error {
	if rules.None() {
		for _, f := range []struct{ flag, given string }{{"--on-reject", w.onReject}, {"--refused", w.refused}} {
			if f.given != "" {
				e := cli.Usagef("%s is for logs with rules, and %s has none", f.flag, w.path)
				e.Hint = exampleRules
				return e
			}
		}
	}
	if partitions > 1 && rules.Unique != "" && w.key != "" && !same(w.key, rules.Key) {
		e := cli.Usagef("--key: the log has --unique %s, which can hold only if that decides the partition, and not %s", rules.Unique, w.key)
		e.Hint = "leave -k out; in a log with one partition it may be anything"
		return e
	}
	return nil
}

// same says whether two texts are of one program.
func same(a, b string) bool {
	a, errA := expr.Normal(a)
	b, errB := expr.Normal(b)
	return a == b && a != "" && errA == nil && errB == nil
}

// keyOf returns the program that makes the keys of what is appended to a log with
// rules: the given one, or the log's; "" if events bring their own.
func keyOf(given string, rules *eventlog.Rules) string {
	if given == "" {
		return rules.Key
	}
	return given
}

// apply makes what is read obey the rules of a log.
func (l *lines) apply(r *reader.Reader, o *options, rules *eventlog.Rules) error {
	if rules.None() {
		return nil
	}
	key := keyOf(o.Key, rules)
	var err error
	if key != "" {
		if r.Query.Key, err = r.Compile("--key", key); err != nil {
			return err
		}
	}
	if rules.Unique != "" && !same(rules.Unique, key) {
		if l.unique, err = r.Compile("--unique", rules.Unique); err != nil {
			return err
		}
	}
	if rules.Fold != "" && l.noKey == nil {
		l.noKey = &event.BadError{Reason: "no key, but the log has a state for each key", Hint: "say what the key is, for example -k .account"}
	}
	return nil
}

// claims returns an error if there is no telling what an event claims.
func (l *lines) claims(it *scan.Item, runner *expr.Runner) error {
	_, err := l.unique.One(runner, it.Event)
	if err == nil || it.Tombstone() { // a tombstone claims nothing
		return nil
	}
	return &event.BadError{Reason: "unique: " + err.Error()}
}

// apart returns an error if both names are of one file.
func apart(flagA, a, flagB, b string) error {
	same := a == b
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	if errA == nil && errB == nil {
		same = os.SameFile(infoA, infoB) && infoA.Mode().IsRegular()
	}
	if a == "" || b == "" || !same {
		return nil
	}
	return cli.Usagef("%s and %s are the same file", flagA, flagB)
}
