package source

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"logtools/pkg/stream"
)

// Follower gives out the blocks of operands that are followed; see Follow.
//
// It has two lives. First a Reader reads what there is, in the order of the
// operands and by several workers at once. Then a goroutine (see watch) finds
// out which operands may have something new, and whoever calls Next reads it
// into its own block.
type Follower struct {
	operands []string
	warn     func(name, msg string)
	pace     pace
	past     *Reader // its limits, counters and Close are the Follower's, too
	live     atomic.Bool
	turn     chan struct{} // as Reader.turn: held by who waits for wake
	wake     chan struct{} // gets a value when there may be something to give out
	ready    queue

	// mu guards what follows, and all of the feeds.
	mu      sync.Mutex
	feeds   []feed // by operand; nil: read once, by past
	tails   []*tail
	long    feed // the one in the midst of an overlong line
	scratch []byte
	notes   []note // for warn, once mu is free

	watcher  *watcher // nil: only polling
	warnLock sync.Mutex
	done     sync.WaitGroup
	closing  sync.Once
}

var (
	_ stream.Blocks = (*Follower)(nil)
	_ stream.Meter  = (*Follower)(nil)
)

// feed is an operand that may give something after the Live block.
type feed interface {
	// give fills b, but for its numbers, if there is something to give out.
	give(b *stream.Block, now time.Time) bool
	// ended: it will never again.
	ended() bool
	where() *place
	close()
}

// place is where a feed stands.
type place struct {
	input  int
	queued bool // in Follower.ready
}

func (p *place) where() *place { return p }

// pace says how often is looked at what, and how long is waited for what.
type pace struct {
	watch bool          // let the system tell what changes
	fast  time.Duration // polling where that does not work
	slow  time.Duration // and where it does
	// settle is how long a file that was rotated away must be idle until an
	// unfinished line at its end is taken for a whole one, and how long an
	// operand is missed until that is worth a warning.
	settle time.Duration
	// keep is how long such a file must be idle until it is let go.
	keep time.Duration
}

var usualPace = pace{watch: true, fast: 250 * time.Millisecond, slow: 2 * time.Second, settle: time.Second, keep: 10 * time.Second}

type note struct{ name, msg string }

// Follow returns the blocks of all operands, which are read as by Open from
// their start to their present end, each in its turn. Then comes one block with
// Live, which belongs to no input, and then what is appended to any of them,
// as it comes, until the context given to Next is done. Only whole lines are
// given out: an unfinished one waits for its end. Blocks with Err are not
// counted in SeqInInput. The Follower must be closed.
//
// Files are followed by name. When another file takes the name (rename and
// create, a link that is switched), the old one is read to its end and then the
// new one from its start, with First set. The old one is watched until it was
// idle for 10 s (or 8 younger ones are there, too): what is still written to it
// is given out between the blocks of the new one. An unfinished line at its end
// is given out as it is after a second. Files that came and went under the name
// between two looks are found if they are still in the directory, named after
// the operand and a number or a date (app.log.1, app.log-20260314,
// app-2026-03-14.log), and not compressed; those that were deleted, moved
// elsewhere or compressed by then are lost.
//
// A file that became shorter than what was read of it, or whose first bytes (up
// to 1 KiB) are others, was truncated and is read from its start again, with
// First set and a warning. What was written between the last look and the
// truncation is lost, and a truncation is not noticed if the file has outgrown
// its former size and has the same first bytes by the time of the next look. A
// file that vanishes is waited for, with a warning; so is one that is not there
// at first, after its Err.
//
// Standard input that is a regular file is followed without a name, by polling.
// Pipes, terminals and other devices have no present end; they are read as they
// come, after the Live block. They end with a Last block, as do the files that
// are read only once: compressed ones (with a warning) and those of procfs.
// Followed files have no Last block. When nothing is followed and all has ended,
// Next returns io.EOF.
//
// A line is given out within milliseconds where the system tells what changes
// (inotify and the like), else within 250 ms: on network file systems, or where
// the limit of watches is reached.
func Follow(operands []string, o Options) *Follower {
	return follow(operands, o, osFS, usualPace)
}

