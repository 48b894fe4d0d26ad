package agg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/spill"
)

// bounded returns a Memory that is closed at the end of the test.
func bounded(tb testing.TB, limit int64) *Memory {
	tb.Helper()
	dir := tb.TempDir()
	m := NewMemory(limit, dir)
	tb.Cleanup(func() {
		if err := m.Close(); err != nil {
			tb.Error(err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			tb.Errorf("left behind: %v, error %v", left, err)
		}
	})
	return m
}

// TestBoundedAgainstNaive is TestAgainstNaive with so little memory that
// everything goes through files.
func TestBoundedAgainstNaive(t *testing.T) {
	rounds := 24
	if testing.Short() {
		rounds = 8
	}
	specs := mustParse(t, everything)
	for round := range rounds {
		r := rand.New(rand.NewPCG(uint64(round), 11))
		limit := int64(1) << (4 * r.IntN(6))
		compareRandom(t, r, specs, round%3, r.IntN(400), Options{Exact: round%4 == 0, Memory: bounded(t, limit)})
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
}

// twins adds the same events to tables without and with bounded memory and
// compares their rows, which must be the same bytes, in several orders.
func twins(t *testing.T, r *rand.Rand, list string, columns, events int, exact bool, limit int64,
	draw func(i int) (keys, args []event.Value)) {
	t.Helper()
	specs := mustParse(t, list)
	m := bounded(t, limit)
	plain := NewTable(specs, columns, Options{Exact: exact})
	tables := make([]*Table, 1+r.IntN(3))
	for i := range tables {
		tables[i] = NewTable(specs, columns, Options{Exact: exact, Memory: m})
	}
	for i := range events {
		keys, args := draw(i)
		for _, table := range []*Table{plain, tables[r.IntN(len(tables))]} {
			if err := table.Add(uint64(i), keys, args); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, o := range tables[1:] {
		if err := tables[0].Merge(o); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		o := Order{Column: r.IntN(columns+1+len(specs)) - 1, Desc: r.IntN(2) == 0}
		top := 0
		if r.IntN(2) == 0 {
			top = 1 + r.IntN(1+r.IntN(1000))
		}
		want, _ := tableRows(t, plain, o, top)
		got, _ := tableRows(t, tables[0], o, top)
		if !slices.Equal(got, want) {
			t.Errorf("limit %d, %d on disk, %s, order %+v, top %d: %d rows, want %d", limit, m.Spilled(), list, o, top, len(got), len(want))
			for i := range min(len(got), len(want)) {
				if got[i] != want[i] {
					t.Fatalf("row %d:\n got %.300s\nwant %.300s", i, got[i], want[i])
				}
			}
		}
	}
	t.Logf("limit %d, %d bytes on disk", limit, m.Spilled())
}

// TestBoundedTwins: many groups, few events each.
func TestBoundedTwins(t *testing.T) {
	lists := []string{"count", "count,sum(.x)", everything, "top(.x;2),p50(.x),collect(.x;3)", "max(.x),first(.x)"}
	for round := range 10 {
		r := rand.New(rand.NewPCG(uint64(round), 21))
		limit := int64(1) << (10 + round)
		columns := 1 + round%2
		list := lists[round%len(lists)]
		args := make([]event.Value, len(mustParse(t, list)))
		twins(t, r, list, columns, 4000, round%3 == 0, limit, func(int) (k, a []event.Value) {
			k = append(k, event.TextValue(fmt.Appendf(nil, "/common/%d%s", r.IntN(1+r.IntN(4000)), strings.Repeat("x", 20*r.IntN(3)))))
			if columns == 2 {
				k = append(k, event.RawValue([]byte(pick(r, numbers, others))))
			}
			x := event.FloatValue(float64(r.IntN(2000)) / 4)
			for i := range args {
				args[i] = x
			}
			return k, args
		})
	}
}

// TestBoundedLargeStates: few groups with so many values that there are
// histograms and sketches, and states that are saved in parts. Values of one group
// come from several runs as values, as sketches, and both.
func TestBoundedLargeStates(t *testing.T) {
	list := "count,sum(.x),stddev(.x),p1(.x),median(.x),p99(.x),distinct(.x),top(.x;5),collect(.x;20000),min(.x),last(.x)"
	args := make([]event.Value, len(mustParse(t, list)))
	for round := range 3 {
		r := rand.New(rand.NewPCG(uint64(round), 31))
		limit := int64(1) << (18 + 2*round)
		twins(t, r, list, 1, 30_000, round%2 == 1, limit, func(i int) (k, a []event.Value) {
			// One group in the first half, then others too, of all sizes.
			g := 0
			if i > 18_000 {
				g = r.IntN(1 + r.IntN(40))
			}
			text := strconv.FormatFloat(float64(r.IntN(60_000)-20_000)/8, 'f', -1, 64)
			switch r.IntN(200) {
			case 0:
				text = "123456789012345678901234567890"
			case 1:
				text = "-4e400"
			}
			x := event.RawValue([]byte(text))
			for i := range args {
				args[i] = x
			}
			return []event.Value{event.IntValue(int64(g))}, args
		})
	}
}

// TestBoundedLongValues: records of many blocks.
func TestBoundedLongValues(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 41))
	args := make([]event.Value, 4)
	twins(t, r, "max(.x),first(.x),collect(.x;3),top(.x;2)", 1, 60, false, 1<<19, func(i int) (k, a []event.Value) {
		x := event.PlainValue(bytes.Repeat([]byte{byte('a' + i%17)}, r.IntN(100_000)))
		for i := range args {
			args[i] = x
		}
		return []event.Value{event.PlainValue(bytes.Repeat([]byte{'k'}, 1+i%70*1000))}, args
	})
}

// TestSaveLoad: what is saved of a group, in bounded parts, and loaded again,
// gives the same result of each aggregate by itself, whatever it kept.
func TestSaveLoad(t *testing.T) {
	var quantiles []string
	for q := 1; q <= 100; q++ {
		quantiles = append(quantiles, fmt.Sprintf("p%d(.x)", q))
	}
	sizes := []int{0, 1, 1001, 30_000}
	if testing.Short() {
		sizes = sizes[:3]
	}
	for _, list := range append(strings.Split(everything, ","), strings.Join(quantiles, ","), "top(.x;100000)", "collect(.x;100000)") {
		list = strings.NewReplacer(".num", ".x", ".any", ".x").Replace(list)
		for _, events := range sizes {
			for _, exact := range []bool{false, true} {
				specs := mustParse(t, list)
				o := Options{Exact: exact}
				table, loaded := NewTable(specs, 1, o), NewTable(specs, 1, o)
				args := make([]event.Value, len(specs))
				r := rand.New(rand.NewPCG(uint64(events), 51))
				for i := range max(events, 1) {
					x := event.FloatValue(float64(r.IntN(1_000_000)-100_000) / 8)
					switch {
					case events == 0:
						x = event.Value{Kind: event.Null}
					case i%1000 == 999:
						x = event.RawValue([]byte(numbers[i/1000%len(numbers)]))
					}
					for j := range args {
						args[j] = x
					}
					if err := table.Add(uint64(i), vals("1"), args); err != nil {
						t.Fatal(err)
					}
				}
				table.Flush()
				table.spilled.at = make([]int, len(table.states))
				for _, st := range table.states {
					st.grow(1)
				}
				records := 0
				err := table.save(0, func(rec []byte) error {
					records++
					if len(rec) > (1+len(table.states))*(partBytes+1000) {
						t.Errorf("%s: a record of %d bytes", list, len(rec))
					}
					return loaded.loadSaved(rec)
				})
				if err != nil {
					t.Fatal(err)
				}
				want, _ := tableRows(t, table, Order{Column: ByGroup}, 0)
				got, _ := tableRows(t, loaded, Order{Column: ByGroup}, 0)
				if !slices.Equal(got, want) {
					t.Errorf("%.60s, %d events, exact %v, in %d records:\n got %.300s\nwant %.300s", list, events, exact, records, got, want)
				}
				large := events == 30_000 && (strings.HasSuffix(list, ";100000)") || exact && strings.HasPrefix(list, "distinct"))
				if large && records < 3 {
					t.Errorf("%s: %d values in %d records", list, events, records)
				}
			}
		}
	}
}

// Events with several results are divided by the table being full like others.
func TestBoundedMulti(t *testing.T) {
	specs := mustParse(t, "collect(.x;100),last(.x),count")
	var rows [2][]string
	for w, o := range []Options{{}, {Memory: bounded(t, 1)}} {
		table := NewTable(specs, 1, o)
		for i := range 200 {
			vs := vals(fmt.Sprint(i), fmt.Sprint(-i))
			// The same event twice in a group: its values have equal seqs.
			for range 2 {
				if err := table.AddMulti(uint64(i), vals(fmt.Sprint(i%3)), [][]event.Value{vs, vs, nil}); err != nil {
					t.Fatal(err)
				}
			}
		}
		rows[w], _ = tableRows(t, table, Order{Column: ByGroup}, 0)
	}
	if !slices.Equal(rows[0], rows[1]) {
		t.Errorf("got %s\nwant %s", rows[1], rows[0])
	}
}

func FuzzBounded(f *testing.F) {
	for i := range 6 {
		f.Add(uint64(i), uint16(80*i), uint32(1)<<(4*i))
	}
	specs, err := Parse(everything)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, seed uint64, n uint16, limit uint32) {
		m := NewMemory(int64(limit), t.TempDir())
		defer m.Close()
		r := rand.New(rand.NewPCG(seed, 3))
		compareRandom(t, r, specs, int(seed%4), int(n%500), Options{Exact: seed%3 == 0, Memory: m})
	})
}

