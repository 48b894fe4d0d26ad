package logview

import (
	"logtools/pkg/agg"
	"logtools/pkg/event"
	"logtools/pkg/expr"
	"logtools/pkg/scan"
)

// worker is one worker's part of the view: a table of its own, merged with the
// others' at the end.
type worker struct {
	*view
	table *agg.Table
	none  int64 // events without a group

	keys, args []event.Value   // of one combination
	allKeys    [][]event.Value // results of each group column
	allArgs    [][]event.Value // results of each aggregate
}

func (v *view) newWorker() *worker {
	return &worker{
		view:    v,
		table:   agg.NewTable(v.specs, len(v.groups), agg.Options{Exact: v.exact}),
		keys:    make([]event.Value, len(v.groups)),
		args:    make([]event.Value, len(v.specs)),
		allKeys: make([][]event.Value, len(v.groups)),
		allArgs: make([][]event.Value, len(v.specs)),
	}
}

func (w *worker) Event(it *scan.Item, r *expr.Runner, _ *scan.Result) error {
	// Nearly always there is one result of everything.
	single := true
	for i, p := range w.groups {
		vs, err := p.Run(r, it.Event)
		if err != nil {
			return err
		}
		w.allKeys[i] = vs
		if len(vs) == 1 {
			w.keys[i] = vs[0]
		} else {
			single = false
		}
	}
	several := false
	for i, p := range w.view.args {
		switch {
		case p == nil:
			w.args[i] = event.Value{}
		case w.specs[i].Func == "count":
			yes, err := p.Test(r, it.Event)
			if err != nil {
				return err
			}
			w.args[i] = event.BoolValue(yes)
		default:
			vs, err := p.Run(r, it.Event)
			if err != nil {
				return err
			}
			w.allArgs[i] = vs
			switch len(vs) {
			case 0:
				w.args[i] = event.Value{}
			case 1:
				w.args[i] = vs[0]
			default:
				several = true
			}
		}
	}
	if single && !several {
		return w.table.Add(it.Seq, w.keys, w.args)
	}
	return w.combinations(it.Seq)
}

func (w *worker) EndBlock(*scan.Result) { w.table.Flush() }

// combinations adds an event of which some expression gave several results or
// none: it counts once in each combination of its group columns' results, and
// in no group if there is none.
func (w *worker) combinations(seq uint64) error {
	for i, p := range w.view.args {
		if p == nil || w.specs[i].Func == "count" {
			w.allArgs[i] = w.args[i : i+1]
		}
	}
	for _, vs := range w.allKeys {
		if len(vs) == 0 {
			w.none++
			return nil
		}
	}
	var add func(column int) error
	add = func(column int) error {
		if column == len(w.allKeys) {
			return w.table.AddMulti(seq, w.keys, w.allArgs)
		}
		for _, v := range w.allKeys[column] {
			w.keys[column] = v
			if err := add(column + 1); err != nil {
				return err
			}
		}
		return nil
	}
	return add(0)
}
