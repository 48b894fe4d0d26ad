package guard

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"logtools/pkg/eventlog"
	"logtools/pkg/internal/vfs"
	"logtools/pkg/stream"
)

// onDisk returns a keeper of a new table.
func onDisk(b testing.TB, g *Guard) *keeper {
	g.fs, g.dir = vfs.OS{}, filepath.Join(b.TempDir(), "guard")
	k, err := g.Keeper(0, func(eventlog.Mark) (bool, error) { return true, nil })
	if err != nil {
		b.Fatal(err)
	}
	return k.(*keeper)
}

// Each operation is an event of about 360 bytes. A claim is a new one until there are
// a million, then each is refused; accounts are 100,000.
func BenchmarkRules(b *testing.B) {
	const names, accounts, perBatch = 1_000_000, 100_000, 2_900
	text := strings.Repeat("lorem ", 46)
	for _, bm := range []struct {
		name  string
		rules eventlog.Rules
		line  func(i int) string
	}{
		{"unique", eventlog.Rules{Key: ".username", Unique: ".username"}, func(i int) string {
			name := fmt.Sprintf("user-%d", i*7919%names)
			return fmt.Sprintf(`{"key":"%s","value":{"username":"%s","n":%d,"text":"%s"}}`, name, name, i, text)
		}},
		{"fold", eventlog.Rules{Key: ".account", Fold: ". + $e.amount", Init: "0", Check: ". >= 0"}, func(i int) string {
			account := fmt.Sprintf("account-%d", i*7919%accounts)
			return fmt.Sprintf(`{"key":"%s","value":{"account":"%s","amount":%d,"text":"%s"}}`, account, account, i%100, text)
		}},
	} {
		var batches []*stream.Batch
		for i := 0; i < names; {
			var lines []string
			for ; len(lines) < perBatch && i < names; i++ {
				lines = append(lines, bm.line(i))
			}
			batches = append(batches, batchOf(lines))
		}
		b.Run(bm.name, func(b *testing.B) {
			g, err := newGuard(&bm.rules, 1, Options{})
			if err != nil {
				b.Fatal(err)
			}
			k := onDisk(b, g)
			b.ReportAllocs()
			n, at := 0, 0
			for b.Loop() {
				if n--; n > 0 {
					continue
				}
				batch := batches[at%len(batches)]
				if at++; at%len(batches) == 0 && bm.rules.Unique != "" {
					b.StopTimer()
					k = onDisk(b, g)
					b.StartTimer()
				}
				n = batch.Count
				p, err := g.Prepare(batch)
				if err != nil {
					b.Fatal(err)
				}
				refused, err := k.Judge(p, batch, k.Known(), false)
				if err != nil || len(refused) > 0 {
					b.Fatal(err, refused)
				}
				if k.Due(false) {
					if err := k.Store(eventlog.Mark{Next: k.Known()}); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
		b.Run(bm.name+"/learn", func(b *testing.B) {
			g, err := newGuard(&bm.rules, 1, Options{})
			if err != nil {
				b.Fatal(err)
			}
			k := onDisk(b, g)
			b.ReportAllocs()
			n, at := 0, 0
			for b.Loop() {
				if n--; n > 0 {
					continue
				}
				batch := batches[at%len(batches)]
				at++
				n = batch.Count
				block := &stream.Block{Data: batch.Lines, Pos: stream.Positions{InLog: true, Base: k.Known()}}
				if err := k.Learn(block); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
