package parse

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"logtools/pkg/event"
)

// csvLike names the format that the first lines of data fit, as Detect would ask.
func csvLike(data []byte) string {
	var lines [][]byte
	for line := range bytes.Lines(data) {
		text, ended := bytes.CutSuffix(line, []byte("\n"))
		if line = dropCR(text); len(bytes.TrimSpace(line)) > 0 && len(lines) < detectLines && (ended || len(lines) == 0) {
			lines = append(lines, line)
		}
	}
	switch {
	case comma.fits(lines):
		return "csv"
	case tab.fits(lines):
		return "tsv"
	}
	return ""
}

func TestCSVDetect(t *testing.T) {
	many := func(n int, s string) string { return strings.Repeat(s+"\n", n) }
	for _, c := range []struct{ name, in, want string }{
		{"smallest", "a,b\n1,2\n", "csv"},
		{"tabs", "a\tb\n1\t2\n", "tsv"},
		{"words only", "name,city\nalice,paris\nbob,rome\n", "csv"},
		{"carriage returns", "a,b\r\n1,2\r\n", "csv"},
		{"blank lines", "\na,b\n\n1,2\n", "csv"},
		{"last line cut", "a,b,c\n1,2,3\n" + many(9, "1,2,3") + "1,", "csv"},
		{"names of several words", "Date,Unit Price (USD),Customer #,Active?\n2024-01-01,1,2,x\n", "csv"},
		{"quotes", `"a","b"` + "\n" + `"1","x, y"` + "\n", "csv"},
		{"line ends in quotes", "a,b\n1,\"x\ny\nz\"\n2,\"x\ny\nz\"\n", "csv"},
		{"a record that goes on", "a,b\n1,2\n3,\"x\ny\n", "csv"},
		{"index without a name", ",a,b\n0,x,y\n", "csv"},
		{"name of its own", "städte,größe\nKöln,1\n", "csv"},
		{"a tenth bad", "a,b,c\n" + many(9, "1,2,3") + "1,2\n", "csv"},
		{"more bad", "a,b,c\n" + many(8, "1,2,3") + "1,2\n", ""},
		{"empty", "", ""},
		{"names only", "a,b,c\n", ""},
		{"one record that goes on", "a,b,c\n1,2,\"x\ny\n", ""},
		{"one column", "a\nb\n", ""},
		{"numbers", "1,2\n3,4\n", ""},
		{"a number among names", "a,2\n3,4\n", ""},
		{"dates", "2024-01-01,x\n2024-01-02,y\n", ""},
		{"equal names", "a,a\n1,2\n", ""},
		{"no name in the middle", "a,,b\n1,2,3\n", ""},
		{"two without names", ",,b\n1,2,3\n", ""},
		{"names come again", "a,b\n1,2\na,b\n", ""},
		{"a value like its name", "INFO,starting\nINFO,ready\n", ""},
		{"the same in tabs", "INFO\tstarting\nWARN\tslow\nINFO\tready\n", ""},
		{"prose", "Hello, world\nGood bye, world\n", ""},
		{"prose without spaces", "See here,there.\nIt is a very long line of words,which no name would have\n", "csv"}, // as good as any
		{"messages", "user bob logged in, session 12\nuser al logged in, session 13\n", ""},
		{"times", "Jan 02 03:04:05 host app: a,b\nJan 02 03:04:06 host app: c,d\n", ""},
		{"python's logging", "2024-01-02 03:04:05,678 INFO x\n2024-01-02 03:04:05,679 INFO y\n", ""},
		{"logfmt", "level=info msg=\"a,b\"\nlevel=warn msg=\"c,d\"\n", ""},
		{"access log", sample + "\n" + sample + "\n", ""},
		{"JSON", `{"a":1,"b":2}` + "\n" + `{"a":2,"b":3}` + "\n", ""},
		{"all cut", "a,b,c\n1,2,3", ""},
		{"stray quote", "a,b\n1,\"2\n3,4\n5,6\n", ""},
		{"text behind a quote", "\"a\"x,b\n1,2\n", ""},
		{"invalid UTF-8", "a,b\xff\n1,2\n", ""},
	} {
		if got := csvLike([]byte(c.in)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func FuzzCSVDetect(f *testing.F) {
	for _, s := range csvSeeds {
		f.Add(s)
		f.Add("a,b,c\n" + s)
	}
	f.Fuzz(func(t *testing.T, data string) {
		// What fits can be read.
		if csvLike([]byte(data)) == "csv" {
			if _, _, err := comma.head(bytes.TrimLeft([]byte(data), " \t\r\n")); err != nil {
				t.Fatalf("%q fits, but %v", data, err)
			}
		}
	})
}

// Of all real logs exactly those that are called so are taken for csv, and their
// records are good.
func TestCSVRealData(t *testing.T) {
	const root = "../../../shared/data"
	if _, err := os.Stat(root); err != nil {
		t.Skipf("no test data: %v", err)
	}
	found := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "LICENSE" {
			return err
		}
		name := strings.TrimPrefix(path, root+"/")
		data := readData(t, name)
		want := ""
		if strings.HasSuffix(name, ".csv") {
			want = "csv"
		}
		if got := csvLike(data); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if want == "" {
			return nil
		}
		found++
		for _, n := range []int{len(data) / 2, 4096, 1000} { // a block may end anywhere
			if n > 500 && n < len(data) && csvLike(data[:n]) != want {
				t.Errorf("%s: not detected by its first %d bytes", name, n)
			}
		}
		checkCSVFile(t, name, data)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if found == 0 {
		t.Error("no csv found")
	}
}

func checkCSVFile(t *testing.T, name string, data []byte) {
	t.Helper()
	x := newCSVFixture(t, comma, string(data))
	if slices.Contains(x.head.names, "") || comma.whole(data) != len(data) && data[len(data)-1] == '\n' {
		t.Errorf("%s: names %q, %d of %d bytes are whole records", name, x.head.names, comma.whole(data), len(data))
	}
	data = data[x.n:]
	for i := 1; len(data) > 0; i++ {
		n := comma.next(data)
		record := strings.TrimSuffix(string(data[:n]), "\n")
		data = data[n:]
		if i > 300 && i%16 != 0 { // all of them would take long
			continue
		}
		clean := event.Clean{}
		if i%2 == 0 {
			clean = cleanOf(record)
		}
		if _, err := x.parse(t, record, clean); err != nil {
			t.Errorf("%s: record %d: %v", name, i, err)
		}
	}
}
