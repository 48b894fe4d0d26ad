// Package logview is the command that groups events and shows the groups.
package logview

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"logtools/pkg/agg"
	"logtools/pkg/cli"
	"logtools/pkg/cmd/reader"
	"logtools/pkg/event"
	"logtools/pkg/expr"
	"logtools/pkg/render"
	"logtools/pkg/scan"
)

type options struct {
	cli.ReaderFlags
	group, aggs, sort string
	top               int64
	exact             bool
}

// New returns the command.
func New() *cli.Command {
	o := &options{top: -1, aggs: "count"}
	return &cli.Command{
		Name:     "logview",
		Summary:  "group events, count and measure the groups, show them",
		Synopsis: []string{"logview [-g EXPR] [-a AGGS] [--sort COL[:asc|desc]] [--top N] [--exact]", "        [-i FORMAT] [-w EXPR] [-S TIME] [-U TIME] [-o FORMAT] [FILE ...]"},
		Examples: `logview -i combined -g .path --top 5 access.log
logview -g .path,.status -a 'count,p99(.ms)' --sort p99_ms --top 10 app.ndjson
logview -g '$time[:13]' -a 'count,5xx=count(.status>=500)' -o csv app.ndjson`,
		AddFlags: o.addFlags,
		Run:      o.run,
	}
}

func (o *options) addFlags(f *cli.Flags) {
	f.String(&o.group, cli.FlagDoc{Name: "group", Short: "g", Value: "EXPR", Once: true,
		Usage: "group by these columns: expressions with commas between, or an object"})
	f.String(&o.aggs, cli.FlagDoc{Name: "agg", Short: "a", Value: "AGGS", Once: true,
		Usage: "aggregates of each group: comma list of [NAME=]FUNC[(EXPR)]"})
	f.String(&o.sort, cli.FlagDoc{Name: "sort", Value: "COL[:asc|desc]",
		Usage: "order the rows by this column"})
	f.Count(&o.top, cli.FlagDoc{Name: "top", Value: "N",
		Usage: "only the first N rows; by the first aggregate unless --sort is given"})
	f.Bool(&o.exact, cli.FlagDoc{Name: "exact",
		Usage: "no sketches: distinct and quantiles exact, whatever memory that takes"})
	o.ReaderFlags.Add(f, reader.Inputs(), reader.Outputs("logview"))
}

// view is what the flags ask for, compiled.
type view struct {
	columns []string // names of the group columns
	groups  []*expr.Program
	specs   []agg.Spec
	args    []*expr.Program // per spec; nil: none
	exact   bool
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
	order, err := o.order(v)
	if err != nil {
		return err
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
	ballast := make([]byte, 48<<20)
	defer runtime.KeepAlive(ballast)
	stopped, err := r.Run(ctx, newOperator, func(*scan.Result) error { return nil }, nil)
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
	return agg.Order{}, e
}

func (v *view) names() []string {
	names := append([]string(nil), v.columns...)
	for _, s := range v.specs {
		names = append(names, s.Name)
	}
	return names
}

// write shows the rows.
func (o *options) write(s *cli.Streams, v *view, t *agg.Table, order agg.Order) error {
	format := o.Output
	if format == "" {
		format = "event"
		if s.OutTerminal {
			format = "table"
		}
	}
	names := v.names()
	prefixes := make([][]byte, len(names))
	for i, name := range names {
		prefixes[i] = append(event.AppendString(nil, []byte(name)), ':')
	}
	var header *render.Header
	var table *render.Table
	var buf []byte
	switch format {
	case "csv":
		header = render.NamedHeader(render.CSV, names...)
	case "tsv":
		header = render.NamedHeader(render.TSV, names...)
	case "table":
		table = render.NewTable(render.NamedHeader(render.TSV, names...))
	}
	var key, value []byte
	rows := 0
	err := t.Rows(order, int(max(o.top, 0)), func(row agg.Row) error {
		value = append(value[:0], '{')
		for i := range names {
			if i > 0 {
				value = append(value, ',')
			}
			value = append(value, prefixes[i]...)
			if i < len(row.Keys) {
				value = row.Keys[i].AppendJSON(value)
			} else {
				value = row.Aggs[i-len(row.Keys)].AppendJSON(value)
			}
		}
		value = append(value, '}')
		val := event.RawValue(value)
		var err error
		defer func() { rows++ }()
		switch format {
		case "event":
			key = appendKey(key[:0], row.Keys)
			buf = render.AppendEvent(buf, &render.Out{Key: event.RawValue(key), Value: val})
		case "value":
			buf = append(buf, value...)
		case "csv", "tsv":
			if rows == 0 { // no rows, no output: not even a header
				buf = append(header.AppendHeader(buf), '\n')
			}
			buf, err = header.AppendRow(buf, val)
		case "table":
			return table.Add(val)
		}
		if err != nil {
			return err
		}
		if buf = append(buf, '\n'); len(buf) < 1<<18 {
			return nil
		}
		_, err = s.Out.Write(buf)
		buf = buf[:0]
		return err
	})
	if err != nil {
		return err
	}
	if table != nil && rows > 0 {
		buf = table.AppendTo(buf, render.Look{Width: s.Width(), Color: s.UseColor(o.Color)})
	}
	if len(buf) == 0 {
		return nil
	}
	_, err = s.Out.Write(buf)
	return err
}

// appendKey appends a row's key: the group's value, as an array of one if it is
// null or an array itself (null is no key), an array for several columns or
// none.
func appendKey(dst []byte, keys []event.Value) []byte {
	if len(keys) == 1 && !keys[0].IsNull() && keys[0].Kind != event.Array {
		return keys[0].AppendCanonical(dst)
	}
	dst = append(dst, '[')
	for i, k := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = k.AppendCanonical(dst)
	}
	return append(dst, ']')
}
