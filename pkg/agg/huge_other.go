//go:build !linux

package agg

func advise([]uint64) {}
