// Package logview is the command that groups events and shows the groups.
package logview

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"logtools/pkg/agg"
	"logtools/pkg/cli"
	"logtools/pkg/cmd/reader"
	"logtools/pkg/event"
	"logtools/pkg/expr"
	"logtools/pkg/scan"
)

type options struct {
	cli.ReaderFlags
	group, aggs, sort string
	top               int64
	exact             bool
	follow, humane    bool
	memory            int64
}

// New returns the command.
func New() *cli.Command {
	o := &options{top: -1, aggs: "count", memory: 1 << 30}
	return &cli.Command{
		Name:     "logview",
		Summary:  "group events, count and measure the groups, show them",
		Synopsis: []string{"logview [-f] [-g EXPR] [-a AGGS] [--sort COL[:asc|desc]] [--top N] [--exact]", "        [-i FORMAT] [-w EXPR] [-S TIME] [-U TIME] [-o FORMAT] [-H]", "        [--memory SIZE] [FILE ...]"},
		Examples: `logview -i combined -g .path --top 5 access.log
logview -g .path,.status -a 'count,p99(.ms)' --sort p99_ms --top 10 app.ndjson
logview -g '$time[:13]' -a 'count,5xx=count(.status>=500)' -o csv app.ndjson
logview -i combined -g '$time[:13]' -o chart access.log`,
		AddFlags: o.addFlags,
		Run:      o.run,
	}
}

func (o *options) addFlags(f *cli.Flags) {
	f.String(&o.group, cli.FlagDoc{Name: "group", Short: "g", Value: "EXPR",
		Once:  "several columns are one list: -g .a,.b",
		Usage: "group by these columns: expressions with commas between, or an object"})
	f.String(&o.aggs, cli.FlagDoc{Name: "agg", Short: "a", Value: "AGGS",
		Once:  "several are one list: -a 'count,sum(.bytes)'",
		Usage: "aggregates of each group: comma list of [NAME=]FUNC[(EXPR)]"})
	f.String(&o.sort, cli.FlagDoc{Name: "sort", Value: "COL[:asc|desc]",
		Once:  "rows are ordered by one column, and by group where that is equal",
		Usage: "order the rows by this column"})
	f.Count(&o.top, cli.FlagDoc{Name: "top", Value: "N",
		Usage: "only the first N rows; by the first aggregate unless --sort is given"})
	f.Bool(&o.exact, cli.FlagDoc{Name: "exact",
		Usage: "no sketches: distinct and quantiles exact, whatever memory that takes"})
	f.Size(&o.memory, 1<<20, 1<<50, cli.FlagDoc{Name: "memory", Value: "SIZE",
		Usage: "memory for the groups; beyond it they go to temporary files"})
	f.Bool(&o.follow, cli.FlagDoc{Name: "follow", Short: "f",
		Usage: "go on at the end: show each change, on a terminal the whole view"})
	f.Bool(&o.humane, cli.FlagDoc{Name: "humane", Short: "H",
		Usage: "short numbers in tables and charts: 12.3M"})
	o.ReaderFlags.Add(f, reader.Inputs(), reader.Outputs("logview"))
	const top, events = "--top N is the first N rows", "logcat shows the events themselves"
	const part = "logcat reads a part of a log: logcat --from 5 LOG | logview ..."
	f.Instead(map[string]string{
		"-n": top, "-c": top, "--head": top, "--limit": top, "--count": top, "--tail": top,
		"-m": "-g and -a take expressions; or logcat -m EXPR | logview", "--map": "-g and -a take expressions; or logcat -m EXPR | logview",
		"-s": "try --sort", "--by": "-g groups, --sort orders the rows", "--order": "try --sort", "-r": "--sort COL:asc or COL:desc",
		"--merge": events, "--window": "-g '$time[:13]' groups by hour, -g '$time[:16]' by minute",
		"--from": part, "--to": part, "--partition": "logcat -p 0 LOG | logview ...", "-p": "logcat -p 0 LOG | logview ...",
		"--only-key": "logcat --only-key KEY LOG | logview ...",
		"--filter":   "-w keeps the events for which it is true",
		"--format":   "-i is the format of the input, -o of the output",
	})
}

// view is what the flags ask for, compiled.
type view struct {
	columns []string // names of the group columns
	texts   []string // and their expressions
	groups  []*expr.Program
	specs   []agg.Spec
	args    []*expr.Program // per spec; nil: none
	exact   bool
	memory  *agg.Memory
}

