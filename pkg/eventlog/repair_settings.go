package eventlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/internal/vfs"
	"logtools/pkg/segment"
)

// RepairedSettings says what RepairSettings did.
type RepairedSettings struct {
	File string
	Kept string // the damaged original; "" if there was none
	Settings
	// Guessed: nothing of the original could be used. The id was found in the
	// segments, the partitions were counted, and all else has its default.
	Guessed bool
}

// RepairSettings puts damaged or lost settings (log.json) of a log right; nil if
// nothing is wrong with them. If only one bit is wrong it is found. Else the
// settings are made anew from what the partitions say of the log; what they do not
// say has its default. The damaged original is kept under lost/ in the log. wait is
// how long it waits for another process's lock, 0 for ever.
//
// The error is that of Open if the partitions do not say enough.
func RepairSettings(ctx context.Context, path string, o Options, wait time.Duration) (*RepairedSettings, error) {
	_, cause := Open(path, o)
	if !repairable(cause) {
		return nil, cause // nil, too
	}
	o.fill()
	l := o.log(path)
	if err := refuseNetwork(l.fs, l.path); err != nil {
		return nil, err
	}
	if names, err := l.fs.ReadDir(l.dir(0)); err != nil || !slices.Contains(names, lockName) {
		return nil, cause // and no lock is made in what is no log
	}
	// The lock of the first partition is that of the settings, too.
	lock, err := l.fs.Lock(filepath.Join(l.dir(0), lockName))
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if err := l.waitFor(ctx, lock, wait); err != nil {
		return nil, err
	}
	if cause = l.load(); !repairable(cause) {
		return nil, cause
	}
	content, err := l.settingsFile()
	if err != nil {
		return nil, err
	}
	done := &RepairedSettings{File: filepath.Join(l.path, settingsName)}
	id, partitions, err := l.survey()
	if err != nil {
		return nil, fmt.Errorf("%w; it cannot be made anew: %w", cause, err)
	}
	ok := false
	if done.Settings, ok = flipBack(content, id); !ok {
		var newer *NewerError
		if errors.As(cause, &newer) {
			return nil, cause
		}
		done.Guessed = true
		done.Settings = Settings{ID: id, Partitions: partitions, Cleanup: "none", SegmentBytes: DefaultSegmentBytes}
	}
	if content != nil {
		if done.Kept, err = l.keepSettings(); err != nil {
			return nil, fmt.Errorf("keeping the damaged original: %w", err)
		}
	}
	return done, l.replace(done.File, done.Settings.encode())
}

// repairable says whether an error is about settings that are damaged or lost, or
// that say to be of a later version, which a wrong bit does, too.
func repairable(err error) bool {
	var damaged *event.DamagedError
	var none *NoLogError
	var newer *NewerError
	return errors.As(err, &damaged) || errors.As(err, &none) || errors.As(err, &newer)
}

// settingsFile returns what is in log.json; nil if it is not there.
func (l *Log) settingsFile() ([]byte, error) {
	f, err := l.openSettings()
	if f == nil || err != nil {
		return nil, err
	}
	defer f.Close()
	return readFile(f, maxSettings+1)
}

func (l *Log) openSettings() (vfs.File, error) {
	names, err := l.fs.ReadDir(l.path)
	if err != nil || !slices.Contains(names, settingsName) {
		return nil, err
	}
	return l.fs.Open(filepath.Join(l.path, settingsName), vfs.ReadOnly)
}

// keepSettings copies log.json to lost/ in the log.
func (l *Log) keepSettings() (string, error) {
	f, err := l.openSettings()
	if f == nil || err != nil {
		return "", err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return "", err
	}
	p := &partition{l: l, dir: l.path} // whose lost/ is the log's
	return p.keepAs(f, 0, size, settingsName+"-damaged")
}

// flippable is the longest content whose bits are tried: the checksum tells any
// two such contents apart that differ in so few bits.
const flippable = 600

// flipBack finds settings of the log with that id that differ from content in one
// bit; false if there are none.
func flipBack(content []byte, id string) (s Settings, ok bool) {
	if len(content) > flippable {
		return s, false
	}
	b := slices.Clone(content)
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			if err := s.decode(b); err == nil && s.ID == id {
				return s, true
			}
			b[i] ^= 1 << bit
		}
	}
	return s, false
}

// survey returns what the segments say of the log: its id, which all of them agree
// on, and how many partitions it has.
func (l *Log) survey() (id string, partitions int, err error) {
	names, err := l.fs.ReadDir(l.path)
	if err != nil {
		return "", 0, err
	}
	for partitions < MaxPartitions && slices.Contains(names, PartitionName(partitions)) {
		partitions++
	}
	for p := partitions + 1; p < MaxPartitions; p++ {
		if slices.Contains(names, PartitionName(p)) {
			return "", 0, fmt.Errorf("there is a partition %d, but no %d", p, partitions)
		}
	}
	for p := range partitions {
		bases, err := l.segments(l.dir(p))
		if err != nil {
			return "", 0, err
		}
		for _, base := range bases {
			open, err := l.firstUnit(p, base)
			if isInvalid(err) || err == io.EOF || err == nil && int(open.Partition) != p {
				continue
			}
			if err != nil {
				return "", 0, err
			}
			switch is := newID(open.LogID); id {
			case "", is:
				id = is
			default:
				return "", 0, errors.New("its segments are those of several logs")
			}
		}
	}
	if id == "" {
		err = errors.New("no sound segment tells the id of the log")
	}
	return id, partitions, err
}

// firstUnit reads the first unit of a segment, whatever log it belongs to.
func (l *Log) firstUnit(partition int, base int64) (open segment.Open, err error) {
	f, err := l.fs.Open(filepath.Join(l.dir(partition), segmentName(base)), vfs.ReadOnly)
	if err != nil {
		return open, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return open, err
	}
	var h segment.Header
	var buf []byte
	if err := segment.ReadHeader(f, 0, size, &h, &buf); err != nil {
		return open, err
	}
	return open, open.Parse(0, &h)
}
