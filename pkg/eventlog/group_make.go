package eventlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"logtools/pkg/internal/vfs"
)

// A group is a directory in the log:
//
//	groups/NAME/00000.json    what is committed of a partition
//	            00000.lock    locked by who holds that partition
//	            member-0.lock locked by a process for as long as it is a member
//	            reset.json    a reset that is not yet in all the positions
//
// It comes into being as a whole, with all positions, so that one that is missing is
// damage and never the sign of a new group.
//
// A reset changes all positions in one step, which is the coming of reset.json: it
// is written by who holds all partitions, and as long as it is there it counts, and not
// the positions. They are made of it by who wrote it or, if that one was killed, by
// the next who holds partition 0; nobody else uses any until then.
const (
	groupsName   = "groups"
	groupLockExt = ".lock"
	positionExt  = ".json"
	resetName    = "reset.json"
	memberPrefix = "member-"
)

// maxGroupName is the most bytes a group's name may have, maxMembers the most
// processes a group.
const (
	maxGroupName = 100
	maxMembers   = 4096
)

// GroupNameError says that a text is no name of a group.
type GroupNameError struct{ Name string }

func (e *GroupNameError) Error() string {
	return fmt.Sprintf("%q cannot be the name of a group", e.Name)
}

// Hint says what can.
func (e *GroupNameError) Hint() string {
	return fmt.Sprintf("a name has 1 to %d letters (a-z, A-Z), digits, '.', '_' and '-', and begins with neither '.' nor '-'", maxGroupName)
}

