package logcompact

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"logtools/pkg/cli"
	"logtools/pkg/cmd/reader"
	"logtools/pkg/event"
	"logtools/pkg/eventlog"
)

// checking is a run that verifies logs, or repairs them first.
type checking struct {
	*run
	repair bool
}

// logs looks at logs. An error ends the run: nothing more can be written, or it is
// to end.
func (r *checking) logs(paths []string) error {
	r.expect(paths)
	if r.repair { // they are verified, too
		r.expect(paths)
	}
	for _, path := range paths {
		if err := r.log(path); err != nil {
			return err
		}
	}
	return nil
}

// log looks at a log. What is wrong with it is reported here; an error ends the
// run.
func (r *checking) log(path string) error {
	if err := directory(path); err != nil {
		r.s.Report(err, cli.Failed)
		return nil
	}
	l, err := eventlog.Open(path, eventlog.Options{})
	if err != nil && r.repair {
		if l, err = r.settings(path, err); err != nil && r.ctx.Err() != nil {
			return err
		}
	}
	if err != nil {
		r.s.Report(r.explain(err), cli.Failed)
		return r.ctx.Err()
	}
	// What is said once for all partitions.
	var damaged, missing bool
	for p := range l.Settings().Partitions {
		if r.repair {
			if ok, err := r.mend(l, p); err != nil {
				return err
			} else if !ok {
				continue
			}
		}
		bad, err := r.verify(l, p)
		if errors.Is(err, errMissing) {
			missing, err = true, nil
		}
		if err != nil {
			return err
		}
		damaged = damaged || bad
	}
	switch {
	case damaged && r.repair:
		r.s.Hint("%s: what is still damaged cannot be repaired here: restore it from a copy", path)
	case damaged:
		r.s.Hint("logcompact --repair %s keeps what is whole, and the damaged files in lost/", path)
	case missing:
		r.s.Hint("%s: what is missing as a whole cannot be repaired: restore it from a copy", path)
	}
	return nil
}

// settings repairs the settings of a log that could not be opened for cause.
func (r *checking) settings(path string, cause error) (*eventlog.Log, error) {
	if errors.Is(cause, fs.ErrNotExist) {
		return nil, cause
	}
	done, err := eventlog.RepairSettings(r.ctx, path, eventlog.Options{}, r.wait)
	if err != nil {
		return nil, err
	}
	if done != nil {
		if err := r.tellSettings(path, done); err != nil {
			return nil, err
		}
	}
	return eventlog.Open(path, eventlog.Options{})
}

func (r *checking) tellSettings(path string, done *eventlog.RepairedSettings) error {
	if r.json {
		return r.object(struct {
			Log     string `json:"log"`
			File    string `json:"file"`
			Kept    string `json:"kept,omitempty"`
			Default bool   `json:"defaults"`
		}{name(path), done.File, done.Kept, done.Guessed})
	}
	text := done.File + ": repaired"
	if done.Guessed {
		text = fmt.Sprintf("%s: made anew: the id and the number of partitions (%d) are those of the segments; "+
			"cleanup, retain-age, retain-bytes and segment-bytes have their defaults again; if it had rules, name them again before anything is appended", done.File, done.Partitions)
	}
	return r.line(text + keptAs(done.Kept))
}

func keptAs(name string) string {
	if name == "" {
		return ""
	}
	return "; the original is kept as " + name
}

// mend repairs a partition and says what was done. It returns false if that could
// not be done, and reading the partition would say the same again.
func (r *checking) mend(l *eventlog.Log, partition int) (ok bool, err error) {
	r.next(l, partition)
	var broken error
	err = l.Repair(r.ctx, partition, eventlog.RepairOptions{
		LockTimeout: r.wait,
		Repaired: func(done eventlog.Repaired) {
			if err := r.tellRepaired(l, partition, done); broken == nil {
				broken = err
			}
		},
		Progress: r.progress,
	})
	if r.ctx.Err() != nil {
		return false, r.ctx.Err()
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.s.Report(r.explain(err), cli.Failed)
		return false, broken
	}
	return true, broken
}

