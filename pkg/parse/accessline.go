package parse

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"logtools/pkg/event"
)

// An access log line is
//
//	[HOST:PORT ]ADDR IDENT USER [TIME] "REQUEST" STATUS SIZE[ "REFERER" "AGENT"][ MORE…]
//
// with single spaces between the fields.
//
//   - ADDR and IDENT hold no spaces; USER may (it is what the client sent). A
//     HOST:PORT in front (Debian's vhost_combined) is skipped.
//   - TIME ends at the line's first `] "` (servers escape quotes in what the
//     client sent, so none comes before) and begins after the last ` [` before
//     that. It is any text.
//   - A field in quotes ends at the first quote that is not escaped by a
//     backslash and is followed by a space or the line's end: old servers do
//     not escape quotes.
//   - STATUS is three digits, SIZE digits; each may be -.
//   - MORE are fields with or without quotes. Spaces at the end do not matter.

// span is a part of a line.
type span struct{ from, to int }

// present: fields end after the line's first byte, so the zero span is none.
func (s span) present() bool { return s.to > 0 }

// entry says where the fields of a line are. Numbers are without leading
// zeros. referer and agent are absent in a common line.
type entry struct {
	addr, user, time, request, status, size, referer, agent span
	// marks, if marked, has the quotes of the line.
	marks  event.Marks
	marked bool
	// inner: there may be quotes in the quoted fields.
	inner bool
	// methodEnd and protocolStart are splitRequest's results, if not unknown.
	methodEnd, protocolStart int
}

const unknown = -1

// splitFast finds the fields of most lines: IDENT and USER are -, the time is a
// stamp of fixed length, no more fields follow. It returns false if the line has
// another shape, or is bad: then ask split, its slow twin.
//
// It compares whole words, also some that reach beyond the line.
func (e *entry) splitFast(line []byte, combined bool) bool {
	e.inner = false
	e.methodEnd = unknown
	b := line[:cap(line)]
	// The request's opening quote is the first one. Before it there is
	// ` - - [10/Oct/2000:13:55:36 -0700] `
	q, ok := e.near(0)
	if !ok {
		q = e.quote(line, 0)
	}
	h := q - headLen
	if h <= 0 || q >= len(line) || q+8 > len(b) || b[q] != '"' || !isHead(b[h:q]) {
		return false
	}
	// The address ends where that begins.
	i := 0
	for zeroBytes(binary.LittleEndian.Uint64(b[i:])^ones*' ') == 0 { // there is a space at h
		i += 8
	}
	if i+bits.TrailingZeros64(zeroBytes(binary.LittleEndian.Uint64(b[i:])^ones*' '))>>3 != h {
		return false
	}
	e.addr = span{0, h}
	e.user = span{h + 3, h + 4}
	e.time = span{h + 6, h + 6 + stampLen}

	i = q + 1
	if q, ok = e.near(i); !ok || !e.closes(line, q) {
		if i >= len(line) {
			return false
		}
		q = e.closing(line, i)
	}
	// `" 200 1`
	if q < 0 || q+14 > len(b) || q+7 > len(line) || b[q+5] != ' ' {
		return false
	}
	// After a closing quote there is a space, so v's lowest byte is 0; the others
	// are what the three digits stand for.
	v := binary.LittleEndian.Uint32(b[q+1:]) ^ (' ' | '0'<<8 | '0'<<16 | '0'<<24)
	if (v|(v+0x76767600))&0x80808000 != 0 || v&0xff00 == 0 {
		return false
	}
	e.request = span{i, q}
	e.status = span{q + 2, q + 5}

	i = q + 6
	// The size has seven digits at most.
	w := binary.LittleEndian.Uint64(b[i:]) ^ ones*'0'
	w = (w + ones*(0x80-10) | w) & highs
	k := i + bits.TrailingZeros64(w)>>3
	switch {
	case w == 0 || k > len(line):
		return false
	case k == i:
		if b[k] != '-' {
			return false
		}
		k++
	case b[i] == '0' && k-i > 1:
		return false
	}
	e.size = span{i, k}
	e.referer, e.agent = span{}, span{}
	if k == len(line) {
		return true
	}
	if !combined {
		return b[k] == ' ' && checkMore(line, k) == 0
	}

	i = k + 2
	if i >= len(line) || b[k] != ' ' || b[k+1] != '"' {
		return false
	}
	if q, ok = e.near(i); !ok || !e.closes(line, q) {
		q = e.closing(line, i)
	}
	if q < 0 || q+3 >= len(line) || b[q+2] != '"' {
		return false
	}
	e.referer = span{i, q}
	i = q + 3
	if q, ok = e.near(i); !ok || !e.closes(line, q) {
		if q = e.closing(line, i); q < 0 {
			return false
		}
	}
	e.agent = span{i, q}
	return q+1 == len(line) || checkMore(line, q+1) == 0
}

