package guard

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"logtools/pkg/eventlog"
	"logtools/pkg/internal/vfs"
	"logtools/pkg/internal/vfs/vfstest"
)

const tableDir = "log/guard/00000"

func hashOf(n int) hash {
	s := sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(n)))
	return hash(s[:16])
}

// fact is what the event of an offset puts into a table.
type fact struct {
	key   int
	value []byte
}

// factLog is a log of them, one for each offset. sums tells one life of it from
// another.
type factLog struct {
	facts []fact
	sums  []uint32 // of the facts before an offset
}

func (l *factLog) next() int64 { return int64(len(l.facts)) }

func (l *factLog) append(f fact) {
	if len(l.sums) == 0 {
		l.sums = []uint32{1}
	}
	sum := crc32.Update(l.sums[len(l.facts)], crc32.IEEETable, fmt.Appendf(nil, "%d=%q", f.key, f.value))
	l.facts = append(l.facts, f)
	l.sums = append(l.sums[:len(l.facts)], sum)
}

func (l *factLog) mark(next int64) eventlog.Mark {
	return eventlog.Mark{Next: next, Segment: uint64(next) / 1000, CRC: l.sums[next]}
}

func (l *factLog) holds(m eventlog.Mark) (bool, error) {
	return m.Next > 0 && m.Next <= l.next() && m == l.mark(m.Next), nil
}

// at is the newest value of each key before an offset: what a table must say.
func (l *factLog) at(next int64) map[int][]byte {
	m := map[int][]byte{}
	for _, f := range l.facts[:next] {
		m[f.key] = f.value
	}
	return m
}

func (l *factLog) options(f vfs.FS, memory int64) tableOptions {
	return tableOptions{fs: f, dir: tableDir, log: [16]byte{1}, partition: 3, rules: [16]byte{2}, memory: memory, holds: l.holds}
}

// reader is a process that keeps a table of a factLog.
type reader struct {
	log   *factLog
	fs    vfs.FS
	table *table
	known int64
}

func (r *reader) open(memory int64) (err error) {
	if r.table, err = openTable(r.log.options(r.fs, memory)); err == nil {
		r.known = r.table.stored()
	}
	return err
}

// learn puts in what it does not know yet.
func (r *reader) learn() {
	for ; r.known < r.log.next(); r.known++ {
		f := r.log.facts[r.known]
		r.table.put(hashOf(f.key), f.value)
	}
}

func (r *reader) forget() {
	r.table.forget()
	r.known = r.table.stored()
}

func (r *reader) store() error { return r.table.store(r.log.mark(r.known)) }

// settle waits for a merge.
func (r *reader) settle() { r.table.merged(true) }

// check looks up keys, of which those below keys may be there.
func (r *reader) check(keys int) error {
	want := r.log.at(r.known)
	for k := range keys + 5 {
		got, ok, err := r.table.get(hashOf(k), []byte("x"))
		if err != nil {
			return fmt.Errorf("key %d: %w", k, err)
		}
		value, there := want[k]
		if ok != there || string(got) != "x"+string(value) {
			return fmt.Errorf("key %d at %d (%d stored): got %q, %t; want %q, %t", k, r.known, r.table.stored(), got, ok, value, there)
		}
	}
	return nil
}

// newDisk returns a file system with a log's directory.
func newDisk() *vfstest.Mem {
	m := vfstest.New()
	m.WriteFile("log/log.json", nil)
	return m
}

func tableValue(rng *rand.Rand) []byte {
	n := rng.IntN(12)
	if rng.IntN(20) == 0 {
		n = rng.IntN(3000)
	}
	if rng.IntN(3) == 0 { // an offset
		return binary.LittleEndian.AppendUint64(nil, rng.Uint64N(1<<40))
	}
	v := make([]byte, n)
	for i := range v {
		v[i] = byte(rng.Uint32())
	}
	return v
}

