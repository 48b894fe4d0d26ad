package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"logtools/pkg/event"
	"logtools/pkg/expr"
	"logtools/pkg/parse"
	"logtools/pkg/stream"
)

// entry is something of an input that a merge must tell.
type entry struct {
	at   int64  // half seconds, of an event
	what string // as in trace
	kind byte   // 'e' event, 'b' bad line, 'f' failed
	line int64
}

// mergeText is an input for tests: its blocks, and what must come of them.
type mergeText struct {
	list []stream.Block
	want []entry
	raw  map[string]string // bad lines by name and number
}

// build makes an input of n lines: events whose times rise now and
// then, or fall where it is not sorted, blank lines, bad lines, and lines over
// the limit. It is cut into blocks of up to most lines.
func build(rng *rand.Rand, input, n, most int, sorted, fail bool) mergeText {
	name := fmt.Sprintf("f%d", input)
	m := mergeText{raw: make(map[string]string)}
	first := true
	var data []byte
	left := 0
	flush := func() {
		if len(data) > 0 || first {
			m.list = append(m.list, stream.Block{Data: data, Name: name, First: first})
			data, first = nil, false
		}
		left = 1 + rng.IntN(most)
	}
	at := 2*int64(1_700_000_000) + rng.Int64N(20)
	if rng.IntN(4) == 0 {
		flush() // an empty block to begin with
	}
	left = 1 + rng.IntN(most)
	for i := range n {
		line := int64(i + 1)
		at += max(0, int64(rng.IntN(6)-3))
		if !sorted && rng.IntN(20) == 0 {
			at -= int64(rng.IntN(8))
		}
		bad := func(s, reason string) {
			data = append(data, s...)
			m.raw[fmt.Sprintf("%s:%d", name, line)] = strings.TrimSuffix(s, "\n")
			m.want = append(m.want, entry{kind: 'b', what: fmt.Sprintf("bad %s:%d: %s", name, line, reason), line: line})
		}
		switch rng.IntN(30) {
		case 0:
			data = append(data, "  \n"...)
		case 1:
			bad("{\"x\":\n", "unexpected")
		case 2:
			bad("{\"n\":1}\n", "no time")
		case 3:
			bad(fmt.Sprintf("{\"time\":%d,\"refuse\":1}\n", at/2), "refused")
		case 4: // without output
			data = append(data, fmt.Sprintf("{\"time\":%d,\"nothing\":1}\n", at/2-5)...)
		case 5:
			flush()
			m.list = append(m.list,
				stream.Block{Name: name, First: first, Long: true, Data: []byte("xx")},
				stream.Block{Name: name, Long: true, LongEnd: true, Data: []byte("yy")})
			first = false
			bad("", "line is longer than 1000 bytes")
		default:
			s := fmt.Sprintf("{\"time\":%d.%d,\"f\":%d,\"line\":%d}", at/2, at%2*5, input, line)
			data = append(append(data, s...), '\n')
			m.want = append(m.want, entry{at: at, kind: 'e', what: s, line: line})
			if i%7 == 0 { // comes twice
				data = append(data[:len(data)-2], ",\"twice\":1}\n"...)
				m.want[len(m.want)-1].what = s[:len(s)-1] + ",\"twice\":1}"
			}
		}
		if left--; left <= 0 {
			flush()
		}
	}
	if rng.IntN(2) == 0 && len(data) > 1 && data[len(data)-1] == '\n' && len(bytes.TrimSpace(data)) > 0 {
		data = data[:len(data)-1] // the last line lacks its end
	}
	flush()
	m.list = append(m.list, stream.Block{Name: name, Last: true})
	if fail {
		m.list = append(m.list, stream.Block{Name: name, Err: errors.New("unexpected end of compressed data")})
		m.want = append(m.want, entry{kind: 'f', what: "failed " + name + ": unexpected end of compressed data"})
	}
	return m
}

