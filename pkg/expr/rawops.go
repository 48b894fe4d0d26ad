package expr

import (
	"bytes"
	"math"

	"logtools/pkg/event"
)

// A comparison's operator as the set of outcomes that make it true.
const (
	isLess = 1 << iota
	isEqual
	isGreater
)

// outcome returns the bit of a three-way comparison's result (-1, 0, 1).
func outcome(c int) int { return isLess << (c + 1) }

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// comparison is left OP right, with OP as the outcomes wanted.
func (c *compiler) comparison(left, right *node, want int) *node {
	if left.konst != nil && right.konst == nil {
		// The constant to the right; the order of evaluation does not matter.
		left, right = right, left
		want = want&isEqual | want&isLess<<2 | want&isGreater>>2
	}
	if left.fn == nil || right.fn == nil {
		return c.binary(left, right, func(r *Runner, a, b event.Value) (event.Value, status) {
			cmp, st := compare(r, &a, &b)
			return event.BoolValue(want&outcome(cmp) != 0), st
		})
	}
	if k := right.konst; k != nil {
		if p := left.path; p != nil {
			return condNode(pathCondition(p, k, want))
		}
		lf, test := left.fn, constTest(k, want)
		return condNode(func(r *Runner, in event.Value) status {
			v, st := lf(r, in)
			if st != sOK {
				return st
			}
			return test(r, v)
		})
	}
	lf, rf := left.fn, right.fn
	return condNode(func(r *Runner, in event.Value) status {
		b, st := rf(r, in)
		if st != sOK {
			return st
		}
		a, st := lf(r, in)
		if st != sOK {
			return st
		}
		cmp, st := compare(r, &a, &b)
		if st != sOK {
			return st
		}
		return truthy(want&outcome(cmp) != 0)
	})
}

// pathCondition is the most common condition of all: .a.b OP constant.
func pathCondition(p *rootPath, k *event.Value, want int) cond {
	test, last := constTest(k, want), p.last
	if k.Kind == event.Number && k.Form == event.Int {
		n := int64(k.N)
		return func(r *Runner, _ event.Value) status {
			v := &r.ev.Slots[last]
			if v.Kind == event.Number && v.Form == event.JSON {
				if i, ok := shortInt(v.B); ok {
					return truthy(want&outcome(b2i(i > n)-b2i(i < n)) != 0)
				}
			}
			if v.Kind == event.Missing {
				if st, _ := p.why(r); st != sOK {
					return st
				}
			}
			return test(r, *v)
		}
	}
	return func(r *Runner, _ event.Value) status {
		v := r.ev.Slots[last]
		if v.Kind == event.Missing {
			if st, _ := p.why(r); st != sOK {
				return st
			}
		}
		return test(r, v)
	}
}

// shortInt reads an integer of a few digits and no sign.
func shortInt(b []byte) (n int64, ok bool) {
	if len(b) > 10 {
		return 0, false
	}
	for _, c := range b {
		if c -= '0'; c > 9 {
			return 0, false
		}
		n = n*10 + int64(c)
	}
	return n, true
}

// constTest returns the comparison of a value with a constant.
func constTest(k *event.Value, want int) func(r *Runner, v event.Value) status {
	switch {
	case k.Kind == event.Number && k.Form == event.Int:
		n := int64(k.N)
		return func(r *Runner, v event.Value) status {
			if v.Kind == event.Number && v.Form == event.JSON {
				if i, ok := v.Int(); ok {
					return truthy(want&outcome(b2i(i > n)-b2i(i < n)) != 0)
				}
			}
			return compareTest(r, &v, k, want)
		}
	case k.Kind == event.String && (want == isEqual || want == isLess|isGreater):
		text := string(k.B)
		return func(r *Runner, v event.Value) status {
			if v.Kind != event.String {
				return truthy(want != isEqual)
			}
			var same bool
			if v.Form != event.JSON {
				same = string(v.B) == text
			} else {
				n := len(r.buf)
				same = string(v.Text(&r.buf)) == text
				r.buf = r.buf[:n]
			}
			return truthy(same == (want == isEqual))
		}
	}
	return func(r *Runner, v event.Value) status { return compareTest(r, &v, k, want) }
}

