package logappend

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"logtools/pkg/cli"
	"logtools/pkg/eventlog"
	"logtools/pkg/stream"
)

// unique refuses what was there before, as a log with that rule does.
func unique() (*fake, eventlog.Rules) {
	taken := make(map[string]int64)
	f := &fake{rules: eventlog.Rules{Key: ".name", Unique: ".name"}}
	f.refuse = func(line string) *stream.Refusal {
		if at, ok := taken[line]; ok {
			return &stream.Refusal{Reason: ".name is taken", TakenBy: at}
		}
		taken[line] = int64(len(taken))
		return nil
	}
	return f, f.rules
}

const claims = `{"name":"ann"}
{"name":"bob"}
{"name":"ann"}
{"name":"cy"}
`

func TestRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "refused")
	kept := func(want string) {
		t.Helper()
		if got, err := os.ReadFile(file); string(got) != want || err != nil {
			t.Errorf("kept %s, %v; want %s", got, err, want)
		}
	}
	f, _ := unique()
	r := f.run(t, claims, "--tee", "--refused", file, "LOG")
	r.want(t, cli.BadInput, "refused")
	if want := "logappend: refused: \"ann\": .name is taken by offset 0\n"; r.err != want {
		t.Errorf("says %s", r.err)
	}
	if want := `{"key":"ann","value":{"name":"ann"}}
{"key":"bob","value":{"name":"bob"}}
{"key":"cy","value":{"name":"cy"}}
`; f.text(0) != want {
		t.Errorf("stored %s", f.text(0))
	}
	var offsets []string
	for line := range strings.Lines(r.out) {
		place, _, _ := strings.Cut(line, `,"time"`)
		_, value, _ := strings.Cut(line, `"value":`)
		offsets = append(offsets, place+value)
	}
	if got := strings.Join(offsets, ""); got != `{"partition":0,"offset":0{"name":"ann"}}
{"partition":0,"offset":1{"name":"bob"}}
{"partition":0,"offset":2{"name":"cy"}}
` {
		t.Errorf("--tee: %s", got)
	}
	kept(`{"key":"ann","headers":{"reason":".name is taken","taken_by":"0"},"value":{"name":"ann"}}` + "\n")

	// A batch of which nothing is stored lies nowhere.
	f.closed = false
	r = f.run(t, claims, "--acks", "--refused", file, "LOG")
	r.want(t, cli.BadInput, "by offset 0\n", "by offset 1\n", "by offset 2\n")
	if r.out != "" || f.count() != 1 {
		t.Errorf("%d batches; --acks: %s", f.count(), r.out)
	}
	kept(`{"key":"ann","headers":{"reason":".name is taken","taken_by":"0"},"value":{"name":"ann"}}
{"key":"bob","headers":{"reason":".name is taken","taken_by":"1"},"value":{"name":"bob"}}
{"key":"ann","headers":{"reason":".name is taken","taken_by":"0"},"value":{"name":"ann"}}
{"key":"cy","headers":{"reason":".name is taken","taken_by":"2"},"value":{"name":"cy"}}
`)
	f.closed = false
	r = f.run(t, claims+`{"name":"dee"}`, "--acks", "LOG")
	if r.out != `{"partition":0,"offset":3,"count":1}`+"\n" {
		t.Errorf("--acks: %s", r.out)
	}
	// An empty batch that asks is answered as ever.
	f.closed = false
	if r = f.run(t, "", "--acks", "--expect", "4", "LOG"); r.exit != cli.OK || r.out != `{"partition":0,"offset":4,"count":0}`+"\n" {
		t.Errorf("--expect: exit %d, %s%s", r.exit, r.out, r.err)
	}
	// The first five are named.
	f.closed = false
	r = f.run(t, claims+claims, "LOG")
	if n := strings.Count(r.err, "refused: "); n != 5 || !strings.HasSuffix(r.err, "logappend: 8 refused events, the first 5 are named\n") {
		t.Errorf("%d are named: %s", n, r.err)
	}
}