// tableHistory does to a log and the tables of some processes what next says, and
// compares them with a map all the time.
func tableHistory(t *testing.T, seed uint64, next func() int, steps int) (harmed, cleared int) {
	const keys = 120
	rng := rand.New(rand.NewPCG(seed, 1))
	m := newDisk()
	log := &factLog{sums: []uint32{1}}
	readers := make([]*reader, 3)
	procs := make([]*vfstest.Proc, len(readers))
	var done []string
	fatal := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatalf("seed %d: %v\nafter %s\n%s", seed, err, strings.Join(done, ", "), strings.Join(m.Names(), "\n"))
		}
	}
	open := func(i int) {
		if procs[i] == nil {
			procs[i] = m.Process()
		}
		readers[i] = &reader{log: log, fs: procs[i]}
		fatal(readers[i].open(int64(64<<10 + rng.IntN(200<<10))))
	}
	// sound clears what is damaged.
	sound := func(r *reader, err error) {
		t.Helper()
		if errors.Is(err, errDamaged) && harmed > 0 {
			cleared++
			err = r.table.clear()
			r.known = 0
		}
		fatal(err)
	}
	for range steps {
		i := next() % len(readers)
		if readers[i] == nil {
			open(i)
		}
		r := readers[i]
		op := next() % 24
		done = append(done, fmt.Sprintf("%d:%d", i, op))
		switch op {
		default: // append
			r.learn()
			for range 1 + next()%40 {
				log.append(fact{rng.IntN(keys), tableValue(rng)})
				if rng.IntN(2) == 0 {
					r.learn()
				}
			}
			r.learn()
		case 1, 2, 3, 4, 5, 6, 7:
			r.learn()
			if sound(r, r.store()); r.known == 0 {
				break
			}
			if r.table.recent.n != 0 || r.table.stored() != r.known {
				t.Fatalf("%d in memory, %d stored of %d", r.table.recent.n, r.table.stored(), r.known)
			}
		case 8:
			r.forget()
		case 9, 10:
			r.settle()
		case 11:
			fatal(r.table.close())
			open(i)
			r = readers[i]
		case 12: // kill
			procs[i].Kill()
			r.settle()
			procs[i] = nil
			open(i)
			r = readers[i]
		case 13, 14:
			known := r.known
			got, err := r.table.refresh(r.known)
			if got {
				r.known = r.table.stored()
			}
			if sound(r, err); err == nil && r.known < known {
				t.Fatal("refresh went back")
			}
		case 15:
			if next()%4 == 0 {
				fatal(r.table.clear())
				r.known = 0
				if r.table.stored() != 0 {
					t.Fatal("cleared, but", r.table.stored())
				}
			}
		case 16: // a copy of the log is put back, everybody begins anew
			if next()%8 == 0 {
				for k := range readers {
					if readers[k] != nil {
						fatal(readers[k].table.close())
						readers[k] = nil
					}
				}
				to := rng.IntN(len(log.facts) + 1)
				log = &factLog{log.facts[:to:to], log.sums[:to+1]}
				open(i)
				r = readers[i]
				if r.known > log.next() {
					t.Fatal("it is ahead of the log")
				}
			}
		case 17: // the index is deleted, or some of it
			names, _ := m.ReadDir(tableDir)
			for _, name := range names {
				if name != mergeLock && (rng.IntN(3) == 0) {
					m.Remove(filepath.Join(tableDir, name))
				}
			}
		case 18: // damage
			names, _ := m.ReadDir(tableDir)
			if len(names) == 0 || next()%4 > 0 {
				break
			}
			name := filepath.Join(tableDir, names[rng.IntN(len(names))])
			if b, err := m.ReadFile(name); err == nil && len(b) > 0 {
				m.Corrupt(name, rng.Int64N(int64(len(b))), uint(rng.IntN(8)))
				harmed++
			}
		}
		if err := r.check(keys); err != nil {
			sound(r, err)
			fatal(r.check(keys))
		}
	}
	for _, r := range readers {
		if r != nil {
			fatal(r.table.close())
		}
	}
	return harmed, cleared
}

func TestTableHistories(t *testing.T) {
	n := uint64(40)
	if testing.Short() {
		n = 10
	}
	harmed, cleared := 0, 0
	for seed := range n {
		rng := rand.New(rand.NewPCG(seed, 2))
		h, c := tableHistory(t, seed, func() int { return rng.IntN(1 << 16) }, 150)
		harmed, cleared = harmed+h, cleared+c
	}
	if harmed == 0 || cleared == 0 {
		t.Error(harmed, "times damaged,", cleared, "times cleared")
	}
}

func FuzzTable(f *testing.F) {
	f.Add(uint64(1), []byte("0123456789abcdef"))
	f.Fuzz(func(t *testing.T, seed uint64, ops []byte) {
		if len(ops) > 600 {
			return
		}
		tableHistory(t, seed, func() int {
			if len(ops) == 0 {
				return 0
			}
			c := ops[0]
			ops = ops[1:]
			return int(c)
		}, len(ops)/2+1)
	})
}

