// Samplelog writes a sample of what a small web shop logs:
//
//	samplelog [-n N] DIR
//
// DIR/access.log (nginx's combined format), the same as DIR/access.log.gz, and
// the same requests as DIR/app.ndjson and DIR/app.log (logfmt), N lines each
// (200,000). The same N gives the same lines on every machine.
package main

import (
	"bufio"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

func main() {
	n := flag.Int("n", 200_000, "write `N` lines")
	flag.Parse()
	if flag.NArg() != 1 || *n < 0 {
		fmt.Fprintln(os.Stderr, "usage: samplelog [-n N] DIR")
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *n); err != nil {
		fmt.Fprintln(os.Stderr, "samplelog:", err)
		os.Exit(1)
	}
}

func run(dir string, n int) (err error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	var outs []*bufio.Writer
	for _, name := range []string{"access.log", "access.log.gz", "app.ndjson", "app.log"} {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		var w io.Writer = f
		closeAll := f.Close
		if filepath.Ext(name) == ".gz" {
			z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
			if err != nil {
				return err
			}
			w = z
			closeAll = func() error { return errors.Join(z.Close(), f.Close()) }
		}
		b := bufio.NewWriterSize(w, 1<<16)
		outs = append(outs, b)
		defer func() { err = errors.Join(err, b.Flush(), closeAll()) }()
	}

	shop := newShop()
	var access, app, logfmt []byte
	for i := range n {
		r := shop.next()
		access = r.appendCombined(access[:0])
		app = r.appendJSON(app[:0], i)
		logfmt = r.appendLogfmt(logfmt[:0])
		for k, line := range [][]byte{access, access, app, logfmt} {
			if _, err := outs[k].Write(line); err != nil {
				return err
			}
		}
	}
	return nil
}

// request is one line of the logs.
type request struct {
	addr, user, method, path, protocol string
	odd                                string // the whole request line, if it is no HTTP
	time                               time.Time
	status, bytes                      int
	micros                             int // time taken
	referer, agent                     string
}

func (r *request) appendCombined(b []byte) []byte {
	b = append(b, r.addr...)
	b = append(b, " - "...)
	b = append(b, r.user...)
	b = append(b, " ["...)
	b = r.time.AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = append(b, `] "`...)
	if r.odd != "" {
		b = append(b, r.odd...)
	} else {
		b = append(b, r.method...)
		b = append(b, ' ')
		b = append(b, r.path...)
		b = append(b, ' ')
		b = append(b, r.protocol...)
	}
	b = append(b, `" `...)
	b = strconv.AppendInt(b, int64(r.status), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(r.bytes), 10)
	b = append(b, ` "`...)
	b = append(b, r.referer...)
	b = append(b, `" "`...)
	b = append(b, r.agent...)
	return append(b, "\"\n"...)
}

// appendJSON appends the line of the application's log; i is its number. Of our
// texts only odd requests need escapes, and for them Go's are JSON's.
func (r *request) appendJSON(b []byte, i int) []byte {
	b = append(b, `{"time":"`...)
	b = r.time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = append(b, `","id":`...)
	b = strconv.AppendInt(b, int64(i), 10)
	b = append(b, `,"remote_addr":"`...)
	b = append(b, r.addr...)
	if r.odd != "" {
		b = append(b, `","request":`...)
		b = strconv.AppendQuoteToASCII(b, r.odd)
	} else {
		b = append(b, `","method":"`...)
		b = append(b, r.method...)
		b = append(b, `","path":"`...)
		b = append(b, r.path...)
		b = append(b, '"')
	}
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(r.status), 10)
	b = append(b, `,"bytes":`...)
	b = strconv.AppendInt(b, int64(r.bytes), 10)
	b = append(b, `,"request_time":`...)
	b = strconv.AppendFloat(b, float64(r.micros)/1e6, 'f', -1, 64)
	if r.user != "-" {
		b = append(b, `,"user":"`...)
		b = append(b, r.user...)
		b = append(b, '"')
	}
	if r.status >= 500 {
		b = append(b, `,"error":"upstream timed out"`...)
	}
	return append(b, "}\n"...)
}

// appendLogfmt appends what the application says of the request in short. For
// our texts Go's escapes are those of logfmt, too.
func (r *request) appendLogfmt(b []byte) []byte {
	b = append(b, "time="...)
	b = r.time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	switch {
	case r.status >= 500:
		b = append(b, ` level=error msg="upstream timed out"`...)
	case r.odd != "":
		b = append(b, ` level=warn msg="no HTTP"`...)
	default:
		b = append(b, " level=info msg=served"...)
	}
	if r.odd != "" {
		b = append(b, " request="...)
		b = strconv.AppendQuoteToASCII(b, r.odd)
	} else {
		b = append(b, " path="...)
		b = append(b, r.path...)
	}
	b = append(b, " status="...)
	b = strconv.AppendInt(b, int64(r.status), 10)
	b = append(b, " ms="...)
	b = strconv.AppendFloat(b, float64(r.micros)/1e3, 'f', -1, 64)
	return append(b, '\n')
}