func follow(operands []string, o Options, sys fsys, pace pace) *Follower {
	past := open(operands, o, sys)
	f := &Follower{
		operands: past.operands,
		warn:     o.Warn,
		pace:     pace,
		past:     past,
		turn:     make(chan struct{}, 1),
		wake:     make(chan struct{}, 1),
		scratch:  make([]byte, 16*page),
	}
	past.begin = f.begin
	f.mu.Lock()
	f.feeds = make([]feed, len(f.operands))
	stdin := false
	for at, name := range f.operands {
		x := f.newFeed(at, name, stdin)
		stdin = stdin || name == "-"
		if x == nil {
			continue
		}
		f.feeds[at] = x
		if t, ok := x.(*tail); ok {
			f.tails = append(f.tails, t)
		}
	}
	if len(f.tails) > 0 {
		f.watcher = newWatcher(pace.watch)
		f.watcher.need(f.tails)
		f.done.Go(f.watch)
	}
	f.mu.Unlock()
	f.tell()
	return f
}

// newFeed returns nil for an operand that past reads alone.
func (f *Follower) newFeed(at int, name string, stdinTaken bool) feed {
	where := place{input: at}
	if name == "-" {
		file, isFile := f.past.stdin.(file)
		switch {
		case stdinTaken:
			return &pipe{place: where, open: reading(strings.NewReader(""), nil)}
		case !isFile:
			return &pipe{place: where, open: reading(f.past.stdin, nil)}
		}
		st, err := file.Stat()
		switch {
		case err != nil || st.IsDir():
			return nil
		case !st.Mode().IsRegular():
			return &pipe{place: where, open: reading(file, nil)}
		}
		g := &generation{f: file, info: st, pos: offset(file)}
		if !f.followable(name, g) {
			return nil
		}
		return &tail{place: where, f: f, name: name, gens: []*generation{g}}
	}
	if st, err := f.past.fsys.stat(name); err == nil {
		switch {
		case st.IsDir():
			return nil
		case !st.Mode().IsRegular():
			return &pipe{place: where, open: func() (io.Reader, io.Closer, error) {
				file, err := f.past.fsys.open(name)
				return file, file, err
			}}
		}
	}
	t := &tail{place: where, f: f, name: name, path: filepath.Clean(name), missed: true}
	t.look(time.Now())
	if len(t.gens) > 0 && !f.followable(name, t.gens[0]) {
		t.close()
		return nil
	}
	return t
}

// followable says whether a file can be read in several steps: compressed files
// cannot, nor those of procfs, which say that they are empty and are not.
func (f *Follower) followable(name string, g *generation) bool {
	n, _ := g.f.ReadAt(f.scratch[:longestMagic], g.pos)
	if m, _ := detect(f.scratch[:n]); m != nil {
		f.note(name, "is compressed: it is read once and not followed")
		return false
	}
	return n == 0 || g.info.Size() > 0
}

// note keeps a warning until mu is free. It needs mu.
func (f *Follower) note(name, msg string) { f.notes = append(f.notes, note{name, msg}) }

// tell gives out the warnings, in their order.
func (f *Follower) tell() {
	f.mu.Lock()
	any := len(f.notes) > 0
	f.mu.Unlock()
	if !any {
		return
	}
	f.warnLock.Lock()
	defer f.warnLock.Unlock()
	f.mu.Lock()
	notes := f.notes
	f.notes = nil
	f.mu.Unlock()
	if f.warn == nil {
		return
	}
	for _, n := range notes {
		f.warn(n.name, n.msg)
	}
}

// begin opens an operand for past.
func (f *Follower) begin(at int) input {
	switch x := f.feeds[at].(type) {
	case *tail:
		f.mu.Lock()
		defer f.mu.Unlock()
		return x.catchUp(time.Now())
	case *pipe:
		return skipped{}
	}
	return f.past.open(f.operands[at])
}

// skipped has no blocks at all.
type skipped struct{ failed }

// Progress returns the bytes read so far and, until the Live block, the sum of
// the operands' sizes; -1 if it is not known.
func (f *Follower) Progress() (done, total int64) {
	done, total = f.past.Progress()
	if f.live.Load() {
		total = -1
	}
	return done, total
}

// Close ends all reading and frees what it held; Next then returns
// os.ErrClosed. Standard input is treated as Reader.Close treats it. Close
// always returns nil.
func (f *Follower) Close() error {
	f.closing.Do(func() {
		f.past.Close()
		if f.watcher != nil {
			f.watcher.close()
		}
		f.done.Wait()
		f.mu.Lock()
		for _, x := range f.feeds {
			if x != nil {
				x.close()
			}
		}
		f.mu.Unlock()
	})
	return nil
}

