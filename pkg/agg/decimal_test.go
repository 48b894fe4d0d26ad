package agg

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"logtools/pkg/event"
)

func TestParseNumber(t *testing.T) {
	for _, c := range []struct{ lit, want string }{ // m e, or ~digits e
		{"0", "0 0"}, {"-0", "0 0"}, {"12", "12 0"}, {"-12.50", "-1250 -2"}, {"1e3", "1 3"}, {"1E+3", "1 3"}, {"2.5e-7", "25 -8"},
		{"0.000001", "1 -6"}, {"123456789012345678", "123456789012345678 0"}, {"1234567890123456789", "~1234567890123456789 0"},
		{"-1234567890123456789.5", "~-12345678901234567895 -1"}, {"0.10000000000000000000000000", "1 -1"},
		{"1000000000000000000000000", "1 24"}, {"1e9999", "1 9999"}, {"1e10001", "bad"}, {"0e99999999999999999999", "0 0"},
		{"0.000e99999999999999999999", "0 0"}, {"1e99999999999999999999", "bad"}, {"1e-10001", "bad"}, {"-1000e9999", "bad"},
		{"0." + strings.Repeat("0", 20000) + "1e20001", "1 0"},
	} {
		var scratch []byte
		n, ok := parseNumber([]byte(c.lit), &scratch)
		got := "bad"
		if ok {
			got = strconv.FormatInt(n.m, 10)
			if n.digits != nil {
				got = "~" + string(n.digits)
			}
			got += " " + strconv.Itoa(int(n.e))
		}
		if got != c.want {
			t.Errorf("%.40s: %s, want %s", c.lit, got, c.want)
		}
	}
}

// literal makes a valid JSON number of raw bytes.
func literal(raw []byte) string {
	var b []byte
	for _, c := range raw {
		b = append(b, "0123456789.eE-+0591"[int(c)%19])
	}
	s := string(b)
	if f := event.RawValue([]byte(s)); s == "" || f.Kind != event.Number || !isNumber(s) {
		return ""
	}
	return s
}

func isNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	digits := func() bool {
		n := 0
		for n < len(s) && '0' <= s[n] && s[n] <= '9' {
			n++
		}
		s = s[n:]
		return n > 0
	}
	if s == "" || s[0] == '0' && len(s) > 1 && '0' <= s[1] && s[1] <= '9' || !digits() {
		return false
	}
	if strings.HasPrefix(s, ".") {
		if s = s[1:]; !digits() {
			return false
		}
	}
	if s != "" && s[0]|0x20 == 'e' {
		s = s[1:]
		if s != "" && (s[0] == '-' || s[0] == '+') {
			s = s[1:]
		}
		return digits() && s == ""
	}
	return s == ""
}

// checkNumber compares all ways of reading and writing a number with those of
// math/big and of event.
func checkNumber(t *testing.T, lit string) {
	v := event.RawValue([]byte(lit))
	var scratch []byte
	n, ok := parseNumber(v.B, &scratch)
	if !ok {
		return
	}
	canonical := string(v.AppendCanonical(nil))
	if got := string(n.append(nil, false)); got != canonical {
		t.Errorf("%s is written %s, want %s", lit, got, canonical)
	}
	if got := string(n.normal().append(nil, false)); got != canonical {
		t.Errorf("%s, normal, is written %s, want %s", lit, got, canonical)
	}
	if got := string(appendCanonicalNumber(nil, &v)); got != canonical {
		t.Errorf("%s in a key is %s, want %s", lit, got, canonical)
	}
	if got, want := n.float(), mustFloat(lit); got != want {
		t.Errorf("%s as a float is %v, want %v", lit, got, want)
	}
	var p packer
	packed := p.pack(n)
	if event.Compare(event.RawValue(p.append(nil, packed)), v) != 0 {
		t.Errorf("%s is packed as %s", lit, p.append(nil, packed))
	}
	if got := p.float(packed); got != n.float() {
		t.Errorf("%s packed as a float is %v", lit, got)
	}
	if u := p.number(packed); string(u.append(nil, false)) != canonical {
		t.Errorf("%s unpacked is %s", lit, u.append(nil, false))
	}
}

func mustFloat(lit string) float64 {
	f, _ := strconv.ParseFloat(lit, 64)
	return f
}

func FuzzNumber(f *testing.F) {
	for _, s := range numbers {
		f.Add([]byte(s))
	}
	f.Add([]byte("\x00\x0a\x01\x02\x0b\x01"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if s := string(raw); isNumber(s) && len(s) < 400 {
			checkNumber(t, s)
		}
		if s := literal(raw); s != "" && len(s) < 400 {
			checkNumber(t, s)
		}
	})
}

