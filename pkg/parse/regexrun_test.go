package parse

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// matchers are the two ways to match an expression, of which all groups are
// looked at; nil if it is none.
func matchers(src string) (re *regexp.Regexp, m *matcher) {
	parsed, err := syntax.Parse(src, syntax.Perl)
	if err != nil {
		return nil, nil
	}
	if re, err = regexp.Compile(src); err != nil {
		return nil, nil
	}
	var groups []int
	for g := range re.NumSubexp() {
		groups = append(groups, g+1)
	}
	return re, newMatcher(re, compile(parsed, groups), groups)
}

// agree compares the matcher with package regexp on one line.
func agree(t *testing.T, re *regexp.Regexp, m *matcher, line string) {
	t.Helper()
	want := re.FindStringSubmatchIndex(line)
	if got := m.match([]byte(line)); got != (want != nil) {
		t.Fatalf("%q on %q: match %v, want %v", re, line, got, want)
	} else if got && !slices.Equal(m.slots, want[2:]) {
		t.Fatalf("%q on %q: groups %v, want %v", re, line, m.slots, want[2:])
	}
}

// regexGrammar makes an expression of what choose picks: a number below its
// argument.
func regexGrammar(choose func(n int) int, depth int) string {
	sub := func() string { return regexGrammar(choose, depth-1) }
	kind := choose(12)
	if depth == 0 {
		kind = choose(6)
	}
	switch kind {
	case 0, 1:
		return []string{"a", "b", " ", "\u00fc", "ab", "\u65e5\u672c", `\.`, "(?i:k\u00fc)"}[choose(8)]
	case 2, 3:
		return []string{".", `\S`, `\d`, "[^ ]", "[a-c]", `[^\x00-\x{2ff}]`, "[\u00fca]", `\w`, `(?i:[ks])`, `\pL`, `(?s:.)`, "[^b]"}[choose(12)]
	case 4:
		return []string{"^", "$", `\b`, `\B`, "(?m:^)", "(?m:$)", "", `\z`}[choose(8)]
	case 5:
		one := []string{".", "[^ ]", "a", "[a-c]", "\u00fc", `\S`, "[^b]", "(a)"}[choose(8)]
		return one + []string{"*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{2,}", "{0,2}?", "{1,}?", "{0}"}[choose(12)]
	case 6:
		return "(" + sub() + ")"
	case 7:
		return "(?:" + sub() + "|" + sub() + ")"
	case 8:
		return "(?:" + sub() + ")" + []string{"*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}"}[choose(8)]
	}
	return sub() + sub()
}

// regexLine makes a line over a small alphabet.
func regexLine(choose func(n int) int, n int) string {
	var b strings.Builder
	for range n {
		b.WriteString([]string{"a", "b", "c", " ", "\u00fc", "\u65e5", "\u672c", "1", ".", "K", "\u212a", "\n", "\U0001f600"}[choose(13)])
	}
	return b.String()
}

// The seeds alone are some thousands of expressions.
func FuzzRegexRun(f *testing.F) {
	for i := range 400 {
		f.Add(uint64(i), "", "")
	}
	f.Add(uint64(0), `^(?<a>\S+) (.*?)=(\d+|-)$`, "x y=z=12")
	f.Add(uint64(0), `(\d{1,3}\.){3}\d+`, "at 127.0.0.1")
	f.Add(uint64(0), `(?:x+x+)+y`, strings.Repeat("x", 100))
	f.Add(uint64(0), `\x{d800}`, "\ufffd")
	f.Fuzz(func(t *testing.T, seed uint64, src, line string) {
		if len(src) > 200 || len(line) > 1000 || !utf8.ValidString(line) {
			return
		}
		if re, m := matchers(src); re != nil {
			agree(t, re, m, line)
		}
		r := rand.New(rand.NewPCG(seed, 1))
		for range 10 {
			re, m := matchers(regexGrammar(r.IntN, 1+r.IntN(4)))
			if re == nil {
				continue
			}
			agree(t, re, m, line)
			for n := range 12 {
				agree(t, re, m, regexLine(r.IntN, n))
			}
		}
	})
}

