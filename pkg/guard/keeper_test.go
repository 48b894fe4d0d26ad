package guard

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"logtools/pkg/eventlog"
	"logtools/pkg/internal/vfs/vfstest"
	"logtools/pkg/stream"
)

func pick[T any](r *rand.Rand, xs ...T) T { return xs[r.IntN(len(xs))] }

// anyLine makes an event for the rules in testRules.
func anyLine(r *rand.Rand) string {
	if r.IntN(20) == 0 {
		return pick(r, "null", "12", `"text"`, "[1,2]", "true", `{"value":null}`, `{"key":"a","value":5}`, `{"key":1,"value":"x"}`)
	}
	var ms []string
	add := func(name, value string) {
		if value != "" {
			ms = append(ms, quoted(name)+":"+value)
		}
	}
	add("u", pick(r, "", "", "null", `"ann"`, `"bob"`, `"\u0061nn"`, "1", "1.0", "1e0", `"1"`, "false", `{"x":1,"y":2}`, `{"y":2,"x":1.0}`, "[1]", "[1.0]", fmt.Sprint(r.IntN(40))))
	add("n", pick(r, "", "1", "-1", "2", "-3", "0.5", "1.0", `"x"`, fmt.Sprint(r.IntN(9)-4)))
	add("op", pick(r, "", `"set"`, `"cas"`))
	add("old", pick(r, "", "1", "2", "null"))
	add("v", pick(r, "", "1", "2", `{"b":1,"a":[2,3]}`))
	value := "{" + strings.Join(ms, ",") + "}"
	key := pick(r, "", `"a"`, `"b"`, `"1"`, "1", "1.0", "10e-1", "[1]", `{"p":1,"q":2}`, `{"q":2,"p":1}`, `"é"`, `"\u00e9"`)
	if key == "" {
		return value
	}
	if r.IntN(10) == 0 {
		value = "null"
	}
	head := pick(r, "", "", `"time":"2026-01-02T03:04:05Z",`)
	return "{" + head + `"key":` + key + pick(r, "", "", `,"headers":{"h":"1"}`) + `,"value":` + value + "}"
}

var testRules = []eventlog.Rules{
	{Unique: ".u"},
	{Unique: "$key"},
	{Unique: "[.u, .n]"},
	{Unique: "$headers.h // .u"},
	{Unique: ".u, .n"},
	{Unique: "if .n == 1 then empty else .u end"},
	{Fold: ". + $e.n", Init: "0", Check: ". >= 0"},
	{Fold: ". + $e.n", Init: "5", Check: ". >= 0 and . < 9"},
	{Unique: ".u", Fold: ". + $e.n", Init: "0", Check: ". >= 0"},
	{Fold: "{n: (.n + 1), last: $e.n}", Init: `{"n":0}`, Check: ".n < 7"},
	{Fold: ". + [$e.n]", Init: "[]", Check: "length < 6"},
	{Unique: "{u, n}", Fold: `if $e.op == "set" then $e.v elif $e.op == "cas" and . == $e.old then $e.v else error("no") end`, Init: "null", Check: ". != 2"},
	{Fold: "[$key, $e]", Init: "1", Check: ".[1].n != 0 and .[0] != 1"},
	{Fold: ".[$e.op] += 1 | del(.null)", Init: "{}", Check: "add < 5 // true"},
	{Fold: "$e.v // empty", Init: "1", Check: "$key != 1"},
}

// TestAgainstModel has several keepers, as several processes have them, append to one
// log; between that they forget, store, are opened anew, and find damage.
func TestAgainstModel(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 10
	}
	refusals, accepted, agains := 0, 0, 0
	for i, rules := range testRules {
		for seed := range rounds {
			r := rand.New(rand.NewPCG(uint64(seed), uint64(i)))
			g, err := newGuard(&rules, 1, Options{})
			if err != nil {
				t.Fatal(err)
			}
			h := &history{t: t, r: r, g: g, model: newModel(t, &rules)}
			disk := new(mapDisk)
			h.open = func() *keeper { return newKeeper(g, openMapTable(disk, 1+r.IntN(20))) }
			h.harm = func(k *keeper) { k.table.(*mapTable).damageIn = 1 + r.IntN(40) }
			h.run(30)
			if t.Failed() {
				t.Fatalf("rules %+v, seed %d", rules, seed)
			}
			refusals += h.refusals
			agains += h.agains
			accepted += len(h.log.lines)
		}
	}
	t.Logf("%d stored, %d refused, learned anew %d times", accepted, refusals, agains)
	if refusals < accepted/10 || agains == 0 {
		t.Error("hardly tested")
	}
}

