package agg

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
	"strconv"

	"logtools/pkg/event"
)

// A number is m × 10^e with an int64 m: so is nearly every number of a log.
// Others are kept as their digits (see number).

// maxDigits limits the digits and the exponent of numbers that are added or
// ranked: an exact sum of 1e1000000000 and 1 would need a gigabyte.
const maxDigits = 10_000

// smallDigits is the number of digits that always fit m.
const smallDigits = 18

var pow10 = func() (p [19]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

var pow10Float = func() (p [23]float64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10 // exact up to 1e22
	}
	return p
}()

// parseSmall reads a valid JSON number that is m × 10^e with at most 18 digits
// and an ordinary exponent; ok is false for others, which may still be such a
// number in a longer spelling.
func parseSmall(b []byte) (m int64, e int32, ok bool) {
	if m, e, ok := parseShort(b); ok {
		return m, e, true
	}
	i := 0
	neg := b[0] == '-'
	if neg {
		i = 1
	}
	var u uint64
	for ; i < len(b); i++ {
		c := b[i] - '0'
		if c > 9 {
			break
		}
		if u >= pow10[smallDigits-1] {
			return 0, 0, false
		}
		u = u*10 + uint64(c)
	}
	if i < len(b) && b[i] == '.' {
		i++
		start := i
		for ; i < len(b); i++ {
			c := b[i] - '0'
			if c > 9 {
				break
			}
			if u >= pow10[smallDigits-1] {
				return 0, 0, false
			}
			u = u*10 + uint64(c)
		}
		e = int32(start - i)
	}
	if i < len(b) { // e or E
		x, err := strconv.Atoi(string(b[i+1:]))
		if err != nil || x < -999 || x > 999 {
			return 0, 0, false
		}
		e += int32(x)
	}
	if e < -maxDigits { // 0.000… of that length
		return 0, 0, false
	}
	m = int64(u)
	if neg {
		m = -m
	}
	return m, e, true
}

// parseShort is parseSmall, its slow twin, for numbers of one to eight bytes
// without sign and exponent. It has no branch that depends on their length: that
// of a log's numbers differs from line to line.
func parseShort(b []byte) (m int64, e int32, ok bool) {
	const ones, highs, zeros = 0x0101010101010101, 0x8080808080808080, '0' * 0x0101010101010101
	// w gets the bytes in its high end, with the last one on top.
	var w uint64
	n := len(b)
	switch {
	case n > 8 || n == 0:
		return 0, 0, false
	case n >= 4:
		w = uint64(binary.LittleEndian.Uint32(b))<<(64-8*n) | uint64(binary.LittleEndian.Uint32(b[n-4:]))<<32
	default: // 1 to 3 bytes: the first, the middle and the last one
		w = uint64(b[0])<<(64-8*n) | uint64(b[n/2])<<(64-8*(n-n/2)) | uint64(b[n-1])<<56
	}
	used := ^uint64(0) << (64 - 8*n)
	w = w ^ zeros&used
	if dot := w ^ ('.'^'0')*ones; (dot-ones)&^dot&highs&used != 0 {
		// What is before the point moves up and closes the gap.
		at := bits.TrailingZeros64((dot - ones) &^ dot & highs & used)
		e = -int32(63-at) / 8
		before := uint64(1)<<(at-7) - 1
		w = w&^(before<<8|0xff) | w&before<<8
	}
	if (w|(w+(0x80-10)*ones))&highs != 0 {
		return 0, 0, false
	}
	w = w*10 + w>>8
	const pairs = 0x000000ff000000ff
	return int64((w&pairs*(100+1000000<<32) + w>>16&pairs*(1+10000<<32)) >> 32), e, true
}

// number is any number: m × 10^e, or if digits is not nil ±digits × 10^e with
// more digits than fit m, the last one not 0.
type number struct {
	m      int64
	e      int32
	digits []byte // with a leading '-' if negative
}

