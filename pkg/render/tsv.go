package render

import "slices"

// escapeTSV makes the text dst[start:] a field of TSV: tab, line feed, carriage
// return and backslash become \t, \n, \r and \\, as jq's @tsv writes them; a
// quote at the start becomes \", so that nobody takes it for one around the
// field. TSV cannot tell an empty string from null.
func escapeTSV(dst []byte, start int) []byte {
	special := 0
	if start < len(dst) && dst[start] == '"' {
		dst = slices.Insert(dst, start, '\\')
		start += 2
	}
	for _, c := range dst[start:] {
		if tsvEscape[c] != 0 {
			special++
		}
	}
	if special == 0 {
		return dst
	}
	n := len(dst)
	dst = slices.Grow(dst, special)[:n+special]
	// Back to front, so that nothing is overwritten before it was moved.
	to := len(dst)
	for from := n - 1; from >= start; from-- {
		c := dst[from]
		to--
		if e := tsvEscape[c]; e != 0 {
			dst[to] = e
			to--
			c = '\\'
		}
		dst[to] = c
	}
	return dst
}

// tsvEscape holds the letter after the backslash, 0 for what is not escaped.
var tsvEscape = [256]byte{'\t': 't', '\n': 'n', '\r': 'r', '\\': '\\'}
