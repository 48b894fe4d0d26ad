package logappend

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"logtools/pkg/cli"
	"logtools/pkg/event"
	"logtools/pkg/expr"
	"logtools/pkg/render"
	"logtools/pkg/stream"
)

// refusals names the events that the log's rules refuse, counts them, and keeps them
// (--refused).
type refusals struct {
	to      *cli.BadLines
	keep    bool // there is a file
	several bool // there are several partitions
	fields  event.Fields
	unique  *expr.Program // what events claim; nil: nothing
	runner  *expr.Runner
	reader  *event.Reader
	event   event.Event
	said    refusal
	headers []byte
	line    []byte
}

// newRefusals creates or empties the file, if file is not "". unique is the program of
// that rule, "" if there is none.
func newRefusals(s *cli.Streams, file, log, unique string, partitions int) (*refusals, error) {
	k := &refusals{keep: file != "", several: partitions > 1, runner: expr.NewRunner()}
	var err error
	if unique != "" {
		if k.unique, err = expr.Compile(unique, &k.fields); err != nil {
			return nil, err
		}
	}
	k.reader = event.NewReader(&k.fields, event.Auto)
	k.to, err = s.NewRefused(file, log)
	return k, err
}

// take takes the refused events of a batch. What it returns ends the run: that the
// file cannot be written, or a *stoppedError.
func (k *refusals) take(b *stream.Batch, a stream.Ack) error {
	rest, at := b.Lines, 0
	for i := range a.Refused {
		r := &a.Refused[i]
		for ; at < r.Index; at++ {
			rest = rest[bytes.IndexByte(rest, '\n')+1:]
		}
		stored := rest[:bytes.IndexByte(rest, '\n')]
		var kept []byte
		if k.keep {
			kept = k.keeping(stored, r, a.Partition)
		}
		k.said = refusal{of: k, stored: stored, r: r, partition: a.Partition}
		if a.Stopped {
			err := &stoppedError{k.said.Error()}
			if k.keep {
				k.to.RejectPart(kept)
				k.to.RejectEnd()
			}
			return err
		}
		if err := k.to.Add("refused", -1, &k.said, kept); err != nil {
			return err
		}
	}
	// Whoever gets the acknowledgement may look for them.
	k.to.Flush()
	return nil
}

// keeping returns the line that is kept of an event: what would have been stored,
// with the headers reason and, where it says something, taken_by. It is valid until
// the next call.
func (k *refusals) keeping(stored []byte, r *stream.Refusal, partition int) []byte {
	ev := &k.event
	ev.Reset(k.fields.Len())
	if k.reader.Read(stored, ev) != nil {
		return stored // it was read before, so this cannot be
	}
	h := append(k.headers[:0], '{')
	if ev.Headers.Kind == event.Object {
		for it := ev.Headers.Members(); it.Next(); {
			if !it.NameIs(headerReason) && !it.NameIs(headerTakenBy) {
				h = append(it.Name.AppendJSON(h), ':')
				h = append(it.Value.AppendJSON(h), ',')
			}
		}
	}
	h = append(h, `"`+headerReason+`":`...)
	h = event.TextValue([]byte(r.Reason)).AppendJSON(h)
	if r.TakenBy >= 0 {
		h = append(h, `,"`+headerTakenBy+`":"`...)
		h = append(strconv.AppendInt(h, r.TakenBy, 10), '"')
	}
	k.headers = append(h, '}')
	o := render.Out{Time: ev.Time, Key: ev.Key, Headers: event.RawValue(k.headers), Src: ev.Src, Value: ev.Value()}
	if k.several { // an offset says nothing without it
		o.Partition = event.IntValue(int64(partition))
	}
	k.line = render.AppendEvent(k.line[:0], &o)
	return k.line
}

// The headers of an event that is kept.
const (
	headerReason  = "reason"
	headerTakenBy = "taken_by"
)

// refusal is why an event is refused, in words, which most of them are never put in.
type refusal struct {
	of        *refusals
	stored    []byte
	r         *stream.Refusal
	partition int
}

func (e *refusal) Error() string {
	k, ev := e.of, &e.of.event
	ev.Reset(k.fields.Len())
	what := e.stored
	if k.reader.Read(e.stored, ev) == nil {
		what = ev.AppendValue(nil)
		if ev.Key.Kind > event.Null {
			what = ev.Key.AppendJSON(nil)
		}
		if e.r.TakenBy >= 0 && k.unique != nil {
			k.runner.Reset()
			if v, err := k.unique.One(k.runner, ev); err == nil {
				what = v.AppendJSON(nil)
			}
		}
	}
	by := ""
	if e.r.TakenBy >= 0 {
		by = fmt.Sprintf(" by offset %d", e.r.TakenBy)
		if e.of.several {
			by += fmt.Sprintf(" of partition %d", e.partition)
		}
	}
	return event.Clip(string(what)) + ": " + e.r.Reason + by
}

// stoppedError says that a refused event ended the run (--on-reject=stop).
type stoppedError struct{ refused string }

func (e *stoppedError) Error() string { return "refused: " + e.refused }

// follows says whether an error of storing is only that there was another one before
// it, in another partition perhaps.
func follows(err error) bool {
	var stopped *stream.StoppedError
	return errors.As(err, &stopped)
}
