package cmd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"logtools/pkg/cli"
	"logtools/pkg/cmd/logcat"
)

// inProcess runs logcat without a process: for what runs very often.
func inProcess(input []byte, args ...string) (exit cli.Exit, stdout, stderr []byte) {
	var out, errs bytes.Buffer
	exit = cli.Exec(context.Background(), logcat.New(), args, &cli.Streams{In: bytes.NewReader(input), Out: &out, Err: &errs})
	return exit, out.Bytes(), errs.Bytes()
}

// The JSON test suite: all n_ documents are refused and all y_ accepted, whether
// a program looks at them or not.
func TestJSONTestSuite(t *testing.T) {
	dir := dataDir()
	if dir == "" {
		t.Skip("no real data in ../shared/data")
	}
	files, err := filepath.Glob(filepath.Join(dir, "json-conformance/JSONTestSuite/test_parsing/*.json"))
	if err != nil || len(files) < 300 {
		t.Fatalf("%d documents, %v", len(files), err)
	}
	// Nothing but blank lines is no bad line.
	blank := map[string]bool{
		"n_structure_no_data.json":          true,
		"n_single_space.json":               true,
		"n_structure_UTF8_BOM_no_data.json": true,
	}
	var yes, no int
	for _, file := range files {
		name := filepath.Base(file)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"-i", "json"}, {"-i", "value"}, {"-i", "json", "-w", ".a? // true"}, {"-i", "json", "-o", "none", "-m", "[.[]?]"}} {
			args := append(args, "--rejects", filepath.Join(t.TempDir(), "bad"))
			switch name[:2] {
			case "y_":
				yes++
				line := bytes.Map(func(r rune) rune {
					if r == '\n' || r == '\r' {
						return ' '
					}
					return r
				}, bytes.TrimRight(data, "\r\n"))
				if exit, _, errs := inProcess(append(line, '\n'), args...); exit != 0 {
					t.Errorf("%s %v: exit %d\n%s", name, args, exit, errs)
				}
			case "n_":
				no++
				exit, _, errs := inProcess(data, args...)
				if want := cli.BadInput; blank[name] && exit != 0 || !blank[name] && exit != want {
					t.Errorf("%s %v: exit %d\n%s", name, args, exit, errs)
				}
			default: // both are right, but it must end
				if exit, _, errs := inProcess(data, args...); exit != 0 && exit != cli.BadInput {
					t.Errorf("%s %v: exit %d\n%s", name, args, exit, errs)
				}
			}
		}
	}
	t.Logf("%d accepted, %d refused", yes, no)
}

// logcat -w P -m Q gives the values that jq 'select(P)|Q' gives.
func TestAgreesWithJq(t *testing.T) {
	dir := dataDir()
	if dir == "" {
		t.Skip("no real data in ../shared/data")
	}
	jq, err := exec.LookPath("jq")
	if err != nil {
		t.Skip("jq is not installed")
	}
	files := []string{
		"ndjson/elastic_nginxplus_json_logs.ndjson",
		"ndjson/pinot_gharchive_2021-07-21.ndjson",
		"ndjson/apm-nodejs-traces-3.29.0.ndjson",
		"ndjson/simdjson_amazon_cellphones.ndjson",
		"clickstream/flight_2015-summary.ndjson",
	}
	programs := []struct{ where, mapping string }{
		{"true", "."},
		{".a == null", "[.type?, .time?, .count?]"},
		{"type == \"object\"", "{type, id, count}"},
		{"type == \"array\" | not", ".actor.login // .remote_ip // .ORIGIN_COUNTRY_NAME"},
		{"(.count? // 0) > 10", "{c: .count, twice: (.count * 2), h: (.count / 4)}"},
		{".type? == \"PushEvent\"", "[.repo.name, (.payload.commits | length)]"},
		{".type? == \"PushEvent\"", ".payload.commits[] | {sha, n: (.message | length)}"},
		{"(.response? // 0) >= 400", "{ip: .remote_ip, r: .response, b: (.bytes + 1)}"},
		{".agent? | . != null and test(\"curl|Debian\")", ".agent[0:12]"},
		{"any(.[]; type == \"string\")", "length"},
		{"(.DEST_COUNTRY_NAME? // \"\") | startswith(\"U\")", "\"\\(.DEST_COUNTRY_NAME)/\\(.count)\""},
		{"has(\"id\")?", "(.id | tostring), (.type | ascii_downcase)"},
		{"has(0)? or true", "[.[]? | type] | unique"},
		{"(.public? // false) and (.actor.id? > 1000)", "if .org then .org.login else \"none\" end"},
		{"true", "[paths] | length"},
		{"true", "to_entries? | map(.key) | sort"},
		{"true", "[.. | numbers] | length, max"},
		{".[4]?", "[.[0:3][]?, .[-1]?]"},
	}
	compared := 0
	for _, file := range files {
		path := filepath.Join(dir, filepath.FromSlash(file))
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		const most = 100_000 // jq is slow
		if len(data) > most {
			data = data[:bytes.LastIndexByte(data[:most], '\n')+1]
		}
		for _, p := range programs {
			program := "select(" + p.where + ") | " + p.mapping
			// As filters: what fails for an event is a bad line here, so this
			// compares programs that fail on none.
			if ours := agreed(t, data, "-w", p.where, "-m", p.mapping); ours != nil {
				compare(t, jq, file, data, program, ours)
				compared++
			}
			// As one program that does not fail.
			program = "[try (" + program + ") catch null]"
			compare(t, jq, file, data, program, agreed(t, data, "-m", program))
		}
	}
	if least := len(files) * len(programs) / 2; compared < least {
		t.Errorf("only %d filters could be compared, want %d", compared, least)
	}
}

// agreed runs logcat over values; nil if a program failed on some.
func agreed(t *testing.T, data []byte, args ...string) []byte {
	t.Helper()
	exit, out, errs := inProcess(data, append([]string{"-i", "value", "-o", "value"}, args...)...)
	switch exit {
	case 0:
		return append([]byte{}, out...)
	case cli.BadInput:
		return nil
	}
	t.Fatalf("logcat %q: exit %d\n%s", args, exit, errs)
	return nil
}

func compare(t *testing.T, jq, file string, data []byte, program string, ours []byte) {
	t.Helper()
	cmd := exec.Command(jq, "-c", program)
	cmd.Stdin = bytes.NewReader(data)
	theirs, err := cmd.Output()
	if err != nil {
		t.Fatalf("jq %s %s: %v", program, file, err)
	}
	a, b := values(t, ours), values(t, theirs)
	if len(a) != len(b) {
		t.Errorf("%s, %s: %d values, jq has %d", file, program, len(a), len(b))
		return
	}
	for i := range a {
		if !reflect.DeepEqual(a[i], b[i]) {
			t.Errorf("%s, %s: value %d is\n%.300v, jq has\n%.300v", file, program, i, a[i], b[i])
			return
		}
	}
}

// values decodes a stream of JSON. Numbers are compared as float64, which is what
// jq computes with.
func values(t *testing.T, data []byte) []any {
	t.Helper()
	var all []any
	for d := json.NewDecoder(bytes.NewReader(data)); ; {
		var v any
		if err := d.Decode(&v); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatalf("%v in %.200s", err, strings.TrimSpace(string(data)))
		}
		all = append(all, v)
	}
}
