package render

import (
	"bytes"
	"slices"
)

// quoteCSV makes the text dst[start:] a field of CSV. It puts quotes around text
// that a reader would not give back as it is, and around the empty string, which
// without them would be null.
func quoteCSV(dst []byte, start int) []byte {
	text := dst[start:]
	if !needsQuotes(text) {
		return dst
	}
	quotes := bytes.Count(text, []byte{'"'})
	n := len(dst)
	dst = slices.Grow(dst, quotes+2)[:n+quotes+2]
	// Back to front, so that nothing is overwritten before it was moved.
	to := len(dst) - 1
	dst[to] = '"'
	for from := n - 1; from >= start; from-- {
		to--
		dst[to] = dst[from]
		if dst[from] == '"' {
			to--
			dst[to] = '"'
		}
	}
	dst[start] = '"'
	return dst
}

func needsQuotes(text []byte) bool {
	if len(text) == 0 || text[0] == ' ' || text[len(text)-1] == ' ' {
		return true // many readers trim
	}
	for _, c := range text {
		if quoteInCSV[c] {
			return true
		}
	}
	return false
}

var quoteInCSV = [256]bool{',': true, '"': true, '\n': true, '\r': true}
