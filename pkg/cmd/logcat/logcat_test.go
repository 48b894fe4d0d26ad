package logcat

import "testing"

// Every flag that is meant together with itself is refused when given twice.
func TestOnce(t *testing.T) {
	for _, d := range New().FlagDocs() {
		switch d.Value {
		case "EXPR", "TIME", "FILE", "POS", "N,...", "KEY":
			if d.Once == "" {
				t.Errorf("--%s may be given twice", d.Name)
			}
		default:
			if d.Once != "" {
				t.Errorf("--%s may not be given twice", d.Name)
			}
		}
	}
}