// naive is the merge as it is defined, over whole inputs.
func naive(inputs []mergeText) (trace []string) {
	next := make([]int, len(inputs))
	last := make([]int64, len(inputs))
	for k := range last {
		last[k] = math.MinInt64
	}
	unsorted := make([]bool, len(inputs))
	advance := func(k int) {
		for ; next[k] < len(inputs[k].want); next[k]++ {
			e := inputs[k].want[next[k]]
			if e.kind == 'e' {
				if e.at < last[k] && !unsorted[k] {
					unsorted[k] = true
					trace = append(trace, fmt.Sprintf("unsorted f%d:%d", k, e.line))
				}
				last[k] = e.at
				return
			}
			trace = append(trace, e.what)
		}
	}
	for k := range inputs {
		advance(k)
	}
	for {
		best := -1
		for k := range inputs {
			if next[k] < len(inputs[k].want) && (best < 0 || inputs[k].want[next[k]].at < inputs[best].want[next[best]].at) {
				best = k
			}
		}
		if best < 0 {
			return trace
		}
		what := inputs[best].want[next[best]].what
		trace = append(trace, what)
		if strings.Contains(what, "twice") {
			trace = append(trace, what)
		}
		next[best]++
		advance(best)
	}
}

// traced is a sink that notes what it is told in the order of the merge.
type traced struct {
	t       *testing.T
	trace   []string
	inputs  []mergeText // for their bad lines
	pending []string    // bad lines of the last Block
	apart   bool
	stopAt  int // events after which to stop; 0: never
	events  int
	badStop bool
	onBlock func()
}

func (k *traced) Block(r *Result) error {
	k.idle()
	if k.onBlock != nil {
		k.onBlock()
	}
	var err error
	if k.stopAt > 0 && k.events+len(r.Ends) >= k.stopAt {
		r.Ends = r.Ends[:k.stopAt-k.events]
		r.Take(len(r.Ends))
		err = ErrStop
	}
	k.events += len(r.Ends)
	start, b := 0, 0
	for i := 0; ; i++ {
		for ; b < len(r.bad) && r.bad[b].events == i; b++ {
			what := r.bad[b].reason.Error()
			k.trace = append(k.trace, what)
			k.pending = append(k.pending, what)
		}
		if i == len(r.Ends) {
			break
		}
		s := strings.TrimSuffix(string(r.Out[start:r.Ends[i]]), "\n")
		start = r.Ends[i]
		if k.apart {
			var f, line, at int64
			fmt.Sscanf(s[strings.Index(s, "+")+1:], "%d", &at)
			s = s[:strings.Index(s, "+")]
			fmt.Sscanf(s[strings.Index(s, `"f":`):], `"f":%d,"line":%d`, &f, &line)
			if got := fmt.Sprintf("f%d:%d", f, line); got != fmt.Sprintf("%s:%d", r.Name, r.FirstLine+at) {
				k.t.Fatalf("%s is said to be at %s:%d+%d", s, r.Name, r.FirstLine, at)
			}
		}
		k.trace = append(k.trace, s)
	}
	if b != len(r.bad) {
		k.t.Fatalf("%d bad lines are out of order", len(r.bad)-b)
	}
	return err
}

func (k *traced) Bad(name string, line int64, reason error, raw []byte) error {
	what := fmt.Sprintf("bad %s:%d: %s", name, line, reason)
	if raw == nil {
		k.trace = append(k.trace, what)
	} else {
		if len(k.pending) == 0 || k.pending[0] != reason.Error() {
			k.t.Fatalf("%s is not of the block: %q", what, k.pending)
		}
		k.pending = k.pending[1:]
		i := slices.Index(k.trace, reason.Error()) // the first that is not replaced
		k.trace[i] = what
		var f int
		fmt.Sscanf(name, "f%d", &f)
		if k.inputs == nil {
			return nil
		}
		if want := k.inputs[f].raw[fmt.Sprintf("%s:%d", name, line)]; string(raw) != want {
			k.t.Fatalf("%s: %q, want %q", what, raw, want)
		}
	}
	if k.badStop {
		return ErrStop
	}
	return nil
}

func (k *traced) LongPart(p []byte) error { k.idle(); return nil }

func (k *traced) Failed(name string, err error) error {
	k.idle()
	k.trace = append(k.trace, "failed "+name+": "+err.Error())
	return nil
}

func (k *traced) Unsorted(name string, line int64) {
	k.idle()
	k.trace = append(k.trace, fmt.Sprintf("unsorted %s:%d", name, line))
}

// idle checks that all bad lines of the last block were told of.
func (k *traced) idle() {
	if len(k.pending) > 0 {
		k.t.Fatalf("lines not told of: %q", k.pending)
	}
}

// several writes no, one or two results for an event.
type several struct{ apart bool }

