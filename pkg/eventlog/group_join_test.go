package eventlog

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/internal/vfs"
	"logtools/pkg/internal/vfs/vfstest"
	"logtools/pkg/stream"
)

func TestGroupFrom(t *testing.T) {
	two := 2
	for i, tt := range []struct {
		from *Position
		want []int64 // nil: gone
	}{
		{nil, []int64{0, 0}}, {at(Position{}), []int64{0, 0}}, {at(AtEnd()), []int64{4, 7}}, {at(BeforeEnd(5)), []int64{0, 2}},
		{at(AtOffset(4)), []int64{4, 4}}, {at(AtOffset(5)), nil}, {at(AtTime(stream.Instant{Sec: 1 << 40})), []int64{4, 7}},
	} {
		m := vfstest.New()
		l := mustCreate(t, m, "log", Change{Partitions: &two})
		for p, n := range []int{4, 7} {
			b := batch(slices.Repeat([]string{"1"}, n)...)
			b.Partition = p
			if _, err := appendAll(t, l, AppendOptions{}, b); err != nil {
				t.Fatal(err)
			}
		}
		for _, isNew := range []bool{true, false} {
			name := "new"
			if !isNew {
				name = "old"
				g := mustGroup(t, l, name, GroupOptions{})
				mustBalance(t, g)
				if err := errors.Join(g.Commit(0, 1), g.Commit(1, 2)); err != nil {
					t.Fatal(err)
				}
				g.Close()
			}
			g, err := l.OpenGroup(t.Context(), name, GroupOptions{From: tt.from})
			if tt.want == nil {
				var gone *event.GoneError
				if !errors.As(err, &gone) || gone.Hint() == "" {
					t.Errorf("%d: %v", i, err)
				}
				if names, _ := m.ReadDir("log/groups"); isNew && len(names) > 0 {
					t.Errorf("%d: %q are left", i, names)
				}
				continue
			}
			if err != nil {
				t.Fatal(i, err)
			}
			g.Close()
			want := tt.want
			if tt.from == nil && !isNew {
				want = []int64{1, 2}
			}
			if got := committed(t, l, name); !slices.Equal(got, want) {
				t.Errorf("%d: %v, %s begins at %v, want %v", i, tt.from, name, got, want)
			}
		}
	}
}

