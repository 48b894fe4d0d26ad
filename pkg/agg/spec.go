package agg

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"logtools/pkg/event"
	"logtools/pkg/expr"
)

// Spec is one aggregate of a list.
type Spec struct {
	// Name is the name of its column.
	Name string
	// Func is the name of the function: one of Funcs, with "p" for all
	// quantiles but the median.
	Func string
	// Expr is the text of EXPR; empty only for a plain count.
	Expr string
	// N is the N of top and collect.
	N int
	// Q is which quantile p and median are, in units of 1e-9 per cent: 50 %
	// is 50_000_000_000.
	Q uint64

	text string // as written, for messages
}

// wholeQ is Q of 100 %.
const wholeQ = 100_000_000_000

// Func describes an aggregate function.
type Func struct {
	// Name as it is written; "p" stands for p50, p99, p99.9 and so on.
	Name string
	// Args is its argument as help texts show it: "" (none), "[EXPR]",
	// "EXPR" or "EXPR;N".
	Args string
	// Doc says what it is, in one line without full stop.
	Doc string
}

// Funcs are the aggregate functions, in the order in which help lists them.
var Funcs = []Func{
	{"count", "[EXPR]", "events; with EXPR: events for which it is true"},
	{"sum", "EXPR", "exact decimal sum of numbers"},
	{"avg", "EXPR", "mean of numbers, from their exact sum"},
	{"min", "EXPR", "smallest value"},
	{"max", "EXPR", "largest value"},
	{"stddev", "EXPR", "standard deviation of a sample of numbers"},
	{"median", "EXPR", "the same as p50"},
	{"p", "EXPR", "quantile by nearest rank: p50, p99, p99.9 up to p100"},
	{"distinct", "EXPR", "how many different values"},
	{"first", "EXPR", "value of the first event that has one"},
	{"last", "EXPR", "value of the last event that has one"},
	{"top", "EXPR;N", "the N most frequent values with their counts"},
	{"collect", "EXPR;N", "the first N values"},
}

// maxN limits the N of top and collect.
const maxN = 1 << 30

// SyntaxError says what is wrong with a list of aggregates, and where.
type SyntaxError struct {
	Src    string // the list
	Offset int    // byte of Src at which it went wrong
	Msg    string // in lower case, without full stop
	Hint   string // what to write instead; may be empty
}

// Error returns the message and the list in one line.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s in aggregates '%s'", e.Msg, event.OneLine(e.Src))
}

// Caret returns two lines to print under the message: the list, and a caret
// under the place.
func (e *SyntaxError) Caret() string { return event.Caret(e.Src, e.Offset) }

// Parse reads a list of aggregates: [NAME=]FUNC[(EXPR)] separated by commas.
// It does not compile EXPR, it only finds its end. Without NAME an aggregate
// is called FUNC or FUNC_column, where column is what -g would call EXPR: the
// last name of a path (sum_bytes for sum(.bytes)), else its text. Errors are
// *SyntaxError.
func Parse(list string) ([]Spec, error) {
	p := parser{src: list}
	var specs []Spec
	for {
		start := p.skipSpace()
		s, err := p.aggregate()
		if err != nil {
			return nil, err
		}
		for _, other := range specs {
			if other.Name == s.Name {
				return nil, &SyntaxError{list, start, fmt.Sprintf("two aggregates are called %q", s.Name),
					fmt.Sprintf("name one of them: NAME=%s", s.text)}
			}
		}
		specs = append(specs, s)
		p.skipSpace()
		if p.pos == len(list) {
			return specs, nil
		}
		if list[p.pos] != ',' {
			return nil, p.errorf(p.pos, "expected a comma after %s", s.text)
		}
		p.pos++
	}
}

type parser struct {
	src string
	pos int
}

func (p *parser) errorf(at int, format string, args ...any) *SyntaxError {
	return &SyntaxError{Src: p.src, Offset: at, Msg: fmt.Sprintf(format, args...)}
}

func (p *parser) skipSpace() int {
	for p.pos < len(p.src) && strings.IndexByte(" \t\r\n", p.src[p.pos]) >= 0 {
		p.pos++
	}
	return p.pos
}

