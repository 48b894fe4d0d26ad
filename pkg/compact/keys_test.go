package compact

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"logtools/pkg/spill"
)

// told is an event as survivors are told of it.
type told struct {
	key                          int // less than 0: none
	tombstone, expired, flushing bool
}

// answer is what survivors say in the end.
type answer struct {
	stays            []bool
	keys, tombstones int64
}

// naive says what survivors must say, from all events at once.
func naive(history []told, keep int) (a answer) {
	a.stays = make([]bool, len(history))
	of := make(map[int][]int)
	for n, e := range history {
		if e.key < 0 {
			a.stays[n] = true
		} else {
			of[e.key] = append(of[e.key], n)
		}
	}
	for _, ns := range of {
		newest := 0
		for i, n := range ns {
			if history[n].tombstone {
				newest = i
			}
		}
		has := false
		for i, n := range ns {
			a.stays[n] = i >= newest && len(ns)-i <= keep && !(history[n].tombstone && history[n].expired)
			has = has || a.stays[n]
			if history[n].tombstone && !a.stays[n] {
				a.tombstones++
			}
		}
		if has {
			a.keys++
		}
	}
	return a
}

// mixed returns random-looking hashes, as those of keys are.
func mixed(key int) hash {
	var h [2]uint64
	a := uint64(key)*0x9e3779b97f4a7c15 + 1
	for i := range h {
		a ^= a >> 30
		a *= 0xbf58476d1ce4e5b9
		a ^= a >> 27
		a *= 0x94d049bb133111eb
		a ^= a >> 31
		h[i] = a
		a += uint64(key)
	}
	return hash{h[0], h[1]}
}

// tempFiles returns a Dir that must be left empty by close.
func tempFiles(tb testing.TB) *spill.Dir {
	d := spill.New(tb.TempDir())
	tb.Cleanup(func() {
		if err := d.Close(); err != nil {
			tb.Error(err)
		}
	})
	return d
}