// parseNumber reads any valid JSON number; digits are appended to *scratch. ok
// is false beyond the limits.
func parseNumber(b []byte, scratch *[]byte) (n number, ok bool) {
	if m, e, ok := parseSmall(b); ok {
		return number{m: m, e: e}, true
	}
	from := len(*scratch)
	neg := b[0] == '-'
	if neg {
		*scratch = append(*scratch, '-')
		b = b[1:]
	}
	first := len(*scratch)
	point, exp := -1, 0
	i := 0
	huge := false
	for ; i < len(b); i++ {
		c := b[i]
		if c == 'e' || c == 'E' {
			x, err := strconv.Atoi(string(b[i+1:]))
			if err != nil || x < -1<<29 || x > 1<<29 {
				huge = true // unless all digits are 0
			}
			exp = x
			break
		}
		if c == '.' {
			point = i
			continue
		}
		if c == '0' && len(*scratch) == first {
			continue // a leading zero
		}
		*scratch = append(*scratch, c)
	}
	if point >= 0 {
		exp -= i - point - 1
	}
	digits := (*scratch)[from:]
	for len(*scratch) > first && digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
		*scratch = (*scratch)[:len(*scratch)-1]
		exp++
	}
	count := len(*scratch) - first
	switch {
	case count == 0:
		*scratch = (*scratch)[:from]
		return number{}, true
	case huge || count > maxDigits || exp < -maxDigits || exp > maxDigits:
		*scratch = (*scratch)[:from]
		return number{}, false
	case count <= smallDigits:
		m, _ := strconv.ParseInt(string(digits), 10, 64)
		*scratch = (*scratch)[:from]
		return number{m: m, e: int32(exp)}, true
	}
	return number{e: int32(exp), digits: digits[:len(digits):len(digits)]}, true
}

// numberOf reads a number in any form. What is computed by expressions is a
// float64 and means its shortest decimal.
func numberOf(v *event.Value, scratch *[]byte) (n number, ok bool) {
	switch v.Form {
	case event.Int:
		m := int64(v.N)
		if m > -1e18 && m < 1e18 {
			return number{m: m}, true
		}
	case event.JSON:
		return parseNumber(v.B, scratch)
	default:
		f := math.Float64frombits(v.N)
		if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return number{m: int64(f)}, true
		}
	}
	var buf [40]byte
	return parseNumber(v.AppendJSON(buf[:0]), scratch)
}

// appendDecimal appends digits × 10^e in canonical form: plain digits from
// 1e-6 on and below 1e21, others with an exponent. With long, integers from
// 1e21 on are plain too if that adds at most 20 zeros, so that readers who know
// large integers (jq) keep every digit. Zeros at either end of digits do not
// matter.
func appendDecimal(dst []byte, neg bool, digits []byte, e int, long bool) []byte {
	for len(digits) > 0 && digits[0] == '0' {
		digits = digits[1:]
	}
	for len(digits) > 0 && digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
		e++
	}
	n := len(digits)
	if n == 0 {
		return append(dst, '0')
	}
	if neg {
		dst = append(dst, '-')
	}
	point := n + e // the value is 0.digits × 10^point
	switch {
	case e >= 0 && (point <= 21 || long && e <= 20):
		dst = append(dst, digits...)
		for range e {
			dst = append(dst, '0')
		}
		return dst
	case 0 < point && point <= 21:
		dst = append(dst, digits[:point]...)
		dst = append(dst, '.')
		return append(dst, digits[point:]...)
	case -6 < point && point <= 0:
		dst = append(dst, '0', '.')
		for range -point {
			dst = append(dst, '0')
		}
		return append(dst, digits...)
	}
	dst = append(dst, digits[0])
	if n > 1 {
		dst = append(dst, '.')
		dst = append(dst, digits[1:]...)
	}
	dst = append(dst, 'e')
	if point-1 > 0 {
		dst = append(dst, '+')
	}
	return strconv.AppendInt(dst, int64(point-1), 10)
}

