package source

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// entry is a name and the file it stands for.
type entry struct {
	path string
	info fs.FileInfo
	err  error // instead of info
}

// survey returns the file under the name, and those that were under it since the
// last known one had it and were renamed, the oldest first.
//
// Files may be renamed while it looks: so it looks until it has seen the same
// twice, which is then what there was at one moment in between. If that does not
// come to pass, ok is false: whoever looks into a directory that is changing
// can miss a file.
func (t *tail) survey() (current entry, between []entry, ok bool) {
	last := t.last()
	var before []entry
	for try := range 16 {
		var now []entry
		if last != nil && last.dir != "" {
			now = rotated(last.dir, last.base)
		}
		current = entry{path: t.path}
		current.info, current.err = t.f.past.fsys.stat(t.path)
		now = append(now, current)
		if ok = try > 0 && slices.EqualFunc(before, now, sameEntry); ok {
			break
		}
		before = now
	}
	if !ok || current.err != nil || last == nil {
		return current, nil, ok
	}
	known := func(e entry) bool {
		return os.SameFile(e.info, current.info) || t.f.isOperand(e.path) ||
			slices.ContainsFunc(t.gens, func(g *generation) bool { return os.SameFile(g.info, e.info) })
	}
	return current, later(last, t.seen, before[:len(before)-1], known), true
}

// isOperand: it is read for itself.
func (f *Follower) isOperand(path string) bool {
	return slices.ContainsFunc(f.feeds, func(x feed) bool {
		t, ok := x.(*tail)
		return ok && t.path == path
	})
}

func sameEntry(a, b entry) bool {
	if a.err != nil || b.err != nil {
		return a.path == b.path && a.err != nil && b.err != nil
	}
	return a.path == b.path && os.SameFile(a.info, b.info)
}

// rotated returns the files in dir whose names are made of base by rotation.
func rotated(dir, base string) []entry {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1) // what can be had
	slices.Sort(names)
	var list []entry
	for _, name := range names {
		if affix, _ := rotation(base, name); affix == "" {
			continue
		}
		path := filepath.Join(dir, name)
		st, err := os.Lstat(path)
		if err == nil && st.Mode().IsRegular() {
			list = append(list, entry{path: path, info: st})
		}
	}
	return list
}

// rotation takes a rotated file's name apart: what it has in common with others
// of its kind, and its version, a number or a date. affix is "" if name is not
// made of base.
func rotation(base, name string) (affix, version string) {
	for _, end := range []string{".gz", ".zst", ".bz2", ".xz", ".lz4", ".Z", ".zip", ".tmp"} {
		if strings.HasSuffix(name, end) && !strings.HasSuffix(base, end) {
			return "", ""
		}
	}
	is := func(stem, ext string) bool {
		rest, ok := strings.CutPrefix(name, stem)
		if !ok {
			return false
		}
		if rest, ok = strings.CutSuffix(rest, ext); !ok || len(rest) < 2 || !strings.Contains(".-_", rest[:1]) || rest[1] < '0' || rest[1] > '9' {
			return false
		}
		affix, version = stem+rest[:1]+"*"+ext, rest[1:]
		return true
	}
	ext := filepath.Ext(base)
	if !is(base, "") && ext != "" && ext != base {
		is(strings.TrimSuffix(base, ext), ext)
	}
	return affix, version
}

// compareVersions is less than 0 if a is older than b. Short numbers count the
// rotations since; all else is a date.
func compareVersions(a, b string) int {
	na, aCounts := countOf(a)
	nb, bCounts := countOf(b)
	switch {
	case aCounts && bCounts:
		return nb - na
	case aCounts != bCounts:
		return 0
	}
	return strings.Compare(a, b)
}

func countOf(version string) (n int, ok bool) {
	if len(version) > 5 {
		return 0, false
	}
	for _, c := range []byte(version) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, true
}

// clockStep is how far the times of files lag behind the clock.
const clockStep = 20 * time.Millisecond

// later picks those of list that were rotated away after last. If last itself
// is there its version tells; else they must have been changed after seen, when
// last was still in its place.
func later(last *generation, seen time.Time, list []entry, known func(entry) bool) []entry {
	kind, than := "", ""
	for _, e := range list {
		if os.SameFile(e.info, last.info) {
			kind, than = rotation(last.base, filepath.Base(e.path))
		}
	}
	type candidate struct {
		entry
		version string
	}
	var found []candidate
	for _, e := range list {
		affix, version := rotation(last.base, filepath.Base(e.path))
		switch {
		case kind != "" && (affix != kind || compareVersions(version, than) <= 0):
		case kind == "" && e.info.ModTime().Before(seen.Add(-clockStep)):
		case known(e):
		default:
			found = append(found, candidate{e, version})
		}
	}
	slices.SortFunc(found, func(a, b candidate) int {
		if kind != "" {
			return compareVersions(a.version, b.version)
		}
		return cmp.Or(a.info.ModTime().Compare(b.info.ModTime()), compareVersions(a.version, b.version))
	})
	out := make([]entry, len(found))
	for i, c := range found {
		out[i] = c.entry
	}
	return out
}
