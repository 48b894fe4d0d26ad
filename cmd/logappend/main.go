// Command logappend is documented in its man page, man/logappend.1.
package main

import (
	"os"

	"logtools/pkg/cli"
	"logtools/pkg/cmd/logappend"
)

func main() { os.Exit(cli.Main(logappend.New())) }
