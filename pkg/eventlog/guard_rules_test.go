package eventlog

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/internal/vfs/vfstest"
	"logtools/pkg/stream"
)

func TestRulesGiven(t *testing.T) {
	unique, other := Rules{Key: ".a", Unique: ".a"}, Rules{Key: ".a", Unique: ".b"}
	fold := Rules{Key: ".k", Fold: ". + 1", Init: "0", Check: ". < 9"}
	both := Rules{Key: ".a", Unique: ".a", Fold: ". + 1", Init: "0", Check: ". < 9"}
	for _, c := range []struct {
		had, want  Rules
		partitions int
		get        Rules
		flag       string // of the error; "" if there is none
	}{
		{Rules{}, unique, 1, unique, ""},
		{Rules{}, fold, 3, fold, ""},
		{Rules{}, both, 3, both, ""},
		{Rules{}, Rules{}, 3, Rules{}, ""},
		{Rules{}, Rules{Key: ".a"}, 3, Rules{}, ""},
		{Rules{}, other, 1, other, ""},
		{Rules{}, other, 2, Rules{}, "unique"},
		{unique, unique, 2, unique, ""},
		{unique, Rules{Key: ".other", Unique: ".a"}, 1, unique, ""},
		{unique, Rules{}, 2, unique, ""},
		{unique, other, 1, unique, "unique"},
		{unique, fold, 1, unique, "fold"},
		{unique, both, 1, unique, "fold"},
		{fold, unique, 1, fold, "unique"},
		{fold, Rules{Fold: ". + 1", Init: "1", Check: ". < 9"}, 1, fold, "fold"},
		{fold, Rules{Fold: ". + 1", Init: "0", Check: ". < 8"}, 1, fold, "fold"},
		{both, unique, 1, both, ""},
		{both, fold, 1, both, ""},
		{both, both, 1, both, ""},
		{Rules{}, Rules{Unique: "\xff", Key: "\xff"}, 1, Rules{}, "unique"},
		{Rules{}, Rules{Fold: strings.Repeat("1", maxRule+1)}, 1, Rules{}, "fold"},
	} {
		got := c.had
		changed, err := got.give(&c.want, c.partitions)
		var wrong *SettingError
		if errors.As(err, &wrong) != (c.flag != "") || err != nil && wrong.Name != c.flag || got != c.get || changed != (c.had != c.get) {
			t.Errorf("%+v gets %+v: %+v, %v, %v", c.had, c.want, got, changed, err)
		}
		if c.flag != "" && !c.had.None() && (!strings.Contains(err.Error(), c.had.String()) || wrong.Tip == "") {
			t.Errorf("%v", err)
		}
	}
}

func TestRulesSettings(t *testing.T) {
	s := Settings{ID: "01234567-89ab-cdef-0123-456789abcdef", Partitions: 1, Cleanup: "none", SegmentBytes: DefaultSegmentBytes}
	if b := s.encode(); strings.Contains(string(b), "rules") {
		t.Errorf("%s", b)
	}
	s.Rules = Rules{Key: ".a", Fold: `. + "<ä\u0000"`, Init: "0", Check: ". >= 0"}
	b := s.encode()
	if want := `"rules":{"key":".a","fold":". + \"<ä\\u0000\"","init":"0","check":". >= 0"},"crc":`; !strings.Contains(string(b), want) {
		t.Errorf("%s", b)
	}
	var got Settings
	if err := got.decode(b); err != nil || got.Rules != s.Rules {
		t.Errorf("%+v: %v", got, err)
	}
	// A damaged one is put right like any other.
	for i := range b {
		harmed := append([]byte(nil), b...)
		harmed[i] ^= 4
		if err := got.decode(harmed); err == nil {
			t.Errorf("byte %d is wrong and it is taken", i)
		} else if mended, ok := flipBack(harmed, s.ID); !ok || mended.Rules != s.Rules {
			t.Errorf("byte %d: %+v", i, mended)
		}
	}
	// What this version does not know must not be taken for no rule.
	body, _, _ := strings.Cut(string(b), `,"crc":`)
	newer := appendSum([]byte(strings.Replace(body, `"init"`, `"window":3,"init"`, 1)))
	var is *NewerError
	if err := got.decode(newer); !errors.As(err, &is) || !strings.Contains(err.Error(), "window") {
		t.Errorf("%v", err)
	}
	if err := got.decode(appendSum([]byte(strings.Replace(body, `"rules":{`, `"rules":[{`, 1) + "]"))); err == nil {
		t.Error("no error")
	}
}

