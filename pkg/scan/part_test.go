package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"testing"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/expr"
	"logtools/pkg/parse"
	"logtools/pkg/stream"
)

// wide writes much more for each event than its line.
type wide struct{ n int }

func (w wide) Event(it *Item, _ *expr.Runner, out *Result) error {
	out.Out = append(append(out.Out, it.Line...), wideText[:w.n]...)
	out.Out = append(out.Out, '\n')
	if it.Line[len(it.Line)-1] == '7' {
		return event.Bad("seven")
	}
	out.Ends = append(out.Ends, len(out.Out))
	return nil
}

func (wide) EndBlock(*Result) {}

var wideText = bytes.Repeat([]byte{'x'}, 1<<20)

// numbers are blocks of that many lines each, which count from 0.
func numbers(sizes ...int) *blocks {
	in, n := &blocks{}, 0
	for i, size := range sizes {
		var b []byte
		for range size {
			b = fmt.Appendf(b, "%d\n", n)
			n++
		}
		in.list = append(in.list, stream.Block{Data: b, Name: "in", First: i == 0})
	}
	return in
}

// sum is a sink that keeps a hash of the output and the length of the longest
// part.
type sum struct {
	record
	hash          maphash.Hash
	longest, most int // of Out, bad lines
	block         func(*Result) error
}

func (k *sum) Block(r *Result) error {
	k.hash.Write(r.Out)
	k.longest, k.most = max(k.longest, len(r.Out)), max(k.most, len(r.bad))
	if k.block != nil {
		return k.block(r)
	}
	return nil
}

// However much a block becomes, no more than a part of it is held; and the output
// is that of all lines in their order.
func TestOutputOfABlockIsBounded(t *testing.T) {
	const width, rows = 3000, 4000
	var want maphash.Hash
	in := numbers(rows, 10, rows, rows, 0, rows)
	for i := range 4*rows + 10 {
		if i%10 != 7 {
			fmt.Fprintf(&want, "%d%s\n", i, wideText[:width])
		}
	}
	format, _ := parse.ByName("json")
	k := &sum{}
	k.hash.SetSeed(want.Seed())
	if err := Run(context.Background(), Options{Format: format, Workers: 3}, &Query{}, in, func() Operator { return wide{width} }, k); err != nil {
		t.Fatal(err)
	}
	if k.hash.Sum64() != want.Sum64() {
		t.Error("output differs")
	}
	if k.longest < partSize || k.longest > partSize+width+10 {
		t.Errorf("%d bytes of output in one result", k.longest)
	}
	for i, b := range k.bad {
		if want := fmt.Sprintf("in:%d: seven: %d7", 10*i+8, i); strings.TrimLeft(b, "0") != want && i > 0 {
			t.Fatalf("bad line %q, want %q", b, want)
		}
	}
	if n := (4*rows + 10) / 10; len(k.bad) != n || k.most >= n/4 {
		t.Errorf("%d bad lines, want %d; %d with one part", len(k.bad), n, k.most)
	}
}

// What ends the run does so in the middle of a block, and wakes up the workers
// that wait until theirs is next.
func TestRunEndsBetweenParts(t *testing.T) {
	boom := errors.New("boom")
	format, _ := parse.ByName("json")
	for _, c := range []struct {
		name   string
		o      Options
		block  func(cancel func(), k *sum, r *Result) error
		want   error
		events int // -1: any
	}{
		{"stop", Options{}, func(_ func(), k *sum, r *Result) error {
			if k.ends += len(r.Ends); k.ends >= 20 {
				return ErrStop
			}
			return nil
		}, nil, 20},
		{"error", Options{}, func(_ func(), k *sum, r *Result) error {
			if k.ends += len(r.Ends); k.ends >= 20 {
				return boom
			}
			return nil
		}, boom, 20},
		{"cancel", Options{}, func(cancel func(), k *sum, r *Result) error {
			if k.ends += len(r.Ends); k.ends >= 20 {
				cancel()
				time.Sleep(time.Millisecond)
			}
			return nil
		}, context.Canceled, 20},
		{"stop at bad", Options{StopAtBad: true}, func(_ func(), k *sum, r *Result) error {
			k.ends += len(r.Ends)
			return nil
		}, nil, 7},
		{"take", Options{}, func(_ func(), k *sum, r *Result) error {
			if k.ends+len(r.Ends) < 8 {
				k.ends += len(r.Ends)
				return nil
			}
			r.Take(8 - k.ends)
			k.ends = 8
			return ErrStop
		}, nil, 8},
	} {
		for range 20 {
			ctx, cancel := context.WithCancel(context.Background())
			k := &sum{}
			k.block = func(r *Result) error { return c.block(cancel, k, r) }
			if c.o.StopAtBad {
				k.stopAt = 1
			}
			o := c.o
			o.Format, o.Workers, o.part = format, 4, 150
			err := Run(ctx, o, &Query{}, numbers(3, 50, 500, 500, 500, 500, 500), func() Operator { return wide{149} }, k)
			cancel()
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Fatalf("%s: %v, want %v", c.name, err, c.want)
			}
			if k.ends != c.events {
				t.Fatalf("%s: %d events, want %d", c.name, k.ends, c.events)
			}
			if c.name == "take" && len(k.bad) != 1 {
				t.Fatalf("%s: bad lines %q", c.name, k.bad)
			}
		}
	}
}
