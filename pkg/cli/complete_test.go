package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// script writes the completion script of the test command for a shell that
// must be there, and returns its path and a function that runs the shell.
func script(t *testing.T, shell string) (path string, run func(args ...string) string) {
	t.Helper()
	bin, err := exec.LookPath(shell)
	if err != nil {
		t.Skipf("%s is not installed", shell)
	}
	c := testCommand(new(options), nil)
	add := c.AddFlags
	c.AddFlags = func(f *Flags) {
		add(f)
		f.String(new(string), FlagDoc{Name: "sort", Value: "COL[:asc|desc]", Usage: `it's [a] hostile: "text" $HOME \ ` + "`x`"})
	}
	dir := t.TempDir()
	path = filepath.Join(dir, "script")
	if err := os.WriteFile(path, []byte(Completion(shell, c)), 0o666); err != nil {
		t.Fatal(err)
	}
	// Operands to complete.
	for _, name := range []string{"access.log", "a b.log", "a*.log"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	run = func(args ...string) string {
		t.Helper()
		cmd := exec.Command(bin, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir, "TERM=dumb")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", shell, args, err, out)
		}
		return string(out)
	}
	if out := run("-n", path); out != "" {
		t.Errorf("%s -n: %s", shell, out)
	}
	return path, run
}

var completions = []struct {
	line string // words between spaces; the last one is completed
	want string // candidates between commas
}{
	{"--ba", "--bad"},
	{"x --in", "--input"},
	{"--bad ", "skip,ok,fail"},
	{"--bad f", "fail"},
	{"-o v", "value"},
	{"-i ", "auto,json,combined"},
	{"-w ", ""},
	{"-n 5 --exa", "--exact"},
	{"--rejects acc", "access.log"},
	{"acc", "access.log"},
	{"-x a", "a b.log,a*.log,access.log"},
	{"-- --ba", ""},
	{"-- x --ba", ""},
	{"-i json -- acc", "access.log"},
}

func TestBashCompletion(t *testing.T) {
	path, run := script(t, "bash")
	all := append(completions,
		struct{ line, want string }{"--bad = f", "fail"}, // how bash splits --bad=f
		struct{ line, want string }{"--bad =", "skip,ok,fail"},
		struct{ line, want string }{"--rejects = acc", "access.log"},
	)
	for _, c := range all {
		words := append([]string{"logcat"}, strings.Split(c.line, " ")...)
		for i, w := range words {
			words[i] = shellQuote(w)
		}
		out := run("--norc", "-c", fmt.Sprintf(`source %s; COMP_WORDS=(%s); COMP_CWORD=%d; _logcat; for w in "${COMPREPLY[@]}"; do printf '%%s\n' "$w"; done`,
			shellQuote(path), strings.Join(words, " "), len(words)-1))
		checkWords(t, c.line, strings.Split(strings.TrimSuffix(out, "\n"), "\n"), c.want)
	}
	if out := run("--norc", "-c", "source "+shellQuote(path)+"; complete -p logcat"); !strings.Contains(out, "-F _logcat logcat") {
		t.Errorf("not registered: %s", out)
	}
}

func TestFishCompletion(t *testing.T) {
	path, run := script(t, "fish")
	all := append(completions, struct{ line, want string }{"--bad=f", "--bad=fail"})
	for _, c := range all {
		out := run("--no-config", "-c", fmt.Sprintf("source %s; complete -C %s", shellQuote(path), shellQuote("logcat "+c.line)))
		var words []string
		for line := range strings.Lines(out) {
			word, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			words = append(words, strings.ReplaceAll(word, `\`, ""))
		}
		checkWords(t, c.line, words, c.want)
	}
}

// zsh's completion needs a terminal; what the script hands to _arguments can
// be looked at without one.
func TestZshCompletion(t *testing.T) {
	path, run := script(t, "zsh")
	out := run("-f", "-c", "_arguments() { print -rl -- \"$@\" }; source "+shellQuote(path))
	got := strings.Split(out, "\n")
	for _, want := range []string{
		"-s", "-S",
		"(-w --where)-w+[only events for which this is true]:EXPR: ",
		"(-w --where)--where=[only events for which this is true]:EXPR: ",
		"(-i --input)--input=[format of files and standard input]:FORMAT:(auto json combined)",
		"--rejects=[keep bad lines here, byte for byte]:FILE:_files",
		"(-x --exact)-x[forbid sketches]",
		`--sort=[it's \[a\] hostile\: "text" $HOME \\ ` + "`x`" + `]:COL\[\:asc|desc\]: `,
		"*:file:_files",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if first, _, _ := strings.Cut(Completion("zsh", testCommand(new(options), nil)), "\n"); first != "#compdef logcat" {
		t.Errorf("first line is %q", first)
	}
}

func checkWords(t *testing.T, line string, got []string, want string) {
	t.Helper()
	got = slices.DeleteFunc(got, func(w string) bool { return w == "" })
	wanted := slices.DeleteFunc(strings.Split(want, ","), func(w string) bool { return w == "" })
	slices.Sort(got)
	slices.Sort(wanted)
	if !slices.Equal(slices.DeleteFunc(got, func(w string) bool { return w == "script" }), wanted) {
		t.Errorf("%q: candidates %q, want %q", line, got, wanted)
	}
}

func TestCompletionOfNoShell(t *testing.T) {
	if got := Completion("tcsh", testCommand(new(options), nil)); got != "" {
		t.Errorf("got %q", got)
	}
}
