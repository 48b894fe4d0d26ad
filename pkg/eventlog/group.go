package eventlog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/internal/vfs"
)

// GroupOptions say how a consumer group is joined. The zero value works.
type GroupOptions struct {
	// From is where a new group begins; nil is the start. A group that is there is
	// reset to it, for which no process may be reading any partition for it.
	From *Position
	// LockTimeout is how long a reset waits for that; 0 does not wait.
	LockTimeout time.Duration
}

// Group is this process's membership of a consumer group: processes that share the
// partitions of a log among them, and what is committed of each. A partition is held
// by one of them at a time; when one dies the others get what it held with their
// next Balance.
//
// The methods may be called from several goroutines. Held and Committed wait for no
// disk.
type Group struct {
	l         *Log
	name, dir string
	seat      vfs.Lock // of this member, for as long as it lives
	member    int      // its number
	// id is a file of the group that is never replaced, by which the group is told
	// from another one that takes its name.
	id vfs.File

	turn sync.Mutex // whose holder changes files, and the fields below

	mu     sync.Mutex // guards what follows
	held   map[int]*share
	closed bool
}

// share is a partition that is held.
type share struct {
	lock      vfs.Lock
	committed int64
	// tried is the most that a Commit has tried: one that failed may have left it
	// on the disk.
	tried int64
}

// OpenGroup joins a consumer group, making it if there is none of that name. It
// holds no partition yet: see Balance. What From says is durable when it returns.
// ctx ends waiting.
//
// The error is a *GroupNameError for a name that none can have, a *NetworkError
// where locks cannot be relied on, a *LockError if a group that is to be reset is in
// use, and an *event.GoneError if From is an offset that is not in the log.
func (l *Log) OpenGroup(ctx context.Context, name string, o GroupOptions) (*Group, error) {
	if !groupName(name) {
		return nil, &GroupNameError{name}
	}
	if err := refuseNetwork(l.fs, l.path); err != nil {
		return nil, err
	}
	g := &Group{l: l, name: name, dir: l.groupDir(name), held: map[int]*share{}}
	made, err := g.make(o.From)
	if err == nil {
		err = g.identify()
	}
	if err == nil && !made && o.From != nil {
		err = g.reset(ctx, *o.From, o.LockTimeout)
	}
	if err == nil {
		err = g.join()
	}
	if err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

// Owned returns the partitions that belong to this process now, ascending, whether it
// holds them or not: each belongs to exactly one of the group's living processes. A
// group that was removed is an *event.GoneError.
func (g *Group) Owned() ([]int, error) {
	g.mu.Lock()
	closed := g.closed
	g.mu.Unlock()
	if closed {
		return nil, os.ErrClosed
	}
	// Also who has nothing to change must see that the group is another's now.
	if err := g.stillThere(); err != nil {
		return nil, err
	}
	members, rank, err := g.members()
	if err != nil {
		return nil, err
	}
	var own []int
	for p := rank; p < g.l.settings.Partitions; p += members {
		own = append(own, p)
	}
	return own, nil
}

// Balance gives up the partitions held that are not among own, and takes those of own
// that are free; it reports whether any changed hands. A partition that another process
// still holds is for a later call. own is what Owned has said: the share may have
// changed since, but the caller knows what is given up.
//
// A position that is damaged is an *event.DamagedError; one of another log, or of what
// is no longer in this one, an *event.GoneError, as is a group that was removed. After
// an error nothing was taken.
func (g *Group) Balance(own []int) (changed bool, err error) {
	g.turn.Lock()
	defer g.turn.Unlock()
	if g.closed {
		return false, os.ErrClosed
	}
	if err := g.stillThere(); err != nil {
		return false, err
	}
	for _, p := range g.Held() {
		if _, ok := slices.BinarySearch(own, p); !ok {
			g.giveUp(p)
			changed = true
		}
	}
	got, err := g.take(own)
	if err != nil {
		return changed, err
	}
	if len(got) == 0 {
		return changed, nil
	}
	if err := g.load(got); err != nil {
		for _, s := range got {
			s.lock.Close()
		}
		return changed, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.Copy(g.held, got)
	return changed || len(got) > 0, nil
}

// take locks those of the partitions that are neither held nor taken.
func (g *Group) take(own []int) (got map[int]*share, err error) {
	got = map[int]*share{}
	defer func() {
		if err != nil {
			for _, s := range got {
				s.lock.Close()
			}
		}
	}()
	for _, p := range own {
		if g.held[p] != nil {
			continue
		}
		lock, err := g.l.fs.Lock(g.lockFile(p))
		if err != nil {
			return got, err
		}
		ok, err := lock.TryLock()
		if !ok || err != nil {
			lock.Close()
		}
		if err != nil {
			return got, err
		}
		if ok {
			got[p] = &share{lock: lock}
		}
	}
	return got, nil
}

// load reads the positions of partitions that were just locked. It leaves out, and
// unlocks, those that must wait until a reset has come to its end.
func (g *Group) load(got map[int]*share) error {
	settled, err := g.settle(got[0] != nil || g.held[0] != nil)
	if err != nil {
		return err
	}
	if !settled {
		for p, s := range got {
			s.lock.Close()
			delete(got, p)
		}
		return nil
	}
	for p, s := range got {
		next, err := g.l.readPosition(g.name, p)
		if err != nil {
			return err
		}
		x, err := g.l.extent(p)
		if err != nil {
			return err
		}
		if err := g.l.checkPosition(g.name, p, next, &x); err != nil {
			return err
		}
		s.committed, s.tried = next, next
	}
	// Who wrote a position may have been killed before it was durable: nothing is
	// handed out from where a power cut could lead back from.
	if err := g.l.fs.SyncDir(g.dir); err != nil {
		return err
	}
	return g.tidy(got)
}

// giveUp lets others have a partition.
func (g *Group) giveUp(p int) {
	g.mu.Lock()
	s := g.held[p]
	delete(g.held, p)
	g.mu.Unlock()
	s.lock.Close()
}

// Held returns the partitions that this process holds, ascending.
func (g *Group) Held() []int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(maps.Keys(g.held))
}

// Committed returns the next offset that the group gets of a partition that is held;
// less than 0 if it is not held.
func (g *Group) Committed(p int) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.held[p]; s != nil {
		return s.committed
	}
	return -1
}