// groupName says whether a text can be the name of a group.
func groupName(s string) bool {
	if s == "" || len(s) > maxGroupName || s[0] == '.' || s[0] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

func (l *Log) groupDir(name string) string { return filepath.Join(l.path, groupsName, name) }

// make makes the group unless it is there, and makes its name durable in any case:
// who made it may have been killed before.
func (g *Group) make(from *Position) (made bool, err error) {
	fsys, groups := g.l.fs, filepath.Dir(g.dir)
	if _, err = fsys.ReadDir(g.dir); errors.Is(err, fs.ErrNotExist) {
		made, err = g.build(groups, from)
	}
	if err != nil {
		return made, err
	}
	if err := fsys.SyncDir(groups); err != nil {
		return made, err
	}
	return made, fsys.SyncDir(g.l.path)
}

// build builds the group under another name, which none can have, and gives it its own
// in one step. Of several that do so one succeeds; the others find its group.
func (g *Group) build(groups string, from *Position) (made bool, err error) {
	at, err := g.l.positions(from)
	if err != nil {
		return false, err
	}
	if err := g.l.fs.Mkdir(groups); err != nil && !errors.Is(err, fs.ErrExist) {
		return false, err
	}
	tmp, err := g.l.newName(groups+string(filepath.Separator), tmpMark)
	if err != nil {
		return false, err
	}
	err = g.fill(tmp, at)
	if err == nil {
		if err = g.l.fs.Rename(tmp, g.dir); err == nil {
			return true, nil
		}
		// Whatever the system says of a name that is taken.
		if _, dirErr := g.l.fs.ReadDir(g.dir); dirErr == nil {
			err = nil
		}
	}
	for p := range at {
		g.l.fs.Remove(filepath.Join(tmp, PartitionName(p)+positionExt))
	}
	g.l.fs.Remove(tmp)
	return false, err
}

// fill makes the directory of a group with its positions, and makes them durable.
func (g *Group) fill(dir string, at []int64) error {
	if err := g.l.fs.Mkdir(dir); err != nil {
		return err
	}
	for p, next := range at {
		content := position{g.l.settings.ID, p, next}.encode()
		if err := g.l.create(filepath.Join(dir, PartitionName(p)+positionExt), content); err != nil {
			return err
		}
	}
	return g.l.fs.SyncDir(dir)
}

// positions returns the offset of a position in each partition; nil is the start.
func (l *Log) positions(from *Position) ([]int64, error) {
	if from == nil {
		from = new(Position)
	}
	at := make([]int64, l.settings.Partitions)
	for p := range at {
		var x extent
		err := l.retry(func() (err error) {
			if x, err = l.extent(p); err == nil {
				at[p], err = l.resolve(p, &x, *from)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if at[p] < x.first() {
			return nil, goneError(l.path, at[p], x.first())
		}
		if at[p] > x.next {
			return nil, beyondError(l.path, p, at[p], x.next)
		}
	}
	return at, nil
}

// identify opens the file that tells the group from others.
func (g *Group) identify() error {
	// A copy may lack the locks.
	lock, err := g.l.fs.Lock(g.lockFile(0))
	if err != nil {
		return err
	}
	lock.Close()
	g.id, err = g.l.fs.Open(g.lockFile(0), vfs.ReadOnly)
	return err
}

// join takes the lowest number that is free.
func (g *Group) join() error {
	for n := range maxMembers {
		lock, err := g.l.fs.Lock(filepath.Join(g.dir, memberName(n)))
		if err != nil {
			return err
		}
		got, err := lock.TryLock()
		if got && err == nil {
			g.seat, g.member = lock, n
			return nil
		}
		lock.Close()
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("group %s of %s has %d processes, and can have no more", g.name, g.l.path, maxMembers)
}

func memberName(n int) string { return memberPrefix + strconv.Itoa(n) + groupLockExt }

// memberOf returns the number of the member whose file has a name; false if it is
// none's.
func memberOf(name string) (int, bool) {
	digits, ok := strings.CutPrefix(name, memberPrefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(strings.TrimSuffix(digits, groupLockExt))
	return n, err == nil && n >= 0 && n < maxMembers && name == memberName(n)
}

// members counts the living processes of the group, and those with a lower number
// than this one's.
func (g *Group) members() (all, lower int, err error) {
	names, err := g.l.fs.ReadDir(g.dir)
	if err != nil {
		return 0, 0, err
	}
	all = 1
	for _, name := range names {
		n, ok := memberOf(name)
		if !ok || n == g.member {
			continue
		}
		lock, err := g.l.fs.Lock(filepath.Join(g.dir, name))
		if err != nil {
			return 0, 0, err
		}
		lives, err := lock.Taken()
		lock.Close()
		if err != nil {
			return 0, 0, err
		}
		if lives {
			all++
			if n < g.member {
				lower++
			}
		}
	}
	return all, lower, nil
}

// reset sets the group to a position in each partition.
func (g *Group) reset(ctx context.Context, from Position, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for p := range g.l.settings.Partitions {
		lock, err := g.l.fs.Lock(g.lockFile(p))
		if err != nil {
			return err
		}
		defer lock.Close()
		got, err := lock.TryLock()
		if !got && err == nil {
			err = lock.Lock(ctx)
		}
		if err != nil {
			return g.lockError(err)
		}
	}
	if err := g.stillThere(); err != nil {
		return err
	}
	at, err := g.l.positions(&from) // as it is now, and not when the waiting began
	if err != nil {
		return err
	}
	if err := g.l.removeMarked(g.dir, tmpMark); err != nil {
		return err
	}
	r := resetting{g.l.settings.ID, at}
	if err := g.l.replace(filepath.Join(g.dir, resetName), r.encode()); err != nil {
		return err
	}
	return g.finish(r)
}

// settle sees to it that the positions count, and reports whether they do. first says
// whether this process has partition 0.
func (g *Group) settle(first bool) (bool, error) {
	r, err := g.l.readReset(g.name)
	if r == nil || err != nil {
		return err == nil, err
	}
	if !first {
		return false, nil
	}
	// Who wrote it may have been killed before it was durable.
	if err := g.l.fs.SyncDir(g.dir); err != nil {
		return false, err
	}
	return true, g.finish(*r)
}

// finish brings a reset into the positions, and ends it.
func (g *Group) finish(r resetting) error {
	for p, next := range r.Next {
		if err := g.l.replace(g.positionFile(p), position{r.Log, p, next}.encode()); err != nil {
			return err
		}
	}
	// That this is durable is seen to by who takes a partition, before anything else
	// can be committed; until then it may come back and changes nothing.
	return g.l.fs.Remove(filepath.Join(g.dir, resetName))
}

// tidy removes what killed processes have left half made in the partitions that were
// just locked.
func (g *Group) tidy(got map[int]*share) error {
	names, err := g.l.fs.ReadDir(g.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		of, _, marked := strings.Cut(name, positionExt+tmpMark)
		p, ok := partitionOf(of)
		if !marked || !ok || got[p] == nil {
			continue
		}
		if err := g.l.fs.Remove(filepath.Join(g.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// groupInUse is a *LockError with a group's own words.
type groupInUse struct {
	*LockError
	group string
}

func (e *groupInUse) Unwrap() error { return e.LockError }

func (e *groupInUse) Error() string {
	return fmt.Sprintf("%s: the group %s is in use, and cannot be set to another position", filepath.Dir(filepath.Dir(e.Path)), e.group)
}

// Hint says what to do.
func (e *groupInUse) Hint() string {
	return "end its processes first; see which they are with fuser -v " + e.Path + "/*.lock"
}

func (g *Group) lockError(err error) error {
	var locked *LockError
	if err = lockError(g.dir, err); errors.As(err, &locked) {
		return &groupInUse{locked, g.name}
	}
	return err
}
