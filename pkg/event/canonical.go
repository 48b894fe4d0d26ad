package event

import (
	"bytes"
	"cmp"
	"math"
	"math/big"
	"slices"
	"strconv"
)

// AppendCanonical appends the canonical JSON of v: members sorted by the bytes
// of their UTF-8 names, each name once (the last member of that name counts),
// no spaces, minimal escapes, numbers by their exact decimal value: integers
// below 1e21 as digits, other numbers as ECMAScript writes them (plain digits
// from 1e-6 on, below that and from 1e21 on with an exponent), -0 as 0. Two
// keys are equal if their canonical JSON is.
func (v Value) AppendCanonical(dst []byte) []byte {
	switch v.Kind {
	case Number:
		return v.appendCanonicalNumber(dst)
	case String:
		switch v.Form {
		case Plain:
			return v.AppendJSON(dst)
		case Text:
			return AppendString(dst, v.B)
		}
		return AppendString(dst, appendUnescaped(nil, v.B))
	case Array:
		dst = append(dst, '[')
		for it, first := v.Elements(), true; it.Next(); first = false {
			if !first {
				dst = append(dst, ',')
			}
			dst = it.Value.AppendCanonical(dst)
		}
		return append(dst, ']')
	case Object:
		dst = append(dst, '{')
		for i, m := range sortedMembers(v) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = AppendString(dst, m.name)
			dst = append(dst, ':')
			dst = m.value.AppendCanonical(dst)
		}
		return append(dst, '}')
	}
	return v.AppendJSON(dst)
}

type namedValue struct {
	name  []byte // decoded
	value Value
}

// sortedMembers returns the members of an object sorted by name, the last one
// of each name.
func sortedMembers(v Value) []namedValue {
	var ms []namedValue
	for it := v.Members(); it.Next(); {
		ms = append(ms, namedValue{it.Name.AppendText(nil), it.Value})
	}
	slices.SortStableFunc(ms, func(a, b namedValue) int { return bytes.Compare(a.name, b.name) })
	out := ms[:0]
	for i, m := range ms {
		if i+1 < len(ms) && bytes.Equal(m.name, ms[i+1].name) {
			continue
		}
		out = append(out, m)
	}
	return out
}

func (v Value) appendCanonicalNumber(dst []byte) []byte {
	if n, ok := v.Int(); ok {
		return strconv.AppendInt(dst, n, 10)
	}
	var buf [40]byte
	d := parseDecimal(v.appendNumber(buf[:0]))
	return d.append(dst)
}

// decimal is a number as written: ±0.digits × 10^exp. Zero has no digits.
type decimal struct {
	neg    bool
	digits []byte // without leading and trailing zeros
	exp    int64  // saturated at ±2^62; bigExp is set if that happened
	bigExp *big.Int
}

// parseDecimal takes a valid JSON number apart without rounding.
func parseDecimal(lit []byte) decimal {
	var d decimal
	if lit[0] == '-' {
		d.neg = true
		lit = lit[1:]
	}
	var exp int64
	if k := bytes.IndexAny(lit, "eE"); k >= 0 {
		e := lit[k+1:]
		if e[0] == '+' {
			e = e[1:]
		}
		n, err := strconv.ParseInt(string(e), 10, 62)
		if err != nil {
			d.bigExp, _ = new(big.Int).SetString(string(e), 10)
		}
		exp = n
		lit = lit[:k]
	}
	point := bytes.IndexByte(lit, '.')
	digits := lit
	if point >= 0 {
		digits = append(append(make([]byte, 0, len(lit)), lit[:point]...), lit[point+1:]...)
	} else {
		point = len(lit)
	}
	shift := int64(point)
	for len(digits) > 0 && digits[0] == '0' {
		digits = digits[1:]
		shift--
	}
	digits = bytes.TrimRight(digits, "0")
	if len(digits) == 0 {
		return decimal{}
	}
	d.digits = digits
	if d.bigExp != nil {
		d.bigExp.Add(d.bigExp, big.NewInt(shift))
		if d.bigExp.Sign() > 0 {
			d.exp = math.MaxInt64 / 2
		} else {
			d.exp = math.MinInt64 / 2
		}
		return d
	}
	d.exp = exp + shift
	return d
}