func TestNumbers(t *testing.T) {
	for _, s := range numbers {
		checkNumber(t, s)
	}
	r := rand.New(rand.NewPCG(9, 9))
	for range 20_000 {
		m, e := r.Int64()>>r.IntN(63), r.IntN(60)-30
		lit := strconv.FormatInt(m, 10) + "e" + strconv.Itoa(e)
		if r.IntN(2) == 0 {
			lit = string(event.AppendFloat(nil, math.Float64frombits(r.Uint64())))
			if lit == "null" {
				continue
			}
		}
		checkNumber(t, lit)
	}
}

// TestSumExact compares sums with math/big over numbers at the limits of the
// 128-bit part.
func TestSumExact(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for range 2000 {
		var tl tally
		var s, q sum
		want, wantQ := new(big.Rat), new(big.Rat)
		spread := 1 + r.IntN(40)
		for range r.IntN(60) {
			n := number{m: int64(r.Uint64()) >> r.IntN(63), e: int32(r.IntN(spread) - spread/2)}
			if r.IntN(10) == 0 {
				n.m = math.MinInt64 >> r.IntN(2)
			}
			if r.IntN(20) == 0 {
				n = number{digits: []byte("-123456789012345678901234567890123456789"), e: n.e}
			}
			x := ratOf(event.RawValue(n.append(nil, false)))
			tl.addNumber(&s, n)
			tl.addSquare(&q, n)
			want.Add(want, x)
			wantQ.Add(wantQ, x.Mul(x, x))
		}
		for _, c := range []struct {
			s    sum
			want *big.Rat
		}{{s, want}, {q, wantQ}} {
			var x big.Int
			e := tl.exact(&x, c.s)
			got, ok := new(big.Rat).SetString(x.String() + "e" + strconv.Itoa(int(e)))
			if !ok || got.Cmp(c.want) != 0 {
				t.Fatalf("sum %v, want %v", got, c.want)
			}
			// The same, added to another one.
			var u tally
			d := sum{lo: 5, exp: -3}
			u.merge(&d, &tl, c.s)
			e = u.exact(&x, d)
			got.SetString(x.String() + "e" + strconv.Itoa(int(e)))
			if got.Sub(got, big.NewRat(5, 1000)).Cmp(c.want) != 0 {
				t.Fatalf("merged sum %v, want %v", got, c.want)
			}
		}
	}
}

// TestAvgExact compares averages with those by math/big only.
func TestAvgExact(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	for range 20_000 {
		m, e, n := r.Int64()>>r.IntN(63), int32(r.IntN(60)-40), uint64(r.Int64()>>(r.IntN(62)))+1
		if r.IntN(2) == 0 {
			n = []uint64{2, 4, 5, 8, 10, 25, 1 << 40, 3, 7, 3000}[r.IntN(10)]
		}
		if r.IntN(2) == 0 {
			m = -m
		}
		small := appendSmallAvg(nil, m, e, n)
		full := appendAvg(nil, big.NewInt(m), int(e), n)
		if !bytes.Equal(small, full) {
			t.Fatalf("%de%d / %d = %s, want %s", m, e, n, small, full)
		}
	}
}

// TestParseShort compares it with parseSmall's own loop on all short numbers of
// a few digits, with a point anywhere.
func TestParseShort(t *testing.T) {
	slow := func(b []byte) (int64, int32) {
		whole, frac, _ := strings.Cut(string(b), ".")
		m, err := strconv.ParseInt(whole+frac, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return m, -int32(len(frac))
	}
	n := 0
	check := func(text string) {
		n++
		m, e, ok := parseShort([]byte(text))
		if wm, we := slow([]byte(text)); !ok || m != wm || e != we {
			t.Fatalf("%s is %d e%d (%v), want %d e%d", text, m, e, ok, wm, we)
		}
	}
	for size := 1; size <= 8; size++ {
		for range 20_000 {
			digits := fmt.Sprintf("%0*d", size, rand.IntN(100_000_000))
			digits = digits[len(digits)-size:]
			check(digits)
			if size > 2 {
				at := 1 + rand.IntN(size-2)
				check(digits[:at] + "." + digits[at+1:])
			}
		}
	}
	for _, text := range []string{"", "-1", "1e5", "1E5", "123456789", "1.2e3", "-1.5", "1e-5", "1.5E+3"} {
		if m, e, ok := parseShort([]byte(text)); ok {
			t.Errorf("%q is taken as %d e%d", text, m, e)
		}
	}
}
