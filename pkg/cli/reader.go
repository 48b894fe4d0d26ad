package cli

// ReaderFlags are the flags common to all commands that read events. What a
// field holds before Add is its default; where it holds nothing, Add puts the
// usual one. The texts of expressions, times and zones are not looked into.
type ReaderFlags struct {
	Input    string // -i, default auto
	Time     string // -t; "" = not given, as in all others
	Key      string // -k
	Where    string // -w
	Since    string // -S
	Until    string // -U
	Output   string // -o; "" = the command's choice
	Bad      string // --bad: skip, ok or fail
	Rejects  string // --rejects
	MaxLine  int64  // --max-line, bytes; default 16 MiB
	TZ       string // --tz, default UTC
	Color    string // --color: auto, always or never
	Progress string // --progress: auto, always or never
	Prefix   bool   // --prefix
	Lossy    bool   // --lossy
}

// maxMaxLine is the highest --max-line: several lines must fit into memory, on
// machines of 32 bits too.
const maxMaxLine = 1 << 30

// Formats are those that a flag accepts.
type Formats struct {
	Names   []string
	Instead map[string]string // see FlagDoc
}

// Add declares the flags. inputs are for -i, outputs for -o. A command with no
// outputs has neither -o nor --color.
func (r *ReaderFlags) Add(f *Flags, inputs, outputs Formats) {
	usual := func(p *string, text string) {
		if *p == "" {
			*p = text
		}
	}
	usual(&r.Input, "auto")
	usual(&r.Bad, "skip")
	usual(&r.TZ, "UTC")
	usual(&r.Color, "auto")
	usual(&r.Progress, "auto")
	if r.MaxLine == 0 {
		r.MaxLine = 16 << 20
	}
	when := []string{"auto", "always", "never"}
	f.String(&r.Input, FlagDoc{Name: "input", Short: "i", Value: "FORMAT", Choices: inputs.Names, Instead: inputs.Instead,
		Usage: "format of files and standard input"})
	f.String(&r.Time, FlagDoc{Name: "time", Short: "t", Value: "EXPR",
		Once:  "the first that is there: -t '.a // .b'",
		Usage: "event time"})
	f.String(&r.Key, FlagDoc{Name: "key", Short: "k", Value: "EXPR",
		Once:  "a key of several members is an array: -k '[.a,.b]'",
		Usage: "event key"})
	f.String(&r.Where, FlagDoc{Name: "where", Short: "w", Value: "EXPR",
		Once:  "join them with and: -w 'A and B'",
		Usage: "only events for which this is true"})
	f.String(&r.Since, FlagDoc{Name: "since", Short: "S", Value: "TIME",
		Once:  "give only the later one",
		Usage: "only events at or after this time: RFC 3339, a date, -1h30m, today, yesterday"})
	f.String(&r.Until, FlagDoc{Name: "until", Short: "U", Value: "TIME",
		Once:  "give only the earlier one",
		Usage: "only events before this time"})
	prints := len(outputs.Names) > 0
	if prints {
		f.String(&r.Output, FlagDoc{Name: "output", Short: "o", Value: "FORMAT", Choices: outputs.Names, Instead: outputs.Instead,
			Usage: "format of the output"})
	}
	f.String(&r.Bad, FlagDoc{Name: "bad", Value: "WHAT", Choices: []string{PolicySkip, PolicyOK, PolicyFail},
		Usage: "skip bad lines (exit 3), skip them (exit 0), or stop at the first"})
	f.String(&r.Rejects, FlagDoc{Name: "rejects", Value: "FILE", File: true,
		Once:  "one file keeps those of all inputs",
		Usage: "keep bad lines here, byte for byte"})
	f.Size(&r.MaxLine, 1, maxMaxLine, FlagDoc{Name: "max-line", Value: "SIZE",
		Usage: "longest line; a longer one is bad"})
	f.Bool(&r.Prefix, FlagDoc{Name: "prefix",
		Usage: "text before the JSON of a line becomes the header prefix"})
	f.Bool(&r.Lossy, FlagDoc{Name: "lossy",
		Usage: "with -i text: replace what is no UTF-8 by U+FFFD"})
	f.String(&r.TZ, FlagDoc{Name: "tz", Value: "ZONE",
		Usage: "zone of times that have none, such as Europe/Berlin or +02:00"})
	if prints {
		f.String(&r.Color, FlagDoc{Name: "color", Value: "WHEN", Choices: when,
			Usage: "colour the output"})
	}
	f.String(&r.Progress, FlagDoc{Name: "progress", Value: "WHEN", Choices: when,
		Usage: "show progress on standard error"})
}