func compareTest(r *Runner, a, b *event.Value, want int) status {
	c, st := compare(r, a, b)
	if st != sOK {
		return st
	}
	return truthy(want&outcome(c) != 0)
}

// compare returns -1, 0 or 1 in jq's order. It bails on objects that are not
// equal byte for byte, and on big integers.
func compare(r *Runner, a, b *event.Value) (int, status) {
	ka, kb := max(a.Kind, event.Null), max(b.Kind, event.Null)
	if ka != kb {
		return b2i(ka > kb) - b2i(ka < kb), sOK
	}
	switch ka {
	case event.Number:
		return compareNumbers(a, b)
	case event.String:
		if a.Form != event.JSON && b.Form != event.JSON {
			return bytes.Compare(a.B, b.B), sOK
		}
		n := len(r.buf)
		c := bytes.Compare(a.Text(&r.buf), b.Text(&r.buf))
		r.buf = r.buf[:n]
		return c, sOK
	case event.Array:
		x, y := a.Elements(), b.Elements()
		for {
			if !r.step() {
				return 0, sBail
			}
			mx, my := x.Next(), y.Next()
			if !mx || !my {
				return b2i(mx) - b2i(my), sOK
			}
			if x.Value.Kind == event.Array && y.Value.Kind == event.Array && !bytes.Equal(x.Value.B, y.Value.B) {
				return 0, sBail // no recursion: it may be nested deeply
			}
			if x.Value.Kind == event.Array && y.Value.Kind == event.Array {
				continue
			}
			if c, st := compare(r, &x.Value, &y.Value); c != 0 || st != sOK {
				return c, st
			}
		}
	case event.Object:
		if bytes.Equal(a.B, b.B) {
			return 0, sOK
		}
		return 0, sBail
	}
	return 0, sOK
}

// number is a number as gojq computes with it: an integer or a float. Integers
// beyond int64 are none.
type number struct {
	i       int64
	f       float64
	isFloat bool
}

func (n number) float() float64 {
	if n.isFloat {
		return n.f
	}
	return float64(n.i)
}

func numberOf(v *event.Value) (n number, ok bool) {
	switch v.Form {
	case event.Int:
		return number{i: int64(v.N)}, true
	case event.Float:
		return number{f: math.Float64frombits(v.N), isFloat: true}, true
	}
	if i, ok := v.Int(); ok {
		return number{i: i}, true
	}
	if bytes.ContainsAny(v.B, ".eE") {
		f, _ := v.Float64()
		return number{f: f, isFloat: true}, true
	}
	return number{}, string(v.B) == "-0"
}

func compareNumbers(a, b *event.Value) (int, status) {
	x, ok := numberOf(a)
	y, ok2 := numberOf(b)
	if !ok || !ok2 {
		return 0, sBail
	}
	if !x.isFloat && !y.isFloat {
		return b2i(x.i > y.i) - b2i(x.i < y.i), sOK
	}
	f, g := x.float(), y.float()
	return b2i(f > g) - b2i(f < g), sOK
}

// float returns a computed number; what is not finite is left to gojq.
func float(f float64) (event.Value, status) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return event.Value{}, sBail
	}
	return event.FloatValue(f), sOK
}

// plain returns a number as the result of a computation: without the spelling
// that it was read with, which gojq forgets when it computes.
func plain(v event.Value) (event.Value, status) {
	if v.Kind != event.Number || v.Form != event.JSON {
		return v, sOK
	}
	n, ok := numberOf(&v)
	if !ok {
		return v, sBail
	}
	if n.isFloat {
		return float(n.f)
	}
	return event.IntValue(n.i), sOK
}

