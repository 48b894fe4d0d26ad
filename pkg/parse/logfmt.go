package parse

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
	"unsafe"

	"logtools/pkg/event"
	"logtools/pkg/when"
)

// A logfmt line is
//
//	PAIR[ PAIR…]        PAIR is KEY, KEY=, KEY=WORD or KEY="TEXT"
//
// with a = in one of them at least.
//
//   - Bytes up to the space (tabs, control characters) separate pairs.
//   - KEY holds no = and no quotes.
//   - WORD holds no quotes; it may hold = (as in a=/x?b=c).
//   - TEXT ends at the first quote without a backslash before it. Its escapes are
//     those of JSON and of Go (\a \v \xHH \UHHHHHHHH); any other backslash is
//     itself.
//
// logfmtLine is such a line.
type logfmtLine struct {
	b     []byte
	pairs []logfmtPair
	// value: there is a key named value.
	value bool
	buf   []byte
}

// logfmtPair is a key and the kind and place of what belongs to it.
type logfmtPair struct {
	mark     uint64 // the first seven bytes of the key, and its length modulo 256
	key, val span
	kind     logfmtKind
}

type logfmtKind uint8

const (
	logfmtTrue    logfmtKind = iota // a key without =
	logfmtNumber                    // as JSON writes it
	logfmtPlain                     // text that is between quotes in JSON as it is
	logfmtText                      // text that JSON must escape
	logfmtEscaped                   // with escapes, all of them JSON's
	logfmtForeign                   // with others
)

// logfmt parses lines of key=value pairs. The value is an object: a key without
// = is true, a word that is a JSON number is that number, digit for digit, and
// all else is a string (KEY= the empty one, and always what is between quotes).
// Of a key given several times the last counts.
type logfmt struct {
	clean event.Clean
	want  []logfmtWanted
	good  bool // the line last parsed is in logfmtLine
	logfmtLine
}

type logfmtWanted struct {
	mark uint64
	name []byte
	slot int
}

func newLogfmt(o Options) Parser {
	p := new(logfmt)
	o.fields().Top(func(name string, slot int, _ bool) {
		key := []byte(name)
		p.want = append(p.want, logfmtWanted{keyMark(key), key, slot})
	})
	return p
}

func (p *logfmt) Block(c event.Clean) { p.clean = c }

func (p *logfmt) Parse(line []byte, ev *event.Event) error {
	p.good = false
	ev.Line, ev.Bare = line, true
	if !p.clean.UTF8 {
		if err := checkUTF8(line); err != nil {
			return err
		}
	}
	if err := p.split(line); err != nil {
		return err
	}
	p.good = true
	if p.value {
		ev.SetLazy(p)
	} else {
		ev.SetLazyBare(p)
	}
	for i := range p.want {
		w := &p.want[i]
		// From the end, because the last one counts.
		for k := len(p.pairs) - 1; k >= 0; k-- {
			if a := &p.pairs[k]; a.mark == w.mark && string(p.b[a.key.from:a.key.to]) == string(w.name) {
				p.fill(&ev.Slots[w.slot], a, ev)
				break
			}
		}
	}
	return nil
}

// Time is false: no key of logfmt is a time beyond doubt.
func (p *logfmt) Time() (when.Time, bool) { return when.Time{}, false }

// fill sets v, which is Missing, to the value of a pair.
func (p *logfmt) fill(v *event.Value, a *logfmtPair, ev *event.Event) {
	v.Kind, v.Form, v.B = event.String, event.Text, p.b[a.val.from:a.val.to]
	switch a.kind {
	case logfmtTrue:
		v.Kind = event.True
	case logfmtNumber:
		v.Kind, v.Form = event.Number, event.JSON
	case logfmtPlain:
		v.Form = event.Plain
	case logfmtEscaped:
		v.Form = event.JSON
	case logfmtForeign:
		p.buf = appendLogfmtText(p.buf[:0], v.B)
		v.B = ev.Scratch(len(p.buf))
		copy(v.B, p.buf)
	}
}

// AppendValue writes the whole value. It works for every event of this Parser,
// not only for the last one: others are split again.
func (p *logfmt) AppendValue(dst []byte, ev *event.Event) []byte {
	line := ev.Line
	if !p.good || len(line) != len(p.b) || unsafe.SliceData(line) != unsafe.SliceData(p.b) {
		// It was good when it was parsed; what Parse found last may be wanted yet.
		var other logfmtLine
		if other.split(line) != nil {
			return append(dst, "null"...)
		}
		return other.appendValue(dst)
	}
	return p.appendValue(dst)
}

