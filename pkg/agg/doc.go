// Package agg groups events and computes aggregates of each group: the -g and
// -a of logview.
//
// Parse reads the list of aggregates. A Table holds the groups; each worker
// fills a Table of its own and Merge puts them together, after which Rows
// gives the result. No result depends on how the events were divided among
// tables, or in which order they were added: sums are exact, sets and sketches
// are unions, and first, last and collect go by the sequence numbers that the
// caller gives.
//
// # Results
//
// null and missing values are skipped by all aggregates. Over nothing, count
// and distinct are 0 and all others null.
//
//   - sum is the exact decimal sum: integers with every digit, fractions with
//     at most 40 significant digits (half to even).
//   - avg is the exact quotient if it has at most 20 significant digits, else
//     the nearest float64. stddev is that of a sample (divisor n-1; null below
//     two values): the nearest float64 to the root of the exact variance.
//   - min, max, first, last and collect give values as they were written. min
//     and max compare values of any type in jq's order; of equal values (1 and
//     1.0) the shortest spelling is given.
//   - pN and median are nearest-rank: the smallest value that at least N % of
//     the values do not exceed. They are exact up to 1,000 values per group and
//     beyond that within 1 % of the value, given with four digits; the smallest
//     and largest value are always exact.
//   - distinct is exact up to 10,000 values per group, beyond that a
//     HyperLogLog sketch with a standard error of 0.58 %. Values are equal if
//     their canonical JSON is (1 = 1.0).
//   - top(EXPR;N) is an array of {"value":…,"count":…} with exact counts,
//     the most frequent first, ties by value; values in canonical form.
//
// With Options.Exact there are no sketches.
//
// # Limits
//
// sum, avg, stddev and quantiles take numbers with up to 10,000 digits and
// exponents up to ±10,000; others are bad events. A Table has at most 2^32-2
// groups.
//
// distinct compares 64-bit hashes of the values: n different values in a group
// are counted one too low with probability n²/2^65 (3e-12 for 10,000). With
// Options.Exact the hashes have 128 bits and depend on the process, so that
// nobody can prepare values that collide.
//
// # Memory
//
// A group costs 32 bytes, its key, 16 to 32 bytes of hash table, and per
// aggregate: count(EXPR) 8 bytes; sum or avg 32; stddev 56; min, max 32 and the
// value; first, last 24 and the value; quantiles 24 and 8 per value (rounded up
// to a power of two), beyond 1,000 values 0.5 KiB per factor of two that the
// values span (10 KiB are typical); distinct 24 and 11 to 22 bytes per different
// value (22 to 43 with Options.Exact), of the sketch 32 KiB; top 56 to 72 bytes
// per different value, and the value; collect 24 bytes per value, and the value.
// All but keys, values and sketches is allocated for 1,024 groups at a time.
// Quantiles of the same EXPR share one state, as do sum and avg. While rows are
// sorted, each that is wanted costs 52 bytes more.
//
// With Options.Memory all tables of a run together take about so much memory and
// no more: beyond it they write their groups to temporary files, which Rows
// merges. The rows are the same, byte for byte. What is bounded is the number of
// groups and of rows; a single group must fit, so that top of very many
// values without groups takes what it takes.
package agg