func (d decimal) append(dst []byte) []byte {
	n := int64(len(d.digits))
	if n == 0 {
		return append(dst, '0')
	}
	if d.neg {
		dst = append(dst, '-')
	}
	switch {
	case d.bigExp == nil && n <= d.exp && d.exp <= 21: // integer
		dst = append(dst, d.digits...)
		for i := n; i < d.exp; i++ {
			dst = append(dst, '0')
		}
		return dst
	case d.bigExp == nil && 0 < d.exp && d.exp <= 21:
		dst = append(dst, d.digits[:d.exp]...)
		dst = append(dst, '.')
		return append(dst, d.digits[d.exp:]...)
	case d.bigExp == nil && -6 < d.exp && d.exp <= 0:
		dst = append(dst, '0', '.')
		for i := d.exp; i < 0; i++ {
			dst = append(dst, '0')
		}
		return append(dst, d.digits...)
	}
	dst = append(dst, d.digits[0])
	if n > 1 {
		dst = append(dst, '.')
		dst = append(dst, d.digits[1:]...)
	}
	dst = append(dst, 'e')
	if d.bigExp != nil {
		e := new(big.Int).Sub(d.bigExp, big.NewInt(1))
		if e.Sign() > 0 {
			dst = append(dst, '+')
		}
		return e.Append(dst, 10)
	}
	if d.exp-1 > 0 {
		dst = append(dst, '+')
	}
	return strconv.AppendInt(dst, d.exp-1, 10)
}

// Compare orders values as jq does: null, false, true, numbers, strings (by
// the bytes of their text), arrays (element by element), objects (first by
// their sorted names, then by the values). Numbers compare by their exact
// decimal value. Missing is null.
func Compare(a, b Value) int {
	ak, bk := max(a.Kind, Null), max(b.Kind, Null)
	if ak != bk {
		return cmp.Compare(ak, bk)
	}
	switch ak {
	case Number:
		return compareNumbers(a, b)
	case String:
		if a.Form != JSON && b.Form != JSON {
			return bytes.Compare(a.B, b.B)
		}
		var s []byte
		return bytes.Compare(a.Text(&s), b.Text(&s))
	case Array:
		x, y := a.Elements(), b.Elements()
		for {
			more, other := x.Next(), y.Next()
			if !more || !other {
				return cmp.Compare(b2i(more), b2i(other))
			}
			if c := Compare(x.Value, y.Value); c != 0 {
				return c
			}
		}
	case Object:
		x, y := sortedMembers(a), sortedMembers(b)
		if c := slices.CompareFunc(x, y, func(p, q namedValue) int { return bytes.Compare(p.name, q.name) }); c != 0 {
			return c
		}
		return slices.CompareFunc(x, y, func(p, q namedValue) int { return Compare(p.value, q.value) })
	}
	return 0
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func compareNumbers(a, b Value) int {
	if x, ok := a.Int(); ok {
		if y, ok := b.Int(); ok {
			return cmp.Compare(x, y)
		}
	}
	var p, q [40]byte
	x, y := parseDecimal(a.appendNumber(p[:0])), parseDecimal(b.appendNumber(q[:0]))
	if x.sign() != y.sign() {
		return cmp.Compare(x.sign(), y.sign())
	}
	c := cmp.Compare(x.exp, y.exp)
	if c == 0 && (x.bigExp != nil || y.bigExp != nil) {
		c = x.bigExponent().Cmp(y.bigExponent())
	}
	if c == 0 {
		c = bytes.Compare(x.digits, y.digits)
	}
	return c * x.sign()
}

func (d decimal) sign() int {
	switch {
	case len(d.digits) == 0:
		return 0
	case d.neg:
		return -1
	}
	return 1
}

func (d decimal) bigExponent() *big.Int {
	if d.bigExp != nil {
		return d.bigExp
	}
	return big.NewInt(d.exp)
}
