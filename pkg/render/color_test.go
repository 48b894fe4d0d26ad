package render

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

var escapeSequence = regexp.MustCompile("\x1b\\[[0-9;]*m")

func TestAppendColor(t *testing.T) {
	got := string(AppendColor(nil, []byte(`{"a":"b","c" : [null,1,true]}`)))
	for _, want := range []string{colorName + `"a"` + colorOff, colorString + `"b"` + colorOff, colorName + `"c"` + colorOff, colorNull + "null" + colorOff, ",1,true"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
}

func FuzzAppendColor(f *testing.F) {
	f.Add(`{"a\"":"b\\","c" : [null,1,true]}`)
	f.Fuzz(func(t *testing.T, s string) {
		if !json.Valid([]byte(s)) || strings.Contains(s, "\x1b") {
			return
		}
		if got := escapeSequence.ReplaceAllString(string(AppendColor(nil, []byte(s))), ""); got != s {
			t.Fatalf("%q became %q", s, got)
		}
	})
}