// Commit says that the group is done with what lies before next in a partition that
// is held, and not beyond the log's end. That is durable when it returns. It is an
// error to go backwards, also behind a commit that failed, which may have been
// stored all the same; a *NotHeldError if the partition is no longer held; and an
// *event.GoneError if the group or its log was removed, moved or replaced.
func (g *Group) Commit(p int, next int64) error {
	g.turn.Lock()
	defer g.turn.Unlock()
	if g.closed {
		return os.ErrClosed
	}
	s := g.held[p]
	switch {
	case s == nil:
		return &NotHeldError{Group: g.name, Partition: p}
	case next < s.tried:
		return fmt.Errorf("group %s, partition %d: commit of offset %d after %d", g.name, p, next, s.tried)
	case next == s.committed:
		return nil
	}
	if err := g.stillThere(); err != nil {
		return err
	}
	s.tried = next
	err := g.l.replace(g.positionFile(p), position{g.l.settings.ID, p, next}.encode())
	if why := g.stillThere(); why != nil && (err == nil || isGone(why)) {
		err = why
	}
	if err != nil {
		return err
	}
	g.mu.Lock()
	s.committed = next
	g.mu.Unlock()
	return nil
}

// Close gives up all partitions and leaves the group, which the others see with their
// next Balance.
func (g *Group) Close() error {
	g.turn.Lock()
	defer g.turn.Unlock()
	g.mu.Lock()
	held, closed := g.held, g.closed
	g.held, g.closed = map[int]*share{}, true
	g.mu.Unlock()
	if closed {
		return os.ErrClosed
	}
	var errs []error
	for _, s := range held {
		errs = append(errs, s.lock.Close())
	}
	if g.seat != nil {
		errs = append(errs, g.seat.Close())
	}
	if g.id != nil {
		errs = append(errs, g.id.Close())
	}
	return errors.Join(errs...)
}

// stillThere returns an *event.GoneError if the group that was joined is no longer
// there under its name.
func (g *Group) stillThere() error {
	same, err := g.id.HasName(g.lockFile(0))
	if same || err != nil && !absent(err) {
		return err
	}
	if err := g.l.stillThere(0, nil); err != nil {
		return err
	}
	return &event.GoneError{
		Name: g.l.path, What: fmt.Sprintf("the group %s was removed or replaced", g.name),
		Hints: "start again to join the group that is there now, or to make a new one",
	}
}

func isGone(err error) bool {
	var gone *event.GoneError
	return errors.As(err, &gone)
}

func (g *Group) lockFile(p int) string { return filepath.Join(g.dir, PartitionName(p)+groupLockExt) }

func (g *Group) positionFile(p int) string { return g.l.positionFile(g.name, p) }

// NotHeldError says that a partition is not, or no longer, held by this process.
type NotHeldError struct {
	Group     string
	Partition int
}

func (e *NotHeldError) Error() string {
	return fmt.Sprintf("group %s: partition %d is not held by this process", e.Group, e.Partition)
}