// Next implements stream.Blocks.
func (f *Follower) Next(ctx context.Context, b *stream.Block) error {
	if !f.live.Load() {
		if err := f.past.Next(ctx, b); err != io.EOF {
			f.tell()
			return err
		}
	} else if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case f.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-f.past.closed:
		return os.ErrClosed
	}
	defer func() { <-f.turn }()
	if !f.live.Load() {
		f.goLive(b)
		return nil
	}
	for {
		ok, err := f.take(b)
		f.tell()
		if ok || err != nil {
			return err
		}
		select {
		case <-f.wake:
		case <-ctx.Done():
			return ctx.Err()
		case <-f.past.closed:
			return os.ErrClosed
		}
	}
}

// goLive begins the second life.
func (f *Follower) goLive(b *stream.Block) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range f.feeds {
		switch x := x.(type) {
		case *tail:
			x.caughtUp = true
			f.ready.push(x)
		case *pipe:
			x.pump = f.past.pumpWaking(f.wake, f.operands[x.input], true, x.open)
		}
	}
	f.live.Store(true)
	*b = stream.Block{Buf: b.Buf, Live: true}
	b.Seq = f.past.seq
	f.past.seq++
}

// take fills b with a block that is there.
func (f *Follower) take(b *stream.Block) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.past.closed: // the files are perhaps closed, too
		return false, os.ErrClosed
	default:
	}
	now := time.Now()
	if f.long != nil { // nothing comes between its pieces
		return f.give(f.long, b, now), nil
	}
	for _, x := range f.feeds {
		if p, ok := x.(*pipe); ok && !p.over { // they all wake in the same way
			f.ready.push(p)
		}
	}
	for n := f.ready.len(); n > 0; n-- {
		x := f.ready.pop()
		if f.give(x, b, now) {
			f.ready.push(x) // behind the others
			return true, nil
		}
	}
	if slices.ContainsFunc(f.feeds, func(x feed) bool { return x != nil && !x.ended() }) {
		return false, nil
	}
	return false, io.EOF
}

// give gets a block from x and numbers it.
func (f *Follower) give(x feed, b *stream.Block, now time.Time) bool {
	*b = stream.Block{Buf: b.Buf}
	if !x.give(b, now) {
		return false
	}
	at := x.where().input
	b.Input, b.Name = at, f.operands[at]
	b.Seq = f.past.seq
	f.past.seq++
	b.SeqInInput = f.past.counts[at]
	if b.Err == nil {
		f.past.counts[at]++
	}
	f.long = nil
	if b.Long && !b.LongEnd {
		f.long = x
	}
	return true
}

// touch has x looked at by who calls Next. It needs mu.
func (f *Follower) touch(x feed) {
	f.ready.push(x)
	signal(f.wake)
}

// queue holds each feed once.
type queue struct{ list []feed }

func (q *queue) len() int { return len(q.list) }

func (q *queue) push(x feed) {
	if p := x.where(); !p.queued {
		p.queued = true
		q.list = append(q.list, x)
	}
}

func (q *queue) pop() feed {
	x := q.list[0]
	q.list = append(q.list[:0], q.list[1:]...)
	x.where().queued = false
	return x
}

// pipe is an operand that is read as it comes.
type pipe struct {
	place
	open  func() (io.Reader, io.Closer, error)
	pump  *pump // nil before the Live block
	begun bool
	last  bool
	over  bool
}

func (p *pipe) ended() bool { return p.over }

func (p *pipe) give(b *stream.Block, _ time.Time) bool {
	if p.over {
		return false
	}
	ok, done := p.pump.take(b)
	if !ok && !done {
		return false
	}
	end := outcome{}
	if !ok {
		end = p.pump.result()
		b.Last = end.opened && !p.last
		p.last = true
	}
	if ok || b.Last {
		b.First = !p.begun
		p.begun = true
		return true
	}
	p.over = true
	p.pump.close()
	b.Err = end.err
	return end.err != nil
}

func (p *pipe) close() {
	if p.pump != nil {
		p.pump.close()
	}
}
