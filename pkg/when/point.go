package when

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strings"
	"time"
	_ "time/tzdata" // zones have their names on machines without zone data, too
)

// ParsePoint reads a point in time as people give it on a command line, at the
// moment now, in the time zone loc (nil: UTC):
//
//	2006-01-02T15:04:05Z   RFC 3339; without a zone in loc; the seconds may be left out
//	2006-01-02             the start of that day in loc
//	-1h30m, -7d            that long before now (+1h: after); see ParseDuration
//	now, today, yesterday, tomorrow    the last three: the start of that day in loc
//	1136214245             Unix time; see FromUnix for milliseconds and finer
//
// The errors say what is accepted.
func ParsePoint(s string, now time.Time, loc *time.Location) (Time, error) {
	if loc == nil {
		loc = time.UTC
	}
	t, err := parsePoint(s, now, loc)
	if err != nil {
		return Time{}, fmt.Errorf("%q is no time: %w", s, err)
	}
	return t, nil
}

var (
	errPoint = errors.New("give RFC 3339 (2006-01-02T15:04:05Z), a date, -1h30m, -7d, today, yesterday or Unix seconds")
	errRange = errors.New("it is outside the years 0000 to 9999")
)

func parsePoint(s string, now time.Time, loc *time.Location) (Time, error) {
	if s == "" {
		return Time{}, errPoint
	}
	switch s {
	case "now":
		return FromTime(now), nil
	case "today":
		return startOfDay(now, 0, loc)
	case "yesterday":
		return startOfDay(now, -1, loc)
	case "tomorrow":
		return startOfDay(now, 1, loc)
	}
	if s[0] == '-' || s[0] == '+' {
		d, err := parseDuration(s[1:])
		if err != nil {
			return Time{}, err
		}
		if s[0] == '-' {
			d = -d
		}
		return inRange(now.Add(d))
	}
	if t, ok := FromUnix([]byte(s)); ok {
		return t, nil
	}
	if t, ok := Parse([]byte(s), loc); ok {
		return t, nil
	}
	if len(s) >= 16 && s[4] == '-' { // without seconds: 2006-01-02T15:04, perhaps a zone
		if t, ok := Parse([]byte(s[:16]+":00"+s[16:]), loc); ok && (len(s) == 16 || strings.IndexByte(":.,", s[16]) < 0) {
			return t, nil
		}
	}
	if len(s) == 10 {
		if t, ok := Parse([]byte(s+"T00:00:00"), time.UTC); ok {
			year, month, day := t.Std().Date()
			return inRange(time.Date(year, month, day, 0, 0, 0, 0, loc))
		}
	}
	if _, ok := parseDecimal([]byte(s)); ok {
		return Time{}, errRange
	}
	if _, err := ParseDuration(s); err == nil {
		return Time{}, fmt.Errorf("write -%s for that long ago", s)
	}
	return Time{}, errPoint
}

func startOfDay(now time.Time, days int, loc *time.Location) (Time, error) {
	year, month, day := now.In(loc).Date()
	return inRange(time.Date(year, month, day+days, 0, 0, 0, 0, loc))
}

func inRange(t time.Time) (Time, error) {
	if s := t.Unix(); s < minSec || s > maxSec {
		return Time{}, errRange
	}
	return FromTime(t), nil
}

var units = [...]struct {
	name string
	d    time.Duration
}{
	{"ns", time.Nanosecond}, {"us", time.Microsecond}, {"µs", time.Microsecond}, {"μs", time.Microsecond},
	{"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute}, {"h", time.Hour},
	{"d", 24 * time.Hour}, {"w", 7 * 24 * time.Hour},
}

// ParseDuration reads a duration: decimal numbers with units, such as 1h30m,
// 7d, 1.5h or 500ms, added up. Units are ns, us (µs), ms, s, m, h, d (24 hours)
// and w (7 days). 0 needs no unit; a sign is not accepted. What is finer than a
// nanosecond is cut off. The longest duration is some 292 years. The errors say
// what is accepted.
func ParseDuration(s string) (time.Duration, error) {
	d, err := parseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration: %w", s, err)
	}
	return d, nil
}

