package compact

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"logtools/pkg/eventlog"
	"logtools/pkg/internal/vfs/vfstest"
)

// user is an event as a log of users has it.
func user(n int, timed bool) string {
	names := []string{"Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Tony", "Leslie", "Frances", "Niklaus"}
	towns := []string{"London", "New York", "Cambridge", "Rotterdam", "Los Angeles", "Milwaukee", "Colombo", "Zürich"}
	r := n * 7919 % 104729
	line := fmt.Sprintf(`"key":%d,"value":{"id":%d,"name":%q,"town":%q,"visits":%d,"balance":%d.%02d}}`,
		n, n, names[r%len(names)], towns[r/3%len(towns)], r%211, r%4001, r%100)
	if timed {
		return fmt.Sprintf(`{"time":"%s",%s`, begun.Add(time.Duration(n)*time.Minute).Format(time.RFC3339), line)
	}
	return "{" + line
}

// logcat returns what logcat prints.
func (f *fixture) logcat() string {
	f.t.Helper()
	all, err := f.read(eventlog.ReadOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range all {
		fmt.Fprintf(&b, `{"partition":0,"offset":%d,`, e.offset)
		if !strings.HasPrefix(e.line, timeMember) {
			fmt.Fprintf(&b, `"time":"%s",`, time.UnixMicro(e.appended).UTC().Format(time.RFC3339Nano))
		}
		b.WriteString(e.line[1:] + "\n")
	}
	return b.String()
}

// compressed is how large a text is as zstd -3 makes it.
func compressed(t *testing.T, text string) int64 {
	t.Helper()
	c := exec.Command("zstd", "-3", "-c")
	c.Stdin = strings.NewReader(text)
	out, err := c.Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("there is no zstd to compare with")
	}
	if err != nil {
		t.Fatal(err)
	}
	return int64(len(out))
}

// written is how many bytes were written to segments that take the place of others.
func (f *fixture) written(from int) (n int64) {
	for _, op := range f.m.Log()[from:] {
		if op.Kind == vfstest.Write && strings.Contains(op.Name, ".zst.new-") {
			n += int64(op.Len)
		}
	}
	return n
}

// A log to which events are appended one by one is, once compacted, about as large as
// what logcat prints of it is when it is compressed, and has few segments; to keep it
// like that costs little.
func TestSize(t *testing.T) {
	for _, timed := range []bool{false, true} {
		f := newFixtureOf(t, eventlog.DefaultSegmentBytes)
		n := 0
		appendSome := func(events int) {
			add, done := f.appender()
			defer done()
			for range events {
				if _, err := add(user(n, timed)); err != nil {
					t.Fatal(err)
				}
				n++
				f.pass(time.Minute + 123*time.Microsecond)
			}
		}
		check := func(what string) {
			t.Helper()
			size, segments := int64(0), f.segments()
			for _, s := range segments {
				size += s.Bytes
			}
			want := compressed(t, f.logcat())
			if ratio := float64(size) / float64(want); ratio > 1.15 {
				t.Errorf("%s, timed %v: %d bytes in %d segments, %.3f times %d", what, timed, size, len(segments), ratio, want)
			}
		}
		for range 5 {
			appendSome(1000)
			f.seal()
			f = f.killed()
		}
		before := int64(0)
		for _, s := range f.segments() {
			before += s.Bytes
		}
		r := f.run(compacting())
		if r.EventsAfter != 5000 || r.Keys != 5000 || r.BytesAfter > before/4 {
			t.Errorf("%+v", r)
		}
		check("at once")

		written, most := int64(0), 0
		for range 50 {
			appendSome(100)
			from := len(f.m.Log())
			f.run(compacting())
			written += f.written(from)
			most = max(most, len(f.segments()))
			f = f.killed()
		}
		if len(f.lines()) != 10_000 {
			t.Error("events are gone")
		}
		size := int64(0)
		for _, s := range f.segments() {
			size += s.Bytes
		}
		if written > 10*size || most > 6 {
			t.Errorf("%d bytes written for %d, up to %d segments", written, size, most)
		}
		check("little by little")
	}
}

// Where few events go, the others take no more than before: their offsets are runs.
func TestSizeFewGo(t *testing.T) {
	f := newFixtureOf(t, 1<<20)
	var lines, newer []string
	for i := range 20_000 {
		lines = append(lines, put(i, i*i%1000))
		if i%50 == 0 {
			newer = append(newer, put(i, -1))
		}
	}
	f.add(lines...)
	f.add(newer...)
	f.seal()
	r := f.run(compacting())
	if r.EventsAfter != 20_000 || r.BytesAfter > r.BytesBefore {
		t.Errorf("%+v", r)
	}
}
