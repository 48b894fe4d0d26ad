package reader

import (
	"logtools/pkg/cli"
	"logtools/pkg/parse"
	"logtools/pkg/render"
)

// Inputs are the formats that -i takes.
func Inputs() cli.Formats {
	const (
		lines   = "try -i text: each line is a string"
		regex   = "-i 'regex:(?P<level>[A-Z]+) (?P<msg>.*)' makes a member of each named group"
		journal = "journalctl -o json | logcat"
	)
	f := cli.Formats{Instead: map[string]string{
		"apache": "try -i combined", "nginx": "try -i combined", "access": "try -i combined",
		"clf": "try -i common", "ncsa": "try -i common",
		"ndjson": "try -i json", "jsonl": "try -i json", "jsonlines": "try -i json",
		"regex": regex, "regexp": regex, "re": regex, "grok": regex,
		"rfc3164": "try -i syslog", "rfc5424": "try -i syslog", "rsyslog": "try -i syslog",
		"journal": journal, "journald": journal, "journalctl": journal,
		"raw": lines, "line": lines, "lines": lines, "string": lines, "plain": lines, "none": lines,
	}}
	for _, format := range parse.Formats {
		f.Names = append(f.Names, format.Name)
	}
	return f
}

// Outputs are the formats that -o takes for a command.
func Outputs(command string) cli.Formats {
	const json = "-o event writes whole events, -o value only their values; both are JSON lines"
	f := cli.Formats{Instead: map[string]string{"json": json, "ndjson": json, "jsonl": json, "jsonlines": json}}
	known := make(map[string]bool)
	for _, o := range render.OutputsOf(command) {
		f.Names = append(f.Names, o.Name)
		known[o.Name] = true
	}
	// What the others write, and what people call it.
	usual := map[string]string{
		"chart":  "logview draws charts",
		"pretty": "try -o table",
		"raw":    "-o value writes JSON, -o tsv columns without quotes",
		"none":   "for no output: >/dev/null",
	}
	for name, hint := range usual {
		if !known[name] {
			f.Instead[name] = hint
		}
	}
	for _, name := range []string{"text", "txt", "plain", "line", "lines", "string"} {
		f.Instead[name] = "try -o raw"
		if !known["raw"] {
			f.Instead[name] = "try -o table"
		}
	}
	return f
}