func (e *logfmtLine) appendValue(dst []byte) []byte {
	last := e.lastPairs()
	sep := byte('{')
	for i := range e.pairs {
		if last != nil && last[string(e.key(i))] != i || last == nil && e.again(i) {
			continue
		}
		a := &e.pairs[i]
		dst = append(dst, sep, '"')
		sep = ','
		key := e.b[a.key.from:a.key.to]
		if isPlain(key) {
			dst = append(append(dst, key...), '"')
		} else {
			dst = event.AppendString(dst[:len(dst)-1], key)
		}
		val := e.b[a.val.from:a.val.to]
		switch a.kind {
		case logfmtTrue:
			dst = append(dst, ":true"...)
		case logfmtNumber:
			dst = append(append(dst, ':'), val...)
		case logfmtPlain, logfmtEscaped:
			dst = append(append(dst, ':', '"'), val...)
			dst = append(dst, '"')
		case logfmtText:
			dst = event.AppendString(append(dst, ':'), val)
		default:
			e.buf = appendLogfmtText(e.buf[:0], val)
			dst = event.AppendString(append(dst, ':'), e.buf)
		}
	}
	return append(dst, '}')
}

func (e *logfmtLine) key(i int) []byte { return e.b[e.pairs[i].key.from:e.pairs[i].key.to] }

// again says whether the key of pair i comes again.
func (e *logfmtLine) again(i int) bool {
	mark := e.pairs[i].mark
	for k := i + 1; k < len(e.pairs); k++ {
		if e.pairs[k].mark == mark && bytes.Equal(e.key(i), e.key(k)) {
			return true
		}
	}
	return false
}

// lastPairs returns the last pair of each key where there are so many that
// comparing all with all would take too long; otherwise nil.
func (e *logfmtLine) lastPairs() map[string]int {
	if len(e.pairs) <= 64 {
		return nil
	}
	last := make(map[string]int, len(e.pairs))
	for i := range e.pairs {
		last[string(e.key(i))] = i
	}
	return last
}

// split finds the pairs of line, which is valid UTF-8. It keeps line.
func (e *logfmtLine) split(line []byte) error {
	e.b, e.pairs, e.value = line, e.pairs[:0], false
	equals := false
	for i := 0; ; {
		for i < len(line) && line[i] <= ' ' {
			i++
		}
		if i == len(line) {
			break
		}
		start := i
		i = endOfKey(line, i)
		a := logfmtPair{key: span{start, i}}
		switch {
		case i == start:
			return bad("key expected", i+1)
		case i == len(line) || line[i] <= ' ':
		case line[i] == '"':
			return bad("quote in a key", i+1)
		default:
			equals = true
			var err error
			if i, err = a.split(line, i+1); err != nil {
				return err
			}
		}
		a.mark = keyMark(line[a.key.from:a.key.to])
		e.value = e.value || a.mark == markOfValue
		e.pairs = append(e.pairs, a)
	}
	if !equals {
		return bad("no key=value", 0)
	}
	return nil
}

// keyMark returns a number that differs for most keys that differ.
func keyMark(key []byte) uint64 {
	n := len(key)
	if n >= 8 {
		return binary.LittleEndian.Uint64(key)<<8 | uint64(n&0xff)
	}
	var w uint64
	for k := n - 1; k >= 0; k-- {
		w = w<<8 | uint64(key[k])
	}
	return w<<8 | uint64(n)
}

const markOfValue = 'v'<<8 | 'a'<<16 | 'l'<<24 | 'u'<<32 | 'e'<<40 | 5

// split finds the value that begins at i, after the =; it returns the index
// after it.
func (a *logfmtPair) split(line []byte, i int) (int, error) {
	if i < len(line) && line[i] == '"' {
		return a.splitText(line, i)
	}
	start := i
	var odd bool
	i, odd = endOfWord(line, i)
	if i < len(line) && line[i] == '"' {
		return 0, bad("quote in a value without quotes around it", i+1)
	}
	a.val = span{start, i}
	switch text := line[start:i]; {
	case odd:
		a.kind = logfmtText
	case event.IsNumber(text):
		a.kind = logfmtNumber
	default:
		a.kind = logfmtPlain
	}
	return i, nil
}

// splitText finds the text whose opening quote is at i; it returns the index
// after the closing one.
func (a *logfmtPair) splitText(line []byte, i int) (int, error) {
	open := i
	a.kind = logfmtPlain
	control := false
	for i++; ; {
		if i+8 <= len(line) {
			m := special(binary.LittleEndian.Uint64(line[i:]))
			if m == 0 {
				i += 8
				continue
			}
			i += firstMark(m)
		}
		if i >= len(line) {
			return 0, bad("unterminated quote", open+1)
		}
		c := line[i]
		if c == '"' {
			break
		}
		switch {
		case c < ' ':
			control = true
		case c == '\\' && i+1 < len(line):
			n := jsonEscape(line[i:])
			if n == 0 {
				a.kind = logfmtForeign
				n = 1
			} else if a.kind == logfmtPlain {
				a.kind = logfmtEscaped
			}
			i += n
			continue
		}
		i++
	}
	if control {
		// With escapes it is no JSON; without, it is text.
		if a.kind == logfmtPlain {
			a.kind = logfmtText
		} else {
			a.kind = logfmtForeign
		}
	}
	a.val = span{open + 1, i}
	if i++; i < len(line) && line[i] > ' ' {
		return 0, bad("space expected after the quote", i+1)
	}
	return i, nil
}