func mustSurvivors(tb testing.TB, d *spill.Dir, keep int, memory int64) *survivors {
	tb.Helper()
	s, err := newSurvivors(d, keep, memory)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// tell adds a history and finishes.
func tell(s *survivors, history []told, hashOf func(int) hash) (*alive, error) {
	if err := tellAll(s, history, hashOf); err != nil {
		return nil, err
	}
	return s.finish()
}

func tellAll(s *survivors, history []told, hashOf func(int) hash) error {
	for _, e := range history {
		var err error
		if e.key < 0 {
			err = s.addNoKey()
		} else {
			err = s.add(hashOf(e.key), e.tombstone, e.expired)
		}
		if err != nil {
			return err
		}
		if t := &s.table; t.bytes() > t.room {
			return fmt.Errorf("the table takes %d bytes, of %d", t.bytes(), t.room)
		}
		if e.flushing {
			s.settlePending()
			s.flush()
		}
	}
	return nil
}

// compare says where what was found differs from what is right.
func (a answer) compare(got *alive) error {
	var all int64
	for n, want := range a.stays {
		if got.stays(int64(n)) != want {
			return fmt.Errorf("event %d of %d stays: %t, want %t", n, len(a.stays), !want, want)
		}
		if want {
			all++
		}
	}
	if got.events != int64(len(a.stays)) || got.keys != a.keys || got.tombstones != a.tombstones {
		return fmt.Errorf("%d events, %d keys, %d tombstones; want %d, %d, %d",
			got.events, got.keys, got.tombstones, len(a.stays), a.keys, a.tombstones)
	}
	if n := got.count(0, got.events); n != all {
		return fmt.Errorf("%d events stay, want %d", n, all)
	}
	return nil
}

func compare(got *alive, history []told, keep int) error { return naive(history, keep).compare(got) }

// TestSmallHistories has all histories of 6 events of 2 keys, each with keys of its
// own, all at once: first the first event of each of them, then the second.
func TestSmallHistories(t *testing.T) {
	const length = 6
	kinds := []told{{key: -1}, {key: 0}, {key: 0, tombstone: true}, {key: 0, tombstone: true, expired: true},
		{key: 1}, {key: 1, tombstone: true}, {key: 1, tombstone: true, expired: true}}
	histories := int(math.Pow(float64(len(kinds)), length))
	var all []told
	for i, part := 0, 1; i < length; i, part = i+1, part*len(kinds) {
		for h := range histories {
			e := kinds[h/part%len(kinds)]
			if e.key >= 0 {
				e.key += 2 * h
			}
			all = append(all, e)
		}
	}
	for keep := 1; keep <= 3; keep++ {
		right := naive(all, keep)
		for _, memory := range []int64{0, 64 << 20} {
			d := tempFiles(t)
			s := mustSurvivors(t, d, keep, memory)
			a, err := tell(s, all, mixed)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.close(); err != nil {
				t.Fatal(err)
			}
			if err := right.compare(a); err != nil {
				t.Errorf("keep %d, memory %d: %v", keep, memory, err)
			}
			if wrote := d.Written() > 0; wrote != (memory == 0) {
				t.Errorf("keep %d, memory %d: wrote %d bytes", keep, memory, d.Written())
			}
		}
	}
}

// randomHistory has a few keys or many, often or seldom.
func randomHistory(r *rand.Rand, events int) []told {
	keys, tombstones, flushes := 1+r.IntN(1+r.IntN(events)), r.IntN(10), r.IntN(3)*r.IntN(60)
	h := make([]told, events)
	for i := range h {
		e := &h[i]
		e.key = r.IntN(1+r.IntN(keys)) - r.IntN(10)/9
		e.tombstone = r.IntN(10) < tombstones && r.IntN(3) == 0
		e.expired = r.IntN(2) == 0 // also of what is no tombstone
		e.flushing = r.IntN(1000) < flushes
	}
	return h
}

// cramped is survivors with next to no memory.
func cramped(tb testing.TB, d *spill.Dir, keep, usual int, room int64) *survivors {
	s := mustSurvivors(tb, d, keep, 0)
	s.table.room, s.table.rings.usual = room, usual
	return s
}

func TestRandomHistories(t *testing.T) {
	var merged, never int
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(6, seed))
		history := randomHistory(r, 1+r.IntN(1+r.IntN(12_000)))
		keep := 1 + r.IntN(1+r.IntN(40))
		if r.IntN(5) == 0 {
			keep = math.MaxInt - r.IntN(2)
		}
		s := cramped(t, tempFiles(t), keep, 64<<r.IntN(4), int64(17<<10+r.IntN(80<<10)))
		a, err := tell(s, history, mixed)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case len(s.files) > 1:
			merged++
		case s.files == nil:
			never++
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		if err := compare(a, history, keep); err != nil {
			t.Fatalf("seed %d, keep %d: %v", seed, keep, err)
		}
	}
	if merged < 20 || never < 10 {
		t.Errorf("runs were merged to fewer in %d cases, there were none in %d", merged, never)
	}
}

func FuzzSurvivors(f *testing.F) {
	f.Add(uint8(2), []byte("\x00\x11\x22\x30\x91\xf0"))
	f.Add(uint8(1), []byte("0123456789abcdefgh\x10\x10"))
	f.Fuzz(func(t *testing.T, keep uint8, in []byte) {
		history := make([]told, 0, len(in))
		for _, c := range in {
			history = append(history, told{int(c&7) - 1, c&0x18 == 8, c&0x20 != 0, c&0xc0 == 0})
		}
		d := spill.NewOn(func() (spill.Medium, error) { return &inMemory{}, nil })
		s := cramped(t, d, int(keep), 64, 13<<10)
		a, err := tell(s, history, mixed)
		if err != nil {
			t.Fatal(err)
		}
		if err := compare(a, history, max(int(keep), 1)); err != nil {
			t.Fatal(err)
		}
	})
}

