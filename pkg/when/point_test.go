package when

import (
	"strings"
	"testing"
	"time"
)

func TestParsePoint(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	// 00:30 on April 1 in Berlin; the clocks went forward on March 31.
	now := time.Date(2024, 3, 31, 22, 30, 0, 5e8, time.UTC)
	for _, c := range []struct {
		in   string
		loc  *time.Location
		want string
	}{
		{"2024-02-03T04:05:06Z", nil, "2024-02-03T04:05:06Z"},
		{"2024-02-03T04:05:06.5+01:00", berlin, "2024-02-03T03:05:06.5Z"},
		{"2024-02-03T04:05:06", nil, "2024-02-03T04:05:06Z"},
		{"2024-02-03 04:05:06", berlin, "2024-02-03T03:05:06Z"},
		{"2024-02-03 04:05", berlin, "2024-02-03T03:05:00Z"},
		{"2024-02-03T04:05Z", berlin, "2024-02-03T04:05:00Z"},
		{"2024-02-03T04:05+02:00", berlin, "2024-02-03T02:05:00Z"},
		{"2024-02-03T04:05+0200", berlin, "2024-02-03T02:05:00Z"},
		{"2024-02-03 04:05:06,5", berlin, "2024-02-03T03:05:06.5Z"},
		{"2024-02-03", nil, "2024-02-03T00:00:00Z"},
		{"2024-02-03", berlin, "2024-02-02T23:00:00Z"},
		{"2024-03-31", berlin, "2024-03-30T23:00:00Z"},
		{"today", nil, "2024-03-31T00:00:00Z"},
		{"today", berlin, "2024-03-31T22:00:00Z"},
		{"yesterday", nil, "2024-03-30T00:00:00Z"},
		{"yesterday", berlin, "2024-03-30T23:00:00Z"},
		{"tomorrow", berlin, "2024-04-01T22:00:00Z"},
		{"now", berlin, "2024-03-31T22:30:00.5Z"},
		{"-1h30m", nil, "2024-03-31T21:00:00.5Z"},
		{"-7d", berlin, "2024-03-24T22:30:00.5Z"},
		{"-0.5s", nil, "2024-03-31T22:30:00Z"},
		{"+1h", nil, "2024-03-31T23:30:00.5Z"},
		{"0", nil, "1970-01-01T00:00:00Z"},
		{"1136214245", berlin, "2006-01-02T15:04:05Z"},
		{"1136214245.5", berlin, "2006-01-02T15:04:05.5Z"},
		{"1136214245123", berlin, "2006-01-02T15:04:05.123Z"},
	} {
		got, err := ParsePoint(c.in, now, c.loc)
		if err != nil || got.String() != c.want {
			t.Errorf("ParsePoint(%q, %v) = %v %v, want %s", c.in, c.loc, got, err, c.want)
		}
	}
	for in, want := range map[string]string{
		"":                        `"" is no time: give RFC 3339`,
		"gestern":                 `"gestern" is no time: give RFC 3339`,
		"2024-02-30":              `give RFC 3339`,
		"2024-02-03T04:05:":       `give RFC 3339`,
		"2024-02-03T04:05:06:07":  `give RFC 3339`,
		"2024-02-03T04:05.5Z":     `give RFC 3339`,
		"2024-02-03T04:05,5Z":     `give RFC 3339`,
		"-5":                      `"-5" is no time: 5 has no unit (ns, us, ms, s, m, h, d, w)`,
		"-5y":                     `"-5y" is no time: unknown unit "y" (ns, us, ms, s, m, h, d, w)`,
		"-":                       `"-" is no time: give numbers with units`,
		"1h":                      `"1h" is no time: write -1h for that long ago`,
		"1e30":                    `"1e30" is no time: it is outside the years 0000 to 9999`,
		"--1h":                    `it has no sign`,
		"0000-01-01T00:00+01:00":  `give RFC 3339`,
		"9999999999999999999999d": `give RFC 3339`,
	} {
		got, err := ParsePoint(in, now, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParsePoint(%q) = %v %v, want error %s", in, got, err, want)
		}
	}
	early := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	if got, err := ParsePoint("-1s", early, nil); err == nil {
		t.Errorf("before year 0: %v", got)
	}
}

func TestParseDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "1ns": 1, "1us": 1e3, "1µs": 1e3, "1μs": 1e3, "500ms": 5e8, "1s": 1e9, "1m": 60e9, "1h": 3600e9,
		"1d": 24 * time.Hour, "7d": 7 * 24 * time.Hour, "2w": 14 * 24 * time.Hour, "1h30m": 90 * time.Minute,
		"1.5h": 90 * time.Minute, ".5s": 5e8, "1.s": 1e9, "0.1d": 8640e9, "1m1h": 61 * time.Minute,
		"0.0000000019s": 1, "9223372036854775807ns": 1<<63 - 1, "0.123456789123456789w": 74_666_666_061_866,
		"1.000000000000000000000000000000000001s": 1e9,
	} {
		got, err := ParseDuration(in)
		if err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %d %v, want %d", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"":                            `"" is no duration: give numbers with units, such as 1h30m or 7d`,
		"10":                          `"10" is no duration: 10 has no unit`,
		"1h30":                        `30 has no unit`,
		"5y":                          `unknown unit "y"`,
		"5M":                          `unknown unit "M"`,
		"-5m":                         `it has no sign`,
		"+5m":                         `it has no sign`,
		"1h-5m":                       `give numbers`,
		"1h 5m":                       `give numbers`,
		"h":                           `give numbers`,
		".s":                          `give numbers`,
		"1.2.3s":                      `give numbers`,
		"9223372036854775808ns":       `it is too long (at most 292 years)`,
		"18446744073709551616ns":      `too long`,
		"99999999999999999999999999h": `too long`,
		"293000w":                     `too long`,
		"15250w1w":                    `too long`,
	} {
		got, err := ParseDuration(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseDuration(%q) = %v %v, want error %s", in, got, err, want)
		}
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"1h30m", "1.5s", "9223372036854775807ns", "9223372036854775808ns", "0.00000000000000000001h", "2562047h47m16.854775807s", "1844674407370955161.9m"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseDuration(s)
		if got < 0 {
			t.Fatalf("ParseDuration(%q) = %d", s, got)
		}
		std, stdErr := time.ParseDuration(s)
		if err == nil && stdErr == nil {
			// time.ParseDuration computes fractions in floating point.
			if d := got - std; d < -1000 || d > 1000 {
				t.Fatalf("ParseDuration(%q) = %d, time.ParseDuration %d", s, got, std)
			}
		}
		if stdErr == nil && err != nil && std >= 0 && !strings.HasPrefix(s, "+") && !strings.HasPrefix(s, "-") {
			t.Fatalf("ParseDuration(%q): %v, time.ParseDuration %d", s, err, std)
		}
		if err == nil && stdErr != nil && !strings.ContainsAny(s, "dw") {
			t.Fatalf("ParseDuration(%q) = %d, time.ParseDuration: %v", s, got, stdErr)
		}
	})
}

func TestParseZone(t *testing.T) {
	at := time.Date(2024, 7, 1, 0, 0, 0, 0, time.UTC)
	for in, want := range map[string]int{
		"UTC": 0, "utc": 0, "Z": 0, "Europe/Berlin": 7200, "America/New_York": -14400, "Asia/Kolkata": 19800,
		"+02:00": 7200, "-03:30": -12600, "-0330": -12600, "+2": 7200, "+14": 50400, "+00:00": 0,
	} {
		loc, err := ParseZone(in)
		if err != nil {
			t.Errorf("ParseZone(%q): %v", in, err)
		} else if _, got := at.In(loc).Zone(); got != want {
			t.Errorf("ParseZone(%q): offset %d, want %d", in, got, want)
		}
	}
	if loc, err := ParseZone("local"); err != nil || loc != time.Local {
		t.Errorf("local: %v %v", loc, err)
	}
	for _, in := range []string{"", "Mars/Phobos", "+", "+24:00", "+01:60", "+123", "+1:00", "+01:0", "+-1", "../etc/passwd", "2:00", "+١٢"} {
		if loc, err := ParseZone(in); err == nil {
			t.Errorf("ParseZone(%q) = %v", in, loc)
		} else if !strings.Contains(err.Error(), "give a name such as Europe/Berlin") {
			t.Errorf("ParseZone(%q): %v", in, err)
		}
	}
}
