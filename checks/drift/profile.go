package drift

import (
	"encoding/json"
	"fmt"
	"math"
	"sync"

	"github.com/serin-go/serin/checks"
)

// Sample is what a profile takes of one request. It has no text of a person.
type Sample struct {
	// Input and Output are lengths, in tokens or in characters, but always in the same unit.
	// A length that is 0 or negative is not known, and not counted.
	Input, Output int
	// Refused says that the model has declined.
	Refused bool
	// Language is the language of the prompt, such as "it"; see [Script] for a cheap
	// substitute. Empty is not known. A profile distinguishes 63 of them, and counts the others as one.
	Language string
	// Score is a grade from 0 to 1, or nil.
	Score *float64
}

const (
	perOctave    = 4
	lengthBins   = 32 * perOctave // up to 2^32
	scoreBins    = 20
	maxLanguages = 63
	otherWords   = "other"
)

// Profile counts samples. The zero value is empty. It is safe for concurrent use, and must not
// be copied after the first use. It marshals to JSON, at most a few kilobytes.
type Profile struct {
	mu     sync.Mutex
	counts counts
}

// counts is the stored form of a profile.
type counts struct {
	Samples   int            `json:"samples"`
	Refused   int            `json:"refused"`
	Input     []int          `json:"input,omitempty"`  // by quarter octaves
	Output    []int          `json:"output,omitempty"` // by quarter octaves
	Scores    []int          `json:"scores,omitempty"` // by twentieths
	Languages map[string]int `json:"languages,omitempty"`
}

// Add counts a sample. A score that is no number from 0 to 1 is not counted.
func (p *Profile) Add(s Sample) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &p.counts
	c.Samples++
	if s.Refused {
		c.Refused++
	}
	c.Input = addLength(c.Input, s.Input)
	c.Output = addLength(c.Output, s.Output)
	if s.Score != nil && *s.Score >= 0 && *s.Score <= 1 {
		c.Scores = grown(c.Scores, scoreBins)
		c.Scores[min(int(*s.Score*scoreBins), scoreBins-1)]++
	}
	if s.Language != "" {
		c.addLanguage(s.Language, 1)
	}
}

func addLength(bins []int, n int) []int {
	if n <= 0 {
		return bins
	}
	bins = grown(bins, lengthBins)
	bins[min(int(math.Log2(float64(n))*perOctave), lengthBins-1)]++
	return bins
}

// grown returns bins with room for n.
func grown(bins []int, n int) []int {
	if len(bins) < n {
		bins = append(bins, make([]int, n-len(bins))...)
	}
	return bins
}

func (c *counts) addLanguage(name string, n int) {
	if c.Languages == nil {
		c.Languages = make(map[string]int)
	}
	if _, known := c.Languages[name]; !known && len(c.Languages) >= maxLanguages || len(name) > 32 {
		name = otherWords
	}
	c.Languages[name] += n
}

// Merge adds what another profile has counted, such as the profile of another replica. Nil adds
// nothing.
func (p *Profile) Merge(other *Profile) {
	if other == nil {
		return
	}
	o := other.copied()
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &p.counts
	c.Samples, c.Refused = c.Samples+o.Samples, c.Refused+o.Refused
	c.Input, c.Output, c.Scores = sum(c.Input, o.Input), sum(c.Output, o.Output), sum(c.Scores, o.Scores)
	for name, n := range o.Languages {
		c.addLanguage(name, n)
	}
}

func sum(a, b []int) []int {
	a = grown(a, len(b))
	for i, n := range b {
		a[i] += n
	}
	return a
}

// Samples returns the number of samples.
func (p *Profile) Samples() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts.Samples
}

// copied returns the counts, which do not change any more.
func (p *Profile) copied() counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts
	c.Input, c.Output, c.Scores = append([]int(nil), c.Input...), append([]int(nil), c.Output...), append([]int(nil), c.Scores...)
	languages := make(map[string]int, len(c.Languages))
	for name, n := range c.Languages {
		languages[name] = n
	}
	c.Languages = languages
	return c
}

// MarshalJSON implements [json.Marshaler].
func (p *Profile) MarshalJSON() ([]byte, error) { return json.Marshal(p.copied()) }

// UnmarshalJSON implements [json.Unmarshaler]. It refuses counts that cannot be.
func (p *Profile) UnmarshalJSON(text []byte) error {
	var c counts
	if err := json.Unmarshal(text, &c); err != nil {
		return fmt.Errorf("drift: %w", err)
	}
	if err := c.validate(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts = c
	return nil
}

// maxCount is the largest count: sums of many profiles do not overflow.
const maxCount = 1 << 48

func (c counts) validate() error {
	bad := func(field string, value any, want string) error {
		return &checks.InvalidError{Package: "drift", Field: "Profile." + field, Value: value, Want: want}
	}
	if c.Samples < 0 || c.Samples > maxCount {
		return bad("samples", c.Samples, "a number from 0 on")
	}
	if c.Refused < 0 || c.Refused > c.Samples {
		return bad("refused", c.Refused, "a number from 0 to the number of samples")
	}
	for _, f := range []struct {
		field string
		bins  []int
		size  int
	}{{"input", c.Input, lengthBins}, {"output", c.Output, lengthBins}, {"scores", c.Scores, scoreBins}} {
		if len(f.bins) != 0 && len(f.bins) != f.size {
			return bad(f.field, len(f.bins), fmt.Sprintf("%d counts, or none", f.size))
		}
		left := c.Samples
		for _, n := range f.bins {
			if left -= n; n < 0 || left < 0 {
				return bad(f.field, n, "counts from 0 on, together at most the number of samples")
			}
		}
	}
	left := c.Samples
	for name, n := range c.Languages {
		if left -= n; n < 0 || left < 0 || len(name) > 32 || len(c.Languages) > maxLanguages+1 {
			return bad("languages", name, "at most 64 names of at most 32 bytes, with counts that are together at most the number of samples")
		}
	}
	return nil
}
