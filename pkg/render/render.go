// Package render writes events in the output formats that -o names.
//
// The appenders are pure functions of the bytes to append to and of what is to
// be written: they keep no state, so each worker may format its own events into
// its own buffer. What a whole output has in common (the column names of csv,
// tsv and table) is a Header, which is made once and never changes.
//
// No appender writes the line end of its line: the caller adds '\n', as it does
// after a line that is passed on as it was read. (Table and Chart write whole
// lines: they look at many rows before they write one.)
package render

import "logtools/pkg/event"

// Output is a format that -o can name.
type Output struct {
	Name string
	// Summary says in one line what is written.
	Summary string
	// Commands are the commands that know the format.
	Commands []string
}

var (
	all     = []string{"logcat", "logview"}
	logcat  = []string{"logcat"}
	logview = []string{"logview"}
)

// Outputs are all formats, in the order in which help and man pages list them.
var Outputs = []Output{
	{"event", "one event per line; nothing but a value is written as that value alone", all},
	{"value", "the value of each event as JSON, one per line", all},
	{"raw", "the value of each event, strings without quotes and escapes", logcat},
	{"csv", "comma-separated; the first line names the members of the first value", all},
	{"tsv", "tab-separated; the first line names the members of the first value", all},
	{"table", "columns aligned for reading", all},
	{"pretty", "one line per event for people, coloured: time, level, message, then the other members", logcat},
	{"chart", "bars with numbers; columns over time if the first group column is a time", logview},
	{"none", "nothing", logcat},
}

// OutputsOf returns the formats that a command knows, in the order of Outputs.
func OutputsOf(command string) []Output {
	var out []Output
	for _, o := range Outputs {
		for _, c := range o.Commands {
			if c == command {
				out = append(out, o)
			}
		}
	}
	return out
}

// AppendRaw appends a string's text, any other value as JSON (-o raw). The text
// of a string may have line ends of its own.
func AppendRaw(dst []byte, v event.Value) []byte { return v.AppendText(dst) }