func (o *options) run(ctx context.Context, s *cli.Streams, operands []string) error {
	r, err := reader.New(s, &o.ReaderFlags, operands)
	if err != nil {
		return err
	}
	v, err := o.compile(r)
	if err != nil {
		return err
	}
	if len(v.columns) == 1 {
		if better := several(o.group); better != "" {
			s.Hint("a comma binds tighter than |, so this is one column; for several: -g '%s'", better)
		}
	}
	order, err := o.order(v)
	if err != nil {
		return err
	}
	v.memory = agg.NewMemory(o.memory, "")
	defer v.memory.Close()
	if o.follow {
		return o.followed(ctx, s, r, v, order)
	}
	var workers []*worker
	newOperator := func() scan.Operator {
		w := v.newWorker()
		workers = append(workers, w)
		return w
	}
	// The collector begins with a heap of 4 MiB and runs each time it has doubled,
	// while the groups grow. An array that nobody touches, and that therefore
	// takes no memory, makes it begin later.
	ballast := make([]byte, min(48<<20, o.memory/8))
	defer runtime.KeepAlive(ballast)
	stopped, err := r.Run(ctx, newOperator, func(*scan.Result, reader.Report) error { return nil }, nil)
	if err != nil || stopped || ctx.Err() != nil {
		// Half a count is a wrong count.
		return err
	}
	table, none := workers[0].table, workers[0].none
	for _, w := range workers[1:] {
		if err := table.Merge(w.table); err != nil {
			return err
		}
		none += w.none
	}
	switch none {
	case 0:
	case 1:
		s.Warn("1 event is in no group")
	default:
		s.Warn("%s events are in no group", cli.Thousands(none))
	}
	if o.top == 0 {
		return nil
	}
	return o.write(s, v, table, order)
}

func (o *options) compile(r *reader.Reader) (*view, error) {
	v := &view{exact: o.exact}
	if o.group != "" {
		columns, err := expr.Columns(o.group)
		if err != nil {
			return nil, reader.SyntaxError("--group", err)
		}
		for _, c := range columns {
			p, err := r.Compile("--group", c.Expr)
			if err != nil {
				return nil, err
			}
			v.columns = append(v.columns, c.Name)
			v.texts = append(v.texts, c.Expr)
			v.groups = append(v.groups, p)
		}
	}
	var err error
	if v.specs, err = agg.Parse(o.aggs); err != nil {
		return nil, listError(err)
	}
	taken := make(map[string]bool)
	for _, name := range v.columns {
		taken[name] = true
	}
	for _, spec := range v.specs {
		if taken[spec.Name] {
			e := cli.Usagef("--agg: %s is also the name of a group column", spec.Name)
			e.Hint = fmt.Sprintf("name it, for example -a 'my_%s=%s'", spec.Name, spec.Func)
			return nil, e
		}
		var p *expr.Program
		if spec.Expr != "" {
			if p, err = r.Compile("--agg", spec.Expr); err != nil {
				return nil, err
			}
		}
		v.args = append(v.args, p)
	}
	return v, nil
}

// several returns what was perhaps meant by a group of one column: that its commas
// part it into several; "" if they cannot. .a|length,.b is .a|(length,.b).
func several(group string) string {
	const long = 1000 // nobody types that; and split takes its square
	if !strings.Contains(group, "|") || len(group) > long {
		return ""
	}
	better := split(group)
	if columns, err := expr.Columns(better); err != nil || len(columns) < 2 || !whole(better) {
		return ""
	}
	return better
}

// split returns src with its parts in brackets where they have a |, so that its
// commas part them; "" if it has none that can.
func split(src string) string {
	bracket := func(part string) string {
		if part = strings.TrimSpace(part); strings.Contains(part, "|") {
			return "(" + part + ")"
		}
		return part
	}
	for i := range len(src) {
		if src[i] != ',' || !whole(src[:i]) || !whole(src[i+1:]) {
			continue // no comma, or one in a string or in brackets
		}
		rest := split(src[i+1:])
		if rest == "" {
			rest = bracket(src[i+1:])
		}
		return bracket(src[:i]) + "," + rest
	}
	return ""
}

// whole says whether a program is one by itself.
func whole(src string) bool {
	_, err := expr.Compile(src, new(event.Fields))
	return err == nil
}

// listError makes a usage error of what is wrong with -a.
func listError(err error) error {
	var syntax *agg.SyntaxError
	if errors.As(err, &syntax) {
		return &cli.Error{Exit: cli.Usage, Err: fmt.Errorf("--agg: %s", syntax.Msg), Detail: syntax.Caret(), Hint: syntax.Hint}
	}
	return cli.Usagef("--agg: %w", err)
}

// order reads --sort and --top.
func (o *options) order(v *view) (agg.Order, error) {
	if o.sort == "" {
		if o.top >= 0 {
			return agg.Order{Column: len(v.columns), Desc: true}, nil
		}
		return agg.Order{Column: agg.ByGroup}, nil
	}
	name, direction := o.sort, ""
	if k := strings.LastIndexByte(name, ':'); k >= 0 {
		switch name[k+1:] {
		case "asc", "desc":
			name, direction = name[:k], name[k+1:]
		}
	}
	names := v.names()
	for i, n := range names {
		if n == name {
			desc := i >= len(v.columns)
			if direction != "" {
				desc = direction == "desc"
			}
			return agg.Order{Column: i, Desc: desc}, nil
		}
	}
	e := cli.Usagef("--sort: no column %s", name)
	e.Hint = "the columns are " + strings.Join(names, ", ")
	column, way, _ := strings.Cut(name, ":")
	if minus, ok := strings.CutPrefix(name, "-"); ok {
		column, way = minus, "desc"
	}
	if way != "" && slices.Contains(names, column) {
		e.Hint = fmt.Sprintf("the direction is --sort %s:asc or %s:desc", column, column)
	}
	return agg.Order{}, e
}

func (v *view) names() []string {
	names := append([]string(nil), v.columns...)
	for _, s := range v.specs {
		names = append(names, s.Name)
	}
	return names
}
