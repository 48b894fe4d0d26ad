package render

import (
	"bytes"
	"math"
	"strconv"

	"logtools/pkg/event"
)

// appendHumane appends a number as people read it: below 10,000 integers as they
// are and others with three significant digits, but their whole part in full
// (1235, 123, 12.3, 0.00123); from there on three digits and a suffix for
// thousands, millions and so on (12.3k, 4.56M, 7.00G). What has no suffix any
// more, and what is very small, has an exponent (1.23e24, 1.23e-7).
//
// A number beyond the range of float64 is appended as it is.
func appendHumane(dst []byte, v event.Value) []byte {
	f, ok := v.Float64()
	if !ok || math.IsInf(f, 0) {
		return v.AppendJSON(dst)
	}
	return appendHumaneFloat(dst, f)
}

// suffixes stand for the powers of 1000.
const suffixes = "kMGTPE"

// appendHumaneFloat is appendHumane for a finite number.
func appendHumaneFloat(dst []byte, f float64) []byte {
	switch abs := math.Abs(f); {
	case f == 0:
		return append(dst, '0') // also -0
	case abs < 10000 && f == math.Trunc(f), 1000 <= abs && abs < 9999.5:
		return strconv.AppendFloat(dst, f, 'f', 0, 64)
	}
	var buf [16]byte
	text := strconv.AppendFloat(buf[:0], f, 'e', 2, 64) // -1.23e+04
	if text[0] == '-' {
		dst, text = append(dst, '-'), text[1:]
	}
	digits := [3]byte{text[0], text[2], text[3]}
	exp, _ := strconv.Atoi(string(text[len("1.23e"):]))
	if exp >= 4 && exp/3 <= len(suffixes) {
		return append(appendDigits(dst, digits[:], exp%3), suffixes[exp/3-1])
	}
	// Without a suffix nothing has to line up: no zeros at the end.
	significant := len(bytes.TrimRight(digits[:], "0"))
	switch {
	case exp < -4, exp >= 4:
		dst = appendDigits(dst, digits[:significant], 0)
		return strconv.AppendInt(append(dst, 'e'), int64(exp), 10)
	case exp < 0:
		dst = append(append(dst, "0.000"[:1-exp]...), digits[:significant]...)
		return dst
	case exp == 3: // rounded up to it
		return append(dst, "1000"...)
	}
	return appendDigits(dst, digits[:max(significant, exp+1)], exp)
}

// appendDigits appends digits with the point after the one at place, if any
// follow it.
func appendDigits(dst, digits []byte, place int) []byte {
	dst = append(dst, digits[:place+1]...)
	if place+1 < len(digits) {
		dst = append(append(dst, '.'), digits[place+1:]...)
	}
	return dst
}
