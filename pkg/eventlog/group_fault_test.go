package eventlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"

	"logtools/pkg/event"
	"logtools/pkg/internal/vfs/vfstest"
)

// groupState is where a group is, in two ways that must agree: what Groups says, and
// what a member finds; nil if there is no such group.
func groupState(t testing.TB, m *vfstest.Mem, name string) []int64 {
	t.Helper()
	l := as(t, m, "log")
	if _, err := m.ReadDir("log/groups/" + name); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	all, err := l.Groups(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var said []int64
	for _, g := range all {
		if g.Group == name {
			said = append(said, g.Committed)
		}
	}
	if found := committed(t, l, name); !slices.Equal(said, found) {
		t.Fatalf("Groups says %v, a member finds %v", said, found)
	}
	return said
}

// groupAt makes a group with that committed.
func groupAt(t testing.TB, l *Log, name string, next ...int64) {
	t.Helper()
	g := mustGroup(t, l, name, GroupOptions{})
	defer g.Close()
	mustBalance(t, g)
	for p, n := range next {
		if err := g.Commit(p, n); err != nil {
			t.Fatal(err)
		}
	}
}

// eachCrash cuts the power after each operation from the first-th on, in all ways.
func eachCrash(t *testing.T, m *vfstest.Mem, first int, f func(n int, how vfstest.Loss, c *vfstest.Mem)) {
	t.Helper()
	ops := m.Log()
	for n := first; n <= len(ops); n++ {
		if n > first && n < len(ops) && !ops[n-1].Changes() {
			continue
		}
		for _, how := range losses() {
			f(n, how, m.Crash(n, how))
			if t.Failed() {
				t.Fatalf("after operation %d of %d (%v), %v", n, len(ops), ops[n-1], how)
			}
		}
	}
}

// A group that is being made is there as a whole or not at all.
func TestGroupCrashNew(t *testing.T) {
	m := vfstest.New()
	l := groupLog(t, m, "log", 3, 9)
	first := len(m.Log())
	g := mustGroup(t, l, "g", GroupOptions{From: at(AtOffset(4))})
	done := len(m.Log())
	g.Close()
	groupAt(t, l, "g", 5, 6, 7) // which shows that the group itself lasts
	end := len(m.Log())
	eachCrash(t, m, first, func(n int, how vfstest.Loss, c *vfstest.Mem) {
		got := groupState(t, c, "g")
		if n < done && got == nil {
			groupAt(t, as(t, c, "log"), "g", 4, 4, 4) // and it can be made
			got = groupState(t, c, "g")
		}
		switch {
		case len(got) != 3, n <= done && !slices.Equal(got, []int64{4, 4, 4}), n == end && !slices.Equal(got, []int64{5, 6, 7}):
			t.Errorf("the group is at %v", got)
		}
	})
}

// A reset is in all positions or in none, whoever goes on afterwards, and is not
// repeated behind what was committed then.
func TestGroupCrashReset(t *testing.T) {
	for _, damage := range []bool{false, true} {
		m := vfstest.New()
		l := groupLog(t, m, "log", 3, 9)
		groupAt(t, l, "g", 1, 2, 3)
		if damage {
			m.Corrupt("log/groups/g/00001.json", 7, 1)
		}
		first := len(m.Log())
		g := mustGroup(t, l, "g", GroupOptions{From: at(AtOffset(5))})
		done := len(m.Log())
		g.Close()
		isDamaged := func(c *vfstest.Mem) bool {
			_, err := as(t, c, "log").Groups(t.Context())
			var damaged *event.DamagedError
			return errors.As(err, &damaged)
		}
		eachCrash(t, m, first, func(n int, how vfstest.Loss, c *vfstest.Mem) {
			if damage && n < done && isDamaged(c) {
				return // as before
			}
			before := len(c.Log())
			got := groupState(t, c, "g")
			seen := len(c.Log())
			if !slices.Equal(got, []int64{5, 5, 5}) && (n >= done || damage || !slices.Equal(got, []int64{1, 2, 3})) {
				t.Fatalf("the group is at %v", got)
			}
			groupAt(t, as(t, c, "log"), "g", 6, 7, 8)
			// And again, while a member brings it to its end and commits.
			hows := []vfstest.Loss{vfstest.LoseAll(), vfstest.Random(uint64(n))}
			if how != vfstest.KeepAll() {
				return // which leaves nothing to be lost
			}
			if o := m.Log()[n-1]; o.Kind == vfstest.Rename && strings.HasSuffix(o.To, resetName) {
				for seed := range uint64(30) { // it counts, and may be lost
					hows = append(hows, vfstest.Random(seed))
				}
			}
			ops := c.Log()
			for j := before; j <= len(ops); j++ {
				if j > before && j < len(ops) && !ops[j-1].Changes() {
					continue
				}
				for _, how := range hows {
					cc := c.Crash(j, how)
					if damage && n < done && j < seen && isDamaged(cc) {
						continue // nobody has gone on yet
					}
					again := groupState(t, cc, "g")
					if n < done && j < seen && slices.Equal(again, []int64{1, 2, 3}) {
						continue
					}
					for p, next := range []int64{6, 7, 8} {
						if again[p] != got[p] && again[p] != next || j == len(ops) && again[p] != next {
							t.Fatalf("and then, after operation %d of %d (%v), %v, at %v; it was at %v", j, len(ops), ops[max(j, 1)-1], how, again, got)
						}
					}
				}
			}
		})
	}
}

// What was committed stays, and what was being committed is there or not.
func TestGroupCrashCommit(t *testing.T) {
	m := vfstest.New()
	l := groupLog(t, m, "log", 2, 9)
	g := mustGroup(t, l, "g", GroupOptions{})
	mustBalance(t, g)
	first := len(m.Log())
	var ends []int
	for i := range int64(4) {
		if err := g.Commit(0, i+1); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, len(m.Log()))
	}
	eachCrash(t, m, first, func(n int, how vfstest.Loss, c *vfstest.Mem) {
		least := int64(0)
		for _, end := range ends {
			if end <= n {
				least++
			}
		}
		if got := groupState(t, c, "g"); got[0] < least || got[0] > least+1 || got[1] != 0 {
			t.Errorf("the group is at %v, %d were committed", got, least)
		}
	})
}

