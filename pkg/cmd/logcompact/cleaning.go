package logcompact

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"logtools/pkg/cli"
	"logtools/pkg/cmd/reader"
	"logtools/pkg/compact"
	"logtools/pkg/event"
	"logtools/pkg/eventlog"
)

// cleaning is a run that does to logs what their cleanup, or that of the flags, says.
type cleaning struct {
	*run
	policy  *policy
	compact compactor
	told    *told // nil: everything is said
	worked  bool  // there was a partition with which nothing is wrong
}

// logs does it to some logs, once. An error ends the run: nothing more can be
// written, or it is to end.
func (r *cleaning) logs(paths []string) error {
	r.expect(paths)
	for _, path := range paths {
		if _, err := r.log(path); err != nil {
			return err
		}
	}
	return nil
}

// open opens a log and says what is to be done to it.
func (r *cleaning) open(path string) (*eventlog.Log, compact.Options, error) {
	if err := directory(path); err != nil {
		return nil, compact.Options{}, err
	}
	l, err := eventlog.Open(path, eventlog.Options{Warn: func(msg string) {
		if r.told.news("warning: "+path, errors.New(msg)) {
			r.s.Warn("%s", msg)
		}
	}})
	var none *eventlog.NoLogError
	switch {
	case errors.As(err, &none) && none.Of != "":
		return nil, compact.Options{}, cli.WithHint(err, "logcompact "+none.Of)
	case err != nil:
		return nil, compact.Options{}, reader.WithStatus(err)
	}
	s := l.Settings()
	o, err := r.policy.of(path, &s)
	return l, o, err
}

// log does it to a log. What is wrong with it is reported here; an error ends the run.
// gone says that there is no such log.
func (r *cleaning) log(path string) (gone bool, err error) {
	l, o, err := r.open(path)
	if err != nil {
		r.problem(path, err)
		return errors.Is(err, fs.ErrNotExist), r.ctx.Err()
	}
	r.told.forget(path)
	hint := "logcompact --repair " + path // said once for all partitions
	for p := range l.Settings().Partitions {
		damaged, err := r.partition(l, p, o, hint)
		if err != nil {
			return false, err
		}
		if damaged {
			hint = ""
		}
	}
	return false, nil
}

// partition does it to a partition. hint is for damage.
func (r *cleaning) partition(l *eventlog.Log, partition int, o compact.Options, hint string) (damaged bool, err error) {
	r.next(l, partition)
	o.Progress = r.progress
	done, failed := r.compact(r.ctx, l, partition, o)
	place := reader.PartitionName(l, partition)
	var harm *event.DamagedError
	var locked *eventlog.LockError
	r.worked = r.worked || failed == nil || errors.As(failed, &locked)
	switch {
	case failed == nil:
		r.told.forget(place)
	case r.ctx.Err() != nil && errors.Is(failed, r.ctx.Err()):
		r.interrupted(place, &done, o.DryRun)
	case errors.As(failed, &harm):
		damaged = true
		r.problem(place, cli.WithExit(cli.WithHint(failed, hint), cli.Damaged))
	default:
		if missing := missingPartition(l, partition); missing != nil && eventlog.IsLog(l.Path()) {
			failed = cli.WithExit(cli.WithHint(missing, "what is missing as a whole cannot be repaired: restore it from a copy"), cli.Damaged)
		}
		r.problem(place, reader.WithStatus(failed))
	}
	if failed == nil && done.Keys == 0 && done.EventsAfter > 0 && o.MinLag == 0 && r.told == nil {
		r.s.Hint("%s: no event has a key, and so all stay: logappend -k .id says what it is", place)
	}
	// Of a run that was cut short only what it did is of interest.
	if failed == nil && (r.told == nil || done.Changed) || failed != nil && done.Changed && !o.DryRun {
		if err := r.report(l, &done, o.DryRun); err != nil {
			return damaged, err
		}
	}
	return damaged, r.ctx.Err()
}

// interrupted says how far a run came that was to end.
func (r *cleaning) interrupted(place string, done *compact.Report, dry bool) {
	switch {
	case errors.Is(context.Cause(r.ctx), cli.ErrClosed): // which is a quiet end
	case dry:
		r.s.Warn("%s: interrupted; nothing was to be changed", place)
	case done.Done == 0:
		r.s.Warn("%s: interrupted before any file was replaced or removed; the log is whole", place)
	default:
		r.s.Warn("%s: interrupted after %d of %s; the log is whole", place, done.Done, plural(int64(done.Steps), "file"))
	}
}

// problem reports an error, but not the same one of the same place in each round.
func (r *cleaning) problem(place string, err error) {
	if r.told.news(place, err) {
		r.s.Report(err, cli.Failed)
	}
}

// report says what was done to a partition, or what would be.
func (r *cleaning) report(l *eventlog.Log, done *compact.Report, dry bool) error {
	if r.json {
		return r.object(objectOf(l.Name(), done))
	}
	return r.line(textOf(l.Name(), done, dry))
}

// reported is a report in JSON.
type reported struct {
	Log          string `json:"log"`
	Partition    int    `json:"partition"`
	EventsBefore int64  `json:"events_before"`
	EventsAfter  int64  `json:"events_after"`
	BytesBefore  int64  `json:"bytes_before"`
	BytesAfter   int64  `json:"bytes_after"`
	Keys         *int64 `json:"keys"`
	Tombstones   int64  `json:"tombstones_removed"`
}

func objectOf(log string, done *compact.Report) reported {
	o := reported{
		Log: log, Partition: done.Partition, EventsBefore: done.EventsBefore, EventsAfter: done.EventsAfter,
		BytesBefore: done.BytesBefore, BytesAfter: done.BytesAfter, Tombstones: done.Tombstones,
	}
	if done.Keys >= 0 {
		o.Keys = &done.Keys
	}
	return o
}

func textOf(log string, done *compact.Report, dry bool) string {
	var b strings.Builder
	if dry {
		b.WriteString("would be: ")
	}
	size := func(bytes int64) string { return cli.Humane(float64(bytes)) }
	bytes := done.BytesBefore
	if !done.Changed { // but a new file may have been begun
		bytes = done.BytesAfter
	}
	fmt.Fprintf(&b, "%s/%d: %s, %s", log, done.Partition, plural(done.EventsBefore, "event"), size(bytes))
	if !done.Changed {
		b.WriteString("; nothing to do")
		return b.String()
	}
	fmt.Fprintf(&b, " -> %s, %s", plural(done.EventsAfter, "event"), size(done.BytesAfter))
	if done.Keys >= 0 {
		fmt.Fprintf(&b, "; %s, %s removed", plural(done.Keys, "key"), plural(done.Tombstones, "tombstone"))
	}
	return b.String()
}