// TestFiles is the same with tables on a file system, which loses files and bits; and
// the log is put back to what it was.
func TestFiles(t *testing.T) {
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	agains, lives := 0, 0
	for i, rules := range testRules {
		for seed := range rounds {
			r := rand.New(rand.NewPCG(uint64(seed), uint64(100+i)))
			g, err := newGuard(&rules, 1, Options{})
			if err != nil {
				t.Fatal(err)
			}
			mem := vfstest.New()
			if err := mem.Mkdir("log"); err != nil {
				t.Fatal(err)
			}
			g.fs, g.dir = mem, "log/guard"
			h := &history{t: t, r: r, g: g, model: newModel(t, &rules), marks: map[int64]eventlog.Mark{}}
			h.open = func() *keeper {
				k, err := g.Keeper(0, func(m eventlog.Mark) (bool, error) { return h.marks[m.Next] == m, nil })
				if err != nil {
					t.Fatal(err)
				}
				return k.(*keeper)
			}
			h.harm = func(*keeper) { harmFiles(r, mem) }
			for range 4 {
				h.run(15)
				if t.Failed() {
					t.Fatalf("rules %+v, seed %d", rules, seed)
				}
				h.putBack(&rules)
				lives++
			}
			agains += h.agains
		}
	}
	t.Logf("learned anew %d times, %d logs were put back", agains, lives)
	if agains == 0 {
		t.Error("hardly tested")
	}
}

// harmFiles removes a file of a table, or flips some of its bits.
func harmFiles(r *rand.Rand, mem *vfstest.Mem) {
	var runs []string
	for _, name := range mem.Names() {
		if strings.HasSuffix(name, runSuffix) {
			runs = append(runs, name)
		}
	}
	if len(runs) == 0 {
		return
	}
	// It may be gone: runs are merged meanwhile.
	defer func() { _ = recover() }()
	name := runs[r.IntN(len(runs))]
	if r.IntN(4) == 0 {
		_ = mem.Remove(name)
		return
	}
	b, err := mem.ReadFile(name)
	if err != nil {
		return
	}
	for range 1 + r.IntN(200) {
		mem.Corrupt(name, int64(r.IntN(len(b))), uint(r.IntN(8)))
	}
}

// history is one log and those who append to it.
type history struct {
	t       *testing.T
	r       *rand.Rand
	g       *Guard
	model   *model
	log     logOf
	marks   map[int64]eventlog.Mark // where units end; nil: not looked at
	keepers [3]*keeper
	open    func() *keeper
	harm    func(*keeper)

	refusals, agains int
}

// run appends batches, at first some lines from before there were rules.
func (h *history) run(batches int) {
	before := h.r.IntN(12)
	if len(h.log.lines) > 0 {
		before = 0
	}
	for range before {
		line := anyLine(h.r)
		h.model.try(line, h.log.next, true)
		h.log.append(line)
	}
	for range batches {
		if h.batch(); h.t.Failed() {
			return
		}
	}
}

// putBack makes the log what it was at some time.
func (h *history) putBack(rules *eventlog.Rules) {
	for i, k := range h.keepers {
		if k != nil {
			if err := k.Close(); err != nil && !errors.Is(err, errDamaged) {
				h.t.Error(err)
			}
			h.keepers[i] = nil
		}
	}
	n := h.r.IntN(len(h.log.lines))
	h.log.next = h.log.offsets[n]
	h.log.lines, h.log.offsets = h.log.lines[:n], h.log.offsets[:n]
	for next := range h.marks {
		if next > h.log.next {
			delete(h.marks, next)
		}
	}
	h.model = newModel(h.t, rules)
	for i, line := range h.log.lines {
		h.model.try(line, h.log.offsets[i], true)
	}
}