// quote returns the index of the first quote or backslash from i on, which must
// be in the line; a number beyond the line if there is none.
func (e *entry) quote(line []byte, i int) int {
	if e.marked {
		return e.marks.Next(i)
	}
	if k := bytes.IndexByte(line[i:], '"'); k >= 0 {
		return i + k
	}
	return len(line)
}

// headLen is the length of ` - - [10/Oct/2000:13:55:36 -0700] `.
const headLen = 6 + stampLen + 2

// isHead says whether b, of that length, looks like that. It does not check the
// calendar.
func isHead(b []byte) bool {
	_ = b[headLen-1]
	const before = uint64(' ') | '-'<<8 | ' '<<16 | '-'<<24 | ' '<<32 | '['<<40
	return binary.LittleEndian.Uint64(b)&(1<<48-1) == before && isStamp(b[6:6+stampLen]) && b[32] == ']' && b[33] == ' '
}

// near is quote where there are marks and one of them is near; ok says so.
func (e *entry) near(i int) (q int, ok bool) {
	if !e.marked {
		return 0, false
	}
	w := e.marks.Near(i)
	return i + bits.TrailingZeros64(w), w != 0
}

// closes says whether q, the first mark in a field, is the quote that closes it.
// (There is no backslash before it: that would be the first mark.)
func (e *entry) closes(line []byte, q int) bool {
	return q < len(line) && line[q] == '"' && (q+1 == len(line) || line[q+1] == ' ')
}

// closing is closingQuote, quick where the first quote, or the first mark, is the
// closing one. start must be in the line.
func (e *entry) closing(line []byte, start int) int {
	q := e.quote(line, start)
	if q >= len(line) {
		return -1
	}
	if e.closes(line, q) && (e.marked || line[q-1] != '\\') {
		return q
	}
	e.inner = true
	return closingQuote(line, start)
}

const stampLen = 26 // 10/Oct/2000:13:55:36 -0700

// isStamp says whether b, of that length, has the shape of a time stamp. It
// does not check the calendar.
func isStamp(b []byte) bool {
	_ = b[stampLen-1]
	const (
		zeros = ones * '0'
		carry = ones * (0x80 - 10)
		// Which bytes of the three words are digits, and which are fixed.
		digits0 = 0xff000000_0000ffff // dd/Mon/y
		digits1 = 0xff00ffff_00ffffff // yyy:hh:m
		digits2 = 0xffff0000_ffff00ff // m:ss +zz
		fixed0  = 0x00ff0000_00ff0000
		fixed1  = 0x00ff0000_ff000000
		fixed2  = 0x000000ff_0000ff00
	)
	w0 := binary.LittleEndian.Uint64(b)
	w1 := binary.LittleEndian.Uint64(b[8:])
	w2 := binary.LittleEndian.Uint64(b[16:])
	v0, v1, v2 := (w0^zeros)&digits0, (w1^zeros)&digits1, (w2^zeros)&digits2
	notDigit := v0 | (v0 + carry&digits0) | v1 | (v1 + carry&digits1) | v2 | (v2 + carry&digits2)
	return notDigit&highs == 0 &&
		w0&fixed0 == '/'<<16|'/'<<48 && w1&fixed1 == ':'<<24|':'<<48 && w2&fixed2 == ':'<<8|' '<<32 &&
		(b[21] == '+' || b[21] == '-') && b[24]-'0' <= 9 && b[25]-'0' <= 9 &&
		isLetter(b[3]) && isLetter(b[4]) && isLetter(b[5])
}

func isLetter(c byte) bool { return c|0x20-'a' < 26 }

