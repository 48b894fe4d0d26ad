package compact

import (
	"context"
	"errors"
	"io"
	"sync"

	"logtools/pkg/stream"
)

// errEnough is returned by a function that wants no more.
var errEnough = errors.New("enough")

// inOrder reads blocks, as many at a time as there are workers. What newWorker returns looks at a block
// without knowing what comes before it, and leaves what it has found; take gets the
// blocks in their order. The first error ends it, one in a block, too; errEnough is
// none.
func inOrder[T any](ctx context.Context, workers int, blocks stream.Blocks, newWorker func() func(b *stream.Block, found *T) error, take func(b *stream.Block, found *T) error) error {
	type item struct {
		b     stream.Block
		found T
		end   error // there is no block
		err   error // of the block
	}
	free := make(chan *item, workers+2)
	for range cap(free) {
		free <- new(item)
	}
	read := make(chan *item, cap(free))
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer func() {
		cancel()
		close(free)
		running.Wait()
	}()
	for range workers {
		work := newWorker()
		running.Go(func() {
			for it := range free {
				if it.end = blocks.Next(ctx, &it.b); it.end != nil {
					read <- it
					return
				}
				if it.err = it.b.Err; it.err == nil {
					it.err = work(&it.b, &it.found)
				}
				read <- it
			}
		})
	}
	waiting := make(map[int64]*item)
	for next := int64(0); workers > 0; {
		it := <-read
		switch {
		case it.end == io.EOF:
			workers--
			continue
		case it.end != nil:
			return it.end
		}
		for waiting[it.b.Seq] = it; ; next++ {
			it := waiting[next]
			if it == nil {
				break
			}
			delete(waiting, next)
			err := it.err
			if err == nil {
				err = take(&it.b, &it.found)
			}
			if err == errEnough {
				return nil
			}
			if err != nil {
				return err
			}
			free <- it
		}
	}
	return nil
}