// mark returns the end of the log.
func (h *history) mark() eventlog.Mark {
	m, ok := h.marks[h.log.next]
	if !ok {
		m = eventlog.Mark{Next: h.log.next, Segment: 1, CRC: h.r.Uint32()}
		if h.marks != nil {
			h.marks[h.log.next] = m
		}
	}
	return m
}

// batch appends a batch through some keeper.
func (h *history) batch() {
	t, r := h.t, h.r
	if r.IntN(8) == 0 {
		h.log.next += int64(1 + r.IntN(3)) // a gap
	}
	var lines []string
	for range 1 + r.IntN(6) {
		lines = append(lines, anyLine(r))
	}
	b := batchOf(lines)
	n := r.IntN(len(h.keepers))
	if h.keepers[n] == nil || r.IntN(10) == 0 {
		if k := h.keepers[n]; k != nil {
			if err := k.Close(); err != nil && !errors.Is(err, errDamaged) {
				t.Error(err)
			}
		}
		h.keepers[n] = h.open()
	}
	k := h.keepers[n]
	k.many = pick(r, 1, manyBytes)
	if r.IntN(10) == 0 {
		h.harm(k)
	}
	if r.IntN(10) == 0 {
		if err := k.Forget(); err != nil || k.Known() != k.table.stored() {
			t.Errorf("forget: %v, %d", err, k.Known())
		}
	}
	prepared, err := h.g.Prepare(b)
	if err != nil {
		t.Fatal(err)
	}
	stop := r.IntN(4) == 0
	got, err := h.judge(k, prepared, b, stop)
	if err != nil {
		t.Fatal(err)
	}
	if r.IntN(8) == 0 { // they could not be written
		if err := k.Forget(); err != nil {
			t.Fatal(err)
		}
		return
	}
	var stored []string
	var want []stream.Refusal
	base := h.log.next
	for i, line := range lines {
		by, why := h.model.try(line, base+int64(len(stored)), false)
		if why == "" {
			stored = append(stored, line)
			continue
		}
		want = append(want, stream.Refusal{Index: i, Reason: why, TakenBy: by})
		if stop {
			break
		}
	}
	same := len(got) == len(want)
	for i := 0; same && i < len(got); i++ {
		same = got[i].Index == want[i].Index && got[i].TakenBy == want[i].TakenBy && strings.Contains(got[i].Reason, want[i].Reason)
	}
	if !same {
		t.Errorf("refused %+v, want %+v\nof %q\nafter %q", got, want, lines, h.log.lines)
		return
	}
	h.refusals += len(got)
	for _, line := range stored {
		h.log.append(line)
	}
	if k.Known() != h.log.next {
		t.Errorf("known %d of %d", k.Known(), h.log.next)
	}
	if k.Due(false) || r.IntN(10) == 0 {
		if err := k.Store(h.mark()); errors.Is(err, eventlog.ErrAgain) {
			h.agains++
		} else if err != nil {
			t.Error(err)
		}
		if k.Due(false) || k.Due(true) {
			t.Error("due after it was stored")
		}
	}
}

// judge learns and judges, as an Appender does.
func (h *history) judge(k *keeper, prepared any, b *stream.Batch, stop bool) ([]stream.Refusal, error) {
	for range 100 {
		err := h.log.teach(k, 1+h.r.IntN(7))
		if err == nil {
			var refused []stream.Refusal
			if refused, err = k.Judge(prepared, b, h.log.next, stop); err == nil {
				return refused, nil
			}
		}
		if !errors.Is(err, eventlog.ErrAgain) {
			return nil, err
		}
		h.agains++
		if k.Known() != 0 {
			h.t.Errorf("known %d after damage", k.Known())
		}
	}
	return nil, errors.New("what is damaged is not let go of")
}