// split finds the fields of any line. The error is a *event.BadError.
func (e *entry) split(line []byte, combined bool) error {
	line = bytes.TrimRight(line, " ")
	*e = entry{marks: e.marks, marked: e.marked, inner: true, methodEnd: unknown}
	i, err := e.splitHead(line)
	if err != nil {
		return err
	}
	if i, err = e.quoted(&e.request, line, i); err != nil {
		return err
	}
	if i, err = e.number(&e.status, line, i, "status"); err != nil {
		return err
	}
	if i, err = e.number(&e.size, line, i, "bytes_sent"); err != nil {
		return err
	}
	if combined && i < len(line) {
		for _, s := range []struct {
			at   *span
			name string
		}{{&e.referer, "referer"}, {&e.agent, "user_agent"}} {
			if i+1 >= len(line) || line[i+1] != '"' {
				return bad(s.name+" expected", i+2)
			}
			if i, err = e.quoted(s.at, line, i+1); err != nil {
				return err
			}
		}
	}
	if k := checkMore(line, i); k > 0 {
		return bad("unterminated quote", k)
	}
	return nil
}

func bad(reason string, column int) error {
	return &event.BadError{Reason: reason, Column: column}
}

// noTime says what keeps a line without ` […] "` from having it.
func noTime(line []byte) error {
	open := bytes.Index(line, []byte(" ["))
	switch {
	case len(line) > 0 && line[0] == '[':
		return bad("remote_addr expected", 1)
	case open < 0:
		return bad("no [time]", 0)
	}
	end := bytes.IndexByte(line[open:], ']')
	if end < 0 {
		return bad("unterminated [", open+2)
	}
	return bad("request expected", open+end+3)
}

// splitHead finds the fields before the request; it returns the index of the
// request's opening quote.
func (e *entry) splitHead(line []byte) (int, error) {
	end := bytes.Index(line, []byte(`] "`))
	if end < 0 {
		return 0, noTime(line)
	}
	open := bytes.LastIndexByte(line[:end], '[') - 1
	for open >= 0 && line[open] != ' ' {
		open = bytes.LastIndexByte(line[:open+1], '[') - 1
	}
	if open < 0 {
		return 0, noTime(line)
	}
	if open+2 == end {
		return 0, bad("empty time", open+2)
	}
	e.time = span{open + 2, end}

	head := line[:open]
	addr := word(head, 0)
	if addr.to == 0 {
		return 0, bad("remote_addr expected", 1)
	}
	if isHostPort(head[:addr.to]) {
		// It is skipped if an address and two more fields follow.
		second := word(head, addr.to+1)
		third := word(head, second.to+1)
		if string(head[second.from:second.to]) != "-" && third.to > third.from && third.to+1 < len(head) {
			addr = second
		}
	}
	if addr.to == len(head) {
		return 0, bad("ident and remote_user expected", len(head)+2)
	}
	ident := word(head, addr.to+1)
	if ident.to == ident.from {
		return 0, bad("ident expected", ident.from+1)
	}
	user := span{ident.to + 1, len(head)}
	if user.from >= user.to {
		return 0, bad("remote_user expected", ident.to+2)
	}
	e.addr, e.user = addr, user
	return end + 2, nil
}

// word returns what is between i and the next space or the end.
func word(b []byte, i int) span {
	i = min(i, len(b))
	if k := bytes.IndexByte(b[i:], ' '); k >= 0 {
		return span{i, i + k}
	}
	return span{i, len(b)}
}

// isHostPort says whether b is HOST:PORT and not an IPv6 address (which would
// have to be in brackets).
func isHostPort(b []byte) bool {
	colon := bytes.LastIndexByte(b, ':')
	if colon <= 0 || colon+1 == len(b) || bytes.IndexByte(b[:colon], ':') >= 0 && b[colon-1] != ']' {
		return false
	}
	for _, c := range b[colon+1:] {
		if c-'0' > 9 {
			return false
		}
	}
	return true
}

// quoted finds the field in quotes whose opening quote is at i; it returns the
// index after the closing quote.
func (e *entry) quoted(at *span, line []byte, i int) (int, error) {
	q := closingQuote(line, i+1)
	if q < 0 {
		return 0, bad("unterminated quote", i+1)
	}
	*at = span{i + 1, q}
	return q + 1, nil
}