// FuzzDecoder: what was appended is read again; of anything else the decoder
// reads at most what there is, and says so.
func FuzzDecoder(f *testing.F) {
	f.Add([]byte("abc"), uint64(300), int64(-5))
	f.Add([]byte{}, uint64(1<<63), int64(-1<<63))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, uint64(0), int64(0))
	f.Fuzz(func(t *testing.T, b []byte, u uint64, i int64) {
		rec := appendBytes(nil, b)
		rec = binary.AppendUvarint(rec, u)
		rec = binary.AppendVarint(rec, i)
		rec = binary.LittleEndian.AppendUint64(rec, u)
		rec = endList(append(rec, more))
		d := decoder{b: rec}
		if !bytes.Equal(d.bytes(), b) || d.uvarint() != u || d.varint() != i || d.word() != u || !d.list() || d.list() || d.bad || len(d.b) > 0 {
			t.Errorf("not what was appended: %x", rec)
		}
		for n := range rec {
			d := decoder{b: rec[:n]}
			d.bytes()
			d.uvarint()
			d.varint()
			d.word()
			d.list()
			d.list()
			if !d.bad {
				t.Errorf("%d bytes of %d are enough", n, len(rec))
			}
		}
		d = decoder{b: b}
		for steps := 0; !d.bad; steps++ {
			if d.bytes(); steps > len(b) {
				t.Fatalf("reads %x for ever", b)
			}
		}
	})
}