// word reads letters, digits, '_', and '.' if dots.
func (p *parser) word(dots bool) string {
	start := p.pos
	for p.pos < len(p.src) {
		c := p.src[p.pos]
		if !isNameByte(c) && !(dots && c == '.') {
			break
		}
		p.pos++
	}
	return p.src[start:p.pos]
}

func isNameByte(c byte) bool {
	return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || '0' <= c && c <= '9' || c >= utf8.RuneSelf
}

func (p *parser) aggregate() (Spec, error) {
	var s Spec
	start := p.pos
	name := p.word(false)
	p.skipSpace()
	if p.pos < len(p.src) && p.src[p.pos] == '=' {
		if name == "" {
			return s, p.errorf(start, "expected a name before =")
		}
		s.Name = name
		p.pos++
		start = p.skipSpace()
	} else {
		p.pos = start
	}
	fn := p.word(true)
	end := p.pos
	if fn == "" {
		return s, p.errorf(start, "expected an aggregate such as count or sum(.bytes)")
	}
	f, err := p.function(fn, start, &s)
	if err != nil {
		return s, err
	}
	p.skipSpace()
	if p.pos < len(p.src) && p.src[p.pos] == '(' {
		if err := p.argument(fn, f, &s); err != nil {
			return s, err
		}
		end = p.pos
	} else {
		p.pos = end
		if f.Args != "[EXPR]" {
			e := p.errorf(end, "%s needs an argument", fn)
			e.Hint = fmt.Sprintf("write %s(%s)", fn, exampleArgs(f))
			return s, e
		}
	}
	s.text = p.src[start:end]
	if s.Name == "" {
		s.Name = fn
		if s.Expr != "" {
			s.Name += "_" + columnName(s.Expr)
		}
	}
	return s, nil
}

// columnName is what -g would call expr; its text if it is several columns or
// does not parse, which is told when it is compiled.
func columnName(src string) string {
	cols, err := expr.Columns(src)
	if err != nil || len(cols) != 1 {
		return src
	}
	return cols[0].Name
}

func exampleArgs(f *Func) string {
	if f.Args == "EXPR;N" {
		return ".name;10"
	}
	return ".name"
}

// function looks a function up; quantiles fill in Q.
func (p *parser) function(fn string, at int, s *Spec) (*Func, error) {
	for i := range Funcs {
		if f := &Funcs[i]; f.Name == fn && fn != "p" {
			s.Func = fn
			if fn == "median" {
				s.Q = wholeQ / 2
			}
			return f, nil
		}
	}
	if fn[0] == 'p' && (len(fn) == 1 || '0' <= fn[1] && fn[1] <= '9' || fn[1] == '.') {
		q, ok := parsePercent(fn[1:])
		if !ok || q == 0 || q > wholeQ {
			e := p.errorf(at, "bad quantile %q", fn)
			e.Hint = "quantiles go from p0.000000001 to p100, such as p99 or p99.9"
			return nil, e
		}
		s.Func, s.Q = "p", q
		for i := range Funcs {
			if Funcs[i].Name == "p" {
				return &Funcs[i], nil
			}
		}
	}
	e := p.errorf(at, "unknown aggregate %q", fn)
	if near := nearest(fn); near != "" {
		e.Hint = fmt.Sprintf("did you mean %s?", near)
	} else {
		e.Hint = "aggregates are " + strings.Join(funcNames(), " ")
	}
	return nil, e
}

// parsePercent reads digits[.digits], at most 9 of them after the point, in
// units of 1e-9.
func parsePercent(s string) (uint64, bool) {
	whole, frac, point := strings.Cut(s, ".")
	if whole == "" || len(whole) > 3 || point && (frac == "" || len(frac) > 9) {
		return 0, false
	}
	frac += strings.Repeat("0", 9-len(frac))
	w, err1 := strconv.ParseUint(whole, 10, 64)
	f, err2 := strconv.ParseUint(frac, 10, 64)
	return w*1e9 + f, err1 == nil && err2 == nil
}

