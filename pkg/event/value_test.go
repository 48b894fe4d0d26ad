package event

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
	"testing"
)

func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		`1`: `1`, `1.0`: `1`, `1e0`: `1`, `-0`: `0`, `-0.0e5`: `0`, `100e-2`: `1`, `1e20`: `100000000000000000000`,
		`123456789012345678901`: `123456789012345678901`, `1e21`: `1e+21`, `12e20`: `1.2e+21`, `0.1`: `0.1`,
		`0.000001`: `0.000001`, `0.0000001`: `1e-7`, `1.50e-9`: `1.5e-9`, `12.50`: `12.5`, `-3.10`: `-3.1`,
		`1e400`: `1e+400`, `9007199254740993`: `9007199254740993`, `9007199254740993.0`: `9007199254740993`,
		`1e99999999999999999999`: `1e+99999999999999999999`, `10e99999999999999999998`: `1e+99999999999999999999`,
		`0e99999999999999999999`: `0`, `123456789012345678901.5`: `123456789012345678901.5`,
		`"a\u0062\/\n"`: `"ab/\n"`, `"\u0001\u007f\u00e9"`: "\"\\u0001\u007fé\"", `"\ud83d\ude00"`: `"😀"`, `"\ud800x"`: "\"\ufffdx\"",
		`{"b":1,"a":[1.0, 2 ],"b":2.0}`: `{"a":[1,2],"b":2}`, `{"\u0061":1,"a":2}`: `{"a":2}`, `[ ]`: `[]`, `{ }`: `{}`, `null`: `null`,
	} {
		v := RawValue([]byte(in))
		if got := string(v.AppendCanonical(nil)); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		} else if again := string(RawValue([]byte(got)).AppendCanonical(nil)); again != got {
			t.Errorf("canonical %s is not canonical: %s", got, again)
		}
	}
	if got := string(IntValue(-5).AppendCanonical(nil)) + string(FloatValue(2).AppendCanonical(nil)) + string(FloatValue(0.5).AppendCanonical(nil)); got != "-520.5" {
		t.Error(got)
	}
	if got := string(TextValue([]byte("a\"b")).AppendCanonical(nil)); got != `"a\"b"` {
		t.Error(got)
	}
}

func TestCompareOrder(t *testing.T) {
	inOrder := strings.Fields(`null false true -1e400 -5 -0.5 0 1e-400 0.1 1 1.5 2 10 9007199254740992 9007199254740993 1e21 1e400 1e99999999999999999999 1e99999999999999999999999
		"" "A" "a" "aa" "b" "\u00e9" "\ud83d\ude00" [] [1] [1,2] [2] {} {"a":1} {"a":2} {"a":1,"b":0} {"b":0}`)
	for i, a := range inOrder {
		for j, b := range inOrder {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := Compare(RawValue([]byte(a)), RawValue([]byte(b))); got != want {
				t.Errorf("Compare(%s, %s) = %d", a, b, got)
			}
		}
	}
	if Compare(RawValue([]byte(`-0`)), IntValue(0)) != 0 || Compare(Value{}, Value{Kind: Null}) != 0 || Compare(RawValue([]byte(`1.0`)), RawValue([]byte(`1e0`))) != 0 {
		t.Error("equal values differ")
	}
}

func FuzzValue(f *testing.F) {
	for _, s := range []string{`{"a":[1,{"b":"\u00e9\""}],"a":2}`, `[1.50,-0,1e5]`, `"x\ud800"`, `{"":{}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		data = bytes.TrimSpace(data)
		if Valid(data) != nil || !json.Valid(data) {
			return
		}
		v := RawValue(data)
		if !bytes.Equal(v.AppendJSON(nil), data) {
			t.Fatalf("%s is written as %s", data, v.AppendJSON(nil))
		}
		canon := v.AppendCanonical(nil)
		if Valid(canon) != nil {
			t.Fatalf("canonical of %s is not valid: %s", data, canon)
		}
		c := RawValue(canon)
		if Compare(v, c) != 0 {
			t.Fatalf("%s differs from its canonical %s", data, canon)
		}
		switch v.Kind {
		case String:
			var want string
			if err := json.Unmarshal(data, &want); err != nil {
				t.Fatal(err)
			}
			if got := string(v.AppendText(nil)); got != want {
				t.Fatalf("%s: text %q, want %q", data, got, want)
			}
			if got := string(AppendString(nil, v.AppendText(nil))); got != string(canon) {
				t.Fatalf("%s: %s, canonical %s", data, got, canon)
			}
		case Number:
			want, _ := strconv.ParseFloat(string(data), 64)
			if got, _ := v.Float64(); got != want {
				t.Fatalf("%s: %v, want %v", data, got, want)
			}
			if len(data) < 40 && !bytes.ContainsAny(data, "eE") {
				x, _ := new(big.Rat).SetString(string(data))
				y, _ := new(big.Rat).SetString(string(canon))
				if x.Cmp(y) != 0 {
					t.Fatalf("%s: canonical %s", data, canon)
				}
			}
		case Object:
			var m map[string]json.RawMessage
			if err := json.Unmarshal(data, &m); err != nil {
				return
			}
			if v.Len() != len(m) {
				t.Fatalf("%s: %d members, want %d", data, v.Len(), len(m))
			}
			for k, raw := range m {
				if got := v.Lookup(k).AppendJSON(nil); !bytes.Equal(got, bytes.TrimSpace(raw)) {
					t.Fatalf("%s: %q is %s, want %s", data, k, got, raw)
				}
			}
		}
	})
}

func TestInt(t *testing.T) {
	for in, want := range map[string]string{"0": "0", "-0": "", "12": "12", "-9223372036854775808": "-9223372036854775808", "9223372036854775807": "9223372036854775807", "9223372036854775808": "", "-9223372036854775809": "", "1.0": "", "1e3": "", "99999999999999999999": "", "10000000000000000000": ""} {
		got := ""
		if n, ok := RawValue([]byte(in)).Int(); ok {
			got = strconv.FormatInt(n, 10)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}
