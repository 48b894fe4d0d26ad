package expr

import (
	"testing"

	"logtools/pkg/event"
)

func TestAssigns(t *testing.T) {
	for src, want := range map[string]bool{
		".a = 1": true, ".a |= 1": true, ".a += 1": true, ".b | .a //= 1": true,
		".a == 1": false, ".a": false, "(.a = 1) | .b": false, ".a and .b": false, "def f: .a = 1; f": false,
	} {
		p, err := Compile(src, new(event.Fields))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Assigns(); got != want {
			t.Errorf("%s: %v", src, got)
		}
	}
}
