package logtools_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"logtools/pkg/agg"
	"logtools/pkg/cli"
	"logtools/pkg/cmd/logappend"
	"logtools/pkg/cmd/logcat"
	"logtools/pkg/cmd/logcompact"
	"logtools/pkg/cmd/logview"
	"logtools/pkg/event"
	"logtools/pkg/parse"
	"logtools/pkg/render"
)

// The documents say what the code does: lists are compared with the tables they
// are about, in both directions, and examples are run.

func commands() []*cli.Command {
	return []*cli.Command{logappend.New(), logcat.New(), logcompact.New(), logview.New()}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.FromSlash(file))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func manPages(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob("man/*.[1-8]")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no man pages: %v", err)
	}
	return pages
}

// section returns the lines of a page from its heading (".Ss Input formats") up
// to the next one.
func section(t *testing.T, page, heading string) []string {
	t.Helper()
	var lines []string
	in := false
	for _, line := range strings.Split(page, "\n") {
		isHeading := strings.HasPrefix(line, ".Sh ") || strings.HasPrefix(line, ".Ss ")
		switch {
		case line == heading:
			in = true
		case in && (strings.HasPrefix(line, ".Sh ") || isHeading && strings.HasPrefix(heading, ".Ss ")):
			return lines
		case in:
			lines = append(lines, line)
		}
	}
	if !in {
		t.Fatalf("there is no %q", heading)
	}
	return lines
}

// items returns what follows prefix in the lines that begin with it.
func items(lines []string, prefix string) []string {
	var out []string
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			out = append(out, rest)
		}
	}
	return out
}

// same compares two lists without regard to order and names what is only in one.
func same(t *testing.T, what string, documented, real []string) {
	t.Helper()
	for _, x := range documented {
		if !slices.Contains(real, x) {
			t.Errorf("%s: %s is documented, but there is none", what, x)
		}
	}
	for _, x := range real {
		if !slices.Contains(documented, x) {
			t.Errorf("%s: %s is not documented", what, x)
		}
	}
	if len(documented) > len(real) {
		t.Errorf("%s: something is documented twice: %s", what, documented)
	}
}

func TestFlagsAndPages(t *testing.T) {
	for _, c := range commands() {
		page := read(t, "man/"+c.Name+".1")
		var want []string
		for _, d := range c.FlagDocs() {
			item := "-" + d.Name
			if d.Short != "" {
				item = d.Short + " , Fl " + item
			}
			if d.Value != "" {
				item += " Ar " + d.Value
			}
			want = append(want, item)
		}
		same(t, c.Name+".1, flags", items(strings.Split(page, "\n"), ".It Fl "), want)

		// What a flag's item says.
		for i, d := range c.FlagDocs() {
			_, text, _ := strings.Cut(page, "\n.It Fl "+want[i]+"\n")
			text, _, _ = strings.Cut(text, "\n.El\n")
			text, _, _ = strings.Cut(text, "\n.It Fl ")
			words := strings.Fields(text)
			if d.Default != "" && !slices.Contains(words, d.Default) {
				t.Errorf("%s.1: --%s does not say its default, %s", c.Name, d.Name, d.Default)
			}
			if d.Name == "input" || d.Name == "output" {
				continue // they have lists
			}
			for _, choice := range d.Choices {
				if !slices.Contains(words, choice) {
					t.Errorf("%s.1: --%s does not mention %s", c.Name, d.Name, choice)
				}
			}
		}

		// The synopsis has each flag with its value, too.
		synopsis := strings.Join(section(t, page, ".Sh SYNOPSIS"), "\n")
		flagInSynopsis := regexp.MustCompile(`Fl (\S+)((?: Ar \S+)?)`)
		var have, all []string
		for _, m := range flagInSynopsis.FindAllStringSubmatch(synopsis, -1) {
			have = append(have, m[1]+m[2])
		}
		for _, d := range c.FlagDocs() {
			if d.Name == "help" || d.Name == "version" {
				continue
			}
			name := "-" + d.Name
			if d.Short != "" {
				name = d.Short
			}
			if d.Value != "" {
				name += " Ar " + d.Value
			}
			all = append(all, name)
		}
		same(t, c.Name+".1, synopsis", have, all)
	}
}

