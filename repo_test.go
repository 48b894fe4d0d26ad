package logtools_test

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// The repository speaks of itself alone: somebody who has nothing but a clone
// must find all that it names. Each pattern is written so that it does not match
// itself.
var foreign = []struct {
	re  *regexp.Regexp
	why string
	// except: files of these names (as path.Match has them) may.
	except []string
}{
	{regexp.MustCompile(`(^|[^\w.])/w[o]rk/`), "a directory of somebody's machine", nil},
	{regexp.MustCompile(`(^|[^\w.])/(home|r[o]ot|Users)/\w`), "a home directory", nil},
	{regexp.MustCompile(`(?i)\bissue[ ]#?\d`), "a tracker that is not part of the repository", nil},
	// Tests use larger data that may lie beside the repository, and skip without.
	{regexp.MustCompile(`\.\./s[h]ared`), "a directory beside the repository", []string{"*_test.go"}},
}

func TestSpeaksOfItselfAlone(t *testing.T) {
	walk(t, func(file string) {
		data, err := os.ReadFile(filepath.FromSlash(file))
		if err != nil {
			t.Error(err)
			return
		}
		if strings.Contains(file, "testdata/fuzz/") || bytes.IndexByte(data, 0) >= 0 {
			return
		}
		for _, f := range foreign {
			if excepted(f.except, path.Base(file)) {
				continue
			}
			for i, line := range bytes.Split(data, []byte{'\n'}) {
				if f.re.Match(line) {
					t.Errorf("%s:%d names %s: %s", file, i+1, f.why, bytes.TrimSpace(line))
				}
			}
		}
	})
}

func excepted(patterns []string, name string) bool {
	for _, p := range patterns {
		if ok, _ := path.Match(p, name); ok {
			return true
		}
	}
	return false
}

// Text files end with a line end and are UTF-8 without carriage returns, so that
// tools and reviews show what is there.
func TestTextFiles(t *testing.T) {
	walk(t, func(file string) {
		switch path.Ext(file) {
		case ".go", ".md", ".sh", ".1", ".5", ".7", ".mod", ".sum", "":
		default:
			return
		}
		if strings.Contains(file, "testdata/") {
			return
		}
		data, err := os.ReadFile(filepath.FromSlash(file))
		if err != nil {
			t.Error(err)
			return
		}
		switch {
		case len(data) == 0:
			t.Errorf("%s is empty", file)
		case data[len(data)-1] != '\n':
			t.Errorf("%s does not end with a line end", file)
		case bytes.IndexByte(data, '\r') >= 0:
			t.Errorf("%s has carriage returns", file)
		case !utf8.Valid(data):
			t.Errorf("%s is not UTF-8", file)
		}
	})
}
