package when

import (
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestCalendarExhaustive(t *testing.T) {
	days := int64(minSec / secsPerDay)
	for year := 0; year <= 9999; year++ {
		for month := 1; month <= 12; month++ {
			n := time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
			for day := 0; day <= 32; day++ {
				got, ok := Date(year, month, day, 0, 0, 0, 0)
				if want := 1 <= day && day <= n; ok != want {
					t.Fatalf("Date(%d, %d, %d): %v, want %v", year, month, day, ok, want)
				}
				if !ok {
					continue
				}
				if got.Sec != days*secsPerDay {
					t.Fatalf("Date(%d, %d, %d) = %d, want %d", year, month, day, got.Sec, days*secsPerDay)
				}
				if y, m, d := civil(days); y != year || m != month || d != day {
					t.Fatalf("civil(%d) = %d-%d-%d, want %d-%d-%d", days, y, m, d, year, month, day)
				}
				days++
			}
		}
	}
	if days*secsPerDay-1 != maxSec {
		t.Errorf("ends at %d, want %d", days*secsPerDay-1, int64(maxSec))
	}
	if got := time.Unix(minSec, 0).UTC(); got != time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC) {
		t.Errorf("begins at %v", got)
	}
}

func TestTimeOfDayExhaustive(t *testing.T) {
	for s := 0; s < secsPerDay; s++ {
		std := time.Unix(int64(s)-10*secsPerDay, 0).UTC()
		got, ok := Date(1969, 12, 22, s/3600, s/60%60, s%60, 0)
		if !ok || got.Sec != std.Unix() {
			t.Fatalf("second %d: %v %v", s, got, ok)
		}
		if got.String() != std.Format(time.RFC3339) {
			t.Fatalf("second %d is written %s", s, got)
		}
	}
}

func TestDateRefuses(t *testing.T) {
	for _, d := range [][7]int{
		{-1, 1, 1, 0, 0, 0, 0}, {10000, 1, 1, 0, 0, 0, 0}, {2024, 0, 1, 0, 0, 0, 0}, {2024, 13, 1, 0, 0, 0, 0},
		{2024, 1, 1, 24, 0, 0, 0}, {2024, 1, 1, 0, 60, 0, 0}, {2024, 1, 1, 0, 0, 60, 0}, {2024, 1, 1, -1, 0, 0, 0},
		{2024, 1, 1, 0, -1, 0, 0}, {2024, 1, 1, 0, 0, -1, 0},
		{0, 1, 1, 0, 0, 0, 1}, {9999, 12, 31, 23, 59, 59, -1},
	} {
		if got, ok := Date(d[0], d[1], d[2], d[3], d[4], d[5], d[6]); ok {
			t.Errorf("Date(%v) = %v", d, got)
		}
	}
}

