package replicas

import (
	"math"
	"time"

	"github.com/serin-go/serin/internal/looks"
)

// Series returns series of a pool for detectors of anomalies, such as package anomaly, by
// name. There are
//
//   - "available": servers that can serve now
//   - "in flight of URL", for each server that the pool has now: requests that it is serving
//   - "failures of URL": the share of its attempts that failed, retries and hedges included
//   - "first byte of URL": how long the first byte of an answer takes lately, in seconds
//
// A share is about the time since the look before: NaN at the first look, after 5 min without
// one, and without an attempt. What is said of a server is NaN when it is gone, and its first
// byte before it has answered. Each function is safe for concurrent use, and is for one reader.
func Series(p *Pool) map[string]func(at time.Time) float64 {
	all := map[string]func(at time.Time) float64{
		"available": func(time.Time) float64 {
			able := 0
			for _, s := range p.Stats() {
				if s.State == Available {
					able++
				}
			}
			return float64(able)
		},
	}
	for _, s := range p.Stats() {
		url := s.URL
		all["in flight of "+url] = func(time.Time) float64 {
			if s, there := p.stats(url); there {
				return float64(s.InFlight)
			}
			return math.NaN()
		}
		all["failures of "+url] = looks.Quotient(looks.Longest, func(time.Time) (float64, float64, bool) {
			s, there := p.stats(url)
			return float64(s.Failed), float64(s.Served + s.Failed), there
		})
		all["first byte of "+url] = func(time.Time) float64 {
			if s, there := p.stats(url); there && s.FirstByte > 0 {
				return s.FirstByte.Seconds()
			}
			return math.NaN()
		}
	}
	return all
}

func (p *Pool) stats(url string) (Stats, bool) {
	for _, s := range p.Stats() {
		if s.URL == url {
			return s, true
		}
	}
	return Stats{}, false
}
