package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

func TestFiles(t *testing.T) {
	const n = 20_000
	dir := t.TempDir()
	if err := run(dir, n); err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	access, app, logfmt := read("access.log"), read("app.ndjson"), read("app.log")

	z, err := gzip.NewReader(bytes.NewReader(read("access.log.gz")))
	if err != nil {
		t.Fatal(err)
	}
	if unpacked, err := io.ReadAll(z); err != nil || !bytes.Equal(unpacked, access) {
		t.Errorf("access.log.gz is not access.log: %v", err)
	}

	combined := regexp.MustCompile(`^\S+ - \S+ \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "(\\.|[^"\\])*" \d{3} \d+ "[^"]*" "[^"]*"$`)
	lines := bytes.Split(bytes.TrimSuffix(access, []byte{'\n'}), []byte{'\n'})
	if len(lines) != n {
		t.Errorf("access.log has %d lines", len(lines))
	}
	for i, line := range lines {
		if !combined.Match(line) {
			t.Errorf("access.log:%d: %s", i+1, line)
		}
	}

	lines = bytes.Split(bytes.TrimSuffix(app, []byte{'\n'}), []byte{'\n'})
	if len(lines) != n {
		t.Errorf("app.ndjson has %d lines", len(lines))
	}
	statuses := map[int]int{}
	odd := 0
	for i, line := range lines {
		var r struct {
			Status  int
			Request string
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Errorf("app.ndjson:%d: %v: %s", i+1, err, line)
		}
		statuses[r.Status]++
		if r.Request != "" {
			odd++
		}
	}
	for _, s := range []int{200, 304, 404, 500, 503} {
		if statuses[s] == 0 {
			t.Errorf("no request has status %d", s)
		}
	}
	if odd == 0 || odd > n/1000 {
		t.Errorf("%d odd requests", odd)
	}

	pairs := regexp.MustCompile(`^time=\S+ level=(info|warn|error) msg=(\w+|"[^"]*") (path=[^\s"]+|request="(\\.|[^"\\])*") status=\d{3} ms=\d+(\.\d+)?$`)
	lines = bytes.Split(bytes.TrimSuffix(logfmt, []byte{'\n'}), []byte{'\n'})
	if len(lines) != n {
		t.Errorf("app.log has %d lines", len(lines))
	}
	for i, line := range lines {
		if !pairs.Match(line) {
			t.Errorf("app.log:%d: %s", i+1, line)
		}
	}

	// The same lines on every machine and in every release; change the sums when
	// the sample is meant to change.
	for name, c := range map[string]struct {
		data []byte
		sum  uint32
	}{"access.log": {access, 0x9c9d3ab2}, "app.ndjson": {app, 0x459c8a48}, "app.log": {logfmt, 0xcec2c9ec}} {
		if got := crc32.ChecksumIEEE(c.data); got != c.sum {
			t.Errorf("%s has the sum %#x, not %#x", name, got, c.sum)
		}
	}
}
