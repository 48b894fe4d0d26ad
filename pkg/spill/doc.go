// Package spill is external memory: what does not fit into memory is written
// to temporary files as sorted runs of records, which are merged when they are
// read again. Sorted runs serve both grouping (equal keys come together when
// runs are merged) and sorting, and need no more memory for keys that are
// distributed badly.
//
// A Dir makes the files, and Close removes them; where the system allows it they
// have no name from the beginning, so that nothing is left of a process that is
// killed. A File takes one Run after another; a Merger reads several runs as
// one; Reduce merges many runs to a few; a Sorter sorts records.
//
// A record is any byte string, also an empty one. Files are written in blocks
// of 32 KiB with a checksum, so what is read is what was written, or an error.
// Errors name the operation and the file:
// "write /tmp/logtools-1: no space left on device".
//
// Nothing here is safe for concurrent use but a Dir and runs: different
// goroutines may write different files and read the same ones.
package spill
