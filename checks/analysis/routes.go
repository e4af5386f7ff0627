package analysis

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"
)

// routeEvidence counts the answers of one arm on one route. They show whether the
// answers of that route can be read at all.
type routeEvidence struct {
	// Route is [Observation.Route], or "other".
	Route string `json:"route"`
	// Answers counts requests that are Unread or [Class.Answered]; Unread counts
	// those among them that are Unread or Invalid.
	Answers int `json:"answers"`
	Unread  int `json:"unread,omitempty"`
	// Why counts the Unread ones by [Observation.Why], if they have one.
	Why map[string]int `json:"why,omitempty"`
}

const (
	maxLabels   = 32  // routes, and reasons, that an arm distinguishes
	maxLabelLen = 128 // bytes
	otherLabel  = "other"
	maxAnswers  = 1 << 53 // of a route; sums of so many replicas do not overflow

	// So many answers it takes to say that a route cannot be read.
	minUnreadable = 20
)

// onRoutes are the classes that are counted by route; notRead are those that
// mean that nothing could be read.
const (
	onRoutes = answered | 1<<Unread
	notRead  = classes(1<<Unread | 1<<Invalid)
)

// labels numbers strings that have few values, from 2; 0 stands for the empty
// string and 1 for any further one. It is safe for concurrent use, and looking up
// a known string takes no lock.
type labels struct {
	known atomic.Pointer[map[string]uint8] // replaced when one is added
	mu    sync.Mutex                       // held to add one
	names []string                         // by number, from 2
}

// number returns the number of s.
func (l *labels) number(s string) uint8 {
	if s == "" {
		return 0
	}
	if known := l.known.Load(); known != nil {
		if i := (*known)[s]; i != 0 {
			return i
		}
		if len(*known) == maxLabels {
			return 1
		}
	}
	if !isLabel(s) || s == otherLabel {
		return 1
	}
	return l.add(s)
}

func (l *labels) add(s string) uint8 {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := make(map[string]uint8)
	if p := l.known.Load(); p != nil {
		known = maps.Clone(*p)
	}
	switch i := known[s]; {
	case i != 0:
		return i
	case len(known) == maxLabels:
		return 1
	}
	s = strings.Clone(s)
	l.names = append(l.names, s)
	known[s] = uint8(len(l.names) + 1)
	l.known.Store(&known)
	return known[s]
}

// list returns the strings by number.
func (l *labels) list() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string{"", otherLabel}, l.names...)
}

