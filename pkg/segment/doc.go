// Package segment is the bytes of one segment file of a log: units, checksums,
// compression, and the index by which a place in it is found. It knows nothing
// of events, directories or clocks, and keeps nothing between calls but buffers.
//
// A segment is unit after unit. A unit is a header inside a skippable frame of
// zstd, followed in a BATCH by exactly one ordinary frame of zstd with the lines,
// so that zstd alone can print a segment. An OPEN is the first unit, and a SEAL
// the last one of a file to which nothing will be appended.
//
// What is read is believed in this order: the header's checksum before its
// lengths; the lengths against limits before memory is asked for; the body's
// checksum before it is decoded; then the length and the number of the lines.
// Nothing is given out before all of that.
//
// Whatever a file holds, reading it gives what was written or one of these
// errors: *InvalidError (no unit begins there, or it is not what was written),
// *NewerError (it is sound, but not for us: it must be neither skipped nor cut
// off), or the error of the io.ReaderAt.
package segment
