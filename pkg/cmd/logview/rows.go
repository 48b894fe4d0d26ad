package logview

import (
	"slices"

	"logtools/pkg/agg"
	"logtools/pkg/cli"
	"logtools/pkg/event"
	"logtools/pkg/render"
)

// encoder makes events of rows.
type encoder struct {
	prefixes   [][]byte // the names as JSON, each with its colon
	names      []string
	key, value []byte // JSON, of the last row
	rows       int
	known      []bool // by group column: it was not null in some row
}

func newEncoder(v *view) *encoder {
	e := &encoder{names: v.names(), known: make([]bool, len(v.columns))}
	for _, name := range e.names {
		e.prefixes = append(e.prefixes, append(event.AppendString(nil, []byte(name)), ':'))
	}
	return e
}

// row returns a row's value, an object. It is valid until the next call.
func (e *encoder) row(row agg.Row) event.Value {
	e.rows++
	for i := range row.Keys {
		e.known[i] = e.known[i] || !row.Keys[i].IsNull()
	}
	dst := append(e.value[:0], '{')
	for i := range e.prefixes {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, e.prefixes[i]...)
		if i < len(row.Keys) {
			dst = row.Keys[i].AppendJSON(dst)
		} else {
			dst = row.Aggs[i-len(row.Keys)].AppendJSON(dst)
		}
	}
	e.value = append(dst, '}')
	return event.RawValue(e.value)
}

// rowKey returns a row's key: the group's value, as an array of one if it is
// null or an array itself (null is no key), an array for several columns or
// none. It is valid until the next call.
func (e *encoder) rowKey(keys []event.Value) event.Value {
	if len(keys) == 1 && !keys[0].IsNull() && keys[0].Kind != event.Array {
		e.key = keys[0].AppendCanonical(e.key[:0])
		return event.RawValue(e.key)
	}
	dst := append(e.key[:0], '[')
	for i, k := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = k.AppendCanonical(dst)
	}
	e.key = append(dst, ']')
	return event.RawValue(e.key)
}

// format is what -o says, or what is usual.
func (o *options) format(s *cli.Streams) string {
	switch {
	case o.Output != "":
		return o.Output
	case s.OutTerminal:
		return "table"
	}
	return "event"
}

// write shows the rows.
func (o *options) write(s *cli.Streams, v *view, t *agg.Table, order agg.Order) error {
	format, top := o.format(s), int(max(o.top, 0))
	e := newEncoder(v)
	if format == "table" || format == "chart" {
		buf, err := o.picture(s, v, e, t, order, top)
		return o.finish(s, v, e, buf, err)
	}
	var header *render.Header
	var buf []byte
	switch format {
	case "csv":
		header = render.NamedHeader(render.CSV, e.names...)
	case "tsv":
		header = render.NamedHeader(render.TSV, e.names...)
	}
	err := v.rows(t, order, top, func(row agg.Row) error {
		value := e.row(row)
		switch format {
		case "event":
			buf = render.AppendEvent(buf, &render.Out{Key: e.rowKey(row.Keys), Value: value})
		case "value":
			buf = append(buf, value.B...)
		default: // csv, tsv
			if e.rows == 1 { // no rows, no output: not even a header
				buf = append(header.AppendHeader(buf), '\n')
			}
			var err error
			if buf, err = header.AppendRow(buf, value); err != nil {
				return err
			}
		}
		if buf = append(buf, '\n'); len(buf) < 1<<18 {
			return nil
		}
		_, err := s.Out.Write(buf)
		buf = buf[:0]
		return err
	})
	return o.finish(s, v, e, buf, err)
}

// finish writes what is left to write, unless something went wrong before.
func (o *options) finish(s *cli.Streams, v *view, e *encoder, buf []byte, err error) error {
	if err == nil && len(buf) > 0 {
		_, err = s.Out.Write(buf)
	}
	if err == nil {
		o.hintNull(s, v, e)
	}
	return err
}

// hintNull speaks of a column that no event has, as one that is mistyped, if all
// rows were shown.
func (o *options) hintNull(s *cli.Streams, v *view, e *encoder) {
	if e.rows == 0 || o.top > 0 && int64(e.rows) >= o.top {
		return
	}
	for i, known := range e.known {
		switch text := v.texts[i]; {
		case known:
		case text == "$key" && o.Key != "", text == "$time" && o.Time != "": // has been said
		case text == "$key":
			s.Hint("no event has a key; -k EXPR gives them one")
		case text == "$time":
			s.Hint("no event has a time; -t EXPR says where it is")
		default:
			s.Hint("%s is null for every event; logcat -c 1 shows what there is in one", text)
		}
	}
}

// rows gives out the rows of the table. Without group columns there is one group,
// also of no events: its count is 0.
func (v *view) rows(t *agg.Table, order agg.Order, top int, yield func(agg.Row) error) error {
	none := true
	err := t.Rows(order, top, func(row agg.Row) error {
		none = false
		return yield(row)
	})
	if err != nil || !none || len(v.columns) > 0 {
		return err
	}
	// A table of one event that counts for nothing.
	specs, args := slices.Clone(v.specs), make([]event.Value, len(v.specs))
	for i := range specs {
		if specs[i].Func == "count" {
			specs[i].Expr, args[i] = "false", event.BoolValue(false)
		}
	}
	empty := agg.NewTable(specs, 0, agg.Options{Exact: v.exact})
	if err := empty.Add(0, nil, args); err != nil {
		return err
	}
	return empty.Rows(order, top, yield)
}

// picture draws the rows, the first top of them if top > 0, as a table or chart;
// nothing if there are none. e is a new encoder.
func (o *options) picture(s *cli.Streams, v *view, e *encoder, t *agg.Table, order agg.Order, top int) ([]byte, error) {
	header := render.NamedHeader(render.TSV, e.names...)
	var to interface {
		Add(event.Value) error
		AppendTo(dst []byte, look render.Look) []byte
	}
	if o.format(s) == "chart" {
		chart := render.NewChart(header, len(v.columns), v.additive())
		if o.humane {
			chart.Humane()
		}
		to = chart
	} else {
		table := render.NewTable(header)
		if o.humane {
			table.Humane(len(v.columns))
		}
		to = table
	}
	err := v.rows(t, order, top, func(row agg.Row) error { return to.Add(e.row(row)) })
	if err != nil || e.rows == 0 {
		return nil, err
	}
	look := render.Look{Color: s.UseColor(o.Color), ASCII: !s.UTF8()}
	// A table is made to fit only where it is looked at. A chart needs a width.
	if s.OutTerminal || o.format(s) == "chart" {
		look.Width = s.Width()
	}
	return to.AppendTo(nil, look), nil
}

// additive says of which aggregates the values of two groups may be added up.
func (v *view) additive() []bool {
	var add []bool
	for _, s := range v.specs {
		add = append(add, s.Func == "count" || s.Func == "sum")
	}
	return add
}
