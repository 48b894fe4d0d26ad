package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// options are those of the test command: one flag of each kind and the shared
// ones.
type options struct {
	ReaderFlags
	tail  int64
	exact bool
	limit int64
}

func testCommand(o *options, run func(s *Streams, operands []string) error) *Command {
	o.tail = -1
	o.limit = 1 << 20
	return &Command{
		Name:     "logcat",
		Summary:  "read logs as events",
		Synopsis: []string{"logcat [-n N] [LOG…]", "logcat --describe LOG"},
		Examples: "logcat -w '.status>=500' app.ndjson | jq .path\n",
		AddFlags: func(f *Flags) {
			o.ReaderFlags.Add(f, Formats{[]string{"auto", "json", "combined", "regex:RE"}, map[string]string{"nginx": "try -i combined", "regex": "-i regex:RE"}},
				Formats{Names: []string{"event", "value"}})
			f.Instead(map[string]string{"-e": "try -w", "--grep": "try -w"})
			f.Count(&o.tail, FlagDoc{Name: "tail", Short: "n", Value: "N", Usage: "the last N events"})
			f.Bool(&o.exact, FlagDoc{Name: "exact", Short: "x", Usage: "forbid sketches"})
			f.Size(&o.limit, 1024, 1<<30, FlagDoc{Name: "memory-limit-of-all", Value: "SIZE", Usage: "memory"})
		},
		Run: func(_ context.Context, s *Streams, operands []string) error {
			if run == nil {
				return nil
			}
			return run(s, operands)
		},
	}
}

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		args     string // words between spaces
		see      func(o *options) any
		want     string
		operands string
	}{
		{"", func(o *options) any { return o.ReaderFlags }, "{auto       skip  16777216 UTC auto auto false false}", ""},
		{"", func(o *options) any { return []any{o.tail, o.exact, o.limit} }, "[-1 false 1048576]", ""},
		{"a -n 5 b -x c", func(o *options) any { return []any{o.tail, o.exact} }, "[5 true]", "a b c"},
		{"-n5 -x=false", func(o *options) any { return []any{o.tail, o.exact} }, "[5 false]", ""},
		{"-xn 5", func(o *options) any { return []any{o.tail, o.exact} }, "[5 true]", ""},
		{"-n 1 -n 2", func(o *options) any { return o.tail }, "2", ""},
		{"-i json -o event -i auto -o value", func(o *options) any { return o.Input + o.Output }, "autovalue", ""},
		{"-x -x", func(o *options) any { return o.exact }, "true", ""},
		{"--tail=5 --exact", func(o *options) any { return []any{o.tail, o.exact} }, "[5 true]", ""},
		{"--tail 5", func(o *options) any { return o.tail }, "5", ""},
		{"-S -1h", func(o *options) any { return o.Since }, "-1h", ""},
		{"--since -1h --until=-7d", func(o *options) any { return o.Since + o.Until }, "-1h-7d", ""},
		{"-w -.a>1 f", func(o *options) any { return o.Where }, "-.a>1", "f"},
		{"-w .a==1", func(o *options) any { return o.Where }, ".a==1", ""},
		{"-w -- -n 5", func(o *options) any { return []any{o.Where, o.tail} }, "[-- 5]", ""},
		{"-n 5 -- -n 6 --", func(o *options) any { return o.tail }, "5", "-n 6 --"},
		{"-", func(o *options) any { return o.tail }, "-1", "-"},
		{"help completion __complete __completeNoDesc", func(o *options) any { return 0 }, "0", "help completion __complete __completeNoDesc"},
		{"completion bash", func(o *options) any { return 0 }, "0", "completion bash"},
		{"--max-line 64KiB", func(o *options) any { return o.MaxLine }, "65536", ""},
		{"-i json -o value --bad=fail --color never", func(o *options) any { return []any{o.Input, o.Output, o.Bad, o.Color} }, "[json value fail never]", ""},
		{"-test.v f", func(o *options) any { return o.Time }, "est.v", "f"},
		{"-w -test.v f", func(o *options) any { return o.Where }, "-test.v", "f"},
		{"-- -test.v", func(o *options) any { return o.Time }, "", "-test.v"},
		{"-w -- -test.v", func(o *options) any { return o.Time }, "est.v", ""},
	} {
		t.Run(c.args, func(t *testing.T) {
			o := new(options)
			var operands []string
			ran := false
			got := execCommand(t, testCommand(o, func(_ *Streams, ops []string) error {
				ran, operands = true, ops
				return nil
			}), strings.Fields(c.args))
			if got != (result{}) || !ran {
				t.Fatalf("ran: %v, %#v", ran, got)
			}
			if v := fmt.Sprint(c.see(o)); v != c.want {
				t.Errorf("got %q, want %q", v, c.want)
			}
			if !slices.Equal(operands, strings.Fields(c.operands)) {
				t.Errorf("operands %q, want %q", operands, c.operands)
			}
		})
	}
}