func (o several) Event(it *Item, _ *expr.Runner, out *Result) error {
	if bytes.Contains(it.Line, []byte("refuse")) {
		out.Out = append(out.Out, "garbage"...)
		out.Ends = append(out.Ends, len(out.Out))
		return event.Bad("refused")
	}
	if bytes.Contains(it.Line, []byte("nothing")) {
		return nil
	}
	n := 1
	if bytes.Contains(it.Line, []byte("twice")) {
		n = 2
	}
	for range n {
		out.Out = append(out.Out, it.Line...)
		if o.apart {
			out.Out = fmt.Appendf(out.Out, "+%d", it.LineInBlock())
		}
		out.Out = append(out.Out, '\n')
		out.Ends = append(out.Ends, len(out.Out))
	}
	return nil
}
func (several) EndBlock(*Result) {}

func sources(rng *rand.Rand, inputs []mergeText) (all []stream.Blocks) {
	for _, in := range inputs {
		all = append(all, &blocks{list: slices.Clone(in.list), rng: rng})
	}
	return all
}

func jsonFormat(t testing.TB) *parse.Format {
	f, err := parse.ByName("json")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// equal compares traces; the text of a reason may go on.
func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || !strings.HasPrefix(got[i], want[i]) {
			t.Fatalf("%s: %d entries, want %d; they differ at %d: got %q, want %q", what, len(got), len(want), i,
				got[min(i, len(got)):min(i+3, len(got))], want[min(i, len(want)):min(i+3, len(want))])
		}
	}
}

// Whatever the blocks and however many the workers, a merge is what it is
// defined to be: events, bad lines, failures and disorder, each in its place.
func TestMerge(t *testing.T) {
	noLeaks(t)
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 11))
		var inputs []mergeText
		most := []int{1, 3, 20, 200}[rng.IntN(4)]
		anySorted := rng.IntN(2) == 0
		for k := range rng.IntN(12) {
			n := rng.IntN(200)
			if rng.IntN(4) == 0 {
				n = 0
			}
			inputs = append(inputs, build(rng, k, n, most, anySorted || rng.IntN(2) == 0, rng.IntN(5) == 0))
		}
		want := naive(inputs)
		for _, workers := range []int{1, 4} {
			k := &traced{t: t, inputs: inputs, apart: rng.IntN(2) == 0}
			o := MergeOptions{Options: Options{Format: jsonFormat(t), MaxLine: 1000, Workers: workers}, Apart: k.apart}
			if rng.IntN(2) == 0 {
				o.Format, k.inputs = nil, nil
			}
			err := Merge(context.Background(), o, &Query{}, sources(rng, inputs), func() Operator { return several{k.apart} }, k)
			if err != nil {
				t.Fatal(err)
			}
			k.idle()
			if o.Format == nil {
				continue // what is no JSON at the start of an input makes it another format
			}
			equal(t, fmt.Sprintf("seed %d, %d workers", seed, workers), k.trace, want)
		}
		// Sorted inputs come out sorted.
		var stable []entry
		for _, in := range inputs {
			stable = append(stable, slices.DeleteFunc(slices.Clone(in.want), func(e entry) bool { return e.kind != 'e' })...)
		}
		slices.SortStableFunc(stable, func(a, b entry) int { return int(a.at - b.at) })
		if anySorted {
			var events []string
			for _, w := range want {
				if strings.HasPrefix(w, "{") {
					events = append(events, w)
				}
			}
			events = slices.Compact(events)
			for i, e := range stable {
				if e.what != events[i] {
					t.Fatalf("seed %d: the naive merge does not sort", seed)
				}
			}
		}
	}
}

