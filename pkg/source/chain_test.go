package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"logtools/pkg/stream"
)

// fed is an input whose blocks a test makes: those before the Live block, if it has
// one, and those that come through a channel.
type fed struct {
	name string
	past int
	live chan string // nil: it ends

	mu    sync.Mutex
	given int
	rng   *rand.Rand
}

func (f *fed) Next(ctx context.Context, b *stream.Block) error {
	f.mu.Lock()
	*b = stream.Block{Buf: b.Buf[:0], Name: f.name, Seq: int64(f.given), SeqInInput: int64(f.given), First: f.given == 0}
	f.given++
	n := f.given
	pause := time.Duration(f.rng.IntN(200)) * time.Microsecond
	if n > f.past+1 { // one at a time, as the order of the channel
		defer f.mu.Unlock()
		if f.live == nil {
			return io.EOF
		}
		select {
		case text, ok := <-f.live:
			if !ok {
				return io.EOF
			}
			b.Buf = append(b.Buf, text...)
			b.Data = b.Buf
			b.Long = strings.HasPrefix(text, "long")
			b.LongEnd = b.Long && strings.HasSuffix(text, "end")
			return nil
		case <-ctx.Done():
			f.given--
			return ctx.Err()
		}
	}
	f.mu.Unlock()
	if n == f.past+1 {
		if f.live == nil {
			return io.EOF
		}
		b.Live = true
		return nil
	}
	time.Sleep(pause)
	b.Buf = fmt.Appendf(b.Buf, "%s%d", f.name, n)
	b.Data = b.Buf
	return nil
}

// collect reads with several goroutines until stop says so, and returns the blocks'
// texts in the order of Seq.
func collect(t *testing.T, in stream.Blocks, n int) []string {
	t.Helper()
	var mu sync.Mutex
	texts := make(map[int64]string)
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for range 3 {
		wg.Go(func() {
			var b stream.Block
			for {
				err := in.Next(ctx, &b)
				if err == io.EOF || ctx.Err() != nil {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				text := string(b.Data)
				switch {
				case b.Live:
					text = "LIVE"
				case b.Err != nil:
					text = b.Err.Error()
				}
				mu.Lock()
				if _, twice := texts[b.Seq]; twice {
					t.Errorf("two blocks with number %d", b.Seq)
				}
				texts[b.Seq] = fmt.Sprintf("%d:%s", b.Input, text)
				if len(texts) == n {
					cancel()
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	var list []string
	for i := range int64(len(texts)) {
		text, ok := texts[i]
		if !ok {
			t.Fatalf("no block has number %d", i)
		}
		list = append(list, text)
	}
	return list
}

func TestChain(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var parts []Part
		var want []string
		for i := range rng.IntN(6) {
			if rng.IntN(4) == 0 {
				parts = append(parts, Part{Blocks: Failed("x", errors.New("no")), Input: i})
				want = append(want, fmt.Sprintf("%d:no", i))
				continue
			}
			f := &fed{name: string(rune('a' + i)), past: rng.IntN(8), rng: rand.New(rand.NewPCG(seed, 2))}
			parts = append(parts, Part{Blocks: f, Input: i})
			for n := range f.past {
				want = append(want, fmt.Sprintf("%d:%s%d", i, f.name, n+1))
			}
		}
		if got := collect(t, Chain(parts), -1); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Fatalf("seed %d: got %s, want %s", seed, got, want)
		}
	}
}

func TestJoin(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var parts []Part
		var want []string
		order := make(map[string][]string) // of the live blocks of each part
		total := 1
		for i := range 1 + rng.IntN(4) {
			f := &fed{name: string(rune('a' + i)), past: rng.IntN(5), live: make(chan string), rng: rand.New(rand.NewPCG(seed, 2))}
			p := Part{Blocks: f, Input: i, Live: rng.IntN(3) == 0}
			if p.Live {
				f.past, f.given = -1, 1
			}
			parts = append(parts, p)
			for n := range f.past {
				want = append(want, fmt.Sprintf("%d:%s%d", i, f.name, n+1))
			}
			total += max(f.past, 0)
			var live []string
			for n := range rng.IntN(10) {
				text := fmt.Sprintf("%s-%d", f.name, n)
				if rng.IntN(4) == 0 {
					live = append(live, "long"+text, "long"+text, "long"+text+"end")
				} else {
					live = append(live, text)
				}
			}
			for _, text := range live {
				order[f.name] = append(order[f.name], fmt.Sprintf("%d:%s", i, text))
			}
			total += len(live)
			go func() {
				for _, text := range live {
					f.live <- text
				}
				if rng := seed % 2; rng == 0 {
					close(f.live)
				}
			}()
		}
		want = append(want, "LIVE")
		in := Join(parts)
		got := collect(t, in, total)
		in.Close()
		if len(got) != total {
			t.Fatalf("seed %d: %d blocks, want %d", seed, len(got), total)
		}
		n := len(want)
		got[n-1] = strings.TrimPrefix(got[n-1], "0:")
		if strings.Join(got[:n], " ") != strings.Join(want, " ") {
			t.Fatalf("seed %d: got %s, want %s", seed, got[:n], want)
		}
		inLong := byte(0)
		for _, text := range got[n:] {
			name := strings.TrimPrefix(text[2:], "long")[:1]
			if inLong != 0 && inLong != name[0] {
				t.Fatalf("seed %d: %s comes between the pieces of a long line", seed, text)
			}
			inLong = 0
			if strings.HasPrefix(text[2:], "long") && !strings.HasSuffix(text, "end") {
				inLong = name[0]
			}
			if order[name][0] != text {
				t.Fatalf("seed %d: got %s, want %s", seed, text, order[name][0])
			}
			order[name] = order[name][1:]
		}
	}
}

// What follows the Live block is left in the input.
func TestPast(t *testing.T) {
	f := &fed{name: "a", past: 2, live: make(chan string, 1), rng: rand.New(rand.NewPCG(1, 2))}
	f.live <- "later"
	in := Past(f)
	var b stream.Block
	for _, want := range []string{"a1", "a2", "", ""} {
		err := in.Next(context.Background(), &b)
		if (err == io.EOF) != (want == "") || err == nil && string(b.Data) != want {
			t.Fatalf("%q, %v, want %q", b.Data, err, want)
		}
	}
	if err := f.Next(context.Background(), &b); err != nil || string(b.Data) != "later" {
		t.Fatalf("%q, %v", b.Data, err)
	}
}
