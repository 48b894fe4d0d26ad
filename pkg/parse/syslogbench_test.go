package parse

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"logtools/pkg/event"
)

func bsdLine(r *rand.Rand) string {
	return fmt.Sprintf("Mar %2d %02d:%02d:%02d ip-10-77-20-%d sshd[%d]: Failed password for invalid user u%d from 192.0.2.%d port %d ssh2",
		1+r.IntN(31), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(256), r.IntN(30000), r.IntN(1000), r.IntN(256), r.IntN(65536))
}

func isoLine(r *rand.Rand) string {
	return fmt.Sprintf("2024-03-%02dT%02d:%02d:%02d.%06d+02:00 ip-10-77-20-%d systemd[%d]: Started Daily apt download activities number %d",
		1+r.IntN(31), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1e6), r.IntN(256), r.IntN(30000), r.IntN(1000))
}

func protocolLine(r *rand.Rand) string {
	return fmt.Sprintf(`<%d>1 2024-03-%02dT%02d:%02d:%02d.%06dZ web%d.example.com checkout %d ID%d [request@32473 id="%x" user="u%d"] order %d has been paid`,
		r.IntN(192), 1+r.IntN(31), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1e6), r.IntN(20), r.IntN(30000), r.IntN(99), r.Uint64(), r.IntN(1e4), r.IntN(1e6))
}

func logfmtBenchLine(r *rand.Rand) string {
	return fmt.Sprintf(`ts=2024-04-16T15:10:%02d.%09dZ caller=filetargetmanager.go:%d level=%s component=logs msg="received file watcher event" name=/var/log/pods/billing-%x/%d.log op=CREATE ms=%d.%d`,
		r.IntN(60), r.IntN(1e9), r.IntN(500), []string{"info", "warn", "error"}[r.IntN(3)], r.Uint64(), r.IntN(9), r.IntN(1000), r.IntN(1000))
}

func BenchmarkLazyText(b *testing.B) {
	for _, c := range []struct {
		name   string
		new    func(Options) Parser
		line   func(r *rand.Rand) string
		fields string
		whole  bool
		time   bool
	}{
		{"syslog/3164/appname", newSyslog, bsdLine, "appname", false, false},
		{"syslog/3164/time", newSyslog, bsdLine, "appname", false, true},
		{"syslog/3164/value", newSyslog, bsdLine, "", true, false},
		{"syslog/iso/value", newSyslog, isoLine, "", true, false},
		{"syslog/5424/appname", newSyslog, protocolLine, "appname", false, false},
		{"syslog/5424/value", newSyslog, protocolLine, "", true, false},
		{"syslog/5424/data", newSyslog, protocolLine, "structured_data", false, false},
		{"logfmt/level", newLogfmt, logfmtBenchLine, "level", false, false},
		{"logfmt/value", newLogfmt, logfmtBenchLine, "", true, false},
		{"logfmt/value/foreign", newLogfmt, func(r *rand.Rand) string {
			return strings.Replace(logfmtBenchLine(r), "received", `\x1b[1mreceived\x1b[0m`, 1)
		}, "", true, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			f := new(event.Fields)
			for _, n := range strings.Fields(c.fields) {
				f.Add(n)
			}
			p := c.new(Options{Fields: f, ModTime: time.Unix(1.7e9, 0)})
			p.Block(event.Clean{UTF8: true, NoControl: true, NoBackslash: true})
			lines, size := benchLines(1024, c.line), 0
			for _, l := range lines {
				size += len(l) + 1
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			var ev event.Event
			var out []byte
			best := time.Hour
			for b.Loop() {
				start := time.Now()
				for _, line := range lines {
					ev.Reset(f.Len())
					if err := p.Parse(line, &ev); err != nil {
						b.Fatal(err)
					}
					if c.whole {
						out = ev.AppendValue(out[:0])
					}
					if c.time {
						p.Time()
					}
				}
				best = min(best, time.Since(start))
			}
			b.ReportMetric(float64(size)/best.Seconds()/1e6, "best-MB/s")
		})
	}
}
