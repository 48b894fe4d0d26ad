// Command logcat is documented in its man page, man/logcat.1.
package main

import (
	"os"

	"logtools/pkg/cli"
	"logtools/pkg/cmd/logcat"
)

func main() { os.Exit(cli.Main(logcat.New())) }