// A process is killed before each of its operations, and another one goes on from
// where that one was. A power cut then takes nothing back of what the other has seen.
func TestGroupKill(t *testing.T) {
	for _, reset := range []bool{false, true} {
		for n := 1; ; n++ {
			m := vfstest.New()
			groupLog(t, m, "log", 2, 9)
			o := GroupOptions{From: at(AtOffset(1))}
			if reset {
				groupAt(t, as(t, m, "log"), "g", 3, 3)
			}
			p := m.Process()
			l := as(t, p, "log")
			p.KillAt(n)
			err := func() error {
				g, err := l.OpenGroup(t.Context(), "g", o)
				if err != nil {
					return err
				}
				if _, err := balance(g); err != nil {
					return err
				}
				return errors.Join(g.Commit(0, 4), g.Commit(1, 5))
			}()
			if err != nil && !errors.Is(err, vfstest.ErrKilled) {
				t.Fatal(n, err)
			}
			p.Kill()
			seen := committed(t, as(t, m, "log"), "g")
			for _, how := range losses() {
				c := m.Crash(len(m.Log()), how)
				if got := groupState(t, c, "g"); !slices.Equal(got, seen) {
					t.Fatalf("killed before operation %d: another process found %v, and after %v it is at %v", n, seen, how, got)
				}
			}
			want := fmt.Sprint(seen)
			if ok := want == "[0 0]" && !reset || want == "[3 3]" && reset || want == "[1 1]" || want == "[4 1]" || want == "[4 5]"; !ok {
				t.Fatalf("killed before operation %d: the group is at %v", n, seen)
			}
			// Nothing half made is left where it would be in the way of nobody.
			for _, name := range m.Names() {
				if strings.Contains(name, "groups/g/0") && strings.Contains(name, tmpMark) {
					t.Fatalf("killed before operation %d: %s is left", n, name)
				}
			}
			if err == nil {
				if n < 20 {
					t.Errorf("only %d operations", n)
				}
				break
			}
		}
	}
}

