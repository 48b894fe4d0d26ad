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

	// The slots that the columns and aggregates are (see expr.Program.Slot).
	groupSlots, argSlots []int

	keys, args []event.Value   // of one combination
	allKeys    [][]event.Value // results of each group column
	allArgs    [][]event.Value // results of each aggregate
}

// noArg stands for the slot of an aggregate without an argument.
const noArg = -2

func (v *view) newWorker() *worker {
	w := &worker{
		view:    v,
		table:   agg.NewTable(v.specs, len(v.groups), agg.Options{Exact: v.exact, Memory: v.memory}),
		keys:    make([]event.Value, len(v.groups)),
		args:    make([]event.Value, len(v.specs)),
		allKeys: make([][]event.Value, len(v.groups)),
		allArgs: make([][]event.Value, len(v.specs)),
	}
	for _, p := range v.groups {
		w.groupSlots = append(w.groupSlots, p.Slot())
	}
	for i, p := range v.args {
		slot := noArg
		switch {
		case p == nil:
		case v.specs[i].Func == "count":
			slot = -1 // its truth counts
		default:
			slot = p.Slot()
		}
		w.argSlots = append(w.argSlots, slot)
	}
	return w
}

func (w *worker) Event(it *scan.Item, r *expr.Runner, _ *scan.Result) error {
	if w.members(it) {
		return w.table.Add(it.Seq, w.keys, w.args)
	}
	return w.programs(it, r)
}

// members fills in keys and args if all that is needed are members of the value
// that are there. This is programs without running any.
func (w *worker) members(it *scan.Item) bool {
	for i, slot := range w.groupSlots {
		if slot < 0 || it.Slots[slot].Kind == event.Missing {
			return false
		}
		w.keys[i] = it.Slots[slot]
	}
	for i, slot := range w.argSlots {
		switch {
		case slot == noArg:
		case slot < 0 || it.Slots[slot].Kind == event.Missing:
			return false
		default:
			w.args[i] = it.Slots[slot]
		}
	}
	return true
}

// programs runs the programs of the columns and aggregates.
func (w *worker) programs(it *scan.Item, r *expr.Runner) error {
	single := true // one result of everything
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
	for i, p := range w.view.args {
		if p == nil || w.specs[i].Func == "count" {
			w.args[i] = event.Value{}
			if p != nil {
				yes, err := p.Test(r, it.Event)
				if err != nil {
					return err
				}
				w.args[i] = event.BoolValue(yes)
			}
			w.allArgs[i] = w.args[i : i+1]
			continue
		}
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
			single = false
		}
	}
	if single {
		return w.table.Add(it.Seq, w.keys, w.args)
	}
	return w.combinations(it.Seq)
}

func (w *worker) EndBlock(*scan.Result) { w.table.Flush() }

// combinations adds an event of which some expression gave several results or
// none: it counts once in each combination of its group columns' results, and
// in no group if there is none.
func (w *worker) combinations(seq uint64) error {
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
