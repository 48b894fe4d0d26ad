package eventlog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"logtools/pkg/event"
	"logtools/pkg/internal/vfs"
	"logtools/pkg/internal/vfs/vfstest"
	"logtools/pkg/stream"
)

// groupLog makes a log with so many events in each partition.
func groupLog(t testing.TB, fsys vfs.FS, path string, partitions, events int) *Log {
	t.Helper()
	l := mustCreate(t, fsys, path, Change{Partitions: &partitions})
	for p := range partitions {
		b := &stream.Batch{Partition: p, Count: events, Expect: -1}
		for i := range events {
			b.Lines = fmt.Appendf(b.Lines, "%d\n", i)
		}
		if events > 0 {
			if _, err := appendAll(t, l, AppendOptions{}, b); err != nil {
				t.Fatal(err)
			}
		}
	}
	return l
}

// as is the log as another process sees it.
func as(t testing.TB, fsys vfs.FS, path string) *Log {
	t.Helper()
	l, err := Open(path, Options{FS: fsys})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustGroup(t testing.TB, l *Log, name string, o GroupOptions) *Group {
	t.Helper()
	g, err := l.OpenGroup(context.Background(), name, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g
}

func mustBalance(t testing.TB, g *Group) bool {
	t.Helper()
	changed, err := balance(g)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func at(p Position) *Position { return &p }

func TestGroupName(t *testing.T) {
	for name, want := range map[string]bool{
		"mailer": true, "a": true, "A-b_c.9": true, "_": true, "0": true, "a..": true,
		strings.Repeat("x", 100): true, strings.Repeat("x", 101): false,
		"": false, ".": false, "..": false, ".a": false, "-a": false, "a/b": false, "a b": false, "ä": false,
		"a\x00": false, "a\n": false, `a\b`: false, "../x": false,
	} {
		if got := groupName(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
		if !want {
			l := groupLog(t, vfstest.New(), "log", 1, 0)
			_, err := l.OpenGroup(t.Context(), name, GroupOptions{})
			var bad *GroupNameError
			if !errors.As(err, &bad) || bad.Hint() == "" {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
	for name, want := range map[string]int{
		"member-0.lock": 0, "member-17.lock": 17, "member-4095.lock": 4095, "member-4096.lock": -1, "member-00.lock": -1,
		"member-.lock": -1, "member-0": -1, "member--1.lock": -1, "member-+1.lock": -1, "00000.lock": -1, "member-0.lock.lock": -1,
	} {
		n, ok := memberOf(name)
		if !ok {
			n = -1
		}
		if n != want {
			t.Errorf("%s: member %d", name, n)
		}
	}
}

// crew is the members of a group, each a process of its own.
type crew struct {
	t       testing.TB
	m       *vfstest.Mem
	members []*crewMember
	// twin is what is committed, by partition.
	twin []int64
}

type crewMember struct {
	p *vfstest.Proc
	g *Group
}

func newCrew(t testing.TB, partitions, events int) *crew {
	c := &crew{t: t, m: vfstest.New(), twin: make([]int64, partitions)}
	groupLog(t, c.m, "log", partitions, events)
	return c
}

func (c *crew) join() {
	c.t.Helper()
	p := c.m.Process()
	c.members = append(c.members, &crewMember{p, mustGroup(c.t, as(c.t, p, "log"), "g", GroupOptions{})})
}

// leave ends a member, at once or in order.
func (c *crew) leave(i int, kill bool) {
	c.t.Helper()
	if kill {
		c.members[i].p.Kill()
	} else if err := c.members[i].g.Close(); err != nil {
		c.t.Fatal(err)
	}
	c.members = slices.Delete(c.members, i, i+1)
}

// balance lets one look, and checks that nothing is held twice and that what it has
// got is where the twin says.
func (c *crew) balance(i int) {
	c.t.Helper()
	before := c.members[i].g.Held()
	changed := mustBalance(c.t, c.members[i].g)
	after := c.members[i].g.Held()
	if changed == slices.Equal(before, after) {
		c.t.Fatalf("Balance = %v: held %v, then %v", changed, before, after)
	}
	by := map[int]int{}
	for k, m := range c.members {
		for _, p := range m.g.Held() {
			if other, ok := by[p]; ok {
				c.t.Fatalf("partition %d is held by %d and %d", p, other, k)
			}
			by[p] = k
		}
	}
	for p, want := range c.twin {
		got := c.members[i].g.Committed(p)
		if held := slices.Contains(after, p); held && got != want || !held && got != -1 {
			c.t.Fatalf("partition %d, held %v: %d is committed, want %d", p, held, got, want)
		}
	}
}

// settle lets all look twice: in the first round what others hold may not be free.
func (c *crew) settle() {
	c.t.Helper()
	for range 2 {
		for i := range c.members {
			c.balance(i)
		}
	}
	var all []int
	for i, m := range c.members {
		own, err := m.g.Owned()
		if err != nil {
			c.t.Fatal(err)
		}
		if held := m.g.Held(); !slices.Equal(own, held) {
			c.t.Fatalf("member %d of %d owns %v, and holds %v", i, len(c.members), own, held)
		}
		if fair := len(c.twin) / len(c.members); len(own) != fair && len(own) != fair+1 {
			c.t.Fatalf("%d members share %d partitions, and one has %v", len(c.members), len(c.twin), own)
		}
		all = append(all, own...)
	}
	slices.Sort(all)
	for p := range c.twin {
		if len(all) != len(c.twin) || all[p] != p {
			c.t.Fatalf("%d partitions are shared as %v", len(c.twin), all)
		}
	}
}

// Each number of members shares each number of partitions: when they come, when they
// leave in any order, and when they die.
func TestGroupShare(t *testing.T) {
	for partitions := 1; partitions <= 5; partitions++ {
		for members := 1; members <= 6; members++ {
			for gone := range members {
				c := newCrew(t, partitions, 3)
				for range members {
					c.join()
					c.settle()
				}
				c.leave(gone, gone%2 == 0)
				if members > 1 {
					c.settle()
				}
				c.join() // in the place of that one
				c.settle()
				for len(c.members) > 1 {
					c.leave(0, len(c.members)%2 == 0)
					c.settle()
				}
			}
		}
	}
}

// What a dead member held is taken by one look of who it belongs to then.
func TestGroupTakeover(t *testing.T) {
	c := newCrew(t, 4, 9)
	c.join()
	c.join()
	c.settle()
	if held := c.members[1].g.Held(); !slices.Equal(held, []int{1, 3}) {
		t.Fatalf("the second one holds %v", held)
	}
	if err := c.members[0].g.Commit(2, 7); err != nil {
		t.Fatal(err)
	}
	c.twin[2] = 7
	c.leave(0, true)
	c.balance(0)
	if held := c.members[0].g.Held(); len(held) != 4 {
		t.Errorf("the other one holds %v", held)
	}
	c.join()
	c.balance(1)
	if held := c.members[1].g.Held(); len(held) != 0 {
		t.Errorf("a new one holds %v, which nobody gave up", held)
	}
	own, err := c.members[1].g.Owned()
	if err != nil || !slices.Equal(own, []int{0, 2}) { // it has the number of the dead one
		t.Errorf("it owns %v, %v", own, err)
	}
}

// Members come, go, die, look and commit at random, beside a plain twin.
func TestGroupRandom(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 0))
		c := newCrew(t, 1+rng.IntN(5), 50)
		for range 80 {
			n := len(c.members)
			op := rng.IntN(12)
			switch {
			case n == 0 || op == 0 && n < 6:
				c.join()
			case op == 1:
				c.leave(rng.IntN(n), rng.IntN(2) == 0)
			case op < 6:
				c.balance(rng.IntN(n))
			default:
				m, p := c.members[rng.IntN(n)], rng.IntN(len(c.twin))
				next := c.twin[p] + int64(rng.IntN(4)) - 1
				held := slices.Contains(m.g.Held(), p)
				err := m.g.Commit(p, next)
				var not *NotHeldError
				switch {
				case !held && !errors.As(err, &not):
					t.Fatalf("seed %d: commit of what is not held: %v", seed, err)
				case held && (err == nil) != (next >= c.twin[p]):
					t.Fatalf("seed %d: commit of %d after %d: %v", seed, next, c.twin[p], err)
				case held && err == nil:
					c.twin[p] = next
				}
			}
		}
		if len(c.members) > 0 {
			c.settle()
		}
		all, err := as(t, c.m, "log").Groups(t.Context())
		if err != nil || len(all) != len(c.twin) {
			t.Fatalf("seed %d: %v, %v", seed, all, err)
		}
		for p, want := range c.twin {
			if g := all[p]; g != (GroupPosition{"g", p, want, 50 - want}) {
				t.Fatalf("seed %d: %+v, want %d", seed, g, want)
			}
		}
	}
}

func TestGroupCommit(t *testing.T) {
	m := vfstest.New()
	l := groupLog(t, m, "log", 2, 10)
	g := mustGroup(t, l, "g", GroupOptions{})
	var not *NotHeldError
	if err := g.Commit(0, 1); !errors.As(err, &not) || not.Partition != 0 {
		t.Errorf("commit of what is not held: %v", err)
	}
	if !mustBalance(t, g) || mustBalance(t, g) {
		t.Error("Balance does not say what it does")
	}
	for _, tt := range []struct {
		next int64
		ok   bool
		want int64
	}{{0, true, 0}, {3, true, 3}, {2, false, 3}, {-1, false, 3}, {3, true, 3}, {10, true, 10}, {0, false, 10}} {
		if err := g.Commit(0, tt.next); (err == nil) != tt.ok || g.Committed(0) != tt.want {
			t.Errorf("Commit(%d) = %v, then %d", tt.next, err, g.Committed(0))
		}
	}
	// One that failed may have been stored.
	m.FailIf(1, func(o vfstest.Op) bool { return o.Kind == vfstest.SyncDir }, errors.New("full"), false)
	if err := g.Commit(1, 5); err == nil || g.Committed(1) != 0 {
		t.Errorf("a failed commit: %v, then %d", err, g.Committed(1))
	}
	if err := g.Commit(1, 4); err == nil {
		t.Error("a commit before one that may have been stored")
	}
	if err := g.Commit(1, 5); err != nil || g.Committed(1) != 5 {
		t.Errorf("once more: %v, then %d", err, g.Committed(1))
	}
	content, _ := m.ReadFile("log/groups/g/00001.json")
	if want := fmt.Sprintf(`{"log":"%s","partition":1,"next":5,"crc":"`, l.Settings().ID); !strings.HasPrefix(string(content), want) {
		t.Errorf("the file has %s", content)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	_, unbalanced := g.Balance(nil)
	_, owned := g.Owned()
	for _, err := range []error{g.Close(), g.Commit(0, 10), unbalanced, owned} {
		if err != os.ErrClosed {
			t.Errorf("after Close: %v", err)
		}
	}
	if g.Committed(0) != -1 || len(g.Held()) > 0 {
		t.Error("something is held after Close")
	}
}

// committed is what a process that comes now finds.
func committed(t testing.TB, l *Log, name string) []int64 {
	t.Helper()
	g := mustGroup(t, l, name, GroupOptions{})
	defer g.Close()
	mustBalance(t, g)
	var out []int64
	for p := range l.settings.Partitions {
		out = append(out, g.Committed(p))
	}
	return out
}

func TestGroups(t *testing.T) {
	m := vfstest.New()
	l := groupLog(t, m, "log", 2, 9)
	if all, err := l.Groups(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("without groups: %v, %v", all, err)
	}
	for i, name := range []string{"b", "a.b", "c"} {
		g := mustGroup(t, l, name, GroupOptions{})
		mustBalance(t, g)
		if err := g.Commit(1, int64(i)+1); err != nil {
			t.Fatal(err)
		}
	}
	m.WriteFile("log/groups/.tmp-0123456789abcdef/00000.json", nil) // of one that was killed
	want := []GroupPosition{
		{"a.b", 0, 0, 9}, {"a.b", 1, 2, 7}, {"b", 0, 0, 9}, {"b", 1, 1, 8}, {"c", 0, 0, 9}, {"c", 1, 3, 6},
	}
	if all, err := l.Groups(t.Context()); err != nil || !slices.Equal(all, want) {
		t.Errorf("%v, %v", all, err)
	}
	m.Corrupt("log/groups/b/00001.json", 3, 3)
	m.WriteFile("log/groups/c/00000.json", position{l.Settings().ID, 0, 10}.encode())
	all, err := l.Groups(t.Context())
	var damaged *event.DamagedError
	var gone *event.GoneError
	if !errors.As(err, &damaged) || damaged.File != "log/groups/b/00001.json" || !errors.As(err, &gone) {
		t.Errorf("error %v", err)
	}
	want = slices.Delete(want, 3, 5)
	if !slices.Equal(all, want) {
		t.Errorf("%v, want %v", all, want)
	}
	// A reset counts before it is in the positions.
	m.WriteFile("log/groups/b/reset.json", resetting{l.Settings().ID, []int64{7, 8}}.encode())
	m.WriteFile("log/groups/c/00000.json", position{l.Settings().ID, 0, 9}.encode())
	all, err = l.Groups(t.Context())
	want = []GroupPosition{{"a.b", 0, 0, 9}, {"a.b", 1, 2, 7}, {"b", 0, 7, 2}, {"b", 1, 8, 1}, {"c", 0, 9, 0}, {"c", 1, 3, 6}}
	if err != nil || !slices.Equal(all, want) {
		t.Errorf("%v, %v", all, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Groups(ctx); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
}

// The methods may be called from several goroutines; the race detector looks.
func TestGroupGoroutines(t *testing.T) {
	c := newCrew(t, 4, 200)
	c.join()
	c.join()
	a, b := c.members[0].g, c.members[1].g
	var wg sync.WaitGroup
	for _, g := range []*Group{a, b} {
		for range 2 {
			wg.Go(func() {
				for range 50 {
					if _, err := balance(g); err != nil {
						t.Error(err)
					}
				}
			})
			wg.Go(func() {
				for n := range int64(100) {
					for _, p := range g.Held() {
						var not *NotHeldError
						if err := g.Commit(p, max(n, g.Committed(p))); err != nil && !errors.As(err, &not) && !strings.Contains(err.Error(), "after") {
							t.Error(err)
						}
					}
					g.Owned()
				}
			})
		}
	}
	wg.Wait()
}

func BenchmarkGroupCommit(b *testing.B) {
	g := mustGroup(b, groupLog(b, vfs.OS{}, filepath.Join(b.TempDir(), "log"), 1, 9), "g", GroupOptions{})
	mustBalance(b, g)
	next := int64(0)
	for b.Loop() {
		next++
		if err := g.Commit(0, next); err != nil {
			b.Fatal(err)
		}
	}
}

// balance makes a group's share what it is to be.
func balance(g *Group) (changed bool, err error) {
	own, err := g.Owned()
	if err != nil {
		return false, err
	}
	return g.Balance(own)
}
