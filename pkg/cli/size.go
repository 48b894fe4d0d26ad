package cli

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// ParseSize reads a number of bytes: digits and perhaps a unit. K, M, G, T and
// KiB, MiB, GiB, TiB are powers of 1024; kB, MB, GB, TB powers of 1000; B is
// one byte. The case of letters does not matter.
func ParseSize(text string) (int64, error) {
	bad := fmt.Errorf("%q is not a size such as 1000, 64KiB, 16M or 1G", text)
	end := 0
	for end < len(text) && '0' <= text[end] && text[end] <= '9' {
		end++
	}
	n, err := strconv.ParseUint(text[:end], 10, 63)
	if err != nil && end < len(text) || end == 0 {
		return 0, bad
	}
	if err != nil {
		return 0, fmt.Errorf("%q is too large", text)
	}
	unit := strings.ToLower(text[end:])
	base, power := uint64(1024), 0
	if unit != "" && unit != "b" {
		power = strings.IndexByte("kmgt", unit[0]) + 1
		if power == 0 {
			return 0, bad
		}
		switch unit[1:] {
		case "", "ib":
		case "b":
			base = 1000
		default:
			return 0, bad
		}
	}
	for range power {
		high, low := bits.Mul64(n, base)
		if high != 0 || low>>63 != 0 {
			return 0, fmt.Errorf("%q is too large", text)
		}
		n = low
	}
	return int64(n), nil
}

// formatSize writes n so that ParseSize reads it back.
func formatSize(n int64) string {
	unit := ""
	for _, u := range []string{"K", "M", "G", "T"} {
		if n == 0 || n%1024 != 0 {
			break
		}
		n, unit = n/1024, u
	}
	return strconv.FormatInt(n, 10) + unit
}

// Thousands writes n with a comma between groups of three digits, for people:
// 3,012.
func Thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(digits) - 3; i > start; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Humane writes a number of bytes with three digits or so: 1.2 MB, 629 MB.
func Humane(bytes float64) string {
	if bytes < 999.5 {
		return strconv.FormatFloat(bytes, 'f', 0, 64) + " B"
	}
	for _, unit := range []string{"kB", "MB", "GB", "TB"} {
		bytes /= 1000
		if bytes < 9.95 {
			return strconv.FormatFloat(bytes, 'f', 1, 64) + " " + unit
		}
		if bytes < 999.5 || unit == "TB" {
			return strconv.FormatFloat(bytes, 'f', 0, 64) + " " + unit
		}
	}
	return ""
}
