// Package logcompact is the command that looks after logs: it checks and repairs
// them.
package logcompact

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"logtools/pkg/cli"
	"logtools/pkg/event"
	"logtools/pkg/eventlog"
	"logtools/pkg/when"
)

type options struct {
	verify, repair bool
	output         string
	lockTimeout    string
	progress       string
}

// New returns the command.
func New() *cli.Command {
	o := &options{output: "text", lockTimeout: "30s", progress: "auto"}
	return &cli.Command{
		Name:     "logcompact",
		Summary:  "check and repair logs",
		Synopsis: []string{"logcompact --verify | --repair [-o FORMAT] LOG ..."},
		Examples: `logcompact --verify app
logcompact --verify -o json app web
logcompact --repair app`,
		AddFlags: o.addFlags,
		Run:      o.run,
	}
}

func (o *options) addFlags(f *cli.Flags) {
	f.Bool(&o.verify, cli.FlagDoc{Name: "verify",
		Usage: "read everything and name what is damaged; nothing is changed"})
	f.Bool(&o.repair, cli.FlagDoc{Name: "repair",
		Usage: "put what is damaged right: keep what is whole, record the gaps"})
	f.String(&o.output, cli.FlagDoc{Name: "output", Short: "o", Value: "FORMAT", Choices: []string{"text", "json"},
		Usage: "a line of text for each partition, or a JSON object"})
	f.String(&o.lockTimeout, cli.FlagDoc{Name: "lock-timeout", Value: "DURATION",
		Usage: "how long to wait for another process's lock"})
	f.String(&o.progress, cli.FlagDoc{Name: "progress", Value: "WHEN", Choices: []string{"auto", "always", "never"},
		Usage: "show progress on standard error"})
	f.Instead(map[string]string{
		"--check": "try --verify", "--fsck": "try --verify", "--test": "try --verify", "-t": "try --verify",
		"--fix": "try --repair", "--recover": "try --repair",
		"--json": "try -o json",
	})
}

func (o *options) run(ctx context.Context, s *cli.Streams, operands []string) error {
	what := "--verify"
	switch {
	case o.verify && o.repair:
		return cli.Usagef("--verify and --repair exclude each other")
	case o.repair:
		what = "--repair"
	case !o.verify:
		return &cli.Error{Exit: cli.Usage, Err: errors.New("nothing to do: give --verify or --repair"),
			Hint: "logcompact --verify LOG reads everything and names what is damaged"}
	}
	if len(operands) == 0 {
		return &cli.Error{Exit: cli.Usage, Err: errors.New("no log is named"), Hint: "logcompact " + what + " LOG"}
	}
	wait, err := when.ParseDuration(o.lockTimeout)
	if err != nil {
		return cli.Usagef("--lock-timeout: %w", err)
	}
	r := &run{ctx: ctx, s: s, json: o.output == "json", repair: o.repair, wait: max(wait, time.Millisecond)} // 0 is not for ever
	defer s.StartProgress(o.progress, r.meter)()
	if slices.Contains(operands, "") {
		return &cli.Error{Exit: cli.Usage, Err: errors.New("an operand is empty"),
			Hint: "a shell variable that is not set leaves that behind"}
	}
	for _, path := range operands {
		if err := r.log(path); err != nil {
			return err // nothing more can be written, or it is to end
		}
	}
	return nil
}

// run is one run over some logs.
type run struct {
	ctx    context.Context
	s      *cli.Streams
	json   bool
	repair bool
	wait   time.Duration

	// Bytes of the partitions before the present one, and in it.
	before      int64
	done, total atomic.Int64
}

// meter counts the partitions so far, and the one at hand: how many bytes the
// others have is not known yet.
func (r *run) meter() (done, total int64) { return r.done.Load(), r.total.Load() }

func (r *run) progress(done, total int64) {
	r.done.Store(r.before + done)
	r.total.Store(r.before + total)
}

// next begins another reading.
func (r *run) next() { r.before = r.done.Load() }

// log looks at a log. What is wrong with it is reported here; an error ends the
// run.
func (r *run) log(path string) error {
	if info, err := os.Stat(path); err != nil {
		r.s.Report(asOpen(err), cli.Failed)
		return nil
	} else if !info.IsDir() {
		r.s.Report(cli.WithHint(fmt.Errorf("%s: is a file, not a log", path), "a log is a directory that logappend has made"), cli.Failed)
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

// asOpen makes an error of os.Stat one that the other commands say, too.
func asOpen(err error) error {
	var cause *fs.PathError
	if errors.As(err, &cause) {
		return &fs.PathError{Op: "open", Path: cause.Path, Err: cause.Err}
	}
	return err
}

// settings repairs the settings of a log that could not be opened for cause.
func (r *run) settings(path string, cause error) (*eventlog.Log, error) {
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

func (r *run) tellSettings(path string, done *eventlog.RepairedSettings) error {
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
func (r *run) mend(l *eventlog.Log, partition int) (ok bool, err error) {
	r.next()
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

func (r *run) tellRepaired(l *eventlog.Log, partition int, done eventlog.Repaired) error {
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
func (r *run) verify(l *eventlog.Log, partition int) (damaged bool, err error) {
	r.next()
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
		if _, statErr := os.Stat(l.PartitionDir(partition)); errors.Is(statErr, fs.ErrNotExist) {
			r.s.Report(fmt.Errorf("partition %d is missing: %w", partition, asOpen(statErr)), cli.Damaged)
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
func (r *run) explain(err error) error {
	var locked *eventlog.LockError
	var damaged *event.DamagedError
	switch {
	case errors.As(err, &locked):
		err = cli.WithExit(err, cli.Locked)
	case errors.As(err, &damaged):
		err = cli.WithExit(err, cli.Damaged)
		if r.repair {
			return err
		}
	}
	var h interface{ Hint() string }
	if errors.As(err, &h) && h.Hint() != "" {
		err = cli.WithHint(err, h.Hint())
	}
	return err
}

func (r *run) line(text string) error {
	_, err := fmt.Fprintln(r.s.Out, text)
	return err
}

func (r *run) object(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = r.s.Out.Write(append(b, '\n'))
	return err
}

func name(path string) string { return filepath.Base(filepath.Clean(path)) }

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
