//go:build !purego

package event

import "testing"

// TestInspect runs with both instruction sets, as far as this machine has them.
func TestInspect(t *testing.T) {
	defer func(had bool) { hasAVX2 = had }(hasAVX2)
	if hasAVX2 {
		t.Run("AVX2", testInspect)
	}
	hasAVX2 = false
	t.Run("SSE2", testInspect)
}