// TestRecent compares the memory part with a map, also for hashes that are not
// spread at all.
func TestRecent(t *testing.T) {
	for name, halves := range map[string]func(*rand.Rand) (hi, lo uint64){
		"even":     func(r *rand.Rand) (uint64, uint64) { return hash2(r.IntN(5000)) },
		"one":      func(r *rand.Rand) (uint64, uint64) { return 7, uint64(r.IntN(500)) },
		"top":      func(r *rand.Rand) (uint64, uint64) { return 1<<64 - 1 - uint64(r.IntN(800)), 0 },
		"few":      func(r *rand.Rand) (uint64, uint64) { return uint64(r.IntN(3)) << 62, uint64(r.IntN(400)) },
		"both end": func(r *rand.Rand) (uint64, uint64) { return -uint64(r.IntN(2)), uint64(r.IntN(900)) },
	} {
		rng := rand.New(rand.NewPCG(1, 1))
		m := newRecent(60 << 10)
		for range 4 {
			want := map[[2]uint64][]byte{}
			for range 6000 {
				hi, lo := halves(rng)
				got, ok := m.get(hi, lo, nil)
				if v, there := want[[2]uint64{hi, lo}]; ok != there || !bytes.Equal(got, v) {
					t.Fatalf("%s: %x %x: %x, %t; want %x, %t", name, hi, lo, got, ok, v, there)
				}
				if rng.IntN(3) > 0 {
					v := tableValue(rng)
					if rng.IntN(1000) == 0 {
						v = make([]byte, 100_000)
					}
					m.put(hi, lo, v)
					want[[2]uint64{hi, lo}] = v
				}
			}
			var last [2]uint64
			n := 0
			err := m.each(func(hi, lo uint64, v []byte) error {
				if n > 0 && (hi < last[0] || hi == last[0] && lo <= last[1]) {
					return errors.New("not sorted")
				}
				last = [2]uint64{hi, lo}
				if w, ok := want[last]; !ok || !bytes.Equal(v, w) {
					return fmt.Errorf("%x: %x, want %x", last, v, w)
				}
				n++
				return nil
			})
			if err != nil || n != len(want) || m.n != n {
				t.Fatalf("%s: %v; %d of %d", name, err, n, len(want))
			}
			if m.reset(); m.n != 0 || int64(m.home*slotLen) > m.room {
				t.Fatalf("%s: %d left, %d places", name, m.n, m.home)
			}
		}
	}
}

func hash2(n int) (hi, lo uint64) {
	h := hashOf(n)
	return h.halves()
}

// TestMemory: full comes in time, whatever the values are.
func TestMemory(t *testing.T) {
	for _, size := range []int{0, 7, 8, 9, 40, 1000, 60_000} {
		for _, memory := range []int64{1 << 20, 16 << 20} {
			tab, err := openTable((&factLog{}).options(newDisk(), memory))
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for ; !tab.full(); n++ {
				tab.put(hashOf(n), bytes.Repeat([]byte{1}, size))
			}
			m := &tab.recent
			have := int64(len(m.slots)*slotLen) + int64(len(m.chunks)*m.chunk)
			if have > memory/3*11/10+(1<<16) {
				t.Errorf("values of %d bytes, %d memory: %d taken", size, memory, have)
			}
			if used := int64(n) * int64(slotLen+size); used < memory/3/2 {
				t.Errorf("values of %d bytes, %d memory: full after %d (%d bytes)", size, memory, n, used)
			}
		}
	}
}

func TestChain(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		var spans []span
		for range rng.IntN(9) {
			from := rng.Int64N(10)
			spans = append(spans, span{from: from, to: from + 1 + rng.Int64N(6)})
		}
		// Naive: what can be reached at all, and with how many at least.
		best := map[int64]int{0: 0}
		for range spans {
			for _, s := range spans {
				for at, n := range best {
					if s.from <= at && s.to > at {
						if old, ok := best[s.to]; !ok || n+1 < old {
							best[s.to] = n + 1
						}
					}
				}
			}
		}
		var reach int64
		for at := range best {
			reach = max(reach, at)
		}
		var at int64
		use := chain(spans)
		for _, i := range use {
			if spans[i].from > at || spans[i].to <= at {
				t.Fatal("a gap", spans, use)
			}
			at = spans[i].to
		}
		if at != reach || len(use) != best[reach] {
			t.Fatalf("%v: %v goes to %d, want %d with %d", spans, use, at, reach, best[reach])
		}
	}
}

