package eventlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/segment"
)

// Change is what is wanted of a log's settings. What is nil is not wanted: a new
// log then gets the default, and a log that is there keeps what it has.
type Change struct {
	Partitions   *int
	Cleanup      *string
	RetainAge    *time.Duration
	RetainBytes  *int64
	SegmentBytes *int64
	// Rules are those that are wanted, or some of those that the log has. A log
	// gets them once. Of a log that has rules the Key does not matter.
	Rules *Rules
}

// SettingError says that a setting cannot be had.
type SettingError struct {
	Name string // of the flag, such as "partitions"
	Msg  string
	Tip  string
}

func (e *SettingError) Error() string { return e.Msg }

// Hint says what to do; it may be empty.
func (e *SettingError) Hint() string { return e.Tip }

// apply checks c and puts it into s; it returns whether s changed.
func (c *Change) apply(s *Settings, isNew bool) (changed bool, err error) {
	old := *s
	if p := c.Partitions; p != nil {
		switch {
		case *p < 1 || *p > MaxPartitions:
			return false, &SettingError{"partitions", fmt.Sprintf("a log has 1 to %d partitions, not %d", MaxPartitions, *p), ""}
		case !isNew && *p != s.Partitions:
			return false, &SettingError{"partitions", fmt.Sprintf("the log was made with --partitions %d, not %d", s.Partitions, *p),
				"the number is fixed when a log is made: copy it into a new log with logcat OLD | logappend --partitions N NEW"}
		}
		s.Partitions = *p
	}
	if p := c.Cleanup; p != nil {
		if !slices.Contains(Cleanups, *p) {
			return false, &SettingError{"cleanup", fmt.Sprintf("cleanup is none, compact, delete or compact,delete, not %q", *p), ""}
		}
		s.Cleanup = *p
	}
	if p := c.RetainAge; p != nil {
		if *p < 0 {
			return false, &SettingError{"retain-age", "an age is not negative", ""}
		}
		s.RetainAge = p.Truncate(time.Microsecond)
	}
	if p := c.RetainBytes; p != nil {
		if *p < 0 {
			return false, &SettingError{"retain-bytes", "a number of bytes is not negative", ""}
		}
		s.RetainBytes = *p
	}
	if p := c.SegmentBytes; p != nil {
		if *p < MinSegmentBytes || *p > MaxSegmentBytes {
			return false, &SettingError{"segment-bytes", fmt.Sprintf("a segment has %d to %d bytes, not %d", MinSegmentBytes, int64(MaxSegmentBytes), *p), ""}
		}
		s.SegmentBytes = *p
	}
	given := false
	if c.Rules != nil {
		if given, err = s.Rules.give(c.Rules, s.Partitions); err != nil {
			return false, err
		}
	}
	if !s.Rules.None() && s.Cleanup != "none" {
		return false, &SettingError{"cleanup", "a log with rules is not compacted, and nothing is deleted from it",
			"for " + s.Rules.String() + " the log needs --cleanup none"}
	}
	return given || old.Partitions != s.Partitions || old.Cleanup != s.Cleanup || old.RetainAge != s.RetainAge ||
		old.RetainBytes != s.RetainBytes || old.SegmentBytes != s.SegmentBytes, nil
}

// OpenOrCreate opens the log at path, making it if there is nothing there (or an
// empty directory), and changes its settings as wanted. Of several that create a
// log at the same time, one makes it and the others open that. It refuses network
// file systems, whose locks and syncs cannot be relied on.
func OpenOrCreate(ctx context.Context, path string, c Change, o Options) (*Log, error) {
	o.fill()
	l := o.log(path)
	err := l.load()
	var none *NoLogError
	if errors.As(err, &none) {
		if names, dirErr := l.fs.ReadDir(l.path); dirErr == nil && len(names) == 0 {
			err = fs.ErrNotExist
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		if err = l.make(c); errors.Is(err, errLost) {
			err = l.load()
		} else if err == nil {
			return l, nil
		}
	}
	if err != nil {
		return nil, err
	}
	if err := refuseNetwork(l.fs, l.path); err != nil {
		return nil, err
	}
	return l, l.change(ctx, c)
}

// refuseNetwork returns an error if a directory is on another machine.
func refuseNetwork(f vfs.FS, dir string) error {
	if _, ours := f.(vfs.OS); !ours {
		return nil
	}
	kind, network, err := vfs.Network(dir)
	if err != nil {
		return err
	}
	if network {
		return &NetworkError{Path: dir, Kind: kind}
	}
	return nil
}

// NetworkError says that a log lies on a file system that is refused.
type NetworkError struct{ Path, Kind string }

func (e *NetworkError) Error() string {
	return fmt.Sprintf("%s: is on a network file system (%s), where locks and syncs cannot be relied on", e.Path, e.Kind)
}

// Hint says what to do.
func (e *NetworkError) Hint() string {
	return "keep the log on a local disk and append over ssh: … | ssh HOST logappend LOG"
}

// errLost: another process made the log first.
var errLost = errors.New("another process made the log")

// make builds the log under another name and gives it its own in one step, so
// that there is never half a log.
func (l *Log) make(c Change) error {
	parent := filepath.Dir(l.path)
	if err := refuseNetwork(l.fs, parent); err != nil {
		return err
	}
	var r [16]byte
	if _, err := io.ReadFull(l.o.Rand, r[:]); err != nil {
		return err
	}
	s := Settings{ID: newID(r), Partitions: 1, Cleanup: "none", SegmentBytes: DefaultSegmentBytes}
	if _, err := c.apply(&s, true); err != nil {
		return err
	}
	id, err := parseID(s.ID)
	if err != nil {
		return err
	}
	tmp, err := l.newName(l.path, tmpMark)
	if err != nil {
		return err
	}
	b := &Log{path: tmp, fs: l.fs, o: l.o, settings: s, id: id}
	err = b.build()
	if err == nil {
		err = l.fs.Rename(tmp, l.path)
		if err != nil {
			// Whatever the system says of a name that is taken: if there is a log
			// now, it is the one.
			if loadErr := l.fresh().load(); loadErr == nil {
				err = errLost
			} else if !errors.Is(loadErr, fs.ErrNotExist) {
				err = errors.Join(err, loadErr)
			}
		}
	}
	if err != nil {
		b.unbuild()
		return renamed(err, tmp, l.path)
	}
	l.settings, l.id = s, id
	return l.fs.SyncDir(parent)
}

// renamed makes an error about what lies in from one about the same in to, which is
// the name that a user knows.
func renamed(err error, from, to string) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		if rest, ok := strings.CutPrefix(at.Path, from); ok {
			return &fs.PathError{Op: at.Op, Path: to + rest, Err: at.Err}
		}
	}
	return err
}

