package when

import "time"

// Parse reads a time as RFC 3339 and ISO 8601 write it: 2006-01-02T15:04:05,
// optionally with a fraction, and a zone: Z or an offset such as +02:00, +0200
// or +02. The T may be t or a space, the Z may be z, and the point before the
// fraction may be a comma, as the loggers of Java and Python write it. Without a
// zone the time is one of loc; if loc is nil it is refused. Where loc's clock
// skips or repeats an hour, time.Date decides.
//
// Digits of the fraction after the ninth are cut off. The second 60 is
// accepted where leap seconds can be, before midnight UTC, and means the second
// after it, as Unix counts. Parse does not allocate.
func Parse(b []byte, loc *time.Location) (Time, bool) {
	if len(b) < 19 || b[4] != '-' || b[7] != '-' || b[13] != ':' || b[16] != ':' {
		return Time{}, false
	}
	if c := b[10]; c != 'T' && c != ' ' && c != 't' {
		return Time{}, false
	}
	bad := uint32(0) // above 9 as soon as one digit is none
	year := num2(b[0:], &bad)*100 + num2(b[2:], &bad)
	month := num2(b[5:], &bad)
	day := num2(b[8:], &bad)
	hour := num2(b[11:], &bad)
	min := num2(b[14:], &bad)
	sec := num2(b[17:], &bad)
	if bad != 0 {
		return Time{}, false
	}
	leap := 0
	if sec == 60 {
		sec, leap = 59, 1
	}

	b = b[19:]
	var nsec int32
	var digits uint8
	if len(b) > 0 && (b[0] == '.' || b[0] == ',') {
		i := 1
		for ; i < len(b); i++ {
			d := b[i] - '0'
			if d > 9 {
				break
			}
			if digits < 9 {
				nsec = nsec*10 + int32(d)
				digits++
			}
		}
		if i == 1 {
			return Time{}, false
		}
		for k := digits; k < 9; k++ {
			nsec *= 10
		}
		b = b[i:]
	}

	offset := 0
	switch {
	case len(b) == 1 && (b[0] == 'Z' || b[0] == 'z'):
	case len(b) >= 3 && (b[0] == '+' || b[0] == '-') && (len(b) == 6 && b[3] == ':' || len(b) == 5 || len(b) == 3):
		h, m := num2(b[1:], &bad), uint32(0)
		if len(b) > 3 {
			m = num2(b[len(b)-2:], &bad)
		}
		if bad != 0 || h > 23 || m > 59 {
			return Time{}, false
		}
		offset = int(h*3600 + m*60)
		if b[0] == '-' {
			offset = -offset
		}
	case len(b) == 0 && loc != nil:
		if loc != time.UTC {
			return local(int(year), int(month), int(day), int(hour), int(min), int(sec), leap, nsec, digits, loc)
		}
	default:
		return Time{}, false
	}
	t, ok := Date(int(year), int(month), int(day), int(hour), int(min), int(sec), offset)
	if !ok || leap != 0 && !t.addLeap() {
		return Time{}, false
	}
	t.Nsec, t.Digits = nsec, digits
	return t, true
}

// num2 reads two digits; bytes that are none set bits of *bad.
func num2(b []byte, bad *uint32) uint32 {
	hi, lo := uint32(b[0])-'0', uint32(b[1])-'0'
	if hi > 9 || lo > 9 {
		*bad = 1
	}
	return hi*10 + lo
}

// addLeap moves t, the second 59 before a leap second, to the second after it.
func (t *Time) addLeap() bool {
	t.Sec++
	return t.Sec%secsPerDay == 0 && t.Sec <= maxSec
}

// local is the slow end of Parse: a wall clock time of loc.
func local(year, month, day, hour, min, sec, leap int, nsec int32, digits uint8, loc *time.Location) (Time, bool) {
	if _, ok := Date(year, month, day, hour, min, sec, 0); !ok {
		// Date also refuses what would be outside the range only in UTC, but
		// an offset of 0 cannot bring that about.
		return Time{}, false
	}
	t := Time{time.Date(year, time.Month(month), day, hour, min, sec, 0, loc).Unix(), nsec, digits}
	if t.Sec < minSec || t.Sec > maxSec || leap != 0 && !t.addLeap() {
		return Time{}, false
	}
	return t, true
}