func TestReasons(t *testing.T) {
	long := strings.Repeat("long ", 20)
	for _, tt := range []struct {
		rules eventlog.Rules
		lines []string
		want  []string
	}{
		{eventlog.Rules{Unique: ".username"},
			[]string{`{"username":"ann"}`, `{"username":"bob"}`, `{"username":"ann"}`, `{"username":null}`, `{}`, `12`, `{"key":"ann","value":null}`, `{"value":{"username":"\u0062ob"}}`},
			[]string{"2: .username is taken by 0", "5: unique fails: expected an object but got: number (12) by -1", "7: .username is taken by 1"}},
		{eventlog.Rules{Unique: ".a, .b"}, []string{`{"a":1}`}, []string{"0: unique fails: expected exactly one result, got 2 by -1"}},
		{eventlog.Rules{Unique: `."` + strings.Repeat("é", 40) + `"`}, []string{`{"` + strings.Repeat("é", 40) + `":1}`, `{"` + strings.Repeat("é", 40) + `":1}`},
			[]string{"1: .\"" + strings.Repeat("é", 29) + "… is taken by 0"}},
		{eventlog.Rules{Fold: ". + $e.amount", Init: "0", Check: ". >= 0"},
			[]string{
				`{"key":"a","value":{"amount":5}}`, `{"key":"a","value":{"amount":-10}}`, `{"key":"b","value":{"amount":-1}}`,
				`{"key":"a","value":{"amount":"x"}}`, `{"amount":1}`, `{"key":"a","value":null}`, `{"key":"a","value":{"amount":-5}}`, `{"key":"a","value":{"amount":-0.5}}`,
			},
			[]string{
				"1: check fails: . >= 0, state -5 by -1", "2: check fails: . >= 0, state -1 by -1", `3: fold fails: cannot add: number (5) and string ("x") by -1`,
				"4: event has no key by -1", "7: check fails: . >= 0, state -0.5 by -1",
			}},
		{eventlog.Rules{Fold: "$e", Init: "0", Check: ".ok"},
			[]string{`{"key":1,"value":{"ok":true}}`, `{"key":1,"value":{"ok":null,"text":"` + long + `"}}`, `{"key":1,"value":5}`},
			[]string{`1: check fails: .ok, state {"ok":null,"text":"` + long[:60-19] + "… by -1", "2: check fails: expected an object but got: number (5) by -1"}},
		{eventlog.Rules{Fold: ". + $e + .", Init: `"x"`, Check: "true"},
			[]string{`{"key":1,"value":"` + strings.Repeat("y", 40<<10) + `"}`, `{"key":1,"value":"` + strings.Repeat("y", 40<<10) + `"}`, `{"key":1,"value":"` + strings.Repeat("y", 70<<10) + `"}`},
			[]string{"1: state is longer than 64 KiB by -1", "2: state is longer than 64 KiB by -1"}},
		// Nothing is claimed by an event that the other rule refuses.
		{eventlog.Rules{Unique: ".id", Fold: ". + $e.n", Init: "0", Check: ". >= 0"},
			[]string{`{"key":"a","value":{"id":1,"n":-1}}`, `{"key":"a","value":{"id":1,"n":1}}`, `{"key":"a","value":{"id":1,"n":1}}`, `{"key":"a","value":{"id":2,"n":-1}}`, `{"key":"a","value":{"id":3,"n":-1}}`},
			[]string{"0: check fails: . >= 0, state -1 by -1", "2: .id is taken by 0", "4: check fails: . >= 0, state -1 by -1"}},
	} {
		g, err := newGuard(&tt.rules, 1, Options{})
		if err != nil {
			t.Errorf("%+v: %v", tt.rules, err)
			continue
		}
		k := newKeeper(g, openMapTable(new(mapDisk), 100))
		b := batchOf(tt.lines)
		p, err := g.Prepare(b)
		if err != nil {
			t.Fatal(err)
		}
		refused, err := k.Judge(p, b, 0, false)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range refused {
			got = append(got, fmt.Sprintf("%d: %s by %d", r.Index, r.Reason, r.TakenBy))
		}
		if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
			t.Errorf("%+v:\ngot  %q\nwant %q", tt.rules, got, tt.want)
		}
	}
}

