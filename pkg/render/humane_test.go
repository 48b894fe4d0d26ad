package render

import (
	"math"
	"strconv"
	"strings"
	"testing"
)

func TestAppendHumane(t *testing.T) {
	for number, want := range map[string]string{
		"0": "0", "-0": "0", "0.0": "0", "1": "1", "-7": "-7", "999": "999", "9999": "9999", "-9999": "-9999", "1e3": "1000", "5.0": "5",
		"10000": "10.0k", "-12345": "-12.3k", "12345678": "12.3M", "99949": "99.9k", "99950": "100k", "99951": "100k", "123456": "123k",
		"999499": "999k", "999500": "1.00M", "1000000000": "1.00G", "1234567890123": "1.23T", "1e15": "1.00P", "1e18": "1.00E",
		"999e18": "999E", "1e21": "1e21", "1.2345e24": "1.23e24", "-1e300": "-1e300", "1e400": "1e400",
		"1.5": "1.5", "1.50": "1.5", "1.2345": "1.23", "12.345": "12.3", "123.456": "123", "1234.567": "1235", "9999.4": "9999", "9999.7": "10.0k",
		"99.96": "100", "999.7": "1000", "9.999": "10", "0.1": "0.1", "0.9996": "1", "0.5": "0.5", "100.2": "100", "110.4": "110",
		"0.00123": "0.00123", "0.0012345": "0.00123", "-0.010": "-0.01", "0.00012345": "0.000123", "0.00001234": "1.23e-5", "1e-7": "1e-7",
		"123456789012345678901": "123E", "0.30000000000000004": "0.3",
	} {
		if got := string(appendHumane([]byte("x"), raw(number))); got != "x"+want {
			t.Errorf("%s: got %s, want x%s", number, got, want)
		}
	}
	if got := string(appendHumane(nil, raw(`"12345678"`))); got != `"12345678"` {
		t.Errorf("a string became %s", got)
	}
}

// What is shown is never far from the number, and never long.
func FuzzAppendHumane(f *testing.F) {
	for _, x := range []float64{0, 1, 9999.5, 12345678, 0.00123, 1e21, 1e-300, math.MaxFloat64, 999.5, 99.95, 0.99951} {
		f.Add(x)
	}
	f.Fuzz(func(t *testing.T, x float64) {
		if math.IsNaN(x) || math.IsInf(x, 0) || math.Abs(x) < 1e-300 && x != 0 {
			return
		}
		got := string(appendHumaneFloat(nil, x))
		number, factor := got, 1.0
		if k := strings.IndexByte(suffixes, got[len(got)-1]); k >= 0 {
			number, factor = got[:len(got)-1], math.Pow(1000, float64(k+1))
		}
		y, err := strconv.ParseFloat(number, 64)
		if err != nil && !math.IsInf(y, 0) {
			t.Fatalf("%v became %s", x, got)
		}
		if y *= factor; !math.IsInf(y, 0) && math.Abs(x-y) > math.Abs(x)*0.00501 {
			t.Errorf("%v became %s", x, got)
		}
		if len(got) > 10 {
			t.Errorf("%v became %s, which is long", x, got)
		}
	})
}
