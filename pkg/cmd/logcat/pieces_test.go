package logcat

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"logtools/pkg/scan"
)

// unit is what one line of a log made.
type unit struct {
	text   string
	events int64
	line   int64
}

// FuzzPieces cuts results made of data and compares with cutting a list.
func FuzzPieces(f *testing.F) {
	f.Add([]byte{1, 2, 3, 200, 0, 7, 130, 9}, 10, int64(3))
	f.Add([]byte{5, 5, 5, 5, 5, 5}, 12, int64(2))
	f.Add([]byte{255, 1, 255}, 4, int64(1))
	f.Fuzz(func(t *testing.T, data []byte, size int, most int64) {
		if size < 1 || size > 1<<20 || most < 1 || len(data) > 1000 {
			return
		}
		r := new(scan.Result)
		var units []unit
		line := int64(0)
		for _, d := range data {
			n := int(d & 15)
			switch d >> 6 {
			case 0: // does not pass
			case 1, 2: // events of one line, that may have line ends inside
				text := strings.Repeat("a\nb", n) + "\n"
				events := int64(d>>6) * 2
				r.Out = append(r.Out, text...)
				r.Spans = append(r.Spans, scan.Span{End: len(r.Out), Line: line, Lines: 1, Events: int(events)})
				units = append(units, unit{text, events, line})
			case 3: // many lines
				for i := range n + 1 {
					text := strings.Repeat("x", (i*7+n)%23) + "\n"
					r.Out = append(r.Out, text...)
					units = append(units, unit{text, 1, line + int64(i)})
				}
				r.Spans = append(r.Spans, scan.Span{End: len(r.Out), Line: line, Lines: n + 1, Events: n + 1})
				line += int64(n)
			}
			line++
		}
		c := piecesOf(r)
		inBatch, enough := int64(0), 10*len(units)+10
		var all []byte
		for rounds := 0; ; rounds++ {
			if rounds > enough {
				t.Fatal("it does not end")
			}
			p := c.next(size, most-inBatch, inBatch == 0)
			if p.events == 0 {
				if len(p.bytes) > 0 {
					t.Fatalf("bytes without events: %q", p.bytes)
				}
				if len(c.spans) == 0 {
					break
				}
				if inBatch == 0 {
					t.Fatal("nothing fits into an empty batch")
				}
				inBatch = 0
				continue
			}
			// The same from the list: units as long as they fit.
			var want []byte
			var events int64
			k := 0
			for k < len(units) {
				u := units[k]
				tooLarge := len(want)+len(u.text) > size || events+u.events > most-inBatch
				if tooLarge && (k > 0 || u.events > most-inBatch && inBatch > 0) {
					break
				}
				want = append(want, u.text...)
				events += u.events
				k++
			}
			if p.first != units[0].line || !bytes.HasPrefix(want, p.bytes) {
				t.Fatalf("piece of line %d: %q, want the start of %q", p.first, p.bytes, want)
			}
			// It may be less than what fits, but ends where a line does.
			got := int64(0)
			n := 0
			for len(units) > 0 && n < len(p.bytes) {
				n += len(units[0].text)
				got += units[0].events
				if units[0].line > p.last {
					t.Fatalf("line %d is behind the last, %d", units[0].line, p.last)
				}
				if n == len(p.bytes) && units[0].line != p.last {
					t.Fatalf("the last line is %d, want %d", p.last, units[0].line)
				}
				units = units[1:]
			}
			if n != len(p.bytes) || got != p.events {
				t.Fatalf("%d bytes, %d events; want %d, %d", len(p.bytes), p.events, n, got)
			}
			all = append(all, p.bytes...)
			if inBatch += p.events; inBatch >= most {
				inBatch = 0
			}
		}
		if !bytes.Equal(all, r.Out) {
			t.Fatalf("all pieces: %q, want %q", all, r.Out)
		}
	})
}

// Many lines are handed on in large pieces.
func TestPiecesLarge(t *testing.T) {
	r := &scan.Result{Out: bytes.Repeat([]byte("0123456789\n"), 100_000)}
	r.Spans = []scan.Span{{End: len(r.Out), Lines: 100_000, Events: 100_000}}
	c, n := piecesOf(r), 0
	for p := c.next(pieceSize, math.MaxInt64, true); p.events > 0; p = c.next(pieceSize, math.MaxInt64, true) {
		n++
	}
	if want := len(r.Out)/pieceSize + 2; n > want {
		t.Errorf("%d pieces, want at most %d", n, want)
	}
}