func TestWindow(t *testing.T) {
	for _, c := range []struct {
		sizes []int64
		from  int
	}{
		{[]int64{1, 1}, 0},
		{[]int64{9, 1}, 0},
		{[]int64{1, 1, 1, 1, 1}, 0},
		{[]int64{100, 1, 1, 1, 1}, 1},
		{[]int64{100, 1, 1, 1, 97}, 0},
		{[]int64{81, 27, 9, 3, 1}, 3},
		{[]int64{1, 200, 100}, 0},
	} {
		if from := window(c.sizes); from != c.from {
			t.Errorf("%v: from %d, want %d", c.sizes, from, c.from)
		}
	}
	// However many runs come, few are left, and each byte is written a few times.
	for _, step := range []func(i int) int64{
		func(int) int64 { return 1 },
		func(i int) int64 { return 1 + int64(i%10)*int64(i%10) },
		func(i int) int64 { return 1 + int64(1000*(i%50/49)) },
	} {
		var sizes []int64
		var put, written int64
		for i := range 3000 {
			sizes = append(sizes, step(i))
			put += step(i)
			if len(sizes) > maxRuns {
				from := window(sizes)
				var n int64
				for _, s := range sizes[from:] {
					n += s
				}
				written += n
				sizes = append(sizes[:from], n)
			}
		}
		if len(sizes) > maxRuns || written > 8*put {
			t.Errorf("%d runs, %d put in, %d written", len(sizes), put, written)
		}
	}
}

func TestRunNames(t *testing.T) {
	if from, to, ok := parseRunName(runName(3, 1<<62)); from != 3 || to != 1<<62 || !ok {
		t.Error(from, to, ok)
	}
	for _, name := range []string{"", ".run", runName(3, 3), runName(5, 4), runName(1, 2) + "x", "x" + runName(1, 2)[1:],
		strings.Replace(runName(1, 2), "-", "_", 1), "+" + runName(1, 2)[1:], runName(1, 2)[:41] + ".tmp"} {
		if _, _, ok := parseRunName(name); ok {
			t.Errorf("%q is taken for a run", name)
		}
	}
}

// TestBeyondMemory: with many more keys than memory has room for, runs have no
// filter, or one that is not loaded, and nothing else changes.
func TestBeyondMemory(t *testing.T) {
	const keys = 30_000
	key := func(n int) (hash, []byte) { return mixed(uint64(n)), []byte{byte(n), byte(n >> 8), 1} }
	for _, memory := range []int64{minMemory, 1 << 20} {
		log := &factLog{sums: []uint32{1}}
		r := &reader{log: log, fs: newDisk()}
		look := func() {
			t.Helper()
			for n := 0; n < keys+2000; n += 5 {
				h, want := key(n)
				got, ok, err := r.table.get(h, nil)
				if err != nil || ok != (n < keys) || ok && !bytes.Equal(got, want) {
					t.Fatalf("%d: %x, %t, %v", n, got, ok, err)
				}
				if r.table.cached > r.table.share() {
					t.Fatal(r.table.cached, "bytes are loaded")
				}
			}
		}
		if err := r.open(memory); err != nil {
			t.Fatal(err)
		}
		unfiltered, declined := false, false
		for n := range keys {
			log.append(fact{})
			if r.table.put(key(n)); !r.table.full() && n < keys-1 {
				continue
			}
			if err := r.table.store(log.mark(log.next())); err != nil {
				t.Fatal(err)
			}
			r.settle()
			for _, x := range r.table.runs {
				unfiltered = unfiltered || x.filter == 0
			}
		}
		look()
		if err := r.table.close(); err != nil {
			t.Fatal(err)
		}
		if err := r.open(minMemory); err != nil || r.known != keys {
			t.Fatal(err, r.known)
		}
		look()
		for _, x := range r.table.runs {
			declined = declined || x.declined
		}
		if small := memory == minMemory; unfiltered != small || !declined {
			t.Errorf("memory %d: without filter %t, not loaded %t", memory, unfiltered, declined)
		}
		r.table.close()
	}
}