// faulty is a file in memory on which the n-th operation of all fails.
type faulty struct {
	data []byte
	left *int
	op   string
}

func (f *faulty) fails(op string) bool {
	if f.op == op {
		*f.left--
	}
	return f.op == op && *f.left == 0
}

func (f *faulty) Name() string { return "/tmp/faulty" }
func (f *faulty) Close() error { return nil }

func (f *faulty) Write(b []byte) (int, error) {
	switch {
	case f.fails("full"):
		f.data = append(f.data, b[:len(b)/2]...)
		return len(b) / 2, syscall.ENOSPC
	case f.fails("short"):
		return len(b) / 2, nil
	}
	f.data = append(f.data, b...)
	return len(b), nil
}

func (f *faulty) ReadAt(b []byte, off int64) (int, error) {
	if f.fails("read") {
		return 0, syscall.EIO
	}
	n := copy(b, f.data[off:])
	if f.fails("flip") {
		b[n/2] ^= 4
	}
	return n, nil
}

// TestFaults: whichever operation fails, there is an error that names it, or the
// right rows.
func TestFaults(t *testing.T) {
	specs := mustParse(t, "count,sum(.x),top(.x;2)")
	run := func(op string, n int) (rows []string, err error) {
		m := NewMemory(100_000, "")
		m.dir = spill.NewOn(func() (spill.Medium, error) {
			f := &faulty{left: &n, op: op}
			if f.fails("create") {
				return nil, &fs.PathError{Op: "open", Path: "/tmp/faulty", Err: syscall.EACCES}
			}
			return f, nil
		})
		defer m.Close()
		tables := []*Table{NewTable(specs, 1, Options{Memory: m}), NewTable(specs, 1, Options{Memory: m})}
		for i := range 6000 {
			x := event.IntValue(int64(i))
			if err := tables[i%2].Add(uint64(i), []event.Value{event.IntValue(int64(i % 2500))}, []event.Value{x, x, x}); err != nil {
				return nil, err
			}
		}
		if err := tables[0].Merge(tables[1]); err != nil {
			return nil, err
		}
		err = tables[0].Rows(Order{Column: ByGroup}, 0, func(r Row) error {
			rows = append(rows, fmt.Sprintf("%s %s", r.Keys[0].AppendJSON(nil), r.Aggs[1].AppendJSON(nil)))
			return nil
		})
		return rows, err
	}
	want, err := run("", 0)
	if err != nil || len(want) != 2500 {
		t.Fatalf("%d rows, error %v", len(want), err)
	}
	for _, c := range []struct{ op, want string }{
		{"create", "open /tmp/faulty: permission denied"},
		{"full", "write /tmp/faulty: no space left on device"},
		{"short", "write /tmp/faulty: short write"},
		{"read", "read /tmp/faulty: input/output error"},
		{"flip", "/tmp/faulty: the temporary file was damaged at byte"},
	} {
		n := 1
		for ; ; n += 1 + n/8 {
			rows, err := run(c.op, n)
			if err == nil {
				if !slices.Equal(rows, want) {
					t.Errorf("%s %d: other rows without an error", c.op, n)
				}
				break
			}
			if !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%s %d: error %v, want %s", c.op, n, err, c.want)
			}
		}
		if n < 3 {
			t.Errorf("%s: only %d operations", c.op, n)
		}
	}
}

