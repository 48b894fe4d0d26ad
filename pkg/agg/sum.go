package agg

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
	"strconv"

	"logtools/pkg/event"
)

// prepareNumber fills a cell with a number: m in a and e, or if big its digits
// in the span.
func prepareNumber(s *Spec, r *rows, v *event.Value, c *cell) error {
	if v.Kind != event.Number {
		return notNumber(s, v)
	}
	if v.Form == event.JSON {
		if m, e, ok := parseSmall(v.B); ok {
			c.a, c.e = uint64(m), e
			return nil
		}
	}
	from := len(r.buf)
	n, ok := numberOf(v, &r.buf)
	if !ok {
		return notSmall(s)
	}
	c.a, c.e = uint64(n.m), n.e
	if n.digits != nil {
		c.big = true
		c.setSpan(span{uint32(from), uint32(len(n.digits))})
	}
	return nil
}

// number returns what prepareNumber put into the cell.
func (r *rows) number(c *cell) number {
	n := number{m: int64(c.a), e: c.e}
	if c.big {
		n.digits = r.bytes(c.span())
	}
	return n
}

// sumState is for sum and avg.
type sumState struct {
	spec   *Spec
	groups store[sumOf]
	sums   tally
	loaded uint64 // see touch
}

type sumOf struct {
	n uint64 // values
	sum
}

func (st *sumState) prepare(r *rows, v *event.Value, c *cell) error {
	return prepareNumber(st.spec, r, v, c)
}

func (st *sumState) grow(n int) { st.groups.grow(n) }

func (st *sumState) add(r *rows, cells []cell) {
	loaded := uint64(0)
	for _, id := range r.groups[:len(cells)] {
		loaded += st.groups.at(id).n
	}
	st.loaded = loaded
	for i := range cells {
		c := &cells[i]
		if c.kind == event.Missing {
			continue
		}
		g := st.groups.at(r.groups[i])
		g.n++
		if c.e == g.exp && !c.big && g.add128(int64(c.a)>>63, c.a) {
			continue
		}
		st.sums.addNumber(&g.sum, r.number(c))
	}
}

func (st *sumState) merge(o state, groups []uint32) {
	other := o.(*sumState)
	for g, to := range groups {
		if to == none {
			continue
		}
		from, dst := other.groups.at(uint32(g)), st.groups.at(to)
		dst.n += from.n
		st.sums.merge(&dst.sum, &other.sums, from.sum)
	}
}

func (st *sumState) size(groups int) int64 { return st.groups.size(groups) + st.sums.bytes }

func (st *sumState) reset(groups int) {
	st.groups.reset(groups)
	st.sums.reset()
}

func (st *sumState) save(dst []byte, group uint32, _ int) ([]byte, int) {
	g := st.groups.at(group)
	dst = binary.AppendUvarint(dst, g.n)
	if g.n > 0 {
		dst = st.sums.save(dst, g.sum)
	}
	return dst, done
}

func (st *sumState) load(group uint32, d *decoder) {
	n := d.uvarint()
	if n > 0 {
		g := st.groups.at(group)
		g.n += n
		st.sums.load(&g.sum, d)
	}
}

func (st *sumState) result(group uint32, s *Spec, buf *[]byte) event.Value {
	g := st.groups.at(group)
	if g.n == 0 {
		return event.Value{Kind: event.Null}
	}
	from := len(*buf)
	m, e, small := g.small()
	var x big.Int
	switch {
	case s.Func == "avg" && small:
		*buf = appendSmallAvg(*buf, m, e, g.n)
	case s.Func == "avg":
		e := st.sums.exact(&x, g.sum)
		*buf = appendAvg(*buf, &x, int(e), g.n)
	case small:
		*buf = number{m: m, e: e}.append(*buf, true)
	default:
		e := st.sums.exact(&x, g.sum)
		*buf = appendExact(*buf, &x, int(e))
	}
	return numberIn(*buf, from)
}

