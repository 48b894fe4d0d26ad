// Command completions writes the shell completion scripts of all commands,
// from their flags, into a directory (default: completions), under the names
// by which the shells look for them:
//
//	go run ./scripts/completions [DIR]
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"logtools/pkg/cli"
	"logtools/pkg/cmd/logappend"
	"logtools/pkg/cmd/logcat"
	"logtools/pkg/cmd/logcompact"
	"logtools/pkg/cmd/logview"
)

func main() {
	if err := write(append(os.Args[1:], "completions")[0]); err != nil {
		fmt.Fprintf(os.Stderr, "completions: %v\n", err)
		os.Exit(1)
	}
}

func write(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for _, c := range []*cli.Command{logappend.New(), logcat.New(), logcompact.New(), logview.New()} {
		for shell, name := range map[string]string{
			"bash": c.Name + ".bash",
			"zsh":  "_" + c.Name,
			"fish": c.Name + ".fish",
		} {
			script := cli.Completion(shell, c)
			if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o666); err != nil {
				return err
			}
		}
	}
	return nil
}