// build makes all files of a new log and makes them durable.
func (l *Log) build() error {
	if err := l.fs.Mkdir(l.path); err != nil {
		return err
	}
	if err := l.create(filepath.Join(l.path, settingsName), l.settings.encode()); err != nil {
		return err
	}
	for p := range l.settings.Partitions {
		dir := l.dir(p)
		if err := l.fs.Mkdir(dir); err != nil {
			return err
		}
		id, err := l.random()
		if err != nil {
			return err
		}
		h, open, err := l.openUnit(p, 0, id, segment.Open{}, 0, l.now())
		if err != nil {
			return err
		}
		for _, f := range []struct {
			name    string
			content []byte
		}{
			{lockName, make([]byte, generationSize)},
			{maintName, nil},
			{headName, h.encode()},
			{segmentName(0), open},
		} {
			if err := l.create(filepath.Join(dir, f.name), f.content); err != nil {
				return err
			}
		}
		if err := l.fs.SyncDir(dir); err != nil {
			return err
		}
	}
	return l.fs.SyncDir(l.path)
}

// unbuild removes what build has made, as far as that works.
func (l *Log) unbuild() {
	for p := range l.settings.Partitions {
		dir := l.dir(p)
		for _, name := range []string{lockName, maintName, headName, segmentName(0)} {
			l.fs.Remove(filepath.Join(dir, name))
		}
		l.fs.Remove(dir)
	}
	l.fs.Remove(filepath.Join(l.path, settingsName))
	l.fs.Remove(l.path)
}

// openUnit returns the first unit of a segment that begins at offset base, and
// the head of a partition that ends with it.
func (l *Log) openUnit(p int, base int64, id uint64, open segment.Open, epoch uint32, now int64) (head, []byte, error) {
	open.LogID, open.Partition = l.id, uint32(p)
	u := segment.Header{
		Kind: segment.KindOpen, SegmentID: id, Base: base, Next: base, Epoch: epoch,
		First: now, Last: now, Ext: open.AppendTo(nil),
	}
	b, err := u.AppendTo(nil)
	return head{epoch: epoch, base: base, id: id, durable: int64(len(b)), next: base, time: now, lastCRC: u.HeadCRC}, b, err
}

// change changes the settings of a log that is there.
func (l *Log) change(ctx context.Context, c Change) error {
	s := l.settings
	changed, err := c.apply(&s, false)
	if err != nil || !changed {
		return err
	}
	// The lock of the first partition is that of the settings, too.
	first, err := l.lockForChange(ctx, 0)
	if err != nil {
		return err
	}
	defer first.close()
	if err := l.load(); err != nil { // what another process has changed meanwhile stays
		return err
	}
	had := l.settings.Rules
	if _, err := c.apply(&l.settings, false); err != nil {
		return err
	}
	if l.settings.Rules != had {
		// Nobody appends meanwhile, and whoever does so later looks at the rules
		// first. Nobody who has one of these locks waits for one before it.
		if err := first.bump(); err != nil {
			return err
		}
		for n := 1; n < l.settings.Partitions; n++ {
			p, err := l.lockForChange(ctx, n)
			if err != nil {
				return err
			}
			defer p.close()
			if err := p.bump(); err != nil {
				return err
			}
		}
	}
	return l.replace(filepath.Join(l.path, settingsName), l.settings.encode())
}

// lockForChange returns a partition with its lock, which close gives up.
func (l *Log) lockForChange(ctx context.Context, n int) (*partition, error) {
	p, err := l.partition(n, 0)
	if err != nil {
		return nil, err
	}
	if err := l.waitFor(ctx, p.lock, p.wait); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// LockError says that a lock could not be had in time.
type LockError struct {
	Path string // of the log
	Lock string // the name of the lock file in a partition; "" is that of the writers
}

func (e *LockError) Error() string {
	return e.Path + ": has been locked by another process for too long"
}

// Hint says what to do.
func (e *LockError) Hint() string {
	return "see who holds it with fuser -v " + e.Path + "/*/" + cmp.Or(e.Lock, lockName) + ", or wait longer with --lock-timeout"
}

func lockError(path string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return &LockError{Path: path}
	}
	return err
}