// What a keeper is told must fit what it knows.
func TestPlaces(t *testing.T) {
	g, err := newGuard(&eventlog.Rules{Unique: ".u"}, 1, Options{})
	if err != nil {
		t.Fatal(err)
	}
	k := newKeeper(g, openMapTable(new(mapDisk), 100))
	b := batchOf([]string{`{"u":1}`})
	prepare := func() any {
		p, err := g.Prepare(b)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if _, err := k.Judge(prepare(), b, 0, false); err != nil || k.Known() != 1 {
		t.Fatal(err)
	}
	if _, err := k.Judge(prepare(), b, 5, false); err == nil || errors.Is(err, eventlog.ErrAgain) {
		t.Errorf("events that it does not know: %v", err)
	}
	if err := k.Store(eventlog.Mark{Next: 2}); err == nil {
		t.Error("stored what it does not know")
	}
	if err := k.Store(eventlog.Mark{Next: 1}); err != nil {
		t.Error(err)
	}
	if _, err := k.Judge(prepare(), b, 0, false); !errors.Is(err, eventlog.ErrAgain) || k.Known() != 0 {
		t.Errorf("the log has become shorter: %v, %d", err, k.Known())
	}
	if refused, err := k.Judge(prepare(), b, 0, false); err != nil || len(refused) > 0 {
		t.Errorf("after that: %v, %v", refused, err)
	}
	if _, err := g.Prepare(&stream.Batch{Lines: []byte("{}\n{\n"), Count: 2}); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a bad line: %v", err)
	}
	if err := k.Learn(&stream.Block{Data: []byte("{}\n{\n"), Pos: stream.Positions{Base: 7}}); err == nil || !strings.Contains(err.Error(), "offset 8") {
		t.Errorf("a bad line in the log: %v", err)
	}
	if k.Due(true) {
		t.Error("not worth it")
	}
	for range worthStoring {
		if _, err := k.Judge(prepare(), b, k.Known(), false); err != nil {
			t.Fatal(err)
		}
	}
	if k.Due(true) {
		t.Error("refused events are not worth it")
	}
	for i := range worthStoring {
		b := batchOf([]string{fmt.Sprintf(`{"u":"x%d"}`, i)})
		p, _ := g.Prepare(b)
		if _, err := k.Judge(p, b, k.Known(), false); err != nil {
			t.Fatal(err)
		}
	}
	if !k.Due(true) {
		t.Error("it is worth it")
	}
	if err := k.Close(); err != nil || !k.table.(*mapTable).closed {
		t.Error("not closed")
	}
}

