package parse

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"logtools/pkg/event"
)

// Records as shops, exports of databases, and logs in tables have them.
var csvBenchData = []struct {
	name, head, member string
	record             func(r *rand.Rand) string
}{
	{"plain", "invoice,stock_code,description,quantity,invoice_date,unit_price,customer_id,country", "description", func(r *rand.Rand) string {
		return fmt.Sprintf("%d,%dA,%s,%d,2026-01-%02d %02d:%02d:00,%d.%02d,%d.0,United Kingdom", 500000+r.IntN(99999), r.IntN(99999),
			[]string{"WHITE HANGING HEART T-LIGHT HOLDER", "RED LANTERN", "JUMBO BAG"}[r.IntN(3)], r.IntN(50), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(30), r.IntN(100), 10000+r.IntN(9999))
	}},
	{"quoted", `"id","name","mail","city","amount"`, "mail", func(r *rand.Rand) string {
		return fmt.Sprintf(`"%d","Name %x","user%d@example.com","Saint-Denis, %d","%d.%02d"`, r.IntN(1e6), r.IntN(1e9), r.IntN(1e5), r.IntN(1e5), r.IntN(1e3), r.IntN(100))
	}},
	{"doubled", "id,time,level,content,event", "level", func(r *rand.Rand) string {
		return fmt.Sprintf(`%d,2026-01-16T00:00:%02dZ,INFO,"10.11.10.1 ""GET /v2/%x/servers/detail HTTP/1.1"" status: 200, len: %d",E%d`, r.IntN(1e6), r.IntN(60), r.Uint64(), r.IntN(9999), r.IntN(30))
	}},
	{"short", "a,b,c,d,e,f,g,h,i,j", "e", func(r *rand.Rand) string {
		return fmt.Sprintf("%d,%d,x,,%d,0,1,ab,%d,no", r.IntN(10), r.IntN(1000), r.IntN(100), r.IntN(10))
	}},
}

func BenchmarkCSV(b *testing.B) {
	for _, c := range csvBenchData {
		for _, mode := range []string{"value", "member", "next"} {
			b.Run(c.name+"/"+mode, func(b *testing.B) {
				r := rand.New(rand.NewPCG(1, 2))
				var block []byte
				for range 1024 {
					block = append(append(block, c.record(r)...), '\n')
				}
				_, head, err := comma.head([]byte(c.head))
				if err != nil {
					b.Fatal(err)
				}
				f := new(event.Fields)
				if mode == "member" {
					f.Add(c.member)
				}
				p := newCSV(Options{Fields: f, Head: head})
				var clean event.Clean
				clean.Inspect(block)
				p.Block(clean)
				var ev event.Event
				var buf []byte
				b.SetBytes(int64(len(block)))
				best := time.Hour
				for b.Loop() {
					start := time.Now()
					for data := block; len(data) > 0; {
						n := comma.next(data)
						if mode != "next" {
							ev.Reset(f.Len())
							if err := p.Parse(data[:n-1], &ev); err != nil {
								b.Fatal(err)
							}
							if mode == "value" {
								buf = ev.AppendValue(buf[:0])
							}
						}
						data = data[n:]
					}
					best = min(best, time.Since(start))
				}
				b.ReportMetric(float64(len(block))/1e6/best.Seconds(), "best-MB/s")
			})
		}
	}
}

func BenchmarkCSVWhole(b *testing.B) {
	for _, c := range csvBenchData {
		b.Run(c.name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			var block strings.Builder
			for range 2048 {
				block.WriteString(c.record(r) + "\n")
			}
			data := []byte(block.String())
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if comma.whole(data) != len(data) {
					b.Fatal("not whole")
				}
			}
		})
	}
}
