package event

import (
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"
)

// Kind is the type of a JSON value. The order is jq's sort order, with Missing
// (a member that is not there, which reads as null) in front.
type Kind uint8

const (
	Missing Kind = iota
	Null
	False
	True
	Number
	String
	Array
	Object
)

var kindNames = [...]string{"null", "null", "boolean", "boolean", "number", "string", "array", "object"}

// String returns jq's name of the type: null, boolean, number, string, array
// or object.
func (k Kind) String() string { return kindNames[k] }

// Form says how Value.B (or Value.N) spells the value.
type Form uint8

const (
	// JSON: B is JSON text, validated: a number's literal, an array or object
	// from bracket to bracket. Of a string it is what stands between the
	// quotes, with at least one backslash escape (see Plain).
	JSON Form = iota
	// Plain: a string whose text needs no escaping: B is its text and at the
	// same time what stands between the quotes in JSON.
	Plain
	// Text: a string given as its decoded UTF-8 text; writing it as JSON may
	// need escapes.
	Text
	// Int: a number computed by us; N is an int64.
	Int
	// Float: a number computed by us; N holds the bits of a finite float64.
	Float
)

// Value is one JSON value: a view into bytes that somebody else owns (the
// block that was read, or a Runner's scratch memory). It is valid as long as
// they are: normally until the next event is read. Copy what is to be kept.
//
// The zero Value is Missing.
type Value struct {
	Kind Kind
	Form Form
	B    []byte
	N    uint64
}

// Constructors for computed values.

// BoolValue returns true or false.
func BoolValue(b bool) Value {
	if b {
		return Value{Kind: True}
	}
	return Value{Kind: False}
}

// IntValue returns a number.
func IntValue(n int64) Value { return Value{Kind: Number, Form: Int, N: uint64(n)} }

// FloatValue returns a number; f must be finite.
func FloatValue(f float64) Value {
	return Value{Kind: Number, Form: Float, N: math.Float64bits(f)}
}

// TextValue returns a string with the given decoded text, which must be valid
// UTF-8. It keeps b.
func TextValue(b []byte) Value { return Value{Kind: String, Form: Text, B: b} }

// PlainValue returns a string whose text is known to need no escaping in JSON.
// It keeps b.
func PlainValue(b []byte) Value { return Value{Kind: String, Form: Plain, B: b} }

// RawValue returns the value that valid JSON text (without space around it)
// stands for. It keeps b.
func RawValue(b []byte) Value {
	if len(b) == 0 {
		return Value{}
	}
	switch b[0] {
	case 'n':
		return Value{Kind: Null}
	case 't':
		return Value{Kind: True}
	case 'f':
		return Value{Kind: False}
	case '"':
		s := b[1 : len(b)-1]
		if hasBackslash(s) {
			return Value{Kind: String, Form: JSON, B: s}
		}
		return Value{Kind: String, Form: Plain, B: s}
	case '[':
		return Value{Kind: Array, B: b}
	case '{':
		return Value{Kind: Object, B: b}
	}
	return Value{Kind: Number, B: b}
}

// IsNull says whether v is null or missing.
func (v Value) IsNull() bool { return v.Kind <= Null }

// Truthy is jq's idea of truth: everything but null (missing) and false.
func (v Value) Truthy() bool { return v.Kind > False }

// AppendJSON appends v as JSON. What came as JSON is appended byte for byte.
func (v Value) AppendJSON(dst []byte) []byte {
	switch v.Kind {
	case Missing, Null:
		return append(dst, "null"...)
	case False:
		return append(dst, "false"...)
	case True:
		return append(dst, "true"...)
	case Number:
		return v.appendNumber(dst)
	case String:
		if v.Form == Text {
			return AppendString(dst, v.B)
		}
		dst = append(dst, '"')
		dst = append(dst, v.B...)
		return append(dst, '"')
	}
	return append(dst, v.B...)
}

func (v Value) appendNumber(dst []byte) []byte {
	switch v.Form {
	case Int:
		return strconv.AppendInt(dst, int64(v.N), 10)
	case Float:
		return AppendFloat(dst, math.Float64frombits(v.N))
	}
	return append(dst, v.B...)
}