func zone(t testing.TB, name string) *time.Location {
	loc, err := ParseZone(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestParse(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	for _, c := range []struct {
		in   string
		loc  *time.Location
		want string // as written again; "" = refused
	}{
		{"2006-01-02T15:04:05Z", nil, "2006-01-02T15:04:05Z"},
		{"2006-01-02t15:04:05z", nil, "2006-01-02T15:04:05Z"},
		{"2006-01-02 15:04:05Z", nil, "2006-01-02T15:04:05Z"},
		{"2006-01-02T15:04:05.50Z", nil, "2006-01-02T15:04:05.50Z"},
		{"2006-01-02T15:04:05.000000001Z", nil, "2006-01-02T15:04:05.000000001Z"},
		{"2006-01-02T15:04:05.1234567899Z", nil, "2006-01-02T15:04:05.123456789Z"},
		{"2006-01-02T15:04:05.0+00:00", nil, "2006-01-02T15:04:05.0Z"},
		{"2006-01-02T15:04:05-00:00", nil, "2006-01-02T15:04:05Z"},
		{"2006-01-02T15:04:05+05:30", nil, "2006-01-02T09:34:05Z"},
		{"2006-01-02T15:04:05.25-23:59", nil, "2006-01-03T15:03:05.25Z"},
		{"2024-02-29T00:00:00+00:01", nil, "2024-02-28T23:59:00Z"},
		// As others write it.
		{"2006-01-02T15:04:05+0530", nil, "2006-01-02T09:34:05Z"},
		{"2006-01-02T15:04:05.25-2359", berlin, "2006-01-03T15:03:05.25Z"},
		{"2006-01-02T15:04:05-07", nil, "2006-01-02T22:04:05Z"},
		{"2006-01-02 15:04:05.120+01", nil, "2006-01-02T14:04:05.120Z"},
		{"2006-01-02 15:04:05,123", berlin, "2006-01-02T14:04:05.123Z"},
		{"2006-01-02T15:04:05,5Z", nil, "2006-01-02T15:04:05.5Z"},
		{"2006-01-02T15:04:05,120+0200", nil, "2006-01-02T13:04:05.120Z"},
		{"0000-01-01T00:00:00Z", nil, "0000-01-01T00:00:00Z"},
		{"9999-12-31T23:59:59.999999999Z", nil, "9999-12-31T23:59:59.999999999Z"},
		{"2006-01-02T15:04:05", time.UTC, "2006-01-02T15:04:05Z"},
		{"2006-01-02 15:04:05.1", berlin, "2006-01-02T14:04:05.1Z"},
		{"2006-07-02T15:04:05", berlin, "2006-07-02T13:04:05Z"},
		{"2006-07-02T15:04:05Z", berlin, "2006-07-02T15:04:05Z"},
		// Leap seconds.
		{"2016-12-31T23:59:60Z", nil, "2017-01-01T00:00:00Z"},
		{"2016-12-31T23:59:60.25Z", nil, "2017-01-01T00:00:00.25Z"},
		{"2017-01-01T00:59:60+01:00", nil, "2017-01-01T00:00:00Z"},
		{"2017-01-01T00:59:60", berlin, "2017-01-01T00:00:00Z"},
		{"2016-12-31T23:58:60Z", nil, ""},
		{"2016-12-31T22:59:60Z", nil, ""},
		{"2016-12-31T23:59:60", berlin, ""},
		{"2016-12-31T23:59:61Z", nil, ""},
		{"9999-12-31T23:59:60Z", nil, ""},

		{"", time.UTC, ""},
		{"2006-01-02", time.UTC, ""},
		{"2006-01-02T15:04", time.UTC, ""},
		{"2006-01-02T15:04:05", nil, ""},
		{"2006-01-02T15:04:05.", time.UTC, ""},
		{"2006-01-02T15:04:05.Z", nil, ""},
		{"2006-01-02T15:04:05,", time.UTC, ""},
		{"2006-01-02T15:04:05,Z", nil, ""},
		{"2006-01-02T15:04:05,1.5Z", nil, ""},
		{"2006-01-02T15:04:05 Z", nil, ""},
		{"2006-01-02T15:04:05ZZ", nil, ""},
		{"2006-01-02T15:04:05+01:", nil, ""},
		{"2006-01-02T15:04:05+01:0", nil, ""},
		{"2006-01-02T15:04:05+01000", nil, ""},
		{"2006-01-02T15:04:05+010", nil, ""},
		{"2006-01-02T15:04:05+1", nil, ""},
		{"2006-01-02T15:04:05+", nil, ""},
		{"2006-01-02T15:04:05+2400", nil, ""},
		{"2006-01-02T15:04:05+24", nil, ""},
		{"2006-01-02T15:04:05+0160", nil, ""},
		{"2006-01-02T15:04:05+0x", nil, ""},
		{"2006-01-02T15:04:05+01-00", nil, ""},
		{"2006-01-02T15:04:05+24:00", nil, ""},
		{"2006-01-02T15:04:05+01:60", nil, ""},
		{"2006-01-02T15:04:05+01:0x", nil, ""},
		{"2006-01-02T15:04:05+x1:00", nil, ""},
		{"2006-01-02T24:00:00Z", nil, ""},
		{"2006-01-02T15:60:05Z", nil, ""},
		{"2023-02-29T15:04:05Z", nil, ""},
		{"2023-02-29T15:04:05", berlin, ""},
		{"2006-00-02T15:04:05Z", nil, ""},
		{"2006-01-00T15:04:05Z", nil, ""},
		{"2006-01-02x15:04:05Z", nil, ""},
		{"2006/01/02T15:04:05Z", nil, ""},
		{"2006-01-02T15.04.05Z", nil, ""},
		{"200a-01-02T15:04:05Z", nil, ""},
		{"2006-01-02T15:04:0:Z", nil, ""},
		{"+006-01-02T15:04:05Z", nil, ""},
		{"0000-01-01T00:00:00+00:01", nil, ""},
		{"9999-12-31T23:59:59-00:01", nil, ""},
		{"0000-01-01T00:00:00", berlin, ""},
	} {
		got, ok := Parse([]byte(c.in), c.loc)
		if ok != (c.want != "") || ok && got.String() != c.want {
			t.Errorf("Parse(%q, %v) = %v %v, want %q", c.in, c.loc, got, ok, c.want)
		}
	}
}

var (
	offset4 = regexp.MustCompile(`^(.{19}(?:[.,][0-9]+)?[+-][0-9]{2})([0-9]{2})$`)
	offset2 = regexp.MustCompile(`^(.{19}(?:[.,][0-9]+)?[+-][0-9]{2})$`)
)

// parseSlow is Parse's slow twin on top of time.Parse. It differs, by intent,
// in leap seconds only.
func parseSlow(s string, loc *time.Location) (Time, bool) {
	if len(s) < 19 || !strings.Contains("Tt ", s[10:11]) {
		return Time{}, false
	}
	u := s[:10] + "T" + s[11:]
	if strings.HasSuffix(u, "z") {
		u = u[:len(u)-1] + "Z"
	}
	u = offset2.ReplaceAllString(offset4.ReplaceAllString(u, "$1:$2"), "$1:00")
	n := len(u)
	if u[12] == ':' || u[11] == ' ' || strings.Contains("+-", u[n-6:n-5]) && u[n-3] == ':' && (u[n-5:n-3] == "24" || u[n-2:] == "60") {
		return Time{}, false // time.Parse takes hours of one digit, and offsets of 24 hours and of 60 minutes
	}
	std, err := time.Parse(time.RFC3339, u)
	if err != nil && loc != nil {
		std, err = time.ParseInLocation("2006-01-02T15:04:05", u, loc)
	}
	if err != nil || std.Unix() < minSec || std.Unix() > maxSec {
		return Time{}, false
	}
	t := Time{Sec: std.Unix(), Nsec: int32(std.Nanosecond())}
	if len(s) > 19 && (s[19] == '.' || s[19] == ',') {
		for i := 20; i < len(s) && '0' <= s[i] && s[i] <= '9' && t.Digits < 9; i++ {
			t.Digits++
		}
	}
	return t, true
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"2006-01-02T15:04:05Z", "2006-01-02 15:04:05.123+05:30", "2024-02-29t23:59:59z", "1999-02-29T00:00:00Z",
		"0000-01-01T00:00:00+01:00", "2006-01-02T15:04:05.1234567890123", "2006-03-26T02:30:00", "2006-10-29T02:30:00",
		"2006-01-02T15:04:60Z", "2006-01-02T15:04:05,1Z", "2006-01-02 15:04:05,123+0530", "2006-01-02 15:04:05.1-07", "2006-01-02T15:04:05+24:00",
		"0000-01-01 0:00:00.0", "0000-01-01 00:00:00.0000060",
	} {
		f.Add(s)
	}
	berlin := zone(f, "Europe/Berlin")
	f.Fuzz(func(t *testing.T, s string) {
		for _, loc := range []*time.Location{nil, time.UTC, berlin} {
			got, ok := Parse([]byte(s), loc)
			if len(s) >= 19 && s[17:19] == "60" {
				if ok && got.Sec%secsPerDay != 0 {
					t.Fatalf("Parse(%q) = %v", s, got)
				}
				continue
			}
			want, wantOK := parseSlow(s, loc)
			if got != want || ok != wantOK {
				t.Fatalf("Parse(%q, %v) = %v %v, time.Parse %v %v", s, loc, got, ok, want, wantOK)
			}
			if ok {
				if back, ok := Parse(got.AppendRFC3339(nil), nil); !ok || back != got {
					t.Fatalf("%q: %v is written %s and read as %v", s, got, got, back)
				}
			}
		}
	})
}

func TestFromUnix(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"0", "1970-01-01T00:00:00Z"},
		{"-0", "1970-01-01T00:00:00Z"},
		{"0.000", "1970-01-01T00:00:00.000Z"},
		{"0e999999999999", "1970-01-01T00:00:00Z"},
		{"1136214245", "2006-01-02T15:04:05Z"},
		{"1136214245.0", "2006-01-02T15:04:05.0Z"},
		{"1136214245.123456789", "2006-01-02T15:04:05.123456789Z"},
		{"1136214245.1234567899", "2006-01-02T15:04:05.123456789Z"},
		{"1136214245.123456789e0", "2006-01-02T15:04:05.123456789Z"},
		{"1.136214245e9", "2006-01-02T15:04:05Z"},
		{"1.1362142455E+9", "2006-01-02T15:04:05.5Z"},
		{"11362142450e-1", "2006-01-02T15:04:05.0Z"},
		{"0.001", "1970-01-01T00:00:00.001Z"},
		{"1e-3", "1970-01-01T00:00:00.001Z"},
		{"100e-5", "1970-01-01T00:00:00.00100Z"},
		{"0.0000000001", "1970-01-01T00:00:00.000000000Z"},
		{"-0.0000000001", "1970-01-01T00:00:00.000000000Z"},
		{"-1", "1969-12-31T23:59:59Z"},
		{"-0.25", "1969-12-31T23:59:59.75Z"},
		{"-1.25", "1969-12-31T23:59:58.75Z"},
		{"99999999999", "5138-11-16T09:46:39Z"},
		{"99999999999.9", "5138-11-16T09:46:39.9Z"},
		{"100000000000", "1973-03-03T09:46:40.000Z"},
		{"1e11", "1973-03-03T09:46:40.000Z"},
		{"-100000000000", "1966-10-31T14:13:20.000Z"},
		{"-62167219200", "0000-01-01T00:00:00Z"},
		{"-62167219201", ""},
		{"-62167219200.1", ""},
		{"1136214245123", "2006-01-02T15:04:05.123Z"},
		{"1136214245123.5", "2006-01-02T15:04:05.1235Z"},
		{"99999999999999", "5138-11-16T09:46:39.999Z"},
		{"100000000000000", "1973-03-03T09:46:40.000000Z"},
		{"1136214245123456", "2006-01-02T15:04:05.123456Z"},
		{"99999999999999999", "5138-11-16T09:46:39.999999Z"},
		{"100000000000000000", "1973-03-03T09:46:40.000000000Z"},
		{"1136214245123456789", "2006-01-02T15:04:05.123456789Z"},
		{"-1136214245123456789", "1933-12-30T08:55:54.876543211Z"},
		{"253402300799999999999", "9999-12-31T23:59:59.999999999Z"},
		{"253402300800000000000", ""},
		{"1e22", ""}, {"1e999999999999999999999", ""}, {"-1e400", ""},
		{"1e-999999999999999999999", "1970-01-01T00:00:00.000000000Z"},
		{"", ""}, {"-", ""}, {"+1", ""}, {"01", ""}, {"1.", ""}, {".5", ""}, {"1e", ""}, {"1e+", ""}, {"1x", ""}, {" 1", ""}, {"1 ", ""}, {"0x10", ""}, {"NaN", ""},
	} {
		got, ok := FromUnix([]byte(c.in))
		if ok != (c.want != "") || ok && got.String() != c.want {
			t.Errorf("FromUnix(%s) = %v %v, want %q", c.in, got, ok, c.want)
		}
	}
}