// Every flag that any page mentions is one of the command's, or of some command
// in pages that are about all.
func TestMentionedFlags(t *testing.T) {
	known := map[string][]string{}
	for _, c := range commands() {
		for _, d := range c.FlagDocs() {
			for _, name := range []string{c.Name, ""} {
				known[name] = append(known[name], "-"+d.Name)
				if d.Short != "" {
					known[name] = append(known[name], d.Short)
				}
			}
		}
	}
	for _, file := range manPages(t) {
		name, _, _ := strings.Cut(filepath.Base(file), ".")
		flags := known[name]
		if flags == nil {
			flags = known[""]
		}
		for i, line := range strings.Split(read(t, file), "\n") {
			if !strings.HasPrefix(line, ".") {
				continue
			}
			in := false
			for _, word := range strings.Fields(strings.TrimPrefix(line, ".")) {
				switch {
				case word == "Fl":
					in = true
				case len(word) == 2 && 'A' <= word[0] && word[0] <= 'Z' && 'a' <= word[1] && word[1] <= 'z':
					in = false // another macro
				case in && word != "-" && !strings.Contains(",.;:()|", word) && !slices.Contains(flags, word):
					t.Errorf("%s:%d mentions -%s, which is no flag", file, i+1, word)
				}
			}
		}
	}
}

func TestListsOfPages(t *testing.T) {
	logcatPage, logviewPage := read(t, "man/logcat.1"), read(t, "man/logview.1")
	var inputs, aggs []string
	for _, f := range parse.Formats {
		inputs = append(inputs, f.Name)
	}
	for _, f := range agg.Funcs {
		name := f.Name
		if name == "p" {
			name += " Ns Ar N"
		}
		switch args := strings.Trim(f.Args, "[]"); {
		case args != f.Args:
			name += " Ns Op Pq Ar " + args
		case args != "":
			name += " Ns Pq Ar " + args
		}
		aggs = append(aggs, name)
	}
	outputs := func(command string) (names []string) {
		for _, o := range render.OutputsOf(command) {
			names = append(names, o.Name)
		}
		return names
	}
	// logformats.7 has each in the heading of a section.
	var headings []string
	for _, h := range items(strings.Split(read(t, "man/logformats.7"), "\n"), ".Ss ") {
		for _, word := range strings.FieldsFunc(h, func(c rune) bool { return c == ' ' || c == ',' }) {
			if slices.Contains(inputs, word) {
				headings = append(headings, word)
			}
		}
	}
	slices.Sort(headings)
	same(t, "logformats.7", slices.Compact(headings), inputs)
	same(t, "logcat.1, -i", items(section(t, logcatPage, ".Ss Input formats"), ".It Cm "), inputs)
	same(t, "logcat.1, -o", items(section(t, logcatPage, ".Ss Output formats"), ".It Cm "), outputs("logcat"))
	same(t, "logview.1, -o", items(section(t, logviewPage, ".Ss Output formats"), ".It Cm "), outputs("logview"))
	same(t, "logview.1, -a", items(section(t, logviewPage, ".Ss Aggregates"), ".It Cm "), aggs)

	members := items(section(t, read(t, "man/logevent.5"), ".Sh DESCRIPTION"), ".It Cm ")
	if !slices.Equal(members, event.Members[:]) {
		t.Errorf("logevent.5 lists the members %s, an event's are %s", members, event.Members)
	}
}

// exitsWithout has the statuses that a command never ends with.
var exitsWithout = map[string][]string{
	"logappend":  {"6"},
	"logcat":     {"4"},
	"logcompact": {"4"},
	"logview":    {"4", "75"},
}

func TestExitsOfPages(t *testing.T) {
	var all, order []string
	for _, e := range cli.Exits {
		all = append(all, strconv.Itoa(int(e.Exit)))
		if e.Exit != cli.OK {
			order = append(order, strconv.Itoa(int(e.Exit)))
		}
	}
	overview := section(t, read(t, "man/logtools.7"), ".Sh EXIT STATUS")
	same(t, "logtools.7, exit status", items(overview, ".It "), all)
	if !strings.Contains(strings.Join(overview, "\n"), "the first of\n"+strings.Join(order, ", ")+".") {
		t.Errorf("logtools.7 does not have the order of precedence: %s", strings.Join(order, ", "))
	}
	for _, c := range commands() {
		have := items(section(t, read(t, "man/"+c.Name+".1"), ".Sh EXIT STATUS"), ".It ")
		without := exitsWithout[c.Name]
		same(t, c.Name+".1, exit status", have, slices.DeleteFunc(slices.Clone(all), func(e string) bool { return slices.Contains(without, e) }))
	}
}

