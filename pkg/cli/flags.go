package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/pflag"
)

// FlagDoc declares a flag: all that help, man page and completions say of it.
type FlagDoc struct {
	Name  string // long name without dashes
	Short string // one letter, or ""
	// Value names the flag's value, in capitals; "" for a switch.
	Value string
	// Usage is one line, lower case, without a full stop. The choices and
	// the default are added by the help.
	Usage string
	// Choices are all values the flag accepts; nil: any. One with a colon, such
	// as regex:RE, stands for all values that begin like it up to there.
	Choices []string
	// File: the value is the name of a file.
	File bool
	// Once is for a flag whose second value would be meant together with the
	// first, not instead of it, such as a filter: giving it twice is a mistake,
	// and this is the hint. Of a flag without it, which says how something is
	// done, the last one counts, so that an alias can be overruled.
	Once string
	// Instead are values that other tools know, in lower case, and the hint for
	// each: what to type here. One stands also for what has a colon and more
	// behind it.
	Instead map[string]string
	// Default is the value when the flag is not given, "" if there is none
	// worth mention. It is filled in from the variable's value.
	Default string
}

// Flags is the set of flags of one command. Each method declares a flag that
// sets *p; what *p holds before is the default. A flag given twice: the last
// one counts, unless FlagDoc.Once says otherwise.
type Flags struct {
	command string
	set     *pflag.FlagSet
	docs    []FlagDoc
	instead map[string]string
}

// Instead says what to type instead of flags that other commands have: hints by
// the flag, with its dashes.
func (f *Flags) Instead(hints map[string]string) { f.instead = hints }

// FlagDocs returns the flags of c in the order of declaration, --help and
// --version last.
func (c *Command) FlagDocs() []FlagDoc { return newFlags(c).docs }

// pflag only cuts the arguments into flags and operands; cobra is not used.
// Of cobra a command without subcommands would have nothing but its traps: it
// takes operands named "help", "completion" and "__complete" for itself.
func newFlags(c *Command) *Flags {
	f := &Flags{command: c.Name, set: pflag.NewFlagSet(c.Name, pflag.ContinueOnError)}
	f.set.Usage = func() {}
	if c.AddFlags != nil {
		c.AddFlags(f)
	}
	f.toggle(FlagDoc{Name: "help", Short: "h", Usage: "show this help"}, func(bool) error { return errHelp })
	f.toggle(FlagDoc{Name: "version", Usage: "show the version"}, func(bool) error { return errVersion })
	return f
}

// What --help and --version end the parsing with.
var (
	errHelp    = errors.New("help")
	errVersion = errors.New("version")
)

// accepts says whether text is one of the choices.
func (d *FlagDoc) accepts(text string) bool {
	return slices.ContainsFunc(d.Choices, func(c string) bool {
		prefix, _, open := strings.Cut(c, ":")
		return c == text || open && strings.HasPrefix(text, prefix+":")
	})
}

// hintFor says what to type instead of a text that is none of the choices; ""
// if there is no telling.
func (d *FlagDoc) hintFor(text string) string {
	text = strings.ToLower(text)
	known, _, _ := strings.Cut(text, ":")
	if hint, ok := d.Instead[known]; ok {
		return hint
	}
	near := nearest(text, d.Choices)
	if near == "" {
		return ""
	}
	if d.Short != "" {
		return "try -" + d.Short + " " + near
	}
	return "try --" + d.Name + "=" + near
}

// words are the choices that can be completed.
func (d *FlagDoc) words() string {
	var all []string
	for _, c := range d.Choices {
		if !strings.Contains(c, ":") {
			all = append(all, c)
		}
	}
	return strings.Join(all, " ")
}

// String declares a flag with a text value, one of d.Choices if there are any.
// The empty text is refused: it is what an unset shell variable leaves behind,
// and a filter that then lets everything pass helps nobody.
func (f *Flags) String(p *string, d FlagDoc) {
	d.Default = *p
	f.add(d, func(text string) error {
		if d.Choices != nil && !d.accepts(text) {
			return WithHint(choiceError(text, d.Choices), d.hintFor(text))
		}
		if text == "" {
			return errors.New("the value is empty")
		}
		*p = text
		return nil
	})
}

// Bool declares a switch.
func (f *Flags) Bool(p *bool, d FlagDoc) {
	f.toggle(d, func(on bool) error {
		*p = on
		return nil
	})
}

// Count declares a flag whose value is a whole number from 0. A negative
// default means "not given".
func (f *Flags) Count(p *int64, d FlagDoc) {
	if *p >= 0 {
		d.Default = strconv.FormatInt(*p, 10)
	}
	f.add(d, func(text string) error {
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			return fmt.Errorf("%q is not a whole number from 0", text)
		}
		*p = int64(n)
		return nil
	})
}

// Size declares a flag whose value is a number of bytes from low to high, as
// ParseSize reads it.
func (f *Flags) Size(p *int64, low, high int64, d FlagDoc) {
	d.Default = formatSize(*p)
	f.add(d, func(text string) error {
		n, err := ParseSize(text)
		if err != nil {
			return err
		}
		if n < low || n > high {
			return fmt.Errorf("%q is not between %s and %s", text, formatSize(low), formatSize(high))
		}
		*p = n
		return nil
	})
}