// fromUnixSlow is FromUnix's slow twin in exact rational arithmetic.
func fromUnixSlow(s string) (Time, bool) {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return Time{}, false
	}
	abs := new(big.Rat).Abs(r)
	mul := int64(1e9)
	for _, limit := range []int64{1e11, 1e14, 1e17} {
		if abs.Cmp(new(big.Rat).SetInt64(limit)) < 0 {
			break
		}
		mul /= 1000
	}
	r.Mul(r, new(big.Rat).SetInt64(mul))
	ns := new(big.Int).Quo(r.Num(), r.Denom())
	sec, nsec := new(big.Int).DivMod(ns, big.NewInt(1e9), new(big.Int))
	if !sec.IsInt64() || sec.Int64() < minSec || sec.Int64() > maxSec {
		return Time{}, false
	}
	return Time{Sec: sec.Int64(), Nsec: int32(nsec.Int64())}, true
}

func FuzzFromUnix(f *testing.F) {
	for _, s := range []string{"0", "-1.5", "1136214245.123456789", "1e11", "99999999999.99999999999", "1.5e-3", "100000000000000000", "-0.0", "0.00012e15", "253402300799999999999.9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := FromUnix([]byte(s))
		if _, isNumber := parseDecimal([]byte(s)); !isNumber {
			if ok {
				t.Fatalf("FromUnix(%q) = %v", s, got)
			}
			return
		}
		if i := strings.IndexAny(s, "eE"); len(s) > 60 || i >= 0 && len(s)-i > 5 {
			return // too much for big.Rat
		}
		want, wantOK := fromUnixSlow(s)
		if ok != wantOK || ok && got.Compare(want) != 0 {
			t.Fatalf("FromUnix(%s) = %v %v, want %v %v", s, got, ok, want, wantOK)
		}
	})
}