// TestEvilHashes: hashes of which some half is always the same, or nearly, make it slow
// at worst.
func TestEvilHashes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	history := make([]told, 60_000)
	for i := range history {
		history[i] = told{key: r.IntN(30_000), tombstone: r.IntN(20) == 0, expired: r.IntN(2) == 0}
	}
	for name, of := range map[string]func(int) hash{
		"hi":        func(k int) hash { return hash{7, mixed(k).lo} },
		"hi is 0":   func(k int) hash { return hash{0, uint64(k)} },
		"hi is max": func(k int) hash { return hash{math.MaxUint64, math.MaxUint64 - uint64(k)} },
		"lo":        func(k int) hash { return hash{mixed(k).hi, 7} },
		"high bits": func(k int) hash { return hash{mixed(k).hi >> 40, mixed(k).lo} },
		"low bits":  func(k int) hash { return hash{mixed(k).hi << 55, uint64(k)} },
	} {
		for _, keep := range []int{1, 2} {
			s := mustSurvivors(t, tempFiles(t), keep, 0)
			began := time.Now()
			a, err := tell(s, history, of)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s: %v, %d runs", name, time.Since(began).Round(time.Millisecond), len(s.runs))
			if err := s.close(); err != nil {
				t.Fatal(err)
			}
			if err := compare(a, history, keep); err != nil {
				t.Errorf("%s, keep %d: %v", name, keep, err)
			}
		}
	}
}

