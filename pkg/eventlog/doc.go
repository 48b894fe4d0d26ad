// Package eventlog is an append-only log in a directory: it creates, opens,
// appends, recovers, rolls, reads, follows and maintains it. It is as safe as a database
// file and as open as a text file: `zstd -dc LOG/00000/*.zst` prints the events
// of a partition as they were appended.
//
//	LOG/log.json                      settings; replaced only as a whole
//	LOG/00000/                        a partition
//	    lock                          flock file of the writers, with their generation
//	    maint.lock                    flock file of who replaces or removes segments
//	    head                          how far the partition is durable; a lower bound
//	    00000000000000000000.zst      a segment, named after its first offset; the last
//	                                  one is active, those before it never change, but
//	                                  may be replaced
//	    00000000000000012345.idx      derived index of the active segment
//	    lost/                         what recovery cut off, and the originals of what was
//	                                  repaired
//	    compacted                     what the last compaction has covered; derived
//
// Names with .tmp- are of writers, under the lock, and those with .new- of repairs and
// of Maintenance, under maint.lock: what a killed process has left of them is removed by
// the next.
//
// The order of steps is what makes it safe, and is written down where they are
// taken: see partition.append, partition.recover, partition.roll and Maintenance. The
// bytes of a segment are those of package segment.
package eventlog
