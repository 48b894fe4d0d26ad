package event

import (
	"fmt"
	"testing"
)

// The vectors are those that the clients of Kafka test themselves with.
func TestMurmur2(t *testing.T) {
	for text, want := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := int32(murmur2([]byte(text))); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", text, got, want)
		}
	}
}

func TestPartitionOf(t *testing.T) {
	const n = 97
	same := func(want []byte, keys ...string) {
		t.Helper()
		for _, k := range keys {
			if got, want := PartitionOf(RawValue([]byte(k)), n), int(murmur2(want)&0x7fffffff)%n; got != want {
				t.Errorf("key %s: partition %d, want %d", k, got, want)
			}
		}
	}
	same([]byte("foobar"), `"foobar"`, `"foob\u0061r"`)
	same([]byte(`a"b`), `"a\"b"`)
	same([]byte("1"), `1`, `1.0`, `1e0`, `"1"`)
	same([]byte(`{"a":1,"b":[2,"x"]}`), `{"b":[2.0, "x"],"a":1}`, `{"a":1,"b":[2,"\u0078"]}`)
	same([]byte("true"), `true`)
	same([]byte(""), `""`)

	if got, want := PartitionOf(TextValue([]byte("foobar")), n), PartitionOf(RawValue([]byte(`"foobar"`)), n); got != want {
		t.Errorf("a computed key is in partition %d, the same one read is in %d", got, want)
	}
	seen := make(map[int]int)
	for i := range 1000 {
		p := PartitionOf(IntValue(int64(i)), 8)
		if p < 0 || p >= 8 {
			t.Fatalf("partition %d of 8", p)
		}
		seen[p]++
	}
	for p, keys := range seen {
		if keys < 60 || len(seen) != 8 {
			t.Errorf("%d of 8 partitions; partition %d has %d of 1000 keys", len(seen), p, keys)
		}
	}
	if got := PartitionOf(RawValue([]byte(`"x"`)), 1); got != 0 {
		t.Errorf("partition %d of 1", got)
	}
}

func TestPartitionOfAllocatesNothing(t *testing.T) {
	for _, key := range []Value{RawValue([]byte(`"user 17"`)), RawValue([]byte(`"a\tb"`)), RawValue([]byte(`1234`)), IntValue(17)} {
		if n := testing.AllocsPerRun(100, func() { PartitionOf(key, 8) }); n != 0 {
			t.Errorf("%s: %v allocations", key.AppendJSON(nil), n)
		}
	}
}

func FuzzMurmur2(f *testing.F) {
	for _, s := range []string{"", "a", "ab", "abc", "abcd", "abcde", "\xff\x80\x7f"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, want := murmur2(b), naiveMurmur2(b); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", b, got, want)
		}
	})
}

// naiveMurmur2 takes byte by byte.
func naiveMurmur2(b []byte) uint32 {
	const m = 0x5bd1e995
	h := 0x9747b28c ^ uint32(len(b))
	for i := 0; i+4 <= len(b); i += 4 {
		k := uint32(0)
		for j := range 4 {
			k |= uint32(b[i+j]) << (8 * j)
		}
		k *= m
		k ^= k >> 24
		k *= m
		h *= m
		h ^= k
	}
	if rest := len(b) % 4; rest > 0 {
		for j := range rest {
			h ^= uint32(b[len(b)-rest+j]) << (8 * j)
		}
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return h
}

func BenchmarkPartitionOf(b *testing.B) {
	key := RawValue(fmt.Appendf(nil, `"user-%d"`, 12345))
	b.ReportAllocs()
	for b.Loop() {
		PartitionOf(key, 64)
	}
}
