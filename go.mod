module logtools

go 1.26.8

require (
	github.com/fsnotify/fsnotify v1.10.1
	github.com/itchyny/gojq v0.12.20
	github.com/klauspost/compress v1.20.3
	github.com/rogpeppe/go-internal v1.16.0
	github.com/spf13/pflag v1.0.10
	golang.org/x/sys v0.41.0
)

require (
	github.com/itchyny/timefmt-go v0.1.9 // indirect
	github.com/leodido/go-syslog/v4 v4.5.0 // indirect
	golang.org/x/tools v0.26.0 // indirect
)
