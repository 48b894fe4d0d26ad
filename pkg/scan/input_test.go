package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"logtools/pkg/event"
	"logtools/pkg/expr"
	"logtools/pkg/parse"
	"logtools/pkg/stream"
	"logtools/pkg/when"
)

// paragraphs is a format with a head of one line and records that go on to the
// line that ends in a semicolon. The value is the record and the head.
func paragraphs() *parse.Format {
	return &parse.Format{
		Name: "paragraphs", PerInput: true,
		New: func(o parse.Options) parse.Parser { return paragraph{o.Head.(string)} },
		Head: func(data []byte) (int, any, error) {
			line, _, _ := bytes.Cut(data, newline)
			if string(line) == "no head;" {
				return 0, nil, errors.New("no head")
			}
			return min(len(line)+1, len(data)), string(line), nil
		},
		Whole: func(data []byte) int {
			return bytes.LastIndex(data, []byte(";\n")) + 1 + b2i(bytes.Contains(data, []byte(";\n")))
		},
		Next: func(data []byte) int { return bytes.Index(data, []byte(";\n")) + 2 },
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// values writes the value of each event.
type values struct{}

func (values) Event(it *Item, _ *expr.Runner, out *Result) error {
	out.Out = append(it.AppendValue(out.Out), '\n')
	return nil
}
func (values) EndBlock(*Result) {}

func newValues() Operator { return values{} }

type paragraph struct{ head string }

func (paragraph) Block(event.Clean)       {}
func (paragraph) Time() (when.Time, bool) { return when.Time{}, false }
func (p paragraph) Parse(record []byte, ev *event.Event) error {
	ev.Line, ev.Bare = record, true
	if !bytes.HasSuffix(record, []byte(";")) {
		return event.Bad("unfinished")
	}
	ev.SetValue(event.TextValue([]byte(p.head + "|" + string(record))))
	return nil
}

// Records that span lines and blocks, in several inputs, some of which lack the
// end of the last record: all are there, in order, with their lines' numbers.
func TestRecords(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 9))
		in := &blocks{rng: rng}
		var want, wantBad []string
		for input := range 1 + rng.IntN(3) {
			name := fmt.Sprintf("f%d", input)
			head := fmt.Sprintf("head %d;", input)
			text := strings.Repeat("\n", rng.IntN(3)) + head + "\n"
			for r := range rng.IntN(60) {
				record := fmt.Sprintf("%d", r) + strings.Repeat("\nmore", max(0, rng.IntN(8)-4)) + ";"
				text += record + "\n"
				want = append(want, head+"|"+record)
			}
			if rng.IntN(2) == 0 {
				// An unfinished record is bad by its lines.
				for k := range 1 + rng.IntN(3) {
					line := fmt.Sprintf("left %d", k)
					wantBad = append(wantBad, fmt.Sprintf("%s:%d: unfinished: %s", name, strings.Count(text, "\n")+1, line))
					text += line + "\n"
				}
				if rng.IntN(2) == 0 {
					text = text[:len(text)-1]
				}
			}
			in.cut(input, name, text)
			in.list = append(in.list, stream.Block{Input: input, Name: name, Last: true})
		}
		k := &record{}
		// Nearly each line is a block of its own, now and then.
		err := Run(context.Background(), Options{Format: paragraphs(), Workers: 1 + rng.IntN(4), MaxLine: 1 << 20}, &Query{}, in,
			newValues, k)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(k.out.String()) {
			line = strings.TrimSuffix(line, "\n")
			got = append(got, line)
		}
		var quoted []string
		for _, w := range want {
			quoted = append(quoted, string(event.TextValue([]byte(w)).AppendJSON(nil)))
		}
		if !slices.Equal(got, quoted) {
			t.Fatalf("seed %d: got %q, want %q", seed, got, quoted)
		}
		if !slices.Equal(k.bad, wantBad) {
			t.Fatalf("seed %d: bad %q, want %q", seed, k.bad, wantBad)
		}
	}
}

func TestHeadError(t *testing.T) {
	in := &blocks{rng: rand.New(rand.NewPCG(1, 1))}
	in.cut(0, "a", "no head;\n1;\n2;\n")
	in.list = append(in.list, stream.Block{Input: 0, Name: "a", Last: true})
	in.cut(1, "b", "h;\n1;\n")
	in.list = append(in.list, stream.Block{Input: 1, Name: "b", Last: true})
	k := &record{}
	if err := Run(context.Background(), Options{Format: paragraphs(), Workers: 2}, &Query{}, in, newValues, k); err != nil {
		t.Fatal(err)
	}
	if got := k.out.String(); got != "\"h;|1;\"\n" {
		t.Errorf("got %q", got)
	}
	if want := []string{"a: a: no head"}; !slices.Equal(k.failed, want) {
		t.Errorf("failed %q, want %q", k.failed, want)
	}
}

// A file that is followed begins anew under its name: its lines are counted from
// one, and its head is read again, while blocks of the old one are still on
// their way.
func TestRotated(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 3))
		in := &blocks{rng: rng}
		want := ""
		for file := range 12 {
			head := fmt.Sprintf("h%d;", file)
			text := head + "\n"
			for r := range rng.IntN(4) {
				text += fmt.Sprintf("%d\n;\n", r)
				want += fmt.Sprintf("\"%s|%d\\n;\"\n", head, r)
			}
			in.cut(0, "f", text)
		}
		k := &record{}
		if err := Run(context.Background(), Options{Format: paragraphs(), Workers: 4}, &Query{}, in, newValues, k); err != nil {
			t.Fatal(err)
		}
		if k.out.String() != want {
			t.Fatalf("seed %d: got %q, want %q", seed, k.out.String(), want)
		}
	}
}

// A record that does not end takes the memory of a few such records, not of one
// for each block that it goes on through.
func TestUnfinishedRecordMemory(t *testing.T) {
	const size, block = 3 << 20, 64 << 10
	in := &blocks{list: []stream.Block{{Data: []byte("head\n"), Name: "in", First: true}}}
	for range size / block {
		in.list = append(in.list, stream.Block{Data: bytes.Repeat([]byte("goes on\n"), block/8), Name: "in"})
	}
	in.list = append(in.list, stream.Block{Data: []byte("end;\n"), Name: "in"})
	k := &record{}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := Run(context.Background(), Options{Format: paragraphs(), Workers: 3, MaxLine: 4 << 20}, &Query{}, in, func() Operator { return lengths{} }, k)
	runtime.ReadMemStats(&after)
	if err != nil || len(k.bad) > 0 {
		t.Fatal(err, k.bad)
	}
	if got, want := k.out.String(), fmt.Sprintf("%d\n", size+4); got != want {
		t.Errorf("record of %s bytes, want %s", got, want)
	}
	// Growing by a quarter each time takes five times the memory in all, the blocks
	// themselves once more.
	if n := after.TotalAlloc - before.TotalAlloc; n > 9*size {
		t.Errorf("%d MiB for a record of %d MiB", n>>20, size>>20)
	}
}

// lengths writes the length of each event's record.
type lengths struct{}

func (lengths) Event(it *Item, _ *expr.Runner, out *Result) error {
	out.Out = fmt.Appendf(out.Out, "%d\n", len(it.Line))
	return nil
}

func (lengths) EndBlock(*Result) {}
