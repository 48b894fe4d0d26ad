package eventlog

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/internal/vfs"
	"logtools/pkg/internal/vfs/vfstest"
)

// A follower whose log goes away says so, and reads nothing of what comes instead.
func TestFollowGone(t *testing.T) {
	anew := func(path string, lines ...string) {
		if _, err := appendAll(t, mustCreate(t, vfs.OS{}, path, Change{}), AppendOptions{}, batch(lines...)); err != nil {
			t.Fatal(err)
		}
	}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, want string
		do         func(path string)
	}{
		{"removed", "the log was removed", func(path string) { must(os.RemoveAll(path)) }},
		{"settings removed", "the log was removed", func(path string) { must(os.Remove(filepath.Join(path, settingsName))) }},
		{"partition removed", "the log was removed", func(path string) { must(os.RemoveAll(filepath.Join(path, "00000"))) }},
		{"renamed", "the log was removed or renamed", func(path string) { must(os.Rename(path, path+"2")) }},
		{"a file instead", "the log was removed", func(path string) {
			must(os.Rename(path, path+"2"))
			must(os.WriteFile(path, nil, 0o666))
		}},
		{"made anew", "another log has taken its name", func(path string) {
			must(os.RemoveAll(path))
			anew(path, "1", "2", "3", "4", "5")
		}},
		{"a copy", "another log has taken its name", func(path string) {
			must(os.CopyFS(path+"2", os.DirFS(path)))
			must(os.RemoveAll(path))
			must(os.Rename(path+"2", path))
			anew(path, `{"w":"copy","n":0}`)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "log")
			l := mustCreate(t, vfs.OS{}, path, Change{})
			writeSome(t, l, "a", 2, AppendOptions{}, 0)
			f := follow(t, l, ReadOptions{})
			defer f.close()
			f.wait(t, 3)
			time.Sleep(50 * time.Millisecond) // it waits for more
			begun := time.Now()
			c.do(path)
			select {
			case <-f.done:
			case <-time.After(10 * time.Second):
				t.Fatal("it goes on")
			}
			if d := time.Since(begun); d > 3*time.Second { // usually less than one
				t.Errorf("it took %v", d)
			}
			var gone *event.GoneError
			if len(f.errs) != 1 || !errors.As(f.errs[0], &gone) || !strings.HasPrefix(gone.What, c.want) || gone.Name != path || gone.Hint() == "" {
				t.Errorf("%v", f.errs)
			}
			if len(f.events) != 3 || f.ended != io.EOF {
				t.Errorf("%d events, ended by %v", len(f.events), f.ended)
			}
		})
	}
}

// What is done to a log that stays does not end a follower.
func TestFollowStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := mustCreate(t, vfs.OS{}, path, Change{})
	writeSome(t, l, "a", 2, AppendOptions{}, 0)
	f := follow(t, l, ReadOptions{})
	defer f.close()
	f.wait(t, 3)
	cleanup := "delete"
	if _, err := OpenOrCreate(context.Background(), path, Change{Cleanup: &cleanup}, Options{}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(path, "00000", headName)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+"2"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+"2", path); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * listEvery)
	writeSome(t, l, "b", 2, AppendOptions{}, 0)
	f.wait(t, 6)
	f.close()
	f.check(t, 0)
}

// A missing segment is named, and not its neighbour, by readers and by Verify.
func TestMissingNamed(t *testing.T) {
	m := vfstest.New()
	l := tinySegments(mustCreate(t, m, "log", Change{}))
	writeSome(t, l, "a", 24, AppendOptions{}, 0)
	bases, err := l.list(0)
	if err != nil || len(bases) < 6 {
		t.Fatal(bases, err)
	}
	path := func(i int) string { return filepath.Join(l.dir(0), segmentName(bases[i])) }
	x, err := l.extent(0)
	if err != nil {
		t.Fatal(err)
	}
	base := func(i int) int64 { return append(slices.Clone(bases), x.next)[i] }
	last := len(bases) - 1
	for _, c := range []struct {
		name        string
		first, next int // of the segments that are removed
		cut         int // bytes cut off the one before
	}{
		{"middle", 2, 3, 0},
		{"two", 2, 4, 0},
		{"the last", last, last + 1, 0},
		{"the last two", last - 1, last + 1, 0},
		{"behind a cut SEAL", 2, 3, 3},
	} {
		saved := map[string][]byte{}
		for i := c.first - 1; i < c.next; i++ {
			data, err := m.ReadFile(path(i))
			if err != nil {
				t.Fatal(err)
			}
			saved[path(i)] = data
			if i >= c.first {
				m.Remove(path(i))
			}
		}
		if c.cut > 0 {
			data := saved[path(c.first-1)]
			m.WriteFile(path(c.first-1), data[:len(data)-c.cut])
		}
		check := func(who string, all []*event.DamagedError, from int64) {
			t.Helper()
			if c.cut > 0 {
				if len(all) == 0 || all[0].File != path(c.first-1) || all[0].Next > all[0].First {
					t.Errorf("%s, %s: %v", c.name, who, all)
					return
				}
				all = all[1:]
			}
			if len(all) != 1 || all[0].File != path(c.first) || all[0].Reason != "the file is missing" ||
				all[0].First != max(from, base(c.first)) || all[0].Next != base(c.next) {
				t.Errorf("%s, %s: %v", c.name, who, all)
			}
		}
		var verified []*event.DamagedError
		v, err := l.Verify(context.Background(), 0, VerifyOptions{Damaged: func(d *event.DamagedError) { verified = append(verified, d) }})
		if err != nil || v.LostEvents != base(c.next)-base(c.first) {
			t.Errorf("%s: %+v, %v", c.name, v, err)
		}
		check("verify", verified, 0)
		for _, from := range []int64{0, base(c.first) + 1} {
			if from > 0 && c.cut > 0 {
				continue // of what was not wanted nothing need be said
			}
			r, err := l.Read(0, ReadOptions{From: AtOffset(from)})
			if err != nil {
				t.Fatal(err)
			}
			g := readAll(t, context.Background(), r, 1)
			r.Close()
			check("read", g.damages, from)
			want := x.next - base(c.next)
			if from == 0 {
				want += base(c.first)
			}
			if int64(len(g.events)) != want || len(g.errs) > 0 {
				t.Errorf("%s: %d events, not %d; %v", c.name, len(g.events), want, g.errs)
			}
		}
		for name, data := range saved {
			m.WriteFile(name, data)
		}
	}
}
