package eventlog

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"logtools/pkg/segment"
)

// Format is the number of the format that this package writes and reads.
const Format = 1

// MaxPartitions is the most partitions a log may have.
const MaxPartitions = 1024

// Settings are what log.json says of a log.
type Settings struct {
	// ID is the log's own, a random UUID, by which positions and copies of it are
	// told from another log's. It is set when the log is created.
	ID string
	// Partitions is fixed when the log is created.
	Partitions int
	// Cleanup is what logcompact does: "none", "compact", "delete" or
	// "compact,delete".
	Cleanup string
	// RetainAge and RetainBytes limit what "delete" keeps; 0 is no limit.
	RetainAge   time.Duration
	RetainBytes int64
	// SegmentBytes is how large a segment becomes before the next one is begun.
	SegmentBytes int64
	// Rules are what the log demands of its events. Once given they stay.
	Rules Rules

	// unknown are the members that a later version of us has written.
	unknown []member
}

type member struct {
	name string
	raw  json.RawMessage
}

// Bounds of SegmentBytes.
const (
	DefaultSegmentBytes = 128 << 20
	MinSegmentBytes     = 64 << 10
	MaxSegmentBytes     = 1 << 40
)

// Cleanups are the values of Settings.Cleanup.
var Cleanups = []string{"none", "compact", "delete", "compact,delete"}

// settingsFile is the order of the members in log.json.
type settingsFile struct {
	Format       int    `json:"format"`
	ID           string `json:"id"`
	Partitions   int    `json:"partitions"`
	Cleanup      string `json:"cleanup"`
	RetainAge    int64  `json:"retain_age_us,omitempty"`
	RetainBytes  int64  `json:"retain_bytes,omitempty"`
	SegmentBytes int64  `json:"segment_bytes"`
	Rules        *Rules `json:"rules,omitempty"`
}

// encode returns the content of log.json: one line of JSON, whose last member is
// the checksum of all bytes before it.
func (s *Settings) encode() []byte {
	f := settingsFile{
		Format: Format, ID: s.ID, Partitions: s.Partitions, Cleanup: s.Cleanup,
		RetainAge: s.RetainAge.Microseconds(), RetainBytes: s.RetainBytes, SegmentBytes: s.SegmentBytes,
	}
	if !s.Rules.None() {
		f.Rules = &s.Rules
	}
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false) // rules are to be read by people, too
	if err := e.Encode(&f); err != nil {
		panic(err) // numbers and strings only
	}
	b := bytes.TrimSuffix(buf.Bytes(), []byte("}\n"))
	for _, m := range s.unknown {
		name, _ := json.Marshal(m.name)
		b = append(append(append(append(b, ','), name...), ':'), m.raw...)
	}
	return appendSum(b)
}

var sumMember = []byte(`,"crc":"`)

func appendSum(b []byte) []byte {
	sum := segment.Checksum(b)
	b = append(b, sumMember...)
	b = hex.AppendEncode(b, []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
	return append(b, "\"}\n"...)
}

// sumFits says whether b ends with its checksum.
func sumFits(b []byte) bool {
	at := bytes.LastIndex(b, sumMember)
	return at >= 0 && bytes.Equal(appendSum(bytes.Clone(b[:at])), b)
}

// decode reads log.json. Its errors say what is wrong with the content.
func (s *Settings) decode(b []byte) error {
	if !sumFits(b) {
		// A later version may sum differently, but says so in its format.
		if f := formatOf(b); f > Format {
			return newerError(f)
		}
		return errors.New("the checksum does not fit")
	}
	if f := formatOf(b); f > Format {
		return newerError(f)
	}
	var f settingsFile
	if err := json.Unmarshal(b, &f); err != nil {
		return fmt.Errorf("not what it should be: %w", err)
	}
	*s = Settings{
		ID: f.ID, Partitions: f.Partitions, Cleanup: f.Cleanup,
		RetainAge: time.Duration(f.RetainAge) * time.Microsecond, RetainBytes: f.RetainBytes, SegmentBytes: f.SegmentBytes,
	}
	if f.Rules != nil {
		s.Rules = *f.Rules
	}
	if _, err := parseID(f.ID); err != nil || f.Format < 1 || f.Partitions < 1 || f.Partitions > MaxPartitions ||
		f.SegmentBytes < MinSegmentBytes || f.SegmentBytes > MaxSegmentBytes || f.RetainAge < 0 || f.RetainBytes < 0 {
		return errors.New("a setting is out of range")
	}
	if err := s.keepUnknown(b); err != nil {
		return err
	}
	return knowRules(b)
}

// knowRules returns an error if log.json has a rule that this version does not know:
// events must not be stored against it.
func knowRules(b []byte) error {
	var f struct {
		Rules map[string]json.RawMessage `json:"rules"`
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(f.Rules)) {
		if !slices.Contains([]string{"key", "unique", "fold", "init", "check"}, name) {
			return &NewerError{Format: Format, Rule: name}
		}
	}
	return nil
}

func (s *Settings) keepUnknown(b []byte) error {
	known := map[string]bool{"format": true, "id": true, "partitions": true, "cleanup": true, "retain_age_us": true,
		"retain_bytes": true, "segment_bytes": true, "rules": true, "crc": true}
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return err
		}
		if n, _ := name.(string); !known[n] {
			s.unknown = append(s.unknown, member{n, raw})
		}
	}
	return nil
}

func formatOf(b []byte) int {
	var f struct {
		Format int `json:"format"`
	}
	if json.Unmarshal(b, &f) != nil {
		return 0
	}
	return f.Format
}

// NewerError says that a log was written by a later version of us.
type NewerError struct {
	Format int
	Rule   string // one that is not known; "" if it is the format
}

func newerError(format int) error { return &NewerError{Format: format} }

func (e *NewerError) Error() string {
	if e.Rule != "" {
		return fmt.Sprintf("a log with a rule that this version does not know (%s)", e.Rule)
	}
	return fmt.Sprintf("a log of a newer format (%d; this version reads %d)", e.Format, Format)
}

// Hint says what to do.
func (e *NewerError) Hint() string { return "install a newer version of logtools" }

// newID returns a random UUID (version 4) of 16 random bytes.
func newID(r [16]byte) string {
	r[6] = r[6]&0x0f | 0x40
	r[8] = r[8]&0x3f | 0x80
	h := hex.EncodeToString(r[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// parseID returns the bytes of a UUID.
func parseID(s string) (id [16]byte, err error) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, errors.New("not a UUID")
	}
	_, err = hex.Decode(id[:], []byte(s[:8]+s[9:13]+s[14:18]+s[19:23]+s[24:]))
	return id, err
}
