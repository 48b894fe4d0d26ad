package reader

import (
	"logtools/pkg/parse"
	"logtools/pkg/render"
)

// Inputs are the formats that -i takes.
func Inputs() []string {
	var names []string
	for _, f := range parse.Formats {
		names = append(names, f.Name)
	}
	return names
}

// Outputs are the formats that -o takes for a command.
func Outputs(command string) []string {
	var names []string
	for _, o := range render.OutputsOf(command) {
		names = append(names, o.Name)
	}
	return names
}
