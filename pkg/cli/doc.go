// Package cli is the process plumbing that all commands share: flags and help,
// the standard streams, messages on standard error, bad input, signals,
// progress, and the exit status. It knows nothing of events.
//
// The rules of standard error, which every message obeys because it goes
// through Streams:
//
//   - standard output carries data only; everything else is a message
//   - a message is one line, "logcat: open nosuch.log: no such file or
//     directory": the command's name, lower case, no full stop
//   - what the user could type instead is a line of its own,
//     "logcat: hint: try --follow"
//   - control characters are shown as escapes, so that a hostile file name or
//     log line cannot drive the terminal, and overlong messages are cut
//   - a message is one write, and the progress line makes way for it
//
// A command is a Command; main is os.Exit(cli.Main(logcat.New())), and tests
// run the same command in-process with Exec.
package cli
