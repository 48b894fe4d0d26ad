package agg

import (
	"math"
	"math/bits"
)

// sketch is a HyperLogLog: register i is the longest run of zeros, plus one,
// that began a hash whose top bits are i. 2^15 registers give a standard error
// of 1.04/√2^15 = 0.58 %.
//
// The estimate is the improved one of O. Ertl, "New cardinality estimation
// algorithms for HyperLogLog sketches" (2017), which has no bias at any size
// and needs no tables.
type sketch struct {
	registers [sketchSize]uint8
}

const (
	sketchBits = 15
	sketchSize = 1 << sketchBits
	// maxRun is the largest register: all other bits of the hash are zero.
	maxRun = 64 - sketchBits + 1
)

func sketchIndex(h uint64) uint64 { return h >> (64 - sketchBits) }

func (s *sketch) add(h uint64) {
	i := sketchIndex(h)
	// The bit set at the end bounds the run.
	run := uint8(bits.LeadingZeros64(h<<sketchBits|1<<(sketchBits-1)) + 1)
	if run > s.registers[i] {
		s.registers[i] = run
	}
}

func (s *sketch) merge(o *sketch) {
	for i, r := range o.registers {
		if r > s.registers[i] {
			s.registers[i] = r
		}
	}
}

// estimate returns the number of different hashes. The conversions to float64
// keep compilers from fusing multiplications and additions, which would give
// other results on other machines.
func (s *sketch) estimate() int64 {
	var counts [maxRun + 1]int
	for _, r := range s.registers {
		counts[r]++
	}
	const m = float64(sketchSize)
	z := float64(m * tau(1-float64(counts[maxRun])/m))
	for k := maxRun - 1; k >= 1; k-- {
		z = 0.5 * float64(z+float64(counts[k]))
	}
	z += float64(m * sigma(float64(counts[0])/m))
	const alpha = 1 / (2 * math.Ln2)
	e := math.Round(alpha * m * m / z)
	if e >= 1<<63 { // all registers full; what converting that gives depends on the machine
		return math.MaxInt64
	}
	return int64(e)
}

// sigma is x + Σ x^(2^k) 2^(k-1), k ≥ 1.
func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	z, y := x, 1.0
	for {
		x *= x
		before := z
		z += float64(x * y)
		y += y
		if z == before {
			return z
		}
	}
}

// tau is (1 - x - Σ (1 - x^(2^-k))² 2^-k) / 3, k ≥ 1.
func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	z, y := 1-x, 1.0
	for {
		x = math.Sqrt(x)
		before := z
		y *= 0.5
		z -= float64(float64((1-x)*(1-x)) * y)
		if z == before {
			return z / 3
		}
	}
}