// Every short expression on every short line.
func TestRegexRunExhaustively(t *testing.T) {
	atoms := []string{"a", "b", "[ab]", ".", "a*", "a*?", ".*", ".*?", ".+", "[^a]+", "(a)", "(.)", "(a|b)", "(.*)", "(?:ab)*", "(?:a|ab)", "(a?)", "(b+?)", "$", "^", `\b`, "a{2}", ".{1,2}", "a??", ".??", "\u00fc"}
	var lines []string
	var grow func(s string, n int)
	grow = func(s string, n int) {
		lines = append(lines, s)
		if n > 0 {
			for _, c := range []string{"a", "b", "\u00fc"} {
				grow(s+c, n-1)
			}
		}
	}
	grow("", 3)
	for _, x := range atoms {
		for _, y := range atoms {
			for k, z := range atoms {
				if testing.Short() && k%5 != 0 {
					continue
				}
				re, m := matchers(x + y + z)
				if re == nil {
					continue
				}
				for _, line := range lines {
					agree(t, re, m, line)
				}
			}
		}
	}
}

// Expressions that people write must be our own and must not come near the
// budget; a group of the expression that the budget ends is found all the same.
func TestRegexBudget(t *testing.T) {
	long := strings.Repeat("word ", 1000)
	for _, c := range []struct {
		src, line string
		own       bool // there is a program
		within    bool // and it takes no more than its budget
	}{
		{accessRegex, sample, true, true},
		{`^(?<level>\w+) (?<msg>.*)$`, "INFO " + long, true, true},
		{`(?<a>.*?) - (?<b>.*)`, long + "- x", true, true},
		{`(?<a>.*)=(?<b>.*)`, long + "= x", true, true},
		{`^(?:(?<a>\d+)|(?<b>\w+))+$`, strings.Repeat("a1", 2000), true, true},
		{`"(?<a>(?:[^"\\]|\\.)*)"`, `x "` + strings.Repeat(`a\"`, 1000) + `"`, true, true},
		{`(?i)error: (?<a>.*)`, long + "ERROR: x", true, true},
		{`\[(?<a>[^]]*)\]`, long + "[x]", true, true},
		{`(?<a>x*)*`, long, false, false},
		{`(?<a>x{1000})`, long, true, true},
		{`(?<a>(?:xy){1000}z)`, long, false, false},
		{`(?:x+x+)+(?<a>y)`, strings.Repeat("x", 500), true, false},
		{`(?<a>\w+ )*z`, long, true, false},
		{`\S+(?<a>x)`, strings.Repeat("y", 5000), true, false},
	} {
		re, m := matchers(c.src)
		if (m.prog != nil) != c.own {
			t.Errorf("%s: program %v", c.src, m.prog != nil)
		}
		agree(t, re, m, c.line)
		if within := m.prog != nil && m.budget >= 0; within != c.within {
			t.Errorf("%s: within the budget %v (%d left of %d)", c.src, within, m.budget, 8*len(c.line)+512)
		}
	}
}

func TestRuneSet(t *testing.T) {
	for _, src := range []string{`\d`, `[^"]`, `.`, `(?s:.)`, `\S`, `\pL`, `[^\pL]`, `[a\x{80}-\x{10ffff}]`, "[\u00fc\u65e5]", `(?i:k)`, `(?i:\x{3c3})`, `[^\x{fc}]`} {
		parsed, err := syntax.Parse(src, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		set, re := setOf(parsed), regexp.MustCompile("^"+src+"$")
		if set == nil {
			t.Errorf("%s is no set", src)
			continue
		}
		for r := rune(0); r <= utf8.MaxRune; r++ {
			if r == 0x3000 {
				r = 0x1f000
			} else if r == 0x20000 {
				r = utf8.MaxRune
			}
			b := []byte(fmt.Sprintf("%cx", r))
			n := len(b) - 1
			want := re.Match(b[:n])
			if got := set.take(b, 0, 1) == n; got != want || set.skip(b, 0, 1) == n != want || set.skip(b[:n], 0, -1) == n != want || want && !set.mayBegin(int(b[0])) {
				t.Fatalf("%s: %q: %v, want %v", src, r, got, want)
			}
		}
	}
}