// AppendFloat appends f as jq writes it: the shortest digits that give f
// again, with an exponent below 1e-6 and from 1e21 on. NaN is null; infinities
// are the largest finite numbers (as in jq).
func AppendFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) {
		return append(dst, "null"...)
	}
	f = min(max(f, -math.MaxFloat64), math.MaxFloat64)
	format := byte('f')
	if x := math.Abs(f); x != 0 && x < 1e-6 || x >= 1e21 {
		format = 'e'
	}
	n0 := len(dst)
	dst = strconv.AppendFloat(dst, f, format, -1, 64)
	if format == 'e' {
		if n := len(dst); n-n0 >= 4 && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
			dst[n-2] = dst[n-1]
			dst = dst[:n-1]
		}
	}
	return dst
}

// AppendText appends a string's decoded text; any other value as JSON (what
// jq -r prints).
func (v Value) AppendText(dst []byte) []byte {
	if v.Kind != String {
		return v.AppendJSON(dst)
	}
	if v.Form == JSON {
		return appendUnescaped(dst, v.B)
	}
	return append(dst, v.B...)
}

// Text returns a string's decoded text: a view into v where it needs no
// decoding, else appended to *scratch. It must only be called on strings.
func (v Value) Text(scratch *[]byte) []byte {
	if v.Form != JSON {
		return v.B
	}
	n := len(*scratch)
	*scratch = appendUnescaped(*scratch, v.B)
	return (*scratch)[n:len(*scratch):len(*scratch)]
}

const hexDigits = "0123456789abcdef"

// AppendString appends text as a JSON string with the escapes that JSON
// demands and no others (the canonical spelling). Bytes that are not UTF-8
// become U+FFFD.
func AppendString(dst, text []byte) []byte {
	dst = append(dst, '"')
	dst = appendEscaped(dst, text)
	return append(dst, '"')
}