// Pages refer to pages that there are, and there is one for each command.
func TestReferences(t *testing.T) {
	pages := manPages(t)
	ours := regexp.MustCompile(`\.Xr (log\w+) (\d)`)
	for _, file := range pages {
		for _, m := range ours.FindAllStringSubmatch(read(t, file), -1) {
			if !slices.Contains(pages, filepath.Join("man", m[1]+"."+m[2])) {
				t.Errorf("%s refers to %s(%s)", file, m[1], m[2])
			}
		}
	}
	mains, err := filepath.Glob("cmd/*/main.go")
	if err != nil {
		t.Fatal(err)
	}
	var built, tested []string
	for _, file := range mains {
		built = append(built, filepath.Base(filepath.Dir(file)))
	}
	for _, c := range commands() {
		tested = append(tested, c.Name)
	}
	same(t, "commands (docs_test.go)", tested, built)
	for _, name := range built {
		if !strings.Contains(read(t, "man/logtools.7"), ".It Xr "+name+" 1\n") {
			t.Errorf("logtools.7 does not list %s", name)
		}
	}

	link := regexp.MustCompile(`\]\(([^):]+)\)`)
	quoted := regexp.MustCompile("`((?:cmd|pkg|man|scripts|examples)/[^`]*|[a-z_]+_test\\.go)`")
	for _, file := range []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"} {
		text := read(t, file)
		for _, m := range append(link.FindAllStringSubmatch(text, -1), quoted.FindAllStringSubmatch(text, -1)...) {
			if strings.Contains(m[1], "NAME") {
				continue // to be filled in
			}
			if _, err := os.Stat(filepath.FromSlash(m[1])); err != nil {
				t.Errorf("%s names %s: %v", file, m[1], err)
			}
		}
	}
}

// README and CONTRIBUTING have the tables of the code, too.
func TestListsOfMarkdown(t *testing.T) {
	readme := read(t, "README.md")
	n := strings.Count(readme, "\n")
	for _, block := range consoleBlocks(t, readme) {
		for _, ex := range block {
			n -= strings.Count(ex.output, "\n")
		}
	}
	if n > 240 {
		t.Errorf("README.md has %d lines and its screens; it is for the first minutes, 240 are enough", n)
	}
	code := regexp.MustCompile("`([^`]*)`")
	list := func(start, end string) (names []string) {
		_, text, found := strings.Cut(readme, start)
		text, _, ended := strings.Cut(text, end)
		if !found || !ended {
			t.Errorf("README.md has no list %q … %q", start, end)
		}
		for _, m := range code.FindAllStringSubmatch(text, -1) {
			names = append(names, m[1])
		}
		return names
	}
	var inputs, outputs, aggs []string
	for _, f := range parse.Formats {
		inputs = append(inputs, f.Name)
	}
	for _, o := range render.Outputs {
		outputs = append(outputs, o.Name)
	}
	for _, f := range agg.Funcs {
		if f.Name == "p" {
			aggs = append(aggs, "p50", "p99", "p99.9")
			continue
		}
		aggs = append(aggs, f.Name)
	}
	same(t, "README.md, -i", list("Input, `-i`:", ";"), inputs)
	same(t, "README.md, -o", list("Output, `-o`:", ".\n"), outputs)
	same(t, "README.md, -a", list("Aggregates, `-a`:", ". "), aggs)

	var floors, rooms []string
	row := regexp.MustCompile(`(?m)^\| (\d+) \| ([^|]*) \|`)
	for _, m := range row.FindAllStringSubmatch(read(t, "CONTRIBUTING.md"), -1) {
		for _, p := range code.FindAllStringSubmatch(m[2], -1) {
			floors = append(floors, m[1]+" "+p[1])
		}
	}
	for _, r := range house {
		rooms = append(rooms, strconv.Itoa(r.floor)+" "+r.pkg)
	}
	same(t, "CONTRIBUTING.md, floors", floors, rooms)
}

func TestManLint(t *testing.T) {
	if _, err := exec.LookPath("mandoc"); err != nil {
		t.Skip("mandoc is not installed")
	}
	out, err := exec.Command("mandoc", append([]string{"-T", "lint", "-W", "warning"}, manPages(t)...)...).CombinedOutput()
	if err != nil {
		t.Errorf("mandoc: %v\n%s", err, out)
	}
}

// shell runs commands in a copy of examples/.
type shell struct {
	dir, bin string
}

// TestExamples runs the commands that the documents show.
func TestExamples(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("bash is not installed")
	}
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "./cmd/...").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	t.Run("readme", func(t *testing.T) { testReadme(t, newShell(t, bin)) })
	t.Run("man", func(t *testing.T) { testManExamples(t, newShell(t, bin)) })
}

func newShell(t *testing.T, bin string) *shell {
	t.Helper()
	s := &shell{dir: t.TempDir(), bin: bin}
	if err := os.CopyFS(s.dir, os.DirFS("examples")); err != nil {
		t.Fatal(err)
	}
	return s
}