// -c stops in the middle: bad lines behind it are as if they had not been read.
func TestMergeStops(t *testing.T) {
	noLeaks(t)
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 12))
		var inputs []mergeText
		for k := range 1 + rng.IntN(6) {
			inputs = append(inputs, build(rng, k, 150, 10, true, true))
		}
		want := naive(inputs)
		o := MergeOptions{Options: Options{Format: jsonFormat(t), MaxLine: 1000, Workers: 1 + rng.IntN(3)}}
		newOperator := func() Operator { return several{} }

		k := &traced{t: t, inputs: inputs, stopAt: 1 + rng.IntN(100)}
		if err := Merge(context.Background(), o, &Query{}, sources(rng, inputs), newOperator, k); err != nil {
			t.Fatal(err)
		}
		n, events := 0, 0
		for n < len(want) && events < k.stopAt {
			if strings.HasPrefix(want[n], "{") {
				events++
			}
			n++
		}
		equal(t, fmt.Sprintf("seed %d, stop after %d", seed, k.stopAt), k.trace, want[:n])

		// --bad=fail: nothing comes after the first bad line.
		k, o.StopAtBad = &traced{t: t, inputs: inputs, badStop: true}, true
		if err := Merge(context.Background(), o, &Query{}, sources(rng, inputs), newOperator, k); err != nil {
			t.Fatal(err)
		}
		n = slices.IndexFunc(want, func(s string) bool { return strings.HasPrefix(s, "bad") })
		equal(t, fmt.Sprintf("seed %d, stop at bad", seed), k.trace, want[:n+1])
	}
}

// FuzzMerge has inputs in which anything may follow anything: in each byte are
// the input, how much later the event is, and what it is.
func FuzzMerge(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03"), uint8(1))
	f.Add([]byte("some inputs, more or less sorted"), uint8(2))
	f.Add([]byte("\x05\x09\xff\xe0\x81\x25\x29\x45"), uint8(7))
	f.Fuzz(func(t *testing.T, data []byte, how uint8) {
		inputs := make([]mergeText, 1+how&3)
		at := make([]int64, len(inputs))
		lines := make([]int64, len(inputs))
		for k := range inputs {
			inputs[k] = mergeText{raw: make(map[string]string)}
			inputs[k].list = []stream.Block{{Name: fmt.Sprintf("f%d", k), First: true}}
		}
		for _, c := range data {
			k := int(c&3) % len(inputs)
			in := &inputs[k]
			block := &in.list[len(in.list)-1]
			lines[k]++
			at[k] += int64(c>>2&7) - 1
			line := fmt.Sprintf("{\"time\":%d,\"f\":%d,\"line\":%d}", at[k], k, lines[k])
			switch c >> 5 {
			case 0:
				line = "{]"
				name := fmt.Sprintf("f%d:%d", k, lines[k])
				in.raw[name] = line
				in.want = append(in.want, entry{kind: 'b', what: "bad " + name + ": "})
			case 1:
				line = ""
			default:
				in.want = append(in.want, entry{at: 2 * at[k], kind: 'e', what: line, line: lines[k]})
			}
			block.Data = append(append(block.Data, line...), '\n')
			if c>>5 < 4 {
				in.list = append(in.list, stream.Block{Name: block.Name})
			}
		}
		k := &traced{t: t, inputs: inputs, apart: how&8 != 0}
		o := MergeOptions{Options: Options{Format: jsonFormat(t), Workers: 1 + int(how>>4&3)}, Apart: k.apart}
		all := sources(rand.New(rand.NewPCG(1, 1)), inputs)
		if err := Merge(context.Background(), o, &Query{}, all, func() Operator { return several{k.apart} }, k); err != nil {
			t.Fatal(err)
		}
		k.idle()
		equal(t, "merge", k.trace, naive(inputs))
	})
}

func TestMergeManyInputs(t *testing.T) {
	noLeaks(t)
	rng := rand.New(rand.NewPCG(1, 13))
	var inputs []mergeText
	for k := range 200 {
		inputs = append(inputs, build(rng, k, 50, 5, k%10 > 0, k%20 == 0))
	}
	want := naive(inputs)
	for _, workers := range []int{1, 4} {
		k := &traced{t: t, inputs: inputs}
		o := MergeOptions{Options: Options{Format: jsonFormat(t), MaxLine: 1000, Workers: workers}}
		if err := Merge(context.Background(), o, &Query{}, sources(rng, inputs), func() Operator { return several{} }, k); err != nil {
			t.Fatal(err)
		}
		equal(t, "200 inputs", k.trace, want)
	}
}

