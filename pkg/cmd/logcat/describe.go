package logcat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"logtools/pkg/cli"
	"logtools/pkg/cmd/reader"
	"logtools/pkg/event"
	"logtools/pkg/eventlog"
	"logtools/pkg/render"
	"logtools/pkg/when"
)

// describeLogs says of each partition what it holds (--describe). Logs that cannot
// be described are named, and the others still are.
func (o *options) describeLogs(ctx context.Context, s *cli.Streams, r *reader.Reader) error {
	if err := o.onlyDescribe(); err != nil {
		return err
	}
	logs, err := r.Logs()
	if cli.ExitOf(err, cli.Failed) == cli.Usage {
		return err
	}
	s.Report(err, cli.Failed)
	format := o.Output
	if format == "" && s.OutTerminal {
		format = "pretty"
	}
	var rows, groups []event.Value
	for _, l := range logs {
		all, err := l.Describe(ctx)
		if err != nil {
			s.Report(reader.WithStatus(err), cli.Failed)
			continue
		}
		for i := range all {
			rows = append(rows, event.RawValue(appendDescription(nil, l.Name(), &all[i])))
		}
		positions, err := l.Groups(ctx)
		for _, p := range positions {
			groups = append(groups, event.RawValue(appendPosition(nil, &p)))
		}
		s.Report(withStatuses(err), cli.Failed)
	}
	if len(rows) == 0 {
		return nil
	}
	// The rows of groups are of another shape, and are a table of their own. csv and tsv
	// have one header, for both.
	one := len(groups) > 0 && (format == "csv" || format == "tsv")
	if one {
		rows = append(rows, groups...)
		rows[0] = withMembersOf(rows[0], groups[0])
	}
	out, err := appendRows(nil, rows, format, look(s, o.Color))
	if err == nil && len(groups) > 0 && !one && format != "none" {
		if format == "table" || format == "pretty" {
			out = append(out, '\n')
		}
		out, err = appendRows(out, groups, format, look(s, o.Color))
	}
	if err == nil {
		_, err = s.Out.Write(out)
	}
	return err
}

// withMembersOf returns an object with the members that another has and it has not,
// as null.
func withMembersOf(v, other event.Value) event.Value {
	var names []string
	for it := v.Members(); it.Next(); {
		names = append(names, string(it.Name.AppendText(nil)))
	}
	b := bytes.TrimSuffix(v.AppendJSON(nil), []byte("}"))
	for it := other.Members(); it.Next(); {
		if !slices.Contains(names, string(it.Name.AppendText(nil))) {
			b = append(it.Name.AppendJSON(append(b, ',')), ":null"...)
		}
	}
	return event.RawValue(append(b, '}'))
}

// onlyDescribe refuses what --describe leaves undone.
func (o *options) onlyDescribe() error {
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"follow", o.follow}, {"merge", o.merge}, {"tail", o.tail >= 0}, {"count", o.count >= 0}, {"map", o.mapping != ""},
		{"from", o.logs.From != ""}, {"to", o.logs.To != ""}, {"partition", o.logs.Partitions != ""}, {"only-key", o.logs.OnlyKey != ""},
		{"time", o.Time != ""}, {"key", o.Key != ""}, {"where", o.Where != ""}, {"since", o.Since != ""}, {"until", o.Until != ""},
		{"rejects", o.Rejects != ""},
	} {
		if f.given {
			return cli.Usagef("--describe and --%s exclude each other", f.name)
		}
	}
	return nil
}

func appendRows(dst []byte, rows []event.Value, format string, look render.Look) ([]byte, error) {
	switch format {
	case "none":
		return dst, nil
	case "pretty":
		for i, v := range rows {
			if i > 0 {
				dst = append(dst, '\n')
			}
			dst = appendBlock(dst, v)
		}
		return dst, nil
	case "csv", "tsv", "table":
	default: // event, value and raw are the same: an object is a bare value
		for _, v := range rows {
			dst = append(v.AppendJSON(dst), '\n')
		}
		return dst, nil
	}
	header, err := render.NewHeader(dialects[format], rows[0])
	if err != nil {
		return nil, err
	}
	if format == "table" {
		table := render.NewTable(header)
		for _, v := range rows {
			if err := table.Add(v); err != nil {
				return nil, err
			}
		}
		return table.AppendTo(dst, look), nil
	}
	dst = append(header.AppendHeader(dst), '\n')
	for _, v := range rows {
		if dst, err = header.AppendRow(dst, v); err != nil {
			return nil, err
		}
		dst = append(dst, '\n')
	}
	return dst, nil
}

// appendBlock appends what is said of a partition for people: a line for each
// member, which no terminal is too narrow for.
func appendBlock(dst []byte, v event.Value) []byte {
	width := 0
	for it := v.Members(); it.Next(); {
		width = max(width, len(it.Name.AppendText(nil)))
	}
	for it := v.Members(); it.Next(); {
		dst = fmt.Appendf(dst, "%-*s  ", width, it.Name.AppendText(nil))
		if m := it.Value; m.Kind == event.String {
			text := string(m.AppendText(nil))
			// The name of a log may hold what drives the terminal.
			if quoted := strconv.Quote(text); len(quoted) > len(text)+len(`""`) {
				text = quoted
			}
			dst = append(dst, text...)
		} else {
			dst = m.AppendJSON(dst)
		}
		dst = append(dst, '\n')
	}
	return dst
}

// withStatuses gives each of the errors that were joined its exit status and hint.
func withStatuses(err error) error {
	several, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return reader.WithStatus(err)
	}
	var all []error
	for _, e := range several.Unwrap() {
		all = append(all, reader.WithStatus(e))
	}
	return errors.Join(all...)
}

// appendPosition appends what --describe says of a group's position.
func appendPosition(dst []byte, p *eventlog.GroupPosition) []byte {
	dst = append(dst, `{"group":`...)
	dst = event.AppendString(dst, []byte(p.Group))
	return fmt.Appendf(dst, `,"partition":%d,"committed":%d,"lag":%d}`, p.Partition, p.Committed, p.Lag)
}

// appendDescription appends what --describe says of a partition. Times of an empty
// one are null.
func appendDescription(dst []byte, log string, d *eventlog.Description) []byte {
	dst = append(dst, `{"log":`...)
	dst = event.AppendString(dst, []byte(log))
	for _, m := range []struct {
		name string
		n    int64
	}{
		{"partition", int64(d.Partition)}, {"first", d.First}, {"next", d.Next}, {"events", d.Events},
		{"bytes", d.Bytes}, {"raw_bytes", d.RawBytes}, {"segments", int64(d.Segments)},
	} {
		dst = append(append(append(dst, `,"`...), m.name...), `":`...)
		dst = strconv.AppendInt(dst, m.n, 10)
	}
	for _, m := range []struct {
		name string
		at   time.Time
	}{
		{"min_time", time.Unix(d.MinTime.Sec, int64(d.MinTime.Nsec))},
		{"max_time", time.Unix(d.MaxTime.Sec, int64(d.MaxTime.Nsec))},
		{"appended_at", time.UnixMicro(d.AppendedAt)},
	} {
		dst = append(append(append(dst, `,"`...), m.name...), `":`...)
		if d.Events == 0 {
			dst = append(dst, "null"...)
			continue
		}
		dst = append(dst, '"')
		dst = append(when.FromTime(m.at).AppendRFC3339(dst), '"')
	}
	return append(dst, '}')
}