// append appends the number; see appendDecimal.
func (n number) append(dst []byte, long bool) []byte {
	if n.digits != nil {
		neg := n.digits[0] == '-'
		digits := n.digits
		if neg {
			digits = digits[1:]
		}
		return appendDecimal(dst, neg, digits, int(n.e), long)
	}
	if n.e == 0 {
		return strconv.AppendInt(dst, n.m, 10)
	}
	var buf [20]byte
	return appendDecimal(dst, n.m < 0, strconv.AppendUint(buf[:0], abs(n.m), 10), int(n.e), long)
}

// normal returns the same number without zeros at the end of m.
func (n number) normal() number {
	if n.digits != nil {
		return n
	}
	if n.m == 0 {
		return number{}
	}
	for n.m%10 == 0 {
		n.m /= 10
		n.e++
	}
	return n
}

// float returns the nearest float64, beyond its range an infinity.
func (n number) float() float64 {
	if n.digits == nil && abs(n.m) <= 1<<53 && -22 <= n.e && n.e <= 22 {
		// Both are exact, so one operation rounds correctly.
		if n.e < 0 {
			return float64(n.m) / pow10Float[-n.e]
		}
		return float64(n.m) * pow10Float[n.e]
	}
	var buf [64]byte
	f, _ := strconv.ParseFloat(string(n.append(buf[:0], false)), 64)
	return f
}

func abs(m int64) uint64 {
	if m < 0 {
		return -uint64(m)
	}
	return uint64(m)
}

// sum is an exact sum: a 128-bit integer × 10^exp, and what did not fit that
// in bigs[big-1]. The zero sum is 0.
type sum struct {
	lo  uint64
	hi  int64
	exp int32
	big uint32
}

// tally owns the big parts of the sums of one aggregate.
type tally struct {
	bigs  []bigSum
	bytes int64   // about how many bigs takes
	x, y  big.Int // scratch

	pow    big.Int // 10^powExp, the power last needed
	powExp int32
}

// bigSum is m × 10^exp.
type bigSum struct {
	m   big.Int
	exp int32
}

// add adds (hi, lo) × 10^e.
func (t *tally) add(s *sum, hi int64, lo uint64, e int32) {
	if e == s.exp {
		if s.add128(hi, lo) {
			return
		}
	} else if s.align(hi, lo, e) {
		return
	}
	// It does not fit: the sum so far moves to the big part, so that many
	// numbers like this one go the fast way again.
	t.spill(s)
	s.hi, s.lo, s.exp = hi, lo, e
}

func (s *sum) add128(hi int64, lo uint64) bool {
	l, c := bits.Add64(s.lo, lo, 0)
	h := s.hi + hi + int64(c)
	if (s.hi^h)&(hi^h) < 0 {
		return false
	}
	s.hi, s.lo = h, l
	return true
}

// align is add for another exponent than the sum's: the larger one is lowered.
func (s *sum) align(hi int64, lo uint64, e int32) bool {
	switch {
	case hi == 0 && lo == 0:
		return true
	case s.hi == 0 && s.lo == 0:
		s.hi, s.lo, s.exp = hi, lo, e
		return true
	case e > s.exp:
		hi, lo, ok := scale128(hi, lo, e-s.exp)
		return ok && s.add128(hi, lo)
	}
	h, l, ok := scale128(s.hi, s.lo, s.exp-e)
	if !ok {
		return false
	}
	scaled := sum{hi: h, lo: l}
	if !scaled.add128(hi, lo) {
		return false
	}
	s.hi, s.lo, s.exp = scaled.hi, scaled.lo, e
	return true
}

