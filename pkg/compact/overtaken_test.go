package compact

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/eventlog"
	"logtools/pkg/stream"
)

// bulk returns a line of about n bytes.
func bulk(key, n int) string {
	return fmt.Sprintf(`{"key":"noise %d","value":"%s"}`, key, strings.Repeat(fmt.Sprint(key%10), n))
}

// A reader that is overtaken by a compaction has read what was superseded behind its
// end: it reads on up to there, or a deleted key would be alive for it.
func TestOvertakenReader(t *testing.T) {
	for _, o := range []eventlog.ReadOptions{{}, {Tail: 1 << 40}} {
		f := newFixture(t)
		f.add(put(1, 1))
		f.seal()
		for i := range 20 {
			f.add(bulk(i, 100_000))
			f.seal()
		}
		f.add(del(1))
		f.seal()
		f.add(put(2, 1))
		r, err := f.open().Read(0, o)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		state := map[string]string{}
		var b stream.Block
		for n := 0; ; n++ {
			if n == 2 { // the first event was read
				f.add(put(1, 2))
				f.run(compacting())
				f.add(put(1, 3)) // which nothing was removed for
			}
			err := r.Next(context.Background(), &b)
			if err == io.EOF {
				break
			}
			if err != nil || b.Err != nil {
				t.Fatal(err, b.Err)
			}
			for line := range strings.Lines(string(b.Data)) {
				key, value, _ := strings.Cut(strings.TrimSpace(line), `,"value":`)
				state[key] = value
			}
		}
		want := `{"n":2}}`
		if o.Tail > 0 { // who says how many gets no more
			want = `{"n":1}}`
		}
		if got := state[`{"key":1`]; got != want {
			t.Errorf("%+v: the key has the value %s, want %s", o, got, want)
		}
		if _, to := r.Range(); o.Tail == 0 && to != 24 {
			t.Errorf("it ends at %d", to)
		}
	}
}

// The active segment may grow, be sealed and be replaced while others are verified.
func TestVerifyBesideRun(t *testing.T) {
	f := newFixture(t)
	for i := range 20 {
		f.add(bulk(i, 10_000))
		if i%5 == 4 {
			f.seal()
		}
	}
	f.add(put(100, 1), put(100, 2))
	did := false
	_, err := f.open().Verify(context.Background(), 0, eventlog.VerifyOptions{
		Damaged: func(d *event.DamagedError) { t.Errorf("no damage: %v", d) },
		Progress: func(done, total int64) {
			if did {
				return
			}
			did = true
			for i := range 8 {
				f.add(bulk(i, 10_000))
			}
			f.run(compacting())
		},
	})
	if err != nil || !did {
		t.Error(err)
	}
}

// The keys are those of what retention leaves.
func TestRetainKeys(t *testing.T) {
	f := newFixtureOf(t, 1<<20)
	f.add(put(1, 1))
	f.pass(9 * 24 * time.Hour)
	f.add(put(2, 1))
	f.seal()
	f.pass(24 * time.Hour)
	f.add(put(2, 2))
	f.seal()
	f.pass(24 * time.Hour)
	o := compacting()
	o.Delete, o.RetainAge = true, 5*24*time.Hour
	for range 3 {
		if r := f.run(o); r.Keys != r.EventsAfter {
			t.Errorf("%+v", r)
		}
	}
	if n := len(f.lines()); n != 1 {
		t.Errorf("%d events are left", n)
	}
}

// A note that is newer than its log, as in a log that was restored, does not make
// tombstones go that no run has covered.
func TestRunNewerNote(t *testing.T) {
	f := newFixtureOf(t, 1<<20)
	f.add(put(1, 1), put(2, 1))
	f.seal()
	f.run(compacting())
	restored := f.killed()
	for i := range 10 {
		f.add(put(1, i), del(3))
	}
	f.run(compacting())
	newer, ok := f.m.ReadFile("log/00000/compacted")
	if ok != nil {
		t.Fatal(ok)
	}
	restored.m.WriteFile("log/00000/compacted", newer)
	restored.pass(48 * time.Hour)
	restored.add(put(1, 7), del(2))
	restored.run(compacting())
	if lines := strings.Join(restored.lines(), " "); !strings.Contains(lines, `{"key":2,"value":null}`) {
		t.Errorf("the tombstone went at once: %s", lines)
	}
}
