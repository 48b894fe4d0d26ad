package eventlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"logtools/pkg/event"
	"logtools/pkg/internal/vfs"
)

// position is what is committed of a partition: a line of JSON that ends with a
// checksum, as log.json does.
type position struct {
	Log       string `json:"log"`
	Partition int    `json:"partition"`
	Next      int64  `json:"next"`
}

// resetting is a reset: the next offset of each partition.
type resetting struct {
	Log  string  `json:"log"`
	Next []int64 `json:"next"`
}

func (p position) encode() []byte { return encodeSummed(p) }

func (r resetting) encode() []byte { return encodeSummed(r) }

func encodeSummed(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // numbers and strings only
	}
	return appendSum(b[:len(b)-1])
}

// decodeSummed reads what encodeSummed has written. Its errors say what is wrong.
func decodeSummed(b []byte, v any) error {
	if !sumFits(b) {
		return errors.New("the checksum does not fit")
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("not what it should be: %w", err)
	}
	return nil
}

// maxGroupFile is the most that is read of a group's file: a reset of the most
// partitions is shorter.
const maxGroupFile = 64 << 10

// readSummed reads a file of a group. check says what else must be true of it.
func (l *Log) readSummed(group, name string, v any, check func() error) error {
	f, err := l.fs.Open(name, vfs.ReadOnly)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := readFile(f, maxGroupFile)
	if err != nil {
		return err
	}
	if len(b) == 0 {
		return l.positionDamaged(group, name, -1, "the file is empty")
	}
	if err = decodeSummed(b, v); err == nil {
		err = check()
	}
	if err != nil {
		return l.positionDamaged(group, name, int64(len(b)), err.Error())
	}
	return nil
}

// positionDamage is that a group's position is damaged, with what may help.
type positionDamage struct {
	*event.DamagedError
	hint string
}

func (e *positionDamage) Unwrap() error { return e.DamagedError }

// Hint says what to do.
func (e *positionDamage) Hint() string { return e.hint }

func (l *Log) positionDamaged(group, file string, size int64, reason string) error {
	return &positionDamage{
		&event.DamagedError{File: file, To: size, Reason: reason},
		fmt.Sprintf("logcat -G %s --from POS %s sets the group's positions anew", group, l.path),
	}
}

func (l *Log) positionFile(group string, p int) string {
	return filepath.Join(l.groupDir(group), PartitionName(p)+positionExt)
}

// readPosition returns the next offset that a group gets of a partition, if no reset
// says otherwise.
func (l *Log) readPosition(group string, p int) (int64, error) {
	name := l.positionFile(group, p)
	var is position
	err := l.readSummed(group, name, &is, func() error {
		switch {
		case is.Partition != p:
			return fmt.Errorf("it is of partition %d", is.Partition)
		case is.Next < 0:
			return errors.New("the offset is less than 0")
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return 0, l.positionDamaged(group, name, -1, "the file is missing")
	}
	if err == nil && is.Log != l.settings.ID {
		err = l.positionGone(group, p, "is of another log")
	}
	return is.Next, err
}

// readReset returns the reset of a group that is not yet in all of its positions; nil
// if there is none.
func (l *Log) readReset(group string) (*resetting, error) {
	var r resetting
	err := l.readSummed(group, filepath.Join(l.groupDir(group), resetName), &r, func() error {
		if len(r.Next) != l.settings.Partitions && r.Log == l.settings.ID {
			return fmt.Errorf("it is of %d partitions", len(r.Next))
		}
		if slices.ContainsFunc(r.Next, func(n int64) bool { return n < 0 }) {
			return errors.New("an offset is less than 0")
		}
		return nil
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case r.Log != l.settings.ID:
		return nil, l.positionGone(group, 0, "is of another log")
	}
	return &r, nil
}

// checkPosition checks that a position is one of the partition as it is. x was found
// after the position was read: what was appended in between counts.
func (l *Log) checkPosition(group string, p int, next int64, x *extent) error {
	switch {
	case next < x.first():
		return l.positionGone(group, p, fmt.Sprintf("is offset %d, which is before the first, %d", next, x.first()))
	case next > x.next:
		return l.positionGone(group, p, fmt.Sprintf("is offset %d, which is beyond the end, %d", next, x.next))
	}
	return nil
}

// positionGone says that a group's position leads nowhere.
func (l *Log) positionGone(group string, p int, why string) error {
	return &event.GoneError{
		Name: l.path, What: fmt.Sprintf("the position of group %s in partition %d %s", group, p, why),
		Hints: fmt.Sprintf("logcat -G %s --from start %s goes on with the first event that is there", group, l.path),
	}
}

// beyondError says that an offset at which a group is to begin is not there yet.
func beyondError(name string, p int, offset, next int64) error {
	return &event.GoneError{
		Name: name, What: fmt.Sprintf("offset %d is beyond the end of partition %d, %d", offset, p, next),
		Hints: "begin at what comes next with --from end",
	}
}

// GroupPosition is how far a group is in a partition.
type GroupPosition struct {
	Group     string
	Partition int
	// Committed is the next offset that the group gets, Lag how far that is from the
	// end.
	Committed, Lag int64
}

// Groups returns how far the groups of the log are, in the order of their names and
// of the partitions. It takes no locks. The errors of positions that are damaged or
// gone are joined, and the others returned all the same.
func (l *Log) Groups(ctx context.Context) ([]GroupPosition, error) {
	names, err := l.fs.ReadDir(filepath.Join(l.path, groupsName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []GroupPosition
	var errs []error
	for _, name := range names {
		if !groupName(name) {
			continue
		}
		reset, err := l.readReset(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for p := range l.settings.Partitions {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			next, err := int64(0), error(nil)
			if reset != nil {
				next = reset.Next[p]
			} else {
				next, err = l.readPosition(name, p)
			}
			if err != nil {
				errs = append(errs, err)
				continue
			}
			all = append(all, GroupPosition{Group: name, Partition: p, Committed: next})
		}
	}
	// The ends come after the positions: none is beyond its end, then.
	ends := make([]*extent, l.settings.Partitions)
	for p := range ends {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(all, func(g GroupPosition) bool { return g.Partition == p }) {
			continue
		}
		x, err := l.extent(p)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ends[p] = &x
	}
	all = slices.DeleteFunc(all, func(g GroupPosition) bool {
		x := ends[g.Partition]
		if x == nil {
			return true
		}
		err := l.checkPosition(g.Group, g.Partition, g.Committed, x)
		if err != nil {
			errs = append(errs, err)
		}
		return err != nil
	})
	for i := range all {
		all[i].Lag = ends[all[i].Partition].next - all[i].Committed
	}
	return all, errors.Join(errs...)
}
