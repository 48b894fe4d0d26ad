package eventlog

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/stream"
)

// BenchmarkAppend appends batches of 1 MiB with a sync each, as fast as it goes.
func BenchmarkAppend(b *testing.B) {
	line := []byte(`{"time":"2026-01-01T00:00:00.001Z","remote_addr":"17.249.129.246","method":"GET","path":"/0c869994/09cdc/918?q=26","status":200,"bytes":340,"referer":"https://example.com/0d546f50","user":"u%07d"}` + "\n")
	var batches []*stream.Batch
	for i := range 8 {
		var lines bytes.Buffer
		n := 0
		for lines.Len() < 1<<20 {
			fmt.Fprintf(&lines, string(line), i*7919*n%100000)
			n++
		}
		batches = append(batches, &stream.Batch{Lines: lines.Bytes(), Count: n, Expect: -1})
	}
	l := mustCreate(b, vfs.OS{}, filepath.Join(b.TempDir(), "log"), Change{})
	a, err := l.Appender(AppendOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(1 << 20)
	for i := 0; b.Loop(); i++ {
		if err := a.Append(context.Background(), batches[i%8], func(_ stream.Ack, err error) {
			if err != nil {
				b.Error(err)
			}
		}); err != nil {
			b.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkAck appends single events, each once the one before it was acknowledged.
func BenchmarkAck(b *testing.B) {
	l := mustCreate(b, vfs.OS{}, filepath.Join(b.TempDir(), "log"), Change{})
	a, err := l.Appender(AppendOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	one := batch(`{"time":"2026-01-01T00:00:00.001Z","remote_addr":"17.249.129.246","method":"GET","path":"/0c869994/09cdc/918?q=26","status":200,"bytes":340}`)
	for b.Loop() {
		done := false
		if err := a.Append(context.Background(), one, func(_ stream.Ack, err error) { done = err == nil }); err != nil || !done {
			b.Fatal(err)
		}
	}
}

// BenchmarkWriteSync is the limit of BenchmarkAck: the bare write and sync.
func BenchmarkWriteSync(b *testing.B) {
	f, err := vfs.OS{}.Open(filepath.Join(b.TempDir(), "file"), vfs.Create)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	buf := bytes.Repeat([]byte("x"), 300)
	for i := int64(0); b.Loop(); i++ {
		if _, err := f.WriteAt(buf, i*300); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}
