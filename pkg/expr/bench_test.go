package expr

import (
	"testing"

	"logtools/pkg/event"
)

const benchLine = `{"time":"2024-05-17T10:23:45.123Z","level":"info","service":"checkout","host":"web-07.eu-west-1.example.net","method":"GET","path":"/api/v1/orders/8123","status":503,"bytes":18234,"duration_ms":12.75,"user_agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0 Safari/537.36","request_id":"9f1c2b7e-55aa-4f0e-a6cd-0d1f6f1e2a3b"}`

// benchEvent compiles src and reads the line once: what is measured is the
// program alone.
func benchEvent(b *testing.B, src string, compile func(string, *event.Fields) (*Program, error)) (*Program, *event.Event) {
	fields := new(event.Fields)
	p, err := compile(src, fields)
	if err != nil {
		b.Fatal(err)
	}
	ev := new(event.Event)
	ev.Reset(fields.Len())
	if err := event.NewReader(fields, event.Auto).Read([]byte(benchLine), ev); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	return p, ev
}

func BenchmarkTest(b *testing.B) {
	for _, src := range []string{
		`.status >= 500`, `.status >= 500 and .method == "GET"`, `.nope == 1`, `.duration_ms > 10.5`, `.path | startswith("/api/")`,
		`.path | test("^/api/v[0-9]+/")`, `.path | test("orders")`, `.host | ascii_downcase | contains("eu-west")`, `.status / 100 == 5`,
	} {
		b.Run(src, func(b *testing.B) {
			p, ev := benchEvent(b, src, Compile)
			if !p.Fast() {
				b.Fatal("not fast")
			}
			r := NewRunner()
			for b.Loop() {
				r.Reset()
				if _, err := p.Test(r, ev); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRun(b *testing.B) {
	for _, src := range []string{
		`.path`, `{path, status}`, `{path, status, d: (.duration_ms * 1000)}`, `[.path, .status]`, `"\(.method) \(.path)"`, `.time[:13]`, `.status, .path`, `.[]`,
		`.status |= . + 1`, `.seen = true`, `del(.user_agent)`, `keys`, `map_values(tostring)`, `with_entries(select(.key != "path"))`, `tojson`, `[..] | length`,
		`.path | split("/") | .[2]`, `[.method, .path] | join(" ")`, `.path | gsub("/"; "-")`, `.path | gsub("[0-9]+"; "N")`, `.path | gsub("(?<x>[0-9]+)"; "<\(.x)>")`, `.path | capture("/api/v(?<v>[0-9]+)")`,
	} {
		b.Run(src, func(b *testing.B) {
			p, ev := benchEvent(b, src, Compile)
			if !p.Fast() {
				b.Fatal("not fast")
			}
			r := NewRunner()
			for b.Loop() {
				r.Reset()
				if _, err := p.Run(r, ev); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkGojq are programs in the gojq engine, also some that the raw engine
// would take.
func BenchmarkGojq(b *testing.B) {
	for _, src := range []string{
		`.status >= 500`, `{path, status}`, `.path | split("/") | .[2]`, `{path, status, f: (.duration_ms | floor)}`, `.status |= . + 1`, `keys`, `. as {$path, $status} | [$path, $status]`, `group_by(.)?`,
	} {
		b.Run(src, func(b *testing.B) {
			p, ev := benchEvent(b, src, compileSlowOnly)
			r := NewRunner()
			for b.Loop() {
				r.Reset()
				if _, err := p.Run(r, ev); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