// TestErrorStays: after a failed write the table gives no rows.
func TestErrorStays(t *testing.T) {
	m := NewMemory(1, t.TempDir()+"/nosuch")
	table := NewTable(mustParse(t, "count"), 1, Options{Memory: m})
	var err error
	for i := 0; i < 1000 && err == nil; i++ {
		err = table.Add(uint64(i), []event.Value{event.IntValue(int64(i))}, []event.Value{{}})
	}
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "nosuch") {
		t.Errorf("error %v", err)
	}
	if again := table.Rows(Order{Column: ByGroup}, 0, func(Row) error { t.Error("a row"); return nil }); again != err {
		t.Errorf("Rows: %v", again)
	}
	other := NewTable(mustParse(t, "count"), 1, Options{Memory: m})
	if again := other.Merge(table); again != err {
		t.Errorf("Merge: %v", again)
	}
}

// TestNoGarbageWhenFull: filling a table again after its groups were written
// takes its old memory.
func TestNoGarbageWhenFull(t *testing.T) {
	const limit = 4 << 20
	m := bounded(t, limit)
	specs := mustParse(t, "count,sum(.x),p99(.x),max(.x)")
	table := NewTable(specs, 1, Options{Memory: m})
	var key []byte
	i := 0
	add := func() {
		i++
		key = fmt.Appendf(key[:0], "/some/path/that/is/rather/long/and/does/not/fit/%d", i)
		x := event.IntValue(int64(i))
		if err := table.Add(uint64(i), []event.Value{event.PlainValue(key)}, []event.Value{x, x, x, x}); err != nil {
			t.Fatal(err)
		}
	}
	for len(table.spilled.runs) < 2 {
		add()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	from := i
	for len(table.spilled.runs) < 8 {
		add()
	}
	runtime.ReadMemStats(&after)
	perRun := int64(after.TotalAlloc-before.TotalAlloc) / 6
	perEvent := float64(after.Mallocs-before.Mallocs) / float64(i-from)
	t.Logf("%d groups per run, %d bytes of garbage per run, %.2f allocations per event", (i-from)/6, perRun, perEvent)
	if perRun > limit {
		t.Errorf("%d bytes of garbage per run", perRun)
	}
}

const childEnv = "LOGTOOLS_AGG_CHILD"

// TestBoundedMemory looks at the memory of a process that has many times more
// groups than fit.
func TestBoundedMemory(t *testing.T) {
	groups, limit, most := 500_000, 4<<20, 24<<20
	if os.Getenv("LOGTOOLS_LONG") != "" {
		groups, limit, most = 20_000_000, 64<<20, 110<<20
	}
	if testing.Short() {
		t.Skip("makes many groups")
	}
	for _, top := range []int{10, 0} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestBoundedMemoryChild$", "-test.v", "-test.timeout=20m")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %d", childEnv, groups, limit, top))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		_, report, _ := strings.Cut(string(out), "report: ")
		report, _, _ = strings.Cut(report, "\n")
		t.Log(report)
		var peak int
		if _, err := fmt.Sscanf(report, "peak %d", &peak); err != nil {
			t.Skip("the peak of memory is not known here")
		}
		if peak > most {
			t.Errorf("top %d: %d MiB of memory for a limit of %d MiB", top, peak>>20, limit>>20)
		}
	}
}

