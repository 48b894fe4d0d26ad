package huge

import "testing"

func TestSizes(t *testing.T) {
	for _, n := range []int{0, 1, 4096, 2<<20 - 1, 2 << 20, 5<<20 + 3} {
		w := Words(n)
		if len(w) != n {
			t.Errorf("%d: %d words", n, len(w))
		}
		for i := 0; i < n; i += 1000 {
			if w[i] != 0 {
				t.Fatalf("%d: not zero at %d", n, i)
			}
			w[i] = 1
		}
	}
}