// Batches are prepared by many goroutines while others are judged.
func TestPrepareInParallel(t *testing.T) {
	rules := testRules[8]
	g, err := newGuard(&rules, 1, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var lock sync.Mutex
	k, m := newKeeper(g, openMapTable(new(mapDisk), 100)), newModel(t, &rules)
	var wg sync.WaitGroup
	for n := range uint64(4) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(n, 9))
			for range 200 {
				var lines []string
				for range r.IntN(8) {
					lines = append(lines, anyLine(r))
				}
				b := batchOf(lines)
				p, err := g.Prepare(b)
				if err != nil {
					t.Error(err)
					return
				}
				lock.Lock()
				got, err := k.Judge(p, b, k.Known(), false)
				at := k.Known() - int64(len(lines)-len(got))
				for i, line := range lines {
					_, why := m.try(line, at, false)
					if refused := len(got) > 0 && got[0].Index == i; refused != (why != "") || refused && !strings.Contains(got[0].Reason, why) {
						t.Errorf("%s: %+v, want %q", line, got, why)
					} else if refused {
						got = got[1:]
						continue
					}
					at++
				}
				lock.Unlock()
				if err != nil || t.Failed() {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// Long batches are inspected in pieces.
func TestLongBatch(t *testing.T) {
	g, err := newGuard(&eventlog.Rules{Unique: ".u"}, 1, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for i := range 60 {
		size := 100 << 10
		if i == 30 {
			size = 3 * maxInspected
		}
		lines = append(lines, fmt.Sprintf(`{"u":%d,"text":"%s"}`, i/2, strings.Repeat("é\\n", size/4)))
	}
	k := newKeeper(g, openMapTable(new(mapDisk), 100))
	b := batchOf(lines)
	p, err := g.Prepare(b)
	if err != nil {
		t.Fatal(err)
	}
	refused, err := k.Judge(p, b, 0, false)
	if err != nil || len(refused) != 30 || refused[29].Index != 59 || refused[29].TakenBy != 29 {
		t.Errorf("%v, %+v", err, refused)
	}
}

// Where the key is the claim, the claim is that of the rule.
func TestKeyClaims(t *testing.T) {
	rules := eventlog.Rules{Unique: ".u", Key: ".u"}
	lines := []byte(`{"key":"a","value":{"u":"a"}}
{"key":1.0,"value":{"u":1}}
{"key":{"y":1,"x":[2]},"value":{"u":{"x":[2.0],"y":1}}}
{"key":"\u00e9","value":{"u":"é"}}
{"u":null}
{"n":1}
{"key":"gone","value":null}
`)
	var both [2]*prepared
	for i, o := range []Options{{}, {KeyClaims: true}} {
		g, err := newGuard(&rules, 4, o)
		if err != nil {
			t.Fatal(err)
		}
		p, err := g.Prepare(&stream.Batch{Lines: lines})
		if err != nil {
			t.Fatal(err)
		}
		both[i] = p.(*prepared)
	}
	if a, b := both[0].lines, both[1].lines; len(a) != 7 || !slices.Equal(a, b) {
		t.Errorf("%+v\n%+v", a, b)
	}
	claiming := 0
	for _, l := range both[1].lines {
		if l.flags&claims != 0 {
			claiming++
		}
	}
	if claiming != 4 {
		t.Errorf("%d lines claim something", claiming)
	}
}

// What is remembered of one batch is bounded, too.
func TestBatchMemory(t *testing.T) {
	rules := eventlog.Rules{Fold: `"x" * 60000`, Init: "0", Check: "true"}
	g, err := newGuard(&rules, 1, Options{Memory: minMemory, FS: vfstest.New()})
	if err != nil {
		t.Fatal(err)
	}
	var b stream.Batch
	for i := range 2000 {
		b.Lines = fmt.Appendf(b.Lines, "{\"key\":%d,\"value\":%d}\n", i, i)
	}
	holds := func(eventlog.Mark) (bool, error) { return true, nil }
	for what, do := range map[string]func(eventlog.Keeper) error{
		"Judge": func(k eventlog.Keeper) error {
			p, err := g.Prepare(&b)
			if err == nil {
				_, err = k.Judge(p, &b, 0, false)
			}
			return err
		},
		"Learn": func(k eventlog.Keeper) error {
			return k.Learn(&stream.Block{Data: b.Lines, Pos: stream.Positions{InLog: true}})
		},
	} {
		k, err := g.Keeper(0, holds)
		if err != nil {
			t.Fatal(err)
		}
		var much *memoryError
		if err := do(k); !errors.As(err, &much) || much.Hint() == "" {
			t.Errorf("%s: %v", what, err)
		}
		if n := k.(*keeper).table.(*table).recent.values; n > 2*minMemory+60000*together {
			t.Errorf("%s remembers %d bytes", what, n)
		}
		if err := errors.Join(k.Forget(), k.Close()); err != nil {
			t.Error(err)
		}
	}
}

// A fold that does not end is stopped soon: others wait for the lock.
func TestSteps(t *testing.T) {
	rules := eventlog.Rules{Fold: "if $e then last(repeat(1)) else . end", Init: "0", Check: "true"}
	g, err := newGuard(&rules, 1, Options{FS: vfstest.New()})
	if err != nil {
		t.Fatal(err)
	}
	k, err := g.Keeper(0, func(eventlog.Mark) (bool, error) { return true, nil })
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	b := stream.Batch{Lines: []byte("{\"key\":1,\"value\":true}\n{\"key\":2,\"value\":false}\n")}
	p, err := g.Prepare(&b)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	refused, err := k.Judge(p, &b, 0, false)
	if err != nil || len(refused) != 1 || refused[0].Index != 0 || !strings.HasPrefix(refused[0].Reason, "fold fails: ") {
		t.Errorf("%+v: %v", refused, err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it has taken %v", took)
	}
}