func add(r *Runner, a, b event.Value) (event.Value, status) {
	switch {
	case a.IsNull():
		return plain(present(b))
	case b.IsNull():
		return plain(a)
	case a.Kind != b.Kind:
		return event.Value{}, sErr // among them false + true
	}
	switch a.Kind {
	case event.Number:
		x, y, ok := operands(&a, &b)
		if !ok {
			return event.Value{}, sBail
		}
		if x.isFloat || y.isFloat {
			return float(x.float() + y.float())
		}
		if s := x.i + y.i; (s >= x.i) == (y.i >= 0) {
			return event.IntValue(s), sOK
		}
		return event.Value{}, sBail
	case event.String:
		return concat(r, a, b), sOK
	case event.Array:
		if count(a) == 0 {
			return b, sOK
		}
		if count(b) == 0 {
			return a, sOK
		}
		n := len(r.buf)
		r.buf = append(r.buf, a.B[:len(a.B)-1]...)
		r.buf = append(r.buf, ',')
		r.buf = append(r.buf, b.B[1:]...)
		return event.RawValue(r.since(n)), sOK
	case event.Object:
		return merge(r, a, b)
	}
	return event.Value{}, sErr
}

func operands(a, b *event.Value) (x, y number, ok bool) {
	if x, ok = numberOf(a); !ok {
		return x, y, false
	}
	y, ok = numberOf(b)
	return x, y, ok
}

// concat joins two strings.
func concat(r *Runner, a, b event.Value) event.Value {
	n := len(r.buf)
	r.buf = a.AppendText(r.buf)
	r.buf = b.AppendText(r.buf)
	if a.Form == event.Plain && b.Form == event.Plain {
		return event.PlainValue(r.since(n))
	}
	return event.TextValue(r.since(n))
}

// merge is the sum of two objects: a's members in their order, with b's values
// where b has them too, then b's other members. An object that names a member
// twice, or whose names have escapes, is left to gojq, and so is a large one.
func merge(r *Runner, a, b event.Value) (event.Value, status) {
	const most = 64
	base := len(r.iter)
	na := 0
	for i, o := range [...]event.Value{a, b} {
		for it := o.Members(); it.Next(); {
			if it.Name.Form != event.Plain || len(r.iter)-base == 2*most {
				r.iter = r.iter[:base]
				return event.Value{}, sBail
			}
			r.iter = append(r.iter, member{it.Name, it.Value})
		}
		if i == 0 {
			na = len(r.iter) - base
		}
	}
	ms := r.iter[base:]
	r.iter = r.iter[:base]
	first, second := ms[:na], ms[na:]
	if len(first) > most || len(second) > most || repeats(first) || repeats(second) {
		return event.Value{}, sBail
	}
	n := len(r.buf)
	r.buf = append(r.buf, '{')
	for _, m := range first {
		if k := indexOf(second, m.name.B); k >= 0 {
			m.val = second[k].val
		}
		r.appendMember(n, m.name, m.val)
	}
	for _, m := range second {
		if indexOf(first, m.name.B) < 0 {
			r.appendMember(n, m.name, m.val)
		}
	}
	r.buf = append(r.buf, '}')
	return event.RawValue(r.since(n)), sOK
}

func indexOf(ms []member, name []byte) int {
	for i := range ms {
		if bytes.Equal(ms[i].name.B, name) {
			return i
		}
	}
	return -1
}

func repeats(ms []member) bool {
	for i := range ms {
		if indexOf(ms[:i], ms[i].name.B) >= 0 {
			return true
		}
	}
	return false
}

// appendMember appends a member to the object that begins at n.
func (r *Runner) appendMember(n int, name, val event.Value) {
	if len(r.buf) > n+1 {
		r.buf = append(r.buf, ',')
	}
	r.buf = name.AppendJSON(r.buf)
	r.buf = append(r.buf, ':')
	r.buf = val.AppendJSON(r.buf)
}

func subtract(_ *Runner, a, b event.Value) (event.Value, status) {
	if a.Kind == event.Array && b.Kind == event.Array {
		return event.Value{}, sBail
	}
	if a.Kind != event.Number || b.Kind != event.Number {
		return event.Value{}, sErr
	}
	x, y, ok := operands(&a, &b)
	if !ok {
		return event.Value{}, sBail
	}
	if x.isFloat || y.isFloat {
		return float(x.float() - y.float())
	}
	if d := x.i - y.i; (d <= x.i) == (y.i >= 0) {
		return event.IntValue(d), sOK
	}
	return event.Value{}, sBail
}