// numberIn is the number written to buf from there on.
func numberIn(buf []byte, from int) event.Value {
	return event.Value{Kind: event.Number, B: buf[from:len(buf):len(buf)]}
}

// avgDigits is the number of significant digits up to which an average is
// given exactly.
const avgDigits = 20

// appendSmallAvg is appendAvg for m × 10^e / n where that needs no big numbers.
func appendSmallAvg(dst []byte, m int64, e int32, n uint64) []byte {
	num, den := abs(m), n
	g := gcd(num, den)
	if num == 0 {
		return append(dst, '0')
	}
	num, den = num/g, den/g
	// The quotient is finite if den divides a power of ten, 10^k.
	twos := bits.TrailingZeros64(den)
	fives := 0
	rest := den >> twos
	for rest%5 == 0 {
		rest /= 5
		fives++
	}
	if k := max(twos, fives); rest == 1 && k < len(pow10) {
		hi, lo := bits.Mul64(num, pow10[k]/den)
		if hi == 0 { // at most 20 digits
			var buf [20]byte
			return appendDecimal(dst, m < 0, strconv.AppendUint(buf[:0], lo, 10), int(e)-k, true)
		}
	} else if rest != 1 && num < 1<<53 && -22 <= e && e <= 0 {
		// Both sides of the fraction are exact float64s, so dividing rounds once.
		if hi, d := bits.Mul64(den, pow10Int(-e)); hi == 0 && d < 1<<53 {
			f := float64(num) / float64(d)
			if m < 0 {
				f = -f
			}
			return event.AppendFloat(dst, f)
		}
	}
	return appendAvg(dst, big.NewInt(m), int(e), n)
}