func appendEscaped(dst, text []byte) []byte {
	start := 0
	for i := 0; i < len(text); {
		if i+8 <= len(text) {
			w := binary.LittleEndian.Uint64(text[i:])
			m := specialIn(w) | w&highs
			if m == 0 {
				i += 8
				continue
			}
			i += firstByte(m)
		}
		c := text[i]
		if c >= utf8.RuneSelf {
			// One seldom comes alone.
			for i < len(text) && text[i] >= utf8.RuneSelf {
				r, size := utf8.DecodeRune(text[i:])
				if r == utf8.RuneError && size == 1 {
					dst = append(dst, text[start:i]...)
					dst = append(dst, "\ufffd"...)
					start = i + 1
				}
				i += size
			}
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, text[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	return append(dst, text[start:]...)
}

// appendUnescaped decodes the inside of a valid JSON string. A surrogate
// without its partner becomes U+FFFD, as in Go's encoding/json and gojq.
func appendUnescaped(dst, s []byte) []byte {
	for {
		k := indexBackslash(s)
		if k < 0 {
			return append(dst, s...)
		}
		dst = append(dst, s[:k]...)
		c := s[k+1]
		s = s[k+2:]
		switch c {
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
		case 'u':
			r := hex4(s)
			s = s[4:]
			if 0xD800 <= r && r < 0xE000 {
				low := rune(-1)
				if r < 0xDC00 && len(s) >= 6 && s[0] == '\\' && s[1] == 'u' {
					low = hex4(s[2:])
				}
				if 0xDC00 <= low && low < 0xE000 {
					r = (r-0xD800)<<10 | (low - 0xDC00) + 0x10000
					s = s[6:]
				} else {
					r = utf8.RuneError
				}
			}
			dst = utf8.AppendRune(dst, r)
		default: // " \ /
			dst = append(dst, c)
		}
	}
}

func hex4(s []byte) rune {
	var r rune
	for _, c := range s[:4] {
		switch {
		case c <= '9':
			c -= '0'
		case c <= 'F':
			c -= 'A' - 10
		default:
			c -= 'a' - 10
		}
		r = r<<4 | rune(c)
	}
	return r
}

// Int returns the number's value if it is an integer that was written with
// digits only (no point, no exponent, not -0) and fits int64.
func (v Value) Int() (int64, bool) {
	if v.Kind != Number {
		return 0, false
	}
	switch v.Form {
	case Int:
		return int64(v.N), true
	case Float:
		return 0, false
	}
	return parseInt(v.B)
}

func parseInt(b []byte) (int64, bool) {
	neg := false
	if len(b) > 0 && b[0] == '-' {
		neg = true
		b = b[1:]
		if len(b) > 0 && b[0] == '0' {
			return 0, false
		}
	}
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		c -= '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + uint64(c)
	}
	if neg {
		if n > 1<<63 {
			return 0, false
		}
		return -int64(n), true
	}
	if n > math.MaxInt64 {
		return 0, false
	}
	return int64(n), true
}

var pow10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// Float64 returns the number's value as the nearest float64; beyond its range
// an infinity. ok is false if v is not a number.
func (v Value) Float64() (f float64, ok bool) {
	if v.Kind != Number {
		return 0, false
	}
	switch v.Form {
	case Int:
		return float64(int64(v.N)), true
	case Float:
		return math.Float64frombits(v.N), true
	}
	// Up to 15 digits and a point: both parts are exact in a float64, so one
	// division rounds correctly (Clinger's fast path).
	b := v.B
	neg := false
	if b[0] == '-' {
		neg = true
		b = b[1:]
	}
	if len(b) <= 16 {
		var m uint64
		point := -1
		for i, c := range b {
			if d := c - '0'; d <= 9 {
				m = m*10 + uint64(d)
			} else if c == '.' {
				point = i
			} else {
				goto slow
			}
		}
		if m < 1<<53 {
			f = float64(m)
			if point >= 0 {
				f /= pow10[len(b)-1-point]
			}
			if neg {
				f = -f
			}
			return f, true
		}
	}
slow:
	f, _ = strconv.ParseFloat(string(v.B), 64)
	return f, true
}

// Lookup returns the member name (decoded text) of an object, the last one if
// it is given several times; Missing if there is none or v is no object.
func (v Value) Lookup(name string) Value {
	if v.Kind != Object {
		return Value{}
	}
	var found Value
	for it := v.Members(); it.Next(); {
		if it.NameIs(name) {
			found = it.Value
		}
	}
	return found
}

// Members iterates over an object's members in the order written; every
// member, also repeated ones.
func (v Value) Members() Iter { return Iter{b: v.B, i: 1} }

// Elements iterates over an array's elements.
func (v Value) Elements() Iter { return Iter{b: v.B, i: 1} }

// Iter walks over a validated array or object.
//
//	for it := v.Members(); it.Next(); { use(it.Name, it.Value) }
type Iter struct {
	// Name is the member's name as it stands between the quotes (Form JSON
	// or Plain); Missing in an array.
	Name  Value
	Value Value
	b     []byte
	i     int
}

// NameIs says whether the member's decoded name is name.
func (it *Iter) NameIs(name string) bool {
	if it.Name.Form == Plain {
		return string(it.Name.B) == name
	}
	var buf [64]byte
	return string(appendUnescaped(buf[:0], it.Name.B)) == name
}

// Next advances to the next element or member; false at the end.
func (it *Iter) Next() bool {
	b, i := it.b, it.i
	i = skipSpace(b, i)
	if i < len(b) && b[i] == ',' {
		i = skipSpace(b, i+1)
	}
	if i >= len(b) || b[i] == ']' || b[i] == '}' {
		it.i = i
		return false
	}
	if b[0] == '{' {
		end := endOfValidString(b, i+1)
		it.Name = RawValue(b[i : end+1])
		i = skipSpace(b, end+1) + 1
		i = skipSpace(b, i)
	}
	end := endOfValid(b, i)
	it.Value = RawValue(b[i:end])
	it.i = end
	return true
}

// Len returns the number of elements of an array or of different members of
// an object.
func (v Value) Len() int {
	n := 0
	if v.Kind == Array {
		for it := v.Elements(); it.Next(); {
			n++
		}
		return n
	}
	names := make(map[string]struct{})
	for it := v.Members(); it.Next(); {
		names[string(it.Name.AppendText(nil))] = struct{}{}
	}
	return len(names)
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// endOfValidString returns the index of the closing quote of a string known to
// be valid; i is the first byte after the opening quote.
func endOfValidString(b []byte, i int) int {
	for {
		for i+8 <= len(b) {
			m := quoteOrBackslash(binary.LittleEndian.Uint64(b[i:]))
			if m != 0 {
				i += firstByte(m)
				break
			}
			i += 8
		}
		for i < len(b) && b[i] != '"' && b[i] != '\\' {
			i++
		}
		if i >= len(b) || b[i] == '"' {
			return i
		}
		i += 2
	}
}

// endOfValid returns the index after the value that begins at i in JSON known
// to be valid.
func endOfValid(b []byte, i int) int {
	switch b[i] {
	case '"':
		return endOfValidString(b, i+1) + 1
	case '{', '[':
		depth := 0
		for i < len(b) {
			switch b[i] {
			case '"':
				i = endOfValidString(b, i+1)
			case '{', '[':
				depth++
			case '}', ']':
				depth--
				if depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return i
	}
	for i < len(b) {
		switch b[i] {
		case ',', '}', ']', ' ', '\t', '\n', '\r':
			return i
		}
		i++
	}
	return i
}