func TestFlagErrors(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string // without "logcat: "
	}{
		{[]string{"--foo"}, "unknown flag --foo\nhint: logcat --help lists the flags\n"},
		{[]string{"--foo=1"}, "unknown flag --foo\nhint: logcat --help lists the flags\n"},
		{[]string{"--wehre", "x"}, "unknown flag --wehre\nhint: try --where\n"},
		{[]string{"--out", "x"}, "unknown flag --out\nhint: try --output\n"},
		{[]string{"--colour", "x"}, "unknown flag --colour\nhint: try --color\n"},
		{[]string{"--no-such-flag"}, "unknown flag --no-such-flag\nhint: logcat --help lists the flags\n"},
		{[]string{"-y"}, "unknown flag -y\nhint: logcat --help lists the flags\n"},
		{[]string{"-xé"}, "unknown flag -é\nhint: logcat --help lists the flags\n"},
		{[]string{"-\x1b"}, "unknown flag -\\x1b\nhint: logcat --help lists the flags\n"},
		{[]string{"---x"}, "unknown flag ---x\nhint: logcat --help lists the flags\n"},
		{[]string{"-w"}, "-w needs a value: -w EXPR\n"},
		{[]string{"a", "--where"}, "--where needs a value: --where EXPR\n"},
		{[]string{"-xw"}, "-w needs a value: -w EXPR\n"},
		{[]string{"-w", ""}, "--where: the value is empty\n"},
		{[]string{"--rejects="}, "--rejects: the value is empty\n"},
		{[]string{"--bad=", "x"}, "--bad: \"\" is not skip, ok or fail\n"},
		{[]string{"--bad", "maybe"}, "--bad: \"maybe\" is not skip, ok or fail\n"},
		{[]string{"-i", "xml"}, "--input: \"xml\" is not auto, json, combined or regex:RE\n"},
		{[]string{"-i", "NGINX"}, "--input: \"NGINX\" is not auto, json, combined or regex:RE\nhint: try -i combined\n"},
		{[]string{"-i", "regex"}, "--input: \"regex\" is not auto, json, combined or regex:RE\nhint: -i regex:RE\n"},
		{[]string{"-i", "Regex:(x)"}, "--input: \"Regex:(x)\" is not auto, json, combined or regex:RE\nhint: -i regex:RE\n"},
		{[]string{"-i", "jsno"}, "--input: \"jsno\" is not auto, json, combined or regex:RE\nhint: try -i json\n"},
		{[]string{"-i", "JSON"}, "--input: \"JSON\" is not auto, json, combined or regex:RE\nhint: try -i json\n"},
		{[]string{"--color", "alway"}, "--color: \"alway\" is not auto, always or never\nhint: try --color=always\n"},
		{[]string{"-w", ".a", "f", "--where=.b"}, "--where: given twice\nhint: join them with and: -w 'A and B'\n"},
		{[]string{"-w", ".a", "-w", ".a"}, "--where: given twice\nhint: join them with and: -w 'A and B'\n"},
		{[]string{"-w", ".a", "-w", ""}, "--where: given twice\nhint: join them with and: -w 'A and B'\n"},
		{[]string{"-S", "today", "-S-1h"}, "--since: given twice\nhint: give only the later one\n"},
		{[]string{"-xe"}, "unknown flag -e\nhint: try -w\n"},
		{[]string{"--grep", "x"}, "unknown flag --grep\nhint: try -w\n"},
		{[]string{"-n", "-5"}, "--tail: \"-5\" is not a whole number from 0\n"},
		{[]string{"-n", "x\x1b"}, "--tail: \"x\\x1b\" is not a whole number from 0\n"},
		{[]string{"-n", "9223372036854775808"}, "--tail: \"9223372036854775808\" is not a whole number from 0\n"},
		{[]string{"--max-line", "big"}, "--max-line: \"big\" is not a size such as 1000, 64KiB, 16M or 1G\n"},
		{[]string{"--max-line", "0"}, "--max-line: \"0\" is not between 1 and " + formatSize(maxMaxLine) + "\n"},
		{[]string{"--memory-limit-of-all", "2G"}, "--memory-limit-of-all: \"2G\" is not between 1K and 1G\n"},
		{[]string{"--exact=perhaps"}, "--exact: \"perhaps\" is not true or false\n"},
		{[]string{"--foo", "--help"}, "unknown flag --foo\nhint: logcat --help lists the flags\n"},
	} {
		got := execCommand(t, testCommand(new(options), func(*Streams, []string) error {
			t.Errorf("%q: the command ran", c.args)
			return nil
		}), c.args)
		want := "logcat: " + strings.ReplaceAll(strings.TrimSuffix(c.want, "\n"), "\n", "\nlogcat: ") + "\n"
		if got != (result{Usage, "", want}) {
			t.Errorf("%q:\ngot  %#v\nwant %q", c.args, got, want)
		}
	}
}

