package eventlog

import (
	"errors"
	"io"
	"slices"

	"logtools/pkg/segment"
)

// dryReplace notes that a dry run has put one segment, or none, in the place of old.
func (m *Maintenance) dryReplace(old []Segment, made ...Segment) error {
	all, err := m.Segments()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(s Segment) bool { return s.Base == old[0].Base })
	if i < 0 || i+len(old) >= len(all) {
		return errMoved
	}
	m.dry = slices.Replace(all, i, i+len(old), made...)
	return nil
}

// drySeal notes that a dry run has begun a new active segment, if it would.
func (m *Maintenance) drySeal() error {
	all, err := m.Segments()
	if err != nil {
		return err
	}
	a := &all[len(all)-1]
	if a.Next == a.Base {
		return nil
	}
	x, err := m.l.extent(m.n)
	if err != nil {
		return err
	}
	s, err := m.l.openReadable(m.n, a.Base)
	if err != nil {
		return err
	}
	defer s.close()
	if err := errors.Join(s.setNext(nil), s.look()); err != nil {
		return err
	}
	_, seal, err := m.segment(s, &x)
	if err != nil {
		return err
	}
	open := segment.Open{HasPrevious: true, PreviousBase: a.Base, PreviousEnd: a.Next}
	_, unit, err := m.l.openUnit(m.n, a.Next, 1, open, 0, a.Last)
	if err != nil {
		return err
	}
	a.Active = false
	if !s.sealed {
		a.Bytes += segment.HeaderLen + int64(len(seal.AppendTo(nil)))
	}
	next := Segment{Base: a.Next, Next: a.Next, ID: 1, Bytes: int64(len(unit)), First: a.Last, Last: a.Last, Units: 1, Active: true}
	m.dry = append(all, next)
	return nil
}

// counted is the file of a dry run: it only knows how long it is.
type counted struct{ size int64 }

func (c *counted) WriteAt(p []byte, at int64) (int, error) {
	c.size = max(c.size, at+int64(len(p)))
	return len(p), nil
}

func (c *counted) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }
func (c *counted) Truncate(size int64) error         { c.size = size; return nil }
func (c *counted) Size() (int64, error)              { return c.size, nil }
func (c *counted) HasName(string) (bool, error)      { return false, nil }
func (c *counted) Sync() error                       { return nil }
func (c *counted) Close() error                      { return nil }