// A log with rules is not compacted, whichever comes first.
func TestRulesCleanup(t *testing.T) {
	m := vfstest.New()
	compact, none := "compact", "none"
	mustCreate(t, m, "log", Change{Cleanup: &compact})
	open := func(c Change) error {
		_, err := OpenOrCreate(context.Background(), "log", c, Options{FS: m})
		return err
	}
	var wrong *SettingError
	if err := open(Change{Rules: &namesRule}); !errors.As(err, &wrong) {
		t.Error(err)
	}
	if err := open(Change{Rules: &namesRule, Cleanup: &none}); err != nil {
		t.Error(err)
	}
	for _, cleanup := range Cleanups[1:] {
		if err := open(Change{Cleanup: &cleanup}); !errors.As(err, &wrong) {
			t.Error(err)
		}
	}
	if l, err := Open("log", Options{FS: m}); err != nil || l.settings.Cleanup != none || l.settings.Rules != namesRule {
		t.Errorf("%+v: %v", l, err)
	}
	if _, err := guardedLog(t, m, 1).Appender(AppendOptions{}); err == nil {
		t.Error("a log with rules is appended to without a guard")
	}
	if _, err := mustCreate(t, m, "free", Change{}).Appender(AppendOptions{Guard: &names{}}); err == nil {
		t.Error("a log without rules is appended to with a guard")
	}
}