func parseDuration(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	if s == "" {
		return 0, errors.New("give numbers with units, such as 1h30m or 7d")
	}
	if s[0] == '-' || s[0] == '+' {
		return 0, errors.New("it has no sign")
	}
	var sum uint64
	for s != "" {
		number := s[:span(s, "0123456789.")]
		s = s[len(number):]
		name := s
		if i := strings.IndexAny(s, "0123456789. +-"); i >= 0 {
			name = s[:i]
		}
		s = s[len(name):]
		whole, frac, _ := strings.Cut(number, ".")
		if whole+frac == "" || strings.Contains(frac, ".") {
			return 0, errors.New("give numbers with units, such as 1h30m or 7d")
		}
		if name == "" {
			return 0, fmt.Errorf("%s has no unit (ns, us, ms, s, m, h, d, w)", number)
		}
		var unit uint64
		for _, u := range units {
			if u.name == name {
				unit = uint64(u.d)
			}
		}
		if unit == 0 {
			return 0, fmt.Errorf("unknown unit %q (ns, us, ms, s, m, h, d, w)", name)
		}
		n, ok := scale(whole, frac, unit)
		if !ok || sum+n > math.MaxInt64 {
			return 0, errors.New("it is too long (at most 292 years)")
		}
		sum += n
	}
	return time.Duration(sum), nil
}

// span returns how many bytes at the start of s are in set.
func span(s, set string) int {
	return len(s) - len(strings.TrimLeft(s, set))
}

// scale returns whole.frac × unit, cut off to an integer, if it fits int64.
func scale(whole, frac string, unit uint64) (uint64, bool) {
	var n uint64
	for _, c := range []byte(whole) {
		if n > math.MaxInt64/10 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	hi, n := bits.Mul64(n, unit)
	// frac × unit = ((d3/10 + d2)/10 + d1)/10 × unit, cut off once: 15 digits
	// say all that a week in nanoseconds can show.
	var f, ten uint64 = 0, 1
	for _, c := range []byte(frac[:min(len(frac), 15)]) {
		f, ten = f*10+uint64(c-'0'), ten*10
	}
	fhi, flo := bits.Mul64(f, unit)
	q, _ := bits.Div64(fhi, flo, ten)
	return n + q, hi == 0 && n <= math.MaxInt64 && n+q <= math.MaxInt64
}

// ParseZone reads a time zone: a name of the IANA data base (Europe/Berlin),
// UTC (or Z), Local, or an offset from UTC such as +02:00, -0330 or +2.
func ParseZone(s string) (*time.Location, error) {
	switch {
	case strings.EqualFold(s, "utc"), strings.EqualFold(s, "z"):
		return time.UTC, nil
	case strings.EqualFold(s, "local"):
		return time.Local, nil
	}
	if s != "" && (s[0] == '+' || s[0] == '-') {
		if offset, ok := parseOffset(s[1:]); ok {
			if s[0] == '-' {
				offset = -offset
			}
			return time.FixedZone(s, offset), nil
		}
	} else if s != "" {
		if loc, err := time.LoadLocation(s); err == nil {
			return loc, nil
		}
	}
	return nil, fmt.Errorf("%q is no time zone: give a name such as Europe/Berlin, UTC, Local, or an offset such as +02:00", s)
}

// parseOffset reads H, HH, HHMM or HH:MM; it returns seconds.
func parseOffset(s string) (int, bool) {
	if len(s) == 5 && s[2] == ':' {
		s = s[:2] + s[3:]
	}
	n := 0
	for _, c := range []byte(s) {
		if c-'0' > 9 {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	switch len(s) {
	case 1, 2:
		n *= 100
	case 4:
	default:
		return 0, false
	}
	return n/100*3600 + n%100*60, n/100 <= 23 && n%100 <= 59
}