// scale128 multiplies by 10^d.
func scale128(hi int64, lo uint64, d int32) (int64, uint64, bool) {
	if int(d) >= len(pow10) {
		return 0, 0, false
	}
	neg := hi < 0
	h, l := uint64(hi), lo
	if neg {
		h, l = negate128(h, l)
	}
	top, h1 := bits.Mul64(h, pow10[d])
	carry, l := bits.Mul64(l, pow10[d])
	h, c := bits.Add64(h1, carry, 0)
	if top != 0 || c != 0 || h >= 1<<63 {
		return 0, 0, false
	}
	if neg {
		h, l = negate128(h, l)
	}
	return int64(h), l, true
}

func negate128(hi, lo uint64) (uint64, uint64) {
	l, borrow := bits.Sub64(0, lo, 0)
	h, _ := bits.Sub64(0, hi, borrow)
	return h, l
}

// addNumber adds n.
func (t *tally) addNumber(s *sum, n number) {
	if n.digits == nil {
		t.add(s, n.m>>63, uint64(n.m), n.e)
		return
	}
	t.x.SetString(string(n.digits), 10)
	t.addBig(s, &t.x, n.e)
}

// addSquare adds n².
func (t *tally) addSquare(s *sum, n number) {
	if n.digits == nil {
		a := abs(n.m)
		hi, lo := bits.Mul64(a, a) // below 2^126
		t.add(s, int64(hi), lo, 2*n.e)
		return
	}
	t.x.SetString(string(n.digits), 10)
	t.x.Mul(&t.x, &t.x)
	t.addBig(s, &t.x, 2*n.e)
}

// spill moves the 128-bit part to the big part.
func (t *tally) spill(s *sum) {
	setInt128(&t.x, s.hi, s.lo)
	exp := s.exp
	s.hi, s.lo = 0, 0
	t.addBig(s, &t.x, exp)
}

// addBig adds x × 10^e to the big part; x may be changed.
func (t *tally) addBig(s *sum, x *big.Int, e int32) {
	if x.Sign() == 0 {
		return
	}
	if s.big == 0 {
		t.bigs = append(t.bigs, bigSum{})
		s.big = uint32(len(t.bigs))
		t.bytes += 128
	}
	b := &t.bigs[s.big-1]
	before := b.m.BitLen()
	if b.m.Sign() == 0 {
		b.exp = e
	}
	t.alignBig(&b.m, &b.exp, x, &e)
	b.m.Add(&b.m, x)
	t.bytes += int64(b.m.BitLen()-before) / 4 // twice: what is replaced is there for a while
}

// alignBig gives x × 10^a and y × 10^b the same, the lower exponent.
func (t *tally) alignBig(x *big.Int, a *int32, y *big.Int, b *int32) {
	switch {
	case *a > *b:
		x.Mul(x, t.bigPow10(*a-*b))
		*a = *b
	case *b > *a:
		y.Mul(y, t.bigPow10(*b-*a))
		*b = *a
	}
}

// bigPow10 returns 10^n, valid until the next call.
func (t *tally) bigPow10(n int32) *big.Int {
	if n != t.powExp || t.pow.Sign() == 0 {
		t.pow.Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
		t.powExp = n
	}
	return &t.pow
}

// merge adds the sum o of the tally u.
func (t *tally) merge(s *sum, u *tally, o sum) {
	t.add(s, o.hi, o.lo, o.exp)
	if o.big != 0 {
		b := &u.bigs[o.big-1]
		t.x.Set(&b.m)
		t.addBig(s, &t.x, b.exp)
	}
}

// reset forgets all sums.
func (t *tally) reset() {
	clear(t.bigs)
	t.bigs, t.bytes = t.bigs[:0], 0
}

// How a sum is saved: a byte with one of the first three and perhaps savedBig,
// then its parts.
const (
	savedZero  = iota
	savedInt64 // m and exponent
	saved128   // low and high word and exponent
	savedBig   = 4
)