// Appenders that run while a log gets rules store nothing that was not judged; also
// if whoever gives it the rules is killed at any step, and after a power cut.
func TestPromiseRulesNoticed(t *testing.T) {
	const partitions = 3
	for step := 1; ; step++ {
		m := vfstest.New()
		n := partitions
		l := mustCreate(t, m.Process(), "log", Change{Partitions: &n})
		a, err := l.Appender(AppendOptions{LockTimeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		add := func(partition int, name string) (err error) {
			b := named(name)
			b.Partition = partition
			if e := a.Append(context.Background(), b, func(_ stream.Ack, e error) { err = e }); e != nil {
				t.Fatal(e)
			}
			a.Flush(context.Background())
			return err
		}
		for p := range partitions - 1 { // the last one is not open yet
			if err := add(p, "before"); err != nil {
				t.Fatal(err)
			}
		}
		giver := m.Process()
		killed := giver.KillAt(step)
		_, giveErr := OpenOrCreate(context.Background(), "log", Change{Rules: &namesRule}, Options{FS: giver})
		done := false
		select {
		case <-killed:
		default:
			done = true
			if giveErr != nil {
				t.Fatal(giveErr)
			}
		}
		now, err := Open("log", Options{FS: m})
		if err != nil {
			t.Fatal(err)
		}
		if done && now.settings.Rules.None() {
			t.Fatal("no rules")
		}
		for p := range partitions {
			err := add(p, "after")
			var changed *rulesError
			if errors.As(err, &changed) == now.settings.Rules.None() || err != nil && changed == nil {
				t.Errorf("step %d: the log has the rules %q; an appender without them: %v", step, &now.settings.Rules, err)
			}
		}
		a.Close()
		for p := range partitions {
			if at := content(t, m, "log", p); len(at) > 1 && !now.settings.Rules.None() {
				t.Errorf("step %d, partition %d: %v", step, p, at)
			}
		}
		// Who appends by the rules has them durable.
		if !now.settings.Rules.None() {
			g := &names{t: t, shelf: newShelf()}
			if o := appendEach(t, now, AppendOptions{Guard: g}, named("before")); o[0].err != nil || o[0].ack.Refused == nil {
				t.Errorf("%+v", o)
			}
			if l, err := Open("log", Options{FS: m.Crash(len(m.Log()), vfstest.LoseAll())}); err != nil || l.settings.Rules != namesRule {
				t.Errorf("step %d: after a power cut: %v", step, err)
			}
		}
		if done {
			if step < 20 {
				t.Errorf("only %d steps", step)
			}
			break
		}
	}
}

// guarded is a writer with a guard whose steps a test takes one by one.
type guarded struct {
	t testing.TB
	a *Appender
}

func newGuarded(t testing.TB, m *vfstest.Mem, g *names, o AppendOptions) *guarded {
	t.Helper()
	l, err := Open("log", Options{FS: m.Process()})
	if err != nil {
		t.Fatal(err)
	}
	o.Guard, o.Workers = g, 1
	a, err := tinySegments(l).Appender(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return &guarded{t, a}
}

func (w *guarded) add(names ...string) (o outcome) {
	w.t.Helper()
	if err := w.a.Append(context.Background(), named(names...), func(ack stream.Ack, err error) { o = outcome{ack, err} }); err != nil {
		w.t.Fatal(err)
	}
	w.a.Flush(context.Background())
	return o
}

func (w *guarded) want(refused string, names ...string) {
	w.t.Helper()
	if o := w.add(names...); o.err != nil || refusedOf(o.ack) != refused {
		w.t.Errorf("%q: %+v, want refused: %s", names, o, refused)
	}
}

// What was learned from events that another process has made void is forgotten.
func TestPromiseVoidIsUnlearned(t *testing.T) {
	for _, due := range []int{0, 1} {
		m := vfstest.New()
		guardedLog(t, m, 1)
		g := &names{t: t, shelf: newShelf(), due: due}
		other := newHand(t, m.Process())
		w := newGuarded(t, m, g, AppendOptions{NoSync: true})
		other.put(0, `{"n":"sure"}`)
		other.ack()
		w.want("0 by 0", "sure") // it has made durable what was left when it came
		other.put(1, `{"n":"void"}`)
		w.want("0 by 1, 1 by 0", "void", "sure")
		if due > 0 { // what is stored is settled
			w.want("0 by 1", "void")
		}
		failNext(m, vfstest.Sync)
		if other.commit() == nil {
			t.Fatal("a failed sync")
		}
		if due > 0 {
			w.want("0 by 1, 1 by 0", "void", "sure")
			if at := wantOnce(t, m, 1, 0)[0]; at["void"] != 1 {
				t.Errorf("%v", at)
			}
			continue
		}
		w.want("1 by 0", "void", "sure") // offset 2
		w.want("0 by 2", "void")
		if at := wantOnce(t, m, 1, 0)[0]; len(at) != 2 || at["void"] != 2 {
			t.Errorf("%v", at)
		}
	}
}

// A refusal is told only when that is durable which it names.
func TestPromiseRefusalIsDurable(t *testing.T) {
	m := vfstest.New()
	guardedLog(t, m, 1)
	g := &names{t: t, shelf: newShelf()}
	other, w := newHand(t, m.Process()), newGuarded(t, m, g, AppendOptions{})
	w.want("", "a")
	other.put(1, `{"n":"b"}`)
	w.want("0 by 1", "b")
	if got := content(t, m.Crash(len(m.Log()), vfstest.LoseAll()), "log", 0); got[1] != `{"n":"b"}` {
		t.Errorf("%v", got)
	}
	// Nor does it become void after that.
	failNext(m, vfstest.Sync)
	if other.commit() == nil {
		t.Fatal("a failed sync")
	}
	wantContent(t, m, map[int64]string{0: `{"n":"a"}`, 1: `{"n":"b"}`})
	w.want("0 by 1", "b")
	// One whose commit fails is not told.
	other = newHand(t, m.Process())
	other.put(2, `{"n":"c"}`)
	m.FailIf(1, func(o vfstest.Op) bool { return o.Kind == vfstest.Write && strings.HasSuffix(o.Name, headName) }, errTest, false)
	if o := w.add("c"); !errors.Is(o.err, errTest) {
		t.Errorf("%+v", o)
	}
}

var errTest = errors.New("the disk is on fire")

// What is stored is durable, and so is what the head says of it: nothing is damaged
// after a power cut.
func TestPromiseSettled(t *testing.T) {
	m := vfstest.New()
	guardedLog(t, m, 1)
	from := len(m.Log())
	w := newGuarded(t, m, &names{t: t, shelf: newShelf(), due: 1}, AppendOptions{NoSync: true})
	for i := range 5 {
		w.want("", fmt.Sprint("n", i))
	}
	w.a.Close()
	cuts(m, from, 20, func(c *vfstest.Mem, where string) { recoverLog(t, c) })
	if got := content(t, m.Crash(len(m.Log()), vfstest.LoseAll()), "log", 0); len(got) != 5 {
		t.Errorf("%v", got)
	}
}

// What was judged and then not written is not stored when the Appender is closed,
// even if others have written as much since.
func TestPromiseNotWrittenIsUnlearned(t *testing.T) {
	for what, o := range map[string]AppendOptions{"error": {}, "stop": {StopAtRefused: true}} {
		m := vfstest.New()
		guardedLog(t, m, 1)
		s := newShelf()
		w := newGuarded(t, m, &names{t: t, shelf: s, due: 100}, o)
		w.want("", "a")
		if what == "error" {
			failNext(m, vfstest.Write)
			if o := w.add("b", "c"); o.err == nil {
				t.Errorf("%+v", o)
			}
		} else {
			var o outcome
			w.a.Append(context.Background(), expecting(named("b", "a"), 1), func(ack stream.Ack, err error) { o = outcome{ack, err} })
			if o.err != nil || !o.ack.Stopped || o.ack.Count != 0 {
				t.Errorf("%+v", o)
			}
		}
		other := newHand(t, m.Process())
		for i := range 4 {
			other.put(int64(1+i), fmt.Sprintf(`{"n":"other%d"}`, i))
		}
		other.ack()
		if err := w.a.Close(); err != nil {
			t.Error(err)
		}
		w = newGuarded(t, m, &names{t: t, shelf: s}, AppendOptions{})
		w.want("0 by 0, 2 by 1", "a", "b", "other0")
	}
	// But what was written is.
	m := vfstest.New()
	guardedLog(t, m, 1)
	s := newShelf()
	w := newGuarded(t, m, &names{t: t, shelf: s, due: 100}, AppendOptions{StopAtRefused: true})
	w.want("", "a")
	w.want("0 by 0", "a")
	w.a.Close()
	if s.stores != 1 || s.places[0].mark.Next != 1 {
		t.Errorf("%+v", s.places)
	}
}

// An index that is of more than the log, or of another life of it, is not believed.
func TestPromiseIndexAhead(t *testing.T) {
	m := vfstest.New()
	guardedLog(t, m, 1)
	g := &names{t: t, shelf: newShelf(), due: 2}
	w := newGuarded(t, m, g, AppendOptions{})
	w.want("", "a", "b")
	w.want("", "c", "d")
	w.want("0 by 0", "a", "e")
	old := len(m.Log())
	for i := range 20 {
		w.want("", fmt.Sprint("x", i, noise(20, i)))
	}
	w.a.Close()
	if g.shelf.stores < 4 {
		t.Error(g.shelf.stores)
	}
	c := m.Crash(old, vfstest.KeepAll()) // an old copy of the log, with the new index
	g = &names{t: t, shelf: g.shelf.clone()}
	w = newGuarded(t, c, g, AppendOptions{})
	w.want("0 by 0, 1 by 3, 3 by 5", "a", "d", "x3", "x3")
	w.want("0 by 4, 1 by 5", "e", "x3")
	// And as many others in the place of those that the index knows.
	for i := range 30 {
		w.want("", fmt.Sprint("y", i, noise(20, i)))
	}
	w.a.Close()
	for p, is := range g.shelf.places {
		is.mark.Next = 7
		g.shelf.places[p] = is
	}
	w = newGuarded(t, c, g, AppendOptions{})
	w.want("0 by 0, 2 by 5", "a", "x2", "x3")
	for p, is := range g.shelf.places {
		is.mark.Next, is.taken = 1<<40, map[string]int64{"z": 1}
		g.shelf.places[p] = is
	}
	w = newGuarded(t, c, g, AppendOptions{})
	w.want("0 by 0", "a", "z")
}

// holds knows each end of a unit, and nothing else.
func TestHolds(t *testing.T) {
	m := vfstest.New()
	mustCreate(t, m, "log", Change{})
	h := newHand(t, m.Process())
	var marks []Mark
	note := func() {
		if err := h.p.acquire(); err != nil {
			t.Fatal(err)
		}
		defer h.p.free()
		marks = append(marks, h.p.mark())
	}
	note()
	for i := range 12 {
		h.put(int64(i), noise(150, i))
		note()
		h.ack()
	}
	h.put(12, `"void"`)
	voided := len(marks)
	note()
	failNext(m, vfstest.Sync)
	h.commit()
	other := newHand(t, m.Process())
	other.put(13, `"x"`)
	bases, _ := h.p.l.segments(h.p.dir)
	if len(bases) < 4 {
		t.Fatal(bases)
	}
	for i, mark := range marks {
		p := other.p
		for what, c := range map[string]struct {
			m    Mark
			want bool
		}{
			"itself":          {mark, i != voided},
			"another offset":  {Mark{mark.Next + 1, mark.Segment, mark.CRC}, false},
			"an earlier one":  {Mark{mark.Next - 1, mark.Segment, mark.CRC}, false},
			"another segment": {Mark{mark.Next, mark.Segment + 1, mark.CRC}, false},
			"another unit":    {Mark{mark.Next, mark.Segment, mark.CRC + 1}, false},
			"far away":        {Mark{1 << 50, mark.Segment, mark.CRC}, false},
			"nowhere":         {Mark{-5, mark.Segment, mark.CRC}, false},
		} {
			if got, err := p.holds(c.m); got != c.want || err != nil {
				t.Errorf("mark %d, %s: %v, %v", i, what, got, err)
			}
		}
		if i == 0 || i == voided {
			continue
		}
		if is, ok, err := p.markBehind(mark.Next); !ok || err != nil || is.Next != mark.Next {
			t.Errorf("behind %d: %+v %v", mark.Next, is, err)
		}
	}
}

// Rules are not kept over a hole. Once it is repaired what was in it is free, also
// for those who run; an index of before is gone.
func TestGuardDamage(t *testing.T) {
	m := vfstest.New()
	guardedLog(t, m, 1)
	g := &names{t: t, shelf: newShelf()}
	w := newGuarded(t, m, g, AppendOptions{})
	for i := range 20 {
		w.want("", fmt.Sprint("n", i, "-"), noise(40, i)[1:30])
	}
	bases, _ := w.a.l.segments("log/00000")
	if len(bases) < 3 {
		t.Fatal(bases)
	}
	m.WriteFile("log/guard/00000/1.run", []byte("x"))
	m.WriteFile("log/guard/00000"+tmpMark+"1/1.run", []byte("x"))
	m.WriteFile("log/guard/00001/1.run", []byte("x"))
	name := filepath.Join("log/00000", segmentName(0))
	b, _ := m.ReadFile(name)
	m.Corrupt(name, int64(strings.LastIndex(string(b[:len(b)/2]), "LGF1")+150), 1) // a batch
	var lost Offsets
	w.want("0 by 0", "n0-") // it has learned before
	late := newGuarded(t, m, g, AppendOptions{})
	o := late.add("n0-")
	var damaged *event.DamagedError
	var hint interface{ Hint() string }
	if !errors.As(o.err, &damaged) || !errors.As(o.err, &hint) || hint.Hint() != "logcompact --repair log" {
		t.Fatalf("%+v", o)
	}
	l, err := Open("log", Options{FS: m.Process()})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Repair(context.Background(), 0, RepairOptions{Repaired: func(r Repaired) {
		if len(r.Lost) > 0 {
			lost = r.Lost[0]
		}
	}}); err != nil || lost.Next == 0 {
		t.Fatal(lost, err)
	}
	for _, n := range m.Names() {
		if strings.HasPrefix(n, "log/guard/00000") {
			t.Errorf("%s is left", n)
		}
	}
	if _, err := m.ReadFile("log/guard/00001/1.run"); err != nil {
		t.Error("another partition's index is gone")
	}
	name = fmt.Sprint("n", lost.First/2, "-")
	free := w.add(name)
	if free.err != nil || free.ack.Refused != nil || free.ack.Count != 1 {
		t.Errorf("%s was at %d to %d, which are lost: %+v", name, lost.First, lost.Next, free)
	}
	late = newGuarded(t, m, g, AppendOptions{})
	late.want(fmt.Sprintf("0 by %d", free.ack.Offset), name, "new")
	w.want(fmt.Sprintf("0 by %d", free.ack.Offset+1), "new")
	// A repair that finds nothing changes nothing.
	m.WriteFile("log/guard/00000/1.run", []byte("x"))
	if err := l.Repair(context.Background(), 0, RepairOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := m.ReadFile("log/guard/00000/1.run"); err != nil {
		t.Error("a repair of nothing removed the index")
	}
}
