package eventlog

import (
	"slices"

	"logtools/pkg/event"
	"logtools/pkg/segment"
	"logtools/pkg/stream"
)

// claim is what one call of Next does by itself: to decode some units that follow
// each other.
type claim struct {
	dec    *segment.Decoder
	bodies []byte
	units  []piece
	raw    int // bytes of all lines
	lo, hi int // the lines wanted of the first and of the last unit
	next   int64
	// Where they lie, if j has only one unit and that says so.
	offsets []int64
	times   []stream.TimeRun
}

type piece struct {
	h      segment.Header
	at     int64
	file   string
	length int
}

func (r *Reader) newClaim() *claim {
	r.free.Lock()
	defer r.free.Unlock()
	if n := len(r.claims); n > 0 {
		j := r.claims[n-1]
		r.claims = r.claims[:n-1]
		return j
	}
	return &claim{dec: segment.NewDecoder()}
}

// keepBodies is the largest buffer that is kept for the next units.
const keepBodies = 4 << 20

func (r *Reader) putClaim(j *claim) {
	j.bodies, j.units, j.raw = j.bodies[:0], j.units[:0], 0
	j.offsets, j.times = j.offsets[:0], j.times[:0]
	if cap(j.bodies) > keepBodies {
		j.bodies = nil
	}
	r.free.Lock()
	defer r.free.Unlock()
	select {
	case <-r.closed:
		j.dec.Close()
	default:
		r.claims = append(r.claims, j)
	}
}

// joins reports whether the unit that was peeked may be in one block with those of
// j.
func (r *Reader) joins(j *claim) bool {
	return r.h.Base == j.next && r.lo == 0 && j.raw+int(r.h.RawLen) <= smallBlock &&
		len(r.batch.Offsets) == 0 && len(r.batch.Appended) == 0
}

// take moves the unit that was peeked into j.
func (r *Reader) take(j *claim) {
	if len(j.units) == 0 {
		j.lo = r.lo
		if len(r.batch.Offsets) > 0 {
			j.offsets = append(j.offsets, r.batch.Offsets[r.lo:r.hi]...)
		}
		j.times = cutRuns(j.times, r.batch.Appended, int64(r.lo), int64(r.hi))
	}
	j.hi = r.hi
	j.next = r.h.Next
	if int64(r.h.Count) != r.h.Next-r.h.Base {
		j.next = -1 // what follows does not join without a gap
	}
	j.raw += int(r.h.RawLen)
	j.bodies = append(j.bodies, r.body...)
	h := r.h
	h.Ext = nil
	j.units = append(j.units, piece{h, r.at, r.seg.name, len(r.body)})
	r.peeked = false
	r.passed(r.h.Next)
}

// position says where the lines of j lie.
func (r *Reader) position(j *claim, b *stream.Block) {
	p := &b.Pos
	first, last := &j.units[0].h, &j.units[len(j.units)-1].h
	p.Base, p.Appended = first.Base+int64(j.lo), last.Last
	if len(j.offsets) > 0 {
		p.Offsets = append(p.Offsets, j.offsets...)
		p.Base = p.Offsets[0]
	}
	if len(j.times) > 0 {
		p.Times = append(p.Times, j.times...)
		return
	}
	if first.Last == last.Last {
		return
	}
	for i := range j.units {
		h := &j.units[i].h
		n := int64(h.Count)
		if i == len(j.units)-1 {
			n = int64(j.hi)
		}
		if i == 0 {
			n -= int64(j.lo)
		}
		if k := len(p.Times); k > 0 && p.Times[k-1].Appended == h.Last {
			p.Times[k-1].Lines += n
		} else {
			p.Times = append(p.Times, stream.TimeRun{Lines: n, Appended: h.Last})
		}
	}
}

// cutRuns appends the runs of the lines lo to hi.
func cutRuns(dst, runs []stream.TimeRun, lo, hi int64) []stream.TimeRun {
	at := int64(0)
	for _, run := range runs {
		from, to := max(at, lo), min(at+run.Lines, hi)
		if from < to {
			dst = append(dst, stream.TimeRun{Lines: to - from, Appended: run.Appended})
		}
		at += run.Lines
	}
	return dst
}

// maxBuf is the largest buffer that is made before the data it is for was seen.
const maxBuf = 4 << 20

// decode fills in the Data of b. What cannot be decoded although its checksum is
// right (nobody writes that) is left out and named later.
func (r *Reader) decode(j *claim, b *stream.Block) {
	if n := j.raw + 64; cap(b.Buf) < n && n <= maxBuf || cap(b.Buf) > maxBuf && n <= maxBuf/4 {
		b.Buf = make([]byte, 0, n+n/8)
	}
	data, body := b.Buf[:0], j.bodies
	lines := int64(0) // given out before the present unit
	for i := range j.units {
		u := &j.units[i]
		from := len(data)
		var err error
		data, err = j.dec.Decode(data, u.at, &u.h, body[:u.length])
		body = body[u.length:]
		lo, hi := 0, int(u.h.Count)
		if i == 0 {
			lo = j.lo
		}
		if i == len(j.units)-1 {
			hi = j.hi
		}
		if err != nil {
			r.free.Lock()
			r.late = append(r.late, &event.DamagedError{
				File: u.file, From: u.at, To: u.at + u.h.BodyAt() + int64(u.length),
				First: u.h.Base, Next: u.h.Next, Reason: reason(err),
			})
			r.free.Unlock()
			leaveOut(&b.Pos, lines, int64(hi-lo), j)
			continue
		}
		lines += int64(hi - lo)
		if hi < int(u.h.Count) {
			data = data[:from+lineStart(data[from:], hi)]
		}
		if lo > 0 {
			n := copy(data[from:], data[from+lineStart(data[from:], lo):])
			data = data[:from+n]
		}
	}
	b.Data, b.Buf = data, data
}

// leaveOut takes n lines, those behind the first at lines, out of p.
func leaveOut(p *stream.Positions, at, n int64, j *claim) {
	if len(p.Offsets) == 0 {
		total := int64(j.hi - j.lo)
		for i := range len(j.units) - 1 {
			total += int64(j.units[i].h.Count)
		}
		for i := range total {
			p.Offsets = append(p.Offsets, p.Base+i)
		}
	}
	p.Offsets = slices.Delete(p.Offsets, int(at), int(at+n))
	if len(p.Times) > 0 {
		left := cutRuns(nil, p.Times, 0, at)
		p.Times = append(left, cutRuns(nil, p.Times, at+n, noStop)...)
	}
}

// lineStart returns where line n of data begins.
func lineStart(data []byte, n int) int {
	at := 0
	for ; n > 0; n-- {
		for data[at] != '\n' {
			at++
		}
		at++
	}
	return at
}