func (f *Flags) toggle(d FlagDoc, set func(on bool) error) {
	f.add(d, func(text string) error {
		switch text {
		case "true":
			return set(true)
		case "false":
			return set(false)
		}
		return choiceError(text, []string{"true", "false"})
	})
}

func (f *Flags) add(d FlagDoc, set func(string) error) {
	f.docs = append(f.docs, d)
	once := set
	if d.Once != "" {
		given := false
		once = func(text string) error {
			if given {
				return WithHint(errors.New("given twice"), d.Once)
			}
			given = true
			return set(text)
		}
	}
	flag := f.set.VarPF(setter(once), d.Name, d.Short, d.Usage)
	if d.Value == "" {
		flag.NoOptDefVal = "true"
	}
}

// setter is a pflag.Value that hands its texts to a function.
type setter func(string) error

func (s setter) Set(text string) error { return s(text) }
func (setter) String() string          { return "" }
func (setter) Type() string            { return "" }

func choiceError(text string, choices []string) error {
	list := choices[0]
	if n := len(choices); n > 1 {
		list = strings.Join(choices[:n-1], ", ") + " or " + choices[n-1]
	}
	return fmt.Errorf("%q is not %s", text, list)
}

// parse sets the flags of args and returns the operands. Flags and operands
// may be mixed; "--" ends the flags; the word after a flag that takes a value
// is its value, whatever it begins with. dash is how many operands stand before
// "--", -1 if there is none. Errors carry Usage, or are errHelp or errVersion for
// whichever comes first.
func (f *Flags) parse(args []string) (operands []string, dash int, err error) {
	// pflag silently drops words that begin with "-test.", for the sake of
	// go test. Here they are -t with the value "est.…" and must not vanish,
	// so they are spelt -t=est.… on the way in; where such a word turns out
	// to be a value or an operand, it gets its own spelling back.
	const dropped, spelt = "-test.", "-t=est."
	args = slices.Clone(args)
	respelt := make(map[string]string)
	for i, arg := range args {
		if rest, ok := strings.CutPrefix(arg, dropped); ok {
			args[i] = spelt + rest
			respelt[args[i]] = arg
		}
	}
	original := func(word string) string {
		if arg, ok := respelt[word]; ok {
			return arg
		}
		return word
	}
	err = f.set.ParseAll(args, func(flag *pflag.Flag, value string) error {
		if err := flag.Value.Set(original(value)); err != nil {
			if err == errHelp || err == errVersion {
				return err
			}
			return Usagef("--%s: %w", flag.Name, err)
		}
		return nil
	})
	if err != nil {
		return nil, -1, f.explain(err)
	}
	operands = f.set.Args()
	for i := range operands {
		operands[i] = original(operands[i])
	}
	return operands, f.set.ArgsLenAtDash(), nil
}

// Describe replaces the Usage of a flag that was declared: what a shared flag means
// to this command.
func (f *Flags) Describe(name, usage string) { f.doc(name).Usage = usage }

func (f *Flags) doc(name string) *FlagDoc {
	i := slices.IndexFunc(f.docs, func(d FlagDoc) bool { return d.Name == name })
	return &f.docs[i]
}

// explain puts pflag's errors into our words.
func (f *Flags) explain(err error) error {
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var syntax *pflag.InvalidSyntaxError
	switch {
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		if shorts := unknown.GetSpecifiedShortnames(); shorts != "" {
			// Of a letter beyond ASCII, name is only the first byte.
			r, _ := utf8.DecodeRuneInString(shorts)
			return f.unknown("-"+string(r), "")
		}
		return f.unknown("--"+name, name)
	case errors.As(err, &missing):
		dash := "--" + missing.GetSpecifiedName()
		if missing.GetSpecifiedShortnames() != "" {
			dash = "-" + missing.GetSpecifiedName()
		}
		return Usagef("%s needs a value: %s %s", dash, dash, f.doc(missing.GetFlag().Name).Value)
	case errors.As(err, &syntax):
		return f.unknown(syntax.GetSpecifiedFlag(), "")
	}
	return err
}

func (f *Flags) unknown(flag, name string) error {
	err := Usagef("unknown flag %s", flag)
	var names []string
	for _, d := range f.docs {
		names = append(names, d.Name)
	}
	if hint, ok := f.instead[flag]; ok {
		err.Hint = hint
	} else if near := nearest(name, names); near != "" {
		err.Hint = "try --" + near
	} else {
		err.Hint = f.command + " --help lists the flags"
	}
	return err
}

// nearest returns the one of words that text may be a mistyping or the beginning
// of, "" if there is none.
func nearest(text string, words []string) string {
	best, least := "", 3 // up to 2 typing errors, fewer in short names
	for _, word := range words {
		dist := editDistance(text, word)
		if strings.HasPrefix(word, text) && text != "" {
			dist = 0
		}
		if dist < least && dist <= len(text)/3 {
			best, least = word, dist
		}
	}
	return best
}

// editDistance counts the letters to insert, delete, replace or swap with
// their neighbour to make b of a.
func editDistance(a, b string) int {
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := last[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(last[j]+1, row[j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
