package satisfaction

import (
	"container/list"
	"fmt"
	"math"
	"sync"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/evalue"
)

// Scale is the scale of a rating.
type Scale string

// The scales.
const (
	Thumbs    Scale = "thumbs"    // 0 is down, 1 is up
	Stars     Scale = "stars"     // 1 to 5
	Recommend Scale = "recommend" // 0 to 10
)

// Rating is what a user says about one answer.
type Rating struct {
	// ID identifies the request, at most 128 bytes. Version is the version that has answered.
	ID, Version string
	Scale       Scale
	// Value is a whole number of the scale.
	Value float64
}

func (r Rating) validate() error {
	bad := func(field string, value any, want string) error {
		return &checks.InvalidError{Package: "satisfaction", Field: "Rating." + field, Value: value, Want: want}
	}
	if r.ID == "" || len(r.ID) > 128 {
		return bad("ID", fmt.Sprintf("%d bytes", len(r.ID)), "1 to 128 bytes")
	}
	if r.Version == "" || len(r.Version) > 128 {
		return bad("Version", fmt.Sprintf("%d bytes", len(r.Version)), "1 to 128 bytes")
	}
	ends, known := map[Scale][2]float64{Thumbs: {0, 1}, Stars: {1, 5}, Recommend: {0, 10}}[r.Scale]
	if !known {
		return bad("Scale", r.Scale, "thumbs, stars or recommend")
	}
	if !(r.Value >= ends[0] && r.Value <= ends[1]) || r.Value != math.Trunc(r.Value) {
		return bad("Value", r.Value, fmt.Sprintf("a whole number from %v to %v", ends[0], ends[1]))
	}
	return nil
}

// DefaultRemember is how many ratings are remembered, so that later ones can replace them.
const DefaultRemember = 100_000

// maxVersions bounds how many versions are counted; ratings of further ones are refused.
const maxVersions = 100

// Tally counts ratings by version. The zero value is ready to use. It is safe for concurrent
// use, and must not be copied after the first use.
type Tally struct {
	// Remember is how many of the last rated answers are remembered: a second rating of an
	// older one counts as another. Default [DefaultRemember]. Set it before the first use.
	Remember int

	mu       sync.Mutex
	versions map[string]*counts
	rated    map[string]*list.Element
	order    *list.List // of Rating, the oldest first
}

// counts are the ratings of one version.
type counts struct {
	answers int
	thumbs  [2]int
	stars   [6]int
	points  [11]int
}

func (c *counts) add(r Rating, n int) {
	switch r.Scale {
	case Thumbs:
		c.thumbs[int(r.Value)] += n
	case Stars:
		c.stars[int(r.Value)] += n
	case Recommend:
		c.points[int(r.Value)] += n
	}
}

// version returns the counts of a version, or nil if there are too many.
func (t *Tally) version(name string) *counts {
	if t.versions == nil {
		t.versions, t.rated, t.order = make(map[string]*counts), make(map[string]*list.Element), list.New()
	}
	c := t.versions[name]
	if c == nil && len(t.versions) < maxVersions {
		c = new(counts)
		t.versions[name] = c
	}
	return c
}

// Answered counts n answers of a version, whether they are rated or not. A negative n, an empty
// version, and one beyond the hundredth are not counted.
func (t *Tally) Answered(version string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n > 0 && version != "" {
		if c := t.version(version); c != nil {
			c.answers += n
		}
	}
}

// Rate counts a rating, and replaces a former one of the same answer, also on another scale. The
// error is a [*checks.InvalidError]: for an invalid rating, and for a version
// beyond the hundredth.
func (t *Tally) Rate(r Rating) error {
	if err := r.validate(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.version(r.Version)
	if c == nil {
		return &checks.InvalidError{Package: "satisfaction", Field: "Rating.Version", Value: r.Version, Want: fmt.Sprintf("one of the %d versions that are counted", maxVersions)}
	}
	if old := t.rated[r.ID]; old != nil {
		former := old.Value.(Rating)
		t.versions[former.Version].add(former, -1)
		t.order.Remove(old)
	}
	c.add(r, 1)
	t.rated[r.ID] = t.order.PushBack(r)
	limit := t.Remember
	if limit <= 0 {
		limit = DefaultRemember
	}
	for t.order.Len() > limit {
		oldest := t.order.Front()
		delete(t.rated, oldest.Value.(Rating).ID)
		t.order.Remove(oldest)
	}
	return nil
}

// Share is a share with its 95 % interval. It is zero without a rating.
type Share struct {
	Of        int // the number of ratings
	Value     float64
	Low, High float64
}

func shareOf(events, n int) Share {
	if n == 0 {
		return Share{}
	}
	low, high := evalue.Wilson(float64(events), float64(n), 0.975)
	return Share{n, float64(events) / float64(n), low, high}
}

// Summary is what users say about a version.
type Summary struct {
	Version string
	// Answers is the number of answers, and Ratings the number of them that are rated.
	Answers, Ratings int
	// Response is Ratings by Answers, 0 if there are no answers.
	Response float64
	// Up is the share of thumbs up, and CSAT the share of four and five stars.
	Up, CSAT Share
	// NPS is from -100 to 100, of Recommended ratings.
	NPS         float64
	Recommended int
}

// Summary returns what users say about a version. A version that is not known has a zero
// summary.
func (t *Tally) Summary(version string) Summary {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := Summary{Version: version}
	c := t.versions[version]
	if c == nil {
		return s
	}
	stars, points, good, bad := 0, 0, 0, 0
	for _, n := range c.stars {
		stars += n
	}
	for i, n := range c.points {
		points += n
		switch {
		case i >= 9:
			good += n
		case i <= 6:
			bad += n
		}
	}
	s.Answers, s.Ratings = c.answers, c.thumbs[0]+c.thumbs[1]+stars+points
	if s.Answers > 0 {
		s.Response = float64(s.Ratings) / float64(s.Answers)
	}
	s.Up, s.CSAT = shareOf(c.thumbs[1], c.thumbs[0]+c.thumbs[1]), shareOf(c.stars[4]+c.stars[5], stars)
	if s.Recommended = points; points > 0 {
		s.NPS = 100 * float64(good-bad) / float64(points)
	}
	return s
}

// String returns a summary in one line.
func (s Summary) String() string {
	text := fmt.Sprintf("%s: %d of %d answers rated", s.Version, s.Ratings, s.Answers)
	for _, x := range []struct {
		name  string
		share Share
	}{{"CSAT", s.CSAT}, {"thumbs up", s.Up}} {
		if x.share.Of > 0 {
			text += fmt.Sprintf(", %s %.1f %% (%.1f to %.1f) of %d", x.name, 100*x.share.Value, 100*x.share.Low, 100*x.share.High, x.share.Of)
		}
	}
	if s.Recommended > 0 {
		text += fmt.Sprintf(", NPS %+.0f of %d", s.NPS, s.Recommended)
	}
	return text
}