// closingQuote returns the index of the quote that closes a field beginning at
// start; -1 if there is none.
func closingQuote(line []byte, start int) int {
	for i := start; ; {
		q := bytes.IndexByte(line[i:], '"')
		if q < 0 {
			return -1
		}
		q += i
		if q+1 == len(line) || line[q+1] == ' ' {
			k := q // to the first of the backslashes before the quote
			for k > start && line[k-1] == '\\' {
				k--
			}
			if (q-k)%2 == 0 {
				return q
			}
		}
		i = q + 1
	}
}

// number finds the number or - that must follow the field that ends at i, where
// there is a space or the line's end; it returns the index after it. A status must have three digits.
func (e *entry) number(at *span, line []byte, i int, name string) (int, error) {
	from := i + 1
	if i == len(line) {
		return 0, bad(name+" expected", i+2)
	}
	to := from
	for to < len(line) && line[to]-'0' <= 9 {
		to++
	}
	digits := to - from
	if digits == 0 && to < len(line) && line[to] == '-' {
		to++
	} else if digits == 0 || at == &e.status && digits != 3 {
		return 0, bad(name+" expected", from+1)
	}
	if to < len(line) && line[to] != ' ' {
		return 0, bad(name+" expected", from+1)
	}
	*at = span{from, to}
	for at.to-at.from > 1 && line[at.from] == '0' {
		at.from++ // JSON has no leading zeros
	}
	return to, nil
}

// checkMore checks the fields from i on that nobody asks for. It returns the
// column of a quote that is not closed, or 0.
func checkMore(line []byte, i int) int {
	for i < len(line) {
		switch line[i] {
		case ' ':
			i++
		case '"':
			q := closingQuote(line, i+1)
			if q < 0 {
				return i + 1
			}
			i = q + 1
		default:
			i = word(line, i).to
		}
	}
	return 0
}

// splitRequest finds METHOD PATH PROTOCOL in a request: they are
// text[:methodEnd], text[methodEnd+1:protocolStart-1] and text[protocolStart:].
// A path may hold spaces inside. methodEnd is 0 if the request is anything
// else.
func splitRequest(text []byte) (methodEnd, protocolStart int) {
	n := len(text)
	p := n - len("HTTP/1.1")
	const http = uint64('H') | 'T'<<8 | 'T'<<16 | 'P'<<24 | '/'<<32 | '.'<<48
	if p < 4 || text[p-1] != ' ' || binary.LittleEndian.Uint64(text[p:])&^(0xff<<40|0xff<<56) != http ||
		text[p+5]-'0' > 9 || text[p+7]-'0' > 9 {
		p = bytes.LastIndexByte(text, ' ') + 1
		if !isProtocol(text[p:]) || len(text) < 4 {
			return 0, 0
		}
	}
	m := 0
	switch binary.LittleEndian.Uint32(text) { // p is 4 at least
	case 'G' | 'E'<<8 | 'T'<<16 | ' '<<24:
		m = 3
	case 'P' | 'O'<<8 | 'S'<<16 | 'T'<<24, 'H' | 'E'<<8 | 'A'<<16 | 'D'<<24:
		m = 4
	}
	for m < p && isTokenByte(text[m]) {
		m++
	}
	if m == 0 || m+2 >= p || text[m] != ' ' || text[m+1] == ' ' || text[p-2] == ' ' {
		return 0, 0
	}
	return m, p
}

// isProtocol: letters, a slash and a version, such as HTTP/1.1, HTTP/2, SIP/2.0;
// also HTTP/V1.0, as clients of the 1990s wrote it.
func isProtocol(b []byte) bool {
	i := 0
	for i < len(b) && isLetter(b[i]) {
		i++
	}
	if i == 0 || i == len(b) || b[i] != '/' {
		return false
	}
	b = b[i+1:]
	if len(b) > 0 && b[0] == 'V' {
		b = b[1:]
	}
	major, minor, dot := bytes.Cut(b, []byte{'.'})
	return isDigits(major) && (!dot || isDigits(minor))
}

func isDigits(b []byte) bool {
	for _, c := range b {
		if c-'0' > 9 {
			return false
		}
	}
	return len(b) > 0
}

// isTokenByte says whether a request's method may hold c (RFC 9110: token).
func isTokenByte(c byte) bool {
	return isLetter(c) || c > ' ' && c < 0x7f && bytes.IndexByte([]byte(`!#$%&'*+-.^_|~0123456789`+"`"), c) >= 0
}