func multiply(_ *Runner, a, b event.Value) (event.Value, status) {
	if a.Kind != event.Number || b.Kind != event.Number {
		return event.Value{}, sBail
	}
	x, y, ok := operands(&a, &b)
	if !ok {
		return event.Value{}, sBail
	}
	if x.isFloat || y.isFloat {
		return float(x.float() * y.float())
	}
	if x.i == math.MinInt64 || y.i == math.MinInt64 {
		return event.Value{}, sBail
	}
	if p := x.i * y.i; y.i == 0 || p/y.i == x.i {
		return event.IntValue(p), sOK
	}
	return event.Value{}, sBail
}

func divide(r *Runner, a, b event.Value) (event.Value, status) {
	if a.Kind == event.String && b.Kind == event.String {
		return split(r, a, b)
	}
	if a.Kind != event.Number || b.Kind != event.Number {
		return event.Value{}, sBail
	}
	x, y, ok := operands(&a, &b)
	if !ok {
		return event.Value{}, sBail
	}
	if x.isFloat || y.isFloat {
		if y.float() == 0 {
			return event.Value{}, sErr
		}
		return float(x.float() / y.float())
	}
	switch {
	case y.i == 0:
		return event.Value{}, sErr
	case x.i == math.MinInt64:
		return event.Value{}, sBail
	case x.i%y.i == 0:
		return event.IntValue(x.i / y.i), sOK
	}
	return float(float64(x.i) / float64(y.i))
}

func modulo(_ *Runner, a, b event.Value) (event.Value, status) {
	if a.Kind != event.Number || b.Kind != event.Number {
		return event.Value{}, sErr
	}
	x, y, ok := operands(&a, &b)
	if !ok {
		return event.Value{}, sBail
	}
	if x.isFloat || y.isFloat {
		// gojq truncates to int, whose size depends on the machine.
		const most = 1 << 30
		f, g := x.float(), y.float()
		if math.Abs(f) > most || math.Abs(g) > most {
			return event.Value{}, sBail
		}
		x, y = number{i: int64(f)}, number{i: int64(g)}
	}
	switch {
	case y.i == 0:
		return event.Value{}, sErr
	case y.i == -1:
		return event.IntValue(0), sOK
	}
	return event.IntValue(x.i % y.i), sOK
}

// negate is -v. The number keeps its digits, as in gojq.
func negate(r *Runner, v event.Value) (event.Value, status) {
	switch v.Form {
	case event.Int:
		if int64(v.N) == math.MinInt64 {
			return event.Value{}, sBail
		}
		return event.IntValue(-int64(v.N)), sOK
	case event.Float:
		return event.FloatValue(-math.Float64frombits(v.N)), sOK
	}
	if v.B[0] == '-' {
		v.B = v.B[1:]
		return v, sOK
	}
	if len(v.B) == 1 && v.B[0] == '0' {
		// -0 if it was read, 0 if it was computed and then put into an array
		// or object: that cannot be told any more.
		return event.Value{}, sBail
	}
	n := len(r.buf)
	r.buf = append(r.buf, '-')
	r.buf = append(r.buf, v.B...)
	v.B = r.since(n)
	return v, sOK
}

// mathFunc returns a function of a number; nil if there is none of that name.
func mathFunc(name string) single {
	var f func(float64) float64
	switch name {
	case "floor":
		f = math.Floor
	case "ceil":
		f = math.Ceil
	case "round":
		f = math.Round
	case "trunc":
		f = math.Trunc
	case "fabs":
		f = math.Abs
	case "sqrt":
		f = math.Sqrt
	case "log":
		f = math.Log
	case "log2":
		f = math.Log2
	case "log10":
		f = math.Log10
	case "exp":
		f = math.Exp
	default:
		return nil
	}
	return func(_ *Runner, v event.Value) (event.Value, status) {
		if v.Kind != event.Number {
			return event.Value{}, sErr
		}
		n, ok := numberOf(&v)
		if !ok {
			return event.Value{}, sBail
		}
		return float(f(n.float()))
	}
}
