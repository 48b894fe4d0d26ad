package guard

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"logtools/pkg/eventlog"
)

// Names in the directory of a table. Only who has the partition's lock writes
// storeTmp, and only who has the lock mergeLock writes mergeTmp.
const (
	runSuffix = ".run"
	storeTmp  = ".tmp-store"
	mergeTmp  = ".tmp-merge"
	mergeLock = "merge.lock"
)

func runName(from, to int64) string { return fmt.Sprintf("%020d-%020d"+runSuffix, from, to) }

func parseRunName(name string) (from, to int64, ok bool) {
	if len(name) != 41+len(runSuffix) || name[20] != '-' || !strings.HasSuffix(name, runSuffix) {
		return 0, 0, false
	}
	from, err := strconv.ParseInt(name[:20], 10, 64)
	if err != nil {
		return 0, 0, false
	}
	to, err = strconv.ParseInt(name[21:41], 10, 64)
	if err != nil || runName(from, to) != name || from >= to {
		return 0, 0, false
	}
	return from, to, true
}

// span is a run that may be used.
type span struct {
	from, to int64
	r        *run // nil: it is not open yet
}

// chain returns those spans that go furthest from 0 without a gap, and no more of
// them than needed. Spans may overlap: a run has the newest value of each hash that
// its offsets gave one, whoever wrote it, so the later one is right where both have
// a hash.
func chain(spans []span) []int {
	var out []int
	for at := int64(0); ; {
		best := -1
		for i, s := range spans {
			if s.from <= at && s.to > at && (best < 0 || s.to > spans[best].to || s.to == spans[best].to && s.from < spans[best].from) {
				best = i
			}
		}
		if best < 0 {
			return out
		}
		out = append(out, best)
		at = spans[best].to
	}
}

// looks is how often the directory is listed anew because a file that was in it
// was gone.
const looks = 5

// look looks for the runs in the directory and makes those that go furthest the
// table's, together with those that it has open; fresh (which may be nil) is one
// more of these, and becomes the table's own or is closed, unless there is an
// error. Those that go beyond limit are not looked at. Those that are not sound, or
// whose end is no place of the log (holds; nil: not asked), are removed.
func (t *table) look(limit int64, fresh *run, holds func(eventlog.Mark) (bool, error)) error {
	have := slices.Clone(t.runs)
	if fresh != nil {
		have = append(have, fresh)
	}
	var opened []*run
	drop := func() {
		for _, r := range opened {
			r.close()
		}
		opened = nil
	}
	removed := false
	for try := 0; ; try++ {
		spans, err := t.spans(limit, have)
		if err != nil {
			return err
		}
		again := false
		for !again {
			use := chain(spans)
			i := slices.IndexFunc(use, func(k int) bool { return spans[k].r == nil })
			if i < 0 {
				if removed {
					if err := t.o.fs.SyncDir(t.o.dir); err != nil {
						drop()
						return err
					}
				}
				t.take(spans, use, append(have, opened...))
				return nil
			}
			s := &spans[use[i]]
			r, err := t.open(s, holds)
			if err == nil {
				opened = append(opened, r)
				s.r = r
				continue
			}
			switch {
			case gone(err):
				again = try < looks // another process has merged it
			case errors.Is(err, errUnfit):
				removed = true
				t.remove(runName(s.from, s.to)) // if it stays it is left out again
				err = nil
			}
			if err != nil && !gone(err) {
				drop()
				return err
			}
			spans = slices.Delete(spans, use[i], use[i]+1)
		}
		drop()
	}
}

// spans returns what there is to choose from: the runs in have, and those in the
// directory.
func (t *table) spans(limit int64, have []*run) ([]span, error) {
	names, err := t.names()
	if err != nil {
		return nil, err
	}
	var out []span
	for _, r := range have {
		out = append(out, span{r.from, r.to(), r})
	}
	for _, name := range names {
		from, to, ok := parseRunName(name)
		if ok && to <= limit && !slices.ContainsFunc(have, func(r *run) bool { return r.name == name }) {
			out = append(out, span{from, to, nil})
		}
	}
	return out, nil
}

// open opens a run of the directory.
func (t *table) open(s *span, holds func(eventlog.Mark) (bool, error)) (*run, error) {
	name := runName(s.from, s.to)
	r, err := openRun(t.o.fs, filepath.Join(t.o.dir, name), name, t.id)
	if err != nil || holds == nil {
		return r, err
	}
	ok, err := holds(r.mark)
	if err == nil && !ok {
		err = errUnfit
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// take makes the chosen spans the runs of the table; those of all that were not
// chosen are closed.
func (t *table) take(spans []span, use []int, all []*run) {
	runs := make([]*run, 0, len(use))
	for _, k := range use {
		runs = append(runs, spans[k].r)
	}
	old := t.runs
	t.use(runs)
	for _, r := range all {
		if !slices.Contains(runs, r) && !slices.Contains(old, r) {
			r.close()
		}
	}
}

// names are those in the directory, if there is one.
func (t *table) names() ([]string, error) {
	names, err := t.o.fs.ReadDir(t.o.dir)
	if gone(err) {
		return nil, nil
	}
	return names, err
}

func (t *table) remove(name string) error {
	err := t.o.fs.Remove(filepath.Join(t.o.dir, name))
	if gone(err) {
		return nil
	}
	return err
}

// tidy removes what is of no use to the table: all runs but its own, and what was
// left half written.
func (t *table) tidy() error {
	names, err := t.names()
	if err != nil {
		return err
	}
	synced := false
	for _, name := range names {
		_, _, isRun := parseRunName(name)
		switch {
		case isRun:
			if slices.ContainsFunc(t.runs, func(r *run) bool { return r.name == name }) {
				continue
			}
			// What takes the place of several must be durable under its name before
			// they go: who wrote it may not have got so far.
			if !synced {
				if err := t.o.fs.SyncDir(t.o.dir); err != nil {
					return err
				}
				synced = true
			}
		case name == storeTmp:
		case name == mergeTmp:
			if err := t.removeMergeTmp(); err != nil {
				return err
			}
			continue
		default:
			continue
		}
		if err := t.remove(name); err != nil && !isRun {
			return err
		}
	}
	if synced {
		return t.o.fs.SyncDir(t.o.dir)
	}
	return nil
}

// removeMergeTmp removes what a merge has left, unless one is at it.
func (t *table) removeMergeTmp() error {
	lock, err := t.o.fs.Lock(filepath.Join(t.o.dir, mergeLock))
	if err != nil {
		return err
	}
	defer lock.Close()
	if got, err := lock.TryLock(); err != nil || !got {
		return err
	}
	return t.remove(mergeTmp)
}

// taken says whether an error is that there is something of that name.
func taken(err error) bool { return errors.Is(err, fs.ErrExist) }
