package logview

import (
	"bytes"
	"context"
	"hash/maphash"
	"sync"
	"time"

	"logtools/pkg/agg"
	"logtools/pkg/cli"
	"logtools/pkg/cmd/reader"
	"logtools/pkg/expr"
	"logtools/pkg/render"
	"logtools/pkg/scan"
)

// live is the view of inputs that are followed: when all that was there at the
// start has been read, and then after each change, it shows what has changed.
// Into a pipe or file that is each changed row as an event, and a tombstone for
// one that is not among the first N any more; on a terminal the whole view is
// drawn again.
type live struct {
	o      *options
	s      *cli.Streams
	v      *view
	order  agg.Order
	format string
	cancel context.CancelFunc

	mu       sync.Mutex // held by whoever uses what follows
	table    *agg.Table
	caughtUp bool
	dirty    bool // there is something new since the last time
	armed    bool // the timer will show it
	done     bool // nothing is shown any more
	next     time.Time
	err      error
	shown    map[string]shownRow // by key
	round    uint64
	seed     maphash.Seed
	buf      []byte
}

type shownRow struct{ hash, round uint64 }

// rest is how long the view is left alone after it was shown, and share how many
// times longer than showing it took.
const (
	rest  = 100 * time.Millisecond
	share = 10
)

// followed is run for inputs that are followed.
func (o *options) followed(ctx context.Context, s *cli.Streams, r *reader.Reader, v *view, order agg.Order) error {
	l := &live{o: o, s: s, v: v, order: order, format: o.format(s), shown: make(map[string]shownRow), seed: maphash.MakeSeed()}
	switch {
	case l.format == "event" || l.format == "value":
	case l.format == "csv" || l.format == "tsv":
		return cli.WithHint(cli.Usagef("-f does not write %s: rows change", l.format), "-o event or -o value writes each row that has changed")
	case !s.OutTerminal:
		return cli.WithHint(cli.Usagef("-f draws a %s on a terminal only", l.format), "-o event or -o value writes each row that has changed")
	}
	ctx, l.cancel = context.WithCancel(ctx)
	defer l.cancel()
	r.Follow, r.Workers = true, 1
	stopped, err := r.Run(ctx, func() scan.Operator {
		w := v.newWorker()
		l.table = w.table
		return &liveWorker{w, l}
	}, l.block, nil)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = true
	if l.err != nil {
		return l.err
	}
	if !stopped && l.caughtUp && l.dirty {
		if showErr := l.show(); err == nil {
			err = showErr
		}
	}
	return err
}

// liveWorker keeps the timer from looking at a table that is being changed.
type liveWorker struct {
	*worker
	l *live
}

func (w *liveWorker) Event(it *scan.Item, r *expr.Runner, out *scan.Result) error {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	w.l.dirty = true
	return w.worker.Event(it, r, out)
}

func (w *liveWorker) EndBlock(out *scan.Result) {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	w.worker.EndBlock(out)
}

func (l *live) block(r *scan.Result, _ reader.Report) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.err != nil:
		return l.err
	case r.Live:
		l.caughtUp = true
		return l.show()
	case !l.caughtUp || !l.dirty || l.armed:
		return nil
	}
	if wait := time.Until(l.next); wait > 0 {
		l.armed = true
		time.AfterFunc(wait, l.tick)
		return nil
	}
	return l.show()
}

func (l *live) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed = false
	if l.done || l.err != nil {
		return
	}
	if l.err = l.show(); l.err != nil {
		l.cancel()
	}
}

// show shows what has changed.
func (l *live) show() error {
	start := time.Now()
	l.dirty = false
	var err error
	if l.format == "event" || l.format == "value" {
		err = l.changes()
	} else {
		err = l.draw()
	}
	took := time.Since(start)
	l.next = time.Now().Add(max(rest, share*took))
	return err
}

func (l *live) changes() error {
	e := newEncoder(l.v)
	l.buf = l.buf[:0]
	l.round++
	err := l.v.rows(l.table, l.order, int(max(l.o.top, 0)), func(row agg.Row) error {
		value, key := e.row(row), e.rowKey(row.Keys)
		hash := maphash.Bytes(l.seed, value.B)
		was, there := l.shown[string(e.key)]
		l.shown[string(e.key)] = shownRow{hash, l.round}
		if there && was.hash == hash {
			return nil
		}
		if l.format == "event" {
			l.buf = render.AppendEvent(l.buf, &render.Out{Key: key, Value: value})
		} else {
			l.buf = append(l.buf, value.B...)
		}
		l.buf = append(l.buf, '\n')
		return nil
	})
	if err != nil {
		return err
	}
	for key, was := range l.shown {
		if was.round == l.round {
			continue
		}
		delete(l.shown, key)
		if l.format == "event" {
			l.buf = append(append(append(l.buf, `{"key":`...), key...), `,"value":null}`+"\n"...)
		}
	}
	if len(l.buf) == 0 {
		return nil
	}
	_, err = l.s.Out.Write(l.buf)
	return err
}

// draw draws the view on the terminal, as much as it has lines.
func (l *live) draw() error {
	height := l.s.Height()
	top := int(max(l.o.top, 0))
	if height > 2 && l.format == "table" && (top == 0 || top > height-2) {
		top = height - 2
	}
	picture, err := l.o.picture(l.s, l.v, newEncoder(l.v), l.table, l.order, top)
	if err != nil {
		return err
	}
	if height > 2 {
		lines := bytes.SplitAfter(picture, []byte{'\n'})
		picture = bytes.Join(lines[:min(len(lines), height-1)], nil)
	}
	const homeAndClear = "\x1b[H\x1b[J"
	_, err = l.s.Out.Write(append([]byte(homeAndClear), picture...))
	return err
}
