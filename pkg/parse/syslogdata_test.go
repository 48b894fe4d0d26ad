package parse

import (
	"testing"
)

// The real logs in syslog and logfmt: how many of their lines are good and bad,
// and whether they are told by themselves.
var syslogData = []struct {
	name       string
	lines, bad int
	detect     bool
}{
	{"lnav-formats/logfile_bad_syslog.0", 4, 0, true},
	{"lnav-formats/logfile_blued.0", 6, 0, true},
	{"lnav-formats/logfile_dst.0", 10, 0, true},
	{"lnav-formats/logfile_filter.0", 13, 0, true},
	{"lnav-formats/logfile_filter.1", 5, 4, false},
	{"lnav-formats/logfile_for_join.0", 10, 0, true},
	{"lnav-formats/logfile_haproxy.0", 17, 0, true},
	{"lnav-formats/logfile_partitions.0", 82, 0, true},
	{"lnav-formats/logfile_pretty.0", 23, 17, true}, // messages of many lines
	{"lnav-formats/logfile_rollover.1", 5, 0, true},
	{"lnav-formats/logfile_rollover.2", 375, 0, true},
	{"lnav-formats/logfile_syslog.0", 4, 0, true},
	{"lnav-formats/logfile_syslog.1", 4, 0, true},
	{"lnav-formats/logfile_syslog.2", 3, 0, true},
	{"lnav-formats/logfile_syslog.3", 17, 10, true},
	{"lnav-formats/logfile_syslog_fr.0", 1, 1, false}, // French months
	{"lnav-formats/logfile_syslog_with_access_log.0", 5, 0, true},
	{"lnav-formats/logfile_syslog_with_header.0", 6, 2, true},
	{"lnav-formats/logfile_syslog_with_mixed_times.0", 13, 0, true},
	{"lnav-formats/logfile_with_zones.0", 3, 0, true}, // RFC 5424 without PRI
	{"loghub/Linux/Linux_2k.log", 2000, 0, true},
	{"loghub/OpenSSH/OpenSSH_2k.log", 2000, 0, true},
	{"plaso-logs/syslog", 18, 2, true},
	{"plaso-logs/syslog_chromeos", 9, 1, true},
	{"plaso-logs/syslog_cron.log", 9, 0, true},
	{"plaso-logs/syslog_osx", 2, 0, true},
	{"plaso-logs/syslog_rsyslog", 5, 0, true},
	{"plaso-logs/syslog_rsyslog_ForwardFormat", 2, 1, false}, // packets without line ends between them
	{"plaso-logs/syslog_rsyslog_SysklogdFileFormat", 10, 1, true},
	{"plaso-logs/syslog_rsyslog_SyslogProtocol23Format", 10, 1, true},
	{"plaso-logs/syslog_rsyslog_TraditionalForwardFormat", 2, 1, false},
	{"plaso-logs/syslog_rsyslog_traditional", 11, 3, true},
	{"plaso-logs/syslog_ssh.log", 9, 0, true},
	{"syslog/elastic_auth.log", 7121, 0, true},
	// Not syslog.
	{"lnav-formats/logfile_cxx.0", 1, 0, false},
	{"lnav-formats/logfile_vpxd.0", 12, 0, false},
	{"lnav-formats/logfile_generic.2", 2, 0, false},
	{"plaso-logs/aws_elb_access.log", 16, 12, false},
	{"plaso-logs/santa.log", 194, 194, false},
	{"logfmt-app/loki_calico.txt", 1000, 1000, false},
}

func TestSyslogRealData(t *testing.T) {
	for _, d := range syslogData {
		t.Run(d.name, func(t *testing.T) {
			x := newSyslogFixture()
			lines, bad := linesOf(readData(t, d.name)), 0
			var first [][]byte
			for i, line := range lines {
				if x.checkSyslog(t, line, cleanOf(line)) == "" {
					bad++
				} else if _, ok := x.p.Time(); !ok {
					t.Errorf("no time: %s", line)
				}
				if i < detectLines {
					first = append(first, []byte(line))
				}
			}
			if len(lines) != d.lines || bad != d.bad {
				t.Errorf("%d lines, %d bad; want %d, %d", len(lines), bad, d.lines, d.bad)
			}
			if got := fitsSyslogAll(first); got != d.detect {
				t.Errorf("fits: %v", got)
			}
		})
	}
}

func TestLogfmtRealData(t *testing.T) {
	for _, d := range []struct {
		name            string
		lines, bad, fit int
	}{
		{"lnav-formats/logfile_grafana.0", 5, 0, 5},
		{"lnav-formats/logfile_logfmt.0", 5, 0, 5},
		{"logfmt-app/loki_agent-logfmt.txt", 1000, 0, 1000},
		{"logfmt-app/loki_ingester-logfmt.txt", 100, 0, 100},
		// Of the same family. (-1: not asked.)
		{"plaso-logs/audit_enriched.log", 29, 1, 28},
		{"plaso-logs/selinux.log", 11, 0, 3},
		// Not logfmt.
		{"logfmt-app/loki_calico.txt", 1000, -1, 0},
		{"logfmt-app/loki_kafka.txt", 1000, -1, 0},
		{"logfmt-app/loki_kubernetes.txt", 1000, -1, 0},
		{"plaso-logs/santa.log", 194, -1, 0},
		{"lnav-formats/logfile_mux_zookeeper.0", 1, -1, 0},
		{"syslog/elastic_auth.log", 7121, -1, 0},
	} {
		t.Run(d.name, func(t *testing.T) {
			x := newLogfmtFixture()
			lines, bad, fit := linesOf(readData(t, d.name)), 0, 0
			for _, line := range lines {
				if x.checkLogfmt(t, line, cleanOf(line)) == "" {
					bad++
				}
				if fitsLogfmt([]byte(line)) {
					fit++
				}
			}
			if len(lines) != d.lines || bad != d.bad && d.bad >= 0 || fit != d.fit {
				t.Errorf("%d lines, %d bad, %d fit; want %d, %d, %d", len(lines), bad, fit, d.lines, d.bad, d.fit)
			}
		})
	}
}
