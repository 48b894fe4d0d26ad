package logcat

import (
	"bytes"

	"logtools/pkg/scan"
)

// pieceSize is how much a command is handed at once, in bytes: when the run is to
// end, no more than that is still on its way, unless one event is larger.
const pieceSize = 64 << 10

// pieces cuts the output of a result where one line of the log ends and the next one
// begins.
type pieces struct {
	out   []byte
	spans []scan.Span
	at    int // where the next piece begins
	done  int // lines of the first of spans that have been cut
}

func piecesOf(r *scan.Result) pieces { return pieces{out: r.Out, spans: r.Spans} }

// piece is the output of some events.
type piece struct {
	bytes  []byte
	events int64
	// The lines of the block, from 0, that the first and the last event come from.
	first, last int64
}

// next returns the next piece: of at most size bytes, unless one line makes more,
// and of at most that many events. It has none if no event is left, or if those of
// the next line are more than that; with whole these make a piece nevertheless.
func (c *pieces) next(size int, most int64, whole bool) piece {
	p := piece{first: -1}
	start := c.at
	for len(c.spans) > 0 {
		s := &c.spans[0]
		if s.Lines > 1 {
			if !c.cut(s, &p, start, size, most) {
				break
			}
			continue
		}
		n := int64(s.Events)
		fits := p.events+n <= most && s.End-start <= size
		if !fits && (p.events > 0 || n > most && !whole) {
			break
		}
		p.take(n, s.Line, s.Line)
		c.at = s.End
		c.spans = c.spans[1:]
	}
	p.bytes = c.out[start:c.at]
	return p
}

func (p *piece) take(events, first, last int64) {
	if p.first < 0 {
		p.first = first
	}
	p.last = last
	p.events += events
}

// cut takes lines of a span of several. It returns false if the piece is full.
func (c *pieces) cut(s *scan.Span, p *piece, start, size int, most int64) bool {
	n := most - p.events
	if n <= 0 {
		return false
	}
	left := int64(s.Lines - c.done)
	end, lines := s.End, left
	if n < left || s.End-start > size {
		room := c.out[c.at:min(s.End, max(c.at, start+size))]
		switch k := bytes.LastIndexByte(room, '\n'); {
		case k >= 0:
			end, lines = c.at+k+1, int64(bytes.Count(room[:k+1], newline))
		case p.events > 0:
			return false
		default: // one line that is longer
			end, lines = c.at+bytes.IndexByte(c.out[c.at:s.End], '\n')+1, 1
		}
		if lines > n {
			end, lines = c.at+linesEnd(room, n), n
		}
	}
	first := s.Line + int64(c.done)
	p.take(lines, first, first+lines-1)
	c.at = end
	if c.done += int(lines); c.done == s.Lines {
		c.spans, c.done = c.spans[1:], 0
		return true
	}
	return false
}

var newline = []byte{'\n'}

// linesEnd returns where line n, counted from 1, of b ends.
func linesEnd(b []byte, n int64) int {
	at := 0
	// Many lines at once, as long as there are that many.
	for len(b)-at > 4<<10 {
		k := int64(bytes.Count(b[at:at+4<<10], newline))
		if k >= n {
			break
		}
		n -= k
		at += 4 << 10
	}
	for ; n > 0; n-- {
		at += bytes.IndexByte(b[at:], '\n') + 1
	}
	return at
}
