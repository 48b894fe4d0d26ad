//go:build race

package expr

// raceDetector: under the race detector sync.Pool (and so package regexp)
// drops what it holds at random, and allocates again.
const raceDetector = true
