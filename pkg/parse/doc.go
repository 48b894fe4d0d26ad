// Package parse turns the lines of foreign formats into events.
//
// Formats is the table of formats. A format's Parser checks the whole line and
// fills in the members that somebody asked for (event.Fields); the JSON of the
// whole value is built only when it is needed.
package parse