// jsonEscape returns the length of the JSON escape that b, which has two bytes
// at least, begins with; 0 if it is none.
func jsonEscape(b []byte) int {
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hexValue(b, 2, 4); ok {
			return 6
		}
	}
	return 0
}

// hexValue reads n hexadecimal digits at b[i:].
func hexValue(b []byte, i, n int) (r rune, ok bool) {
	if i+n > len(b) {
		return 0, false
	}
	for _, c := range b[i : i+n] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// appendLogfmtText appends the text that b, which was between quotes, stands
// for. What is no character becomes U+FFFD.
func appendLogfmtText(dst, b []byte) []byte {
	for i := 0; i < len(b); {
		if b[i] != '\\' || i+1 == len(b) {
			dst = append(dst, b[i])
			i++
			continue
		}
		n := 2
		switch c := b[i+1]; c {
		case '"', '\\', '/':
			dst = append(dst, c)
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'a':
			dst = append(dst, '\a')
		case 'v':
			dst = append(dst, '\v')
		case 'x', 'u', 'U':
			r, size, ok := hexEscape(b[i:])
			if !ok {
				dst, n = append(dst, '\\'), 1
				break
			}
			dst, n = utf8.AppendRune(dst, r), size
		default:
			dst, n = append(dst, '\\'), 1
		}
		i += n
	}
	return dst
}

// hexEscape reads the \xHH, \uHHHH (or a pair of them) or \UHHHHHHHH that b
// begins with.
func hexEscape(b []byte) (r rune, n int, ok bool) {
	switch b[1] {
	case 'x':
		// A byte that is part of a character stands there as it is.
		if r, ok = hexValue(b, 2, 2); r >= utf8.RuneSelf {
			r = utf8.RuneError
		}
		return r, 4, ok
	case 'U':
		r, ok = hexValue(b, 2, 8)
		return r, 10, ok
	}
	r, ok = hexValue(b, 2, 4)
	if ok && r >= 0xd800 && r < 0xdc00 && len(b) >= 8 && b[6] == '\\' && b[7] == 'u' {
		if low, ok := hexValue(b, 8, 4); ok && low >= 0xdc00 && low < 0xe000 {
			return (r-0xd800)<<10 | (low - 0xdc00) + 0x10000, 12, true
		}
	}
	return r, 6, ok
}

// endOfKey returns the index of the first byte from i on that ends a key.
func endOfKey(line []byte, i int) int {
	for i+8 <= len(line) {
		w := binary.LittleEndian.Uint64(line[i:])
		if m := zeroBytes(w^ones*'=') | zeroBytes(w^ones*'"') | (w-ones*0x21)&^w&highs; m != 0 {
			return i + firstMark(m)
		}
		i += 8
	}
	for i < len(line) && line[i] > ' ' && line[i] != '=' && line[i] != '"' {
		i++
	}
	return i
}

// endOfWord returns the index of the first byte from i on that ends a word, or
// of a quote in it, and whether there is a backslash in it.
func endOfWord(line []byte, i int) (end int, backslash bool) {
	for i+8 <= len(line) {
		w := binary.LittleEndian.Uint64(line[i:])
		if m := zeroBytes(w^ones*'\\') | zeroBytes(w^ones*'"') | (w-ones*0x21)&^w&highs; m != 0 {
			i += firstMark(m)
			if line[i] != '\\' {
				return i, backslash
			}
			backslash = true
			i++
			continue
		}
		i += 8
	}
	for ; i < len(line) && line[i] > ' ' && line[i] != '"'; i++ {
		backslash = backslash || line[i] == '\\'
	}
	return i, backslash
}

// fitsLogfmt takes a line of two or more pairs and nothing else, with keys such
// as programs give them.
func fitsLogfmt(line []byte) bool {
	var e logfmtLine
	if checkUTF8(line) != nil || e.split(dropCR(line)) != nil || len(e.pairs) < 2 {
		return false
	}
	for i := range e.pairs {
		if e.pairs[i].kind == logfmtTrue || !isName(e.key(i)) {
			return false
		}
	}
	return true
}

// isName: letters, digits and _.-/@:, beginning with a letter, _ or @.
func isName(key []byte) bool {
	if c := key[0]; !isLetter(c) && c != '_' && c != '@' {
		return false
	}
	for _, c := range key {
		if !isLetter(c) && c-'0' > 9 && bytes.IndexByte([]byte("_.-/@:"), c) < 0 {
			return false
		}
	}
	return true
}

// firstMark returns the index of the first byte that m, made by zeroBytes and
// the like, marks.
func firstMark(m uint64) int { return bits.TrailingZeros64(m) >> 3 }