// The group is replaced by another one before each operation of a process. What that one
// is told to be committed is committed in the group that has the name, and durable.
func TestGroupReplaced(t *testing.T) {
	for _, from := range []*Position{nil, at(AtOffset(3))} {
		for n := 1; ; n++ {
			m := vfstest.New()
			l := groupLog(t, m, "log", 2, 9)
			groupAt(t, l, "g", 3, 3)
			p := m.Process()
			there := p.StopAt(n)
			done := make(chan error, 1)
			go func() {
				done <- func() error {
					l, err := Open("log", Options{FS: p})
					if err != nil {
						return err
					}
					g, err := l.OpenGroup(context.Background(), "g", GroupOptions{From: from})
					if err != nil {
						return err
					}
					if _, err := balance(g); err != nil {
						return err
					}
					return g.Commit(0, 5)
				}()
			}()
			select {
			case <-there:
			case err := <-done:
				if err != nil || n < 20 {
					t.Errorf("after %d operations: %v", n-1, err)
				}
				done = nil
			}
			if done == nil {
				break
			}
			if err := m.Rename("log/groups/g", "log/groups/h"); err != nil {
				t.Fatal(err)
			}
			groupAt(t, l, "g", 4, 4)
			p.Continue()
			err := <-done
			p.Kill()
			if err != nil {
				continue
			}
			for _, how := range losses() {
				if got := groupState(t, m.Crash(len(m.Log()), how), "g"); got[0] != 5 {
					t.Fatalf("replaced before operation %d: committed, and after %v it is at %v", n, how, got)
				}
			}
		}
	}
}

// A reset whose process was killed is brought to its end by who has partition 0, and
// nobody uses a position before.
func TestGroupSettle(t *testing.T) {
	m := vfstest.New()
	l := groupLog(t, m, "log", 2, 9)
	groupAt(t, l, "g", 3, 3)
	m.WriteFile("log/groups/g/reset.json", resetting{l.Settings().ID, []int64{5, 6}}.encode())
	a, b := mustGroup(t, l, "g", GroupOptions{}), mustGroup(t, l, "g", GroupOptions{})
	if mustBalance(t, b) || len(b.Held()) > 0 {
		t.Errorf("the second one holds %v before the reset is settled", b.Held())
	}
	if got, err := l.readPosition("g", 1); got != 3 || err != nil {
		t.Errorf("it changed a position to %d, %v", got, err)
	}
	if !mustBalance(t, a) || a.Committed(0) != 5 {
		t.Errorf("the first one is at %d", a.Committed(0))
	}
	if !mustBalance(t, b) || b.Committed(1) != 6 {
		t.Errorf("the second one is at %d", b.Committed(1))
	}
}

// Each operation fails once. The error says so, the group is as before or as after,
// and the next time all works.
func TestGroupFail(t *testing.T) {
	for _, reset := range []bool{false, true} {
		for n := 1; ; n++ {
			m := vfstest.New()
			l := groupLog(t, m, "log", 2, 9)
			o := GroupOptions{From: at(AtOffset(1))}
			before := []int64(nil)
			if reset {
				before = []int64{3, 3}
				groupAt(t, l, "g", before...)
			}
			m.Fail(n, syscall.EIO, n%2 == 0)
			var done []int64
			err := func() error {
				g, err := l.OpenGroup(t.Context(), "g", o)
				if err != nil {
					return err
				}
				defer g.Close()
				done = []int64{1, 1}
				if _, err := balance(g); err != nil {
					if g.Held() != nil {
						t.Errorf("operation %d failed, and %v are held", n, g.Held())
					}
					return err
				}
				for p, next := range []int64{4, 5} {
					if err := g.Commit(p, next); err != nil {
						return err
					}
					done[p] = next
				}
				return nil
			}()
			fired := m.Fired()
			m.Fail(0, nil, false)
			if fired != (err != nil) || err != nil && !errors.Is(err, syscall.EIO) {
				t.Fatalf("operation %d failed, told as: %v", n, err)
			}
			for _, how := range losses() {
				got := groupState(t, m.Crash(len(m.Log()), how), "g")
				switch {
				case done == nil && (slices.Equal(got, before) || slices.Equal(got, []int64{1, 1})):
				case len(got) == 2 && done != nil && (got[0] == done[0] || done[0] == 1 && got[0] == 4) && (got[1] == done[1] || done[0] == 4 && got[1] == 5):
				default:
					t.Fatalf("operation %d failed (%v), then %v: the group is at %v, committed %v", n, err, how, got, done)
				}
			}
			g := mustGroup(t, l, "g", o)
			mustBalance(t, g)
			if err := errors.Join(g.Commit(0, 4), g.Commit(1, 5)); err != nil {
				t.Fatal(err)
			}
			if !fired {
				if n < 20 {
					t.Errorf("only %d operations", n)
				}
				break
			}
		}
	}
}

