package parse

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"logtools/pkg/event"
)

// dataDir is the collection of real logs beside the repository.
const dataDir = "../../../shared/data"

// readData returns a file of the collection, decompressed; the test is skipped where
// there is none.
func readData(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dataDir, filepath.FromSlash(name)))
	if err != nil {
		t.Skipf("no test data: %v", err)
	}
	if strings.HasSuffix(name, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err == nil {
			b, err = io.ReadAll(z)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// linesOf splits a file into lines and leaves out the blank ones.
func linesOf(b []byte) []string {
	var lines []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSuffix(line, "\n"); strings.TrimSpace(line) != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

var accessData = []struct {
	name    string
	lines   int
	bad     int
	request int // lines whose request is not METHOD PATH PROTOCOL
	detect  string
}{
	{"access-logs/elastic_apache_logs.log", 10000, 1, 0, "combined"},
	{"access-logs/lnav_shop_access_log.log", 1000, 0, 0, "combined"},
	{"access-logs/loki_zanbil_nginx_first50k.log.gz", 50000, 0, 0, "combined"},
	{"access-logs/nasa_Aug95_5k_altered_tz.log", 5000, 0, 35, "combined"},
	{"access-logs/nielsbasjes_hackers-access.log", 3456, 0, 0, "combined"},
	{"lnav-formats/logfile_access_log.0", 3, 0, 0, "combined"},
	{"lnav-formats/logfile_access_log.1", 1, 0, 1, "combined"},
	{"lnav-formats/logfile_bad_access_log.0", 3, 1, 0, "combined"},
	{"lnav-formats/logfile_regexp_access_log.0", 2, 0, 0, "combined"},
	{"lnav-formats/logfile_syslog_with_access_log.0", 5, 5, 0, "syslog"},
	{"plaso-logs/apache_access.log", 15, 1, 0, "combined"},
	{"plaso-logs/confluence_access.log", 3, 3, 0, "text"},
	{"plaso-logs/aws_elb_access.log", 16, 16, 0, "text"},
	{"loghub/Apache/Apache_2k.log", 2000, 2000, 0, "text"},
}

func TestAccessRealData(t *testing.T) {
	for _, d := range accessData {
		t.Run(d.name, func(t *testing.T) {
			data := readData(t, d.name)
			x := newFixture(true)
			lines, badLines, requests := linesOf(data), 0, 0
			for i, line := range lines {
				c := cleanOf(line)
				if i%2 == 0 {
					c = event.Clean{}
				}
				out := x.check(t, line, c)
				if out == "" {
					badLines++
				} else if strings.Contains(out, `"request":`) {
					requests++
				}
				if _, ok := x.p.Time(); !ok && out != "" {
					t.Errorf("no time: %s", line)
				}
			}
			if len(lines) != d.lines || badLines != d.bad || requests != d.request {
				t.Errorf("%d lines, %d bad, %d other requests; want %d, %d, %d", len(lines), badLines, requests, d.lines, d.bad, d.request)
			}
			if got := Detect(data).Name; got != d.detect {
				t.Errorf("detected as %s, want %s", got, d.detect)
			}
		})
	}
}

// The one bad line of this file is the example of the manual pages.
func TestUnterminatedQuote(t *testing.T) {
	lines := linesOf(readData(t, "access-logs/elastic_apache_logs.log"))
	for i, line := range lines {
		var ev event.Event
		err := newCombined(Options{}).Parse([]byte(line), &ev)
		if (err != nil) != (i+1 == 8899) {
			t.Errorf("line %d: %v", i+1, err)
		} else if err != nil && err.(*event.BadError).Reason != "unterminated quote" {
			t.Errorf("line %d: %v", i+1, err)
		}
	}
}
