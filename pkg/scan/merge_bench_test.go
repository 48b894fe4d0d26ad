package scan

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"logtools/pkg/expr"
	"logtools/pkg/parse"
	"logtools/pkg/stream"
)

// mergeFiles makes the text of inputs whose events follow each other in time:
// event by event in the same second, or ("rotated") input by input.
func mergeFiles(kind string, inputs, size int) (files [][]byte) {
	rng := rand.New(rand.NewPCG(1, 3))
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for input := range inputs {
		at := start
		if kind == "rotated" {
			at = start.Add(time.Duration(input) * 24 * time.Hour)
		}
		var s bytes.Buffer
		for s.Len() < size {
			at = at.Add(time.Duration(rng.IntN(20)) * time.Millisecond)
			ip := fmt.Sprintf("%d.%d.%d.%d", rng.IntN(256), rng.IntN(256), rng.IntN(256), rng.IntN(256))
			path := fmt.Sprintf("/%x/%x.html", rng.Uint64(), rng.Uint32())
			if kind == "access" {
				fmt.Fprintf(&s, "%s - - [%s] \"GET %s HTTP/1.1\" 200 %d \"https://example.com/\" \"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)\"\n",
					ip, at.Format("02/Jan/2006:15:04:05 -0700"), path, rng.IntN(1e6))
				continue
			}
			fmt.Fprintf(&s, "{\"time\":\"%s\",\"remote_addr\":\"%s\",\"method\":\"GET\",\"path\":\"%s\",\"status\":200,\"bytes\":%d,\"referer\":\"https://example.com/\",\"user\":\"u%d\"}\n",
				at.Format("2006-01-02T15:04:05.000Z"), ip, path, rng.IntN(1e6), rng.IntN(50000))
		}
		files = append(files, s.Bytes())
	}
	return files
}

// inMemory hands out a text in blocks, as a copy: so does reading a file.
type inMemory struct {
	text  []byte
	seq   int64
	input int
}

func (m *inMemory) Next(_ context.Context, b *stream.Block) error {
	const size = 256 << 10
	if len(m.text) == 0 {
		return io.EOF
	}
	n := len(m.text)
	if n > size {
		n = bytes.LastIndexByte(m.text[:size], '\n') + 1
	}
	if cap(b.Buf) < size {
		b.Buf = make([]byte, size)
	}
	*b = stream.Block{Buf: b.Buf, Data: append(b.Buf[:0], m.text[:n]...), Input: m.input, First: m.seq == 0, Seq: m.seq, SeqInInput: m.seq}
	m.text = m.text[n:]
	m.seq++
	return nil
}

// BenchmarkMerge is logcat --merge without input and output.
func BenchmarkMerge(b *testing.B) {
	for _, c := range []struct {
		kind   string
		inputs int
		format string
	}{{"json", 16, "json"}, {"rotated", 16, "json"}, {"access", 16, "combined"}, {"json", 200, "json"}} {
		b.Run(fmt.Sprintf("%s-%d", c.kind, c.inputs), func(b *testing.B) {
			files := mergeFiles(c.kind, c.inputs, 64<<20/c.inputs)
			format, _ := parse.ByName(c.format)
			total := 0
			for _, f := range files {
				total += len(f)
			}
			b.SetBytes(int64(total))
			b.ReportAllocs()
			for b.Loop() {
				var all []stream.Blocks
				for _, f := range files {
					all = append(all, &inMemory{text: f})
				}
				k := &drain{}
				if err := Merge(context.Background(), MergeOptions{Options: Options{Format: format}}, &Query{}, all, newLines, k); err != nil {
					b.Fatal(err)
				}
				if k.n < total {
					b.Fatalf("%d bytes of %d", k.n, total)
				}
			}
		})
	}
}

// asIs writes lines as they are, or what they are in JSON.
type asIs struct{}

func newLines() Operator { return asIs{} }

func (asIs) Event(it *Item, _ *expr.Runner, out *Result) error {
	if it.AsIs {
		out.Out = append(append(out.Out, it.Line...), '\n')
	} else {
		out.Out = append(it.AppendValue(out.Out), '\n')
	}
	return nil
}
func (asIs) EndBlock(*Result) {}

// drain counts bytes.
type drain struct {
	record
	n int
}

func (k *drain) Block(r *Result) error { k.n += len(r.Out); return nil }

func (k *drain) Unsorted(string, int64) { panic("unsorted") }
