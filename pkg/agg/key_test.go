package agg

import (
	"bytes"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"logtools/pkg/event"
)

// TestKeys: keys are equal if and only if the canonical JSON of their columns
// is, and come back as they were.
func TestKeys(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	all := append(slices.Clone(numbers), others...)
	all = append(all, `"`+string(bytes.Repeat([]byte("x"), 126))+`"`, `"`+string(bytes.Repeat([]byte("x"), 127))+`"`,
		`"`+string(bytes.Repeat([]byte("x"), 128))+`"`, `"`+string(bytes.Repeat([]byte("x"), 20_000))+`"`)
	for range 20_000 {
		n := 1 + r.IntN(3)
		var a, b []event.Value
		var ca, cb []byte
		for range n {
			x := all[r.IntN(len(all))]
			y := all[r.IntN(len(all))]
			if r.IntN(3) > 0 {
				y = x
			}
			a, b = append(a, forms(r, x)), append(b, forms(r, y))
			ca = append(a[len(a)-1].AppendCanonical(ca), '\n')
			cb = append(b[len(b)-1].AppendCanonical(cb), '\n')
		}
		ka, kb := appendKey(nil, a), appendKey([]byte("before"), b)[len("before"):]
		if bytes.Equal(ka, kb) != bytes.Equal(ca, cb) {
			t.Fatalf("keys of %s and %s: %q and %q", ca, cb, ka, kb)
		}
		if bytes.Equal(ka, kb) && hashBytes(ka, 1) != hashBytes(kb, 1) {
			t.Fatalf("hashes of %q differ", ka)
		}
		c := slices.CompareFunc(a, b, event.Compare)
		if got := compareKeys(ka, kb, n); got != c {
			t.Fatalf("%s and %s compare as %d, want %d", ca, cb, got, c)
		}
		back := decodeKey(nil, ka, n)
		for i := range back {
			if !bytes.Equal(back[i].AppendJSON(nil), a[i].AppendCanonical(nil)) {
				t.Fatalf("%s came back as %s", a[i].AppendJSON(nil), back[i].AppendJSON(nil))
			}
		}
		var scratch []byte
		ra, rb := rankOf(&a[0], &scratch), rankOf(&b[0], &scratch)
		if got, want := ra.compare(rb), event.Compare(a[0], b[0]); got != 0 && got != want {
			t.Fatalf("ranks of %s and %s compare as %d, want %d", a[0].AppendJSON(nil), b[0].AppendJSON(nil), got, want)
		}
	}
}

// TestHash: every bit of the input and the length change about half of the
// hash, at all lengths around the borders of its loops.
func TestHash(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 9))
	for n := range 150 {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		h := hashBytes(b, 7)
		if hashBytes(b, 8) == h || hashBytes(append(slices.Clone(b), 0), 7) == h {
			t.Errorf("length %d: seed or length do not matter", n)
		}
		for bit := range 8 * n {
			b[bit/8] ^= 1 << (bit % 8)
			if d := bits.OnesCount64(hashBytes(b, 7) ^ h); d < 10 || d > 54 {
				t.Errorf("length %d: bit %d changes %d bits of the hash", n, bit, d)
			}
			b[bit/8] ^= 1 << (bit % 8)
		}
		padded := append([]byte("pad"), append(slices.Clone(b), "more"...)...)
		if hashBytes(padded[3:3+n], 7) != h {
			t.Errorf("length %d: bytes around matter", n)
		}
	}
	zeros := make(map[uint64]int)
	for n := range 200 {
		zeros[hashBytes(make([]byte, n), 7)] = n
	}
	if len(zeros) != 200 {
		t.Errorf("zeros of 200 lengths have %d hashes", len(zeros))
	}
	// Small numbers, as they are in logs, fill a table evenly at both ends.
	const size = 1 << 12
	low, high, pairs := make([]int, size), make([]int, size), make([]int, size)
	var buf []byte
	for i := range 16 * size {
		buf = appendKey(buf[:0], []event.Value{event.IntValue(int64(i))})
		h := hashBytes(buf, fixedSeed)
		low[h%size]++
		high[h>>52]++
		pairs[hashWords(uint64(i), 0, fixedSeed)%size]++
	}
	for _, counts := range [][]int{low, high, pairs} {
		x := 0.0 // chi square, size-1 degrees of freedom
		for _, c := range counts {
			x += float64((c-16)*(c-16)) / 16
		}
		if x < size-6*91 || x > size+6*91 {
			t.Errorf("chi square is %.0f for %d places", x, size)
		}
	}
}

func TestPool(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var p pool
	var held []array
	for i := range 20_000 {
		if len(held) > 0 && r.IntN(3) == 0 {
			k := r.IntN(len(held))
			a := held[k]
			for _, w := range p.words(a) {
				if w != uint64(a.ref)+1 {
					t.Fatalf("array %+v holds %d", a, w)
				}
			}
			p.release(a)
			held[k] = held[len(held)-1]
			held = held[:len(held)-1]
			continue
		}
		class := uint8(r.IntN(6))
		if i%100 == 0 {
			class = uint8(r.IntN(poolClasses + 2))
		}
		a := p.alloc(class)
		w := p.words(a)
		if len(w) != minWords<<class {
			t.Fatalf("%d words of class %d", len(w), class)
		}
		for j := range w {
			if w[j] != 0 {
				t.Fatalf("array %+v is not empty", a)
			}
			w[j] = a.ref + 1
		}
		held = append(held, a)
	}
}

func TestArena(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	var a arena
	blobs := make([]blob, 50)
	want := make([][]byte, len(blobs))
	for range 20_000 {
		i := r.IntN(len(blobs))
		n := r.IntN(40)
		if r.IntN(500) == 0 {
			n = r.IntN(maxArena / 2)
		}
		v := bytes.Repeat([]byte{byte(r.Uint32())}, n)
		a.set(&blobs[i], v)
		want[i] = v
		if k := r.IntN(len(blobs)); !bytes.Equal(a.bytes(blobs[k]), want[k]) {
			t.Fatalf("blob %d changed", k)
		}
	}
}