func funcNames() []string {
	var names []string
	for _, f := range Funcs {
		if f.Name == "p" {
			names = append(names, "pN")
		} else {
			names = append(names, f.Name)
		}
	}
	return names
}

// nearest returns the function whose name differs least from s, "" if none is
// near. What people know from SQL and other tools is near, too.
func nearest(s string) string {
	switch s = strings.ToLower(s); s {
	case "mean", "average":
		return "avg"
	case "stdev", "sd", "std":
		return "stddev"
	case "uniq", "unique", "count_distinct", "dc", "cardinality":
		return "distinct"
	case "percentile", "quantile":
		return "p99"
	case "list", "values", "array_agg":
		return "collect"
	}
	best, least := "", 3
	for _, f := range Funcs {
		if d := editDistance(s, f.Name); d < least && d < len(f.Name)-1 {
			best, least = f.Name, d
		}
	}
	return best
}

// editDistance counts insertions, deletions, replacements and swaps of
// neighbours that make b of a.
func editDistance(a, b string) int {
	before, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(b)]
}

// argument reads (EXPR) or (EXPR;N); p.pos is at the bracket.
func (p *parser) argument(fn string, f *Func, s *Spec) error {
	open := p.pos
	p.pos++
	semi := -1 // the last one outside of brackets
	depth := 0
scan:
	for {
		if p.pos >= len(p.src) {
			return p.errorf(open, "the bracket of %s( is never closed", fn)
		}
		switch p.src[p.pos] {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			if depth == 0 {
				break scan
			}
			depth--
		case ';':
			if depth == 0 {
				semi = p.pos
			}
		case '#':
			p.skipComment()
			continue
		case '"':
			if err := p.skipString(); err != nil {
				return err
			}
			continue
		}
		p.pos++
	}
	end := p.pos
	if p.src[end] != ')' {
		return p.errorf(end, "unexpected %q in %s(", p.src[end], fn)
	}
	p.pos++
	exprEnd := end
	if f.Args == "EXPR;N" {
		if semi < 0 {
			e := p.errorf(end, "%s needs a number of values", fn)
			e.Hint = fmt.Sprintf("write %s(%s;10)", fn, strings.TrimSpace(p.src[open+1:end]))
			return e
		}
		exprEnd = semi
		text := strings.TrimSpace(p.src[semi+1 : end])
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxN {
			return p.errorf(semi+1, "the N of %s must be a number from 1 to %d, not %q", fn, maxN, text)
		}
		s.N = n
	}
	s.Expr = strings.TrimSpace(p.src[open+1 : exprEnd])
	if s.Expr == "" {
		e := p.errorf(open+1, "%s needs an expression in its brackets", fn)
		if f.Args == "[EXPR]" {
			e.Hint = fmt.Sprintf("write %s to count all events", fn)
		}
		return e
	}
	return nil
}

func (p *parser) skipComment() {
	for p.pos < len(p.src) && p.src[p.pos] != '\n' {
		p.pos++
	}
}

// skipString skips a jq string; "\(" begins an expression in it.
func (p *parser) skipString() error {
	open := p.pos
	p.pos++
	for p.pos < len(p.src) {
		switch p.src[p.pos] {
		case '"':
			p.pos++
			return nil
		case '\\':
			p.pos++
			if p.pos < len(p.src) && p.src[p.pos] == '(' {
				if err := p.skipBrackets(); err != nil {
					return err
				}
				continue
			}
		}
		p.pos++
	}
	return p.errorf(open, "unterminated string")
}

// skipBrackets skips from an opening bracket to behind its closing one.
func (p *parser) skipBrackets() error {
	open := p.pos
	for depth := 0; p.pos < len(p.src); {
		switch p.src[p.pos] {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
			if depth == 0 {
				p.pos++
				return nil
			}
		case '#':
			p.skipComment()
			continue
		case '"':
			if err := p.skipString(); err != nil {
				return err
			}
			continue
		}
		p.pos++
	}
	return p.errorf(open, "bracket is never closed")
}
