package render

import (
	"strconv"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/when"
)

// slot is a time that a group stands for, as the beginning of a step: in
// microseconds since 1970, UTC; or, of months, which differ in length, in months
// since year 0.
type slot struct {
	at    int64
	step  int64 // the step that the spelling means, in the same unit; 0: any
	month bool
	row   int // of the chart
}

const (
	millisecond = 1000
	second      = 1000 * millisecond
	minute      = 60 * second
	hour        = 60 * minute
	day         = 24 * hour
)

// spellings are the beginnings of 2006-01-02T15:04:05 that are times, by their
// length, with the step they mean. (15 and 18 are ten minutes and ten seconds.)
// The whole means none: the beginnings of longer steps are written so too.
var spellings = map[int]int64{10: day, 13: hour, 15: 10 * minute, 16: minute, 18: 10 * second}

// readSlot reads RFC 3339, with or without a zone (then UTC), or a beginning of
// it, from 2006-01 on.
func readSlot(v event.Value) (slot, bool) {
	const least, whole = "2006-01", "2000-01-01T00:00:00"
	if v.Kind != event.String {
		return slot{}, false
	}
	var buf [64]byte
	text := v.AppendText(buf[:0])
	s := slot{step: spellings[len(text)], month: len(text) == len(least)}
	if s.month || s.step > 0 {
		text = append(text, whole[len(text):]...)
	}
	t, ok := when.Parse(text, time.UTC)
	if !ok {
		return slot{}, false
	}
	if s.month {
		year, month, _ := t.Std().Date()
		s.at, s.step = int64(year)*12+int64(month)-1, 1
	} else {
		s.at = t.Sec*second + int64(t.Nsec)/1000
	}
	return s, true
}

// isTime says whether text is a time, the beginning of one as groups have it, or
// one as in access logs.
func isTime(text []byte) bool {
	if len(text) < len("2006-01") || len(text) > maxTime || !isDigit(text[0]) {
		return false // nearly all text
	}
	if text[2] == '/' {
		_, ok := clfTime(text)
		return ok
	}
	if text[4] != '-' {
		return false
	}
	_, ok := readSlot(event.TextValue(text))
	return ok
}

// timeline divides the time between the first and the last slot into steps,
// each a column of the drawing.
type timeline struct {
	origin, step int64 // the unit is that of slots
	n            int   // steps
	merged       bool  // a step holds several of the data's steps
	month        bool
}

// newTimeline returns a timeline of at most most steps, which is at least 2.
// slots are in ascending order, the first and the last differ.
func newTimeline(slots []slot, most int) timeline {
	first, last := slots[0], slots[len(slots)-1]
	// The data's step: what the spelling means, but if nothing is missing of
	// what is a longer step then that; without a spelling what divides all.
	var divisor, regular int64 = 0, -1
	spelled := first.step
	for i := 1; i < len(slots); i++ {
		d := slots[i].at - slots[i-1].at
		if d == 0 {
			continue
		}
		if regular < 0 {
			regular = d
		} else if regular != d {
			regular = 0
		}
		divisor = gcd(divisor, d)
		if slots[i].step != spelled {
			spelled = 0
		}
	}
	unit := divisor
	if spelled > 0 && divisor%spelled == 0 && !(regular > 0 && last.at-first.at >= 3*regular) {
		unit = spelled
	}
	t := timeline{month: first.month}
	for t.step = unit; ; t.step = t.longer(unit, max(t.step+t.step/8+1, (last.at-first.at)/int64(most))) {
		t.merged = t.step != unit
		t.origin = first.at
		if t.merged {
			t.origin = t.floor(first.at, t.step)
		}
		if n := (last.at-t.origin)/t.step + 1; n <= int64(most) {
			t.n = int(n)
			return t
		}
	}
}

// steps are lengths of time that people like.
var steps = [...]int64{
	1, 2, 5, 10, 20, 50, 100, 200, 500,
	1 * millisecond, 2 * millisecond, 5 * millisecond, 10 * millisecond, 20 * millisecond, 50 * millisecond,
	100 * millisecond, 200 * millisecond, 500 * millisecond,
	1 * second, 2 * second, 5 * second, 10 * second, 15 * second, 30 * second,
	1 * minute, 2 * minute, 5 * minute, 10 * minute, 15 * minute, 30 * minute,
	1 * hour, 2 * hour, 3 * hour, 4 * hour, 6 * hour, 8 * hour, 12 * hour,
	1 * day, 2 * day, 7 * day, 14 * day, 28 * day, 91 * day, 182 * day, 364 * day,
}

