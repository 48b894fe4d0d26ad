package parse

import (
	"bytes"
	"io/fs"
	slash "path"
	"path/filepath"
	"testing"
)

// detectData says what each file of the collection is. The first pattern that a
// file's name matches counts (as in path.Match).
var detectData = []struct{ pattern, want string }{
	{"access-logs/*", "combined"},

	{"bad-input/angle-grinder_long_lines.log", "json"},
	{"bad-input/*", "text"}, // JSON behind other text, JSON over several lines, strings

	{"cdc-events/risingwave_debezium_mess_key.1", "text"}, // two values per line
	{"cdc-events/risingwave_sink_debezium*", "text"},
	{"cdc-events/risingwave_upsert_json.1", "text"},
	{"cdc-events/*", "json"},
	{"cdc-sql/*", "text"},
	{"clickstream/*.ndjson", "json"},
	{"clickstream/uci_online_retail/*.csv", "csv"},
	{"cloudtrail/*/*.json", "json"}, // one document on one line

	// What implementations may do as they like: any number is one, a lone
	// surrogate is a character; bytes that are not UTF-8 are no JSON.
	{"json-conformance/JSONTestSuite/test_parsing/i_number_*", "json"},
	{"json-conformance/JSONTestSuite/test_parsing/i_object_key_lone_2nd_surrogate.json", "json"},
	{"json-conformance/JSONTestSuite/test_parsing/i_string_1st_*", "json"},
	{"json-conformance/JSONTestSuite/test_parsing/i_string_incomplete_*", "json"},
	{"json-conformance/JSONTestSuite/test_parsing/i_string_inv*_surrogate*", "json"},
	{"json-conformance/JSONTestSuite/test_parsing/i_string_lone_second_surrogate.json", "json"},
	{"json-conformance/JSONTestSuite/test_parsing/i_structure_500_nested_arrays.json", "json"},
	{"json-conformance/JSONTestSuite/test_parsing/i_*", "text"},
	{"json-conformance/JSONTestSuite/test_parsing/n*_*", "text"},
	{"json-conformance/JSONTestSuite/test_parsing/y_array_with_1_and_newline.json", "text"}, // several lines
	{"json-conformance/JSONTestSuite/test_parsing/y_object_with_newlines.json", "text"},
	{"json-conformance/JSONTestSuite/test_parsing/y_*", "json"},
	{"json-conformance/jq/torture/input0.json", "json"}, // several values on the first line, one on most
	{"json-conformance/jq/*.test", "text"},
	{"json-docs/twitter_timeline.json", "json"},
	{"json-docs/*", "text"}, // documents over several lines

	{"licences/*", "text"},

	{"lnav-formats/logfile_syslog_with_access_log.0", "syslog"},
	{"lnav-formats/logfile*access_log*.0", "combined"},
	{"lnav-formats/logfile_access_log.1", "combined"},
	{"lnav-formats/logfile_bad_syslog.0", "syslog"},
	{"lnav-formats/logfile_blued.0", "syslog"},
	{"lnav-formats/logfile_bunyan.0", "json"},
	{"lnav-formats/logfile_caddy_log.1", "json"},
	{"lnav-formats/logfile_cloudflare.*", "json"},
	{"lnav-formats/logfile_dst.0", "syslog"},
	{"lnav-formats/logfile_filter.0", "syslog"},
	{"lnav-formats/logfile_for_join.0", "syslog"},
	{"lnav-formats/logfile_grafana.0", "logfmt"},
	{"lnav-formats/logfile_haproxy.0", "syslog"},
	{"lnav-formats/logfile_logfmt.0", "logfmt"},
	{"lnav-formats/logfile_mongodb.0", "json"},
	{"lnav-formats/logfile_muxed_syslog.0", "json"},
	{"lnav-formats/logfile_nextcloud.0", "json"},
	{"lnav-formats/logfile_otel_collector.jsonl", "json"},
	{"lnav-formats/logfile_partitions.0", "syslog"},
	{"lnav-formats/logfile_pino.0", "json"},
	{"lnav-formats/logfile_pretty.0", "syslog"},
	{"lnav-formats/logfile_rollover.[12]", "syslog"},
	{"lnav-formats/logfile_rust_tracing.0", "json"},
	{"lnav-formats/logfile_syslog_fr.0", "text"}, // the months are French
	{"lnav-formats/logfile_syslog*", "syslog"},
	{"lnav-formats/logfile_with_zones.0", "syslog"}, // RFC 5424 without its PRI
	{"lnav-formats/*.json", "json"},
	{"lnav-formats/*", "text"},

	{"logfmt-app/*-logfmt.txt", "logfmt"},
	{"logfmt-app/*", "text"},
	{"loghub/*/*.csv", "csv"},
	{"loghub/Linux/Linux_2k.log", "syslog"},
	{"loghub/OpenSSH/OpenSSH_2k.log", "syslog"},
	{"loghub/*/*.log", "text"},
	{"ndjson/*", "json"},

	{"plaso-logs/apache_access.log", "combined"},
	{"plaso-logs/audit_enriched.log", "logfmt"}, // near enough to be of use
	{"plaso-logs/azure_application_gateway_access.json", "json"},
	{"plaso-logs/syslog*", "syslog"},
	{"plaso-logs/*", "text"},

	{"syslog/*", "syslog"},
	{"windows-events/*", "json"},
	{"zeek/*", "json"},
	{"*", "text"},
}

func TestDetectRealData(t *testing.T) {
	files := 0
	err := filepath.WalkDir(dataDir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err = filepath.Rel(dataDir, name)
		if err != nil {
			return err
		}
		files++
		name = filepath.ToSlash(name)
		want := ""
		for _, p := range detectData {
			if ok, err := slash.Match(p.pattern, name); err != nil {
				t.Fatal(err)
			} else if ok {
				want = p.want
				break
			}
		}
		data := readData(t, name)
		if got := Detect(data).Name; got != want {
			t.Errorf("%s: %s, want %q", name, got, want)
		}
		// A live input's first block may be short: a page, or a line. One line
		// less may make a difference in small files and in those that begin
		// with a line of another kind, and csv needs two.
		for _, n := range []int{64 << 10, 4 << 10} {
			if n < len(data) && bytes.IndexByte(data[:n], '\n') > 0 {
				if got := Detect(data[:n]).Name; got != want {
					t.Errorf("first %d bytes of %s: %s, want %q", n, name, got, want)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Skipf("no test data: %v", err)
	}
	if files < 600 {
		t.Errorf("only %d files", files)
	}
}

// Every pattern is there for some file, so that none hides a mistake in another.
func TestDetectPatterns(t *testing.T) {
	used := make([]bool, len(detectData))
	err := filepath.WalkDir(dataDir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if name, err = filepath.Rel(dataDir, name); err != nil {
			return err
		}
		for i, p := range detectData {
			if ok, _ := slash.Match(p.pattern, filepath.ToSlash(name)); ok {
				used[i] = true
				break
			}
		}
		return nil
	})
	if err != nil {
		t.Skipf("no test data: %v", err)
	}
	for i, p := range detectData {
		if !used[i] {
			t.Errorf("no file for %s", p.pattern)
		}
	}
}
