package answer

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

var readers = sync.Pool{New: func() any { return new(Reader) }}

// Get returns a Reader from a pool, as its zero value. Put gives it back.
func Get() *Reader { return readers.Get().(*Reader) }

// Put resets r and gives it back to the pool. r must not be used afterwards.
func Put(r *Reader) {
	r.Reset()
	readers.Put(r)
}

// Read reads the body of a response to its end, closes it, and returns what the
// response was. What was asked is taken from resp.Request, whose body is read if
// it can be had again; set Outcome's instants against the time before the call,
// since Read counts from its own start.
//
// It is for services that send requests themselves and report to a router with
// Assign. A caller whose context has ended counts as having left.
func Read(resp *http.Response) Outcome {
	began := time.Now()
	r := Get()
	defer Put(r)
	r.Ask = askOf(resp.Request)
	r.Start(resp.StatusCode, resp.Header)
	defer resp.Body.Close()
	buf := make([]byte, 16<<10)
	for {
		n, err := resp.Body.Read(buf)
		at := time.Since(began)
		r.Feed(buf[:n], at)
		switch {
		case errors.Is(err, io.EOF):
			return r.End(at, Cause{})
		case err != nil && resp.Request != nil && resp.Request.Context().Err() != nil:
			return r.End(at, Cause{Kind: Gone, Err: err})
		case err != nil:
			return r.End(at, Cause{Kind: Broken, Err: err})
		}
	}
}

// maxAsk is how much of a request's body is read to find out what it wants.
const maxAsk = 8 << 20

func askOf(req *http.Request) Ask {
	if req == nil || req.URL == nil {
		return Ask{}
	}
	route := RouteOf(req.Method, req.URL.Path)
	if req.GetBody == nil {
		return Ask{Route: route}
	}
	body, err := req.GetBody()
	if err != nil {
		return Ask{Route: route}
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, maxAsk+1))
	if err != nil || len(data) > maxAsk {
		return Ask{Route: route}
	}
	return AskOf(route, req.Header.Get("Content-Type"), data)
}

// Observe fills in what o says about the request: class, reason, error, finish, times
// and tokens. It leaves the other fields of to as they are, Latency among them.
func (o *Outcome) Observe(to *analysis.Observation) {
	to.Class, to.Why, to.Err, to.Unfinished, to.Finish = o.Class, o.Why, o.Err, o.Unfinished, o.Stop
	if o.Class == analysis.Refused {
		to.Finish = analysis.FinishFilter // also where no finish reason says so
	}
	to.TTFT, to.ITL, to.Stall = o.First, o.ITL, o.Stall
	to.InputTokens, to.OutputTokens, to.CachedTokens = o.Usage.Input, o.Usage.Output, o.Usage.Cached
}