// Declaring with the values of a ReaderFlags keeps them as defaults.
func TestReaderDefaults(t *testing.T) {
	o := new(options)
	o.Output, o.Bad, o.MaxLine = "value", "ok", 5
	c := testCommand(o, nil)
	if got := execCommand(t, c, nil); got != (result{}) {
		t.Fatalf("%#v", got)
	}
	if o.Output != "value" || o.Bad != "ok" || o.MaxLine != 5 {
		t.Errorf("%+v", o.ReaderFlags)
	}
}

func TestFlagDocs(t *testing.T) {
	docs := testCommand(new(options), nil).FlagDocs()
	var names []string
	for _, d := range docs {
		names = append(names, d.Name)
		if d.Usage == "" {
			t.Errorf("--%s is not described", d.Name)
		}
	}
	want := strings.Fields("input time key where since until output bad rejects max-line prefix lossy tz color progress tail exact memory-limit-of-all help version")
	if !slices.Equal(names, want) {
		t.Errorf("got  %q\nwant %q", names, want)
	}
	for _, d := range docs {
		switch d.Name {
		case "input":
			if d.Default != "auto" || d.Short != "i" || len(d.Choices) != 4 || d.Value != "FORMAT" {
				t.Errorf("%+v", d)
			}
		case "max-line":
			if d.Default != "16M" {
				t.Errorf("%+v", d)
			}
		case "rejects":
			if !d.File || d.Default != "" {
				t.Errorf("%+v", d)
			}
		case "tail", "where", "exact", "help":
			if d.Default != "" {
				t.Errorf("%+v", d)
			}
		}
	}
}

