package logcat

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"logtools/pkg/event"
	"logtools/pkg/render"
)

// header decides the columns of csv and tsv: those of the first value in the
// order of the input, whichever worker comes upon a value first. Until they are
// known, workers wait until all blocks before their own are through; after
// that nobody waits.
type header struct {
	dialect render.Dialect
	decided atomic.Pointer[render.Header]

	mu      sync.Mutex
	changed *sync.Cond
	next    int64          // the first block that is not through
	through map[int64]bool // blocks after next that are
	written bool           // by the sink's goroutine only
}

func newHeader(d render.Dialect) *header {
	h := &header{dialect: d, through: make(map[int64]bool)}
	h.changed = sync.NewCond(&h.mu)
	return h
}

// decide returns the header; v, of block seq, decides it if it is the first.
func (h *header) decide(v event.Value, seq int64) (*render.Header, error) {
	if d := h.decided.Load(); d != nil {
		return d, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.decided.Load() == nil && h.next != seq {
		h.changed.Wait()
	}
	if d := h.decided.Load(); d != nil {
		return d, nil
	}
	d, err := render.NewHeader(h.dialect, v)
	if err != nil {
		return nil, err
	}
	h.decided.Store(d)
	h.changed.Broadcast()
	return d, nil
}

// endBlock says that no more values come from block seq.
func (h *header) endBlock(seq int64) {
	if h.decided.Load() != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.through[seq] = true
	for h.through[h.next] {
		delete(h.through, h.next)
		h.next++
	}
	h.changed.Broadcast()
}

// What helps where a value does not fit the columns of csv and tsv, and of tables.
const (
	firstNames = "the first value names the columns; -m '{a,b}' makes the same ones of every value"
	tableNames = "the first rows name the columns; -m '{a,b}' makes the same ones of every value"
)

// misfit adds to the error of a value that does not fit the header what helps.
func misfit(err error, hint string) error {
	var bad *event.BadError
	if !errors.As(err, &bad) || bad.Hint != "" {
		return err
	}
	with := *bad
	with.Hint = hint
	return &with
}

// writeOnce writes the header before the first row.
func (h *header) writeOnce(w io.Writer) error {
	if h.written {
		return nil
	}
	h.written = true
	_, err := w.Write(h.line())
	return err
}

// line returns the header. There has been a row.
func (h *header) line() []byte { return append(h.decided.Load().AppendHeader(nil), '\n') }
