package traffic

import (
	"maps"
	"sync"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/bounded"
)

// maxNames bounds how many names are counted by themselves.
const maxNames = 32

// names counts by name, what is beyond the bound under "other". Names that are long or
// cannot be printed are counted by their hash. The zero value is empty.
type names struct {
	mu sync.Mutex
	n  map[string]uint64
}

func (c *names) add(name string) {
	if name == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	name = bounded.Name(name)
	if c.n == nil {
		c.n = make(map[string]uint64)
	}
	if _, known := c.n[name]; !known && len(c.n) >= maxNames {
		name = "other"
	}
	c.n[name]++
}

// all returns a copy, nil if nothing was counted.
func (c *names) all() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.n)
}

// reasons counts why answers were not good, and the finish reasons that are not
// known.
type reasons struct{ why, finish names }

func (r *reasons) note(o *answer.Outcome) {
	if o.Class == analysis.OK {
		return
	}
	r.why.add(o.Why)
	if o.Class == analysis.Invalid && o.Why == answer.WhyUnknownFinish {
		r.finish.add(o.Finish)
	}
}
