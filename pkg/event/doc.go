// Package event is about one event line: checking it, finding members of it
// without decoding the rest, its canonical form, and the kinds of errors that
// lines and logs have.
//
// Nothing here copies: a Value is a view into the line, a line is a view into
// the block it was read with, and both are valid until their owner goes on.
// Whoever keeps something copies it.
package event
