//go:build !amd64 || purego

package event

import "testing"

func TestInspect(t *testing.T) { testInspect(t) }