// A group in use is not reset; that waits for as long as it is told to.
func TestGroupReset(t *testing.T) {
	m := vfstest.New()
	l := groupLog(t, m, "log", 3, 9)
	p := m.Process()
	g := mustGroup(t, as(t, p, "log"), "g", GroupOptions{})
	if err := errors.Join(func() error { _, err := balance(g); return err }(), g.Commit(1, 5)); err != nil {
		t.Fatal(err)
	}
	reset := func(ctx context.Context, wait time.Duration) error {
		g, err := l.OpenGroup(ctx, "g", GroupOptions{From: at(AtOffset(2)), LockTimeout: wait})
		if err == nil {
			g.Close()
		}
		return err
	}
	for _, wait := range []time.Duration{0, 10 * time.Millisecond} {
		begin := time.Now()
		err := reset(t.Context(), wait)
		var locked *LockError
		var hint interface{ Hint() string }
		if took := time.Since(begin); !errors.As(err, &locked) || took < wait || !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "log/groups/g/*.lock") {
			t.Errorf("after %v: %v", took, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := reset(ctx, time.Hour); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	if err := g.Commit(1, 6); err != nil {
		t.Errorf("after a reset that came to nothing: %v", err)
	}
	done := make(chan error)
	go func() { done <- reset(t.Context(), time.Hour) }()
	select {
	case err := <-done:
		t.Fatalf("it was reset while it was in use: %v", err)
	case <-time.After(10 * time.Millisecond):
	}
	m.WriteFile("log/groups/g/reset.json.tmp-0123456789abcdef", nil) // of one that was killed
	p.Kill()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := committed(t, l, "g"); !slices.Equal(got, []int64{2, 2, 2}) {
		t.Errorf("after the reset: %v", got)
	}
	if _, err := m.ReadFile("log/groups/g/reset.json"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the reset is still there: %v", err)
	}
	if slices.ContainsFunc(m.Names(), func(name string) bool { return strings.Contains(name, tmpMark) }) {
		t.Errorf("left: %q", m.Names())
	}
}

// Another group that takes the name while a reset waits is not reset.
func TestGroupResetReplaced(t *testing.T) {
	m := vfstest.New()
	l := groupLog(t, m, "log", 2, 9)
	p := m.Process()
	g := mustGroup(t, as(t, p, "log"), "g", GroupOptions{})
	mustBalance(t, g)
	q := m.Process()
	done := make(chan error)
	go func() {
		_, err := as(t, q, "log").OpenGroup(t.Context(), "g", GroupOptions{From: at(AtOffset(2)), LockTimeout: time.Hour})
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("it was reset while it was in use: %v", err)
	case <-time.After(20 * time.Millisecond): // it waits by now
	}
	if err := m.Rename("log/groups/g", "log/groups/h"); err != nil {
		t.Fatal(err)
	}
	groupAt(t, l, "g", 4, 4)
	p.Kill()
	var gone *event.GoneError
	if err := <-done; !errors.As(err, &gone) {
		t.Errorf("reset: %v", err)
	}
	if got := committed(t, l, "g"); !slices.Equal(got, []int64{4, 4}) {
		t.Errorf("the other group is at %v", got)
	}
}

// Of several that make a group at once one does, and all join it.
func TestGroupRace(t *testing.T) {
	m := vfstest.New()
	groupLog(t, m, "log", 3, 9)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var all []*Group
	for range 8 {
		wg.Go(func() {
			g, err := as(t, m.Process(), "log").OpenGroup(t.Context(), "g", GroupOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, g)
		})
	}
	wg.Wait()
	names, err := m.ReadDir("log/groups")
	if err != nil || !slices.Equal(names, []string{"g"}) {
		t.Errorf("%q, %v", names, err)
	}
	seats := map[int]bool{}
	for _, g := range all {
		seats[g.member] = true
		g.Close()
	}
	if len(seats) != 8 {
		t.Errorf("the members are %v", seats)
	}
}

// A group or log that goes away, or another one in its place, is noticed before
// anything is said to be committed.
func TestGroupGone(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(dir string) error
	}{
		{"group removed", func(dir string) error { return os.RemoveAll(filepath.Join(dir, "log/groups/g")) }},
		{"group renamed", func(dir string) error {
			return os.Rename(filepath.Join(dir, "log/groups/g"), filepath.Join(dir, "log/groups/h"))
		}},
		{"group copied", func(dir string) error {
			g := filepath.Join(dir, "log/groups/g")
			return errors.Join(os.CopyFS(g+"2", os.DirFS(g)), os.RemoveAll(g), os.Rename(g+"2", g))
		}},
		{"log removed", func(dir string) error { return os.RemoveAll(filepath.Join(dir, "log")) }},
		{"log copied", func(dir string) error {
			l := filepath.Join(dir, "log")
			return errors.Join(os.CopyFS(l+"2", os.DirFS(l)), os.RemoveAll(l), os.Rename(l+"2", l))
		}},
		{"log replaced", func(dir string) error {
			l := filepath.Join(dir, "log")
			if err := os.Rename(l, l+"2"); err != nil {
				return err
			}
			groupLog(t, vfs.OS{}, l, 2, 9)
			mustGroup(t, as(t, vfs.OS{}, l), "g", GroupOptions{})
			return nil
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			l := groupLog(t, vfs.OS{}, filepath.Join(dir, "log"), 2, 9)
			g := mustGroup(t, l, "g", GroupOptions{})
			mustBalance(t, g)
			if err := g.Commit(0, 3); err != nil {
				t.Fatal(err)
			}
			if err := tt.do(dir); err != nil {
				t.Fatal(err)
			}
			var before, after [2]string
			read := func(s *[2]string) {
				for p := range s {
					b, _ := os.ReadFile(filepath.Join(dir, "log/groups/g", PartitionName(p)+".json"))
					s[p] = string(b)
				}
			}
			read(&before)
			var gone *event.GoneError
			if err := g.Commit(0, 5); !errors.As(err, &gone) || gone.Hint() == "" {
				t.Errorf("Commit: %v", err)
			}
			if _, err := g.Owned(); !errors.As(err, &gone) {
				t.Errorf("Owned: %v", err)
			}
			if _, err := g.Balance([]int{0, 1}); !errors.As(err, &gone) {
				t.Errorf("Balance: %v", err)
			}
			if read(&after); before != after {
				t.Errorf("another's positions were %q, and are %q", before, after)
			}
		})
	}
}