// FromUnix reads a number (in JSON's spelling) as a Unix time: seconds if its
// absolute value is below 1e11, milliseconds below 1e14, microseconds below
// 1e17, else nanoseconds. It is exact in decimal; what is finer than a
// nanosecond is cut off. Digits is the number of decimals given for seconds, 3,
// 6 or 9 more for the finer units. It returns false for an instant outside the
// years 0000 to 9999 and for what is no number. FromUnix does not allocate.
func FromUnix(number []byte) (Time, bool) {
	n, ok := parseDecimal(number)
	if !ok {
		return Time{}, false
	}
	unit := 0 // its power of ten
	switch {
	case n.point > 17:
		unit = 9
	case n.point > 14:
		unit = 6
	case n.point > 11:
		unit = 3
	}
	point := n.point - unit
	if point > 12 {
		return Time{}, false
	}
	t := Time{Digits: uint8(min(9, unit+n.decimals))}
	for i := 0; i < point; i++ {
		t.Sec = t.Sec*10 + int64(n.digit(i))
	}
	for i := point; i < point+9; i++ {
		t.Nsec = t.Nsec*10 + int32(n.digit(i))
	}
	if n.neg {
		t.Sec = -t.Sec
		if t.Nsec > 0 {
			t.Sec--
			t.Nsec = 1e9 - t.Nsec
		}
	}
	return t, t.Sec >= minSec && t.Sec <= maxSec
}

// decimal is a number: 0.DIGITS × 10^point. Of its significant digits the
// first are kept, enough for every instant down to nanoseconds.
type decimal struct {
	neg      bool
	digits   [32]byte
	n        int
	point    int
	decimals int // digits given after the point, at most 9
}

// digit returns the i-th significant digit; before the first and after the
// last there are zeros.
func (d *decimal) digit(i int) byte {
	if uint(i) >= uint(d.n) {
		return 0
	}
	return d.digits[i]
}

// add appends a digit and says whether it is significant.
func (d *decimal) add(digit byte) bool {
	if d.n == 0 && digit == 0 {
		return false
	}
	if d.n < len(d.digits) {
		d.digits[d.n] = digit
		d.n++
	}
	return true
}

// parseDecimal reads a number of the JSON grammar.
func parseDecimal(b []byte) (d decimal, ok bool) {
	if len(b) > 0 && b[0] == '-' {
		d.neg = true
		b = b[1:]
	}
	i := 0
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		if d.add(b[i] - '0') {
			d.point++
		}
	}
	if i == 0 || i > 1 && b[0] == '0' {
		return d, false
	}
	b = b[i:]
	frac := 0
	if len(b) > 0 && b[0] == '.' {
		b = b[1:]
		for ; frac < len(b) && b[frac]-'0' <= 9; frac++ {
			if !d.add(b[frac] - '0') {
				d.point--
			}
		}
		if frac == 0 {
			return d, false
		}
		b = b[frac:]
	}
	exp := 0
	if len(b) > 0 && b[0]|0x20 == 'e' {
		b = b[1:]
		neg := false
		if len(b) > 0 && (b[0] == '+' || b[0] == '-') {
			neg = b[0] == '-'
			b = b[1:]
		}
		i := 0
		for ; i < len(b) && b[i]-'0' <= 9; i++ {
			// Beyond this no line is long enough to make up for it.
			exp = min(exp*10+int(b[i]-'0'), 1<<30)
		}
		if i == 0 {
			return d, false
		}
		b = b[i:]
		if neg {
			exp = -exp
		}
	}
	if len(b) > 0 {
		return d, false
	}
	d.decimals = min(max(frac-exp, 0), 9)
	d.point += exp
	if d.n == 0 {
		d.point = 0
	}
	return d, true
}
