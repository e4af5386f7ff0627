package corpus

import (
	_ "embed"
	"strings"
)

//go:embed routes.txt
var routes string

// Route is the method and the path of a request, and what they are about.
type Route struct {
	Method, Path string
	Kind         string // inference, auxiliary, resource, realtime, control or unknown
	API          string // of an inference: chat, messages and so on; "any" if several speak it
	Stream       bool   // the path asks for a stream
}

// Routes returns the table of routes in routes.txt: a line for what the requests in
// the lines below it are about, by which each is to be recognized.
func Routes() (all []Route) {
	var r Route
	for line := range strings.Lines(routes) {
		line = strings.TrimSuffix(line, "\n")
		if request, ok := strings.CutPrefix(line, "\t"); ok {
			r.Method, r.Path, _ = strings.Cut(request, " ")
			all = append(all, r)
			continue
		}
		about := strings.Fields(line)
		r = Route{Kind: about[0], Stream: len(about) > 2}
		if len(about) > 1 {
			r.API = about[1]
		}
	}
	return all
}