// damagedGroup is checked: the group's error names the file, and a reset helps.
func damagedGroup(t *testing.T, m *vfstest.Mem, file, what string, want []int64) {
	t.Helper()
	l := as(t, m, "log")
	g := mustGroup(t, l, "g", GroupOptions{})
	defer g.Close()
	_, err := balance(g)
	var damaged *event.DamagedError
	var hint interface{ Hint() string }
	switch {
	case err == nil:
		if g.Committed(0) != want[0] || g.Committed(1) != want[1] {
			t.Fatalf("%s: at %d and %d", what, g.Committed(0), g.Committed(1))
		}
	case !errors.As(err, &damaged) || damaged.File != file || !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "logcat -G g --from POS log"):
		t.Fatalf("%s: %v", what, err)
	case len(g.Held()) > 0:
		t.Fatalf("%s: %v are held", what, g.Held())
	}
	if _, said := l.Groups(t.Context()); (said == nil) != (err == nil) || said != nil && !errors.As(said, &damaged) {
		t.Fatalf("%s: Groups says %v", what, said)
	}
	g.Close()
	mustGroup(t, l, "g", GroupOptions{From: at(AtOffset(6))}).Close()
	if got := groupState(t, m, "g"); !slices.Equal(got, []int64{6, 6}) {
		t.Fatalf("%s: after a reset at %v", what, got)
	}
}

// No flipped bit, no missing end and no missing file of a group gives a position that
// was never committed.
func TestGroupDamage(t *testing.T) {
	m := vfstest.New()
	l := groupLog(t, m, "log", 2, 9)
	groupAt(t, l, "g", 3, 4)
	position1 := "log/groups/g/00001.json"
	for _, file := range []string{position1, "log/groups/g/reset.json"} {
		if file != position1 {
			m.WriteFile(file, resetting{l.Settings().ID, []int64{7, 8}}.encode())
		}
		content, err := m.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n := len(m.Log())
		for i := range content {
			for bit := range uint(8) {
				c := m.Crash(n, vfstest.KeepAll())
				c.Corrupt(file, int64(i), bit)
				damagedGroup(t, c, file, fmt.Sprintf("byte %d, bit %d", i, bit), nil)
			}
			c := m.Crash(n, vfstest.KeepAll())
			c.WriteFile(file, content[:i])
			damagedGroup(t, c, file, fmt.Sprintf("cut off at %d", i), nil)
			c = m.Crash(n, vfstest.KeepAll())
			c.WriteFile(file, append(slices.Clone(content), content[:i+1]...))
			damagedGroup(t, c, file, fmt.Sprintf("%d bytes more", i+1), nil)
		}
		c := m.Crash(n, vfstest.KeepAll())
		if err := c.Remove(file); err != nil {
			t.Fatal(err)
		}
		damagedGroup(t, c, file, "removed", []int64{3, 4})
	}
	// Sound, and yet not what it should be.
	id := l.Settings().ID
	for what, b := range map[string][]byte{
		"of the other partition": position{id, 0, 4}.encode(),
		"less than 0":            position{id, 1, -1}.encode(),
		"no JSON":                appendSum([]byte(`{"log"`)),
		"no object":              appendSum([]byte(`[`)),
	} {
		c := m.Crash(len(m.Log()), vfstest.KeepAll())
		if err := c.Remove("log/groups/g/reset.json"); err != nil {
			t.Fatal(err)
		}
		c.WriteFile(position1, b)
		damagedGroup(t, c, position1, what, nil)
	}
	for what, r := range map[string]resetting{"of one partition": {id, []int64{4}}, "less than 0": {id, []int64{4, -1}}} {
		c := m.Crash(len(m.Log()), vfstest.KeepAll())
		c.WriteFile("log/groups/g/reset.json", r.encode())
		damagedGroup(t, c, "log/groups/g/reset.json", what, nil)
	}
}