// isLabel reports whether s can be shown as it is.
func isLabel(s string) bool {
	if s == "" || len(s) > maxLabelLen || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// routeCount counts the answers on a route.
type routeCount struct {
	answers, unread uint64
	why             []uint64 // of the unread ones, by number
}

// on returns the counter with number i of a list that grows as needed.
func on[T any](list *[]T, i uint8) *T {
	for len(*list) <= int(i) {
		*list = append(*list, *new(T))
	}
	return &(*list)[i]
}

// noteRoute counts an answer on a route. a is locked.
func (a *Arm) noteRoute(s *sighting) {
	r := on(&a.onRoute, s.route)
	r.answers++
	if notRead.has(s.class) {
		r.unread++
		if s.why != 0 {
			*on(&r.why, s.why)++
		}
	}
}

// routeEvidence returns what was counted, by name. a is locked.
func (a *Arm) routeEvidence() (list []routeEvidence) {
	if len(a.onRoute) == 0 {
		return nil
	}
	routes, whys := a.routes.list(), a.whys.list()
	for i, r := range a.onRoute {
		if r.answers == 0 {
			continue
		}
		e := routeEvidence{Route: routes[i], Answers: int(r.answers), Unread: int(r.unread)}
		for k, n := range r.why {
			if n > 0 {
				if e.Why == nil {
					e.Why = make(map[string]int)
				}
				e.Why[whys[k]] += int(n)
			}
		}
		list = append(list, e)
	}
	slices.SortFunc(list, byRoute)
	return list
}

func cloneRoutes(list []routeEvidence) []routeEvidence {
	list = slices.Clone(list)
	for i := range list {
		list[i].Why = maps.Clone(list[i].Why)
	}
	return list
}

// restoreRoutes adds what was counted before a restart. a is locked.
func (a *Arm) restoreRoutes(list []routeEvidence) {
	for _, e := range list {
		r := on(&a.onRoute, a.routes.number(e.Route))
		r.answers += uint64(e.Answers)
		r.unread += uint64(e.Unread)
		for why, n := range e.Why {
			*on(&r.why, a.whys.number(why)) += uint64(n)
		}
	}
}

// add adds what another replica has counted on the same route.
func (e *routeEvidence) add(o routeEvidence) {
	e.Answers += o.Answers
	e.Unread += o.Unread
	for why, n := range o.Why {
		if e.Why == nil {
			e.Why = make(map[string]int)
		}
		e.Why[why] += n
	}
}

// addRoutes adds what another replica has counted. The list is sorted.
func (a *armEvidence) addRoutes(list []routeEvidence) {
	for _, o := range list {
		i, found := slices.BinarySearchFunc(a.Routes, o, byRoute)
		if !found {
			a.Routes = slices.Insert(a.Routes, i, routeEvidence{Route: o.Route})
		}
		a.Routes[i].add(o)
	}
}

// boundRoutes keeps the routes with the most answers, and of each the most
// frequent reasons, as many as one arm distinguishes. The others become one.
func (a *armEvidence) boundRoutes() {
	names := func(yield func(string, int) bool) {
		for _, e := range a.Routes {
			if !yield(e.Route, e.Answers) {
				return
			}
		}
	}
	kept := mostFrequent(names)
	var routes []routeEvidence
	other := routeEvidence{Route: otherLabel}
	for _, e := range a.Routes {
		if !kept[e.Route] {
			other.add(e)
			continue
		}
		e.boundWhy()
		routes = append(routes, e)
	}
	if other.Answers > 0 {
		other.boundWhy()
		routes = append(routes, other)
	}
	slices.SortFunc(routes, byRoute)
	a.Routes = routes
}

func (e *routeEvidence) boundWhy() {
	kept := mostFrequent(maps.All(e.Why))
	for why, n := range e.Why {
		if !kept[why] && why != otherLabel {
			delete(e.Why, why)
			e.Why[otherLabel] += n
		}
	}
}

// mostFrequent returns the labels, except for "other", with the largest counts.
func mostFrequent(counts iter.Seq2[string, int]) map[string]bool {
	type entry struct {
		label string
		n     int
	}
	var all []entry
	for label, n := range counts {
		if label != otherLabel {
			all = append(all, entry{label, n})
		}
	}
	slices.SortFunc(all, func(x, y entry) int { return cmp.Or(cmp.Compare(y.n, x.n), strings.Compare(x.label, y.label)) })
	kept := make(map[string]bool)
	for _, e := range all[:min(len(all), maxLabels)] {
		kept[e.label] = true
	}
	return kept
}

func byRoute(x, y routeEvidence) int { return strings.Compare(x.Route, y.Route) }

// unreadable returns the route of which the most answers cannot be read, if they
// are more than half of enough answers.
func (a armEvidence) unreadable() (worst routeEvidence, found bool) {
	for _, e := range a.Routes {
		if e.Answers >= minUnreadable && e.Unread > e.Answers-e.Unread && e.Unread > worst.Unread {
			worst, found = e, true
		}
	}
	return worst, found
}

// notRead words that answers of an arm cannot be read, and what to do about it.
func (e routeEvidence) notRead(arm string) string {
	s := fmt.Sprintf("%s: %s of %s answers of %s are not read", e.Route, thousands(e.Unread), thousands(e.Answers), arm)
	best := ""
	for why, n := range e.Why {
		if best == "" || n > e.Why[best] || n == e.Why[best] && why < best {
			best = why
		}
	}
	if best != "" {
		s += " (" + best + ")"
	}
	return s + "; see Config.Classify"
}

// checkRoutes reports whether the counts are possible.
func (a armEvidence) checkRoutes() error {
	if len(a.Routes) > maxLabels+1 {
		return fmt.Errorf("%d routes", len(a.Routes))
	}
	seen := make(map[string]bool, len(a.Routes))
	for _, e := range a.Routes {
		if !isLabel(e.Route) || seen[e.Route] || len(e.Why) > maxLabels+1 {
			return fmt.Errorf("route %q, with %d reasons", e.Route, len(e.Why))
		}
		seen[e.Route] = true
		if e.Answers < 0 || e.Answers > maxAnswers || e.Unread < 0 || e.Unread > e.Answers {
			return fmt.Errorf("%d of %d answers on %q", e.Unread, e.Answers, e.Route)
		}
		left := e.Unread
		for why, n := range e.Why {
			if !isLabel(why) || n < 0 || n > left {
				return fmt.Errorf("%d of %d answers with the reason %q", n, e.Unread, why)
			}
			left -= n
		}
	}
	return nil
}
