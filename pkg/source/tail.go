package source

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"logtools/pkg/stream"
)

// maxOld is how many files are watched after they were rotated away.
const maxOld = 8

var errNotRegular = errors.New("is not a regular file")

// tail is a file that is followed by its name: the files that were found under
// it, one after the other. All of it is guarded by Follower.mu.
type tail struct {
	place
	f    *Follower
	name string // as given
	path string // clean; "" is standard input, which has no name to look at

	// gens are the files found under the name, the oldest first: those before
	// at were read to their end and are kept for what may still come, those
	// behind at wait for their turn. The last one was last seen under the name.
	gens     []*generation
	at       int
	caughtUp bool // past has read gens[0] to its end

	err     error     // why there is no file under the name now
	blurred bool      // the names changed too often for the last look
	gone    time.Time // since when
	missed  bool      // the user knows
	seen    time.Time // when the last one was last seen under the name

	heard bool // the watcher told of it since the last tick
	deaf  int  // ticks in a row that found what the watcher did not tell
}

func (t *tail) ended() bool { return false }

func (t *tail) close() {
	for _, g := range t.gens {
		t.release(g)
	}
	t.gens = nil
}

func (t *tail) release(g *generation) {
	if t.path == "" {
		seek(g.f, g.pos)
	} else {
		g.f.Close()
	}
}

// last returns the file last seen under the name; nil if there was none.
func (t *tail) last() *generation {
	if len(t.gens) == 0 {
		return nil
	}
	return t.gens[len(t.gens)-1]
}

// restless: something else than the file under the name may still grow.
func (t *tail) restless() bool {
	return t.blurred || len(t.gens) > 1 || t.err != nil && len(t.gens) > 0
}

// look finds out which file the name belongs to.
func (t *tail) look(now time.Time) {
	if t.path == "" {
		return
	}
	t.blurred = false
	st, err := t.f.past.fsys.stat(t.path)
	if err != nil {
		t.absent(err, now)
		return
	}
	if last := t.last(); last != nil && os.SameFile(last.info, st) {
		t.present(now)
		return
	}
	t.blurred = true
	for try := 0; t.blurred && try < 8; try++ {
		t.blurred = !t.renew(now)
	}
	t.f.touch(t)
}

func (t *tail) present(now time.Time) {
	t.err, t.missed, t.seen = nil, false, now
}

// absent takes note that there is no file of use under the name.
func (t *tail) absent(err error, now time.Time) {
	if pe, ok := err.(*fs.PathError); ok {
		err = pe.Err
	}
	if t.err == nil || t.err.Error() != err.Error() {
		t.gone = now
		t.missed = t.missed && t.last() == nil // it was told with the first error
	}
	t.err = err
	if t.missed || now.Sub(t.gone) < t.f.pace.settle {
		return
	}
	t.missed = true
	if errors.Is(err, fs.ErrNotExist) {
		t.f.note(t.name, "is gone: waiting for it to come back")
	} else {
		t.f.note(t.name, "cannot be read, waiting: "+err.Error())
	}
}

// renew opens the file that took the name, and those before it that were
// missed. It returns false, and opens none, if the names changed while it
// looked.
func (t *tail) renew(now time.Time) bool {
	last := t.last()
	current, between, ok := t.survey()
	switch {
	case !ok:
		return false
	case current.err != nil:
		t.absent(current.err, now)
		return true
	case current.info.IsDir():
		t.absent(syscall.EISDIR, now)
		return true
	case !current.info.Mode().IsRegular():
		t.absent(errNotRegular, now)
		return true
	}
	for k, g := range t.gens {
		if !os.SameFile(g.info, current.info) {
			continue
		}
		if g != last { // it came back
			t.gens = append(slices.Delete(t.gens, k, k+1), g)
			if k < t.at {
				t.at--
			}
		}
		t.present(now)
		return true
	}
	var opened []*generation
	stable := true
	for _, e := range append(between, current) {
		g, err := t.openGeneration(e)
		switch {
		case err == nil:
			opened = append(opened, g)
		case errors.Is(err, fs.ErrNotExist) || err == errChanged:
			stable = false
		case e.path == t.path:
			for _, g := range opened {
				g.f.Close()
			}
			t.absent(err, now)
			return true
		default:
			t.f.note(t.name, "an older file of it is left out: "+err.Error())
		}
	}
	if !stable {
		for _, g := range opened {
			g.f.Close()
		}
		return false
	}
	t.gens = append(t.gens, opened...)
	t.present(now)
	if t.f.watcher != nil {
		t.f.watcher.need(t.f.tails)
	}
	return true
}