// save appends a sum for load.
func (t *tally) save(dst []byte, s sum) []byte {
	at := len(dst)
	switch {
	case s.hi == 0 && s.lo == 0:
		dst = append(dst, savedZero)
	case s.hi == int64(s.lo)>>63:
		dst = append(dst, savedInt64)
		dst = binary.AppendVarint(dst, int64(s.lo))
		dst = binary.AppendVarint(dst, int64(s.exp))
	default:
		dst = append(dst, saved128)
		dst = binary.LittleEndian.AppendUint64(dst, s.lo)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(s.hi))
		dst = binary.AppendVarint(dst, int64(s.exp))
	}
	if s.big != 0 {
		b := &t.bigs[s.big-1]
		dst[at] |= savedBig
		neg := byte(0)
		if b.m.Sign() < 0 {
			neg = 1
		}
		dst = append(dst, neg)
		dst = appendBytes(dst, b.m.Bytes())
		dst = binary.AppendVarint(dst, int64(b.exp))
	}
	return dst
}

// load adds a sum that was saved.
func (t *tally) load(s *sum, d *decoder) {
	form := d.byte()
	switch form &^ savedBig {
	case savedInt64:
		m := d.varint()
		t.add(s, m>>63, uint64(m), int32(d.varint()))
	case saved128:
		lo, hi := d.word(), d.word()
		t.add(s, int64(hi), lo, int32(d.varint()))
	}
	if form&savedBig != 0 {
		neg := d.byte() != 0
		t.x.SetBytes(d.bytes())
		if neg {
			t.x.Neg(&t.x)
		}
		t.addBig(s, &t.x, int32(d.varint()))
	}
}

// exact sets x so that the sum is x × 10^e.
func (t *tally) exact(x *big.Int, s sum) (e int32) {
	setInt128(x, s.hi, s.lo)
	e = s.exp
	if s.big != 0 {
		b := &t.bigs[s.big-1]
		t.y.Set(&b.m)
		be := b.exp
		t.alignBig(x, &e, &t.y, &be)
		x.Add(x, &t.y)
	}
	return e
}

// small returns the sum as m × 10^e if it is that simple.
func (s sum) small() (m int64, e int32, ok bool) {
	return int64(s.lo), s.exp, s.big == 0 && s.hi == int64(s.lo)>>63 && s.lo != 1<<63
}

func setInt128(x *big.Int, hi int64, lo uint64) {
	h, l := uint64(hi), lo
	if hi < 0 {
		h, l = negate128(h, l)
	}
	x.SetUint64(h)
	if h != 0 {
		x.Lsh(x, 64)
		var y big.Int
		x.Or(x, y.SetUint64(l))
	} else {
		x.SetUint64(l)
	}
	if hi < 0 {
		x.Neg(x)
	}
}

// sumDigits is the number of significant digits of a sum with a fraction.
const sumDigits = 40

// appendExact appends x × 10^e as the package doc says of sums.
func appendExact(dst []byte, x *big.Int, e int) []byte {
	var buf [64]byte
	digits := x.Append(buf[:0], 10)
	neg := digits[0] == '-'
	if neg {
		digits = digits[1:]
	}
	n := len(digits)
	digits = bytes.TrimRight(digits, "0")
	e += n - len(digits)
	if e < 0 && len(digits) > sumDigits {
		rest := digits[sumDigits:]
		e += len(rest)
		digits = digits[:sumDigits]
		// rest does not end in 0, so it is one half only if it is "5".
		if rest[0] > '5' || rest[0] == '5' && (len(rest) > 1 || digits[sumDigits-1]&1 == 1) {
			digits = increment(digits)
		}
	}
	return appendDecimal(dst, neg, digits, e, true)
}

// increment adds 1 to decimal digits.
func increment(digits []byte) []byte {
	for i := len(digits) - 1; i >= 0; i-- {
		if digits[i] != '9' {
			digits[i]++
			return digits
		}
		digits[i] = '0'
	}
	return append([]byte{'1'}, digits...)
}
