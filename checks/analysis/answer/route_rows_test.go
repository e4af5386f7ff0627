package answer_test

import (
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/corpus"
)

func inference(api answer.API) answer.Route {
	return answer.Route{API: api, Kind: answer.Inference}
}

func streaming(api answer.API) answer.Route {
	return answer.Route{API: api, Kind: answer.Inference, Stream: true}
}

var (
	unknown   = answer.Route{}
	auxiliary = answer.Route{Kind: answer.Auxiliary}
	resource  = answer.Route{Kind: answer.Resource}
	control   = answer.Route{Kind: answer.Control}
)

// routes are the rows of the table of routes.
var routes = corpus.Routes()

// eachRoute calls f for each row of the table of routes.
func eachRoute(f func(method, path string, want answer.Route)) {
	for _, row := range routes {
		f(row.Method, row.Path, routeOf(row))
	}
}

// routeOf returns the route that a row names.
func routeOf(row corpus.Route) (r answer.Route) {
	for r.Kind = answer.UnknownKind; r.Kind.String() != row.Kind; r.Kind++ {
		if r.Kind > answer.Control {
			panic("no kind " + row.Kind)
		}
	}
	if r.Stream = row.Stream; row.API == "" {
		return r
	}
	for r.API = answer.Any; r.API.String() != row.API; r.API++ {
		if r.API > answer.Transcription {
			panic("no API " + row.API)
		}
	}
	return r
}
