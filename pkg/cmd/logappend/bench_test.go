package logappend

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"logtools/pkg/cli"
	"logtools/pkg/stream"
)

// sinkhole is an Appender that stores nothing.
type sinkhole struct{ events, batches int64 }

func (h *sinkhole) Append(_ context.Context, b *stream.Batch, done func(stream.Ack, error)) error {
	h.events += int64(b.Count)
	h.batches++
	done(stream.Ack{Partition: b.Partition, Count: b.Count, Durable: true}, nil)
	return nil
}

func (h *sinkhole) Flush(context.Context) error { return nil }
func (h *sinkhole) Close() error                { return nil }

// BenchmarkAppend reads a file of events of 360 bytes and makes batches of them,
// which are not stored.
func BenchmarkAppend(b *testing.B) {
	const n = 200_000
	var text strings.Builder
	for i := range n {
		line := fmt.Sprintf(`{"n":%d,"user":"u%d","level":"info","path":"/api/v1/items/%d","msg":"`, i, i*7919%10_007, i%977)
		fmt.Fprintf(&text, "%s%s\"}\n", line, strings.Repeat("lorem ", 60)[:357-len(line)])
	}
	file := filepath.Join(b.TempDir(), "in")
	if err := os.WriteFile(file, []byte(text.String()), 0o666); err != nil {
		b.Fatal(err)
	}
	for _, bm := range []struct {
		name       string
		args       string
		partitions int
	}{
		{"plain", "", 1},
		{"key", "-k .user", 1},
		{"key/16", "-k .user", 16},
		{"key/64", "-k .user", 64},
		{"time", "-t 1700000000", 1},
		{"tee", "--tee", 1},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(text.Len()))
			var h sinkhole
			c := func(context.Context, *wanted, func(string)) (*openedLog, error) {
				return &openedLog{partitions: bm.partitions, appender: func() (stream.Appender, error) { return &h, nil }}, nil
			}
			for b.Loop() {
				in, err := os.Open(file)
				if err != nil {
					b.Fatal(err)
				}
				if exit := cli.Exec(b.Context(), command(c), append(strings.Fields(bm.args), "LOG"), &cli.Streams{In: in}); exit != cli.OK {
					b.Fatal(exit)
				}
				in.Close()
			}
			if h.events != int64(b.N)*n {
				b.Errorf("%d events", h.events)
			}
			b.ReportMetric(float64(h.events)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(h.batches)/float64(b.N), "batches/op")
		})
	}
}
