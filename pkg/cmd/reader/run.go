package reader

import (
	"context"
	"slices"
	"strings"

	"logtools/pkg/scan"
	"logtools/pkg/source"
	"logtools/pkg/stream"
)

// input is an input that was opened: some files, or a partition of a log.
type input struct {
	part  source.Part
	meter stream.Meter // nil: nothing to measure
	close func()       // nil: nothing to close
}

// group are the inputs of one operand, or of several files that follow each other.
type group struct {
	inputs []input
	log    bool
}

// run is one run of the engine over all operands.
type run struct {
	r           *Reader
	o           scan.Options
	newOperator func() scan.Operator
	sink        *sink
	groups      []group
}

// read runs the engine.
func (r *Reader) read(ctx context.Context, o scan.Options, newOperator func() scan.Operator, k *sink) error {
	x := &run{r: r, o: o, newOperator: newOperator, sink: k}
	from := source.Options{Stdin: r.streams.In, MaxLine: int(r.flags.MaxLine)}
	if r.Follow {
		from.Warn = func(name, msg string) { r.streams.Warn("%s: %s", name, msg) }
	}
	x.open(from)
	defer x.close()
	progress := r.flags.Progress
	if r.Follow {
		if r.flags.Output != "none" { // whose reader need not stay
			defer r.streams.WatchOutput()()
		}
		if progress == "auto" { // there is no end to be shown
			progress = "never"
		}
	}
	defer r.streams.StartProgress(progress, x.meters().progress)()
	switch {
	case r.Follow:
		return x.follow(ctx)
	case r.Merge:
		var all []input
		for _, g := range x.groups {
			all = append(all, g.inputs...)
		}
		return x.merge(ctx, all)
	}
	return x.inTurn(ctx)
}

// open opens all operands. (Files are opened when their turn comes.)
func (x *run) open(from source.Options) {
	r := x.r
	if r.Inputs != nil {
		g := group{log: true}
		for _, b := range r.Inputs {
			meter, _ := b.(stream.Meter)
			g.inputs = append(g.inputs, input{part: source.Part{Blocks: b}, meter: meter})
		}
		x.groups = []group{g}
		return
	}
	if r.Merge {
		from.BlockSize = mergeBlock(len(r.operands))
	}
	for i := 0; i < len(r.operands); {
		first := i
		if o := &r.operands[i]; o.log != nil || o.err != nil {
			x.groups = append(x.groups, group{r.open(i), true})
			i++
			continue
		}
		var names []string
		for ; i < len(r.operands) && r.operands[i].log == nil && r.operands[i].err == nil; i++ {
			names = append(names, r.operands[i].name)
			if r.Merge { // each by itself
				i++
				break
			}
		}
		if slices.Contains(names, "-") && slices.ContainsFunc(r.operands[:first], isStdin) {
			from.Stdin = strings.NewReader("") // what there was has been taken
		}
		in := input{part: source.Part{Input: first}}
		if r.Follow {
			f := source.Follow(names, from)
			in.part.Blocks, in.meter, in.close = f, f, func() { f.Close() }
		} else {
			f := source.Open(names, from)
			in.part.Blocks, in.meter, in.close = f, f, func() { f.Close() }
		}
		x.groups = append(x.groups, group{[]input{in}, false})
	}
}

func isStdin(o operand) bool { return o.name == "-" }

func (x *run) close() {
	for _, g := range x.groups {
		for _, in := range g.inputs {
			if in.close != nil {
				in.close()
			}
		}
	}
}

func (x *run) meters() meters {
	var all meters
	for _, g := range x.groups {
		for _, in := range g.inputs {
			if in.meter != nil {
				all = append(all, in.meter)
			}
		}
	}
	return all
}

// inTurn reads one operand after the other.
func (x *run) inTurn(ctx context.Context) error {
	var parts []source.Part // to be read next
	flush := func() error {
		if len(parts) == 0 || x.sink.stopped {
			return nil
		}
		in := source.Chain(parts)
		parts = nil
		return scan.Run(ctx, x.o, &x.r.Query, in, x.newOperator, x.sink)
	}
	for _, g := range x.groups {
		if !x.r.ByTime || len(g.inputs) < 2 {
			for _, in := range g.inputs {
				parts = append(parts, in.part)
			}
			continue
		}
		if err := flush(); err != nil {
			return err
		}
		if err := x.merge(ctx, g.inputs); err != nil {
			return err
		}
	}
	return flush()
}

// merge reads inputs by time.
func (x *run) merge(ctx context.Context, inputs []input) error {
	if x.sink.stopped {
		return nil
	}
	var blocks []stream.Blocks
	for _, in := range inputs {
		blocks = append(blocks, in.part.Blocks)
	}
	return scan.Merge(ctx, scan.MergeOptions{Options: x.o, Apart: x.r.Apart}, &x.r.Query, blocks, x.newOperator, x.sink)
}

// follow reads what there is and goes on. If partitions are to be merged, what the
// logs hold comes first, operand by operand: only what comes later, and files, can
// be read together.
func (x *run) follow(ctx context.Context) error {
	var parts []source.Part
	early := x.r.ByTime && x.r.manyPartitions()
	for _, g := range x.groups {
		var past []input
		for _, in := range g.inputs {
			if early && g.log {
				past = append(past, input{part: source.Part{Blocks: source.Past(in.part.Blocks)}})
				in.part.Live = true
			}
			parts = append(parts, in.part)
		}
		if len(past) > 0 {
			if err := x.merge(ctx, past); err != nil {
				return err
			}
		}
	}
	if x.sink.stopped {
		return nil
	}
	var in stream.Blocks
	if len(parts) == 1 && !parts[0].Live {
		in = parts[0].Blocks
	} else {
		all := source.Join(parts)
		defer all.Close()
		in = all
	}
	return scan.Run(ctx, x.o, &x.r.Query, in, x.newOperator, x.sink)
}

// mergeBlock is the size of the blocks of n files that are merged: that of all
// of them together is bounded.
func mergeBlock(n int) int { return max(16<<10, min(128<<10, 16<<20/n)) }

// meters is the progress of several inputs.
type meters []stream.Meter

func (m meters) progress() (done, total int64) {
	for _, in := range m {
		d, t := in.Progress()
		done += d
		if t < 0 || total < 0 {
			total = -1
		} else {
			total += t
		}
	}
	return done, total
}