// months are those of months.
var months = [...]int64{1, 2, 3, 6, 12, 24, 60, 120, 600, 1200}

// longer returns a step that people like, at least as long as least, and a
// multiple of unit, or so long that this makes no difference; if there is none,
// just a multiple.
func (t *timeline) longer(unit, least int64) int64 {
	liked := steps[:]
	if t.month {
		liked = months[:]
	}
	for _, s := range liked {
		if s >= least && (s%unit == 0 || s/unit >= 50) {
			return s
		}
	}
	return (least + unit - 1) / unit * unit
}

// column returns the column that a slot belongs to.
func (t *timeline) column(s slot) int { return int((s.at - t.origin) / t.step) }

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// floor returns the largest multiple of step that is not above at.
func floor(at, step int64) int64 {
	r := at % step
	if r < 0 {
		r += step
	}
	return at - r
}

// appendTime appends the beginning of column i, as finely as the steps are;
// short leaves out what goes without saying: the year of a day, the day of an
// hour.
func (t *timeline) appendTime(dst []byte, i int, short bool) []byte {
	at := t.origin + int64(i)*t.step
	if t.month {
		u, _ := when.Date(int(at/12), int(at%12)+1, 1, 0, 0, 0, 0)
		return append(dst, u.String()[:len("2006-01")]...)
	}
	u := when.Time{Sec: floor(at, second) / second, Nsec: int32(at-floor(at, second)) * 1000}
	whole := gcd(t.step, floor(t.origin, day)-t.origin)
	switch {
	case whole%second == 0:
	case whole%millisecond == 0:
		u.Digits = 3
	default:
		u.Digits = 6
	}
	text := []byte(u.String())
	text[len("2006-01-02")] = ' '
	from, to := 0, len(text)-len("Z")
	if whole%day == 0 {
		to = len("2006-01-02")
		if short {
			from = len("2006-")
		}
	} else if short && at%day == 0 {
		from, to = len("2006-"), len("2006-01-02") // a day begins
	} else {
		if whole%minute == 0 {
			to = len("2006-01-02 15:04")
		}
		if short {
			from = len("2006-01-02 ")
		}
	}
	return append(dst, text[from:to]...)
}

// sameStart says that the last time can do without what short leaves out: it is
// the same as in the first.
func (t *timeline) sameStart() bool {
	first, last := t.appendTime(nil, 0, false), t.appendTime(nil, t.n-1, false)
	n := len("2006-")
	if len(first) > len("2006-01-02") {
		n = len("2006-01-02")
	}
	return string(first[:n]) == string(last[:n])
}

// appendStep appends the length of a step: 1h, 30m, 2 months.
func (t *timeline) appendStep(dst []byte) []byte {
	if t.month {
		if t.step == 1 {
			return append(dst, "month"...)
		}
		return append(strconv.AppendInt(dst, t.step, 10), " months"...)
	}
	for _, u := range [...]struct {
		name string
		unit int64
	}{{"d", day}, {"h", hour}, {"m", minute}, {"s", second}, {"ms", millisecond}} {
		if t.step%u.unit == 0 {
			return append(strconv.AppendInt(dst, t.step/u.unit, 10), u.name...)
		}
	}
	return append(strconv.AppendInt(dst, t.step, 10), "us"...)
}

// ticks returns the first column whose time is marked and after how many columns
// the next one is, at least least.
func (t *timeline) ticks(least int) (first, every int) {
	step := t.longer(t.step, t.step*int64(least))
	start := t.origin
	if t.floor(start, t.step) == start {
		start = t.floor(start+step-1, step)
	}
	return int((start - t.origin) / t.step), int(step / t.step)
}

// floor returns the last time not after at where steps of this length begin.
// Weeks begin on Mondays.
func (t *timeline) floor(at, step int64) int64 {
	if !t.month && step%(7*day) == 0 {
		const monday = 4 * day // 1970-01-05
		return floor(at-monday, step) + monday
	}
	return floor(at, step)
}
