package cli

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Where the descriptions of flags begin. A flag too long for that has its
// description on the next line.
const helpIndent = 26

// help returns the text of --help for a terminal of the given width (0: 80):
// what the command is, how it is used, by example first, the flags, and the
// exit statuses.
func (c *Command) help(f *Flags, width int) string {
	if width <= 0 {
		width = 80
	}
	width = min(max(width, 60), 120)
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", c.Name, c.Summary)
	section := func(title, lines string) {
		fmt.Fprintf(&b, "\n%s:\n", title)
		for line := range strings.SplitSeq(strings.Trim(lines, "\n"), "\n") {
			b.WriteString(strings.TrimRight("  "+strings.TrimLeft(line, "\t"), " ") + "\n")
		}
	}
	if c.Examples != "" {
		section("Examples", c.Examples)
	}
	section("Usage", strings.Join(c.Synopsis, "\n"))

	b.WriteString("\nFlags:\n")
	for _, d := range f.docs {
		left := "      --" + d.Name
		if d.Short != "" {
			left = "  -" + d.Short + ", --" + d.Name
		}
		if d.Value != "" {
			left += " " + d.Value
		}
		if n := utf8.RuneCountInString(left); n+2 <= helpIndent {
			b.WriteString(left + strings.Repeat(" ", helpIndent-n))
		} else {
			b.WriteString(left + "\n" + strings.Repeat(" ", helpIndent))
		}
		b.WriteString(wrap(d.text(), helpIndent, width) + "\n")
	}

	exits := slices.Clone(Exits)
	slices.SortFunc(exits, func(a, b ExitDoc) int { return int(a.Exit - b.Exit) })
	var list []string
	for _, e := range exits {
		list = append(list, fmt.Sprintf("%d %s", e.Exit, e.Name))
	}
	text := fmt.Sprintf("Exit status: %s; see man logtools", strings.Join(list, ", "))
	b.WriteString("\n" + wrap(text, 0, width) + "\n")
	return b.String()
}

// text is the description with choices and default.
func (d *FlagDoc) text() string {
	text := d.Usage
	if d.Choices != nil {
		text += ": " + strings.Join(d.Choices, ", ")
	}
	if d.Default != "" {
		text += " (default " + d.Default + ")"
	}
	return text
}

// wrap breaks text that begins in the given column into lines of at most width
// columns; all but the first are indented to that column.
func wrap(text string, column, width int) string {
	var b strings.Builder
	at := column
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case at+1+n > width:
			b.WriteString("\n" + strings.Repeat(" ", column))
			at = column
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += n
	}
	return b.String()
}
