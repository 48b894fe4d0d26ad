// Package when knows instants, durations and time zones as people and programs
// write them.
package when

import (
	"cmp"
	"time"
)

// Time is an instant: seconds since 1970-01-01T00:00:00Z (without leap
// seconds, as in Unix) and nanoseconds after them.
//
// All functions of this package return instants of the years 0000 to 9999 in
// UTC, the range of RFC 3339, and refuse others. The zero Time is 1970.
type Time struct {
	Sec  int64
	Nsec int32 // 0 to 999,999,999
	// Digits is how many digits the fraction of the second was given with, 0
	// to 9. It matters for writing only: 12:00:00.50 is written again as
	// 12:00:00.50. == on Times compares it too; use Compare.
	Digits uint8
}

const (
	secsPerDay = 86400
	minSec     = -62167219200 // 0000-01-01T00:00:00Z
	maxSec     = 253402300799 // 9999-12-31T23:59:59Z
)

// Compare returns -1, 0 or +1 as t is before, at or after u.
func (t Time) Compare(u Time) int {
	if t.Sec != u.Sec {
		return cmp.Compare(t.Sec, u.Sec)
	}
	return cmp.Compare(t.Nsec, u.Nsec)
}

// Std returns t as a time.Time in UTC.
func (t Time) Std() time.Time { return time.Unix(t.Sec, int64(t.Nsec)).UTC() }

// FromTime returns the instant of t, with as many fraction digits as it needs.
// An instant outside the years 0000 to 9999 becomes the nearest one inside.
func FromTime(t time.Time) Time {
	u := Time{Sec: t.Unix(), Nsec: int32(t.Nanosecond())}
	switch {
	case u.Sec < minSec:
		u = Time{Sec: minSec}
	case u.Sec > maxSec:
		u = Time{Sec: maxSec, Nsec: 999_999_999}
	}
	u.Digits = 9
	for n := u.Nsec; u.Digits > 0 && n%10 == 0; n /= 10 {
		u.Digits--
	}
	return u
}

// Date returns the instant of a date and time of day that is offset seconds
// east of UTC; false if there is no such date or time of day (a second of 60
// included), or if the instant is outside the years 0000 to 9999. month and
// day count from 1.
func Date(year, month, day, hour, min, sec, offset int) (Time, bool) {
	if year < 0 || year > 9999 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) ||
		uint(hour) > 23 || uint(min) > 59 || uint(sec) > 59 {
		return Time{}, false
	}
	s := daysSinceEpoch(year, month, day)*secsPerDay + int64(hour*3600+min*60+sec-offset)
	if s < minSec || s > maxSec {
		return Time{}, false
	}
	return Time{Sec: s}, true
}

var monthDays = [13]uint8{0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

func isLeap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

// daysIn returns the length of a month from 1 to 12.
func daysIn(year, month int) int {
	if month == 2 && isLeap(year) {
		return 29
	}
	return int(monthDays[month])
}

// daysSinceEpoch returns the days from 1970-01-01 to a date of the proleptic
// Gregorian calendar from year 0 on. Years are taken to begin in March, so
// that the leap day is the last of its year.
func daysSinceEpoch(year, month, day int) int64 {
	y, m := year, month-3
	if m < 0 {
		y, m = y-1, m+12
	}
	y += 400 // no division of negative numbers; taken off again below
	const fromMarchOfMinus400 = 719468 + 146097
	return int64(y*365+y/4-y/100+y/400+(153*m+2)/5+day-1) - fromMarchOfMinus400
}

// civil is the reverse of daysSinceEpoch, for days from 0000-01-01 on.
func civil(days int64) (year, month, day int) {
	d := int(days) + 719468 + 146097 // since March 1 of the year -400
	era := d / 146097
	d %= 146097
	y := (d - d/1460 + d/36524 - d/146096) / 365
	d -= y*365 + y/4 - y/100
	m := (5*d + 2) / 153
	day = d - (153*m+2)/5 + 1
	year, month = y+era*400-400, m+3
	if month > 12 {
		year, month = year+1, month-12
	}
	return year, month, day
}

// AppendRFC3339 appends t in UTC as RFC 3339 with Digits fraction digits
// (further ones are cut off): 2006-01-02T15:04:05.000Z. An instant outside the
// years 0000 to 9999 is written as the nearest one inside.
func (t Time) AppendRFC3339(dst []byte) []byte {
	t.Sec = min(max(t.Sec, minSec), maxSec)
	days := t.Sec / secsPerDay
	s := int(t.Sec % secsPerDay)
	if s < 0 {
		days, s = days-1, s+secsPerDay
	}
	year, month, day := civil(days)
	b := [30]byte{4: '-', 7: '-', 10: 'T', 13: ':', 16: ':', 19: '.'}
	put2(b[0:], year/100)
	put2(b[2:], year%100)
	put2(b[5:], month)
	put2(b[8:], day)
	put2(b[11:], s/3600)
	put2(b[14:], s/60%60)
	put2(b[17:], s%60)
	if t.Digits == 0 {
		b[19] = 'Z'
		return append(dst, b[:20]...)
	}
	n := uint32(t.Nsec)
	for i := 28; i >= 20; i-- {
		b[i] = '0' + byte(n%10)
		n /= 10
	}
	end := 20 + int(min(t.Digits, 9))
	b[end] = 'Z'
	return append(dst, b[:end+1]...)
}

func put2(b []byte, n int) {
	b[0], b[1] = '0'+byte(n/10), '0'+byte(n%10)
}

// String returns t as AppendRFC3339 writes it.
func (t Time) String() string { return string(t.AppendRFC3339(nil)) }