const wantHelp = `logcat: read logs as events

Examples:
  logcat -w '.status>=500' app.ndjson | jq .path

Usage:
  logcat [-n N] [LOG…]
  logcat --describe LOG

Flags:
  -i, --input FORMAT      format of files and standard input: auto, json,
                          combined, regex:RE (default auto)
  -t, --time EXPR         event time
  -k, --key EXPR          event key
  -w, --where EXPR        only events for which this is true
  -S, --since TIME        only events at or after this time: RFC 3339, a date,
                          -1h30m, today, yesterday
  -U, --until TIME        only events before this time
  -o, --output FORMAT     format of the output: event, value
      --bad WHAT          skip bad lines (exit 3), skip them (exit 0), or stop
                          at the first: skip, ok, fail (default skip)
      --rejects FILE      keep bad lines here, byte for byte
      --max-line SIZE     longest line; a longer one is bad (default 16M)
      --prefix            text before the JSON of a line becomes the header
                          prefix
      --lossy             with -i text: replace what is no UTF-8 by U+FFFD
      --tz ZONE           zone of times that have none, such as Europe/Berlin or
                          +02:00 (default UTC)
      --color WHEN        colour the output: auto, always, never (default auto)
      --progress WHEN     show progress on standard error: auto, always, never
                          (default auto)
  -n, --tail N            the last N events
  -x, --exact             forbid sketches
      --memory-limit-of-all SIZE
                          memory (default 1M)
  -h, --help              show this help
      --version           show the version

Exit status: 0 done, 1 failed, 2 usage, 3 bad input, 4 unmet, 5 damaged, 6 gone,
75 locked, 130 interrupted, 143 terminated; see man logtools
`

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"-h"}, {"-n", "5", "x", "-xh", "--foo"}} {
		got := execCommand(t, testCommand(new(options), nil), args)
		if got != (result{OK, wantHelp, ""}) {
			t.Errorf("%q: exit %d, %q\n%s", args, got.exit, got.err, got.out)
		}
	}
	for _, width := range []int{1, 60, 100, 1000} {
		got := execCommand(t, testCommand(new(options), nil), []string{"-h"}, func(s *Streams) { s.Columns = width })
		for line := range strings.Lines(got.out) {
			if n := len([]rune(line)) - 1; n > min(max(width, 60), 120) {
				t.Errorf("at width %d a line of %d: %s", width, n, line)
			}
		}
	}
}

func TestVersion(t *testing.T) {
	got := execCommand(t, testCommand(new(options), nil), []string{"--version"})
	if got.exit != OK || !strings.HasPrefix(got.out, "logcat (logtools) ") || !strings.HasSuffix(got.out, ")\n") {
		t.Errorf("%#v", got)
	}
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0},
		{"wehre", "where", 1}, {"colour", "color", 1}, {"kitten", "sitting", 3}, {"ab", "ba", 1},
	} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("%q, %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// No word of a command line vanishes: whatever parse accepts, every word that
// is no flag and no flag's value is an operand, and it never panics.
func FuzzParseFlags(f *testing.F) {
	f.Add("a -n 5 -- b")
	f.Add("-w -test.v -test.w -xn5 --bad=ok")
	f.Add("- -- -test.x")
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, " ")
		o := new(options)
		operands, _, err := newFlags(testCommand(o, nil)).parse(args)
		if err != nil {
			return
		}
		want := slowOperands(args, "itkwSUon", []string{"exact", "help", "version"})
		if !slices.Equal(operands, want) {
			t.Errorf("%q: operands %q, want %q", args, operands, want)
		}
	})
}

// slowOperands finds the operands of words that are known to parse, given the
// letters that take a value and the long switches.
func slowOperands(args []string, letters string, switches []string) []string {
	var operands []string
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			return append(operands, args[i+1:]...)
		case strings.HasPrefix(a, "--"):
			if !strings.Contains(a, "=") && !slices.Contains(switches, a[2:]) {
				i++
			}
		case a == "-" || !strings.HasPrefix(a, "-"):
			operands = append(operands, a)
		default:
			// The first letter that takes a value has the rest of the word
			// as its value, or else the next word.
			if k := strings.IndexAny(a[1:], letters); k >= 0 && k+2 == len(a) && !strings.Contains(a, "=") {
				i++
			}
		}
	}
	return operands
}