func (t *tail) openGeneration(e entry) (*generation, error) {
	f, err := t.f.past.fsys.open(e.path)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !os.SameFile(st, e.info) {
		err = errChanged
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	g := &generation{f: f, info: st}
	target, err := filepath.EvalSymlinks(t.path)
	if err != nil {
		target = t.path
	}
	g.dir, g.base = filepath.Split(target)
	if g.dir == "" {
		g.dir = "."
	}
	return g, nil
}

// poll looks at the sizes of all files of the tail and says whether one has
// changed.
func (t *tail) poll(now time.Time) (changed bool) {
	for _, g := range t.gens {
		size := g.size
		if g.measure(now) == nil && g.size != size {
			changed = true
		}
	}
	return changed
}

// expire lets go of files that are no longer under the name and idle.
func (t *tail) expire(now time.Time) {
	for i, g := range t.gens {
		if now.Sub(g.grown) < t.f.pace.keep {
			continue
		}
		vanished := false
		if i == len(t.gens)-1 && i == t.at && t.err != nil && t.path != "" {
			// The name may come back with the same file, but not if it was
			// deleted: then only we keep it from being freed.
			st, err := g.f.Stat()
			vanished = err == nil && deleted(st)
		}
		if i < t.at || vanished {
			g.final = true
			t.f.touch(t)
		}
	}
}

// give implements feed.
func (t *tail) give(b *stream.Block, now time.Time) bool {
	if !t.caughtUp {
		return false
	}
	for i, g := range t.gens {
		if g.longTo > 0 { // nothing comes between its pieces
			return t.giveFrom(i, b, now)
		}
	}
	for {
		// Asked before the present file is found to be read to its end: so
		// whoever wrote to it and then to the next one has written before.
		next := t.nextHasData(now)
		for i := 0; i < len(t.gens) && i <= t.at; i++ {
			if t.giveFrom(i, b, now) {
				return true
			}
		}
		for i := 0; i < len(t.gens) && i <= t.at; {
			if g := t.gens[i]; g.final {
				t.release(g)
				t.gens = slices.Delete(t.gens, i, i+1)
				if i < t.at {
					t.at--
				} else {
					next = true // the one behind it is at i now
					t.at--
				}
				continue
			}
			i++
		}
		switch {
		case t.at < 0:
			t.at = 0
			if len(t.gens) == 0 {
				return false
			}
		case !next || t.gens[t.at].unfinished():
			return false
		default:
			t.gens[t.at].grown = now // begins to be old
			t.at++
			if t.at > maxOld {
				t.gens[0].final = true
			}
		}
	}
}

func (t *tail) nextHasData(now time.Time) bool {
	for _, g := range t.gens[min(t.at+1, len(t.gens)):] {
		if g.measure(now); g.size > g.pos {
			return true
		}
	}
	return false
}

func (t *tail) giveFrom(i int, b *stream.Block, now time.Time) bool {
	g := t.gens[i]
	for {
		ok, err := false, g.failed
		if !g.dead {
			ok, err = g.give(t.f, b, now)
			if !ok && err == nil && g.unfinished() && (g.final || i < len(t.gens)-1 && now.Sub(g.grown) >= t.f.pace.settle) {
				ok, err = g.rest(t.f, b)
			}
		}
		if ok && err == nil {
			b.First = !g.begun
			g.begun = true
			b.ModTime = g.modTime
			return true
		}
		*b = stream.Block{Buf: b.Buf}
		if err == nil || err == errLess { // then there will be news of it
			return false
		}
		inLong := g.longTo > 0
		switch {
		case err == errTruncated && i < t.at: // its name is another's
			g.dead, g.final = true, true
		case err == errTruncated:
			t.f.note(t.name, "was truncated: it is read from its start again")
			g.restart()
		case inLong || g.failed == nil:
			g.dead, g.failed = true, err
		default:
			g.failed = nil
			b.Err = readError(t.name, err)
			return true
		}
		g.longTo = 0
		if inLong {
			b.Long, b.LongEnd, b.ModTime = true, true, g.modTime
			return true
		}
		if g.dead && g.failed == nil {
			return false
		}
	}
}

// catchUp is a tail's first file as past reads it: up to its present end, but
// without an unfinished line there.
type catchUp struct {
	*ranges
	f *Follower
	g *generation
}

// catchUp needs Follower.mu and past.turn.
func (t *tail) catchUp(now time.Time) input {
	if len(t.gens) == 0 {
		t.look(now)
	}
	if len(t.gens) == 0 {
		err := t.err
		if err == nil {
			err = fs.ErrNotExist
		}
		return failed{&fs.PathError{Op: "open", Path: t.name, Err: err}}
	}
	g := t.gens[0]
	in := &catchUp{f: t.f, g: g, ranges: &ranges{
		r: t.f.past, f: g.f, name: t.name, idle: make(chan struct{}, 1),
	}}
	fail := func(err error) input {
		g.dead = true
		return failed{readError(t.name, err)}
	}
	if err := g.measure(now); err != nil {
		return fail(err)
	}
	t.f.past.modTime = g.modTime
	if g.pos == 0 && g.size > 0 {
		if err := g.start(t.f); err != nil {
			return fail(err)
		}
	}
	in.pos = g.pos
	end, err := g.lastLineEnd(t.f)
	if err == nil && end > 0 {
		g.head = make([]byte, min(end, headSize))
		var n int
		if n, err = g.f.ReadAt(g.head, 0); n == len(g.head) || err == io.EOF {
			g.head, err = g.head[:n], nil
		}
	}
	if err != nil {
		return fail(err)
	}
	in.end, g.pos = end, end
	g.begun = true
	return in
}

func (c *catchUp) result() outcome {
	end := c.ranges.result()
	end.goesOn = true
	if end.err == nil {
		return end
	}
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	if errors.Is(end.err, errShrunk) || errors.Is(end.err, errChanged) {
		c.g.rewritten = true // it is read again
		end.err = nil
	} else {
		c.g.dead = true
	}
	return end
}

func (c *catchUp) close() {} // the file is kept open