func TestFromTime(t *testing.T) {
	for _, c := range []struct {
		in   time.Time
		want string
	}{
		{time.Unix(0, 0), "1970-01-01T00:00:00Z"},
		{time.Unix(-1, 500e6), "1969-12-31T23:59:59.5Z"},
		{time.Unix(1, 1), "1970-01-01T00:00:01.000000001Z"},
		{time.Unix(1, 120e6), "1970-01-01T00:00:01.12Z"},
		{time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC), "0000-01-01T00:00:00Z"},
		{time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC), "9999-12-31T23:59:59.999999999Z"},
	} {
		got := FromTime(c.in)
		if got.String() != c.want {
			t.Errorf("FromTime(%v) = %v, want %s", c.in, got, c.want)
		}
		if y := c.in.Year(); 0 <= y && y <= 9999 && !got.Std().Equal(c.in) {
			t.Errorf("%v comes back as %v", c.in, got.Std())
		}
	}
}

func TestCompare(t *testing.T) {
	ts := []Time{{Sec: -1, Nsec: 999999999}, {}, {Nsec: 1}, {Sec: 1}}
	for i, a := range ts {
		for j, b := range ts {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := a.Compare(b); got != want {
				t.Errorf("%v.Compare(%v) = %d", a, b, got)
			}
		}
	}
	if (Time{Digits: 3}).Compare(Time{}) != 0 {
		t.Error("Digits are compared")
	}
}

