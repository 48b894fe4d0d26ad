package parse

import (
	"fmt"
	"strings"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/when"
)

// Parser turns the lines of one input into events. Each worker has one per
// input; it must not be used by two goroutines at the same time.
//
// The values of an event point into its line and, for a lazily built value, to
// the Parser: they are valid until the line's bytes change or the event is
// Reset. Several events of one Parser may be in use at the same time.
type Parser interface {
	// Block announces what is known of the lines that follow. Without it
	// nothing is known.
	Block(c event.Clean)
	// Parse fills in ev, which was Reset for the Parser's fields, from one
	// line without its '\n'. A line that does not fit is an *event.BadError;
	// ev is then of no use until the next Reset.
	Parse(line []byte, ev *event.Event) error
	// Time returns the time that the format itself gives to the event last
	// parsed (combined: time_local); false if it has none.
	Time() (when.Time, bool)
}

// Options are what a Parser needs to know besides the lines.
type Options struct {
	// Fields are the members that are asked for; nil is none.
	Fields *event.Fields
	// Zone is the time zone of times that name none; nil is UTC.
	Zone *time.Location
	// ModTime is when the lines were last written, as far as known: the year of
	// times that name none is the latest that makes them no later than a day after
	// it. The zero Time is now.
	ModTime time.Time
	// Head is what Format.Head has read of this input.
	Head any
	// Lossy: invalid UTF-8 is replaced by U+FFFD (text only).
	Lossy bool
}

func (o Options) fields() *event.Fields {
	if o.Fields == nil {
		return new(event.Fields)
	}
	return o.Fields
}

// Format is one input format.
type Format struct {
	// Name is the format's name on the command line.
	Name string
	// Summary is what help says about it, in a few words.
	Summary string
	// New makes a Parser. It is nil for auto, which Detect resolves, and for
	// regex:RE, which stands for all that ByName makes.
	New func(Options) Parser
	// Fits says whether a line looks like this format beyond doubt; nil for
	// formats that are not detected by their lines.
	Fits func(line []byte) bool
	// FitsAll does the same for the first lines of an input together, without
	// their ends; nil for formats that are not detected that way.
	FitsAll func(lines [][]byte) bool

	// PerInput: a Parser is for one input and one time of its last change only,
	// because it depends on Options.ModTime or Head.
	PerInput bool
	// Head reads what stands at the start of an input before its first event
	// (csv: the names). data begins with the input's first line that is not blank
	// and ends with a whole record (see Whole). It returns how many bytes the
	// head takes; the rest are events. nil: there is none.
	Head func(data []byte) (n int, head any, err error)
	// Whole returns how many bytes at the start of data, which begins where a
	// record begins, are whole records, each with its line end. nil: each line
	// is a record.
	Whole func(data []byte) int
	// Next returns the length of the first of them, its line end included.
	Next func(data []byte) int
}

// Formats are all input formats, in the order in which they are listed and
// detected. It must not be changed.
var Formats = []Format{
	{Name: "auto", Summary: "json, combined, syslog, logfmt, csv, tsv or text, whichever the first lines are"},
	{Name: "json", Summary: "events and bare JSON values, one per line", New: newJSON(event.Auto), Fits: fitsJSON},
	{Name: "event", Summary: "events only; any other JSON is bad", New: newJSON(event.EventsOnly)},
	{Name: "value", Summary: "JSON, every line as a bare value", New: newJSON(event.ValuesOnly)},
	{Name: "combined", Summary: "access logs of nginx and Apache; reads common lines too", New: newCombined, Fits: fitsCombined},
	{Name: "common", Summary: "access logs without referer and user agent", New: newCommon},
	{Name: "syslog", Summary: "messages of syslog daemons: RFC 3164, RFC 5424 and their files", New: newSyslog,
		Fits: fitsSyslog, FitsAll: fitsSyslogAll, PerInput: true},
	{Name: "logfmt", Summary: "key=value pairs", New: newLogfmt, Fits: fitsLogfmt},
	{Name: "csv", Summary: "fields with commas between them; the first line names them", New: newCSV,
		FitsAll: comma.fits, PerInput: true, Head: comma.head, Whole: comma.whole, Next: comma.next},
	{Name: "tsv", Summary: "fields with tabs between them; the first line names them", New: newTSV,
		FitsAll: tab.fits, PerInput: true, Head: tab.head, Whole: tab.whole, Next: tab.next},
	{Name: "regex:RE", Summary: "the named groups of a regular expression"}, // made by ByName
	{Name: "text", Summary: "each line as a string", New: newText},
}

// ByName returns the format of that name; regex: with an expression behind it
// makes a new one (see newRegex), whose error is a *RegexpError. The error about
// an unknown name lists the names and suggests the nearest.
func ByName(name string) (*Format, error) {
	if src, ok := strings.CutPrefix(name, "regex:"); ok {
		return newRegex(src)
	}
	var names []string
	nearest, best := "", 3 // further away than two typing errors is no help
	for i := range Formats {
		f := &Formats[i]
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
		if d := distance(strings.ToLower(name), f.Name); d < best && d < len(f.Name) {
			nearest, best = f.Name, d
		}
	}
	if strings.HasPrefix(strings.ToLower(name), "regex") {
		nearest = "regex:RE" // regex, regexp:…
	}
	hint := ""
	if nearest != "" {
		hint = "; did you mean " + nearest + "?"
	}
	return nil, fmt.Errorf("unknown input format %q (give %s)%s", name, strings.Join(names, ", "), hint)
}

// distance is how many bytes must be inserted, deleted or replaced, or
// neighbours swapped, to make b of a. Only the first 32 bytes of a count.
func distance(a, b string) int {
	a = a[:min(len(a), 32)]
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		for j := range d[i] {
			if i == 0 || j == 0 {
				d[i][j] = i + j
				continue
			}
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
