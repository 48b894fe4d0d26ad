package eventlog

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"

	"logtools/pkg/internal/vfs/vfstest"
	"logtools/pkg/stream"
)

// moment is a point in a history, and what was acknowledged by then.
type moment struct {
	op    int
	acked *deeds
}

func tortureMemory(t *testing.T, n int, rng *rand.Rand) {
	m := vfstest.New()
	k := newDeeds()
	k.lossy = true
	partitions := 1 + n%2
	var mu sync.Mutex
	var moments []moment
	total := 0

	var wg sync.WaitGroup
	for w := range 3 {
		seed := rng.Uint64()
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 0))
			for run := range 4 {
				p := m.Process()
				killed := run < 3 && rng.IntN(2) == 0
				if killed {
					p.KillAt(20 + rng.IntN(400))
				}
				if run < 3 && rng.IntN(2) == 0 {
					m.FailIf(1+rng.IntN(20), func(o vfstest.Op) bool {
						return (o.Kind == vfstest.Sync || o.Kind == vfstest.Write) && strings.HasSuffix(o.Name, segmentExt)
					}, syscall.EIO, rng.IntN(2) == 0)
				}
				l, err := OpenOrCreate(context.Background(), "log", smallSegments(partitions), Options{FS: p, Warn: func(msg string) { t.Error("warning:", msg) }})
				if err == nil {
					patience := []float64{0, 0.1, 1}[rng.IntN(3)]
					err = writeDeeds(l, AppendOptions{Workers: 2}, w, run, patience, func(n int) bool { return n < 25 }, func(d deed, a stream.Ack) {
						k.ack(d, a.Offset)
						mu.Lock()
						defer mu.Unlock()
						if total++; total%40 == 0 {
							acked := k.clone() // before the operations are counted
							moments = append(moments, moment{len(m.Log()), acked})
						}
					})
				}
				// Another process may have met the fault: then what this one had in
				// that segment is void.
				void := err != nil && strings.Contains(err.Error(), "another process gave up the segment")
				if err != nil && !void && !errors.Is(err, syscall.EIO) && !(killed && errors.Is(err, vfstest.ErrKilled)) {
					t.Errorf("writer %d, run %d: %v", w, run, err)
				}
				p.Kill()
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	moments = append(moments, moment{len(m.Log()), k})
	for _, at := range moments {
		for _, how := range []vfstest.Loss{vfstest.LoseAll(), vfstest.KeepAll(), vfstest.Random(rng.Uint64()), vfstest.Ordered(rng.Uint64())} {
			c := m.Crash(at.op, how)
			// A writer recovers it, and must see no damage; then it must be as
			// was said.
			l, err := Open("log", Options{FS: c, Warn: func(msg string) { t.Error("warning after a crash:", msg) }})
			if err != nil {
				t.Fatal(err)
			}
			after := at.acked.clone()
			if err := writeDeeds(l, AppendOptions{Workers: 1}, 99, 0, 1, func(n int) bool { return n < 2*partitions }, func(d deed, a stream.Ack) {
				after.ack(d, a.Offset)
			}); err != nil {
				t.Fatal(err)
			}
			after.check(t, c, "log", partitions)
			if t.Failed() {
				t.Fatalf("power cut after operation %d of %d, %v", at.op, len(m.Log()), how)
			}
		}
	}
	if n == 0 {
		t.Logf("%d batches acknowledged, %d operations, %d power cuts", k.count(), len(m.Log()), 4*len(moments))
	}
}