func TestAppendRFC3339OutOfRange(t *testing.T) {
	for in, want := range map[Time]string{
		{Sec: 1 << 62}:                        "9999-12-31T23:59:59Z",
		{Sec: -1 << 62}:                       "0000-01-01T00:00:00Z",
		{Nsec: 5, Digits: 200}:                "1970-01-01T00:00:00.000000005Z",
		{Sec: 59, Nsec: 987654321, Digits: 2}: "1970-01-01T00:00:59.98Z",
	} {
		if got := in.String(); got != want {
			t.Errorf("%#v: %s, want %s", in, got, want)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	in, num, buf := []byte("2006-01-02T15:04:05.123+05:30"), []byte("1136214245.5"), make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() {
		u, _ := Parse(in, time.UTC)
		FromUnix(num)
		u.AppendRFC3339(buf)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParse(b *testing.B) {
	for name, s := range map[string]string{"utc": "2026-01-01T00:00:00.001Z", "offset": "2026-01-01T00:00:00+05:30"} {
		b.Run(name, func(b *testing.B) {
			in := []byte(s)
			for b.Loop() {
				Parse(in, nil)
			}
		})
	}
	b.Run("zone", func(b *testing.B) {
		in, loc := []byte("2026-01-01 00:00:00.001"), zone(b, "Europe/Berlin")
		for b.Loop() {
			Parse(in, loc)
		}
	})
}

func BenchmarkFromUnix(b *testing.B) {
	in := []byte("1136214245.123")
	for b.Loop() {
		FromUnix(in)
	}
}

func BenchmarkAppendRFC3339(b *testing.B) {
	t, _ := Parse([]byte("2026-01-01T00:00:00.001Z"), nil)
	buf := make([]byte, 0, 64)
	for b.Loop() {
		t.AppendRFC3339(buf)
	}
}