// What is kept is what was to be stored, with the headers put in.
func TestRefusedEventsAreKept(t *testing.T) {
	for _, tt := range []struct {
		line, want string
		several    bool
	}{
		{`{"key":"k","value":1}`, `{"key":"k","headers":{"reason":"no \"x\"\n","taken_by":"7"},"value":1}`, false},
		{`{"key":"k","value":1}`, `{"partition":2,"key":"k","headers":{"reason":"no \"x\"\n","taken_by":"7"},"value":1}`, true},
		{`{"a":1}`, `{"headers":{"reason":"no \"x\"\n","taken_by":"7"},"value":{"a":1}}`, false},
		{`{"value":1.50,"headers":{"h":"1","reason":"old","m":["1","2"],"t\u0061ken_by":"3"},"src":{"o@1f3a9c02/0":8},"time":"2026-01-02T03:04:05+01:00"}`,
			`{"time":"2026-01-02T03:04:05+01:00","headers":{"h":"1","m":["1","2"],"reason":"no \"x\"\n","taken_by":"7"},"src":{"o@1f3a9c02/0":8},"value":1.50}`, false},
	} {
		k, err := newRefusals(&cli.Streams{}, "", "", "", 1)
		if err != nil {
			t.Fatal(err)
		}
		k.several = tt.several
		if got := string(k.keeping([]byte(tt.line), &stream.Refusal{Reason: "no \"x\"\n", TakenBy: 7}, 2)); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
	k, _ := newRefusals(&cli.Streams{}, "", "", "", 1)
	if got := string(k.keeping([]byte("1"), &stream.Refusal{Reason: "r", TakenBy: -1}, 0)); got != `{"headers":{"reason":"r"},"value":1}` {
		t.Errorf("got %s", got)
	}
}

// Nothing is allocated for an event that is kept but not named.
func TestRefusedAllocatesNothing(t *testing.T) {
	k, err := newRefusals(&cli.Streams{}, filepath.Join(t.TempDir(), "refused"), "", "", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer k.to.Close()
	b := &stream.Batch{Lines: []byte(claims), Count: 4}
	a := stream.Ack{Refused: []stream.Refusal{{Index: 1, Reason: ".name is taken", TakenBy: 7}, {Index: 3, Reason: ".name is taken", TakenBy: 8}}}
	if n := testing.AllocsPerRun(100, func() { k.take(b, a) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRefusalsInWords(t *testing.T) {
	long := `{"key":"k","value":1}`
	for _, tt := range []struct {
		line, reason string
		takenBy      int64
		several      bool
		want         string
	}{
		{long, "check fails: . >= 0, state -5", -1, false, `"k": check fails: . >= 0, state -5`},
		{long, "check fails: . >= 0, state -5", -1, true, `"k": check fails: . >= 0, state -5`},
		{`{"name":"ann"}`, ".name is taken", 3, false, `{"name":"ann"}: .name is taken by offset 3`},
		{long, ".name is taken", 3, true, `"k": .name is taken by offset 3 of partition 2`},
		{`{"name":"` + strings.Repeat("x", 100) + `"}`, "r", -1, false, `{"name":"` + strings.Repeat("x", 51) + "…: r"},
		{`"` + strings.Repeat("ü", 100) + `"`, "r", -1, false, `"` + strings.Repeat("ü", 29) + "…: r"},
	} {
		k, err := newRefusals(&cli.Streams{}, "", "", "", 1)
		if err != nil {
			t.Fatal(err)
		}
		k.several = tt.several
		r := refusal{of: k, stored: []byte(tt.line), r: &stream.Refusal{Reason: tt.reason, TakenBy: tt.takenBy}, partition: 2}
		if r.Error() != tt.want {
			t.Errorf("got  %s\nwant %s", &r, tt.want)
		}
	}
}

func TestStopAtRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "refused")
	f, _ := unique()
	r := f.run(t, claims, "--on-reject=stop", "--tee", "--refused", file, "LOG")
	if r.exit != cli.Unmet || r.err != "logappend: refused: \"ann\": .name is taken by offset 0\nlogappend: 2 events were stored before that\n" {
		t.Errorf("exit %d, %s", r.exit, r.err)
	}
	if n := strings.Count(f.text(0), "\n"); n != 2 || strings.Count(r.out, "\n") != 2 {
		t.Errorf("%d events were stored, --tee: %s", n, r.out)
	}
	if got, err := os.ReadFile(file); strings.Count(string(got), "\n") != 1 || !strings.Contains(string(got), `"taken_by":"0"`) || err != nil {
		t.Errorf("kept %s, %v", got, err)
	}
	f, _ = unique()
	r = f.run(t, claims, "--on-reject=stop", "--expect", "0", "--acks", "LOG")
	if r.exit != cli.Unmet || !strings.HasSuffix(r.err, "by offset 0\nlogappend: nothing was stored before that\n") || f.text(0) != "" || r.out != "" {
		t.Errorf("--expect: exit %d, stored %q, %s%s", r.exit, f.text(0), r.out, r.err)
	}
	// Of several partitions, too, it is the refused event that is named.
	for range 20 {
		f, _ = unique()
		f.partitions = 4
		refuse := f.refuse
		f.refuse = func(line string) *stream.Refusal {
			if strings.Contains(line, `"u999"`) {
				return &stream.Refusal{Reason: "no", TakenBy: -1}
			}
			return refuse(line)
		}
		var in strings.Builder
		for i := range 2000 {
			fmt.Fprintf(&in, `{"name":"u%d"}`+"\n", i)
		}
		r = f.run(t, in.String(), "--on-reject=stop", "--batch-bytes", "2K", "LOG")
		stored := 0
		for p := range 4 {
			stored += strings.Count(f.text(p), "\n")
		}
		if r.exit != cli.Unmet || r.err != fmt.Sprintf("logappend: refused: \"u999\": no\nlogappend: %d events were stored before that\n", stored) {
			t.Errorf("exit %d, %d stored, %s", r.exit, stored, r.err)
		}
	}
}

func TestRefusedFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(file, filepath.Join(dir, "link")); err != nil {
		t.Skip(err)
	}
	for _, tt := range []struct{ args, want string }{
		{"--refused " + file + " --rejects " + file + " LOG", "--rejects and --refused are the same file"},
		{"--refused " + dir + "/new --rejects " + dir + "/new LOG", "--rejects and --refused are the same file"},
		{"--refused " + file + " --rejects " + dir + "/link LOG", "--rejects and --refused are the same file"},
		{"--refused - LOG", "refused events need a file"},
	} {
		f, _ := unique()
		f.run(t, claims, strings.Fields(tt.args)...).want(t, cli.Usage, tt.want)
	}
	if got, _ := os.ReadFile(file); string(got) != "precious\n" {
		t.Errorf("the file holds %s", got)
	}
	f, _ := unique()
	f.run(t, claims, "--refused", filepath.Join(dir, "no", "such"), "LOG").want(t, cli.Failed, "no such file")
	f, _ = unique()
	f.run(t, claims, "--refused", os.DevNull, "--rejects", os.DevNull, "LOG").want(t, cli.BadInput, "taken")
	if _, err := os.Stat("/dev/full"); err == nil {
		f, _ = unique()
		f.run(t, claims, "--refused", "/dev/full", "LOG").want(t, cli.Failed, "no space left")
	}
}

func TestRulesUsage(t *testing.T) {
	byName := eventlog.Rules{Key: ".name", Unique: ".name"}
	none := func() *fake { return new(fake) }
	one := func() *fake { return &fake{rules: byName} }
	four := func() *fake { return &fake{rules: byName, partitions: 4} }
	for _, tt := range []struct {
		log  func() *fake
		args string
		exit cli.Exit
		want string
	}{
		{none, "--fold .+1 LOG", cli.Usage, "--init is not given"},
		{none, "--init 0 LOG", cli.Usage, "--check '. >= 0'"},
		{none, "--fold . --check . LOG", cli.Usage, "--init is not given"},
		{none, "--unique .[ LOG", cli.Usage, "--unique: "},
		{none, "--unique .a --unique .b LOG", cli.Usage, "--unique '[.a,.b]'"},
		{none, "--unique .a -k .b --partitions 2 LOG", cli.Usage, "--unique"},
		{none, "--on-reject=skip LOG", cli.Usage, "--on-reject is for logs with rules, and LOG has none"},
		{none, "--refused x LOG", cli.Usage, "a rule is --unique EXPR"},
		{none, "--memory 1M LOG", cli.OK, ""},
		{none, "--on-reject=fail --unique .a LOG", cli.Usage, "try --on-reject=stop"},
		{none, "--distinct .a LOG", cli.Usage, "--unique EXPR"},
		{none, "--reduce .a LOG", cli.Usage, "--fold '. + $e.amount'"},
		{one, "-k .id LOG", cli.OK, ""},
		{four, "-k .id LOG", cli.Usage, "--key: the log has --unique .name, which can hold only if that decides the partition, and not .id"},
		{four, "-k .id --unique .name LOG", cli.Usage, "--unique"},
		{four, "-k .name+1 LOG", cli.Usage, "leave -k out"},
		{four, "-k  .name  LOG", cli.OK, ""},
	} {
		f := tt.log()
		r := f.run(t, "", strings.Fields(tt.args)...)
		if r.exit != tt.exit || !strings.Contains(r.err, tt.want) || tt.want == "" && r.err != "" {
			t.Errorf("%s: exit %d, %s", tt.args, r.exit, r.err)
		}
	}
	f := &fake{}
	if r := f.run(t, "", "--unique", ".a |", "LOG"); f.wanted != nil || !strings.Contains(r.err, "    .a |\n        ^") {
		t.Errorf("the log was opened, or no caret: %s", r.err)
	}
}

// The log's rules hold whether they are named or not: the key is theirs, what fails
// is a bad line, and a tombstone keeps its key.
func TestRulesApply(t *testing.T) {
	u := eventlog.Rules{Key: ".a", Unique: ".a"}
	other := eventlog.Rules{Key: ".k", Unique: ".a|ascii_downcase"}
	down := eventlog.Rules{Key: ".a|ascii_downcase # it's a name", Unique: ".a|ascii_downcase # it's a name"}
	fold := eventlog.Rules{Fold: ".", Init: "0", Check: "true"}
	for _, tt := range []struct {
		name      string
		rules     eventlog.Rules
		args, in  string
		want, err string
	}{
		{"key", u, "", `{"a":"x"}`, `{"key":"x","value":{"a":"x"}}`, ""},
		{"own key", u, "", `{"key":"k","value":{"a":"x"}}`, `{"key":"x","value":{"a":"x"}}`, ""},
		{"-k", u, "-k .b", `{"a":"x","b":1}`, `{"key":1,"value":{"a":"x","b":1}}`, ""},
		{"null", u, "", `{"a":null}`, `{"a":null}`, ""},
		{"tombstone", u, "", `{"key":"k","value":null}`, `{"key":"k","value":null}`, ""},
		{"tombstone, -k", u, "-k .b", `{"key":"k","value":null}`, `{"key":"k","value":null}`, ""},
		{"tombstone of a program", down, "", `{"key":"k","value":null}`, `{"key":"k","value":null}`, ""},
		{"program", down, "", `{"a":"X"}`, `{"key":"x","value":{"a":"X"}}`, ""},
		{"key fails", down, "", `{"a":1}`, ``, "-:1: key: ascii_downcase"},
		{"unique fails", other, "", `{"a":1}`, ``, "-:1: unique: ascii_downcase"},
		{"unique fails, -k", u, "-k 1", `[1]`, ``, "-:1: unique: expected an object"},
		{"two results", eventlog.Rules{Key: ".k", Unique: ".a,.b"}, "", `{"a":1}`, ``, "-:1: unique: expected exactly one result"},
		{"unique of a tombstone", other, "", `{"key":"k","value":null}`, `{"key":"k","value":null}`, ""},
		{"$key", eventlog.Rules{Key: ".k", Unique: "$key|ascii_downcase"}, "", `{"key":1,"value":{"k":"K"}}`, `{"key":"K","value":{"k":"K"}}`, ""},
		{"fold", fold, "", `{"key":"k","value":1}`, `{"key":"k","value":1}`, ""},
		{"fold without key", fold, "", `{"a":"k"}`, ``, "-:1: no key, but the log has a state for each key"},
		{"fold -k", fold, "-k .a", `{"a":"k"}`, `{"key":"k","value":{"a":"k"}}`, ""},
		{"fold -k null", fold, "-k .b", `{"a":"k"}`, ``, "-k .account"},
		{"foreign", u, "-i logfmt", `a=x`, `{"key":"x","value":{"a":"x"}}`, ""},
	} {
		f := fake{rules: tt.rules}
		r := f.run(t, tt.in+"\n", append(strings.Fields(tt.args), "LOG")...)
		want := tt.want
		if want != "" {
			want += "\n"
		}
		if f.text(0) != want || !strings.Contains(r.err, tt.err) || (tt.err != "") != (r.exit == cli.BadInput) {
			t.Errorf("%s: exit %d, stored %s; %s", tt.name, r.exit, f.text(0), r.err)
		}
	}
}

// That nothing more is stored may be heard before why, from another partition.
func TestWhyItStopped(t *testing.T) {
	f := new(fake)
	g, _ := gathererFor(t, f)
	told := 0
	g.failed = func(error) { told++ }
	g.fail(&stream.StoppedError{Partition: 3})
	why := &stoppedError{"1: no"}
	g.fail(why)
	g.fail(&stream.StoppedError{Partition: 3})
	if err := g.close(true); err != why || told != 1 {
		t.Errorf("%v, told %d times", err, told)
	}
	f.Close()
}

// What was refused is kept before anything is said of its batch, and not only at the
// end.
func TestRefusedIsKeptAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "refused")
	f, _ := unique()
	in, w := io.Pipe()
	out, acks := io.Pipe()
	exit := make(chan cli.Exit)
	go func() {
		exit <- cli.Exec(t.Context(), command(f.open), []string{"--acks", "--refused", file, "LOG"}, &cli.Streams{In: in, Out: acks})
		acks.Close()
	}()
	for i, line := range []string{`{"name":"ann"}`, `{"name":"ann"}` + "\n" + `{"name":"bob"}`} {
		io.WriteString(w, line+"\n")
		ack := make([]byte, 100)
		if n, err := out.Read(ack); err != nil || !strings.Contains(string(ack[:n]), `"count":1}`) {
			t.Errorf("%s, %v", ack[:n], err)
		}
		if kept, err := os.ReadFile(file); strings.Count(string(kept), "\n") != i || err != nil {
			t.Errorf("kept %s, %v", kept, err)
		}
	}
	w.Close()
	if got := <-exit; got != cli.BadInput {
		t.Errorf("exit %d", got)
	}
}
