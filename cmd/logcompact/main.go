// Command logcompact is documented in its man page, man/logcompact.1.
package main

import (
	"os"

	"logtools/pkg/cli"
	"logtools/pkg/cmd/logcompact"
)

func main() { os.Exit(cli.Main(logcompact.New())) }
