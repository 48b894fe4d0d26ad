package guard

import (
	"bytes"
	"crypto/sha256"

	"logtools/pkg/event"
	"logtools/pkg/expr"
)

// What a hash is of comes first in what is hashed: claims and keys share a table.
const (
	ofClaim = 'u'
	ofKey   = 'f'
)

// prepared is what there is to know of a number of lines without knowing what came
// before them. It looks into the lines.
type prepared struct {
	lines    []line
	foldings []folding     // of lines, for the fold rule; else none
	slots    []event.Value // of each folding in turn, those of the rules' fields
}

// line is what the rules look at first.
type line struct {
	flags uint8
	claim hash
	why   string // the line is wrong whatever came before it; "" if not
}

const (
	claims    = 1 << iota // it claims something
	folds                 // it has a state to change
	tombstone             // it is none of the rules' business
)

// folding is what the fold rule needs.
type folding struct {
	hash       hash
	key, value event.Value
}

func (p *prepared) reset() {
	clear(p.lines)
	clear(p.foldings)
	clear(p.slots)
	p.lines, p.foldings, p.slots = p.lines[:0], p.foldings[:0], p.slots[:0]
}

// worker is what one goroutine needs to prepare lines.
type worker struct {
	rules  *rules
	keys   bool // the key is the claim
	reader *event.Reader
	clean  event.Clean
	event  event.Event
	runner *expr.Runner
	buf    []byte
}

func newWorker(c *rules) *worker {
	return &worker{rules: c, reader: event.NewReader(&c.fields, event.Auto), runner: expr.NewRunner()}
}

// maxInspected is how much is inspected at once, in bytes: what is learned of a block
// by that takes memory. A longer line is one piece.
const maxInspected = 2 << 20

// prepare appends what is to be known of lines. After an error, a *event.BadError,
// the lines before the bad one are there.
func (w *worker) prepare(p *prepared, lines []byte) error {
	for len(lines) > 0 {
		n := len(lines)
		if n > maxInspected {
			if n = bytes.LastIndexByte(lines[:maxInspected], '\n') + 1; n == 0 {
				if n = bytes.IndexByte(lines, '\n') + 1; n == 0 {
					n = len(lines)
				}
			}
		}
		piece := lines[:n]
		lines = lines[n:]
		w.clean.Inspect(piece)
		w.reader.Block(w.clean)
		for len(piece) > 0 {
			text := piece
			if end := bytes.IndexByte(piece, '\n'); end >= 0 {
				text, piece = piece[:end], piece[end+1:]
			} else {
				piece = nil
			}
			if err := w.line(p, text); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *worker) line(p *prepared, text []byte) error {
	c, ev := w.rules, &w.event
	ev.Reset(c.fields.Len())
	if err := w.reader.Read(text, ev); err != nil {
		return err
	}
	keyed := ev.Key.Kind > event.Null
	l := line{}
	switch {
	case ev.Tombstone():
		l.flags = tombstone
	default:
		if c.unique != nil {
			w.claim(&l)
		}
		if c.fold == nil {
			break
		}
		if keyed {
			l.flags |= folds
		} else if l.why == "" {
			l.why = "event has no key"
		}
	}
	p.lines = append(p.lines, l)
	if c.fold == nil {
		return nil
	}
	e := folding{key: ev.Key, value: ev.Value()}
	if l.flags&folds != 0 {
		w.buf = ev.Key.AppendCanonical(append(w.buf[:0], ofKey))
		e.hash = w.hash()
	}
	p.foldings = append(p.foldings, e)
	p.slots = append(p.slots, ev.Slots...)
	return nil
}

// claim evaluates the unique rule.
func (w *worker) claim(l *line) {
	v := w.event.Key
	if !w.keys {
		w.runner.Reset()
		var err error
		if v, err = w.rules.unique.One(w.runner, &w.event); err != nil {
			l.why = "unique fails: " + clip(err.Error())
			return
		}
	}
	if v.IsNull() {
		return
	}
	w.buf = v.AppendCanonical(append(w.buf[:0], ofClaim))
	l.flags |= claims
	l.claim = w.hash()
}

// keepBuffer is how large a buffer may have grown and still serves again.
const keepBuffer = 1 << 20

// hash returns the hash of w.buf.
func (w *worker) hash() hash {
	sum := sha256.Sum256(w.buf)
	if cap(w.buf) > keepBuffer {
		w.buf = nil
	}
	return hash(sum[:16])
}
