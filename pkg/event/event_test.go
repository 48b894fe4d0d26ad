package event

import (
	"strings"
	"testing"
)

// builder writes what it is, whole.
type builder string

func (b builder) AppendValue(dst []byte, _ *Event) []byte { return append(dst, b...) }

func TestOnlyValue(t *testing.T) {
	const object = `{"a":1}`
	one, null := IntValue(1), Value{Kind: Null}
	for _, c := range []struct {
		name string
		set  func(ev *Event)
		want bool
	}{
		{"lazy", func(ev *Event) { ev.SetLazy(builder(object)) }, false},
		{"lazy and bare", func(ev *Event) { ev.SetLazyBare(builder(object)) }, true},
		{"built", func(ev *Event) { ev.SetLazyBare(builder(object)); ev.Value() }, true},
		{"bare, then not", func(ev *Event) { ev.SetLazyBare(builder(object)); ev.SetLazy(builder(object)) }, false},
		{"bare, then another", func(ev *Event) { ev.SetLazyBare(builder(object)); ev.SetValue(RawValue([]byte(object))) }, false},
		{"bare, then reset", func(ev *Event) { ev.SetLazyBare(builder(object)); ev.Reset(0); ev.SetLazy(builder(object)) }, false},
		{"object", func(ev *Event) { ev.SetValue(RawValue([]byte(object))) }, false},
		{"string", func(ev *Event) { ev.SetValue(TextValue([]byte("value"))) }, true},
		{"null", func(ev *Event) { ev.SetValue(null) }, true},
		{"time", func(ev *Event) { ev.SetLazyBare(builder(object)); ev.SetTime(one) }, true},
		{"key", func(ev *Event) { ev.SetLazyBare(builder(object)); ev.SetKey(one) }, false},
		{"null key", func(ev *Event) { ev.SetLazyBare(builder(object)); ev.SetKey(null) }, true},
	} {
		var ev Event
		ev.Reset(0)
		c.set(&ev)
		if got := ev.OnlyValue(); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	// Each member of an event's envelope counts.
	for _, m := range []string{`"log":"l"`, `"partition":0`, `"offset":0`, `"key":0`, `"headers":{"a":"b"}`, `"src":{"a":0}`} {
		var ev Event
		ev.Reset(0)
		line := `{` + m + `,"value":1}`
		if err := NewReader(&Fields{}, Auto).Read([]byte(line), &ev); err != nil {
			t.Fatal(err)
		}
		if ev.Bare || ev.OnlyValue() {
			t.Errorf("%s: bare %v, only a value %v", line, ev.Bare, ev.OnlyValue())
		}
		ev.Reset(0)
		if ev.SetValue(one); !ev.OnlyValue() {
			t.Errorf("%s is still known after Reset", line)
		}
	}
}

// appendStringSlow is AppendString's slow twin, rune by rune.
func appendStringSlow(dst []byte, text string) []byte {
	dst = append(dst, '"')
	for _, r := range text { // what is not UTF-8 comes as U+FFFD
		switch short := strings.IndexRune("\"\\\b\f\n\r\t", r); {
		case short >= 0:
			dst = append(dst, '\\', `"\bfnrt`[short])
		case r < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', "01"[r>>4], hexDigits[r&15])
		default:
			dst = append(dst, string(r)...)
		}
	}
	return append(dst, '"')
}

func TestAppendString(t *testing.T) {
	// Every byte at every place of a text around the length of a word.
	for n := range 20 {
		for i := range n {
			for c := range 256 {
				b := []byte(strings.Repeat("x", n))
				b[i] = byte(c)
				if got, want := string(AppendString(nil, b)), string(appendStringSlow(nil, string(b))); got != want {
					t.Fatalf("%q is written as %s, want %s", b, got, want)
				}
			}
		}
	}
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain text of some length", "a \"b\" \\ c\n\td\x00\x7f", "gr\u00fcn \u2028 \U0001f600\xff\xed\xa0\x80 end", "\u00fc\u00fc\u00fc\u00fc\"\u00fc\u00fc"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := string(AppendString([]byte("before"), []byte(s))), string(appendStringSlow([]byte("before"), s)); got != want {
			t.Errorf("%q is written as %s, want %s", s, got, want)
		}
	})
}

func BenchmarkAppendString(b *testing.B) {
	for _, c := range []struct{ name, text string }{
		{"plain", strings.Repeat("GET /index.html ", 16)},
		{"quotes", strings.Repeat(`level="info" ok `, 16)},
		{"german", strings.Repeat("Gr\u00f6\u00dfe ge\u00e4ndert", 16)},
		{"japanese", strings.Repeat("\u8a18\u9332\u3092\u8aad\u3080", 16)},
	} {
		b.Run(c.name, func(b *testing.B) {
			text := []byte(c.text)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			var dst []byte
			for b.Loop() {
				dst = AppendString(dst[:0], text)
			}
		})
	}
}