// TestLargeRing: a key of which more is kept than fits into memory.
func TestLargeRing(t *testing.T) {
	history := make([]told, 700_000)
	for i := range history {
		history[i].key = i % 7 / 6 * (1 + i%5)
		history[i].tombstone = i == 50_000
	}
	for _, keep := range []int{100_000, 1_000_000} {
		d := tempFiles(t)
		s := mustSurvivors(t, d, keep, 0)
		if err := tellAll(s, history, mixed); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		a, err := s.finish()
		if err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if err := compare(a, history, keep); err != nil {
			t.Errorf("keep %d: %v", keep, err)
		}
		// What a merge takes grows step by step, and garbage is left of each step; there
		// are three merges.
		n := int(after.TotalAlloc - before.TotalAlloc)
		if most := 4<<20 + 3*6*8*min(keep, len(history)); n > most {
			t.Errorf("keep %d: %d bytes allocated, more than %d", keep, n, most)
		}
		// What was dropped in memory is not written, all else twice: 20 runs are merged
		// to two first.
		if w := d.Written(); w == 0 || w > 2*8*int64(len(history))+64<<10 {
			t.Errorf("keep %d: wrote %d bytes", keep, w)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNothing(t *testing.T) {
	s := mustSurvivors(t, tempFiles(t), 1, 1<<20)
	a, err := s.finish()
	if err != nil || a.events != 0 || a.keys != 0 || a.count(0, 0) != 0 || a.count(-5, 5) != 0 {
		t.Errorf("got %+v, error %v", a, err)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
	if err := s.add(hash{}, false, false); err == nil {
		t.Error("added after close")
	}
	if _, err := s.finish(); err == nil {
		t.Error("finished after close")
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

// TestCount compares counts of any range with looking at each event.
func TestCount(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	s := mustSurvivors(t, tempFiles(t), 1, 1<<20)
	n := int64(chunkEvents + 1000)
	for range n {
		if err := s.add(mixed(r.IntN(1000)*r.IntN(200)), false, false); err != nil {
			t.Fatal(err)
		}
	}
	a, err := s.finish()
	if err != nil {
		t.Fatal(err)
	}
	before := make([]int64, n+1)
	for i := range n {
		before[i+1] = before[i]
		if a.stays(i) {
			before[i+1]++
		}
	}
	check := func(from, to int64) {
		if got, want := a.count(from, to), before[max(from, to)]-before[from]; got != want {
			t.Fatalf("%d to %d: %d, want %d", from, to, got, want)
		}
	}
	for from := range int64(130) {
		for to := range int64(200) {
			check(from, to)
			check(chunkEvents-130+from, chunkEvents-130+to)
		}
	}
	for range 300 {
		check(r.Int64N(n+1), r.Int64N(n+1))
	}
	check(0, n)
}

// TestTooManyEvents: a bit for each is too much.
func TestTooManyEvents(t *testing.T) {
	for _, keyed := range []bool{false, true} {
		s := mustSurvivors(t, tempFiles(t), 1, 0)
		var err error
		n := 0
		for ; err == nil; n++ {
			if keyed {
				err = s.add(mixed(n/2), false, false)
			} else {
				err = s.addNoKey()
			}
		}
		var e *memoryError
		if !errors.As(err, &e) || e.Hint() != "allow it: --memory 5MiB, or more" {
			t.Errorf("got %v", err)
		}
		if most := minMemory * 3 / 4 * 8; n != most+1 {
			t.Errorf("the first error is that of event %d, not %d", n, most+1)
		}
		if err := s.addNoKey(); !errors.As(err, &e) {
			t.Errorf("then %v", err)
		}
		if _, err := s.finish(); !errors.As(err, &e) {
			t.Errorf("in the end %v", err)
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}
	if err := checkMemory(20_000_000, 4<<20); err != nil {
		t.Error(err)
	}
	if err := checkMemory(20_000_000, 2<<20); err == nil || !strings.Contains(err.Error(), "20000000 events takes at least 13 MiB") {
		t.Error(err)
	}
	for _, keys := range []int64{1 << 20, 3 << 20, 40 << 20, 1 << 30} { // who gives what is asked for has it
		if have := keyMemory(total(keys)); have < keys || have > keys+keys/8+1<<20 {
			t.Errorf("of %d bytes of memory %d are for keys, asked for were %d", total(keys), have, keys)
		}
	}
	if err := checkMemory(0, 0); err != nil {
		t.Error(err)
	}
}

// inMemory is a Medium that fails in the operation in which left gets to 0, if it is
// not nil, and from then on. Each read calls look.
type inMemory struct {
	b    []byte
	left *int
	look func()
}

func (m *inMemory) fails() bool {
	if m.left == nil {
		return false
	}
	*m.left--
	return *m.left < 0
}

func (m *inMemory) Write(b []byte) (int, error) {
	if m.fails() {
		m.b = append(m.b, b[:len(b)/2]...)
		return len(b) / 2, syscall.ENOSPC
	}
	m.b = append(m.b, b...)
	return len(b), nil
}

func (m *inMemory) ReadAt(b []byte, off int64) (int, error) {
	if m.look != nil {
		m.look()
	}
	if m.fails() {
		return 0, syscall.EIO
	}
	n := copy(b, m.b[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (m *inMemory) Name() string { return "memory" }
func (m *inMemory) Close() error { m.b = nil; return nil }

// TestFailingFiles fails in each operation in turn, until none does.
func TestFailingFiles(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	history := make([]told, 14_000)
	for i := range history {
		history[i] = told{r.IntN(5000), r.IntN(9) == 0, r.IntN(2) == 0, i < 8000 && i%200 == 199}
	}
	for _, keep := range []int{1, 3} {
		seen := make(map[error]bool)
		for n := 0; ; n++ {
			left := n
			open := 0
			d := spill.NewOn(func() (spill.Medium, error) {
				if left--; left < 0 {
					return nil, syscall.EMFILE
				}
				open++
				return &counted{inMemory{left: &left}, &open}, nil
			})
			s := mustSurvivors(t, d, keep, 0)
			a, err := tell(s, history, mixed)
			if err := s.close(); err != nil {
				t.Fatal(err)
			}
			if err == nil {
				if err := compare(a, history, keep); err != nil {
					t.Fatalf("operation %d: %v", n, err)
				}
				if left < 0 {
					t.Fatalf("nobody sees that operation %d failed", n)
				}
				if n < 70 {
					t.Errorf("only %d operations", n)
				}
				break
			}
			i := slices.IndexFunc([]error{syscall.ENOSPC, syscall.EIO, syscall.EMFILE}, func(e error) bool { return errors.Is(err, e) })
			if i < 0 || a != nil {
				t.Fatalf("operation %d: %v", n, err)
			}
			seen[[]error{syscall.ENOSPC, syscall.EIO, syscall.EMFILE}[i]] = true
			if err := d.Close(); err != nil || open != 0 {
				t.Fatalf("operation %d: %d files are left, error %v", n, open, err)
			}
		}
		if len(seen) != 3 {
			t.Errorf("keep %d: saw only %v", keep, seen)
		}
	}
}

// counted counts those that are not closed.
type counted struct {
	inMemory
	open *int
}

func (m *counted) Close() error { *m.open--; return m.inMemory.Close() }