// run returns what the command prints on both streams, and its exit status.
func (s *shell) run(t *testing.T, command string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", command)
	cmd.Dir, cmd.WaitDelay = s.dir, time.Second // its children may hold the output open
	// LANG, not LC_ALL: bash complains where there is no such locale.
	cmd.Env = append(os.Environ(), "PATH="+s.bin+string(os.PathListSeparator)+os.Getenv("PATH"),
		"LC_ALL=", "LC_CTYPE=", "LANG=C.UTF-8", "TZ=UTC")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// Every command of README's console blocks prints what is below it.
func testReadme(t *testing.T, s *shell) {
	n := 0
	for _, block := range consoleBlocks(t, read(t, "README.md")) {
		for _, ex := range block {
			n++
			if got, _ := s.run(t, ex.command); got != ex.output {
				t.Errorf("README.md says\n$ %s\n%s\nbut it prints\n%s", ex.command, ex.output, got)
			}
		}
	}
	if n == 0 {
		t.Error("README.md has no examples")
	}
}

type example struct{ command, output string }

func consoleBlocks(t *testing.T, text string) (blocks [][]example) {
	t.Helper()
	parts := strings.Split(text, "```console\n")[1:]
	for _, part := range parts {
		body, _, ended := strings.Cut(part, "```\n")
		if !ended {
			t.Fatal("a console block has no end")
		}
		var block []example
		for line := range strings.Lines(body) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				block = append(block, example{command: strings.TrimSuffix(command, "\n")})
				continue
			}
			if len(block) == 0 {
				t.Fatalf("a console block begins without a command: %s", line)
			}
			block[len(block)-1].output += line
		}
		blocks = append(blocks, block)
	}
	return blocks
}

// The commands in the pages' examples, and those of --help, can be typed as they
// are: they run, and nothing is wrong with their flags and expressions. Where a
// page shows what they print, it is that, but for blanks and line ends.
func testManExamples(t *testing.T, s *shell) {
	orders := `{"id":1,"items":[{"sku":"a","price":2},{"sku":"b","price":3}]}` + "\n"
	if err := os.WriteFile(filepath.Join(s.dir, "orders.ndjson"), []byte(orders), 0o666); err != nil {
		t.Fatal(err)
	}
	if out, status := s.run(t, "gzip -c access.log >access.log.gz; cp access.log.gz access.log.1.gz"); status != 0 {
		t.Skipf("no gzip: %s", out)
	}
	check := func(from, command, shown string) {
		if strings.Contains(command, "jq ") {
			if _, err := exec.LookPath("jq"); err != nil {
				t.Logf("jq is not installed, not run: %s", command)
				return
			}
		}
		command = strings.ReplaceAll(command, " -f ", " ") // so that it ends
		out, status := s.run(t, "set -o pipefail; "+command)
		if status != 0 || strings.Contains(out, "logcat: ") || strings.Contains(out, "logview: ") {
			t.Errorf("%s: exit %d of\n%s\n%s", from, status, command, out)
		} else if shown != "" && solid(out) != solid(shown) {
			t.Errorf("%s says\n$ %s\n%s\nbut it prints\n%s", from, command, shown, out)
		}
	}
	n := 0
	for _, file := range manPages(t) {
		for _, ex := range pageExamples(read(t, file)) {
			n++
			check(file, ex.command, ex.output)
		}
	}
	if n < 10 {
		t.Errorf("only %d examples found in the pages", n)
	}
	for _, c := range commands() {
		for command := range strings.Lines(c.Examples) {
			check(c.Name+" --help", strings.TrimSpace(command), "")
		}
	}
}

// solid leaves out blanks and line ends: pages break long lines.
func solid(text string) string { return strings.Join(strings.Fields(text), "") }

// pageExamples returns the command lines of a page: those displayed with
// ".Dl $", and in literal displays the lines that begin with $ or a command of
// ours; with the lines that follow them there.
func pageExamples(page string) (out []example) {
	plain := strings.NewReplacer(`\(aq`, `'`, `\(dq`, `"`, `\&`, ``, `\e`, `\`)
	literal := false
	open := false  // the command goes on in the next line
	shown := false // this display has a command
	for line := range strings.Lines(page) {
		line = plain.Replace(strings.TrimSuffix(line, "\n"))
		command, ok := strings.CutPrefix(line, "$ ")
		switch {
		case strings.HasPrefix(line, ".Bd -literal"):
			literal, shown = true, false
			continue
		case line == ".Ed":
			literal = false
			continue
		case !literal:
			if command, ok = strings.CutPrefix(line, ".Dl $ "); ok {
				out = append(out, example{command: command})
			}
			continue
		case open:
			out[len(out)-1].command += " " + line
		case ok:
			out = append(out, example{command: command})
		case strings.HasPrefix(line, "logcat -") || strings.HasPrefix(line, "logview -"):
			out = append(out, example{command: line})
		case shown:
			out[len(out)-1].output += line + "\n"
			continue
		default:
			continue
		}
		shown = true
		last := &out[len(out)-1]
		if open = strings.HasSuffix(last.command, `\`); open {
			last.command = strings.TrimSuffix(last.command, `\`)
		}
	}
	return out
}