func TestBoundedMemoryChild(t *testing.T) {
	var groups, limit, top int
	if _, err := fmt.Sscan(os.Getenv(childEnv), &groups, &limit, &top); err != nil {
		t.Skip("is for TestBoundedMemory")
	}
	m := NewMemory(int64(limit), t.TempDir())
	defer m.Close()
	specs := mustParse(t, "count,sum(.x)")
	tables := []*Table{NewTable(specs, 1, Options{Memory: m}), NewTable(specs, 1, Options{Memory: m})}
	began := time.Now()
	done := make(chan error)
	for w, table := range tables {
		go func() {
			var key, x []byte
			keys, args := make([]event.Value, 1), make([]event.Value, 2)
			add := func(i int) error {
				key = strconv.AppendInt(append(key[:0], "user-"...), int64(i*7%groups), 10)
				x = strconv.AppendInt(x[:0], int64(i), 10)
				keys[0] = event.PlainValue(key)
				args[1] = event.Value{Kind: event.Number, B: x}
				return table.Add(uint64(i), keys, args)
			}
			// Each group is in both tables, from the other half of the input.
			var err error
			for i := w * groups / 2; i < w*groups/2+groups/2 && err == nil; i++ {
				err = add(i)
			}
			for i := w * 1000; i < w*1000+1000 && err == nil; i++ {
				err = add(1000 - i%1000)
			}
			done <- err
		}()
	}
	for range tables {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	filled := time.Since(began)
	if err := tables[0].Merge(tables[1]); err != nil {
		t.Fatal(err)
	}
	o := Order{Column: ByGroup}
	if top > 0 {
		o = Order{Column: 1, Desc: true}
	}
	rows, events := 0, int64(0)
	last := ""
	err := tables[0].Rows(o, top, func(r Row) error {
		n, _ := r.Aggs[0].Int()
		events += n
		rows++
		if key := string(r.Keys[0].B); top > 0 {
			if n != 3 {
				t.Errorf("a count of %d", n)
			}
		} else if key <= last {
			t.Errorf("%q after %q", key, last)
		} else {
			last = key
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if top > 0 && rows != top || top == 0 && (rows != groups || events != int64(groups)+2000) {
		t.Errorf("%d rows with %d events", rows, events)
	}
	status, _ := os.ReadFile("/proc/self/status")
	peak := "?"
	if _, rest, ok := strings.Cut(string(status), "VmHWM:"); ok {
		if kib, err := strconv.Atoi(strings.Fields(rest)[0]); err == nil {
			peak = strconv.Itoa(kib << 10)
		}
	}
	fmt.Printf("report: peak %s bytes, %d rows, filled in %v, done in %v, %d MiB on disk\n",
		peak, rows, filled.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), m.Spilled()>>20)
}
