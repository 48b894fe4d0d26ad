package logcompact

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"logtools/pkg/cli"
	"logtools/pkg/compact"
	"logtools/pkg/spill"
)

// naive is what is to become of lines, each with its key ("": none).
func naive(lines, keys []string, tombstones []bool, keep int) (stay []string) {
	for i := range lines {
		newer, dead := 0, false
		for j := i + 1; j < len(lines) && keys[i] != ""; j++ {
			if keys[j] == keys[i] {
				newer++
				dead = dead || tombstones[j]
			}
		}
		if newer < keep && !dead {
			stay = append(stay, lines[i])
		}
	}
	return stay
}

func TestFilter(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 60 {
		n, among, keep := rnd.IntN(300), 1+rnd.IntN(40), 1+rnd.IntN(3)
		var lines, keys []string
		var tombstones []bool
		for i := range n {
			// Spelled differently, and still the same key.
			k := rnd.IntN(among)
			spelled := []string{fmt.Sprint(k), fmt.Sprintf("%d.0", k), fmt.Sprintf("%de0", k), fmt.Sprintf(`"%d"`, k)}[rnd.IntN(4)]
			key := strings.TrimSuffix(strings.TrimSuffix(spelled, ".0"), "e0")
			line := fmt.Sprintf(`{ "key": %s, "value":{"n":%d} }`, spelled, i)
			dead := false
			switch rnd.IntN(8) {
			case 0:
				line, dead = fmt.Sprintf(`{"key":%s,"value":null}`, spelled), true
			case 1:
				line, key = fmt.Sprintf(`{"n":%d}`, i), ""
			}
			lines, keys, tombstones = append(lines, line), append(keys, key), append(tombstones, dead)
		}
		want := ""
		for _, l := range naive(lines, keys, tombstones, keep) {
			want += l + "\n"
		}
		exit, out, messages := with(context.Background(), usual(nil), strings.Join(lines, "\n"), "--keep", fmt.Sprint(keep), "--memory", "1M", "-")
		if strings.Contains(messages, "no event has a key") && !strings.Contains(strings.Join(keys, ""), "0") {
			messages = "" // there may be none by chance
		}
		if exit != cli.OK || out != want || messages != "" {
			t.Fatalf("round %d: exit %d, %s\n%s\nwant\n%s", round, exit, messages, out, want)
		}
	}
}

// What is longer than a block, and more than memory holds, goes through as it is.
func TestFilterLarge(t *testing.T) {
	var in, want strings.Builder
	pad := strings.Repeat("x", 3<<20)
	for i := range 4 {
		line := fmt.Sprintf(`{"key":%d,"value":"%d%s"}`+"\n", i%2, i, pad)
		in.WriteString(line)
		if i >= 2 {
			want.WriteString(line)
		}
	}
	exit, out, messages := with(context.Background(), usual(nil), in.String(), "--memory", "1M", "-")
	if exit != cli.OK || out != want.String() || messages != "" {
		t.Errorf("exit %d, %d bytes, want %d\n%s", exit, len(out), want.Len(), messages)
	}
}

func TestFilterHints(t *testing.T) {
	const none = "logcompact: hint: no event has a key; say what it is with -k .id\n"
	for _, c := range []struct {
		in, messages string
		args         []string
		exit         cli.Exit
	}{
		{in: "{\"a\":1}\n{\"a\":2}\n", messages: none},
		{in: "{\"a\":1}\n{\"key\":1,\"value\":2}\n"},
		{in: ""},
		{in: "{\"a\":1}\n", args: []string{"-k", ".b"}, messages: "logcompact: hint: -k .b is null for every event"},
		{in: "{\"a\":1}\n", args: []string{"-k", "null"}},
		{in: "{\"a\":1}\n{\n", args: []string{"-k", ".a"}, messages: "logcompact: -:2: ", exit: cli.BadInput},
	} {
		exit, _, messages := with(context.Background(), usual(nil), c.in, append(c.args, "-")...)
		if exit != c.exit || !strings.HasPrefix(messages, c.messages) || c.messages == "" && messages != "" {
			t.Errorf("%q: exit %d\n%s", c.in, exit, messages)
		}
	}
}

// interrupting cancels a run after the first bytes that are read.
type interrupting struct {
	text   io.Reader
	cancel func()
	calls  int
}

func (r *interrupting) Read(p []byte) (int, error) {
	if r.calls++; r.calls == 2 {
		r.cancel()
	}
	return r.text.Read(p)
}

// Of an input that was not read to its end nothing is printed.
func TestFilterInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	in := &interrupting{text: strings.NewReader(strings.Repeat("{\"key\":1,\"value\":1}\n", 200000)), cancel: cancel}
	var out, messages bytes.Buffer
	exit := cli.Exec(ctx, New(), []string{"-"}, &cli.Streams{In: in, Out: &out, Err: &messages})
	if exit != cli.Interrupted || out.Len() > 0 || messages.Len() > 0 {
		t.Errorf("exit %d, %d bytes\n%s", exit, out.Len(), &messages)
	}
	exit, text, said := with(context.Background(), usual(nil), "{\"key\":1,\"value\":1}\n{\n", "--bad=fail", "-")
	if exit != cli.BadInput || text != "" || said == "" {
		t.Errorf("--bad=fail: exit %d, %s", exit, text)
	}
}

// It may be told to end only when all has been read.
func TestPrintInterrupted(t *testing.T) {
	d := spill.New("")
	defer d.Close()
	latest, err := compact.NewLatest(d, 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer latest.Close()
	if err := latest.Add(nil, []byte("1"), false); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var out bytes.Buffer
	if err := printLines(ctx, &cli.Streams{Out: &out}, latest); err != context.Canceled || out.Len() > 0 {
		t.Errorf("%v, %s", err, &out)
	}
}

func TestFilterClosed(t *testing.T) {
	var messages bytes.Buffer
	in := strings.NewReader("{\"key\":1,\"value\":1}\n")
	exit := cli.Exec(context.Background(), New(), []string{"-"}, &cli.Streams{In: in, Out: closedPipe{}, Err: &messages})
	if exit != cli.OK || messages.Len() > 0 {
		t.Errorf("exit %d\n%s", exit, &messages)
	}
}

// failing is a standard input that breaks.
type failing struct{ text io.Reader }

func (r failing) Read(p []byte) (int, error) {
	n, err := r.text.Read(p)
	if err == io.EOF {
		err = errors.New("input/output error")
	}
	return n, err
}

func TestFilterInputFails(t *testing.T) {
	var out, messages bytes.Buffer
	exit := cli.Exec(context.Background(), New(), []string{"-"}, &cli.Streams{In: failing{strings.NewReader("{\"key\":1,\"value\":1}\n")}, Out: &out, Err: &messages})
	if exit != cli.Failed || !strings.Contains(messages.String(), "input/output error") {
		t.Errorf("exit %d, %s\n%s", exit, &out, &messages)
	}
}

// There is no room for what memory cannot hold.
func TestFilterNoRoom(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "nosuch"))
	if _, err := os.CreateTemp("", ""); err == nil {
		t.Skip("temporary files are elsewhere")
	}
	var in strings.Builder
	for i := range 60000 {
		fmt.Fprintf(&in, "{\"key\":%d,\"value\":\"%0100d\"}\n", i, i)
	}
	exit, out, messages := with(context.Background(), usual(nil), in.String(), "--memory", "1M", "-")
	if exit != cli.Failed || out != "" || !strings.Contains(messages, "nosuch") {
		t.Errorf("exit %d, %d bytes\n%s", exit, len(out), messages)
	}
}
