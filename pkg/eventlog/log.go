package eventlog

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/internal/vfs"
)

// Options say how a log is used. The zero value works.
type Options struct {
	// FS is the file system; nil is the operating system's.
	FS vfs.FS
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Rand is where identities come from; nil is crypto/rand.
	Rand io.Reader
	// Warn takes what a user should know although it is no error, such as a
	// damaged segment that was left behind; nil is nobody. It is called from any
	// goroutine.
	Warn func(msg string)
}

// Log is an open log. It holds no files open; those who append or read do.
type Log struct {
	path     string
	fs       vfs.FS
	o        Options
	settings Settings
	id       [16]byte
	boot     uint32 // of the file system
}

const (
	settingsName = "log.json"
	lockName     = "lock"
	maintName    = "maint.lock"
	lostName     = "lost"
	guardName    = "guard"
	segmentExt   = ".zst"
	indexExt     = ".idx"
	tmpMark      = ".tmp-"
)

// IsLog says whether there is a log at path.
func IsLog(path string) bool {
	f, err := vfs.OS{}.Open(filepath.Join(path, settingsName), vfs.ReadOnly)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

func (o *Options) fill() {
	if o.FS == nil {
		o.FS = vfs.OS{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
}

// log returns a Log of which nothing is known yet. The options are filled in.
func (o *Options) log(path string) *Log {
	return &Log{path: filepath.Clean(path), fs: o.FS, o: *o, boot: o.FS.Boot()}
}

// Open opens the log at path. An error that there is none is fs.ErrNotExist;
// damaged settings are an *event.DamagedError, those of a later version a
// *NewerError, and a directory that is no log a *NoLogError.
func Open(path string, o Options) (*Log, error) {
	o.fill()
	l := o.log(path)
	if err := l.load(); err != nil {
		return nil, err
	}
	return l, nil
}

// fresh returns a Log of the same path of which nothing is known yet.
func (l *Log) fresh() *Log { return &Log{path: l.path, fs: l.fs, o: l.o, boot: l.boot} }

// NoLogError says that a directory is not a log.
type NoLogError struct {
	Path string
	// Of is the log whose partition the directory is, Partition its number; "" if
	// it is none.
	Of        string
	Partition int
	// Lost: it was a log, whose settings are gone; the segments are there.
	Lost bool
}

func (e *NoLogError) Error() string {
	switch {
	case e.Of != "":
		return fmt.Sprintf("%s: is a partition of the log %s", e.Path, e.Of)
	case e.Lost:
		return fmt.Sprintf("%s: has the events of a log, but no %s", e.Path, settingsName)
	}
	return e.Path + ": is a directory, but not a log"
}

// Hint says what to do.
func (e *NoLogError) Hint() string {
	switch {
	case e.Of != "":
		return fmt.Sprintf("logcat -p %d %s", e.Partition, e.Of)
	case e.Lost:
		return repairHint(e.Path)
	}
	return "logappend makes a new log where there is nothing yet; files are named one by one"
}

func repairHint(path string) string { return "logcompact --repair " + path }

// noLog returns the error of a directory without settings.
func (l *Log) noLog() error {
	e := &NoLogError{Path: l.path, Lost: l.mendable()}
	if p, ok := partitionOf(filepath.Base(l.path)); ok && !e.Lost {
		of := filepath.Dir(l.path)
		if f, err := l.fs.Open(filepath.Join(of, settingsName), vfs.ReadOnly); err == nil {
			f.Close()
			e.Of, e.Partition = of, p
		}
	}
	return e
}

// mendable says whether there seems to be what new settings can be made from.
func (l *Log) mendable() bool {
	names, err := l.fs.ReadDir(l.dir(0))
	return err == nil && slices.Contains(names, lockName) &&
		slices.ContainsFunc(names, func(n string) bool { _, ok := baseOf(n); return ok })
}

// settingsError is that the settings are damaged, with what may help.
type settingsError struct {
	*event.DamagedError
	hint string // or ""
}

func (e *settingsError) Unwrap() error { return e.DamagedError }

// Hint says what to do; it may be empty.
func (e *settingsError) Hint() string { return e.hint }

// maxSettings is the largest log.json that is read.
const maxSettings = 1 << 20

func (l *Log) load() error {
	name := filepath.Join(l.path, settingsName)
	f, err := l.fs.Open(name, vfs.ReadOnly)
	if errors.Is(err, fs.ErrNotExist) {
		if _, dirErr := l.fs.ReadDir(l.path); dirErr != nil {
			return err
		}
		// The directory may have come between the two looks, as a whole.
		if f, err = l.fs.Open(name, vfs.ReadOnly); errors.Is(err, fs.ErrNotExist) {
			return l.noLog()
		}
	}
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := readFile(f, maxSettings+1)
	if err != nil {
		return err
	}
	if err := l.settings.decode(b); err != nil {
		var newer *NewerError
		if errors.As(err, &newer) {
			return fmt.Errorf("%s: %w", l.path, err)
		}
		damaged := &settingsError{DamagedError: &event.DamagedError{File: name, To: int64(len(b)), Reason: err.Error()}}
		if l.mendable() {
			damaged.hint = repairHint(l.path)
		}
		return damaged
	}
	l.id, err = parseID(l.settings.ID)
	return err
}

// Settings returns the log's settings, as they were when it was opened or last
// changed by this Log.
func (l *Log) Settings() Settings { return l.settings }

// Name returns the log's base name.
func (l *Log) Name() string { return filepath.Base(l.path) }

// Path returns where the log lies.
func (l *Log) Path() string { return l.path }

// PartitionName returns the name of a partition's directory.
func PartitionName(p int) string { return fmt.Sprintf("%05d", p) }

// partitionOf returns the number of the partition whose directory has a name; false
// if no partition's has it.
func partitionOf(name string) (int, bool) {
	n, err := strconv.ParseUint(name, 10, 31)
	return int(n), err == nil && n < MaxPartitions && name == PartitionName(int(n))
}

// ID returns Settings.ID as the bytes that it stands for.
func (l *Log) ID() [16]byte { return l.id }

// GuardDir returns where what the rules know is kept, each partition's under its
// PartitionName.
func (l *Log) GuardDir() string { return filepath.Join(l.path, guardName) }

// PartitionDir returns where a partition lies.
func (l *Log) PartitionDir(p int) string { return l.dir(p) }

func (l *Log) dir(p int) string { return filepath.Join(l.path, PartitionName(p)) }

// segmentName returns the name of the segment that begins at an offset.
func segmentName(base int64) string { return fmt.Sprintf("%020d", base) + segmentExt }

func indexName(base int64) string { return fmt.Sprintf("%020d", base) + indexExt }

// baseOf returns the offset that a segment is named after; false for any other
// name.
func baseOf(name string) (int64, bool) {
	digits, ok := strings.CutSuffix(name, segmentExt)
	if !ok || len(digits) != 20 || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil
}

// segments returns the bases of the segments in a partition's directory,
// ascending.
func (l *Log) segments(dir string) ([]int64, error) {
	names, err := l.fs.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var bases []int64
	for _, n := range names {
		if b, ok := baseOf(n); ok {
			bases = append(bases, b)
		}
	}
	return bases, nil
}

// random returns a random number that is not 0.
func (l *Log) random() (uint64, error) {
	var b [8]byte
	for {
		if _, err := io.ReadFull(l.o.Rand, b[:]); err != nil {
			return 0, err
		}
		if n := binary.LittleEndian.Uint64(b[:]); n != 0 {
			return n, nil
		}
	}
}

// newName returns a name that nobody else uses: name, mark, and something random.
func (l *Log) newName(name, mark string) (string, error) {
	n, err := l.random()
	if err != nil {
		return "", err
	}
	return name + mark + hex.EncodeToString(binary.BigEndian.AppendUint64(nil, n)), nil
}

// removeMarked removes the files in a directory that have such a mark in their names.
func (l *Log) removeMarked(dir, mark string) error {
	names, err := l.fs.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if strings.Contains(n, mark) {
			if err := l.fs.Remove(filepath.Join(dir, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// now returns the time in microseconds since 1970.
func (l *Log) now() int64 { return l.o.Now().UnixMicro() }

// create writes a new file and syncs it. Its name becomes durable by SyncDir.
func (l *Log) create(name string, content []byte) error {
	f, err := l.fs.Open(name, vfs.Create)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	return finish(f, err)
}

// finish ends the writing of a file: it is durable and closed, unless there is an
// error, be it the one given. Its name becomes durable by SyncDir.
func finish(f vfs.File, err error) error {
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// readFile returns the content of a file, its first most bytes.
func readFile(f vfs.File, most int64) ([]byte, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, min(size, most))
	n, err := f.ReadAt(b, 0)
	if err == io.EOF {
		err = nil
	}
	return b[:n], err
}

// replace replaces a file as a whole: after a crash it is the old or the new one.
func (l *Log) replace(name string, content []byte) error {
	tmp, err := l.newName(name, tmpMark)
	if err != nil {
		return err
	}
	if err = l.create(tmp, content); err == nil {
		if err = l.fs.Rename(tmp, name); err == nil {
			return l.fs.SyncDir(filepath.Dir(name))
		}
	}
	l.fs.Remove(tmp)
	return err
}
