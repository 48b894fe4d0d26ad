package scan

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"logtools/pkg/expr"
	"logtools/pkg/parse"
	"logtools/pkg/stream"
)

// repeat hands out the same block n times.
type repeat struct {
	data []byte
	n    int64
	seq  int64
}

func (s *repeat) Next(ctx context.Context, b *stream.Block) error {
	if s.seq == s.n {
		return io.EOF
	}
	b.Data, b.Seq, b.First = s.data, s.seq, s.seq == 0
	s.seq++
	return nil
}

// lines makes about a mebibyte of NDJSON of ten members, 360 bytes a line.
func lines(kind string) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	var s strings.Builder
	for s.Len() < 1<<20 {
		agent := "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/100.0.4896.127 Safari/537.36"
		path := fmt.Sprintf("/%x/%x.html", rng.Uint64(), rng.Uint32())
		switch kind {
		case "escapes":
			agent = strings.ReplaceAll(agent, "/", `\/`)
			path = strings.ReplaceAll(path, "/", `\"\u00e9`)
		case "non-ASCII":
			agent = strings.Repeat("Ångström, größer, naïve, 東京, ", 3) + "Ελληνικά"
			path = fmt.Sprintf("/größe/%x/日本語", rng.Uint64())
		}
		members := []string{
			fmt.Sprintf(`"time":"2026-01-01T%02d:%02d:%02d.%03dZ"`, rng.IntN(24), rng.IntN(60), rng.IntN(60), rng.IntN(1000)),
			fmt.Sprintf(`"remote_addr":"%d.%d.%d.%d"`, rng.IntN(256), rng.IntN(256), rng.IntN(256), rng.IntN(256)),
			`"method":"GET"`,
			fmt.Sprintf(`"path":"%s"`, path),
			fmt.Sprintf(`"status":%d`, []int{200, 200, 200, 404, 500}[rng.IntN(5)]),
			fmt.Sprintf(`"bytes":%d`, rng.IntN(1e6)),
			`"referer":"https://example.com/"`,
			fmt.Sprintf(`"user_agent":"%s"`, agent),
			fmt.Sprintf(`"request_time":%.4f`, rng.Float64()),
			fmt.Sprintf(`"user":"u%d"`, rng.IntN(50000)),
		}
		if kind == "layouts" {
			rng.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
			members = members[:6+rng.IntN(5)]
			members = append(members, fmt.Sprintf(`"extra%d":{"a":[1,2,{"b":null}]}`, rng.IntN(30)))
		}
		s.WriteString("{" + strings.Join(members, ",") + "}\n")
	}
	return []byte(s.String())
}

// BenchmarkFilter is logcat -w '.status>=500' without input and output. Lines
// with escapes, with layouts that change from line to line, and with text
// beyond ASCII may cost twice as much per byte as plain ones, not more.
func BenchmarkFilter(b *testing.B) {
	for _, kind := range []string{"plain", "escapes", "layouts", "non-ASCII"} {
		b.Run(kind, func(b *testing.B) {
			data := lines(kind)
			q := &Query{}
			p, err := expr.Compile(".status>=500", &q.Fields)
			if err != nil {
				b.Fatal(err)
			}
			q.Where = p
			format, _ := parse.ByName("json")
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			in := &repeat{data: data, n: int64(b.N)}
			if err := Run(context.Background(), Options{Format: format, Workers: 1}, q, in, func() Operator { return discard{} }, &record{}); err != nil {
				b.Fatal(err)
			}
		})
	}
}

type discard struct{}

func (discard) Event(*Item, *expr.Runner, *Result) error { return nil }
func (discard) EndBlock(*Result)                         {}
