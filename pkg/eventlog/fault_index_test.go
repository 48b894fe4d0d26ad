package eventlog

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"logtools/pkg/internal/vfs/vfstest"
	"logtools/pkg/stream"
)

// TestFlipIndex flips each bit of the .idx, and cuts it off at every byte: reading
// finds the same events as with a whole one, and appending goes on.
func TestFlipIndex(t *testing.T) {
	m := vfstest.New()
	l := mustCreate(t, m, "log", Change{})
	rng := rand.New(rand.NewPCG(1, 2))
	noise := func(n int) string {
		var b strings.Builder
		for b.Len() < n {
			fmt.Fprintf(&b, "%016x", rng.Uint64())
		}
		return b.String()
	}
	var batches []*stream.Batch
	for i := range 40 { // half of it is left by compression
		at := stream.Instant{Sec: int64(1000 + i)}
		b := batch(fmt.Sprintf(`{"time":"1970-01-01T00:%02d:%02dZ","value":"%s"}`, (1000+i)/60, (1000+i)%60, noise(130_000)))
		b.MinTime, b.MaxTime, b.Timed = at, at, 1
		batches = append(batches, b)
	}
	if _, err := appendAll(t, l, AppendOptions{Workers: 1}, batches...); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join("log/00000", indexName(0))
	index, err := m.ReadFile(name)
	if err != nil || len(index) < 2*112 {
		t.Fatal(len(index), err)
	}
	since := stream.Instant{Sec: 1030}
	ways := []ReadOptions{{From: AtOffset(31)}, {From: AtTime(since)}, {Since: &since}, {Tail: 3}}
	look := func(m *vfstest.Mem) (out string) {
		l, err := Open("log", Options{FS: m})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range ways {
			r, err := l.Read(0, o)
			if err != nil {
				t.Fatal(err)
			}
			for {
				var b stream.Block
				if err := r.Next(context.Background(), &b); err == io.EOF {
					break
				} else if err != nil || b.Err != nil {
					t.Fatal(err, b.Err)
				}
				n := int64(strings.Count(string(b.Data), "\n"))
				if n > 0 && o.Since != nil && b.Pos.Base+n <= 30 {
					continue // it may give out more than what is asked for
				}
				for i := range n {
					if at := b.Pos.Base + i; o.Since == nil || at >= 30 {
						out += fmt.Sprint(at, " ")
					}
				}
			}
			out += "\n"
			r.Close()
		}
		return out
	}
	want := look(m)
	if !strings.HasPrefix(want, "31 32 ") || !strings.Contains(want, "\n30 31 ") || !strings.HasSuffix(want, "\n37 38 39 \n") {
		t.Fatal(want)
	}
	ops := len(m.Log())
	harm := func(what string, do func(m *vfstest.Mem)) {
		c := m.Crash(ops, vfstest.KeepAll())
		do(c)
		if got := look(c); got != want {
			t.Fatalf("%s: reads\n%swant\n%s", what, got, want)
		}
		l, err := Open("log", Options{FS: c, Warn: func(msg string) { t.Errorf("%s: warning: %s", what, msg) }})
		if err != nil {
			t.Fatal(err)
		}
		acks, err := appendAll(t, l, AppendOptions{Workers: 1}, batch("1"))
		if err != nil || acks[0].Offset != 40 {
			t.Fatal(what, acks, err)
		}
	}
	step := 1
	if testing.Short() {
		step = 37
	}
	for i := 0; i < len(index)*8; i += step {
		harm(fmt.Sprintf("bit %d of the index", i), func(m *vfstest.Mem) { m.Corrupt(name, int64(i/8), uint(i%8)) })
	}
	for n := 0; n < len(index); n += step {
		harm(fmt.Sprintf("index cut off at %d", n), func(m *vfstest.Mem) { m.WriteFile(name, index[:n]) })
	}
}
