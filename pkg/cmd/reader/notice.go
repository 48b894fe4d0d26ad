package reader

import (
	"bytes"
	"fmt"
	"sync"

	"logtools/pkg/cli"
	"logtools/pkg/event"
	"logtools/pkg/expr"
	"logtools/pkg/parse"
	"logtools/pkg/scan"
)

// nulls notices that -k or -t makes nothing of any event, which is mostly a name
// that is misspelt.
type nulls struct {
	mu       sync.Mutex
	watching []*watching
}

// watching is an operator of one worker that is watched.
type watching struct {
	scan.Operator
	events, keyed, timed bool
}

// watch returns what makes the operators that newOperator makes, watched. It is for
// queries that change events: with them no scan.Passer has anything to pass.
func (n *nulls) watch(newOperator func() scan.Operator) func() scan.Operator {
	return func() scan.Operator {
		w := &watching{Operator: newOperator()}
		n.mu.Lock()
		defer n.mu.Unlock()
		n.watching = append(n.watching, w)
		return w
	}
}

func (w *watching) Event(it *scan.Item, r *expr.Runner, out *scan.Result) error {
	w.events = true
	w.keyed = w.keyed || it.Key.Kind > event.Null
	w.timed = w.timed || it.OwnTime
	return w.Operator.Event(it, r, out)
}

// hints returns what to say at the end of the run.
func (n *nulls) hints(flags *cli.ReaderFlags) (hints []string) {
	var events, keyed, timed bool
	for _, w := range n.watching {
		events, keyed, timed = events || w.events, keyed || w.keyed, timed || w.timed
	}
	for _, p := range []struct {
		flag, text string
		known      bool
	}{{"-k", flags.Key, keyed}, {"-t", flags.Time, timed}} {
		// Who says null means it.
		if events && !p.known && p.text != "" && p.text != "null" {
			hints = append(hints, fmt.Sprintf("%s %s is null for every event; logcat -c 1 shows what there is in one", p.flag, p.text))
		}
	}
	return hints
}

// foreign notices that JSON was asked for and the first lines are something else.
type foreign struct {
	asked bool
	name  string
	lines []byte // the first ones, while all of them are bad
	count int64
	good  bool // some block put something out
}

// enough is how many lines are looked at.
const enough = 5

// bad takes a bad line.
func (f *foreign) bad(name string, line int64, raw []byte) {
	if !f.asked || f.count == enough || line != f.count+1 || raw == nil || f.name != "" && f.name != name {
		return
	}
	f.name = name
	f.lines = append(append(f.lines, raw...), '\n')
	f.count++
}

// hint returns what to say at the end of the run; it may be empty.
func (f *foreign) hint() string {
	if f.count == 0 || f.count < enough && f.good {
		return ""
	}
	for line := range bytes.Lines(f.lines) {
		if bytes.IndexByte([]byte("{[\""), line[0]) >= 0 {
			return "" // which is JSON that is broken
		}
	}
	format := parse.Detect(f.lines)
	if format.Name == "text" || format.Name == "json" {
		return "the first lines are no JSON: -i auto goes by what they look like, -i text takes each as a string"
	}
	return fmt.Sprintf("the first lines look like %s: -i %s, or -i auto to find out", format.Name, format.Name)
}
