package cli

import (
	"math"
	"testing"
)

func TestParseSize(t *testing.T) {
	for _, c := range []struct {
		text string
		want int64 // -1: an error
	}{
		{"0", 0}, {"1000", 1000}, {"1000B", 1000}, {"16M", 16 << 20}, {"16m", 16 << 20}, {"1G", 1 << 30}, {"1g", 1 << 30},
		{"64KiB", 64 << 10}, {"64kib", 64 << 10}, {"64K", 64 << 10}, {"2T", 2 << 40}, {"1kB", 1000}, {"1MB", 1e6}, {"3GB", 3e9}, {"1TB", 1e12},
		{"9223372036854775807", math.MaxInt64}, {"8388607T", 8388607 << 40}, {"0T", 0},
		{"", -1}, {"M", -1}, {"-1", -1}, {"+1", -1}, {"1.5M", -1}, {"1 M", -1}, {"1P", -1}, {"1Mi", -1}, {"1iB", -1}, {"1MBs", -1}, {"0x10", -1}, {"1_000", -1},
		{"9223372036854775808", -1}, {"8388608T", -1}, {"99999999999999999999", -1}, {"99999999999999999999M", -1}, {"9007199254740992M", -1},
	} {
		got, err := ParseSize(c.text)
		if c.want < 0 {
			if err == nil {
				t.Errorf("%q: got %d, want an error", c.text, got)
			}
		} else if got != c.want || err != nil {
			t.Errorf("%q: got %d, %v; want %d", c.text, got, err, c.want)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	f.Add("16M", int64(16<<20))
	f.Add("64KiB", int64(1000))
	f.Fuzz(func(t *testing.T, text string, n int64) {
		if got, err := ParseSize(text); err == nil && got < 0 {
			t.Errorf("%q: %d", text, got)
		}
		if n >= 0 {
			if got, err := ParseSize(formatSize(n)); got != n || err != nil {
				t.Errorf("%d is written %q and read as %d, %v", n, formatSize(n), got, err)
			}
		}
	})
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 7: "7", 999: "999", 1000: "1,000", 3012: "3,012", 123456: "123,456", 1234567: "1,234,567",
		-1: "-1", -999: "-999", -1000: "-1,000", math.MaxInt64: "9,223,372,036,854,775,807", math.MinInt64: "-9,223,372,036,854,775,808",
	} {
		if got := Thousands(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestHumane(t *testing.T) {
	for bytes, want := range map[float64]string{
		0: "0 B", 999: "999 B", 999.6: "1.0 kB", 1000: "1.0 kB", 9940: "9.9 kB", 9960: "10 kB", 12345: "12 kB", 999499: "999 kB", 999501: "1.0 MB",
		629e6: "629 MB", 1.2e9: "1.2 GB", 3e12: "3.0 TB", 5e15: "5000 TB",
	} {
		if got := Humane(bytes); got != want {
			t.Errorf("%v: %q, want %q", bytes, got, want)
		}
	}
}
