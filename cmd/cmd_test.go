// Package cmd_test tests the commands as commands: as processes, with
// arguments, files, pipes, messages and exit statuses. The scripts are in
// testdata/script, one behaviour each, and hold the commands to what their man
// pages promise.
//
// Besides what testscript knows, a script may say:
//
//	run STATUS COMMAND ARG...   run a command that must end with this exit status
//	sh STATUS SCRIPT            the same for a bash script, with pipefail
//	feed LINE...                write these lines to the file "in"
//	out LINE...                 standard output was exactly these lines
//	err LINE...                 standard error was exactly these lines
//	unbase64 FROM TO            decode a file
//	rows LINE...                standard output was these lines, in any order
//	[data]                      the real logs are there; their directory is $DATA
package cmd_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"logtools/pkg/cli"
	"logtools/pkg/cmd/logappend"
	"logtools/pkg/cmd/logcat"
	"logtools/pkg/cmd/logcompact"
	"logtools/pkg/cmd/logview"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"logappend":  func() { os.Exit(cli.Main(logappend.New())) },
		"logcat":     func() { os.Exit(cli.Main(logcat.New())) },
		"logcompact": func() { os.Exit(cli.Main(logcompact.New())) },
		"logview":    func() { os.Exit(cli.Main(logview.New())) },
	})
}

// dataDir is where real logs may lie beside the repository; "" if they do not.
func dataDir() string {
	dir, err := filepath.Abs(filepath.FromSlash("../../shared/data"))
	if err != nil {
		return ""
	}
	if _, err := os.Stat(dir); err != nil {
		return ""
	}
	return dir
}

func TestScripts(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the scripts need a Unix shell")
	}
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("bash is not installed")
	}
	data := dataDir()
	if data == "" {
		t.Log("no real logs in ../shared/data: the scripts that need them are skipped")
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		ContinueOnError:     true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("DATA", data)
			e.Setenv("LC_ALL", "C") // for sort
			// What a user's terminal says must not decide a test.
			e.Setenv("NO_COLOR", "")
			e.Setenv("TERM", "dumb")
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "data" {
				return data != "", nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"run":      run,
			"sh":       shell,
			"feed":     feed,
			"out":      func(ts *testscript.TestScript, neg bool, args []string) { expect(ts, neg, "stdout", args) },
			"err":      func(ts *testscript.TestScript, neg bool, args []string) { expect(ts, neg, "stderr", args) },
			"rows":     rows,
			"unbase64": unbase64,
		},
	})
}

// run is: run STATUS COMMAND ARG...
func run(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: run STATUS COMMAND ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	status(ts, want, args[1], args[2:]...)
}

// shell is: sh STATUS SCRIPT
func shell(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sh STATUS SCRIPT")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	status(ts, want, "bash", "-o", "pipefail", "-c", args[1])
}

func status(ts *testscript.TestScript, want int, name string, args ...string) {
	err := ts.Exec(name, args...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// feed is: feed LINE...
func feed(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: feed LINE...")
	}
	ts.Check(os.WriteFile(ts.MkAbs("in"), []byte(joined(args)), 0o666))
}

func joined(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

// expect is: out LINE... and err LINE...
func expect(ts *testscript.TestScript, neg bool, stream string, args []string) {
	if neg {
		ts.Fatalf("%s cannot be negated", stream)
	}
	if got, want := ts.ReadFile(stream), joined(args); got != want {
		ts.Fatalf("%s is not as expected\ngot:\n%s\nwant:\n%s", stream, got, want)
	}
}

// rows is: rows LINE...
func rows(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("rows cannot be negated")
	}
	got := strings.SplitAfter(ts.ReadFile("stdout"), "\n")
	slices.Sort(got)
	want := slices.Clone(args)
	slices.Sort(want)
	if got, want := strings.Join(got, ""), joined(want); got != want {
		ts.Fatalf("stdout is not as expected\ngot:\n%s\nwant:\n%s", got, want)
	}
}

// unbase64 is: unbase64 FROM TO
func unbase64(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: unbase64 FROM TO")
	}
	text := strings.Join(strings.Fields(ts.ReadFile(args[0])), "")
	data, err := base64.StdEncoding.DecodeString(text)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), data, 0o666))
}