func (r *checking) tellRepaired(l *eventlog.Log, partition int, done eventlog.Repaired) error {
	if r.json {
		type offsets struct {
			First int64 `json:"first"`
			Next  int64 `json:"next"`
		}
		lost := []offsets{}
		for _, o := range done.Lost {
			lost = append(lost, offsets(o))
		}
		return r.object(struct {
			Log       string    `json:"log"`
			Partition int       `json:"partition"`
			File      string    `json:"file"`
			Reason    string    `json:"reason"`
			Kept      string    `json:"kept,omitempty"`
			Lost      []offsets `json:"lost"`
		}{l.Name(), partition, done.File, done.Reason, done.Kept, lost})
	}
	return r.line(fmt.Sprintf("%s: repaired: %s; %s%s", done.File, done.Reason, lostText(done.Lost), keptAs(done.Kept)))
}

// lostText names ranges of offsets, the first few of them.
func lostText(lost []eventlog.Offsets) string {
	const most = 5
	if len(lost) == 0 {
		return "no event is lost"
	}
	var parts []string
	offsets := int64(0)
	for i, o := range lost {
		offsets += o.Next - o.First
		switch {
		case i >= most:
		case o.Next == o.First+1:
			parts = append(parts, fmt.Sprintf("%d", o.First))
		default:
			parts = append(parts, fmt.Sprintf("%d to %d", o.First, o.Next-1))
		}
	}
	if n := len(lost) - most; n > 0 {
		parts = append(parts, fmt.Sprintf("%d more ranges", n))
	}
	if offsets == 1 {
		return "offset " + parts[0] + " is lost"
	}
	return "offsets " + strings.Join(parts, ", ") + " are lost"
}

// errMissing: there is no directory of a partition, which has been reported.
var errMissing = errors.New("partition is missing")

// verify reads a partition and says what is there; damaged says that not all of it
// is whole.
func (r *checking) verify(l *eventlog.Log, partition int) (damaged bool, err error) {
	r.next(l, partition)
	v, err := l.Verify(r.ctx, partition, eventlog.VerifyOptions{
		Damaged: func(d *event.DamagedError) {
			damaged = true
			r.s.Report(cli.WithExit(d, cli.Damaged), cli.Damaged)
		},
		Progress: r.progress,
	})
	if r.ctx.Err() != nil {
		return damaged, r.ctx.Err()
	}
	if err != nil {
		if missing := missingPartition(l, partition); missing != nil {
			r.s.Report(missing, cli.Damaged)
			return damaged, errMissing
		}
		err = r.explain(err)
		r.s.Report(err, cli.Failed)
		return damaged || cli.ExitOf(err, cli.Failed) == cli.Damaged, nil
	}
	if r.json {
		return damaged, r.object(struct {
			Log       string `json:"log"`
			Partition int    `json:"partition"`
			Segments  int    `json:"segments"`
			Events    int64  `json:"events"`
			Bytes     int64  `json:"bytes"`
			RawBytes  int64  `json:"raw_bytes"`
			Damaged   int    `json:"damaged"`
		}{l.Name(), partition, v.Segments, v.Events, v.Bytes, v.RawBytes, v.Damaged})
	}
	state := "whole"
	if v.Damaged > 0 {
		state = fmt.Sprintf("damaged in %s", plural(int64(v.Damaged), "place"))
	}
	return damaged, r.line(fmt.Sprintf("%s/%d: %s, %s, %s, %s", l.Name(), partition,
		plural(int64(v.Segments), "segment"), plural(v.Events, "event"), cli.Humane(float64(v.Bytes)), state))
}

// explain gives an error of a log the status and the hint that it has. After a
// repair nothing is said of repairing.
func (r *checking) explain(err error) error {
	var damaged *event.DamagedError
	if r.repair && errors.As(err, &damaged) {
		return cli.WithExit(err, cli.Damaged)
	}
	return reader.WithStatus(err)
}