// pow10Int is 10^n for n up to 22, where it does not fit the largest uint64.
func pow10Int(n int32) uint64 {
	if int(n) < len(pow10) {
		return pow10[n]
	}
	return math.MaxUint64
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// appendAvg appends x × 10^e / n: exactly if that has at most 20 digits, else
// the nearest float64, or 17 digits beyond the range of float64.
func appendAvg(dst []byte, x *big.Int, e int, n uint64) []byte {
	if x.Sign() == 0 {
		return append(dst, '0')
	}
	// Enough digits that the quotient has more than avgDigits.
	k := max(0, avgDigits+1+20-decimalLen(x))
	var num, q, r, den big.Int
	num.Exp(big.NewInt(10), big.NewInt(int64(k)), nil)
	num.Mul(&num, x)
	q.QuoRem(&num, den.SetUint64(n), &r)
	if r.Sign() == 0 {
		digits := q.Append(nil, 10)
		neg := digits[0] == '-'
		if neg {
			digits = digits[1:]
		}
		if significant(digits) <= avgDigits {
			return appendDecimal(dst, neg, digits, e-k, true)
		}
	}
	var exact big.Rat
	num.Exp(big.NewInt(10), big.NewInt(int64(max(e, -e))), nil)
	if e >= 0 {
		num.Mul(&num, x)
	} else {
		den.Mul(&den, &num)
		num.Set(x)
	}
	exact.SetFrac(&num, &den)
	f, _ := exact.Float64()
	if inFloatRange(f) {
		return event.AppendFloat(dst, f)
	}
	return appendBigFloat(dst, new(big.Float).SetPrec(128).SetRat(&exact))
}

func significant(digits []byte) int {
	n := len(digits)
	for n > 0 && digits[n-1] == '0' {
		n--
	}
	return n
}

// decimalLen is the number of digits of x, or one less.
func decimalLen(x *big.Int) int { return int(float64(x.BitLen()-1) * 0.30103) }

// inFloatRange: f is not rounded more than float64s are.
func inFloatRange(f float64) bool {
	a := math.Abs(f)
	return 0x1p-1022 <= a && a <= math.MaxFloat64
}

// appendBigFloat appends 17 digits of f.
func appendBigFloat(dst []byte, f *big.Float) []byte {
	var buf [64]byte
	text := f.Append(buf[:0], 'e', 16)
	n, ok := parseNumber(text, new([]byte))
	if !ok { // cannot be: the exponent is limited by those of the input
		return append(dst, text...)
	}
	return n.append(dst, true)
}

// stddevState is for stddev: the exact sums of the values and their squares,
// from which the variance follows without cancellation in any order.
type stddevState struct {
	spec   *Spec
	groups store[momentsOf]
	sums   tally
}

type momentsOf struct {
	n       uint64
	sum, sq sum
}

func (st *stddevState) prepare(r *rows, v *event.Value, c *cell) error {
	return prepareNumber(st.spec, r, v, c)
}

func (st *stddevState) grow(n int) { st.groups.grow(n) }

func (st *stddevState) add(r *rows, cells []cell) {
	for i := range cells {
		c := &cells[i]
		if c.kind == event.Missing {
			continue
		}
		g := st.groups.at(r.groups[i])
		n := r.number(c)
		g.n++
		st.sums.addNumber(&g.sum, n)
		st.sums.addSquare(&g.sq, n)
	}
}

func (st *stddevState) merge(o state, groups []uint32) {
	other := o.(*stddevState)
	for g, to := range groups {
		if to == none {
			continue
		}
		from, dst := other.groups.at(uint32(g)), st.groups.at(to)
		dst.n += from.n
		st.sums.merge(&dst.sum, &other.sums, from.sum)
		st.sums.merge(&dst.sq, &other.sums, from.sq)
	}
}

func (st *stddevState) size(groups int) int64 { return st.groups.size(groups) + st.sums.bytes }

func (st *stddevState) reset(groups int) {
	st.groups.reset(groups)
	st.sums.reset()
}

func (st *stddevState) save(dst []byte, group uint32, _ int) ([]byte, int) {
	g := st.groups.at(group)
	dst = binary.AppendUvarint(dst, g.n)
	if g.n > 0 {
		dst = st.sums.save(st.sums.save(dst, g.sum), g.sq)
	}
	return dst, done
}

func (st *stddevState) load(group uint32, d *decoder) {
	n := d.uvarint()
	if n > 0 {
		g := st.groups.at(group)
		g.n += n
		st.sums.load(&g.sum, d)
		st.sums.load(&g.sq, d)
	}
}

func (st *stddevState) result(group uint32, _ *Spec, buf *[]byte) event.Value {
	g := st.groups.at(group)
	if g.n < 2 {
		return event.Value{Kind: event.Null}
	}
	// variance = (n Σx² - (Σx)²) / (n (n-1))
	var sum, sq, n big.Int
	e1, e2 := st.sums.exact(&sum, g.sum), st.sums.exact(&sq, g.sq)
	sum.Mul(&sum, &sum)
	e1 *= 2
	n.SetUint64(g.n)
	sq.Mul(&sq, &n)
	st.sums.alignBig(&sq, &e2, &sum, &e1)
	sq.Sub(&sq, &sum)
	from := len(*buf)
	*buf = appendRoot(*buf, &sq, int(e2), g.n)
	return numberIn(*buf, from)
}

// appendRoot appends the root of x × 10^e / (n (n-1)).
func appendRoot(dst []byte, x *big.Int, e int, n uint64) []byte {
	if x.Sign() == 0 {
		return append(dst, '0')
	}
	var den, p big.Int
	den.SetUint64(n)
	den.Mul(&den, p.SetUint64(n-1))
	p.Exp(big.NewInt(10), big.NewInt(int64(max(e, -e))), nil)
	num := x
	if e >= 0 {
		num.Mul(num, &p)
	} else {
		den.Mul(&den, &p)
	}
	const prec = 256
	f := new(big.Float).SetPrec(prec).SetInt(num)
	f.Quo(f, new(big.Float).SetPrec(prec).SetInt(&den))
	f.Sqrt(f)
	if r, _ := f.Float64(); inFloatRange(r) {
		return event.AppendFloat(dst, r)
	}
	return appendBigFloat(dst, f)
}
