// Command logview is documented in its man page, man/logview.1.
package main

import (
	"os"

	"logtools/pkg/cli"
	"logtools/pkg/cmd/logview"
)

func main() { os.Exit(cli.Main(logview.New())) }
