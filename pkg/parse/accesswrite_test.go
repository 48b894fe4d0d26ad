package parse

import (
	"strings"
	"testing"

	"logtools/pkg/event"
)

// Values must be written the quick way for most lines, and by its slow twin where
// the line or its block does not allow that.
func TestAccessPlain(t *testing.T) {
	simple := event.Clean{UTF8: true, NoControl: true, NoBackslash: true}
	escapes := event.Clean{UTF8: true, NoControl: true}
	block, in := inBlock(sample, simple, 40)
	_, marked := block.Marks(in) // not on every machine
	for _, c := range []struct {
		line  string
		clean event.Clean
		want  bool
	}{
		{sample, simple, true},
		{sample, escapes, marked},
		{sample, event.Clean{UTF8: true, NoBackslash: true}, false},
		{sample + ` "-"`, simple, true},
		{sample + ` "\""`, escapes, marked},
		{commonSample, simple, true},
		{strings.Replace(sample, "2326", "-", 1), simple, true},
		{strings.Replace(sample, "GET /a?b=c HTTP/1.1", "-", 1), simple, true},
		{strings.Replace(sample, "http://example.com/", "-", 1), simple, true},
		{strings.Replace(sample, "X11", `"X11"`, 1), simple, false},
		{strings.Replace(sample, "X11", `\x22`, 1), escapes, false},
		{strings.Replace(sample, "- -", "- bob", 1), simple, false},
		{strings.Replace(sample, "192.0.2.7", "-", 1), simple, false},
	} {
		for _, marks := range []bool{true, false} {
			p := newAccess(Options{}, true)
			clean, line := inBlock(c.line, c.clean, 40)
			want := c.want
			if !marks {
				clean = c.clean
				want = want && clean.NoBackslash
			}
			p.Block(clean)
			var ev event.Event
			if err := p.Parse(line, &ev); err != nil || p.plain != want {
				t.Errorf("%+v: %s: plain %v, want %v (%v)", c.clean, c.line, p.plain, want, err)
			}
			if got, want := string(ev.AppendValue(nil)), string(p.appendMembers(nil)); got != want {
				t.Errorf("%+v: %s:\n got %s\nwant %s", c.clean, c.line, got, want)
			}
		}
	}
}

// The quick way writes, and reads, beyond what it is asked for: into every kind of
// room there may be, and never over what was there before.
func TestAccessPlainRoom(t *testing.T) {
	clean := event.Clean{UTF8: true, NoControl: true, NoBackslash: true}
	const head = `192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] `
	longest := 0
	for _, line := range []string{
		sample, commonSample, head + `"-" 200 -`, head + `"-" 200 - "-" "-"`, head + `"" 200 - "" ""`,
		`ab - - [10/Oct/2000:13:55:36 -0700] "-" 200 - "-" "-"`, head + `"A b C/1" 200 1 "` + strings.Repeat("x", 15) + `" "` + strings.Repeat("y", 17) + `"`,
	} {
		slow := access{combined: true, line: []byte(line)}
		if err := slow.split(slow.line, true); err != nil {
			t.Fatal(err)
		}
		want := string(slow.appendMembers(nil))
		longest = max(longest, len(want)-len(line))
		for room := 1; room < 40; room++ { // behind the line
			c, in := inBlock(line, clean, room)
			p := newAccess(Options{}, true)
			p.Block(c)
			var ev event.Event
			if err := p.Parse(in, &ev); err != nil {
				t.Fatal(err)
			}
			for free := 0; free < len(want)+2*chunk; free++ { // behind dst
				dst := append(make([]byte, 0, 6+free), "before"...)
				if got := string(ev.AppendValue(dst)); got != "before"+want {
					t.Fatalf("%d bytes behind the line, %d behind dst:\n got %s\nwant before%s", room, free, got, want)
				}
			}
			dst := make([]byte, 0, len(line)+namesLen+chunk)
			if got := ev.AppendValue(dst); string(got) != want || cap(got) != cap(dst) {
				t.Fatalf("got %s\nwant %s", got, want)
			}
		}
	}
	if longest > namesLen {
		t.Errorf("names take %d bytes, not %d", longest, namesLen)
	}
}

func TestAccessSeveralEvents(t *testing.T) {
	p := newCombined(Options{})
	var a, b event.Event
	second := strings.Replace(sample, "192.0.2.7", "192.0.2.8", 1)
	if p.Parse([]byte(sample), &a) != nil || p.Parse([]byte(second), &b) != nil {
		t.Fatal("bad line")
	}
	if got := string(a.AppendValue(nil)); got != sampleOut {
		t.Errorf("the first event has become %s", got)
	}
	if got := string(b.AppendValue(nil)); got != strings.Replace(sampleOut, "192.0.2.7", "192.0.2.8", 1) {
		t.Errorf("the second event is %s", got)
	}
	// A common line after a combined one, and at the same place in memory.
	a.Reset(0)
	b.Reset(0)
	line := []byte(sample)
	if p.Parse(line, &a) != nil || p.Parse(line[:len(commonSample)], &b) != nil {
		t.Fatal("bad line")
	}
	if got := string(a.AppendValue(nil)); got != sampleOut {
		t.Errorf("the combined event is %s", got)
	}
	if got, want := string(b.AppendValue(nil)), sampleOut[:strings.Index(sampleOut, `,"referer"`)]+"}"; got != want {
		t.Errorf("the common event is %s, want %s", got, want)
	}
	if !a.Bare || string(a.Line) != sample {
		t.Errorf("bare %v, line %s", a.Bare, a.Line)
	}
	if _, ok := p.Time(); !ok {
		t.Error("no time")
	}
}

func TestAccessNoAllocation(t *testing.T) {
	f := new(event.Fields)
	f.Add("path")
	p := newCombined(Options{Fields: f})
	var ev event.Event
	buf := make([]byte, 0, 1024)
	for _, s := range []string{sample, "h:80 " + strings.Replace(sample, "- -", "- bob", 1)} {
		clean, line := inBlock(s, cleanOf(s), 40)
		p.Block(clean)
		if n := testing.AllocsPerRun(100, func() {
			ev.Reset(1)
			if p.Parse(line, &ev) != nil {
				t.Fatal("bad line")
			}
			p.Time()
			ev.AppendValue(buf)
		}); n != 0 {
			t.Errorf("%v allocations: %s", n, s)
		}
	}
}