// Nearly all blocks are without output, and the operator notes no ends.
func TestMergeFilter(t *testing.T) {
	noLeaks(t)
	rng := rand.New(rand.NewPCG(1, 14))
	var all []stream.Blocks
	for input := range 5 {
		var s strings.Builder
		for i := range 2000 {
			fmt.Fprintf(&s, "{\"ts\":%d,\"f\":%d}\n", i, input)
			if i%1000 == 500 {
				s.WriteString("nonsense\n")
			}
		}
		in := &blocks{rng: rng}
		in.cut(0, "in", s.String())
		all = append(all, in)
	}
	q := &Query{}
	q.Where = compile(t, q, ".ts%777==776")
	k := &record{}
	err := Merge(context.Background(), MergeOptions{Options: Options{Format: jsonFormat(t), Workers: 3}}, q, all, newValues, mergeRecord{record: k})
	if err != nil {
		t.Fatal(err)
	}
	want := ""
	for _, at := range []int{776, 1553} {
		for input := range 5 {
			want += fmt.Sprintf("{\"ts\":%d,\"f\":%d}\n", at, input)
		}
	}
	if k.out.String() != want {
		t.Errorf("got %q, want %q", k.out.String(), want)
	}
	if len(k.bad) != 10 || !strings.HasPrefix(k.bad[0], "in:502: ") || !strings.HasPrefix(k.bad[9], "in:1503: ") {
		t.Errorf("bad lines %q", k.bad)
	}
}

// mergeRecord is a sink that notes everything.
type mergeRecord struct {
	*record
	unsorted *[]string
}

func (k mergeRecord) Unsorted(name string, line int64) {
	if k.unsorted != nil {
		*k.unsorted = append(*k.unsorted, fmt.Sprintf("%s:%d", name, line))
	}
}

// Heads and records that span lines and blocks are each input's own.
func TestMergeRecords(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 15))
		var all []stream.Blocks
		var lines []string
		for input := range 4 {
			head := fmt.Sprintf("h%d;", input)
			text := head + "\n"
			for at := range 50 {
				record := fmt.Sprintf("%d%s;", 100*at+input, strings.Repeat("\nmore", rng.IntN(3)))
				text += record + "\n"
				value := event.TextValue([]byte(head + "|" + record))
				lines = append(lines, fmt.Sprintf("%05d%s", 100*at+input, value.AppendJSON(nil)))
			}
			if input == 3 {
				text = "no head;\n" + text
				lines = lines[:150]
			}
			in := &blocks{rng: rng}
			in.cut(0, head, text)
			in.list = append(in.list, stream.Block{Name: head, Last: true})
			all = append(all, in)
		}
		slices.Sort(lines)
		want := ""
		for _, s := range lines {
			want += s[5:] + "\n"
		}
		q := &Query{}
		q.Time = compile(t, q, `split("|")[1] | split(";")[0] | split("\n")[0] | tonumber`)
		k := &record{}
		o := MergeOptions{Options: Options{Format: paragraphs(), Workers: 1 + rng.IntN(4), MaxLine: 1 << 20}}
		if err := Merge(context.Background(), o, q, all, newValues, mergeRecord{record: k}); err != nil {
			t.Fatal(err)
		}
		if k.out.String() != want || len(k.bad) > 0 {
			t.Fatalf("seed %d: got %q, want %q; bad %q", seed, k.out.String(), want, k.bad)
		}
		if want := []string{"h3;: h3;: no head"}; !slices.Equal(k.failed, want) {
			t.Fatalf("failed %q", k.failed)
		}
	}
}

// The block at which an input falls back in time is not that of the fall.
func TestMergeUnsortedOnce(t *testing.T) {
	var all []stream.Blocks
	for input, text := range []string{"1\n2\n|1\n0\n", "1\n|\n|3\n|2\n2\n", "1\n1\n|1\n2\n"} {
		in := &blocks{rng: rand.New(rand.NewPCG(1, 1))}
		for i, s := range strings.Split(text, "|") {
			in.list = append(in.list, stream.Block{Data: []byte(s), Name: fmt.Sprint(input), First: i == 0})
		}
		all = append(all, in)
	}
	q := &Query{}
	q.Time = compile(t, q, ".")
	var unsorted []string
	k := &record{}
	err := Merge(context.Background(), MergeOptions{Options: Options{Format: jsonFormat(t)}}, q, all, newValues, mergeRecord{k, &unsorted})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"0:3", "1:4"}; !slices.Equal(unsorted, want) {
		t.Errorf("unsorted %q, want %q", unsorted, want)
	}
	if want := "1 1 1 1 1 2 1 0 2 3 2 2"; strings.Join(strings.Fields(k.out.String()), " ") != want {
		t.Errorf("got %q", strings.Fields(k.out.String()))
	}
}