// A position that leads nowhere in this log is told as such.
func TestGroupPositionGone(t *testing.T) {
	m := vfstest.New()
	l := groupLog(t, m, "log", 2, 0)
	var lines []string
	for i := range 30 {
		lines = append(lines, fmt.Sprintf(`"%d%s"`, i, strings.Repeat("x", i)))
	}
	for _, line := range lines {
		if _, err := appendAll(t, tinySegments(l), AppendOptions{}, batch(line)); err != nil {
			t.Fatal(err)
		}
	}
	bases, err := l.segments("log/00000")
	if err != nil || len(bases) < 3 {
		t.Fatal(bases, err)
	}
	groupAt(t, l, "g", bases[1])
	if err := m.Remove("log/00000/" + segmentName(bases[0])); err != nil { // as retention does
		t.Fatal(err)
	}
	if got := groupState(t, m, "g"); got[0] != bases[1] {
		t.Errorf("at the first that is there: %v", got)
	}
	other := "00000000-0000-4000-8000-000000000000"
	for what, files := range map[string]map[string][]byte{
		"before the first, ":   {"00000.json": position{l.Settings().ID, 0, bases[1] - 1}.encode()},
		"beyond the end, 30":   {"00000.json": position{l.Settings().ID, 0, 31}.encode()},
		"partition 1 is of an": {"00001.json": position{other, 1, 0}.encode()},
		"is of another log":    {"reset.json": resetting{other, []int64{0}}.encode()},
	} {
		c := m.Crash(len(m.Log()), vfstest.KeepAll())
		for name, b := range files {
			c.WriteFile("log/groups/g/"+name, b)
		}
		l := as(t, c, "log")
		g := mustGroup(t, l, "g", GroupOptions{})
		_, err := balance(g)
		_, said := l.Groups(t.Context())
		g.Close()
		for _, err := range []error{err, said} {
			var gone *event.GoneError
			if !errors.As(err, &gone) || !strings.Contains(gone.Error(), what) || !strings.Contains(gone.Hint(), "logcat -G g --from start log") {
				t.Errorf("%s: %v", what, err)
			}
		}
		mustGroup(t, l, "g", GroupOptions{From: new(Position)}).Close()
		if got := groupState(t, c, "g"); got[0] != bases[1] || got[1] != 0 {
			t.Errorf("%s: after a reset at %v", what, got)
		}
	}
}

// Neither checking nor repairing a log, nor its settings, minds what else lies in it.
func TestGroupRepair(t *testing.T) {
	m := vfstest.New()
	l := groupLog(t, m, "log", 2, 9)
	groupAt(t, l, "g", 3, 4)
	m.WriteFile("log/guard/00000/run", []byte("?"))
	verify := func() {
		t.Helper()
		l := as(t, m, "log")
		for p := range 2 {
			v, err := l.Verify(t.Context(), p, VerifyOptions{Damaged: func(d *event.DamagedError) { t.Error(d) }})
			if err != nil || v.Events != 9 {
				t.Errorf("partition %d: %+v, %v", p, v, err)
			}
			if err := l.Repair(t.Context(), p, RepairOptions{Repaired: func(r Repaired) { t.Errorf("repaired %+v", r) }}); err != nil {
				t.Error(err)
			}
		}
	}
	verify()
	m.WriteFile("log/log.json", []byte("{}"))
	was, err := RepairSettings(t.Context(), "log", Options{FS: m}, 0)
	if err != nil || was == nil || !was.Guessed || was.Partitions != 2 || was.ID != l.Settings().ID {
		t.Errorf("settings repaired: %+v, %v", was, err)
	}
	verify()
	if got := groupState(t, m, "g"); !slices.Equal(got, []int64{3, 4}) {
		t.Errorf("the group is at %v", got)
	}
}
